#include "data/set/augment.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "engine/base/text.h"
#include "engine/core/backend.h"

namespace dura {

namespace {

struct Parameter {
  const char* name;
  double AugmentPolicy::*low;
  double AugmentPolicy::*high;  // null where it is no range
  double least, most;
  const char* expected;
};
constexpr const char* a_probability = "a probability from 0 to 1";
constexpr const char* a_range = "LOW:HIGH as in 0.8:1.2, or a number D for 1-D to 1+D";
using P = AugmentPolicy;
constexpr Parameter parameters[] = {
    {"rotation", &P::rotation, nullptr, 0, 180, "degrees from 0 to 180"},
    {"hflip", &P::horizontal_flip, nullptr, 0, 1, a_probability},
    {"vflip", &P::vertical_flip, nullptr, 0, 1, a_probability},
    {"shift", &P::shift, nullptr, 0, 1, "a share of the side from 0 to 1"},
    {"zoom", &P::zoom_low, &P::zoom_high, 0.1, 10, a_range},
    {"sharpness", &P::sharpness_low, &P::sharpness_high, 0, 10, a_range},
    {"sharpness_p", &P::sharpness_probability, nullptr, 0, 1, a_probability},
    {"brightness", &P::brightness_low, &P::brightness_high, 0, 10, a_range},
    {"contrast", &P::contrast_low, &P::contrast_high, 0, 10, a_range},
};

std::optional<AugmentPolicy> named_set(const std::string& name) {
  if (name == "none") return AugmentPolicy{};
  if (name == "light") return light_augmentation();
  if (name == "strong") return strong_augmentation();
  return std::nullopt;
}

// False where `text` is no value of this kind.
bool set_parameter(AugmentPolicy& policy, const Parameter& p, const std::string& text) {
  const size_t colon = text.find(':');
  if (p.high && colon != std::string::npos) {
    const std::optional<double> low = parse_number(text.substr(0, colon)), high = parse_number(text.substr(colon + 1));
    if (!low || !high) return false;
    policy.*p.low = *low;
    policy.*p.high = *high;
    return true;
  }
  const std::optional<double> number = parse_number(text);
  if (!number || (p.high && *number < 0)) return false;
  policy.*p.low = p.high ? 1 - *number : *number;
  if (p.high) policy.*p.high = 1 + *number;
  return true;
}

void set_part(AugmentPolicy& policy, const std::string& name, const std::string& value, const std::string& who) {
  if (name == "zoom_axes") {
    if (value != "together" && value != "apart") fail_usage(who, ": zoom_axes is '", value, "', expected together or apart");
    policy.zoom_axes_apart = value == "apart";
    return;
  }
  std::string known;
  for (const Parameter& p : parameters) {
    known += concat(p.name, ", ");
    if (name != p.name) continue;
    if (!set_parameter(policy, p, value)) fail_usage(who, ": ", name, " is '", value, "', expected ", p.expected);
    return;
  }
  fail_usage(who, ": there is no '", name, "'. Expected none, light or strong, then NAME=VALUE with the names ", known, "zoom_axes.");
}

// The picture through a kernel of the CPU that takes some parameters: kernel(backend, x, parameters, y).
template <class Kernel>
void apply(Image& image, const std::vector<float>& values, const Kernel& kernel) {
  const Shape shape({1, image.height, image.width, image.channels});
  const Tensor y = Tensor::empty(shape, DType::u8, Device::cpu, "augmented slice");
  kernel(backend(Device::cpu), Tensor::of(shape, image.pixels), Tensor::of({1, static_cast<int64_t>(values.size())}, values), y);
  std::copy_n(y.data<uint8_t>(), image.pixels.size(), image.pixels.begin());
}

void warp(Image& image, const Augmentation& a) {
  apply(image, {a.matrix.begin(), a.matrix.end()},
        [](Backend& b, const Tensor& x, const Tensor& matrices, const Tensor& y) { b.warp(x, {}, matrices, y); });
}

}  // namespace

void AugmentPolicy::check(const std::string& who) const {
  for (const Parameter& p : parameters) {
    for (const double value : {this->*p.low, this->*(p.high ? p.high : p.low)})
      if (!(value >= p.least && value <= p.most))
        fail_usage(who, ": ", p.name, " is ", value, ", it must be from ", p.least, " to ", p.most);
    if (p.high && this->*p.low > this->*p.high)
      fail_usage(who, ": the range of ", p.name, " is reversed, ", this->*p.low, " to ", this->*p.high);
  }
}

AugmentPolicy strong_augmentation() {
  return {.rotation = 20,
          .horizontal_flip = 0.5,
          .vertical_flip = 0.5,
          .zoom_low = 0.8,
          .zoom_high = 1.2,
          .sharpness_low = 1,
          .sharpness_high = 2,
          .sharpness_probability = 0.5};
}

AugmentPolicy light_augmentation() { return {.rotation = 5, .horizontal_flip = 0.5, .zoom_low = 0.95, .zoom_high = 1.05}; }

AugmentPolicy parse_augment_policy(const std::string& text, const AugmentPolicy& base, const std::string& who) {
  AugmentPolicy policy = base;
  std::set<std::string> seen;
  const std::vector<std::string> parts = split_at(text, ',');
  for (const std::string& part : parts) {
    const size_t equals = part.find('=');
    const std::string name = part.substr(0, equals);
    if (const std::optional<AugmentPolicy> set = named_set(part)) {
      if (&part != &parts.front()) fail_usage(who, ": '", part, "' must stand first, because it sets everything");
      policy = *set;
      continue;
    }
    if (!seen.insert(name).second) fail_usage(who, ": ", name, " is given twice");
    set_part(policy, name, equals == std::string::npos ? "" : part.substr(equals + 1), who);
  }
  policy.check(who);
  return policy;
}

std::string describe(const AugmentPolicy& policy) {
  const AugmentPolicy nothing;
  std::vector<std::string> parts;
  for (const Parameter& p : parameters) {
    const bool same = policy.*p.low == nothing.*p.low && (!p.high || policy.*p.high == nothing.*p.high);
    if (!same) parts.push_back(concat(p.name, "=", shortest(policy.*p.low), p.high ? ":" + shortest(policy.*p.high) : ""));
  }
  if (policy.zoom_axes_apart) parts.push_back("zoom_axes=apart");
  return parts.empty() ? "none" : joined(parts, ",");
}

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

Image augmented(Image image, const Augmentation& a) {
  if (a.matrix != Augmentation{}.matrix) warp(image, a);
  if (a.sharpness != 1 || a.brightness != 1 || a.contrast != 1)
    apply(image, {a.sharpness, a.brightness, a.contrast},
          [](Backend& b, const Tensor& x, const Tensor& factors, const Tensor& y) { b.enhance(x, factors, y); });
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
