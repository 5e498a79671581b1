// dura-gradcam: where did the network look? Overlays (red = high), raw maps, and where lesions are known, whether the maps point at them.
#include <filesystem>
#include <iostream>
#include <optional>

#include "apps/evaluation/ensemble.h"
#include "apps/evaluation/lesion_audit.h"
#include "apps/evaluation/split_maps.h"
#include "apps/program/processes.h"
#include "apps/report/heat_map_page.h"
#include "data/image/codec.h"
#include "data/image/preprocess.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/sha256.h"
#include "models/explain/joint_explanation.h"

namespace {

using namespace dura;

struct Options {
  DataOptions data;
  HeatMapRun run;
  std::string out, against;
  std::vector<std::string> models, files;
  int64_t batch = 16, pictures = 48, limit = 0, sanity = 0, deletion = 0, audit = 0;
};

int explain_files(const Options& o, Device device) {
  const std::vector<ModelFile> models = read_models(o.models, {.device = device});
  const std::vector<Classifier*> networks = networks_of(models);
  const std::vector<std::string>& classes = networks[0]->classes();
  const Preprocessing steps = models[0].preprocessing.steps();
  const ExplainOptions explanation = o.run.explanation(ClassNames(classes));
  HeatMapPage page(o.out);
  int64_t bad = 0;
  for (const std::string& name : o.files) {
    try {
      const Image original = read_image(name);
      const Explanation found = explain(networks, rgb_batch({steps.slice(original)}), explanation).front();
      const HeatMapPicture p = heat_map_picture(display_name(name, o.files), original, found, classes);
      std::cout << name << ": " << p.caption() << std::endl;
      page.add_map(p.file, p.map);
      page.add_picture("Pictures", p);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& e) {
      log_warning(e.what());
      ++bad;
    }
  }
  page.finish();
  if (bad > 0) fail(bad, " of ", o.files.size(), " pictures could not be read; they are named above");
  return 0;
}

int explain_split(const Program& program, Options o, Communicator& ranks) {
  const std::vector<ModelFile> models = read_models(o.models, {.device = program.device()});
  const ModelFile& file = models[0];
  const Split split = *parse_split(o.run.split);
  const Tolerance tolerance = parse_tolerance(o.run.tolerance);
  const DataSplits data = open_splits(o.data, file.model->classes(), ranks);
  std::vector<std::string> files = o.models;
  files.push_back(o.against);
  require_agreement(ranks, facts_of(program, data.manifest_sha256, files));
  std::optional<HeatMapPage> page;  // and all files are the first one's
  if (ranks.is_first()) page.emplace(o.out);
  const std::unique_ptr<Dataset> dataset = data.open(split, o.data, file.preprocessing, false, ranks);
  ExplainOptions explanation = o.run.explanation(data.classes);
  explanation.shared = ranks.work();
  SplitMaps maps(
      networks_of(models), *dataset, data, o.data,
      {.explanation = explanation, .batch = o.batch, .limit = o.limit, .random_networks = o.run.random_networks, .tolerance = tolerance});
  const std::vector<ScoredPicture> scored = maps.score();
  const std::vector<ScoreGroup> groups = score_groups(scored, file.model->classes());
  o.run.tolerance = tolerance.text();
  if (!groups.empty()) std::cout << score_text(groups, o.run.title()) << std::flush;
  SanityCheck sanity;
  if (o.sanity > 0) std::cout << sanity_text(sanity = maps.sanity(o.sanity)) << std::flush;
  DeletionCurves deletion;
  if (o.deletion > 0) std::cout << deletion_text(deletion = maps.deletion(o.deletion)) << std::endl;
  LesionAudit audit;
  if (o.audit > 0) {
    audit =
        audit_split(file, o.against, data, o.data, split, {.pictures = o.audit, .batch = o.batch, .maps = explanation, .ranks = &ranks});
    std::cout << audit_text(audit) << std::flush;
  }
  if (!page) return 0;

  for (size_t i = 0; i < maps.size(); ++i) page->add_map(dataset->sample(maps.samples()[i]).file, maps.explanation(i).map);
  if (!groups.empty()) add_scores(page->page(), groups, o.run.title());
  if (o.sanity > 0) add_sanity(page->page(), sanity);
  if (o.deletion > 0) add_deletion(page->page(), deletion);
  if (o.audit > 0) write_audit(o.out, audit);
  write_file_atomically(std::filesystem::path(o.out) / "heat_maps.csv", heat_maps_csv(scored));
  o.run.maps = page->maps(), o.run.without_evidence = page->without_evidence();
  for (const std::string& model : o.models) o.run.model_sha256.push_back(sha256_file_hex(model));
  write_file_atomically(std::filesystem::path(o.out) / "heat_maps.json", heat_maps_json(o.run, groups, sanity.steps, deletion));
  maps.show(o.pictures, [&](const std::string& section, const HeatMapPicture& p) { page->add_picture(section, p); });
  page->finish();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  Program program(
      {.name = "dura-gradcam",
       .summary =
           "Heat maps of what the network used for its answer (Grad-CAM and relatives); scores against lesion masks where there are any.",
       .examples = {"dura-gradcam --model run/model.safetensors --out maps slice.png",
                    "dura-gradcam --model run/model.safetensors --data brain --split test --tolerance 5mm --out maps"},
       .shares_work = true});
  program.list("--model", o.models, "Model written by dura-train; given several times, the mean of their answers and maps",
               {.required = true, .one_each = true});
  program.text("--out", o.out, "Folder for overlays, raw maps and index.html", {.required = true});
  program.text("--method", o.run.method, "How maps are made", {.choices = cam_method_names()});
  program.text("--stage", o.run.stage, "Where in the network: stem, layer1, layer2, layer3 or layer4");
  program.text("--cells", o.run.cells, "Where cells lie: in the middles of equal shares, as other tools have it, or where they really look",
               {.choices = {"shares", "receptive-fields"}});
  program.text("--enlarge", o.run.enlarge, "Between the middles of cells: straight lines, or a cubic, which also peaks between high cells",
               {.choices = {"linear", "cubic"}});
  program.text("--explain", o.run.explain, "The class to explain, by name, or predicted");
  program.integer("--batch", o.batch, "Images at a time", {.min = 1, .max = 4096});
  program.list("files", o.files, "Pictures; or name a data folder with --data");
  program.heading("With --data");
  const NumberRules<int64_t> some{.min = 0, .max = 1000000};
  program.text("--split", o.run.split, "train, val or test", {.choices = {"train", "val", "test"}});
  program.integer("--limit", o.limit, "So many pictures, evenly spread over the split; 0: all", some);
  program.integer("--pictures", o.pictures, "Overlays to write; maps are written and scored for all", some);
  program.text("--tolerance", o.run.tolerance, "How far from the lesion a peak still hits it: 0, 15px (of the network's input) or 5mm");
  program.integer("--sanity", o.sanity, "Pictures on which to see that maps change when weights are made random; 0: none", some);
  program.integer("--deletion", o.deletion, "Pictures on which to follow the answer while marked pixels are blurred; 0: none", some);
  program.integer("--audit", o.audit, "Slices with a lesion on which to ask whether the network needs it; 0: none", some);
  program.text("--against", o.against, "With --audit: another model, whose measures are taken from this one's");
  program.integer("--random-networks", o.run.random_networks, "Networks with random weights to compare with", {.min = 0, .max = 100});
  o.data.declare(program, false);
  return program.run(argc, argv, [&] {
    if (o.files.empty() == o.data.folder.empty()) fail_usage("name pictures, or a data folder with --data: one of the two");
    if (o.models.size() > 1 && (o.sanity > 0 || o.deletion > 0 || o.audit > 0))
      fail_usage("--sanity, --deletion and --audit ask one network. Name one --model for them.");
    return run_on_all(program, [&](Communicator& ranks) {
      if (!o.files.empty() && ranks.size() > 1)
        fail_usage("several processes share the pictures of --data; name files to one that is alone");
      return o.files.empty() ? explain_split(program, o, ranks) : explain_files(o, program.device());
    });
  });
}
