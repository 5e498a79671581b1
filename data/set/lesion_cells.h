// A lesion at the cells of a coarse map: what a guided training compares its map with.
#pragma once
#include <cstdint>
#include <vector>

#include "data/image/image.h"

namespace dura {

// The cells of a map over a picture, and when one counts as lesion.
struct LesionGrid {
  int64_t rows = 0, columns = 0;  // of the map; 0: there is no map
  MapPlacement at = {};           // where its cells lie in the picture
  double share = 0;               // in [0,1): a cell counts where more than this share of its pixels is lesion
};

// rows * columns values, 1 where the cell counts as lesion, else 0. A pixel belongs to the cell whose middle is nearest. The mask (not zero
// inside) has the picture's size and one channel.
std::vector<uint8_t> lesion_cells(const Image& mask, const LesionGrid& grid);

}  // namespace dura
