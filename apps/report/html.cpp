#include "apps/report/html.h"

#include "apps/report/svg.h"
#include "data/image/codec.h"
#include "engine/base/check.h"
#include "engine/base/file.h"

namespace dura {

namespace {

constexpr const char* style = R"(
body { font: 15px/1.5 Helvetica, Arial, sans-serif; color: #222; background: #fff; max-width: 1060px; margin: 24px auto; padding: 0 16px; }
h1 { font-size: 26px; } h2 { font-size: 20px; margin-top: 36px; border-bottom: 1px solid #ccc; }
div.wide { overflow-x: auto; } table { border-collapse: collapse; margin: 12px 0; } caption { text-align: left; color: #555; padding-bottom: 4px; }
th, td { border: 1px solid #ccc; padding: 3px 10px; text-align: left; } th { background: #f2f2f2; } td.number { text-align: right; } td.short, td.number { white-space: nowrap; }
pre { background: #f6f6f6; padding: 10px; overflow-x: auto; font-size: 13px; }
p.note { border-left: 4px solid #d55e00; background: #fdf3ec; padding: 8px 12px; }
figure { margin: 12px 0; } figcaption { color: #555; font-size: 13px; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; } div.gallery { display: flex; flex-wrap: wrap; gap: 14px; }
div.gallery figure { margin: 0; } img { image-rendering: auto; max-width: 100%; }
@media (max-width: 600px) { th, td { padding: 2px 4px; font-size: 12px; } }
@media print { body { margin: 0; max-width: none; } table, figure { break-inside: avoid; } h2 { break-after: avoid; } }
)";

constexpr size_t most_unbroken = 32;  // characters of a cell that stay on one line

bool is_number(const std::string& cell) {
  return !cell.empty() && cell.find_first_of("0123456789") != std::string::npos &&
         cell.find_first_not_of("0123456789.,+-eE% ") == std::string::npos;
}

}  // namespace

std::string base64(std::span<const uint8_t> bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t block = 0;
    for (size_t k = 0; k < 3; ++k) block = block << 8 | (k < count ? bytes[i + k] : 0u);
    for (size_t k = 0; k < 4; ++k) out += k <= count ? digits[block >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

void HtmlPage::section(const std::string& title) { body_ += "<h2>" + escape_markup(title) + "</h2>\n"; }
void HtmlPage::paragraph(const std::string& text) { body_ += "<p>" + escape_markup(text) + "</p>\n"; }
void HtmlPage::note(const std::string& text) { body_ += "<p class=\"note\">" + escape_markup(text) + "</p>\n"; }
void HtmlPage::preformatted(const std::string& text) { body_ += "<pre>" + escape_markup(text) + "</pre>\n"; }

void HtmlPage::table(const Table& lines, const std::string& caption) {
  if (lines.size() < 2) return;
  body_ += "<div class=\"wide\"><table>\n";  // wider than a phone: the table scrolls, not the page
  if (!caption.empty()) body_ += "<caption>" + escape_markup(caption) + "</caption>\n";
  for (const std::vector<std::string>& line : lines) {
    const bool heading = &line == &lines.front();
    DURA_CHECK(line.size() == lines[0].size(), "a table row has ", line.size(), " cells under ", lines[0].size(), " headings");
    body_ += "<tr>";
    for (const std::string& cell : line) {
      const std::string form = is_number(cell) ? " class=\"number\"" : cell.size() < most_unbroken ? " class=\"short\"" : "";
      body_ += (heading ? "<th>" : "<td" + form + ">") + escape_markup(cell) + (heading ? "</th>" : "</td>");
    }
    body_ += "</tr>\n";
  }
  body_ += "</table></div>\n";
}

void HtmlPage::figure(const std::string& content, const std::string& caption) {
  body_ += "<figure>\n" + content;
  if (!caption.empty()) body_ += "<figcaption>" + escape_markup(caption) + "</figcaption>\n";
  body_ += "</figure>\n";
}

void HtmlPage::svg_row(const std::vector<std::string>& plots, const std::string& caption) {
  std::string row = "<div class=\"gallery\">\n";
  for (const std::string& plot : plots) row += "<div>\n" + plot + "</div>\n";
  figure(row + "</div>\n", caption);
}

void HtmlPage::gallery(const std::vector<HtmlPicture>& pictures) {
  body_ += "<div class=\"gallery\">\n";
  for (const HtmlPicture& p : pictures) {
    const int64_t shown = p.image.width < 200 ? 2 * p.image.width : p.image.width;
    const std::string caption = escape_markup(p.caption);
    body_ += concat("<figure style=\"max-width: ", shown, "px\"><img width=\"", shown, "\" alt=\"", caption,
                    "\" src=\"data:image/png;base64,", base64(encode_png(p.image)), "\"><figcaption>", caption, "</figcaption></figure>\n");
  }
  body_ += "</div>\n";
}

std::string HtmlPage::text() const {
  const std::string title = escape_markup(title_);
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
         title + "</title>\n<style>" + style + "</style>\n</head>\n<body>\n<h1>" + title + "</h1>\n" + body_ + "</body>\n</html>\n";
}

void HtmlPage::write(const std::filesystem::path& path) const { write_file_atomically(path, text()); }

}  // namespace dura
