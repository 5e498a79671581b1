#include "apps/program/text_table.h"

#include <algorithm>
#include <string_view>

namespace dura {

namespace {

// Bytes that continue a character do not count.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

}  // namespace

std::string text_table(const Table& lines, int indent) {
  std::vector<size_t> widths;
  std::vector<bool> numbers;
  for (size_t l = 0; l < lines.size(); ++l)
    for (size_t c = 0; c < lines[l].size(); ++c) {
      const std::string& cell = lines[l][c];
      if (c == widths.size()) widths.push_back(0), numbers.push_back(c > 0);
      widths[c] = std::max(widths[c], width_of(cell));
      const bool number =
          cell.empty() || (std::string_view("0123456789-+").find(cell[0]) != std::string_view::npos && cell.find(' ') == std::string::npos);
      if (l > 0 && !number) numbers[c] = false;
    }
  std::string text;
  for (const auto& line : lines) {
    std::string out(static_cast<size_t>(indent), ' ');
    for (size_t c = 0; c < line.size(); ++c) {
      const std::string gap(widths[c] - width_of(line[c]), ' ');
      out += numbers[c] ? gap + line[c] : line[c] + gap;
      out += "  ";
    }
    out.erase(out.find_last_not_of(' ') + 1);
    text += out + "\n";
  }
  return text;
}

}  // namespace dura
