#include "apps/study/study.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/program/text_table.h"
#include "apps/program/program.h"
#include "apps/report/html.h"
#include "apps/report/svg.h"
#include "data/set/csv.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace dura {
namespace {

struct Column {
  const char *title, *key;
  int digits;
  double (*value)(const StudyRun&);
};
constexpr Column columns[] = {{"F1", "f1", 3, [](const StudyRun& r) { return r.f1; }},
                              {"recall", "recall", 3, [](const StudyRun& r) { return r.recall; }},
                              {"precision", "precision", 3, [](const StudyRun& r) { return r.precision; }},
                              {"gap", "gap", 3, [](const StudyRun& r) { return r.gap(); }},
                              {"s/epoch", "epoch_seconds", 1, [](const StudyRun& r) { return r.epoch_seconds; }},
                              {"peak MiB", "peak_memory_mib", 0, [](const StudyRun& r) { return r.peak_memory_mib; }}};

// "0.874 (0.861 to 0.880)"; a single run has no spread.
std::string figure_text(const StudyTableRow& row, const Column& column) {
  const StudyFigure f = study_figure(row.runs, column.value);
  std::string text = fixed(f.median, column.digits);
  if (row.runs.size() > 1) text += " (" + fixed(f.low, column.digits) + " to " + fixed(f.high, column.digits) + ")";
  return text;
}

std::string interval_text(const StudyTableRow& row) {
  if (row.runs.size() != 1 || !std::isfinite(row.runs[0].f1_low)) return "";
  return fixed(row.runs[0].f1_low) + " to " + fixed(row.runs[0].f1_high);
}

Table table_of(const StudyTable& study) {
  Table table = {{"row", "runs"}};
  for (const Column& c : columns) table[0].push_back(c.title);
  table[0].push_back("F1, 95 % interval");
  for (const StudyTableRow& r : study.rows) {
    std::vector<std::string>& row = table.emplace_back();
    row = {(table.size() == 2 ? "" : "+ ") + r.row.name, std::to_string(r.runs.size())};
    for (const Column& c : columns) row.push_back(r.runs.empty() ? "not run" : figure_text(r, c));
    row.push_back(interval_text(r));
  }
  return table;
}

std::string csv_of(const StudyTable& table) {
  std::vector<std::string> names = {"row", "run", "seed"};
  for (const Column& c : columns) names.push_back(c.key);
  for (const char* name : {"f1_low", "f1_high", "train_f1", "val_f1"}) names.push_back(name);
  std::string text = format_csv_row(names);
  for (const StudyTableRow& r : table.rows)
    for (const StudyRun& run : r.runs) {
      std::vector<std::string> row = {r.row.name, run.run, std::to_string(run.seed)};
      for (const Column& c : columns) row.push_back(fixed(c.value(run), 9));
      for (double v : {run.f1_low, run.f1_high, run.train_f1, run.val_f1}) row.push_back(fixed(v, 9));
      text += format_csv_row(row);
    }
  return text;
}

std::string json_of(const StudyTable& table) {
  nlohmann::ordered_json j = {{"dura", dura_version()},
                              {"rare_class", table.rare},
                              {"size", table.size},
                              {"phase1_epochs", table.phase1_epochs},
                              {"phase2_epochs", table.phase2_epochs},
                              {"rows", nlohmann::ordered_json::array()}};
  for (const StudyTableRow& r : table.rows) {
    nlohmann::ordered_json row = {{"name", r.row.name}, {"settings", r.row.settings}, {"runs", nlohmann::ordered_json::array()}};
    for (const StudyRun& run : r.runs) {
      nlohmann::ordered_json one = {{"run", run.run}, {"seed", run.seed}};
      for (const Column& c : columns) one[c.key] = c.value(run);
      one["f1_interval"] = {run.f1_low, run.f1_high};
      one["train_f1"] = run.train_f1, one["val_f1"] = run.val_f1;
      row["runs"].push_back(one);
    }
    for (const Column& c : columns) {
      const StudyFigure f = study_figure(r.runs, c.value);
      row[c.key] = {{"median", f.median}, {"low", f.low}, {"high", f.high}};
    }
    j["rows"].push_back(row);
  }
  return j.dump(1) + "\n";
}

// One bar per row that was run, with the spread over its runs, or the bootstrap interval where there is one run.
std::string bars(const StudyTable& table, const std::string& title, const Column& column, bool interval) {
  BarPlot plot{.title = title, .series = {{.name = column.title}}, .width = 760};
  BarSeries& bar = plot.series[0];
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const StudyTableRow& r = table.rows[i];
    if (r.runs.empty()) continue;
    const StudyFigure f = study_figure(r.runs, column.value);
    plot.groups.push_back(std::to_string(i));
    bar.values.push_back(std::max(f.median, 0.0));
    const bool single = r.runs.size() == 1;  // it has no spread
    bar.low.push_back(!single ? std::max(f.low, 0.0) : interval ? r.runs[0].f1_low : NAN);
    bar.high.push_back(!single ? std::max(f.high, 0.0) : interval ? r.runs[0].f1_high : NAN);
  }
  if (interval) plot.y_max = 1.0;
  return svg_bar_plot(plot);
}

void write_page(const std::filesystem::path& file, const StudyTable& table) {
  HtmlPage page("dura: what each measure brings");
  page.note(
      "This is a measurement on one data set. The models are for teaching and research: not medical devices, and nothing here is a "
      "diagnosis.");
  page.paragraph(
      concat("Each row adds one measure to the row above it; split, weights, picture size (", table.size, " pixels) and epochs (at most ",
             table.phase1_epochs, " + ", table.phase2_epochs, ") are the same. F1, recall and precision are those of ", table.rare,
             " on the untouched test set. The gap is F1 on training minus F1 on validation, without augmentation and dropout. "
             "With several runs: median (lowest to highest). "
             "Rows with early stopping end with the weights of the best epoch on validation, those before with the last epoch's. "
             "An interval says how sure a row's own figure is; whether two rows differ, dura-compare says: it compares them "
             "on the same pictures."));
  page.table(table_of(table), "Before and after");
  page.svg(bars(table, table.rare + " F1 by row", columns[0], true),
           "Rows by number, 0 is the baseline. Lines: the spread over runs, or the 95 % interval of a single run.");
  page.svg(bars(table, "Seconds per epoch by row", columns[4], false));
  page.svg(bars(table, "Peak memory by row, MiB", columns[5], false));
  page.section("What each row ran");
  Table rows = {{"row", "settings of dura-train", "runs"}};
  for (const StudyTableRow& r : table.rows) {
    std::vector<std::string> runs;
    for (const StudyRun& run : r.runs) runs.push_back(run.run);
    rows.push_back({r.row.name, settings_text(r.row.settings), joined(runs, ", ")});
  }
  page.table(rows);
  page.write(file);
}

}  // namespace

std::string study_text(const StudyTable& table) { return text_table(table_of(table), 0); }

void write_study(const std::filesystem::path& out, const StudyTable& table) {
  write_file_atomically(out / "study.csv", csv_of(table));
  write_file_atomically(out / "study.json", json_of(table));
  write_page(out / "study.html", table);
}

}  // namespace dura
