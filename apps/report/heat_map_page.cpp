#include "apps/report/heat_map_page.h"

#include <algorithm>
#include <cmath>

#include "apps/program/text_table.h"
#include "apps/report/svg.h"
#include "data/image/codec.h"
#include "data/image/drawing.h"
#include "data/image/resize.h"
#include "engine/base/log.h"
#include "models/explain/overlay.h"
#include "weights/safetensors.h"

namespace dura {

namespace {

constexpr int64_t page_height = 224;  // of a slice on the page: two beside each other fit a phone
constexpr size_t sheet_pictures = 12;

// A row for each guess in each group.
Table score_table(const std::vector<ScoreGroup>& groups) {
  Table table = {{"pictures", "map", "peak inside", "energy inside", "IoU at half", "IoU at Otsu"}};
  for (const ScoreGroup& g : groups)
    for (Guess guess : all_guesses) {
      const MapScore& m = g[guess];
      if (std::isnan(m.pointing)) continue;  // nobody measured it
      table.push_back({guess == Guess::network ? concat(g.name, ": ", g.pictures) : "", guess_name(guess), fixed(m.pointing),
                       fixed(m.energy), fixed(m.iou_half), fixed(m.iou_otsu)});
    }
  return table;
}

// About the first group; `what` names the maps.
std::string score_sentence(const std::vector<ScoreGroup>& groups, const std::string& what) {
  const ScoreGroup& all = groups.at(0);
  const double hits = all[Guess::network].pointing, chance = all[Guess::random_point].pointing;
  return concat(what, " on ", all.pictures, " pictures with a lesion, ", all.without_evidence,
                " without positive evidence: peak inside of ", fixed(hits), ", ", fixed(chance > 0 ? hits / chance : 0, 1),
                " times a random point's chance (p = ", printed("%.1e", all.p_value), ")");
}

Table sanity_table(const SanityCheck& check) {
  Table table = {{"random from", "rank correlation", "SSIM", "maps", "without evidence"}};
  for (const SanityStep& s : check.steps)
    table.push_back({s.randomised, fixed(s.rank_correlation), fixed(s.structural_similarity), std::to_string(s.maps),
                     std::to_string(s.without_evidence)});
  return table;
}

}  // namespace

std::string display_name(const std::string& path, const std::vector<std::string>& all) {
  const auto name = [](const std::string& p) { return std::filesystem::path(p).filename().string(); };
  const auto shared = std::count_if(all.begin(), all.end(), [&](const std::string& other) { return name(other) == name(path); });
  return shared > 1 ? path : name(path);
}

HeatMapPage::HeatMapPage(std::filesystem::path folder) : folder_(std::move(folder)), page_("dura: heat maps") {
  std::filesystem::create_directories(folder_);
  page_.note(
      "Red: much evidence for the class. Blue: little. A map shows what the network used, not where a tumour is. Not a medical device.");
}

void HeatMapPage::add_map(const std::string& file, const HeatMap& map) {
  if (!raw_.contains(file)) raw_.add(file, Array::of<float>({map.height, map.width}, ElementType::f32, map.values));
  without_evidence_ += !map.has_evidence();
  ++maps_;
}

void HeatMapPage::add_picture(const std::string& section, const HeatMapPicture& p) {
  std::string name = p.file;
  std::replace(name.begin(), name.end(), '/', '_');
  write_png((folder_ / (name + ".png")).string(), draw(p));
  auto found = std::find_if(sections_.begin(), sections_.end(), [&](const Section& s) { return s.title == section; });
  if (found == sections_.end()) found = sections_.insert(sections_.end(), {section, {}});
  found->pictures.push_back({draw(p, page_height), p.file + ": " + p.caption()});
  if (sheet_.size() < sheet_pictures) sheet_.push_back(found->pictures.back().image);
  ++pictures_;
}

void HeatMapPage::finish() {
  write_safetensors(folder_ / "maps.safetensors", raw_);
  if (!sheet_.empty()) write_png((folder_ / "sheet.png").string(), sheet(sheet_, 3));
  const std::string counts = concat(maps_, " maps, ", without_evidence_, " without positive evidence");
  page_.paragraph(
      counts +
      ". Raw values: maps.safetensors. The cross is the map's highest point, the white line the border of the lesion in its mask.");
  for (const Section& s : sections_) {
    page_.section(s.title);
    page_.gallery(s.pictures);
  }
  page_.write(folder_ / "index.html");
  log_info("wrote ", (folder_ / "index.html").string(), ", ", pictures_, " overlays, sheet.png and maps.safetensors (", counts, ")");
}

std::string score_text(const std::vector<ScoreGroup>& groups, const std::string& what) {
  return groups.empty() ? "" : score_sentence(groups, what) + "\n" + text_table(score_table(groups), 0);
}

void add_scores(HtmlPage& page, const std::vector<ScoreGroup>& groups, const std::string& what) {
  page.section("Do the maps point at the lesion?");
  page.paragraph(score_sentence(groups, what));
  page.table(
      score_table(groups),
      "Means over pictures. Peak inside: the map's highest point lies in the lesion. Energy: the map's share inside. IoU: overlap of "
      "the lesion with the map above half of its maximum, and above Otsu's threshold.");
}

std::string sanity_text(const SanityCheck& check) {
  return "similarity to the original maps while weights are made random from the head downwards:\n" + text_table(sanity_table(check), 0);
}

Image sanity_picture(const SanityCheck& check, int64_t height) {
  const std::vector<Image>& slices = check.slices;
  std::vector<Image> pictures;
  for (size_t i = 0; i < slices.size(); ++i) {
    const Image small = resize_bilinear(slices[i], height, std::max<int64_t>(1, slices[i].width * height / slices[i].height));
    for (const SanityStep& s : check.steps)
      pictures.push_back(
          with_caption(overlay(small, s.examples.at(i)), s.examples[i].has_evidence() ? s.randomised : s.randomised + ", empty"));
  }
  return sheet(pictures, static_cast<int64_t>(check.steps.size()));
}

void add_sanity(HtmlPage& page, const SanityCheck& check) {
  page.section("Do the maps depend on what was learnt?");
  page.paragraph(
      "Weights are made random from the head downwards, one more stage in each row (Adebayo et al. 2018). Maps that show what the network "
      "has learnt lose their likeness to the original ones; maps that keep it show the picture or the architecture.");
  page.table(sanity_table(check), "Mean likeness to the original maps: 1 is the same, a rank correlation of 0 no relation.");
  page.gallery({{sanity_picture(check), "Maps while weights are made random, from the original on the left"}});
}

std::string deletion_text(const DeletionCurves& c) {
  return concat("deletion on ", c.pictures, " pictures: mean probability ", fixed(c.deletion.area()),
                " while the hottest pixels are blurred away (random maps ", fixed(c.random_deletion.area()), "), ",
                fixed(c.insertion.area()), " while they are put back (random maps ", fixed(c.random_insertion.area()), ")");
}

void add_deletion(HtmlPage& page, const DeletionCurves& c) {
  page.section("Does the network need what the maps mark?");
  page.paragraph(deletion_text(c) +
                 ". A map that marks what is used lies below the random line in deletion and above it in insertion (Petsiuk et al. 2018).");
  const auto series = [&](const std::string& name, const ProbabilityLine& line, bool dashed) {
    return LineSeries{.name = name, .x = c.share, .y = line.probability, .dashed = dashed};
  };
  page.svg(svg_line_plot(
      {.title = "Probability of the explained class",
       .x_label = "share of pixels",
       .y_label = "mean probability",
       .series = {series("blurred, hottest first", c.deletion, false), series("blurred, at random", c.random_deletion, true),
                  series("put back, hottest first", c.insertion, false), series("put back, at random", c.random_insertion, true)},
       .y_min = 0.0,
       .y_max = 1.0}));
}

}  // namespace dura
