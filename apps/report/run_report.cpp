#include "apps/report/run_report.h"

#include <cmath>
#include <cstdlib>
#include <limits>

#include "apps/report/html.h"
#include "apps/report/svg.h"
#include "data/csv.h"
#include "engine/file.h"

namespace dura {
namespace {

constexpr uint64_t max_text_bytes = uint64_t{16} << 20;

std::string fixed(double v) {
  if (!std::isfinite(v)) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", v);
  return text;
}

double parse(const std::string& text) { return text == "NA" ? std::numeric_limits<double>::quiet_NaN() : std::strtod(text.c_str(), nullptr); }

// The columns of history.csv over all epochs, phases one after another.
class Curves {
 public:
  explicit Curves(const std::string& text) : table_(parse_csv(text, "history.csv")) {}

  bool empty() const { return table_.rows.empty(); }
  LineSeries series(const std::string& name, const std::string& column, bool dashed = false) const {
    LineSeries s{.name = name, .dashed = dashed};
    for (size_t c = 0; c < table_.header.size(); ++c) {
      if (table_.header[c] != column) continue;
      for (size_t r = 0; r < table_.rows.size(); ++r) s.x.push_back(static_cast<double>(r + 1)), s.y.push_back(parse(table_.rows[r].fields[c]));
    }
    return s;
  }
  std::vector<PlotMark> phases() const {
    std::vector<PlotMark> marks;
    for (size_t r = 0; r < table_.rows.size(); ++r)
      if (r == 0 || table_.rows[r].fields[0] != table_.rows[r - 1].fields[0]) marks.push_back({static_cast<double>(r + 1), table_.rows[r].fields[0]});
    return marks;
  }
  // Class names, from the columns val_f1_<class>.
  std::vector<std::string> classes() const {
    std::vector<std::string> names;
    for (const std::string& h : table_.header)
      if (h.rfind("val_f1_", 0) == 0) names.push_back(h.substr(7));
    return names;
  }

 private:
  CsvTable table_;
};

void add_training(HtmlPage& page, const std::filesystem::path& run) {
  if (!std::filesystem::exists(run / "history.csv")) return;
  const Curves curves(read_text_file(run / "history.csv", max_text_bytes));
  if (curves.empty()) return;
  page.section("Training");
  page.paragraph("Loss without class weights, so that training and validation can be compared. Training values are means over the epoch, while weights change and dropout is on.");
  page.svg(svg_line_plot({.title = "Loss", .x_label = "epoch", .y_label = "mean cross-entropy", .series = {curves.series("training", "train_loss"), curves.series("validation", "val_loss", true)},
                          .marks = curves.phases(), .whole_x = true, .y_min = 0.0}));
  LinePlot scores{.title = "Precision and recall on validation", .x_label = "epoch", .y_label = "", .series = {}, .marks = curves.phases(), .whole_x = true, .y_min = 0.0, .y_max = 1.0};
  for (const std::string& c : curves.classes()) {
    scores.series.push_back(curves.series(c + " precision", "val_precision_" + c));
    scores.series.push_back(curves.series(c + " recall", "val_recall_" + c, true));
  }
  if (curves.classes().size() <= 4) page.svg(svg_line_plot(scores));
}

void add_evaluation(HtmlPage& page, const Evaluation& e) {
  page.section("Result: " + e.title);
  page.paragraph(concat(e.confusion.total(), " pictures. Accuracy ", fixed(e.accuracy), ", balanced accuracy ", fixed(e.balanced_accuracy), ", log loss ", fixed(e.log_loss), "."));
  std::vector<std::vector<std::string>> rows;
  for (const ClassScores& c : e.classes)
    rows.push_back({c.name, std::to_string(c.support), fixed(c.precision), fixed(c.recall), fixed(c.f1), fixed(c.auc), fixed(c.average_precision)});
  page.table({"class", "pictures", "precision", "recall", "F1", "AUC", "average precision"}, rows, "Scores of each class");
  std::vector<std::string> header = {"true class"};
  rows.clear();
  for (size_t i = 0; i < e.classes.size(); ++i) {
    header.push_back("predicted " + e.classes[i].name);
    std::vector<std::string> row = {e.classes[i].name};
    for (size_t j = 0; j < e.classes.size(); ++j) row.push_back(std::to_string(e.confusion.count(static_cast<int64_t>(i), static_cast<int64_t>(j))));
    rows.push_back(std::move(row));
  }
  page.table(header, rows, "Confusion matrix");
}

}  // namespace

void write_run_report(const std::filesystem::path& file, const RunReport& r) {
  HtmlPage page("dura: report of a run");
  page.note("This model is for teaching and research. It is not a medical device, and nothing here is a diagnosis.");
  for (const Evaluation& e : r.evaluations) add_evaluation(page, e);
  add_training(page, r.run);
  page.section("What was run");
  page.table({"what", "value"}, {{"model, SHA-256", r.model_sha256}, {"manifest", r.manifest}, {"manifest, SHA-256", r.manifest_sha256}});
  if (!r.bad_images.empty()) {
    std::vector<std::vector<std::string>> rows;
    for (const BadImage& b : r.bad_images) rows.push_back({b.file, b.reason});
    page.table({"unreadable picture", "reason"}, rows, "Left out");
  }
  for (const char* name : {"run.json", "config.toml"})
    if (std::filesystem::exists(r.run / name)) {
      page.paragraph(name);
      page.preformatted(read_text_file(r.run / name, max_text_bytes));
    }
  page.write(file);
}

}  // namespace dura
