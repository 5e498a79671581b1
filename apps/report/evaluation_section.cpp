// How good the model is, from evaluation_<split>.json: every table says whether the set is untouched, and every figure has its interval.

#include "apps/program/decimals.h"
#include "apps/program/json_values.h"
#include "apps/report/sections.h"
#include "apps/report/svg.h"
#include "engine/base/file.h"

namespace dura {
namespace {

using Json = nlohmann::json;

// "0.874 (0.801 to 0.932)"
std::string with_interval(const Json& j) {
  const std::string value = fixed(number(j.at("value")));
  if (!j.at("low").is_number()) return value;
  return value + " (" + fixed(number(j.at("low"))) + " to " + fixed(number(j.at("high"))) + ")";
}

void add_scores(HtmlPage& page, const Json& evaluation) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& result : evaluation.at("results"))
    for (const Json& c : result.at("classes"))
      rows.push_back({result.at("title"), c.at("name"), std::to_string(c.at("pictures").get<int64_t>()), with_interval(c.at("precision")),
                      with_interval(c.at("recall")), with_interval(c.at("f1")), with_interval(c.at("auc")),
                      fixed(number(c.at("average_precision"))), fixed(number(c.at("brier")))});
  page.table({"pictures are", "class", "pictures", "precision", "recall", "F1", "AUC", "average precision", "Brier score"}, rows,
             "Scores of each class, with 95 % intervals");
  for (const Json& result : evaluation.at("results")) {
    std::vector<std::string> header = {"true class"};
    rows.clear();
    for (const Json& c : result.at("classes")) {
      header.push_back("predicted " + c.at("name").get<std::string>());
      std::vector<std::string> row = {c.at("name")};
      for (const Json& other : result.at("classes"))
        row.push_back(std::to_string(c.at("predicted").at(other.at("name").get<std::string>()).get<int64_t>()));
      rows.push_back(row);
    }
    page.table(header, rows, "Confusion matrix: " + result.at("title").get<std::string>());
  }
}

void add_curves(HtmlPage& page, const Json& result, const std::string& rare) {
  for (const Json& c : result.at("classes")) {
    if (c.at("name") != rare) continue;
    const Json& curve = c.at("curve");
    const std::string of = " of " + rare;
    std::vector<std::string> plots;
    plots.push_back(svg_line_plot({.title = "ROC curve" + of,
                                   .x_label = "false positive rate",
                                   .y_label = "recall",
                                   .series = {{.name = "AUC " + fixed(number(c.at("auc").at("value"))),
                                               .x = numbers(curve.at("false_positive_rate")),
                                               .y = numbers(curve.at("recall"))},
                                              {.name = "chance", .x = {0, 1}, .y = {0, 1}, .dashed = true}},
                                   .y_min = 0.0,
                                   .y_max = 1.0,
                                   .width = 340,
                                   .height = 320}));
    plots.push_back(svg_line_plot({.title = "Precision and recall" + of,
                                   .x_label = "recall",
                                   .y_label = "precision",
                                   .series = {{.name = "average precision " + fixed(number(c.at("average_precision"))),
                                               .x = numbers(curve.at("recall")),
                                               .y = numbers(curve.at("precision"))}},
                                   .y_min = 0.0,
                                   .y_max = 1.0,
                                   .width = 340,
                                   .height = 320}));
    LineSeries calibration{.name = "calibration error " + fixed(number(result.at("calibration_error")))};
    for (const Json& bin : c.at("reliability"))
      if (bin.at("pictures").get<int64_t>() > 0)
        calibration.x.push_back(number(bin.at("mean_probability"))), calibration.y.push_back(number(bin.at("share_positive")));
    plots.push_back(svg_line_plot({.title = "Reliability" + of,
                                   .x_label = "mean predicted probability",
                                   .y_label = "share that is " + rare,
                                   .series = {calibration, {.name = "perfect", .x = {0, 1}, .y = {0, 1}, .dashed = true}},
                                   .y_min = 0.0,
                                   .y_max = 1.0,
                                   .width = 340,
                                   .height = 320}));
    page.svg_row(plots, "Reliability: on the diagonal, a probability means what it says; bins with few pictures jump.");
  }
}

void add_decision(HtmlPage& page, const Json& evaluation) {
  const Json& decision = evaluation.at("decision");
  if (decision.at("threshold").is_number())
    page.paragraph(concat("A picture counts as ", decision.at("class").get<std::string>(), " from a probability of ",
                          fixed(number(decision.at("threshold")), 4), " on. The threshold was chosen on validation (",
                          decision.at("rule").get<std::string>(), ") before these pictures were opened."));
  else
    page.paragraph("A picture counts as the class with the highest probability.");
  const Json& temperature = evaluation.at("temperature");
  if (temperature.is_object())
    page.paragraph(concat("Probabilities are scaled by the temperature ", fixed(number(temperature.at("value"))),
                          ", fitted on validation; the order of pictures does not change."));
}

// "5 of 87 (0.057)"; a bin without lesions says so, and never 0 %.
std::string rate_text(const Json& j, const char* nothing) {
  if (j.at("of").get<int64_t>() == 0) return nothing;
  return concat(j.at("count").get<int64_t>(), " of ", j.at("of").get<int64_t>(), " (", fixed(number(j.at("rate"))), ")");
}

void add_errors(HtmlPage& page, const Json& errors, const std::string& rare) {
  page.paragraph(concat("Errors on the untouched pictures: ", rare, " missed in ",
                        rate_text(errors.at("false_negatives"), "none, for there is none"), ", taken for ", rare, " in ",
                        rate_text(errors.at("false_positives"), "none, for there is none"), "."));
  const Json& sizes = errors.at("by_diameter");
  std::vector<std::vector<std::string>> rows;
  for (const Json& bin : sizes.at("bins"))
    rows.push_back({bin.at("high_mm").is_number() ? concat(fixed(number(bin.at("low_mm")), 1), " to ", fixed(number(bin.at("high_mm")), 1))
                                                  : concat("from ", fixed(number(bin.at("low_mm")), 1)),
                    rate_text(bin.at("missed"), "no lesion of this size")});
  if (!rows.empty())
    page.table({"diameter, mm", "missed"}, rows,
               concat(rare, " missed, by the lesion's diameter. Under 5 mm: ", rate_text(sizes.at("under_5_mm"), "no lesion was measured"),
                      " of the lesions"));
  rows.clear();
  for (const Json& trait : errors.at("traits"))
    rows.push_back({trait.at("name"), rate_text(trait.at("false_positives"), "-"), rate_text(trait.at("true_negatives"), "-")});
  if (!rows.empty())
    page.table({"what was measured", "among false positives", "among true negatives"}, rows,
               "What false positives have in common; few of them prove nothing");
  rows.clear();
  for (const Json& worst : errors.at("worst")) {
    if (rows.size() == 12) break;
    rows.push_back({worst.at("file"), worst.at("class"), fixed(number(worst.at("probabilities").at(worst.at("class").get<std::string>()))),
                    worst.at("decided"), worst.at("lesion_mm").is_number() ? fixed(number(worst.at("lesion_mm")), 1) : "-"});
  }
  if (!rows.empty())
    page.table({"file", "true class", "its probability", "decided", "lesion, mm"}, rows,
               "The worst cases, the true class least probable first");
}

}  // namespace

void add_evaluation(HtmlPage& page, const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return;
  try {
    const Json evaluation = Json::parse(read_text_file(file, uint64_t{64} << 20));
    const Json& untouched = evaluation.at("results").at(0);
    page.section("Result on the split " + evaluation.at("split").get<std::string>());
    page.paragraph(concat(untouched.at("pictures").get<int64_t>(), " untouched pictures, accuracy ",
                          with_interval(untouched.at("accuracy")), ". Intervals are bootstrapped over ",
                          evaluation.at("bootstrap").at("count").get<int64_t>(), " ",
                          evaluation.at("bootstrap").at("units").get<std::string>(), "."));
    if (evaluation.contains("allowed_leaks"))
      for (const Json& leak : evaluation.at("allowed_leaks"))
        page.note("Leak, let pass by --allow-leak: " + leak.get<std::string>() + ". Scores are too good.");
    if (evaluation.contains("bad_pictures") && !evaluation.at("bad_pictures").empty()) {
      std::string files;
      for (const Json& bad : evaluation.at("bad_pictures")) files += (files.empty() ? "" : ", ") + bad.at("file").get<std::string>();
      page.note(concat(evaluation.at("bad_pictures").size(), " pictures could not be decoded and are in no score: ", files, "."));
    }
    add_decision(page, evaluation);
    add_scores(page, evaluation);
    add_curves(page, untouched, evaluation.at("rare_class"));
    if (evaluation.at("errors").is_object()) add_errors(page, evaluation.at("errors"), evaluation.at("rare_class"));
  } catch (const Json::exception& e) {
    fail(file.string(), " is not what dura-evaluate writes: ", e.what(), ". Run dura-evaluate again.");
  }
}

}  // namespace dura
