// Do heat maps point at the lesion? Scored against masks, beside guesses that need no network.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/report/overlay.h"
#include "data/image.h"

namespace dura {

// 255 where the head is: brighter than a tenth of the 99th percentile, and what lies between such pixels in its row and in its column.
Image head_region(const Image& gray);

struct Pixel {
  int64_t row = 0, column = 0;
};
Pixel centre_of(const Image& region);                                 // centre of mass
Pixel brightest_smoothed(const Image& gray, const Image& region);     // largest mean of a window of a twelfth of the side, inside of the region
Pixel peak_of(const HeatMap& map);                                    // of a map in the image's extent; the first of equals

// One picture: what was hit. Everything in one extent.
struct PointingRecord {
  double lesion_share = 0;  // of the region's pixels
  bool network = false, random_network = false, centre = false, brightest = false;
  double energy = 0;        // share of the map inside of the lesion; 0 for a map without evidence
  double overlap = 0;       // intersection over union of the lesion and the map above half of its largest value
};
// A map without evidence hits nothing. The maps are resized to the picture.
PointingRecord score_pointing(const Image& gray, const Image& mask, const Image& region, const HeatMap& map, const HeatMap& random_map);

struct PointingSummary {
  int64_t pictures = 0;
  double lesion_share = 0, network = 0, random_network = 0, centre = 0, brightest = 0, energy = 0, overlap = 0;  // means
  double p_value = 1;  // chance of at least so many hits by points drawn anywhere in the region: binomial with the mean share
  std::string text() const;  // one line
};
PointingSummary summarise(const std::vector<PointingRecord>& records);

// P(X >= hits) for X ~ Binomial(trials, p), by summing logarithms of terms.
double binomial_tail(int64_t trials, int64_t hits, double p);

}  // namespace dura
