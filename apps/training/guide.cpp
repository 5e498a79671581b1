#include "apps/training/guide.h"

#include <algorithm>

#include "engine/base/parallel.h"
#include "layers/module.h"
#include "models/explain/explanation.h"

namespace dura {
namespace {

bool holds_lesion(const Image& mask) {
  return std::any_of(mask.pixels.begin(), mask.pixels.end(), [](uint8_t v) { return v != 0; });
}

}  // namespace

LesionGrid guided_cells(Classifier& model, const Dataset& dataset, const GuideOptions& options) {
  const int64_t H = dataset.height(), W = dataset.width();
  const Shape features = model.backbone().output_shape({1, H, W, 3});
  const HeatMap map = empty_map(model, {.by_receptive_field = options.by_receptive_field}, features, H, W);
  return {.rows = map.height, .columns = map.width, .at = placement(map, H, W), .share = options.share};
}

int64_t count_lesions(const Dataset& dataset, Communicator& ranks) {
  const SharedWork work = ranks.work();
  const Stretch own = work.own(dataset.size());
  std::vector<uint8_t> found(static_cast<size_t>(own.size()));
  parallel_for(std::ssize(found), [&](int64_t i) { found[static_cast<size_t>(i)] = holds_lesion(dataset.mask(own.begin + i)); });
  const std::vector<uint8_t> all = work.in_a_row(found);
  return std::count(all.begin(), all.end(), 1);
}

void MapWatch::add(const Batch& batch, const Tensor& features) {
  const NoGradScope inference(model_);
  const ExplainOptions options{.by_receptive_field = by_receptive_field_};
  const GradCam cam = grad_cam_of(model_, features, {.method = options.method, .stage = options.stage});
  const std::vector<Explanation> explained = explanations_of(model_, cam, options, dataset_.height(), dataset_.width());
  std::vector<MapScore> scores(static_cast<size_t>(batch.rows));
  std::vector<uint8_t> counts(scores.size());
  parallel_for(batch.rows, [&](int64_t n) {
    const auto row = static_cast<size_t>(n);
    const Image mask = dataset_.mask(batch.samples[row]);
    if (!(counts[row] = holds_lesion(mask))) return;
    scores[row] = score_map(explained[row].map, mask, mask);
  });
  for (size_t row = 0; row < scores.size(); ++row)
    if (counts[row]) scores_.push_back(scores[row]);
}

double MapWatch::mean(double MapScore::*value) const {
  double sum = 0;
  for (const MapScore& s : scores_) sum += s.*value;
  return sum / static_cast<double>(scores_.size());
}

}  // namespace dura
