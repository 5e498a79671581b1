// A report as one HTML file that needs nothing else: styles, plots and pictures are inside, nothing is loaded, no script runs (its
// Content-Security-Policy forbids it). Invariant: every text given here is escaped; only svg() takes markup, from svg.h.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/program/text_table.h"
#include "data/image/image.h"

namespace dura {

std::string base64(std::span<const uint8_t> bytes);  // RFC 4648, with padding

struct HtmlPicture {
  Image image;
  std::string caption;  // also read out where the picture cannot be seen
};

class HtmlPage {
 public:
  explicit HtmlPage(const std::string& title) : title_(title) {}

  void section(const std::string& title);
  void paragraph(const std::string& text);
  void note(const std::string& text);  // in a box: a warning or a limit that must not be overlooked
  void preformatted(const std::string& text);
  // The first line is the heading, every other has as many cells; without any other there is no table. Numbers are aligned to the right.
  void table(const Table& lines, const std::string& caption = "");
  void svg(const std::string& plot, const std::string& caption = "") { figure(plot, caption); }
  void svg_row(const std::vector<std::string>& plots, const std::string& caption = "");  // side by side where there is room
  // Pictures in as many columns as fit, each at its own size in pixels or twice that where it is small.
  void gallery(const std::vector<HtmlPicture>& pictures);

  std::string text() const;
  void write(const std::filesystem::path& path) const;  // beside, synced, renamed

 private:
  void figure(const std::string& content, const std::string& caption);

  std::string title_, body_;
};

}  // namespace dura
