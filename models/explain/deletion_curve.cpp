#include "models/explain/deletion_curve.h"

#include <algorithm>
#include <numeric>

#include "data/image/preprocess.h"
#include "data/image/resize.h"
#include "engine/base/random.h"

namespace dura {

namespace {

HeatMap random_map(const HeatMap& like, uint64_t key) {
  HeatMap map = like;
  map.values.clear();
  Random random(key);
  for (size_t i = 0; i < like.values.size(); ++i) map.values.push_back(static_cast<float>(random.uniform()));
  return map;
}

}  // namespace

Image blurred(const Image& image, int64_t by) {
  const Image small = resize_bilinear(image, std::max<int64_t>(1, image.height / by), std::max<int64_t>(1, image.width / by));
  return resize_bilinear(small, image.height, image.width);
}

std::vector<std::vector<double>> class_probabilities(Classifier& model, const std::vector<Image>& images, int64_t batch) {
  std::vector<std::vector<double>> result;
  for (auto first = images.begin(); first != images.end();) {
    const auto end = first + std::min(batch, images.end() - first);
    const Tensor logits = model(model.normalize(rgb_batch({first, end}))).value();
    for (Answer& answer : answers_of(logits)) result.push_back(std::move(answer.probabilities));
    first = end;
  }
  return result;
}

double ProbabilityLine::area() const {
  double sum = 0;
  for (size_t i = 1; i < probability.size(); ++i) sum += (probability[i - 1] + probability[i]) / 2;
  return probability.size() > 1 ? sum / static_cast<double>(probability.size() - 1) : 0;
}

std::vector<int64_t> hottest_first(const HeatMap& map, const HeatMap& tie_break, int64_t height, int64_t width) {
  const std::vector<float> heat = resize(map, height, width).values, other = resize(tie_break, height, width).values;
  std::vector<int64_t> order(heat.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto rank = [&](int64_t i) { return std::pair(heat[static_cast<size_t>(i)], other[static_cast<size_t>(i)]); };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return rank(a) > rank(b); });
  return order;
}

Image replaced(const Image& image, const Image& by, const std::vector<int64_t>& order, int64_t count) {
  DURA_CHECK(image.height == by.height && image.width == by.width && image.channels == by.channels, "pixels of a ", by.height, "x",
             by.width, " picture cannot replace those of a ", image.height, "x", image.width, " one");
  Image out = image;
  for (int64_t k = 0; k < count; ++k)
    std::copy_n(&by.pixels[static_cast<size_t>(order[static_cast<size_t>(k)] * image.channels)], image.channels,
                &out.pixels[static_cast<size_t>(order[static_cast<size_t>(k)] * image.channels)]);
  return out;
}

namespace {

// The lines of DeletionCurves.
constexpr ProbabilityLine DeletionCurves::*lines[] = {&DeletionCurves::deletion, &DeletionCurves::insertion,
                                                      &DeletionCurves::random_deletion, &DeletionCurves::random_insertion};

// Appends the picture's probabilities at each step, line after line.
void follow_picture(std::vector<double>& numbers, Classifier& model, const Dataset& dataset, int64_t sample, const Explanation& explanation,
                    const DeletionOptions& o) {
  const Image image = to_rgb(dataset.image(sample)), blur = blurred(image, o.blur);
  const int64_t pixels = image.height * image.width;
  const uint64_t key = random_key(o.seed, "random maps") + dataset.sample(sample).key;
  const HeatMap random = random_map(explanation.map, key);
  const auto follow = [&](const Image& from, const Image& to, const std::vector<int64_t>& order) {
    std::vector<Image> images;
    for (int64_t k = 0; k <= o.steps; ++k) images.push_back(replaced(from, to, order, pixels * k / o.steps));
    for (const std::vector<double>& p : class_probabilities(model, images, o.batch))
      numbers.push_back(p[static_cast<size_t>(explanation.explained)]);
  };
  const std::vector<int64_t> hottest = hottest_first(explanation.map, random, image.height, image.width),
                             any = hottest_first(random, random, image.height, image.width);
  follow(image, blur, hottest);
  follow(blur, image, hottest);
  follow(image, blur, any);
  follow(blur, image, any);
}

}  // namespace

DeletionCurves deletion_curves(Classifier& model, const Dataset& dataset, const std::vector<int64_t>& samples,
                               const std::vector<Explanation>& explanations, const DeletionOptions& o) {
  DURA_CHECK(samples.size() == explanations.size() && !samples.empty() && o.steps > 0, "deletion curves: ", samples.size(), " pictures, ",
             explanations.size(), " maps, ", o.steps, " steps");
  DeletionCurves curves{.pictures = static_cast<int64_t>(samples.size())};
  const auto points = static_cast<size_t>(o.steps + 1);
  for (size_t k = 0; k < points; ++k) curves.share.push_back(static_cast<double>(k) / static_cast<double>(o.steps));
  for (const auto line : lines) (curves.*line).probability.assign(points, 0);
  std::vector<double> numbers;
  const Stretch own = o.shared.own(curves.pictures);
  for (int64_t i = own.begin; i < own.end; ++i)
    follow_picture(numbers, model, dataset, samples[static_cast<size_t>(i)], explanations[static_cast<size_t>(i)], o);
  numbers = o.shared.in_a_row(std::move(numbers));
  for (auto p = numbers.begin(); p != numbers.end();)
    for (const auto line : lines)
      for (size_t k = 0; k < points; ++k) (curves.*line).probability[k] += *p++ / static_cast<double>(samples.size());
  return curves;
}

}  // namespace dura
