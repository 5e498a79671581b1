#include "apps/report/map_checks.h"

#include <cstdio>

#include "apps/program/decimals.h"
#include "data/image/drawing.h"
#include "models/explain/overlay.h"
#include "apps/report/svg.h"
#include "data/image/resize.h"

namespace dura {

std::vector<std::vector<std::string>> sanity_table(const SanityCheck& check) {
  std::vector<std::vector<std::string>> rows = {{"random from", "rank correlation", "SSIM", "maps", "without evidence"}};
  for (const SanityStep& s : check.steps)
    rows.push_back({s.randomised, fixed(s.rank_correlation), fixed(s.structural_similarity), std::to_string(s.maps),
                    std::to_string(s.without_evidence)});
  return rows;
}

std::string sanity_text(const SanityCheck& check) {
  std::string text = "similarity to the original maps while weights are made random from the head downwards:\n";
  for (const std::vector<std::string>& row : sanity_table(check)) {
    char line[120];
    std::snprintf(line, sizeof line, "%-12s %17s %8s %6s %17s\n", row[0].c_str(), row[1].c_str(), row[2].c_str(), row[3].c_str(),
                  row[4].c_str());
    text += line;
  }
  return text;
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
      "has "
      "learnt lose their likeness to the original ones; maps that keep it show the picture or the architecture.");
  std::vector<std::vector<std::string>> rows = sanity_table(check);
  const std::vector<std::string> header = rows.front();
  rows.erase(rows.begin());
  page.table(header, rows, "Mean likeness to the original maps: 1 is the same, a rank correlation of 0 no relation.");
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
