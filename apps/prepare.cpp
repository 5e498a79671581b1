// dura-prepare: from folders or a table to a manifest that is checked, split without leaks, and described in numbers.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <numeric>

#include "apps/program/data_options.h"
#include "apps/program/processes.h"
#include "apps/report/prepare_report.h"
#include "apps/report/survey_report.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/sha256.h"

namespace {

using namespace dura;

constexpr const char* lesion_column = "lesion_mm";

struct PrepareOptions {
  DataOptions data;
  std::string out, json, report, copies, split = "auto";
  std::vector<std::string> balance, class_weights;
  int64_t seed = 0, all_pairs = NearCopyOptions{}.all_pairs_up_to;
  double test = 0.2, val = 0.1;
};

// The rows to divide: those of the classes that can be read and whose `split` is empty or one of ours.
std::vector<int64_t> rows_to_split(const Manifest& manifest, const ClassNames& classes) {
  std::vector<int64_t> rows;
  for (size_t i = 0; i < manifest.rows.size(); ++i) {
    const ManifestRow& row = manifest.rows[i];
    if (classes.find(row.label) && (row.split.empty() || parse_split(row.split))) rows.push_back(static_cast<int64_t>(i));
  }
  return rows;
}

// A column of the lesions' equivalent diameters, so that a split can be balanced by it; the table that is written keeps it.
void add_lesion_column(Manifest& manifest, const DataSurvey& survey) {
  std::vector<std::string> values(manifest.rows.size());
  bool any = false;
  for (const SliceSurvey& slice : survey.readable)
    if (slice.lesion && slice.lesion->diameter_mm > 0) {
      values[static_cast<size_t>(slice.row)] = concat(std::round(100 * slice.lesion->diameter_mm) / 100);
      any = true;
    }
  DURA_CHECK(any, manifest.name, ": --balance ", lesion_column, " needs masks and mm_per_pixel; no row has both");
  manifest.set_extra_column(lesion_column, values);
}

int prepare(const Program& program, const PrepareOptions& options, Communicator& ranks) {
  Manifest manifest = options.data.load();
  std::vector<int64_t> all_rows(manifest.rows.size());
  std::iota(all_rows.begin(), all_rows.end(), 0);
  const ClassNames classes = options.data.classes.empty() ? classes_of_labels(manifest, all_rows) : ClassNames(options.data.classes);
  const std::vector<double> weights = options.class_weights.empty() ? std::vector<double>() : classes.weights(options.class_weights);
  if (!options.report.empty() && ranks.is_first()) std::filesystem::create_directories(options.report);
  require_agreement(ranks, facts_of(program, sha256_hex(format_manifest(manifest))));
  PrepareReport found{
      .survey = survey_data(manifest, classes, options.data.folder, {.all_pairs_up_to = options.all_pairs, .shared = ranks.work()})};
  if (!ranks.is_first()) return 0;  // what the survey says, and files, are the first one's
  DataSurvey& survey = found.survey;
  check_bad_files(survey, options.data.allowed_bad_share);
  // A file that cannot be read stays in the table, under a split of its own that nothing uses.
  for (int64_t row : survey.bad_rows) manifest.rows[static_cast<size_t>(row)].split = "bad";
  if (const int64_t grouped = group_copies(manifest, survey))
    log_info(grouped, " rows share a group with a copy of their picture from here on");

  const SplitRows before = rows_by_split(manifest);
  const bool has_split = std::any_of(before.rows.begin(), before.rows.end(), [](const auto& rows) { return !rows.empty(); });
  const bool splits_anew = options.split == "new" || (options.split == "auto" && !has_split);
  if (splits_anew) {
    const std::vector<std::string> extra = manifest.extra_columns();
    const auto is_lesion_column = [](const std::string& column) { return column == lesion_column; };
    if (std::any_of(options.balance.begin(), options.balance.end(), is_lesion_column) &&
        std::none_of(extra.begin(), extra.end(), is_lesion_column))
      add_lesion_column(manifest, survey);
    const SplitOptions split{
        .seed = static_cast<uint64_t>(options.seed), .test = options.test, .val = options.val, .balance = options.balance};
    found.split = assign_splits(manifest, rows_to_split(manifest, classes), classes, split);
    survey.recount(manifest, classes);
  }
  describe_splits(found, manifest, classes, weights);
  std::cout << prepare_text(found, manifest, classes) << std::flush;
  for (const std::string& warning : shortcut_warnings(found.shortcuts)) log_warning(warning);
  if (!options.copies.empty()) write_file_atomically(options.copies, copies_csv(survey, manifest));
  if (!options.json.empty()) write_file_atomically(options.json, prepare_json(found, manifest, classes));
  if (!options.report.empty()) write_prepare_report(options.report, found, manifest, classes, options.data.folder);
  const SplitRows splits = rows_by_split(manifest);
  for (const Split split : all_splits)
    if (!splits[split].empty()) class_indices(manifest, splits[split], classes, true);
  options.data.allowed_leaks(manifest, splits);
  if (options.out.empty()) return 0;
  write_manifest(options.out, manifest);
  if (const std::filesystem::path file = options.data.checked_file(); !file.empty()) {
    CheckedPictures remembered(file);
    if (remembered.add(survey.checked)) remembered.write(file);
  }
  log_info("wrote ", options.out, " (", manifest.rows.size(), " rows; paths are relative to ", options.data.folder, ")");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  PrepareOptions options;
  Program program({.name = "dura-prepare",
                   .summary = "Checks a data set, splits it by patient, and reports what is in it.",
                   .examples = {"dura-prepare DIR --out DIR/manifest.csv",
                                "dura-prepare DIR --classes Menin=meningioma Glioma --split new --balance plane --seed 7 --out split.csv",
                                "dura-prepare DIR --manifest table.csv --column label=class file=path --json survey.json"},
                   .computes = false,
                   .shares_work = true});
  program.text("folder", options.data.folder, "Data folder: one folder of PNG or JPEG files per class, or files named by a manifest",
               {.required = true});
  program.text("--manifest", options.data.manifest,
               "CSV table of the slices; default: manifest.csv in the data folder, else the folders are searched");
  program.list("--column", options.data.columns, "Name of a column in the table, as label=class");
  program.list("--classes", options.data.classes, "Class names, with aliases as in Menin=meningioma; default: the labels found");
  program.text("--out", options.out, "Manifest to write; without it, nothing is written");
  program.text("--json", options.json, "Write the report as JSON, too");
  program.text("--copies", options.copies, "Write the pairs of slices that are copies of each other as CSV");
  program.text(
      "--report", options.report,
      "Folder for prepare.json, control.json (scores of a classifier by simple statistics of the picture), plots, and a picture of the "
      "copies");
  program.integer("--all-pairs", options.all_pairs,
                  "Up to so many pictures all are compared with each other; of more only those whose signatures are close",
                  {.min = 0, .max = int64_t{1} << 40});
  program.list("--class-weight", options.class_weights,
               "Weights that training will use, as Menin=4, for the effective share of each class");
  program.number("--allow-bad", options.data.allowed_bad_share, "Share of files that may be unreadable", {.min = 0, .max = 1});
  program.text("--checked", options.data.checked,
               "With --out: file that remembers which pictures are good, for programs that use them (default: .checked_pictures.csv in "
               "the data folder); off: none");
  program.heading("Split");
  program.text("--split", options.split, "new: divide anew; keep: as the table says; auto: divide where there is no split yet",
               {.choices = {"auto", "new", "keep"}});
  program.number("--test", options.test, "Share of the slices for the test set", {.min = 0, .max = 0.9});
  program.number("--val", options.val, "Share of the rest for validation", {.min = 0, .max = 0.9});
  program.list("--balance", options.balance,
               "Further columns to balance over the splits, such as plane; numbers by quartile; lesion_mm: diameter by the masks");
  program.integer("--seed", options.seed, "Seed of the split", {.min = 0});
  program.flag("--allow-leak", options.data.allow_leak, "Accept a patient or group in two splits (scores will be too good)");
  return program.run(argc, argv,
                     [&] { return run_on_all(program, [&](Communicator& ranks) { return prepare(program, options, ranks); }); });
}
