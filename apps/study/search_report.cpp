#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/program/program.h"
#include "apps/program/text_table.h"
#include "apps/report/html.h"
#include "apps/report/svg.h"
#include "apps/study/search.h"
#include "data/set/csv.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace dura {
namespace {

std::string state_of(const SearchRow& row, int64_t folds) {
  if (!row.failure.empty()) return "failed";
  if (row.left_out) return "left out after fold 1";
  return std::ssize(row.folds) == folds ? "" : "not finished";
}

Table table_of(const SearchTable& search) {
  Table table = {{"setting", "folds", "F1, mean less one standard error", "mean F1", "standard error", "mean AUC", "hours", ""}};
  for (const size_t i : search.order()) {
    const SearchRow& r = search.rows[i];
    const bool several = r.folds.size() > 1;
    table.push_back({r.name, std::to_string(r.folds.size()), several ? fixed(r.score()) : "-", fixed(r.mean_f1()),
                     several ? fixed(r.standard_error()) : "-", fixed(r.mean_auc()), fixed(r.hours(), 2), state_of(r, search.folds)});
  }
  return table;
}

double all_hours(const SearchTable& search) {
  double hours = 0;
  for (const SearchRow& r : search.rows) hours += r.hours();
  return hours;
}

std::string conclusion(const SearchTable& search) {
  const SearchRow* best = search.best();
  return concat(
      best ? concat("Best by mean F1 of ", search.rare, " over ", search.folds, " folds less one standard error: ", best->name, ".")
           : std::string("No setting has been through all folds yet."),
      " Training took ", fixed(all_hours(search), 2), " hours. The manifest's test pictures took no part.");
}

std::string csv_of(const SearchTable& search) {
  std::string text = format_csv_row({"setting", "fold", "f1", "auc", "seconds"});
  for (const SearchRow& r : search.rows)
    for (size_t f = 0; f < r.folds.size(); ++f)
      text +=
          format_csv_row({r.name, std::to_string(f + 1), fixed(r.folds[f].f1, 9), fixed(r.folds[f].auc, 9), fixed(r.folds[f].seconds, 1)});
  return text;
}

std::string json_of(const SearchTable& search) {
  const SearchRow* best = search.best();
  nlohmann::ordered_json j = {{"format", "dura search 1"},
                              {"dura", dura_version()},
                              {"rare_class", search.rare},
                              {"folds", search.folds},
                              {"best", best ? nlohmann::ordered_json(best->name) : nullptr},
                              {"hours", all_hours(search)},
                              {"settings", nlohmann::ordered_json::array()}};
  for (const SearchRow& r : search.rows) {
    nlohmann::ordered_json row = {
        {"name", r.name},           {"changes", r.changes},   {"mean_f1", r.mean_f1()}, {"standard_error", r.standard_error()},
        {"mean_auc", r.mean_auc()}, {"left_out", r.left_out}, {"failure", r.failure},   {"folds", nlohmann::ordered_json::array()}};
    for (const FoldResult& f : r.folds) row["folds"].push_back({{"f1", f.f1}, {"auc", f.auc}, {"seconds", f.seconds}});
    j["settings"].push_back(row);
  }
  return j.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void write_page(const std::filesystem::path& file, const SearchTable& search) {
  HtmlPage page("dura: a search over settings");
  page.paragraph(concat("Each setting was trained and scored in ", search.folds, " folds that no patient divides: F1 of ", search.rare,
                        " on pictures of patients that neither training nor "
                        "validation saw, with the threshold that validation chose. ",
                        conclusion(search)));
  page.table(table_of(search), "Settings, the best first");
  BarPlot plot{.title = "F1 of " + search.rare, .series = {{.name = "mean over folds"}}, .y_max = 1.0, .width = 760};
  for (const size_t i : search.order()) {
    const SearchRow& r = search.rows[i];
    if (r.folds.empty()) continue;
    plot.groups.push_back(r.name);
    plot.series[0].values.push_back(r.mean_f1());
    plot.series[0].low.push_back(std::max(0.0, r.mean_f1() - r.standard_error()));
    plot.series[0].high.push_back(r.mean_f1() + r.standard_error());
  }
  if (!plot.groups.empty()) page.svg(svg_bar_plot(plot), "Lines: one standard error to either side.");
  page.section("What each setting changes");
  Table changes = {{"setting", "changes", "failure"}};
  for (const SearchRow& r : search.rows) changes.push_back({r.name, settings_text(r.changes), r.failure});
  page.table(changes);
  page.write(file);
}

}  // namespace

std::string search_text(const SearchTable& search) { return text_table(table_of(search), 0) + conclusion(search) + "\n"; }

void write_search(const std::filesystem::path& out, const SearchTable& search) {
  write_file_atomically(out / "search.csv", csv_of(search));
  write_file_atomically(out / "search.json", json_of(search));
  write_page(out / "search.html", search);
}

}  // namespace dura
