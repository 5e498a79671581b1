#include "apps/report/heat_map_page.h"

#include "data/image/codec.h"
#include "data/image/drawing.h"
#include "engine/base/log.h"
#include "weights/safetensors.h"

namespace dura {

namespace {

constexpr int64_t page_height = 224;  // of a slice on the page: two beside each other fit a phone
constexpr size_t sheet_pictures = 12;

}  // namespace

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

}  // namespace dura
