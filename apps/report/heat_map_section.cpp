// Where the network looked, from dura-gradcam's folder: how its maps compare with what needs no network, and pictures from the most certain
// mistakes to the most certain right answers.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "apps/program/decimals.h"
#include "apps/program/json_values.h"
#include "apps/report/sections.h"
#include "apps/report/svg.h"
#include "data/set/csv.h"
#include "data/image/codec.h"
#include "engine/base/file.h"

namespace dura {
namespace {

using Json = nlohmann::json;
constexpr uint64_t max_bytes = uint64_t{64} << 20;

std::string percent(const Json& j) {
  if (!j.is_number()) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * j.get<double>());
  return text;
}

std::string power_text(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1g", v);
  return text;
}

void add_scores(HtmlPage& page, const Json& maps) {
  constexpr std::pair<const char*, const char*> rows[] = {{"network", "this network"},
                                                          {"brightest", "brightest smoothed point"},
                                                          {"brain_centre", "centre of the brain"},
                                                          {"random_point", "any point of the brain"},
                                                          {"random_weights", "the network with random weights"}};
  for (const Json& group : maps.at("groups")) {
    if (group.at("group") != "all") continue;
    std::vector<std::vector<std::string>> cells;
    for (const auto& [key, name] : rows) {
      const Json& s = group.at("scores").at(key);
      if (s.at("pointing").is_null()) continue;  // nobody measured it
      cells.push_back({name, percent(s.at("pointing")), percent(s.at("energy")), percent(s.at("iou_half")), percent(s.at("iou_otsu"))});
    }
    page.table({"what points", "peak in the lesion", "energy in the lesion", "overlap above half", "overlap above Otsu"}, cells,
               concat("Means over ", group.at("pictures").get<int64_t>(), " pictures with a lesion's mask, misclassified ones included"));
    page.paragraph(concat("The chance of so many hits by random points: ", power_text(number(group.at("p_value"))),
                          ". A network that points no better than the brightest point may know the lesion only as a bright spot."));
  }
}

// Maps of a network whose weights are made random stage by stage must lose their likeness: if not, they show the picture, not the network
// (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018).
void add_sanity(HtmlPage& page, const Json& maps) {
  if (!maps.contains("sanity")) return;
  std::vector<std::vector<std::string>> rows;
  for (const Json& step : maps.at("sanity"))
    rows.push_back({step.at("randomised"), fixed(number(step.at("rank_correlation"))), fixed(number(step.at("ssim"))),
                    std::to_string(step.at("maps").get<int64_t>())});
  page.table({"random from the head down to", "rank correlation", "structural similarity", "maps"}, rows,
             "Likeness to the trained network's maps; it should fall");
}

void add_deletion(HtmlPage& page, const Json& maps) {
  if (!maps.contains("deletion")) return;
  const Json& d = maps.at("deletion");
  LinePlot plot{.title = "Probability while the hottest pixels go, or come",
                .x_label = "share of the pixels",
                .y_label = "probability",
                .series = {},
                .y_min = 0.0,
                .y_max = 1.0};
  for (const char* key : {"deletion", "random_deletion", "insertion", "random_insertion"}) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', ' ');
    plot.series.push_back(
        {.name = name, .x = numbers(d.at("share")), .y = numbers(d.at(key).at("probability")), .dashed = name.rfind("random", 0) == 0});
  }
  page.svg(
      svg_line_plot(plot),
      concat("Means over ", d.at("pictures").get<int64_t>(),
             " pictures. A map that names what the network used lets the probability fall faster, and rise faster, than a random order."));
}

struct Entry {
  std::string file, label, predicted;
  double probability = 0;
  std::string caption() const {
    char text[64];
    std::snprintf(text, sizeof text, "%s %.3f", predicted.c_str(), probability);
    return std::string(text) + (label.empty() ? "" : label == predicted ? ", right" : ", wrong: is " + label) + " - " + file;
  }
};

std::vector<Entry> read_entries(const std::filesystem::path& file) {
  const CsvTable table = parse_csv(read_text_file(file, max_bytes), file.string());
  const auto column = [&](const char* name) {
    const auto found = std::find(table.header.begin(), table.header.end(), name);
    DURA_CHECK(found != table.header.end(), file.string(), " has no column '", name, "'. Run dura-gradcam again.");
    return static_cast<size_t>(found - table.header.begin());
  };
  const size_t name = column("file"), label = column("label"), predicted = column("predicted"), probability = column("probability");
  std::vector<Entry> entries;
  for (const CsvRow& row : table.rows)
    entries.push_back({row.fields[name], row.fields[label], row.fields[predicted], std::strtod(row.fields[probability].c_str(), nullptr)});
  // Most certain first; equal ones by name, so that the page is the same every time.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.file < b.file;
  });
  return entries;
}

void add_pictures(HtmlPage& page, const std::filesystem::path& folder, const std::string& title, const std::vector<Entry>& entries,
                  size_t most) {
  std::vector<HtmlPicture> pictures;
  for (size_t i = 0; i < std::min(most, entries.size()); ++i) {
    std::string name = entries[i].file + ".png";
    std::replace(name.begin(), name.end(), '/', '_');
    if (std::filesystem::exists(folder / name))
      pictures.push_back({.image = read_image((folder / name).string()), .caption = entries[i].caption()});
  }
  if (pictures.empty()) return;
  page.paragraph(title);
  page.gallery(pictures);
}

}  // namespace

void add_heat_maps(HtmlPage& page, const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "heat_maps.json";
  if (!std::filesystem::exists(file)) return;
  try {
    const Json maps = Json::parse(read_text_file(file, max_bytes));
    page.section("Where the network looked");
    page.paragraph(concat("Heat maps (", maps.at("method").get<std::string>(), ", ", maps.at("stage").get<std::string>(), ") of ",
                          maps.at("maps").get<int64_t>(), " pictures; red is where the network looked most. ",
                          maps.at("without_evidence").get<int64_t>(), " maps show no positive evidence."));
    add_scores(page, maps);
    add_sanity(page, maps);
    add_deletion(page, maps);
  } catch (const Json::exception& e) {
    fail(file.string(), " is not what dura-gradcam writes: ", e.what(), ". Run dura-gradcam again.");
  }
  std::vector<Entry> right, wrong;
  for (const Entry& e : read_entries(folder / "heat_maps.csv")) (e.label == e.predicted ? right : wrong).push_back(e);
  add_pictures(page, folder, "Wrong, the most certain first:", wrong, 12);
  add_pictures(page, folder, "Right, the most certain first:", right, 6);
  std::reverse(right.begin(), right.end());
  add_pictures(page, folder, "Right, the least certain first:", right, 6);
}

}  // namespace dura
