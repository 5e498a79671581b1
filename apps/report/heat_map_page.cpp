#include "apps/report/heat_map_page.h"

#include <algorithm>
#include <cstdio>

#include "data/image_codec.h"
#include "data/resize.h"
#include "engine/log.h"
#include "weights/safetensors.h"

namespace dura {

namespace {

constexpr int64_t page_height = 224;  // of a slice on the page: two beside each other fit a phone
constexpr size_t sheet_pictures = 12;

bool mask_fits(const HeatMapPicture& p) { return p.mask.height == p.original.height && p.mask.width == p.original.width; }

}  // namespace

std::string HeatMapPicture::caption() const {
  char share[16];
  std::snprintf(share, sizeof share, "%.2f", probability);
  std::string text = predicted + " " + share;
  if (!label.empty()) text += right() ? ", right" : ", wrong: is " + label;
  if (explained != predicted) text += ", map for " + explained;
  if (!map.has_evidence()) text += ", no positive evidence";
  if (!mask.empty() && !mask_fits(*this)) text += ", mask has another extent";
  return text;
}

Image draw(const HeatMapPicture& p, int64_t height, Device device) {
  Image slice = to_rgb(p.original), mask = mask_fits(p) ? p.mask : Image();
  if (height > 0 && height != slice.height) {
    const int64_t width = std::max<int64_t>(1, (slice.width * height + slice.height / 2) / slice.height);
    slice = resize_bilinear(slice, height, width);
    if (!mask.empty()) mask = resize_nearest(mask, height, width);
  }
  Image hot = overlay(slice, p.map, {.device = device});
  std::string caption = p.caption();
  if (!mask.empty()) {
    draw_outline(hot, mask, {255, 255, 255});
    caption += ", line: lesion";
  }
  if (p.map.has_evidence()) {
    draw_cross(hot, peak_of(p.map, hot.height, hot.width));
    caption += ", cross: highest";
  }
  return with_whole_caption(beside({slice, hot, color_bar(slice.height)}), caption);
}

HeatMapPage::HeatMapPage(std::filesystem::path folder, Device device)
    : folder_(std::move(folder)), device_(device), page_("dura: heat maps") {
  std::filesystem::create_directories(folder_);
  page_.note(
      "Red: much evidence for the class. Blue: little. A map shows what the network used, not where a tumour is. Not a medical device.");
}

void HeatMapPage::add_map(const std::string& file, const HeatMap& map) {
  if (!raw_.contains(file)) raw_.add(file, Array::of<float>({map.height, map.width}, ElementType::f32, map.values));
  without_evidence_ += !map.has_evidence();
  ++maps_;
}

void HeatMapPage::add_scores(const std::vector<ScoreGroup>& groups, const std::string& title) {
  std::vector<std::vector<std::string>> rows = score_table(groups);
  const std::vector<std::string> header = rows.front();
  rows.erase(rows.begin());
  page_.section("Do the maps point at the lesion?");
  page_.paragraph(score_sentence(groups, title));
  page_.table(
      header, rows,
      "Means over pictures. Peak inside: the map's highest point lies in the lesion. Energy: the map's share inside. IoU: overlap of "
      "the lesion with the map above half of its maximum, and above Otsu's threshold.");
}

void HeatMapPage::add_picture(const std::string& section, const HeatMapPicture& p) {
  std::string name = p.file;
  std::replace(name.begin(), name.end(), '/', '_');
  write_png((folder_ / (name + ".png")).string(), draw(p, 0, device_));
  auto found = std::find_if(sections_.begin(), sections_.end(), [&](const Section& s) { return s.title == section; });
  if (found == sections_.end()) found = sections_.insert(sections_.end(), {section, {}});
  found->pictures.push_back({draw(p, page_height, device_), p.file + ": " + p.caption()});
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

}  // namespace dura
