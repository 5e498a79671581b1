// The network's answers with their heat maps, on the host: for one batch, or for pictures of a data set.
#pragma once
#include <cstdint>
#include <vector>

#include "data/set/dataset.h"
#include "engine/base/shared_work.h"
#include "models/explain/grad_cam.h"
#include "models/explain/heat_map.h"
#include "models/network/answer.h"

namespace dura {

struct Explanation : Answer {
  int32_t explained = 0;  // the class that the map is of
  HeatMap map;
};

struct ExplainOptions {
  CamMethod method = CamMethod::grad_cam;
  int stage = 4;
  int32_t explained = -1;  // a class, for all pictures; -1: each one's predicted class
  // Cells of the map lie where their receptive fields are centred, instead of in the middles of equal shares of the picture.
  bool by_receptive_field = false;
  Enlarging enlarging = Enlarging::linear;
  // Where several processes explain the same pictures of a data set: each some batches in a row, and all get everything.
  SharedWork shared = {};
};

// A map without values, of as many cells as maps (N,h,w) or features (N,h,w,C) of this shape have, that lies over pictures of height x
// width pixels as the options say.
HeatMap empty_map(const Classifier& model, const ExplainOptions& options, const Shape& cells, int64_t height, int64_t width);

// What grad_cam found of pictures of height x width pixels, on the host.
std::vector<Explanation> explanations_of(const Classifier& model, const GradCam& cam, const ExplainOptions& options, int64_t height,
                                         int64_t width);

// images: u8 (N,H,W,3) on the CPU. The model is on its own device and not in training mode.
std::vector<Explanation> explain(Classifier& model, const Tensor& images, const ExplainOptions& options);

// Of `samples` of the data set, in their order, `batch` pictures at a time.
std::vector<Explanation> explain(Classifier& model, const Dataset& dataset, const std::vector<int64_t>& samples, int64_t batch,
                                 const ExplainOptions& options);

// u8 images (N,H,W,3) on the CPU of `samples` of the data set.
Tensor images_of(const Dataset& dataset, const std::vector<int64_t>& samples);
// `count` of 0 ... size-1, evenly spread; all where there are no more, or where count is 0.
std::vector<int64_t> spread(int64_t size, int64_t count);

}  // namespace dura
