// Training that is told where to look: where lesion masks are known, the loss cam_energy pulls the evidence of layer4's map into the
// lesion, and every validation says how well the maps point at it.
#pragma once
#include "data/set/loader.h"
#include "engine/comm/communicator.h"
#include "models/explain/heat_map_score.h"
#include "models/network/classifier.h"

namespace dura {

struct GuideOptions {
  double strength = 0;  // what cam_energy counts for beside the cross-entropy (lambda); 0: no guide
  double share = 0;     // LesionGrid::share
  // Cells lie where their receptive fields are centred, instead of in the middles of equal shares of the picture (ExplainOptions).
  bool by_receptive_field = false;
  bool on() const { return strength > 0; }
};

// The cells of layer4's map over pictures of the data set's size.
LesionGrid guided_cells(Classifier& model, const Dataset& dataset, const GuideOptions& options);

// How many slices have a mask with a lesion in it. Reads every mask, each process those of its part; throws where one is missing, damaged
// or of another size than its slice.
int64_t count_lesions(const Dataset& dataset, Communicator& ranks = alone());

// How well Grad-CAM at layer4, of the predicted class, points at the lesions: as dura-gradcam scores it.
class MapWatch {
 public:
  // Both must outlive it.
  MapWatch(Classifier& model, const Dataset& dataset, const GuideOptions& options)
      : model_(model), dataset_(dataset), by_receptive_field_(options.by_receptive_field) {}

  // A batch of the data set, not augmented, and what the backbone gave for it. Rows without a lesion are passed over.
  void add(const Batch& batch, const Tensor& features);

  // Adds what the other processes have found, in the order of the data set where each has a part of it.
  void gather(Communicator& ranks) { scores_ = ranks.work().in_a_row(scores_); }

  // Means over the slices with a lesion, wrong answers included; NaN where there are none.
  double hit_rate() const { return mean(&MapScore::pointing); }
  double energy() const { return mean(&MapScore::energy); }

 private:
  double mean(double MapScore::*value) const;

  Classifier& model_;
  const Dataset& dataset_;
  bool by_receptive_field_;
  std::vector<MapScore> scores_;  // of the slices with a lesion
};

}  // namespace dura
