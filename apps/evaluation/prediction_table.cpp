#include "apps/evaluation/prediction_table.h"

#include <algorithm>
#include <map>
#include <optional>

#include "data/set/csv.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace dura {
namespace {

constexpr uint64_t max_bytes = uint64_t{256} << 20;

int32_t class_index(const std::vector<std::string>& classes, const std::string& label, const std::string& where) {
  const auto it = std::find(classes.begin(), classes.end(), label);
  DURA_CHECK(it != classes.end(), where, ": '", label, "' is none of the classes that have a column p_<class>");
  return static_cast<int32_t>(it - classes.begin());
}

double parse_probability(const std::string& text, const std::string& where) {
  const double value = parse_number(text).value_or(-1);
  DURA_CHECK(value >= 0 && value <= 1, where, ": a probability is '", text,
             "', expected a number from 0 to 1. A '-' is what a diverged model answers.");
  return value;
}

}  // namespace

PredictionTable parse_predictions(const std::string& text, const std::string& name) {
  const CsvTable csv = parse_csv(text, name);
  PredictionTable table;
  table.name = name;
  const auto required = [&](const char* column) { return csv.column(column, "Give a predictions_<split>.csv that dura-evaluate wrote."); };
  const size_t file = required("file"), label = required("label"), predicted = required("predicted");
  const std::optional<size_t> patient = csv.find("patient"), group = csv.find("group"), variant = csv.find("variant");
  std::vector<size_t> probability;
  for (size_t c = 0; c < csv.header.size(); ++c)
    if (csv.header[c].starts_with("p_")) probability.push_back(c), table.classes.push_back(csv.header[c].substr(2));
  DURA_CHECK(table.classes.size() >= 2, name, ": ", table.classes.size(), " columns p_<class>, expected two at least");
  DURA_CHECK(!csv.rows.empty(), name, ": there are no rows, only the names of the columns");
  std::map<std::string, int64_t> line_of;
  for (const CsvRow& row : csv.rows) {
    const std::string where = concat(name, " line ", row.line);
    const auto field = [&](const std::optional<size_t>& column) { return column ? row.fields[*column] : std::string(); };
    table.labels.push_back(class_index(table.classes, row.fields[label], where));
    table.decided.push_back(class_index(table.classes, row.fields[predicted], where));
    std::string picture = row.fields[file];
    if (const std::string v = field(variant); !v.empty() && v != "0" && v != "untouched") picture += "#" + v;
    // Prefixes, because a patient's number may be another's group.
    table.units.push_back(!field(patient).empty() ? "patient " + field(patient)
                          : !field(group).empty() ? "group " + field(group)
                                                  : "picture " + row.fields[file]);
    table.patients += !field(patient).empty();
    const auto [it, fresh] = line_of.emplace(picture, row.line);
    DURA_CHECK(fresh, where, ": ", picture, " stands on line ", it->second, " already");
    for (const size_t c : probability) table.probabilities.push_back(parse_probability(row.fields[c], where));
    table.pictures.push_back(std::move(picture));
  }
  return table;
}

PredictionTable read_predictions(const std::string& file) { return parse_predictions(read_text_file(file, max_bytes), file); }

PredictionTable matched_to(const PredictionTable& a, const PredictionTable& b) {
  const char* advice = ". Runs can be compared on the same test set only: evaluate both with the same manifest and split.";
  if (a.classes != b.classes)
    fail_usage(a.name, " has the classes ", joined(a.classes, ", "), ", ", b.name, " has ", joined(b.classes, ", "), " (order counts)",
               advice);
  std::map<std::string, size_t> place;
  for (size_t k = 0; k < b.rows(); ++k) place[b.pictures[k]] = k;
  const auto missing = [&](const std::string& picture, const PredictionTable& in, const PredictionTable& not_in) {
    fail_usage("different test sets: ", picture, " is in ", in.name, " (", in.rows(), " pictures), not in ", not_in.name, " (",
               not_in.rows(), ")", advice);
  };
  PredictionTable sorted = a;
  sorted.name = b.name, sorted.patients = b.patients;
  for (size_t i = 0; i < a.rows(); ++i) {
    const std::string& picture = a.pictures[i];
    const auto it = place.find(picture);
    if (it == place.end()) missing(picture, a, b);
    const size_t k = it->second;
    if (b.labels[k] != a.labels[i])
      fail_usage("different labels: ", picture, " is ", a.classes[static_cast<size_t>(a.labels[i])], " in ", a.name, ", ",
                 b.classes[static_cast<size_t>(b.labels[k])], " in ", b.name, advice);
    if (b.units[k] != a.units[i])
      fail_usage("different patients: ", picture, " belongs to ", a.units[i], " in ", a.name, ", to ", b.units[k], " in ", b.name, advice);
    sorted.decided[i] = b.decided[k];
    const size_t classes = b.classes.size();
    std::copy_n(b.probabilities.begin() + static_cast<std::ptrdiff_t>(k * classes), classes,
                sorted.probabilities.begin() + static_cast<std::ptrdiff_t>(i * classes));
    place.erase(it);
  }
  if (!place.empty()) missing(place.begin()->first, b, a);
  return sorted;
}

}  // namespace dura
