// Where the network looked, from dura-gradcam's folder: how its maps compare with what needs no network, and pictures from the most certain
// mistakes to the most certain right answers.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/program/json_values.h"
#include "apps/report/run_report.h"
#include "apps/report/svg.h"
#include "data/set/csv.h"
#include "data/image/codec.h"
#include "engine/base/text.h"

namespace dura {
namespace {

using Json = nlohmann::json;

std::string percent(const Json& j) { return j.is_number() ? printed("%.1f %%", 100 * j.get<double>()) : "-"; }

void add_scores(HtmlPage& page, const Json& maps) {
  constexpr std::pair<const char*, const char*> names[] = {{"network", "this network"},
                                                           {"brightest", "brightest smoothed point"},
                                                           {"brain_centre", "centre of the brain"},
                                                           {"random_point", "any point of the brain"},
                                                           {"random_weights", "the network with random weights"},
                                                           {"best_cell", "the best single cell of such a map, chosen knowing the lesion"}};
  for (const Json& group : maps.at("groups")) {
    if (group.at("group") != "all") continue;
    Table table = {{"what points", "peak in the lesion", "energy in the lesion", "overlap above half", "overlap above Otsu"}};
    for (const auto& [key, name] : names) {
      const Json& s = group.at("scores").at(key);
      if (s.at("pointing").is_null()) continue;  // nobody measured it
      table.push_back({name, percent(s.at("pointing")), percent(s.at("energy")), percent(s.at("iou_half")), percent(s.at("iou_otsu"))});
    }
    page.table(table, concat("Means over ", group.at("pictures"), " pictures with a lesion's mask, misclassified ones included"));
    page.paragraph(concat("The chance of so many hits by random points: ", printed("%.1g", number(group.at("p_value"))),
                          ". A network that points no better than the brightest point may know the lesion only as a bright spot."));
  }
}

// Maps of a network whose weights are made random stage by stage must lose their likeness: if not, they show the picture, not the network
// (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018).
void add_sanity(HtmlPage& page, const Json& maps) {
  Table table = {{"random from the head down to", "rank correlation", "structural similarity", "maps"}};
  for (const Json& step : maps.value("sanity", Json::array()))
    table.push_back({step.at("randomised"), fixed(step.at("rank_correlation")), fixed(step.at("ssim")), concat(step.at("maps"))});
  page.table(table, "Likeness to the trained network's maps; it should fall");
}

void add_deletion(HtmlPage& page, const Json& maps) {
  if (!maps.contains("deletion")) return;
  const Json& d = maps.at("deletion");
  LinePlot plot{.title = "Probability while the hottest pixels go, or come",
                .x_label = "share of the pixels",
                .y_label = "probability",
                .y_min = 0.0,
                .y_max = 1.0};
  for (const char* key : {"deletion", "random_deletion", "insertion", "random_insertion"}) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', ' ');
    plot.series.push_back(
        {.name = name, .x = numbers(d.at("share")), .y = numbers(d.at(key).at("probability")), .dashed = name.starts_with("random")});
  }
  page.svg(
      svg_line_plot(plot),
      concat("Means over ", d.at("pictures"),
             " pictures. A map that names what the network used lets the probability fall faster, and rise faster, than a random order."));
}

// dura-gradcam --audit
void add_audit(HtmlPage& page, const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return;
  with_json(file, "dura-gradcam --audit", [&](const Json& audit) {
    if (audit.at("slices") == 0) return;
    page.paragraph(audit.at("verdict").get<std::string>());
    const auto text = [](const Json& s) {
      return concat(fixed(s.at("value")), " (", fixed(s.at("low")), " to ", fixed(s.at("high")), ")");
    };
    const bool compared = audit.at("measures").at(0).contains("difference");
    Table table = {{"measure", "mean and 95 % interval over patients"}};
    if (compared) table[0].push_back("less the other network's");
    for (const Json& m : audit.at("measures")) {
      table.push_back({m.at("name").get<std::string>(), text(m.at("mean"))});
      if (compared) table.back().push_back(text(m.at("difference")));
    }
    page.table(table, concat("What the answer needs, on ", audit.at("slices"),
                             " slices with a lesion. A map "
                             "can be trained to lie on a lesion; the falls of the probability cannot."));
  });
}

struct Entry {
  std::string file, label, predicted;
  double probability = 0;
  std::string caption() const {
    const std::string answer = label.empty() ? "" : label == predicted ? ", right" : ", wrong: is " + label;
    return concat(predicted, " ", fixed(probability), answer, " - ", file);
  }
};

std::vector<Entry> read_entries(const std::filesystem::path& file) {
  const CsvTable table = read_csv(file);
  const auto column = [&](const char* name) { return table.column(name, "Run dura-gradcam again."); };
  const size_t name = column("file"), label = column("label"), predicted = column("predicted"), probability = column("probability");
  std::vector<Entry> entries;
  for (const CsvRow& row : table.rows)
    entries.push_back({row.fields[name], row.fields[label], row.fields[predicted], parse_number(row.fields[probability]).value_or(0)});
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
  with_json(file, "dura-gradcam", [&](const Json& maps) {
    page.section("Where the network looked");
    page.paragraph(concat("Heat maps (", maps.at("method").get<std::string>(), ", ", maps.at("stage").get<std::string>(), ") of ",
                          maps.at("maps"), " pictures; red is where the network looked most. ", maps.at("without_evidence"),
                          " maps show no positive evidence."));
    add_scores(page, maps);
    add_sanity(page, maps);
    add_deletion(page, maps);
  });
  add_audit(page, folder / "lesion_audit.json");
  std::vector<Entry> right, wrong;
  for (const Entry& e : read_entries(folder / "heat_maps.csv")) (e.label == e.predicted ? right : wrong).push_back(e);
  add_pictures(page, folder, "Wrong, the most certain first:", wrong, 12);
  add_pictures(page, folder, "Right, the most certain first:", right, 6);
  std::reverse(right.begin(), right.end());
  add_pictures(page, folder, "Right, the least certain first:", right, 6);
}

}  // namespace dura
