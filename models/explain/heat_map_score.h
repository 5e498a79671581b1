// How well heat maps point at lesions: where the brain is, the guesses that a map must beat, the scores of one map, and what many scores
// say together.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/image/image.h"
#include "models/explain/heat_map.h"

namespace dura {

// Where the brain is in a slice, and guesses at a lesion that need no network: what a heat map must beat before it says anything.

// 255 where the head is: brighter than a tenth of the 99th percentile, and what lies between such pixels in its row and in its column.
Image head_region(const Image& gray);

// Centre of mass; of the picture where the region is empty.
Pixel centre_of(const Image& region);
// A bell around the centre with a standard deviation of an eighth of the shorter side.
HeatMap centre_guess(const Image& region);
// Inside of the region, how much brighter than its darkest place the mean of a window of a twelfth of the shorter side is; 0 outside.
HeatMap brightness_guess(const Image& gray, const Image& region);

// Does a heat map point at the lesion? One picture's map against its mask, and beside it guesses that know nothing of the lesion.
// Everything is compared in the network's frame: picture, mask and region as the network saw them, maps enlarged to that size.
// How far outside of the lesion a peak still counts as a hit.
struct Tolerance {
  double amount = 0;  // radius
  bool millimetres = false;
  std::string text() const;  // "0 px", "15 px", "5 mm"
};
Tolerance parse_tolerance(const std::string& text);  // "0", "15px" or "5mm"; UsageError for anything else

// Millimetres per pixel of the network's frame, which may differ in height and width; 0: not known.
struct PixelPitch {
  double row = 0, column = 0;
};
// The mask (not zero inside) grown by the tolerance. Throws Error for millimetres without a pitch.
Image grow(const Image& mask, const Tolerance& tolerance, const PixelPitch& pitch = {});

struct MapScore {
  double pointing = 0;  // the peak is in the lesion or within the tolerance (Zhang et al. 2018, "pointing game"): 1 or 0
  double energy = 0;    // the map's sum inside of the lesion over its whole sum
  double iou_half = 0;  // intersection over union of the lesion and what is at least half of the map's largest value
  double iou_otsu = 0;  // the same with what is above Otsu's threshold of the map
  MapScore& operator+=(const MapScore& o);
  MapScore operator/(double n) const;
};
// `near`: the mask grown by the tolerance. A map without evidence scores 0 everywhere.
MapScore score_map(const HeatMap& map, const Image& mask, const Image& near);

// How well a single lit cell of a map like this one can score, chosen by who knows the lesion: the largest of each score over its cells. Of
// pointing and energy no map of the same cells has more where it is enlarged by straight lines: its peak lies in the middle of a cell, and
// its energy is a mean over its cells.
MapScore best_cell_score(const HeatMap& like, const Image& mask, const Image& near);

// Whose maps: the network's, the same architecture's with random weights (mean over networks), guesses, and the best single cell. A random
// point's scores are expected values: the lesion's share of the region.
enum class Guess : uint8_t { network, random_weights, brain_centre, random_point, brightest, best_cell };
constexpr size_t guesses = 6;
const char* guess_name(Guess g);  // "network", "random weights", ...
const char* guess_key(Guess g);   // for files: "network", "random_weights", "brain_centre", "random_point", "brightest", "best_cell"
constexpr std::array<Guess, guesses> all_guesses = {Guess::network,      Guess::random_weights, Guess::brain_centre,
                                                    Guess::random_point, Guess::brightest,      Guess::best_cell};

struct PictureScore {
  std::array<MapScore, guesses> scores;
  bool evidence = false;                 // the network's map has any
  double random_maps_with_evidence = 0;  // share
  MapScore& operator[](Guess g) { return scores[static_cast<size_t>(g)]; }
  const MapScore& operator[](Guess g) const { return scores[static_cast<size_t>(g)]; }
};

struct ScoredSlice {
  Image gray, mask, region;  // one channel, one size; region: where the brain is
  Tolerance tolerance = {};
  PixelPitch pitch = {};
};
// Throws Error where sizes differ or the mask is empty: a picture without a lesion cannot be scored. A lesion that sticks out of the
// region widens it. Without random maps what they would score is NaN.
PictureScore score_picture(const ScoredSlice& slice, const HeatMap& map, const std::vector<HeatMap>& random_maps);

// What the scores of many heat maps say together: over all pictures with a lesion, by class, and where the network was right or wrong.
struct ScoredPicture {
  std::string file, label, predicted, explained;  // class names
  double probability = 0;                         // of the predicted class
  PictureScore score;
  bool right() const { return label == predicted; }
};

struct ScoreGroup {
  std::string name;  // "all", a class, "right", "wrong"
  int64_t pictures = 0, without_evidence = 0;
  std::array<MapScore, guesses> means{};  // by Guess
  double random_maps_with_evidence = 0;   // share
  // Chance of at least so many hits by points drawn anywhere in the region: binomial with the mean chance. Slices of one patient are
  // alike, so true chances are larger.
  double p_value = 1;
  const MapScore& operator[](Guess g) const { return means[static_cast<size_t>(g)]; }
};

// "all" first, then `classes` by true class, then "right" and "wrong"; groups without pictures are left out. No pictures: no groups.
std::vector<ScoreGroup> score_groups(const std::vector<ScoredPicture>& pictures, const std::vector<std::string>& classes);

// P(X >= hits) for X ~ Binomial(trials, p), by summing logarithms of terms.
double binomial_tail(int64_t trials, int64_t hits, double p);

}  // namespace dura
