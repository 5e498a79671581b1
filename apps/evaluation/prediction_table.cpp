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

std::optional<size_t> find_column(const CsvTable& table, const std::string& column) {
  const auto it = std::find(table.header.begin(), table.header.end(), column);
  if (it == table.header.end()) return std::nullopt;
  return static_cast<size_t>(it - table.header.begin());
}

size_t required_column(const CsvTable& table, const std::string& column, const std::string& name) {
  const std::optional<size_t> found = find_column(table, column);
  DURA_CHECK(found, name, ": there is no column '", column, "'. Give a predictions_<split>.csv that dura-evaluate wrote.");
  return *found;
}

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

std::vector<double> PredictionTable::scores(size_t c) const {
  std::vector<double> column;
  for (size_t i = 0; i < rows.size(); ++i) column.push_back(probabilities[i * classes.size() + c]);
  return column;
}

std::vector<bool> PredictionTable::positives(size_t c) const {
  std::vector<bool> positive;
  for (const PredictionRow& r : rows) positive.push_back(r.label == static_cast<int32_t>(c));
  return positive;
}

std::vector<std::string> PredictionTable::units() const {
  std::vector<std::string> units;
  for (const PredictionRow& r : rows) units.push_back(r.unit);
  return units;
}

PredictionTable parse_predictions(const std::string& text, const std::string& name) {
  const CsvTable csv = parse_csv(text, name);
  PredictionTable table{.name = name, .classes = {}, .rows = {}, .probabilities = {}};
  const size_t file = required_column(csv, "file", name), label = required_column(csv, "label", name),
               predicted = required_column(csv, "predicted", name);
  const std::optional<size_t> patient = find_column(csv, "patient"), group = find_column(csv, "group"),
                              variant = find_column(csv, "variant");
  std::vector<size_t> probability;
  for (size_t c = 0; c < csv.header.size(); ++c)
    if (csv.header[c].starts_with("p_")) probability.push_back(c), table.classes.push_back(csv.header[c].substr(2));
  DURA_CHECK(table.classes.size() >= 2, name, ": ", table.classes.size(), " columns p_<class>, expected two at least");
  DURA_CHECK(!csv.rows.empty(), name, ": there are no rows, only the names of the columns");
  std::map<std::string, int64_t> line_of;
  for (const CsvRow& row : csv.rows) {
    const std::string where = concat(name, " line ", row.line);
    const auto field = [&](const std::optional<size_t>& column) { return column ? row.fields[*column] : std::string(); };
    PredictionRow r{.picture = row.fields[file],
                    .label = class_index(table.classes, row.fields[label], where),
                    .predicted = class_index(table.classes, row.fields[predicted], where),
                    .unit = {}};
    if (const std::string v = field(variant); !v.empty() && v != "0" && v != "untouched") r.picture += "#" + v;
    // Prefixes, because a patient's number may be another's group.
    r.unit = !field(patient).empty() ? "patient " + field(patient)
             : !field(group).empty() ? "group " + field(group)
                                     : "picture " + row.fields[file];
    table.patients += !field(patient).empty();
    const auto [it, fresh] = line_of.emplace(r.picture, row.line);
    DURA_CHECK(fresh, where, ": ", r.picture, " stands on line ", it->second, " already");
    for (const size_t c : probability) table.probabilities.push_back(parse_probability(row.fields[c], where));
    table.rows.push_back(std::move(r));
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
  for (size_t i = 0; i < b.rows.size(); ++i) place[b.rows[i].picture] = i;
  PredictionTable sorted{.name = b.name, .classes = b.classes, .rows = {}, .probabilities = {}, .patients = b.patients};
  for (const PredictionRow& row : a.rows) {
    const auto it = place.find(row.picture);
    if (it == place.end())
      fail_usage("different test sets: ", row.picture, " is in ", a.name, " (", a.rows.size(), " pictures), not in ", b.name, " (",
                 b.rows.size(), ")", advice);
    const PredictionRow& other = b.rows[it->second];
    if (other.label != row.label)
      fail_usage("different labels: ", row.picture, " is ", a.classes[static_cast<size_t>(row.label)], " in ", a.name, ", ",
                 b.classes[static_cast<size_t>(other.label)], " in ", b.name, advice);
    if (other.unit != row.unit)
      fail_usage("different patients: ", row.picture, " belongs to ", row.unit, " in ", a.name, ", to ", other.unit, " in ", b.name,
                 advice);
    sorted.rows.push_back(other);
    const double* p = b.probabilities.data() + it->second * b.classes.size();
    sorted.probabilities.insert(sorted.probabilities.end(), p, p + b.classes.size());
    place.erase(it);
  }
  if (!place.empty())
    fail_usage("different test sets: ", place.begin()->first, " is in ", b.name, " (", b.rows.size(), " pictures), not in ", a.name, " (",
               a.rows.size(), ")", advice);
  return sorted;
}

}  // namespace dura
