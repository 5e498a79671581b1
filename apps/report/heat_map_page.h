// The folder of dura-gradcam: overlays one by one in the pictures' own sizes, a sheet of them, all raw maps, and a page that shows them.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "models/explain/overlay.h"
#include "apps/report/html.h"
#include "weights/state.h"

namespace dura {

class HeatMapPage {
 public:
  explicit HeatMapPage(std::filesystem::path folder);

  HtmlPage& page() { return page_; }  // what is added to it stands above the pictures
  void add_map(const std::string& file, const HeatMap& map);
  // Writes FILE.png, with '/' as '_'; the page shows it under its section, sections in the order of their first picture.
  void add_picture(const std::string& section, const HeatMapPicture& picture);
  // maps.safetensors, sheet.png, index.html
  void finish();

  int64_t maps() const { return maps_; }
  int64_t without_evidence() const { return without_evidence_; }

 private:
  struct Section {
    std::string title;
    std::vector<HtmlPicture> pictures;
  };
  std::filesystem::path folder_;
  HtmlPage page_;
  StateDict raw_;
  std::vector<Section> sections_;
  std::vector<Image> sheet_;
  int64_t maps_ = 0, without_evidence_ = 0, pictures_ = 0;
};

}  // namespace dura
