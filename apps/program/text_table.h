// Tables as a terminal shows them.
#pragma once
#include <string>
#include <vector>

namespace dura {

// Lines of cells; the first is the heading. Terminal and pages (apps/report/html.h) show the same tables.
using Table = std::vector<std::vector<std::string>>;

// Columns stand under each other. One whose cells below the heading all begin with a digit or a sign stands to the right, others and the
// first to the left. Lines may be of different length. Widths are counted in UTF-8 characters.
std::string text_table(const Table& lines, int indent = 2);

}  // namespace dura
