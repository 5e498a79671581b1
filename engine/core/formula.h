// Scalar formulas shared by every device, so that a number is computed in one way only. A CUDA translation unit sees them as device code.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

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

// What a stored element is computed with, and the element that a number is stored as.
DURA_HOST_DEVICE inline float loaded(f16 v) { return from_f16(v); }
DURA_HOST_DEVICE inline float loaded(bf16 v) { return from_bf16(v); }
template <class T>
DURA_HOST_DEVICE inline T loaded(T v) {
  return v;
}
template <class T, class V>
DURA_HOST_DEVICE inline T stored(V v) {
  if constexpr (std::is_same_v<T, f16>)
    return to_f16(static_cast<float>(v));
  else if constexpr (std::is_same_v<T, bf16>)
    return to_bf16(static_cast<float>(v));
  else
    return static_cast<T>(v);
}

// ---- loss ------------------------------------------------------------------------------------------------------------

// What -log p[k] counts for in the loss of a row with this label: a_ik of kernels.inc. Weights may be null: all 1.
template <class T>
DURA_HOST_DEVICE inline double class_share(int64_t k, int64_t label, int64_t K, const T* weights, bool by_weights, double smoothing) {
  const double of_label = weights ? static_cast<double>(weights[label]) : 1.0;
  const double of_class = weights && by_weights ? static_cast<double>(weights[k]) : of_label;
  return (k == label ? (1 - smoothing) * of_label : 0.0) + smoothing / static_cast<double>(K) * of_class;
}

// ---- guidance --------------------------------------------------------------------------------------------------------

// The class with the largest logit but the label's, the first of equals. At least two classes.
template <class T>
DURA_HOST_DEVICE inline int32_t strongest_other(const T* logits, int64_t label, int64_t K) {
  int64_t best = label == 0 ? 1 : 0;
  for (int64_t k = best + 1; k < K; ++k)
    if (k != label && loaded(logits[k]) > loaded(logits[best])) best = k;
  return static_cast<int32_t>(best);
}

// Below this sum a map shows nothing, and a share of it means nothing.
constexpr double least_map_sum = 1e-7;

// 1 - t/s of a row, and its derivative by the map's value m = max(m, 0) at a cell inside of the lesion (1) or outside (0). NaN passes.
DURA_HOST_DEVICE inline double energy_outside(double s, double t) { return 1 - t / s; }
DURA_HOST_DEVICE inline double energy_slope(double m, double inside, double s, double t) { return m == 0 ? 0 : (t / s - inside) / s; }

// ---- pooling ---------------------------------------------------------------------------------------------------------

// The windows [first, end) along one side, of `windows`, that cover position `at`.
struct WindowRange {
  int64_t first, end;
};
DURA_HOST_DEVICE inline WindowRange windows_over(int64_t at, int64_t kernel, int64_t stride, int64_t padding, int64_t windows) {
  const int64_t reach = at + padding - kernel + stride, end = (at + padding) / stride + 1;
  return {reach > 0 ? reach / stride : 0, end < windows ? end : windows};
}

// ---- batch normalisation ---------------------------------------------------------------------------------------------

// How many numbers there are, their mean, and the sum of squared distances from it.
struct Moments {
  double count, mean, m2;

  // Chan's merge instead of E[x^2]-E[x]^2: in f32 the one-pass form loses all digits when |mean| > 1000 * std.
  DURA_HOST_DEVICE void add(double n, double other_mean, double other_m2) {
    if (n == 0) return;
    const double d = other_mean - mean;
    m2 += other_m2 + d * d * count * n / (count + n);
    mean += d * n / (count + n);
    count += n;
  }
};

// From the biased variance of `count` numbers to the unbiased one.
DURA_HOST_DEVICE inline double unbiased_correction(int64_t count) {
  return count > 1 ? static_cast<double>(count) / static_cast<double>(count - 1) : 1.0;
}

// A running statistic after one more batch.
template <class T>
DURA_HOST_DEVICE inline T moving(T running, double batch, double momentum, double correction = 1.0) {
  return static_cast<T>((1 - momentum) * static_cast<double>(running) + momentum * correction * batch);
}

// gamma * (x - mean) * invstd + beta as x * scale + shift.
template <class T>
DURA_HOST_DEVICE inline void fold(T gamma, T beta, double mean, double invstd, T* scale, T* shift) {
  const double s = static_cast<double>(gamma) * invstd;
  *scale = static_cast<T>(s);
  *shift = static_cast<T>(static_cast<double>(beta) - mean * s);
}

// ---- activations ---------------------------------------------------------------------------------------------

// NaN passes, as in every framework: a broken number must not be hidden.
template <class T>
DURA_HOST_DEVICE inline T relu(T x) {
  return x < 0 ? T(0) : x;
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

// Between four pixels: `left` and `right` of two rows. The shares are those of the lower row and of the right column.
DURA_HOST_DEVICE inline uint8_t between_pixels(const uint8_t* upper, const uint8_t* lower, int64_t left, int64_t right, float share_low,
                                               float share_right) {
  const float up = (1.0f - share_right) * static_cast<float>(upper[left]) + share_right * static_cast<float>(upper[right]);
  const float down = (1.0f - share_right) * static_cast<float>(lower[left]) + share_right * static_cast<float>(lower[right]);
  return round_u8((1.0f - share_low) * up + share_low * down);
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

}  // namespace dura::formula
