// Does the network need what its heat maps mark? The deletion and insertion curves of Petsiuk et al. 2018 ("RISE"): the hottest pixels are
// blurred away step by step, or put back into the blurred picture, and the probability of the explained class is followed.
#pragma once
#include <cstdint>
#include <vector>

#include "models/explain/explanation.h"

namespace dura {

// Mean probability of the explained class at each share of pixels, and the area under that line.
struct ProbabilityLine {
  std::vector<double> probability;
  double area() const;  // by trapezia, over shares from 0 to 1: a mean probability
};

struct DeletionCurves {
  int64_t pictures = 0;
  std::vector<double> share = {};  // 0 to 1, of pixels
  // Maps that mark what is used have a deletion line below, and an insertion line above, that of random maps.
  ProbabilityLine deletion = {}, insertion = {}, random_deletion = {}, random_insertion = {};
};

struct DeletionOptions {
  int64_t steps = 20;  // the share grows by a 1/steps
  int64_t blur = 16;   // the blurred picture keeps one value for so many pixels in height and width
  int64_t batch = 16;
  uint64_t seed = 0;       // of the random maps
  SharedWork shared = {};  // where several processes follow the same pictures
};

// explanations[i] belongs to samples[i]. A random map has as many cells as the picture's own, so that what it removes is as smooth and
// as large; it also decides the order of pixels that are equal in the map, above all of those where it is 0.
DeletionCurves deletion_curves(Classifier& model, const Dataset& dataset, const std::vector<int64_t>& samples,
                               const std::vector<Explanation>& explanations, const DeletionOptions& options = {});

// The building blocks. `order`: all pixels of the picture, the first ones to go first.
std::vector<int64_t> hottest_first(const HeatMap& map, const HeatMap& tie_break, int64_t height, int64_t width);
Image replaced(const Image& image, const Image& by, const std::vector<int64_t>& order, int64_t count);
// One value for each square of `by` pixels, and between their middles.
Image blurred(const Image& image, int64_t by);
// Of every class, for images of one size, `batch` at a time.
std::vector<std::vector<double>> class_probabilities(Classifier& model, const std::vector<Image>& images, int64_t batch);

}  // namespace dura
