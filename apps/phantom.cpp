// dura-phantom: writes synthetic data sets. Brain slices with a known tumour, or the pretext task that a backbone is first trained on.
#include <algorithm>
#include <array>
#include <map>

#include "apps/program/program.h"
#include "data/image/codec.h"
#include "data/image/drawing.h"
#include "data/phantom/phantom.h"
#include "data/phantom/pretext.h"
#include "engine/base/log.h"

namespace {

using namespace dura;

struct Job {
  std::string out, task = "tumour", sheet;
  int64_t seed = 0, size = 128;
  PhantomOptions phantom;
  PretextOptions pretext;
};

constexpr int64_t sheet_columns = 8, sheet_gap = 2;

void report(const Manifest& manifest, const std::string& out) {
  std::map<std::string, std::array<int64_t, 3>> counts;
  for (const ManifestRow& row : manifest.rows) ++counts[row.label][static_cast<size_t>(*parse_split(row.split))];
  for (const auto& [label, count] : counts) log_info(label, ": ", count[0], " train, ", count[1], " val, ", count[2], " test");
  log_info("wrote ", manifest.rows.size(), " pictures and manifest.csv to ", out);
}

// Two rows of each class, every patient once; each picture again below with the border of its lesion.
Image phantom_sheet(const PhantomOptions& options) {
  std::vector<Image> pictures;
  for (const LesionKind kind : {LesionKind::meningioma, LesionKind::glioma}) {
    std::vector<Image> plain, marked;
    for (int64_t patient = 0; patient < options.patients && static_cast<int64_t>(plain.size()) < 2 * sheet_columns; ++patient) {
      if (phantom_kind(options, patient) != kind) continue;
      Phantom p = make_phantom(options, patient * options.slices_per_patient);
      draw_outline(marked.emplace_back(to_rgb(p.image)), p.mask, {255, 220, 0});
      plain.push_back(std::move(p.image));
    }
    for (size_t row = 0; row < plain.size(); row += sheet_columns)
      for (const std::vector<Image>* source : {&plain, &marked})
        for (size_t i = row; i < row + sheet_columns; ++i)
          pictures.push_back(i < source->size() ? (*source)[i] : Image(options.size, options.size, 1));
  }
  return sheet(pictures, sheet_columns, sheet_gap);
}

// One row of each class.
Image pretext_sheet(const PretextOptions& options) {
  const auto classes = static_cast<int64_t>(pretext_classes().size());
  std::vector<Image> pictures;
  for (int64_t label = 0; label < classes; ++label)
    for (int64_t i = 0; i < sheet_columns; ++i) pictures.push_back(make_pretext(options, (label + i * classes) % options.images).image);
  return sheet(pictures, sheet_columns, sheet_gap);
}

int write(Job job) {
  job.phantom.seed = job.pretext.seed = static_cast<uint64_t>(job.seed);
  job.phantom.size = job.pretext.size = job.size;
  const bool tumour = job.task == "tumour";
  report(tumour ? write_phantoms(job.phantom, job.out) : write_pretext(job.pretext, job.out), job.out);
  if (!job.sheet.empty()) {
    write_png(job.sheet, tumour ? phantom_sheet(job.phantom) : pretext_sheet(job.pretext));
    log_info("wrote ", job.sheet);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Job job;
  Program program({.name = "dura-phantom",
                   .summary = "Writes a synthetic data set: brain slices with a tumour, or the pretext task.",
                   .examples = {"dura-phantom --out phantoms --patients 300 --seed 1 --sheet phantoms/sheet.png",
                                "dura-phantom --out pretext --task pretext --images 4000 --size 64 --seed 2"},
                   .computes = false});
  program.text("--out", job.out, "Folder to write: images/, masks/, brains/ and manifest.csv", {.required = true});
  program.text("--task", job.task, "tumour: slices of the classes Menin and Glioma; pretext: kinds and numbers of bright objects",
               {.choices = {"tumour", "pretext"}});
  program.integer("--seed", job.seed, "Everything is a function of it", {.min = 0});
  program.integer("--size", job.size, "Pixels along each side", {.min = 64, .max = 512});
  program.text("--sheet", job.sheet, "Also write an overview as PNG");
  program.heading("Tumour");
  program.integer("--patients", job.phantom.patients, "Phantom patients", {.min = 2});
  program.integer("--slices", job.phantom.slices_per_patient, "Slices of each patient", {.min = 1, .max = 64});
  program.number("--menin-share", job.phantom.meningioma_share, "Share of patients with a meningioma", {.min = 0, .max = 1});
  program.number("--val", job.phantom.val_share, "Share of the patients for validation", {.min = 0, .max = 0.9});
  program.number("--test", job.phantom.test_share, "Share of the patients for the test set", {.min = 0, .max = 0.9});
  program.heading("Pretext");
  program.integer("--images", job.pretext.images, "Pictures; the last tenth is for validation", {.min = 8});
  program.number("--mm-per-pixel", job.pretext.mm_per_pixel, "Scale of the objects", {.min = 0.3, .max = 4});
  return program.run(argc, argv, [&] { return write(job); });
}
