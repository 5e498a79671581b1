// How good the model is, from evaluation_<split>.json: every table says whether the set is untouched, and every figure has its interval.

#include "apps/metrics/class_scores.h"
#include "apps/program/json_values.h"
#include "apps/report/run_report.h"
#include "apps/report/svg.h"
#include "engine/base/text.h"

namespace dura {
namespace {

using Json = nlohmann::json;

// "0.874 (0.801 to 0.932)"
std::string with_interval(const Json& j) {
  if (!j.is_object()) return fixed(j);
  return fixed(j.at("value")) + (j.at("low").is_number() ? concat(" (", fixed(j.at("low")), " to ", fixed(j.at("high")), ")") : "");
}

void add_scores(HtmlPage& page, const Json& evaluation) {
  Table scores = {{"pictures are", "class", "pictures", "precision", "recall", "F1", "AUC", "average precision", "Brier score"}};
  for (const Json& result : evaluation.at("results"))
    for (const Json& c : result.at("classes")) {
      scores.push_back({result.at("title"), c.at("name"), concat(c.at("pictures"))});
      for (const ClassScore& score : class_scores) scores.back().push_back(with_interval(c.at(score.key)));
    }
  page.table(scores, "Scores of each class, with 95 % intervals");
  for (const Json& result : evaluation.at("results")) {
    Table confusion = {{"true class"}};
    for (const Json& c : result.at("classes")) {
      const std::string name = c.at("name");
      confusion[0].push_back("predicted " + name);
      confusion.push_back({name});
      for (const Json& other : result.at("classes"))
        confusion.back().push_back(concat(c.at("predicted").at(other.at("name").get<std::string>())));
    }
    page.table(confusion, "Confusion matrix: " + result.at("title").get<std::string>());
  }
}

// --changed: a row for each change, the untouched pictures first.
void add_changed(HtmlPage& page, const Json& evaluation) {
  const Json changed = evaluation.value("changed", Json::array());
  if (changed.empty()) return;
  const std::string rare = evaluation.at("rare_class");
  Table table = {{"every picture", "accuracy", "F1 of " + rare, "AUC", "log loss"}};
  const auto add = [&](const Json& result) {
    for (const Json& c : result.at("classes"))
      if (c.at("name") == rare)
        table.push_back({result.at("title"), with_interval(result.at("accuracy")), with_interval(c.at("f1")), with_interval(c.at("auc")),
                         fixed(result.at("log_loss"))});
  };
  add(evaluation.at("results").at(0));
  for (const Json& result : changed) add(result);
  page.table(table, "Scores where every picture is changed in one way, which training need not have seen");
}

void add_curves(HtmlPage& page, const Json& result, const std::string& rare) {
  for (const Json& c : result.at("classes")) {
    if (c.at("name") != rare) continue;
    const Json& curve = c.at("curve");
    const LineSeries diagonal{.x = {0, 1}, .y = {0, 1}, .dashed = true};
    const auto plot = [&](const std::string& title, const std::string& x_label, const std::string& y_label, const LineSeries& line,
                          const std::string& other) {
      LinePlot p{.title = title + " of " + rare, .x_label = x_label, .y_label = y_label, .series = {line}, .y_min = 0.0, .y_max = 1.0};
      p.width = 340, p.height = 320;
      if (!other.empty()) p.series.push_back(diagonal), p.series.back().name = other;
      return svg_line_plot(p);
    };
    const std::vector<double> recall = numbers(curve.at("recall"));
    LineSeries calibration{.name = "calibration error " + fixed(result.at("calibration_error"))};
    for (const Json& bin : c.at("reliability"))
      if (bin.at("pictures").get<int64_t>() > 0)
        calibration.x.push_back(number(bin.at("mean_probability"))), calibration.y.push_back(number(bin.at("share_positive")));
    const std::vector<std::string> plots = {
        plot("ROC curve", "false positive rate", "recall",
             {.name = "AUC " + fixed(c.at("auc").at("value")), .x = numbers(curve.at("false_positive_rate")), .y = recall}, "chance"),
        plot("Precision and recall", "recall", "precision",
             {.name = "average precision " + fixed(c.at("average_precision")), .x = recall, .y = numbers(curve.at("precision"))}, ""),
        plot("Reliability", "mean predicted probability", "share that is " + rare, calibration, "perfect")};
    page.svg_row(plots, "Reliability: on the diagonal, a probability means what it says; bins with few pictures jump.");
  }
}

void add_decision(HtmlPage& page, const Json& evaluation) {
  const Json& decision = evaluation.at("decision");
  if (decision.at("threshold").is_number())
    page.paragraph(concat("A picture counts as ", decision.at("class").get<std::string>(), " from a probability of ",
                          fixed(decision.at("threshold"), 4), " on. The threshold was chosen on validation (",
                          decision.at("rule").get<std::string>(), ") before these pictures were opened."));
  else
    page.paragraph("A picture counts as the class with the highest probability.");
  const Json& temperature = evaluation.at("temperature");
  if (temperature.is_object())
    page.paragraph(concat("Probabilities are scaled by the temperature ", fixed(temperature.at("value")),
                          ", fitted on validation; the order of pictures does not change."));
}

// What answering only the surest pictures would give, and what several models disagree on.
void add_certainty(HtmlPage& page, const Json& evaluation) {
  if (const Json models = evaluation.value("models_disagree", Json()); models.is_object())
    page.paragraph(concat("The answer is the mean of ", models.at("models"), " models. Over them the probability of ",
                          evaluation.at("rare_class").get<std::string>(), " has a standard deviation of ", fixed(models.at("mean_spread")),
                          " on average; they decide differently on ", models.at("decide_differently"), " pictures."));
  const Json curve = evaluation.value("risk_coverage", Json());
  if (!curve.is_object() || curve.at("coverage").empty()) return;
  LinePlot plot{
      .title = "Errors among the answered pictures",
      .x_label = "share of pictures answered, the surest first",
      .y_label = "share of wrong answers",
      .series = {{.name = "area " + fixed(curve.at("area"), 4), .x = numbers(curve.at("coverage")), .y = numbers(curve.at("risk"))}},
      .y_min = 0.0};
  const Json abstention = evaluation.value("abstention", Json());
  if (abstention.is_object()) {
    const double share = number(abstention.at("answered")) / number(evaluation.at("results").at(0).at("pictures"));
    plot.marks.push_back({share, "chosen on validation"});
  }
  plot.width = 520, plot.height = 300;
  page.svg_row({svg_line_plot(plot)},
               "At 1 every picture is answered. Where the line falls to the left, unsure answers are worth a second look.");
  if (abstention.is_object())
    page.paragraph(concat("Answers from a confidence of ", fixed(abstention.at("confidence")), " on: ", abstention.at("answered"),
                          " pictures are answered; their scores stand in the tables as 'answered'. The confidence was chosen on "
                          "validation, where it answers ",
                          fixed(abstention.at("validation_coverage")), " of the pictures."));
}

// "5 of 87 (0.057)"; a bin without lesions says so, and never 0 %.
std::string rate_text(const Json& j, const char* nothing) {
  return j.at("of") == 0 ? nothing : concat(j.at("count"), " of ", j.at("of"), " (", fixed(j.at("rate")), ")");
}

void add_errors(HtmlPage& page, const Json& errors, const std::string& rare) {
  page.paragraph(concat("Errors on the untouched pictures: ", rare, " missed in ",
                        rate_text(errors.at("false_negatives"), "none, for there is none"), ", taken for ", rare, " in ",
                        rate_text(errors.at("false_positives"), "none, for there is none"), "."));
  const Json& sizes = errors.at("by_diameter");
  Table table = {{"diameter, mm", "missed"}};
  for (const Json& bin : sizes.at("bins")) {
    const std::string low = fixed(bin.at("low_mm"), 1);
    table.push_back({bin.at("high_mm").is_number() ? concat(low, " to ", fixed(bin.at("high_mm"), 1)) : "from " + low,
                     rate_text(bin.at("missed"), "no lesion of this size")});
  }
  page.table(table, concat(rare, " missed, by the lesion's diameter. Under 5 mm: ",
                           rate_text(sizes.at("under_5_mm"), "no lesion was measured"), " of the lesions"));
  table = {{"what was measured", "among false positives", "among true negatives"}};
  for (const Json& trait : errors.at("traits"))
    table.push_back({trait.at("name"), rate_text(trait.at("false_positives"), "-"), rate_text(trait.at("true_negatives"), "-")});
  page.table(table, "What false positives have in common; few of them prove nothing");
  table = {{"file", "true class", "its probability", "decided", "lesion, mm"}};
  for (const Json& worst : errors.at("worst")) {
    if (table.size() > 12) break;
    table.push_back({worst.at("file"), worst.at("class"), fixed(worst.at("probabilities").at(worst.at("class").get<std::string>())),
                     worst.at("decided"), fixed(worst.at("lesion_mm"), 1)});
  }
  page.table(table, "The worst cases, the true class least probable first");
}

}  // namespace

void add_evaluation(HtmlPage& page, const std::filesystem::path& file) {
  with_json(file, "dura-evaluate", [&](const Json& evaluation) {
    const Json &untouched = evaluation.at("results").at(0), &bootstrap = evaluation.at("bootstrap");
    page.section("Result on the split " + evaluation.at("split").get<std::string>());
    page.paragraph(concat(untouched.at("pictures"), " untouched pictures, accuracy ", with_interval(untouched.at("accuracy")),
                          ". Intervals are bootstrapped over ", bootstrap.at("count"), " ", bootstrap.at("units").get<std::string>(), "."));
    for (const Json& leak : evaluation.value("allowed_leaks", Json::array()))
      page.note("Leak, let pass by --allow-leak: " + leak.get<std::string>() + ". Scores are too good.");
    if (const Json bad = evaluation.value("bad_pictures", Json::array()); !bad.empty()) {
      std::vector<std::string> files;
      for (const Json& b : bad) files.push_back(b.at("file"));
      page.note(concat(bad.size(), " pictures could not be decoded and are in no score: ", joined(files, ", "), "."));
    }
    add_decision(page, evaluation);
    add_scores(page, evaluation);
    add_changed(page, evaluation);
    add_curves(page, untouched, evaluation.at("rare_class"));
    add_certainty(page, evaluation);
    if (evaluation.at("errors").is_object()) add_errors(page, evaluation.at("errors"), evaluation.at("rare_class"));
  });
}

}  // namespace dura
