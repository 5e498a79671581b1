#include "data/set/augment.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/core/backend.h"
#include "engine/base/random.h"

namespace dura {

Augmentation draw_augmentation(const AugmentPolicy& policy, uint64_t seed, uint64_t row_key, int64_t height, int64_t width) {
  Random random(random_key(seed, "augmentation"), row_key);
  const double angle = random.uniform(-policy.rotation, policy.rotation) * (std::numbers::pi / 180);
  const double flip_columns = random.chance(policy.horizontal_flip) ? -1 : 1;
  const double flip_rows = random.chance(policy.vertical_flip) ? -1 : 1;
  const double row_zoom = random.uniform(policy.zoom_low, policy.zoom_high);
  const double second_zoom = random.uniform(policy.zoom_low, policy.zoom_high);
  const double column_zoom = policy.zoom_axes_apart ? second_zoom : row_zoom;
  const double row_shift = random.uniform(-policy.shift, policy.shift) * static_cast<double>(height);
  const double column_shift = random.uniform(-policy.shift, policy.shift) * static_cast<double>(width);
  Augmentation a;
  a.sharpness = static_cast<float>(random.uniform(policy.sharpness_low, policy.sharpness_high));
  a.brightness = static_cast<float>(random.uniform(policy.brightness_low, policy.brightness_high));
  a.contrast = static_cast<float>(random.uniform(policy.contrast_low, policy.contrast_high));
  if (!random.chance(policy.sharpness_probability)) a.sharpness = 1;

  // From the output back to the slice, about the centre: flip, shrink by the zoom, turn.
  const double cos = std::cos(angle), sin = std::sin(angle);
  const double m[4] = {cos * flip_rows / row_zoom, -sin * flip_columns / column_zoom, sin * flip_rows / row_zoom,
                       cos * flip_columns / column_zoom};
  const double center_row = static_cast<double>(height - 1) / 2, center_column = static_cast<double>(width - 1) / 2;
  const double out_row = center_row + row_shift, out_column = center_column + column_shift;  // where the slice's centre comes to lie
  a.matrix = {static_cast<float>(m[0]), static_cast<float>(m[1]), static_cast<float>(center_row - m[0] * out_row - m[1] * out_column),
              static_cast<float>(m[2]), static_cast<float>(m[3]), static_cast<float>(center_column - m[2] * out_row - m[3] * out_column)};
  return a;
}

namespace {

// The picture through a kernel of the CPU that takes some parameters.
template <class Kernel>
void apply(Image& image, const std::vector<float>& parameters, const Kernel& kernel) {
  const Shape shape({1, image.height, image.width, image.channels});
  const Tensor y = Tensor::empty(shape, DType::u8, Device::cpu, "augmented slice");
  (backend(Device::cpu).*kernel)(Tensor::of(shape, image.pixels), Tensor::of({1, static_cast<int64_t>(parameters.size())}, parameters), y);
  std::copy_n(y.data<uint8_t>(), image.pixels.size(), image.pixels.begin());
}

void warp(Image& image, const Augmentation& a) { apply(image, {a.matrix.begin(), a.matrix.end()}, &Backend::warp); }

}  // namespace

Image augmented(Image image, const Augmentation& a) {
  if (a.matrix != Augmentation{}.matrix) warp(image, a);
  if (a.sharpness != 1 || a.brightness != 1 || a.contrast != 1) apply(image, {a.sharpness, a.brightness, a.contrast}, &Backend::enhance);
  return image;
}

Image warp_mask(const Image& mask, const Augmentation& augmentation) {
  DURA_CHECK(mask.channels == 1, "warp_mask: a mask has one channel, this one has ", mask.channels);
  Image out = mask;
  warp(out, augmentation);
  for (uint8_t& v : out.pixels) v = v >= 128 ? 255 : 0;
  return out;
}

}  // namespace dura
