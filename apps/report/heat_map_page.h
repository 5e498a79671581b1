// The folder of dura-gradcam: overlays one by one in the pictures' own extents, a sheet of them, all raw maps, and a page that shows them.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "apps/report/heat_map_summary.h"
#include "apps/report/html.h"
#include "apps/report/overlay.h"
#include "weights/state.h"

namespace dura {

struct HeatMapPicture {
  std::string file, label, predicted, explained;  // class names; label is empty where it is not known
  double probability = 0;                         // of the predicted class
  Image original, mask;                           // as they are stored; mask is empty where there is none
  HeatMap map;

  bool right() const { return label == predicted; }
  std::string caption() const;  // "Glioma 0.93, wrong: is Menin, no positive evidence"
};
// The slice, and the slice under its map with a cross at its highest point and the lesion's outline in white, and the scale of colours,
// below the caption. A mask of another extent than its picture is not drawn, and the caption says so. `height`: the slice is brought to it,
// keeping its aspect; 0: as it is. `device` computes the colours.
Image draw(const HeatMapPicture& picture, int64_t height = 0, Device device = Device::cpu);

class HeatMapPage {
 public:
  explicit HeatMapPage(std::filesystem::path folder, Device device = Device::cpu);

  HtmlPage& page() { return page_; }  // what is added to it stands above the pictures
  void add_scores(const std::vector<ScoreGroup>& groups, const std::string& title);
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
  Device device_;
  HtmlPage page_;
  StateDict raw_;
  std::vector<Section> sections_;
  std::vector<Image> sheet_;
  int64_t maps_ = 0, without_evidence_ = 0, pictures_ = 0;
};

}  // namespace dura
