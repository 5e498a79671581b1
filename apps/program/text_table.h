// Numbers and tables as people read them.
#pragma once
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace dura {

// Numbers as people read them: in tables on a terminal, on pages, in sentences.

// What printf makes of it.
template <class... Values>
std::string printed(const char* format, Values... values) {
  std::string text(static_cast<size_t>(std::snprintf(nullptr, 0, format, values...)), '\0');
  std::snprintf(text.data(), text.size() + 1, format, values...);
  return text;
}

// "0.123"; "-" for NaN and the infinities.
inline std::string fixed(double v, int digits = 3) { return std::isfinite(v) ? printed("%.*f", digits, v) : "-"; }

// Tables as a terminal shows them.
// Lines of cells; the first is the heading. Terminal and pages (apps/report/html.h) show the same tables.
using Table = std::vector<std::vector<std::string>>;

// Columns stand under each other. One whose cells below the heading all begin with a digit or a sign stands to the right, others and the
// first to the left. Lines may be of different length. Widths are counted in UTF-8 characters.
std::string text_table(const Table& lines, int indent = 2);

}  // namespace dura
