// What dura-evaluate prints: tables that explain themselves.
#include <algorithm>
#include <cmath>

#include "apps/program/text_table.h"
#include "apps/evaluation/split_evaluation.h"
#include "engine/base/check.h"

namespace dura {
namespace {

std::string with_interval(const Score& s) {
  const Interval& i = s.interval;
  return fixed(s.value) + (std::isfinite(i.low) ? concat(" [", fixed(i.low), ", ", fixed(i.high), "]") : "");
}

std::string decision_text(const SplitEvaluation& s) {
  const std::string& rare = s.rare_name();
  std::string text;
  if (s.decision.argmax) {
    text = "Decision: the most probable class.\n";
  } else {
    text = concat("Decision: ", rare, " where its probability is at least ", fixed(s.decision.threshold, 6),
                  ", otherwise the most probable other class.\n  Threshold by the rule ", s.threshold_rule, " on validation");
    text += s.validation ? concat(" (", s.validation->pictures, " pictures; there precision ", fixed(s.validation->precision), ", recall ",
                                  fixed(s.validation->recall), ", F1 ", fixed(s.validation->f1), "), frozen before the ", s.split,
                                  " pictures were opened.\n")
                         : std::string(".\n");
  }
  if (s.temperature && s.temperature->at_bound)
    text +=
        "Temperature: none. The best one lies outside of 0.05 to 20, validation is too easy or too small to fit it; probabilities are left "
        "as they are.\n";
  if (s.temperature && !s.temperature->at_bound) {
    text += concat("Temperature ", fixed(s.temperature->value), ", fitted on validation; it changes no most probable class.\n");
    Table lines = {{"", "log loss before", "after", "ECE before", "after"}};
    for (const TemperatureEffect& e : s.temperature_effects)
      lines.push_back({e.split, fixed(e.log_loss_before, 4), fixed(e.log_loss_after, 4), fixed(e.calibration_error_before, 4),
                       fixed(e.calibration_error_after, 4)});
    text += text_table(lines);
  }
  return text;
}

// One column for each version of the split, so that no version stands alone.
std::string scores_text(const std::vector<Evaluation>& results) {
  Table lines = {{"", ""}};
  for (const Evaluation& e : results) lines[0].push_back(e.title);
  const auto add = [&](const std::string& group, const std::string& name, auto value) {
    lines.push_back({group, name});
    for (const Evaluation& e : results) lines.back().push_back(value(e));
  };
  add("all", "pictures", [](const Evaluation& e) { return std::to_string(e.confusion.total()); });
  add("", "accuracy", [](const Evaluation& e) { return with_interval(e.accuracy); });
  add("", "balanced accuracy", [](const Evaluation& e) { return fixed(e.balanced_accuracy); });
  add("", "log loss", [](const Evaluation& e) { return fixed(e.log_loss); });
  add("", "calibration error (ECE)", [](const Evaluation& e) { return fixed(e.calibration_error); });
  for (size_t c = 0; c < results[0].classes.size(); ++c) {
    add(results[0].classes[c].name, "pictures", [c](const Evaluation& e) { return std::to_string(e.classes[c].support); });
    for (const ClassScore& score : class_scores)
      add("", score.title, [&, c](const Evaluation& e) { return with_interval(e.classes[c].*score.score); });
  }
  return text_table(lines);
}

// A line for each change, the untouched pictures first.
std::string changed_text(const SplitEvaluation& s) {
  const auto rare = static_cast<size_t>(s.rare);
  Table lines = {{"every picture", "accuracy", "F1 of " + s.rare_name(), "AUC", "log loss"}};
  const auto add = [&](const Evaluation& e) {
    lines.push_back(
        {e.title, with_interval(e.accuracy), with_interval(e.classes[rare].f1), with_interval(e.classes[rare].auc), fixed(e.log_loss)});
  };
  add(s.results[0]);
  for (const Evaluation& e : s.changed) add(e);
  return concat("Scores on changed pictures, which training need not have seen:\n", text_table(lines));
}

std::string confusion_text(const Evaluation& e) {
  Table lines = {{"true class"}};
  for (const ClassScores& c : e.classes) lines[0].push_back("decided " + c.name);
  for (size_t i = 0; i < e.classes.size(); ++i) {
    lines.push_back({e.classes[i].name});
    for (size_t k = 0; k < e.classes.size(); ++k)
      lines.back().push_back(std::to_string(e.confusion.count(static_cast<int64_t>(i), static_cast<int64_t>(k))));
  }
  return concat("Confusion matrix, ", e.title, ":\n", text_table(lines));
}

std::string reliability_text(const ClassScores& c, const std::string& title) {
  Table lines = {{"probability of " + c.name, "pictures", "mean probability", "share that is " + c.name}};
  for (const ReliabilityBin& b : c.reliability)
    if (b.count > 0)
      lines.push_back(
          {concat(fixed(b.low, 1), " to ", fixed(b.high, 1)), std::to_string(b.count), fixed(b.mean_probability), fixed(b.share_positive)});
  return concat("Reliability, ", title, " (the last two columns should agree; empty bins left out):\n", text_table(lines));
}

std::string share_text(const Share& s) {
  return concat(s.count, " of ", s.of, s.of > 0 ? concat(" (", fixed(100 * s.rate(), 1), " %)") : std::string());
}

std::string diameters_text(const ErrorAnalysis& a, const std::string& rare) {
  if (a.by_diameter.empty())
    return concat("Misses by lesion size: not known. No picture of ", rare, " has both a mask and mm_per_pixel in the manifest.\n");
  Table lines = {{"lesion diameter", "lesions", "missed", "share missed"}};
  for (const DiameterBin& b : a.by_diameter) {
    const bool last = &b == &a.by_diameter.back();
    const std::string size = b.low == 0 ? concat("under ", fixed(b.high, 0), " mm")
                             : last     ? concat(fixed(b.low, 1), " mm and more")
                                        : concat(fixed(b.low, 1), " to ", fixed(b.high, 1), " mm");
    if (b.missed.of == 0)
      lines.push_back({size, "no lesion of this size"});
    else
      lines.push_back({size, std::to_string(b.missed.of), std::to_string(b.missed.count), concat(fixed(100 * b.missed.rate(), 1), " %")});
  }
  std::string text =
      concat("Misses by lesion size (diameter of the circle of the mask's area; above 10 mm by quartiles):\n", text_table(lines));
  text += concat("  Under 5 mm are ", share_text(a.under_5_mm), " of the measured lesions and ", share_text(a.missed_under_5_mm),
                 " of the missed ones.\n");
  if (a.not_measured > 0)
    text += concat("  Not measured (no mask, an empty one, or no mm_per_pixel): ", a.not_measured, " pictures of ", rare, ".\n");
  return text;
}

std::string traits_text(const ErrorAnalysis& a) {
  if (a.traits.empty()) return {};
  Table lines = {{"what is so", "among false positives", "among true negatives"}};
  for (const Trait& t : a.traits) lines.push_back({t.name, share_text(t.false_positives), share_text(t.true_negatives)});
  return concat("What false positives have in common (a number's level is the upper quartile of the true negatives):\n", text_table(lines));
}

std::string worst_text(const ErrorAnalysis& a, const std::vector<std::string>& classes) {
  if (a.worst.empty()) return "No picture is decided wrongly.\n";
  constexpr size_t shown = 12;
  Table lines = {{"picture", "is", "decided", "p(true class)", "lesion mm", "mean intensity", "bright spots", "bright at border"}};
  for (size_t i = 0; i < std::min(shown, a.worst.size()); ++i) {
    const AnalysedPicture& p = a.worst[i];
    const auto is = static_cast<size_t>(p.label);
    lines.push_back({p.file, classes[is], classes[static_cast<size_t>(p.decided)], fixed(p.probabilities[is], 4),
                     p.diameter_mm > 0 ? fixed(p.diameter_mm, 1) : "-", fixed(p.features.mean_intensity, 1),
                     std::to_string(p.features.bright_spots), p.features.bright_at_border ? "yes" : "no"});
  }
  return concat("Worst cases (", std::min(shown, a.worst.size()), " of ", a.errors, " wrong decisions; the file holds more):\n",
                text_table(lines));
}

std::string errors_text(const ErrorAnalysis& a, const SplitEvaluation& s) {
  const std::string& rare = s.rare_name();
  const auto rate = [&](const ErrorRate& r) {
    return r.pictures.count == 0 ? share_text(r.pictures) : concat(share_text(r.pictures), ", of ", r.units, " ", s.units);
  };
  return concat("Errors on the untouched pictures, rare class ", rare, ":\n  false negatives (", rare,
                " missed): ", rate(a.false_negatives), "\n  false positives (others called ", rare, "): ", rate(a.false_positives), "\n\n",
                diameters_text(a, rare), "\n", traits_text(a), a.traits.empty() ? "" : "\n", worst_text(a, s.classes));
}

std::string spread_text(const Disagreement& d, const SplitEvaluation& s) {
  return concat("the probability of ", s.rare_name(), " has a standard deviation of ", fixed(d.mean_spread), " on average,\n  at most ",
                fixed(d.largest_spread), ".");
}

// What answering only the sure pictures would give.
std::string coverage_text(const SplitEvaluation& s) {
  Table lines = {{"answered", "of them wrong", "confidence from"}};
  for (const double coverage : {1.0, 0.95, 0.9, 0.8, 0.7, 0.5}) {
    const CoveragePoint p = s.risk_coverage->at(coverage);
    lines.push_back({concat(fixed(100 * p.coverage, 1), " %"), concat(fixed(100 * p.risk, 1), " %"), fixed(p.threshold)});
  }
  std::string text = concat("If only the surest pictures were answered (area under risk over coverage ", fixed(s.risk_coverage->area(), 4),
                            "):\n", text_table(lines));
  if (const auto& a = s.abstention)
    text += concat("  Confidence from ", fixed(a->confidence), " on answers ", fixed(100 * a->validation_coverage, 1), " % of validation (",
                   fixed(100 * a->validation_risk, 1), " % of them wrong), chosen before ", s.split, " was opened; here ", a->answered,
                   " of ", s.results[0].confusion.total(), " pictures are answered (column '", answered_title, "').\n");
  return text;
}

}  // namespace

std::string split_evaluation_text(const SplitEvaluation& s) {
  std::string text = decision_text(s);
  if (!s.allowed_leaks.empty())
    text += concat("Note: scores are too good. --allow-leak let ", s.allowed_leaks.size(),
                   " patients or groups be in two splits, the first: ", s.allowed_leaks.front(), ".\n");
  if (!s.complete()) return text;
  text += concat("\nScores on ", s.split, ", rare class ", s.rare_name(), ":\n", scores_text(s.results));
  if (!s.bad_pictures.empty()) {
    text += concat("  ", s.bad_pictures.size(), " pictures could not be decoded and are in no score:");
    constexpr size_t shown = 5;
    for (size_t i = 0; i < std::min(shown, s.bad_pictures.size()); ++i) text += " " + s.bad_pictures[i].file;
    text += s.bad_pictures.size() > shown ? " ... (the file names all)\n" : "\n";
  }
  text += s.unit_count < 2 ? concat("  No intervals: they are drawn over ", s.units, ", and there is one only.\n")
                           : concat("  [low, high]: 95 % interval, ", s.bootstrap.resamples, " bootstrap resamples of the ", s.unit_count,
                                    " ", s.units, ". -: not defined.\n");
  if (s.unit_count >= 2 && s.unit_count < 20)
    text += concat("  With ", s.unit_count, " ", s.units, " these intervals are rough, and rather too narrow.\n");
  const bool balanced = std::any_of(s.results.begin(), s.results.end(), [](const Evaluation& e) { return e.title == augmented_title; });
  text += balanced ? "  Augmented copies are no new patients: the untouched column is the result, the augmented one only shows the scores "
                     "at equal class sizes.\n"
                   : "  --balanced adds a column in which the rare class is augmented.\n";
  if (s.models_disagree)
    text += concat("  The mean of ", s.models_disagree->answers, " models. Over them ", spread_text(*s.models_disagree, s),
                   " They decide differently on ", s.models_disagree->decisions, " pictures.\n");
  if (s.views)
    text += concat("  The ", s.views->answers, " views", s.models.size() > 1 ? " (of every model)" : "",
                   " of a picture: itself and light augmentations. Over them ", spread_text(*s.views, s), " Their mean changes ",
                   s.views->decisions, " decisions.\n");
  for (const Evaluation& e : s.results) text += "\n" + confusion_text(e);
  if (!s.changed.empty()) text += "\n" + changed_text(s);
  text += "\n" + reliability_text(s.results[0].classes[static_cast<size_t>(s.rare)], s.results[0].title);
  if (s.risk_coverage && !s.risk_coverage->points().empty()) text += "\n" + coverage_text(s);
  if (s.errors) text += "\n" + errors_text(*s.errors, s);
  return text;
}

}  // namespace dura
