#include "apps/report/run_report.h"

#include <algorithm>
#include <cmath>

#include "apps/program/json_values.h"
#include "apps/report/svg.h"
#include "data/set/csv.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace dura {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t max_text_bytes = uint64_t{16} << 20;

void add_provenance(HtmlPage& page, const fs::path& run) {
  page.section("What was run");
  if (fs::exists(run / "run.json")) {
    const std::string file = (run / "run.json").string();
    Table rows = {{"what", "value"}};
    try {
      const nlohmann::ordered_json facts = nlohmann::ordered_json::parse(read_text_file(file, max_text_bytes));
      for (const auto& [key, value] : facts.items()) rows.push_back({key, value.is_string() ? value.get<std::string>() : value.dump()});
    } catch (const nlohmann::json::exception& e) {
      fail(file, " is damaged: ", e.what());
    }
    page.table(rows);
  }
  if (fs::exists(run / "config.toml")) {
    page.paragraph(
        "The configuration, defaults included. To run it again: save it as config.toml, and dura-train --config config.toml --out "
        "ANOTHER_FOLDER.");
    page.preformatted(read_text_file(run / "config.toml", max_text_bytes));
  }
}

void add_limits(HtmlPage& page) {
  page.section("Limits");
  page.paragraph(
      "The network chooses between the classes that it was trained on, and nothing else: a picture without a tumour, of another kind, "
      "sequence, scanner or body part gets one of these "
      "names too. Figures hold for pictures like those of the test set. A heat map shows where evidence was found at the coarseness of a "
      "stage of the network; it is no segmentation, and a "
      "map that lies on the tumour does not prove that the answer is right.");
}

double parse(const std::string& text) { return parse_number(text).value_or(NAN); }  // "NA": not known

class Curves {
 public:
  explicit Curves(CsvTable table) : table_(std::move(table)) {}

  std::vector<std::string> phases() const {
    std::vector<std::string> names;
    for (const CsvRow& row : table_.rows)
      if (names.empty() || names.back() != row.fields[0]) names.push_back(row.fields[0]);
    return names;
  }
  // Class names, from the columns val_f1_<class>.
  std::vector<std::string> classes() const {
    std::vector<std::string> names;
    for (const std::string& h : table_.header)
      if (h.starts_with("val_f1_")) names.push_back(h.substr(7));
    return names;
  }
  LineSeries series(const std::string& phase, const std::string& name, const std::string& column, bool dashed = false) const {
    LineSeries s{.name = name, .dashed = dashed};
    const std::optional<size_t> c = table_.find(column);
    for (const CsvRow& row : table_.rows)
      if (c && row.fields[0] == phase) s.x.push_back(static_cast<double>(s.x.size() + 1)), s.y.push_back(parse(row.fields[*c]));
    return s;
  }
  bool has(const std::string& column) const { return table_.find(column).has_value(); }
  // Of the last epoch.
  double last(const std::string& column) const { return parse(table_.rows.back().fields[table_.column(column, "Train again.")]); }

 private:
  CsvTable table_;
};

}  // namespace

// How training went: what phase 1 is watched by, precision and recall, and what phase 2 is stopped by, the losses.
void add_training(HtmlPage& page, const std::filesystem::path& history) {
  if (!std::filesystem::exists(history)) return;
  const Curves curves(read_csv(history));
  if (curves.phases().empty()) return;
  page.section("Training");
  page.paragraph(
      "Losses are without class weights, so that training and validation can be compared. Training values are means over the epoch, while "
      "weights change and dropout is on.");
  for (const std::string& phase : curves.phases()) {
    const auto plot = [&](const std::string& title, const std::string& y_label, const std::vector<LineSeries>& series) {
      return LinePlot{.title = phase + ": " + title,
                      .x_label = "epoch",
                      .y_label = y_label,
                      .series = series,
                      .whole_x = true,
                      .y_min = 0.0,
                      .width = 500};
    };
    std::vector<std::string> plots;
    LinePlot scores = plot("precision and recall on validation", "", {});
    scores.y_max = 1.0;
    for (const std::string& c : curves.classes()) {
      scores.series.push_back(curves.series(phase, c + " precision", "val_precision_" + c));
      scores.series.push_back(curves.series(phase, c + " recall", "val_recall_" + c, true));
    }
    if (curves.classes().size() <= 4) plots.push_back(svg_line_plot(scores));
    plots.push_back(
        svg_line_plot(plot("loss", "mean cross-entropy",
                           {curves.series(phase, "training", "train_loss"), curves.series(phase, "validation", "val_loss", true)})));
    if (curves.has("val_hit")) {
      LinePlot looks = plot("where the network looks", "",
                            {curves.series(phase, "validation: peak in the lesion", "val_hit", true),
                             curves.series(phase, "validation: energy in the lesion", "val_energy"),
                             curves.series(phase, "training: evidence outside of it", "guide_loss")});
      looks.y_max = 1.0;
      plots.push_back(svg_line_plot(looks));
    }
    const LineSeries rate = curves.series(phase, "of the epoch's last step", "learning_rate");
    const bool constant = std::all_of(rate.y.begin(), rate.y.end(), [&](double r) { return r == rate.y.front(); });
    if (!constant) plots.push_back(svg_line_plot(plot("learning rate", "", {rate})));
    page.svg_row(plots);
    if (constant && !rate.y.empty()) page.paragraph(concat("Learning rate of ", phase, ": ", rate.y.front(), " throughout."));
  }
  page.paragraph(concat("Peak memory of training: ", std::llround(curves.last("peak_memory_mib")),
                        " MiB. Steps skipped because a gradient was not finite: ", std::llround(curves.last("skipped_steps")), "."));
}

void write_run_report(const fs::path& file, const fs::path& run, const fs::path& preparation) {
  HtmlPage page("dura: report of a run");
  page.note("This model is for teaching and research. It is not a medical device, and nothing here is a diagnosis.");
  for (const char* split : {"test", "val", "train"}) add_evaluation(page, run / concat("evaluation_", split, ".json"));
  add_heat_maps(page, run / "heat_maps");
  add_training(page, run / "history.csv");
  add_data(page, preparation.empty() ? run / "prepare.json" : preparation);
  add_limits(page);
  add_provenance(page, run);
  page.write(file);
}

}  // namespace dura
