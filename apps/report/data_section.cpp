// What the network was fed, from prepare.json: the classes in each split, copies, columns that give the class away, and what simple
// statistics of the pictures reach without a network.
#include "apps/program/decimals.h"
#include "apps/program/json_values.h"
#include "apps/report/sections.h"
#include "apps/report/svg.h"
#include "data/image/codec.h"
#include "engine/base/file.h"

namespace dura {
namespace {

using Json = nlohmann::json;

std::string whole(const Json& j) { return std::to_string(j.get<int64_t>()); }

void add_classes(HtmlPage& page, const Json& data) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& c : data.at("classes")) {
    std::vector<std::string> row = {c.at("name")};
    for (const char* split : {"train", "val", "test"})
      row.push_back(whole(c.at("splits").at(split).at("slices")) + " (" + whole(c.at("splits").at(split).at("patients")) + ")");
    const Json& lesions = c.at("lesion_mm");
    row.push_back(lesions.at("count").get<int64_t>() == 0
                      ? "-"
                      : fixed(number(lesions.at("median")), 1) + " (" + fixed(number(lesions.at("min")), 1) + " to " +
                            fixed(number(lesions.at("max")), 1) + ")");
    rows.push_back(row);
  }
  page.table({"class", "train", "validation", "test", "lesion, mm"}, rows,
             "Slices (patients) of each class; lesions: median diameter of the circle of the same area (smallest to largest)");
}

// Original against balanced: what class weights and augmented copies make of the same slices.
void add_balance(HtmlPage& page, const Json& data) {
  if (!data.contains("class_balance")) return;
  BarPlot plot{.title = "Classes, original and balanced", .y_label = "share", .groups = {}, .series = {}, .y_max = 1.0};
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
    std::vector<std::vector<std::string>> rows;
    for (const Json& table : data.at("shortcuts").at("tables")) {
      std::vector<std::string> row = {table.at("column")};
      for (const char* split : {"train", "val", "test"})
        row.push_back(fixed(table.at("balanced_accuracy").contains(split) ? number(table.at("balanced_accuracy").at(split)) : NAN));
      row.push_back(table.at("gives_class_away").get<bool>() ? "gives the class away" : "");
      rows.push_back(row);
    }
    if (!rows.empty())
      page.table({"column", "train", "validation", "test", ""}, rows,
                 "Shortcuts: balanced accuracy of guessing the class from one column of the manifest alone (1 over the number of classes: "
                 "nothing to guess from)");
  }
  if (!data.contains("control") || !data.at("control").is_object()) return;
  std::vector<std::vector<std::string>> rows;
  for (const Json& s : data.at("control").at("scores"))
    rows.push_back({s.at("split"), whole(s.at("slices")), fixed(number(s.at("balanced_accuracy"))), fixed(number(s.at("auc"))),
                    fixed(number(s.at("f1")))});
  page.table({"split", "slices", "balanced accuracy", "AUC", "F1"}, rows,
             "Control: a logistic regression on twenty simple statistics of the picture. What the network scores above this is what it can "
             "have learnt from the lesion");
}

}  // namespace

void add_data(HtmlPage& page, const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return;
  try {
    const Json data = Json::parse(read_text_file(file, uint64_t{64} << 20));
    page.section("Data");
    add_classes(page, data);
    add_balance(page, data);
    add_copies(page, data, file.parent_path() / "copies.png");
    add_shortcuts(page, data);
  } catch (const Json::exception& e) {
    fail(file.string(), " is not what dura-prepare writes: ", e.what(), ". Run dura-prepare --report again.");
  }
}

}  // namespace dura
