// A picture in twenty simple numbers: grey levels, edges, where the brightness lies, size. Nothing in them knows what a tumour is: a
// classifier that tells the classes apart by them alone has found a shortcut (scanner, export, framing), and so may a network.
#pragma once
#include <array>

#include "data/image/image.h"

namespace dura {

inline constexpr std::array<const char*, 20> picture_statistic_names = {
    "mean", "deviation", "skewness", "kurtosis", "p5",         "p25",           "median",     "p75",           "p95",    "p99",
    "dark", "bright",    "entropy",  "edges",    "center_row", "center_column", "spread_row", "spread_column", "height", "width"};

// Levels are 0 to 255. dark, bright: share of the pixels below 16 and above 200. entropy: of the histogram, in bits. edges: mean absolute
// difference of neighbours. center, spread: mean and deviation of the place weighted by brightness, as shares of the height and width.
using PictureStatistics = std::array<double, picture_statistic_names.size()>;

// Of a picture with one channel; throws for another.
PictureStatistics picture_statistics(const Image& gray);

}  // namespace dura
