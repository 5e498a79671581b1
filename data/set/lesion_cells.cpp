#include "data/set/lesion_cells.h"

#include <algorithm>
#include <cmath>

namespace dura {
namespace {

// The cell of each pixel along one side.
std::vector<int64_t> cells_of(int64_t pixels, int64_t cells, double step, double first) {
  std::vector<int64_t> all;
  for (int64_t i = 0; i < pixels; ++i)
    all.push_back(std::clamp<int64_t>(static_cast<int64_t>(std::floor(step * static_cast<double>(i) + first + 0.5)), 0, cells - 1));
  return all;
}

}  // namespace

std::vector<uint8_t> lesion_cells(const Image& mask, const LesionGrid& grid) {
  DURA_CHECK(mask.channels == 1 && grid.rows > 0 && grid.columns > 0, "lesion cells: a mask of ", mask.channels, " channels, a map of ",
             grid.rows, "x", grid.columns, " cells");
  const std::vector<int64_t> rows = cells_of(mask.height, grid.rows, grid.at.row_step, grid.at.first_row),
                             columns = cells_of(mask.width, grid.columns, grid.at.column_step, grid.at.first_column);
  std::vector<int64_t> inside(static_cast<size_t>(grid.rows * grid.columns)), all(inside.size());
  for (int64_t r = 0; r < mask.height; ++r)
    for (int64_t c = 0; c < mask.width; ++c) {
      const auto cell = static_cast<size_t>(rows[static_cast<size_t>(r)] * grid.columns + columns[static_cast<size_t>(c)]);
      ++all[cell];
      inside[cell] += mask.at(r, c) != 0;
    }
  std::vector<uint8_t> counts;
  for (size_t i = 0; i < all.size(); ++i)
    counts.push_back(static_cast<double>(inside[i]) > grid.share * static_cast<double>(all[i]) ? 1 : 0);
  return counts;
}

}  // namespace dura
