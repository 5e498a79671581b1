#include "apps/evaluation/model_card.h"

#include <cmath>
#include <filesystem>
#include <set>
#include <utility>

#include "apps/program/program.h"
#include "apps/program/text_table.h"
#include "engine/base/log.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"
#include "weights/safetensors.h"

namespace dura {
namespace {

// "train: 120 pictures of 40 patients (24 Menin, 96 Glioma)"
std::string split_line(const DataSplits& data, Split split) {
  const std::vector<int64_t>& rows = data.rows[split];
  std::set<std::string> patients;
  for (const int64_t row : rows) patients.insert(data.manifest.rows[static_cast<size_t>(row)].patient);
  patients.erase("");
  std::vector<std::string> classes;
  const std::vector<int64_t> counts = data.class_counts(split, false);
  for (int64_t c = 0; c < data.classes.size(); ++c) classes.push_back(concat(counts[static_cast<size_t>(c)], " ", data.classes[c]));
  return concat(split_name(split), ": ", rows.size(), " pictures", patients.empty() ? "" : concat(" of ", patients.size(), " patients"),
                " (", joined(classes, ", "), ")");
}

std::string weights_line(const TrainOptions& o) {
  if (o.weights.empty()) return "none: the network began with random numbers";
  return concat(std::filesystem::path(o.weights).filename().string(), ", SHA-256 ", sha256_file_hex(o.weights));
}

std::string score_text(const Score& s) {
  const bool known = std::isfinite(s.interval.low);
  return fixed(s.value) + (known ? concat(" [", fixed(s.interval.low), ", ", fixed(s.interval.high), "]") : "");
}

// A file's text is shown as its lines, and whatever in them is no character to print is escaped.
std::vector<std::string> shown_lines(const std::string& value) {
  std::vector<std::string> lines;
  for (const std::string& line : split_at(value, '\n')) {
    const std::string quoted = quote(line, 4000);
    lines.push_back(quoted.substr(1, quoted.size() - 2));
  }
  return lines;
}

}  // namespace

std::string pictures_sha256(const DataSplits& data, Split split, const std::string& folder) {
  std::string sums;
  for (const int64_t row : data.rows[split]) {
    const std::string& file = data.manifest.rows[static_cast<size_t>(row)].file;
    std::string sum = "unreadable";
    try {
      sum = sha256_file_hex(std::filesystem::path(folder) / file);
    } catch (const Error&) {
      // It was named when the data set was opened.
    }
    sums += sum + "  " + file + "\n";
  }
  return sha256_hex(std::string_view(sums));
}

Entries training_card(const TrainOptions& o, const DataSplits& data) {
  std::vector<std::string> leaks, splits, sums;
  for (const std::string& leak : data.allowed_leaks) leaks.push_back("Scores are too good: " + leak);
  for (const Split split : all_splits)
    if (!data.rows[split].empty()) splits.push_back(split_line(data, split));
  // The test pictures are not touched by training.
  for (const Split split : {Split::train, Split::val})
    sums.push_back(concat(split_name(split), ": ", pictures_sha256(data, split, o.data.folder)));
  Entries card = o.card.entries("dura-train", leaks);
  card.merge(Entries{{card_prefix + "pictures", joined(splits, "\n")},
                     {card_prefix + "pictures_sha256", joined(sums, "\n")},
                     {card_prefix + "manifest_sha256", data.manifest_sha256},
                     {card_prefix + "training",
                      concat("phase 1: at most ", o.phase1_epochs, " epochs, learning rate ", o.phase1_lr, "; phase 2: at most ",
                             o.phase2_epochs, ", ", o.phase2_lr, ", unfrozen ", o.unfreeze, "; seed ", o.seed, "; ", o.precision)},
                     {card_prefix + "weights", weights_line(o)}});
  return card;
}

Entries score_card(const SplitEvaluation& s, const std::string& pictures) {
  const Evaluation& e = s.results.front();
  std::vector<std::string> lines = {concat(e.confusion.total(), " pictures, intervals of ", fixed(100 * s.bootstrap.level, 0), " % over ",
                                           s.unit_count, " ", s.units, "; decision: ", s.threshold_rule),
                                    concat("accuracy ", score_text(e.accuracy), ", balanced ", fixed(e.balanced_accuracy),
                                           ", calibration error ", fixed(e.calibration_error))};
  for (const ClassScores& c : e.classes) {
    std::vector<std::string> scores;
    for (size_t i = 0; i < scores_with_interval; ++i)
      scores.push_back(concat(class_scores[i].title, " ", score_text(c.*class_scores[i].score)));
    lines.push_back(concat(c.name, " (", c.support, "): ", joined(scores, ", ")));
  }
  for (const std::string& leak : s.allowed_leaks) lines.push_back("too good: " + leak);
  lines.push_back("pictures " + pictures);
  lines.push_back("manifest " + s.manifest_sha256);
  lines.push_back("model " + s.models.front().sha256);
  lines.push_back("by dura-evaluate " + dura_version());
  return {{card_prefix + "scores." + s.split, joined(lines, "\n")}};
}

void check_card(const EvaluateOptions& o) {
  if (o.card.empty()) return;
  if (o.models.size() != 1) fail_usage("--card writes one model; ", o.models.size(), " are given. Evaluate one of them by itself.");
  std::error_code none;
  if (std::filesystem::equivalent(o.card, o.models.front(), none))
    fail_usage("--card ", o.card, " is the model itself. Evaluations know it by its SHA-256; choose another file.");
}

void write_scored_model(const EvaluateOptions& o, const SplitEvaluation& evaluation, const DataSplits& data) {
  if (o.card.empty()) return;
  StateDict state = read_safetensors(o.models.front());
  for (const auto& [key, value] : score_card(evaluation, pictures_sha256(data, *parse_split(o.split), o.data.folder)))
    state.metadata()[key] = value;
  write_safetensors(o.card, state);
  log_info("wrote ", o.card, ": the model with these scores in its card");
}

std::string model_card_text(const Entries& entries, const std::string& file, const std::string& sha256) {
  Table table = {{"Model card", file}};
  const auto add = [&](const std::string& title, const std::string& value) {
    std::string first = title;
    for (const std::string& line : shown_lines(value)) table.push_back({std::exchange(first, ""), line});
  };
  const auto entry = [&](const std::string& key) {
    const auto found = entries.find(key);
    return found == entries.end() || found->second.empty() ? std::string("not stated") : found->second;
  };
  const PreprocessingOptions preprocessing = PreprocessingOptions::from_metadata(entries, file);
  add("SHA-256", sha256);
  add("made by", entries.contains("dura.converted_from") ? "dura-convert, of a checkpoint with the SHA-256 " + entry("dura.converted_from")
                                                         : entry(card_prefix + "made_by"));
  add("network", concat("ResNet-", entry("dura.depth"), ", variant ", entry("dura.variant"), ", stem pooling ", entry("dura.stem_pool")));
  add("classes", entry("dura.classes"));
  add("input", concat(preprocessing.steps().description(), "; convention ", entry("dura.input")));
  add("data", entry(card_prefix + "pictures"));
  add("data, SHA-256", entry(card_prefix + "pictures_sha256"));
  add("manifest, SHA-256", entry(card_prefix + "manifest_sha256"));
  add("training", entry(card_prefix + "training"));
  add("began with", entry(card_prefix + "weights"));
  add("licence of weights", entry(card_prefix + "weights_licence"));
  const std::string scores = card_prefix + "scores.";
  bool scored = false;
  for (auto i = entries.lower_bound(scores); i != entries.end() && i->first.starts_with(scores); ++i, scored = true)
    add("scores on " + shown_lines(i->first.substr(scores.size())).front(), i->second);
  if (!scored) add("scores", "none in the file; dura-evaluate --card FILE writes it with its scores");
  add("limits", entry(card_prefix + "limits"));
  return text_table(table, 0);
}

}  // namespace dura
