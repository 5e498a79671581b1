// Scalar formulas shared by every device, so that a number is computed in one way only. A CUDA translation unit sees them as device code.
#pragma once
#include <cstdint>
#include <cstring>

#include "engine/base/philox.h"
#include "engine/core/dtype.h"

namespace dura::formula {

// ---- 16-bit storage types -------------------------------------------------------------------------------------------

DURA_HOST_DEVICE inline uint32_t float_bits(float v) {
  uint32_t b;
  memcpy(&b, &v, sizeof b);
  return b;
}
DURA_HOST_DEVICE inline float bits_float(uint32_t b) {
  float v;
  memcpy(&v, &b, sizeof v);
  return v;
}

// chosen where the condition holds, else other. By masks: of a branch a compiler makes no vector code where floats are computed in it.
DURA_HOST_DEVICE inline uint32_t choose(bool condition, uint32_t chosen, uint32_t other) {
  const uint32_t mask = 0u - static_cast<uint32_t>(condition);
  return (chosen & mask) | (other & ~mask);
}

// Rounding is to nearest, ties to even, as the hardware does it; overflow gives infinity, NaN stays NaN.
DURA_HOST_DEVICE inline bf16 to_bf16(float v) {
  const uint32_t b = float_bits(v), rounded = (b + 0x7fffu + ((b >> 16) & 1u)) >> 16, quiet_nan = (b >> 16) | 0x40u;
  return {static_cast<uint16_t>(choose(static_cast<int32_t>(b & 0x7fffffffu) > 0x7f800000, quiet_nan, rounded))};
}
DURA_HOST_DEVICE inline float from_bf16(bf16 v) { return bits_float(static_cast<uint32_t>(v.bits) << 16); }

DURA_HOST_DEVICE inline f16 to_f16(float v) {
  const uint32_t b = float_bits(v), sign = (b >> 16) & 0x8000u, magnitude = b & 0x7fffffffu;
  const int32_t size = static_cast<int32_t>(magnitude);
  const uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13;
  // Below 2^-14, where binary16 is subnormal: adding 0.5 aligns the wanted bits and rounds them.
  const uint32_t subnormal = float_bits(bits_float(magnitude) + 0.5f) - 0x3f000000u;
  uint32_t bits = choose(size < 0x38800000, subnormal, normal);
  bits = choose(size >= 0x477ff000, 0x7c00u, bits);  // 65520 and above round to infinity
  bits = choose(size > 0x7f800000, 0x7e00u, bits);
  return {static_cast<uint16_t>(sign | bits)};
}
DURA_HOST_DEVICE inline float from_f16(f16 v) {
  const uint32_t sign = static_cast<uint32_t>(v.bits & 0x8000u) << 16, magnitude = static_cast<uint32_t>(v.bits & 0x7fffu) << 13;
  const int32_t size = static_cast<int32_t>(magnitude);
  const uint32_t normal = magnitude + 0x38000000u, infinite = magnitude + 0x70000000u;
  // The mantissa as one of 2^-14, less 2^-14: no arithmetic on subnormal floats, which is slow on many processors.
  const uint32_t subnormal = float_bits(bits_float(normal + 0x00800000u) - 6.103515625e-05f);
  uint32_t bits = choose(size >= 0x0f800000, infinite, normal);
  bits = choose(size < 0x00800000, subnormal, bits);
  return bits_float(sign | bits);
}

// ---- loss ------------------------------------------------------------------------------------------------------------

// What -log p[k] counts for in the loss of a row with this label: a_ik of backend.h. Weights may be null: all 1.
template <class T>
DURA_HOST_DEVICE inline double class_share(int64_t k, int64_t label, int64_t K, const T* weights, bool by_weights, double smoothing) {
  const double of_label = weights ? static_cast<double>(weights[label]) : 1.0;
  const double of_class = weights && by_weights ? static_cast<double>(weights[k]) : of_label;
  return (k == label ? (1 - smoothing) * of_label : 0.0) + smoothing / static_cast<double>(K) * of_class;
}

// ---- activations and optimizer ---------------------------------------------------------------------------------------------

// NaN passes, as in every framework: a broken number must not be hidden.
template <class T>
DURA_HOST_DEVICE inline T relu(T x) {
  return x < 0 ? T(0) : x;
}

// What one Adam step needs besides the moments; t counts from 1 (Kingma and Ba 2015, section 2).
// Keras: p -= lr*sqrt(1-b2^t)/(1-b1^t) * m/(sqrt(v) + eps).  PyTorch: p -= lr/(1-b1^t) * m/(sqrt(v)/sqrt(1-b2^t) + eps).
struct AdamStep {
  double rate;             // multiplies m / denominator
  double root_correction;  // multiplies sqrt(v)
  double beta1, beta2, eps;
  double gradient_factor;  // undoes the loss scale, and clips
  double decay;            // lr * weight decay
};

// What gradients are multiplied by so that their norm is at most clip_norm; the small number is PyTorch's (clip_grad_norm_).
DURA_HOST_DEVICE inline double clip_factor(double clip_norm, double norm) {
  return clip_norm > 0 && norm + 1e-6 > clip_norm ? clip_norm / (norm + 1e-6) : 1.0;
}

template <class T>
DURA_HOST_DEVICE inline T adam(const AdamStep& s, T gradient, T parameter, T* m, T* v, T root(T)) {
  const T g = gradient * static_cast<T>(s.gradient_factor);
  *m += (g - *m) * static_cast<T>(1 - s.beta1);
  *v += (g * g - *v) * static_cast<T>(1 - s.beta2);
  // One subtraction: 1 - decay, which is as close to 1 as numbers get, is never rounded.
  return parameter - (static_cast<T>(s.rate) * *m / (root(*v) * static_cast<T>(s.root_correction) + static_cast<T>(s.eps)) +
                      static_cast<T>(s.decay) * parameter);
}

// ---- 8-bit images ----------------------------------------------------------------------------------------------------

// Bilinear sampling along one axis of n pixels: pixel `low` with weight 1-share, pixel `high` with weight share. Outside, the border
// repeats.
template <class T>
struct LinearTap {
  int32_t low, high;
  T share;
};

template <class T>
DURA_HOST_DEVICE inline LinearTap<T> linear_tap(T position, int32_t n) {
  const T last = static_cast<T>(n - 1);
  const T p = position > 0 ? (position < last ? position : last) : T(0);  // written so that NaN becomes 0, not an address
  const int32_t low = static_cast<int32_t>(p);
  return {low, low + 1 < n ? low + 1 : low, p - static_cast<T>(low)};
}

DURA_HOST_DEVICE inline uint8_t round_u8(float v) {
  return v > 0.0f ? (v < 255.0f ? static_cast<uint8_t>(v + 0.5f) : uint8_t{255}) : uint8_t{0};
}

// Pillow's SMOOTH filter: weights 1 around and 5 in the middle, over 13, rounded. `sum` is that of all nine pixels. A tie cannot occur.
DURA_HOST_DEVICE inline uint8_t smooth_u8(int32_t sum, int32_t middle) { return static_cast<uint8_t>((2 * (sum + 4 * middle) + 13) / 26); }

// Pillow's Image.blend: from a (factor 0) to b (factor 1) and beyond, cut off, not rounded.
DURA_HOST_DEVICE inline uint8_t blend_u8(uint8_t a, uint8_t b, float factor) {
  const float v = static_cast<float>(a) + factor * static_cast<float>(static_cast<int32_t>(b) - static_cast<int32_t>(a));
  return v > 0.0f ? (v < 255.0f ? static_cast<uint8_t>(v) : uint8_t{255}) : uint8_t{0};
}

// Brightness is a factor, contrast stretches about the middle grey 128.
DURA_HOST_DEVICE inline uint8_t brightness_contrast_u8(uint8_t v, float brightness, float contrast) {
  return round_u8((static_cast<float>(v) * brightness - 128.0f) * contrast + 128.0f);
}

// ---- heat maps -------------------------------------------------------------------------------------------------------

// A map of `width` cells in a row, bilinear between the four cells around a place.
DURA_HOST_DEVICE inline float between_cells(const float* map, int64_t width, const LinearTap<double>& row,
                                            const LinearTap<double>& column) {
  const float *upper = map + row.low * width, *lower = map + row.high * width;
  const double top = upper[column.low] + column.share * (static_cast<double>(upper[column.high]) - upper[column.low]);
  const double bottom = lower[column.low] + column.share * (static_cast<double>(lower[column.high]) - lower[column.low]);
  return static_cast<float>(top + row.share * (bottom - top));
}

// The colour map "jet", from dark blue through cyan, green and yellow to dark red: channel c (red, green, blue) is 1.5 - |4t - k| with
// k = 3, 2, 1, cut off at 0 and 1. t outside of [0,1] is cut off too, NaN is 0.
DURA_HOST_DEVICE inline uint8_t jet(double t, int channel) {
  const double inside = t > 0 ? (t < 1 ? t : 1.0) : 0.0, distance = 4 * inside - (3 - channel);
  const double level = 1.5 - (distance < 0 ? -distance : distance);
  return static_cast<uint8_t>(255 * (level > 0 ? (level < 1 ? level : 1.0) : 0.0) + 0.5);
}

DURA_HOST_DEVICE inline uint8_t mix_u8(uint8_t over, uint8_t under, double opacity) {
  return static_cast<uint8_t>(opacity * over + (1 - opacity) * under + 0.5);
}

}  // namespace dura::formula
