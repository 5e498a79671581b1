#include "models/explain/explanation.h"

#include <algorithm>

#include "data/image/preprocess.h"
#include "data/set/loader.h"

namespace dura {

namespace {
// `size`: pixels of the network's input along one side.
CellMiddles middles_of(const ResNet::CellPixels& cells, int64_t size) {
  const auto side = static_cast<double>(size);
  return {(static_cast<double>(cells.first) + 0.5) / side, static_cast<double>(cells.step) / side};
}
}  // namespace

HeatMap empty_map(const Classifier& model, const ExplainOptions& o, const Shape& cells, int64_t height, int64_t width) {
  HeatMap map{.height = cells[1], .width = cells[2], .values = {}, .enlarging = o.enlarging};
  if (o.by_receptive_field) {
    const ResNet::CellPixels pixels = model.backbone().cell_pixels(o.stage);
    map.rows = middles_of(pixels, height), map.columns = middles_of(pixels, width);
  }
  return map;
}

std::vector<Explanation> explanations_of(const Classifier& model, const GradCam& cam, const ExplainOptions& options, int64_t height,
                                         int64_t width) {
  const std::vector<double> values = download_as_double(cam.maps);
  const HeatMap empty = empty_map(model, options, cam.maps.shape(), height, width);
  const int64_t cells = empty.height * empty.width;
  std::vector<Explanation> result;
  for (Answer& answer : answers_of(cam.logits)) {
    const auto first = values.begin() + std::ssize(result) * cells;
    Explanation e{std::move(answer), cam.classes[result.size()], empty};
    e.map.values.assign(first, first + cells);
    result.push_back(std::move(e));
  }
  return result;
}

std::vector<Explanation> explain(Classifier& model, const Tensor& images, const ExplainOptions& o) {
  std::vector<int32_t> classes;
  if (o.explained >= 0) classes.assign(static_cast<size_t>(images.shape()[0]), o.explained);
  const GradCam cam = grad_cam(model, model.normalize(images), {.method = o.method, .stage = o.stage, .classes = std::move(classes)});
  return explanations_of(model, cam, o, images.shape()[1], images.shape()[2]);
}

namespace {

// As numbers in a row, and back; all are of one model and size.
void append_numbers(std::vector<double>& row, const Explanation& e) {
  row.insert(row.end(), {static_cast<double>(e.predicted), e.probability, static_cast<double>(e.explained)});
  row.insert(row.end(), e.probabilities.begin(), e.probabilities.end());
  row.insert(row.end(), e.map.values.begin(), e.map.values.end());
}

std::vector<Explanation> explanations_in(const std::vector<double>& row, size_t classes, const HeatMap& empty) {
  const auto cells = static_cast<size_t>(empty.height * empty.width);
  std::vector<Explanation> all;
  for (auto at = row.begin(); at != row.end();) {
    Explanation e;
    e.predicted = static_cast<int32_t>(at[0]), e.probability = at[1], e.explained = static_cast<int32_t>(at[2]);
    e.probabilities.assign(at + 3, at + 3 + static_cast<std::ptrdiff_t>(classes));
    at += 3 + static_cast<std::ptrdiff_t>(classes);
    e.map = empty;
    e.map.values.assign(at, at + static_cast<std::ptrdiff_t>(cells));
    at += static_cast<std::ptrdiff_t>(cells);
    all.push_back(std::move(e));
  }
  return all;
}

}  // namespace

std::vector<Explanation> explain(Classifier& model, const Dataset& dataset, const std::vector<int64_t>& samples, int64_t batch,
                                 const ExplainOptions& options) {
  LoaderOptions in_order{.batch_size = batch, .policies = {}, .items = {}};
  const Stretch own = options.shared.own_batches(std::ssize(samples), batch);
  for (int64_t i = own.begin; i < own.end; ++i) in_order.items.push_back({.sample = samples[static_cast<size_t>(i)]});
  std::vector<Explanation> result;
  if (!in_order.items.empty()) {
    Loader loader(dataset, in_order);
    for (loader.start_epoch(0); loader.next();) {
      std::vector<Explanation> explained = explain(model, loader.batch().images, options);
      std::move(explained.begin(), explained.begin() + loader.batch().rows, std::back_inserter(result));
    }
  }
  if (options.shared.alone()) return result;
  std::vector<double> numbers;
  for (const Explanation& e : result) append_numbers(numbers, e);
  const Shape cells = model.backbone().output_shape({1, dataset.height(), dataset.width(), 3}, options.stage);
  const HeatMap empty = empty_map(model, options, cells, dataset.height(), dataset.width());
  return explanations_in(options.shared.in_a_row(std::move(numbers)), model.classes().size(), empty);
}

Tensor images_of(const Dataset& dataset, const std::vector<int64_t>& samples) {
  std::vector<Image> images;
  for (int64_t s : samples) images.push_back(dataset.image(s));
  return rgb_batch(images);
}

std::vector<int64_t> spread(int64_t size, int64_t count) {
  if (count <= 0 || count > size) count = size;
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < count; ++i) chosen.push_back(i * size / count);
  return chosen;
}

}  // namespace dura
