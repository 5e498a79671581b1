// Tables as a terminal shows them.
#pragma once
#include <string>
#include <vector>

namespace dura {

// Lines of columns that stand under each other; the first line is the heading. A column whose cells below it all begin with a digit or a
// sign stands to the right, others and the first to the left. Lines may be of different length. Widths are counted in UTF-8 characters.
std::string text_table(const std::vector<std::vector<std::string>>& lines, int indent = 2);

}  // namespace dura
