#include "apps/training/evaluation.h"

#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/csv.h"

namespace dura {
namespace {

nlohmann::json number(double v) { return std::isfinite(v) ? nlohmann::json(v) : nlohmann::json(nullptr); }

std::string fixed(double v, int digits) {
  std::ostringstream out;
  if (std::isfinite(v))
    out << std::fixed << std::setprecision(digits) << v;
  else
    out << "-";
  return out.str();
}

}  // namespace

Evaluation evaluate(const Predictions& p, const std::vector<std::string>& classes, const std::string& title) {
  Evaluation e{.title = title, .classes = {}};
  e.confusion = confusion_of(p.labels, argmax_rows(p.logits, p.classes), p.classes);
  e.accuracy = e.confusion.accuracy();
  e.balanced_accuracy = e.confusion.balanced_accuracy();
  e.log_loss = log_loss(p.labels, p.logits, p.classes);
  for (int64_t c = 0; c < p.classes; ++c) {
    std::vector<bool> positive;
    std::vector<double> score;
    for (size_t i = 0; i < p.labels.size(); ++i) {
      positive.push_back(p.labels[i] == c);
      score.push_back(p.probabilities[i * static_cast<size_t>(p.classes) + static_cast<size_t>(c)]);
    }
    e.classes.push_back({.name = classes[static_cast<size_t>(c)], .support = e.confusion.support(c), .precision = e.confusion.precision(c), .recall = e.confusion.recall(c),
                         .f1 = e.confusion.f1(c), .auc = roc_auc(positive, score), .average_precision = average_precision(positive, score)});
  }
  return e;
}

std::string evaluation_text(const Evaluation& e) {
  std::ostringstream out;
  size_t width = 8;
  for (const ClassScores& c : e.classes) width = std::max(width, c.name.size() + 2);
  const auto name = [&](const std::string& text) -> std::ostream& { return out << std::left << std::setw(static_cast<int>(width)) << text << std::right; };
  out << e.title << ": " << e.confusion.total() << " pictures, accuracy " << fixed(e.accuracy, 3) << ", balanced accuracy " << fixed(e.balanced_accuracy, 3) << ", log loss "
      << fixed(e.log_loss, 3) << "\n";
  name("class") << std::setw(9) << "pictures" << std::setw(11) << "precision" << std::setw(8) << "recall" << std::setw(7) << "F1" << std::setw(7) << "AUC" << std::setw(7) << "AP"
                << "   predicted as";
  for (const ClassScores& c : e.classes) out << " " << c.name;
  out << "\n";
  for (size_t i = 0; i < e.classes.size(); ++i) {
    const ClassScores& c = e.classes[i];
    name(c.name) << std::setw(9) << c.support << std::setw(11) << fixed(c.precision, 3) << std::setw(8) << fixed(c.recall, 3) << std::setw(7) << fixed(c.f1, 3) << std::setw(7)
                 << fixed(c.auc, 3) << std::setw(7) << fixed(c.average_precision, 3) << "               ";
    for (size_t j = 0; j < e.classes.size(); ++j)
      out << " " << std::setw(static_cast<int>(e.classes[j].name.size())) << e.confusion.count(static_cast<int64_t>(i), static_cast<int64_t>(j));
    out << "\n";
  }
  return out.str();
}

std::string evaluation_json(const std::vector<Evaluation>& evaluations) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Evaluation& e : evaluations) {
    nlohmann::ordered_json j;
    j["title"] = e.title;
    j["pictures"] = e.confusion.total();
    j["accuracy"] = number(e.accuracy);
    j["balanced_accuracy"] = number(e.balanced_accuracy);
    j["log_loss"] = number(e.log_loss);
    for (size_t i = 0; i < e.classes.size(); ++i) {
      const ClassScores& c = e.classes[i];
      nlohmann::ordered_json row = {{"name", c.name}, {"pictures", c.support}, {"precision", number(c.precision)}, {"recall", number(c.recall)}, {"f1", number(c.f1)},
                                    {"auc", number(c.auc)}, {"average_precision", number(c.average_precision)}};
      for (size_t k = 0; k < e.classes.size(); ++k) row["predicted"][e.classes[k].name] = e.confusion.count(static_cast<int64_t>(i), static_cast<int64_t>(k));
      j["classes"].push_back(std::move(row));
    }
    all.push_back(std::move(j));
  }
  return all.dump(1) + "\n";
}

std::string predictions_csv(const Predictions& p, const Dataset& dataset, const Manifest& manifest, const std::vector<std::string>& classes) {
  std::vector<std::string> header = {"file", "label", "predicted", "correct"};
  for (const std::string& c : classes) header.push_back("p_" + c);
  header.push_back("patient");
  std::string text = format_csv_row(header);
  const std::vector<int32_t> predicted = argmax_rows(p.logits, p.classes);
  for (size_t i = 0; i < p.labels.size(); ++i) {
    const Sample& s = dataset.sample(p.samples[i]);
    std::vector<std::string> row = {s.file, classes[static_cast<size_t>(p.labels[i])], classes[static_cast<size_t>(predicted[i])], p.labels[i] == predicted[i] ? "1" : "0"};
    for (int64_t c = 0; c < p.classes; ++c) row.push_back(fixed(p.probabilities[i * static_cast<size_t>(p.classes) + static_cast<size_t>(c)], 9));
    row.push_back(manifest.rows[static_cast<size_t>(s.row)].patient);
    text += format_csv_row(row);
  }
  return text;
}

}  // namespace dura
