// The folder of dura-gradcam: overlays one by one in the pictures' own sizes, a sheet of them, all raw maps, and a page that shows them.
// The scores and checks of the maps stand on the page and on the terminal.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "apps/report/html.h"
#include "models/explain/deletion_curve.h"
#include "models/explain/heat_map_score.h"
#include "models/explain/overlay.h"
#include "models/explain/sanity_check.h"
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

// What a picture is called in the output: the file's name, or the path as it was given where two of `all` share their name.
std::string display_name(const std::string& path, const std::vector<std::string>& all);

// How the scores and the two checks of heat maps, cascading randomisation and deletion curves, are shown: as text and on a page.

// A sentence about all pictures, `what` naming the maps, and a table with a row for each guess in each group.
std::string score_text(const std::vector<ScoreGroup>& groups, const std::string& what);
void add_scores(HtmlPage& page, const std::vector<ScoreGroup>& groups, const std::string& what);

std::string sanity_text(const SanityCheck& check);
// A row for each of the slices: its map at every step.
Image sanity_picture(const SanityCheck& check, int64_t height = 112);
void add_sanity(HtmlPage& page, const SanityCheck& check);

std::string deletion_text(const DeletionCurves& curves);  // one sentence
void add_deletion(HtmlPage& page, const DeletionCurves& curves);

}  // namespace dura
