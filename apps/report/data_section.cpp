// What the network was fed, from prepare.json: the classes in each split, copies, columns that give the class away, and what simple
// statistics of the pictures reach without a network.
#include "apps/program/text_table.h"
#include "apps/program/json_values.h"
#include "apps/report/run_report.h"
#include "apps/report/svg.h"
#include "data/image/codec.h"
#include "engine/base/file.h"

namespace dura {
namespace {

using Json = nlohmann::json;

constexpr const char* splits[] = {"train", "val", "test"};

void add_classes(HtmlPage& page, const Json& data) {
  Table table = {{"class", "train", "validation", "test", "lesion, mm"}};
  for (const Json& c : data.at("classes")) {
    std::vector<std::string> row = {c.at("name")};
    for (const char* split : splits) {
      const Json& counts = c.at("splits").at(split);
      row.push_back(concat(counts.at("slices"), " (", counts.at("patients"), ")"));
    }
    const Json& mm = c.at("lesion_mm");
    row.push_back(
        mm.at("count") == 0 ? "-" : concat(fixed(mm.at("median"), 1), " (", fixed(mm.at("min"), 1), " to ", fixed(mm.at("max"), 1), ")"));
    table.push_back(row);
  }
  page.table(table, "Slices (patients) of each class; lesions: median diameter of the circle of the same area (smallest to largest)");
}

// Original against balanced: what class weights and augmented copies make of the same slices.
void add_balance(HtmlPage& page, const Json& data) {
  if (!data.contains("class_balance")) return;
  BarPlot plot{.title = "Classes, original and balanced", .y_label = "share", .y_max = 1.0};
  for (const Json& name : data.at("class_names")) plot.series.push_back({.name = name});
  for (const Json& balance : data.at("class_balance")) {
    plot.groups.push_back(balance.at("name"));
    const std::vector<double> shares = numbers(balance.at("shares"));
    for (size_t c = 0; c < std::min(shares.size(), plot.series.size()); ++c) plot.series[c].values.push_back(shares[c]);
  }
  page.svg(svg_bar_plot(plot));
}

void add_copies(HtmlPage& page, const Json& data, const std::filesystem::path& sheet) {
  int64_t divided = 0;
  for (const Json& pair : data.at("similar")) divided += pair.at("divided").get<bool>();
  page.paragraph(
      concat("Pictures stored more than once, byte for byte: ", data.at("copies").size(),
             ". Pairs that show the same picture mirrored, turned, slightly rotated or with other brightness: ", data.at("similar").size(),
             ", ", divided, " of them in two splits. Files that could not be used: ", data.at("bad").size(), "."));
  if (!data.at("similar").empty() && std::filesystem::exists(sheet))
    page.gallery({{read_image(sheet.string()),
                   "Pairs that show the same picture, the least alike first; right: the second laid upon the first. Are they copies?"}});
  if (data.contains("leaks"))
    for (const Json& leak : data.at("leaks")) page.note("Leak: " + leak.get<std::string>() + ". Scores are too good.");
}

void add_shortcuts(HtmlPage& page, const Json& data) {
  if (data.contains("shortcuts")) {
    Table table = {{"column", "train", "validation", "test", ""}};
    for (const Json& column : data.at("shortcuts").at("tables")) {
      std::vector<std::string> row = {column.at("column")};
      for (const char* split : splits) row.push_back(fixed(column.at("balanced_accuracy").value(split, Json())));
      row.push_back(column.at("gives_class_away").get<bool>() ? "gives the class away" : "");
      table.push_back(row);
    }
    page.table(table,
               "Shortcuts: balanced accuracy of guessing the class from one column of the manifest alone (1 over the number of classes: "
               "nothing to guess from)");
  }
  if (!data.contains("control") || !data.at("control").is_object()) return;
  Table table = {{"split", "slices", "balanced accuracy", "AUC", "F1"}};
  for (const Json& s : data.at("control").at("scores"))
    table.push_back({s.at("split"), concat(s.at("slices")), fixed(s.at("balanced_accuracy")), fixed(s.at("auc")), fixed(s.at("f1"))});
  page.table(table,
             "Control: a logistic regression on twenty simple statistics of the picture. What the network scores above this is what it can "
             "have learnt from the lesion");
}

}  // namespace

void add_data(HtmlPage& page, const std::filesystem::path& file) {
  with_json(file, "dura-prepare --report", [&](const Json& data) {
    page.section("Data");
    add_classes(page, data);
    add_balance(page, data);
    add_copies(page, data, file.parent_path() / "copies.png");
    add_shortcuts(page, data);
  });
}

}  // namespace dura
