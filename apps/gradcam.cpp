// dura-gradcam: where did the network look? Overlays (red = high), raw maps, and where lesions are known, whether the maps point at them.
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "apps/program.h"
#include "apps/report/heat_map_score.h"
#include "apps/report/html.h"
#include "apps/training/data_options.h"
#include "apps/training/metrics.h"
#include "apps/training/prediction.h"
#include "data/image_codec.h"
#include "engine/log.h"
#include "models/grad_cam.h"
#include "weights/safetensors.h"

namespace {

using namespace dura;

struct ExplainOptions {
  DataOptions data;
  std::string model, split = "test", stage = "layer4", explain = "predicted", out;
  std::vector<std::string> files;
  int64_t batch = 16, pictures = 48;
};

struct Explained {
  std::string file, label;  // label: empty where it is not known
  int32_t predicted = 0, explained = 0;
  double probability = 0;   // of the predicted class
  HeatMap map, random_map;
};

std::vector<HeatMap> host_maps(const Tensor& maps) {
  const std::vector<double> values = download_as_double(maps);
  const int64_t h = maps.shape()[1], w = maps.shape()[2];
  std::vector<HeatMap> result;
  for (int64_t n = 0; n < maps.shape()[0]; ++n) result.push_back({h, w, {values.begin() + n * h * w, values.begin() + (n + 1) * h * w}});
  return result;
}

// Fills predictions and maps of one batch of u8 images (N,H,W,3) on the CPU; only the first `items.size()` rows count.
void explain(Classifier& model, Classifier* random_model, const Tensor& images, int stage, const std::vector<int32_t>& fixed_classes, std::vector<Explained*> items) {
  const Tensor on_device = Tensor::empty(images.shape(), DType::u8, model.options().backbone.tensors.device, "images");
  backend(on_device.device()).upload(images.raw(), on_device);
  const Tensor x = model.normalize(on_device);
  const GradCam result = grad_cam(model, x, {.stage = stage, .classes = fixed_classes});
  const auto K = static_cast<int64_t>(model.classes().size());
  const std::vector<double> p = softmax_rows(download_as_double(result.logits), K);
  const std::vector<int32_t> predicted = argmax_rows(p, K);
  const std::vector<HeatMap> maps = host_maps(result.maps);
  const std::vector<HeatMap> random_maps = random_model ? host_maps(grad_cam(*random_model, x, {.stage = stage, .classes = result.classes}).maps) : std::vector<HeatMap>(maps.size());
  for (size_t i = 0; i < items.size(); ++i) {
    items[i]->predicted = predicted[i];
    items[i]->explained = result.classes[i];
    items[i]->probability = p[i * static_cast<size_t>(K) + static_cast<size_t>(predicted[i])];
    items[i]->map = maps[i];
    items[i]->random_map = random_maps[i];
  }
}

std::string caption(const Explained& e, const std::vector<std::string>& classes) {
  char probability[16];
  std::snprintf(probability, sizeof probability, "%.2f", e.probability);
  std::string text = classes[static_cast<size_t>(e.predicted)] + " " + probability;
  if (!e.label.empty()) text += e.label == classes[static_cast<size_t>(e.predicted)] ? ", right" : ", wrong: is " + e.label;
  if (e.explained != e.predicted) text += ", map for " + classes[static_cast<size_t>(e.explained)];
  if (!e.map.has_evidence()) text += ", no positive evidence";
  return text;
}

// The slice, and the slice under its map, with the lesion's outline where it is known and the scale of colours.
Image picture_of(const Image& original, const Image& mask, const Explained& e, const std::vector<std::string>& classes) {
  Image plain = to_rgb(original), hot = overlay(original, e.map);
  if (!mask.empty() && mask.height == original.height && mask.width == original.width) draw_outline(hot, mask, {255, 255, 255});
  return with_caption(beside({plain, hot, color_bar(original.height)}), caption(e, classes));
}

// Overlays one by one, a sheet, a page, and all raw maps.
class Output {
 public:
  Output(std::filesystem::path folder, std::vector<std::string> classes) : folder_(std::move(folder)), classes_(std::move(classes)), page_("dura: heat maps") {
    std::filesystem::create_directories(folder_);
  }
  void add_map(const Explained& e) {
    const Dimensions d = {e.map.height, e.map.width};
    if (!raw_.contains(e.file)) raw_.add(e.file, Array::of<float>(d, ElementType::f32, e.map.values));
    without_evidence_ += !e.map.has_evidence();
    ++maps_;
  }
  void add_picture(const Explained& e, const Image& original, const Image& mask) {
    const Image picture = picture_of(original, mask, e, classes_);
    std::string name = e.file;
    std::replace(name.begin(), name.end(), '/', '_');
    write_png((folder_ / (name + ".png")).string(), picture);
    pictures_.push_back({picture, e.file + ": " + caption(e, classes_)});
  }
  void finish(const std::string& scores) {
    write_safetensors(folder_ / "maps.safetensors", raw_);
    std::vector<Image> images;
    for (size_t i = 0; i < std::min<size_t>(pictures_.size(), 12); ++i) images.push_back(pictures_[i].image);
    if (!images.empty()) write_png((folder_ / "sheet.png").string(), sheet(images, 3));
    page_.note("Red: much evidence for the class. Blue: little. A map shows what the network used, not where a tumour is. Not a medical device.");
    if (!scores.empty()) page_.paragraph(scores);
    page_.paragraph(concat(maps_, " maps, ", without_evidence_, " without positive evidence. Raw values: maps.safetensors."));
    page_.gallery(pictures_);
    page_.write(folder_ / "index.html");
    log_info("wrote ", (folder_ / "index.html").string(), ", ", pictures_.size(), " overlays, sheet.png and maps.safetensors (", maps_, " maps, ", without_evidence_, " without positive evidence)");
  }

 private:
  std::filesystem::path folder_;
  std::vector<std::string> classes_;
  HtmlPage page_;
  StateDict raw_;
  std::vector<HtmlPicture> pictures_;
  int64_t maps_ = 0, without_evidence_ = 0;
};

int32_t class_to_explain(const ExplainOptions& o, const ClassNames& classes) {
  if (o.explain == "predicted") return -1;
  const auto found = classes.find(o.explain);
  if (!found) fail_usage("--explain ", o.explain, ": the model's classes are ", classes.list(), "; or say predicted");
  return *found;
}

// What a picture is called in the output: the file's name, or the path as it was given where two of them share their name.
std::string display_name(const std::string& path, const std::vector<std::string>& all) {
  const auto name = [](const std::string& p) { return std::filesystem::path(p).filename().string(); };
  const auto shared = std::count_if(all.begin(), all.end(), [&](const std::string& other) { return name(other) == name(path); });
  return shared > 1 ? path : name(path);
}

int explain_files(const ExplainOptions& o, ModelFile& file, int stage) {
  const int64_t size = file.preprocessing.size;
  const int32_t fixed = class_to_explain(o, ClassNames(file.model->classes()));
  Output output(o.out, file.model->classes());
  int64_t bad = 0;
  for (const std::string& name : o.files) {
    try {
      const Image original = read_image(name), prepared = to_rgb(file.preprocessing.steps().slice(original));
      const Tensor pixels = Tensor::empty({1, size, size, 3}, DType::u8, Device::cpu);
      std::copy(prepared.pixels.begin(), prepared.pixels.end(), pixels.data<uint8_t>());
      Explained e{.file = display_name(name, o.files), .label = "", .map = {}, .random_map = {}};
      explain(*file.model, nullptr, pixels, stage, fixed < 0 ? std::vector<int32_t>{} : std::vector<int32_t>{fixed}, {&e});
      std::cout << name << ": " << caption(e, file.model->classes()) << std::endl;
      output.add_map(e);
      output.add_picture(e, original, {});
    } catch (const UsageError&) {
      throw;
    } catch (const Error& e) {
      log_warning(e.what());
      ++bad;
    }
  }
  output.finish("");
  if (bad > 0) fail(bad, " of ", o.files.size(), " pictures could not be read; they are named above");
  return 0;
}

// The brain's mask where the manifest has a column for it, else the head's outline found in the picture.
Image region_of(const Image& gray, const Manifest& manifest, const ManifestRow& row, const ExplainOptions& o, const PreprocessingOptions& preprocessing) {
  const std::vector<std::string> extra = manifest.extra_columns();
  if (std::find(extra.begin(), extra.end(), "brain") != extra.end())
    if (const std::string brain = manifest.value(row, "brain"); !brain.empty())
      return preprocessing.steps().mask(read_mask((std::filesystem::path(o.data.folder) / brain).string()));
  return head_region(gray);
}

int explain_split(const Program& program, const ExplainOptions& o, ModelFile& file, int stage) {
  const std::optional<Split> split = parse_split(o.split);
  if (!split) fail_usage("--split ", o.split, ": use train, val or test");
  const DataSplits data = open_splits(o.data, file.model->classes());
  const std::unique_ptr<Dataset> dataset = data.open(*split, o.data, file.preprocessing, false);
  const int32_t fixed = class_to_explain(o, data.classes);
  ClassifierOptions random_options = file.model->options();
  random_options.seed = 0x5eed;
  random_options.backbone.tensors.device = program.device();
  Classifier random_model(random_options);

  std::vector<Explained> all(static_cast<size_t>(dataset->size()));
  Loader loader(*dataset, {.batch_size = o.batch, .policies = {}, .items = {}});
  for (loader.start_epoch(0); loader.next();) {
    const Batch& batch = loader.batch();
    std::vector<Explained*> items;
    for (int64_t n = 0; n < batch.rows; ++n) {
      const int64_t i = batch.samples[static_cast<size_t>(n)];
      Explained& e = all[static_cast<size_t>(i)];
      e.file = dataset->sample(i).file;
      e.label = data.classes[dataset->sample(i).label];
      items.push_back(&e);
    }
    explain(*file.model, &random_model, batch.images, stage, fixed < 0 ? std::vector<int32_t>{} : std::vector<int32_t>(batch.samples.size(), fixed), items);
  }

  Output output(o.out, file.model->classes());
  std::vector<PointingRecord> records;
  for (int64_t i = 0; i < dataset->size(); ++i) {
    const Explained& e = all[static_cast<size_t>(i)];
    output.add_map(e);
    const Image mask = dataset->mask(i);
    if (mask.empty() || dataset->lesion(i).pixels == 0) continue;
    const Image gray = to_gray(dataset->image(i));
    const ManifestRow& row = data.manifest.rows[static_cast<size_t>(dataset->sample(i).row)];
    records.push_back(score_pointing(gray, mask, region_of(gray, data.manifest, row, o, file.preprocessing), e.map, e.random_map));
  }
  const std::string scores = records.empty() ? "" : summarise(records).text();
  if (!scores.empty()) std::cout << scores << std::endl;

  // Errors first, then what the network was least sure of.
  std::vector<size_t> order(all.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto rank = [&](size_t i) { return std::pair(all[i].label == file.model->classes()[static_cast<size_t>(all[i].predicted)], all[i].probability); };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return rank(a) < rank(b); });
  // Half of the room for those, the other half spread over the rest.
  const size_t room = std::min(order.size(), static_cast<size_t>(o.pictures)), first = (room + 1) / 2;
  for (size_t k = 0; k < room; ++k) {
    const size_t at = k < first ? k : first + (k - first) * (order.size() - first) / std::max<size_t>(1, room - first);
    const Sample& sample = dataset->sample(static_cast<int64_t>(order[at]));
    const std::filesystem::path folder = o.data.folder;
    output.add_picture(all[order[at]], read_image((folder / sample.file).string()), sample.mask.empty() ? Image() : read_mask((folder / sample.mask).string()));
  }
  output.finish(scores);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  ExplainOptions o;
  Program program({.name = "dura-gradcam",
                   .summary = "Heat maps of what the network used for its answer (Grad-CAM); scores against lesion masks where there are any.",
                   .examples = {"dura-gradcam --model run/model.safetensors --out maps slice.png", "dura-gradcam --model run/model.safetensors --data brain --split test --out maps"}});
  program.text("--model", o.model, "Model written by dura-train", {.required = true});
  program.text("--out", o.out, "Folder for overlays, raw maps and index.html", {.required = true});
  program.text("--stage", o.stage, "Where in the network: layer1, layer2, layer3 or layer4");
  program.text("--explain", o.explain, "The class to explain, by name, or predicted");
  program.integer("--batch", o.batch, "Images at a time", {.min = 1, .max = 4096});
  program.integer("--pictures", o.pictures, "Overlays to write for a split; maps are written and scored for all", {.min = 0, .max = 100000});
  program.text("--split", o.split, "With --data: train, val or test", {.choices = {"train", "val", "test"}});
  program.list("files", o.files, "Pictures; or name a data folder with --data");
  o.data.declare(program, false);
  return program.run(argc, argv, [&] {
    if (o.files.empty() == o.data.folder.empty()) fail_usage("name pictures, or a data folder with --data: one of the two");
    ModelFile file = read_model(o.model, {.device = program.device()});
    const int stage = ResNet::stage_by_name(o.stage);
    return o.files.empty() ? explain_split(program, o, file, stage) : explain_files(o, file, stage);
  });
}
