// Does a heat map point at the lesion? One picture's map against its mask, and beside it four guesses that know nothing of the lesion.
// Everything is compared in the network's frame: picture, mask and region as the network saw them, maps enlarged to that size.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "models/explain/heat_map.h"
#include "data/image/image.h"

namespace dura {

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

// Whose maps: the network's, the same architecture's with random weights (mean over networks), and guesses. A random point's scores are
// expected values: the lesion's share of the region.
enum class Guess : uint8_t { network, random_weights, brain_centre, random_point, brightest };
constexpr size_t guesses = 5;
const char* guess_name(Guess g);  // "network", "random weights", ...
const char* guess_key(Guess g);   // for files: "network", "random_weights", "brain_centre", "random_point", "brightest"
constexpr std::array<Guess, guesses> all_guesses = {Guess::network, Guess::random_weights, Guess::brain_centre, Guess::random_point,
                                                    Guess::brightest};

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

}  // namespace dura
