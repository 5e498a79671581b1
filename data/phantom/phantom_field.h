// What phantoms are drawn with: smooth random functions of space, with positions in millimetres, and the scanner that makes a picture.
// Invariant: a field is a function of its key alone, so neighbouring slices of one patient cut through the same field.
#pragma once
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "data/image/image.h"
#include "engine/base/random.h"

namespace dura {

struct Point {
  float x = 0, y = 0;
  Point operator+(Point o) const { return {x + o.x, y + o.y}; }
  Point operator-(Point o) const { return {x - o.x, y - o.y}; }
  Point operator*(float s) const { return {x * s, y * s}; }
};
inline float dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }
inline float length(Point a) { return std::sqrt(dot(a, a)); }

constexpr float pi = std::numbers::pi_v<float>;
inline float draw(Random& random, double low, double high) { return static_cast<float>(random.uniform(low, high)); }
inline float clamp01(float v) { return v < 0 ? 0.0f : v > 1 ? 1.0f : v; }
inline float mix(float a, float b, float share) { return a + (b - a) * share; }
// 0 below `low`, 1 above `high`, smooth between.
inline float smooth_step(float low, float high, float v) {
  const float t = clamp01((v - low) / (high - low));
  return t * t * (3 - 2 * t);
}
// Share of a pixel that lies inside an edge at signed distance `inside` (positive inside), both in mm.
inline float coverage(float inside, float softness) { return smooth_step(-0.5f * softness, 0.5f * softness, inside); }
// 1 at v = centre, 0 at |v - centre| >= half: how much of a structure of that height a slice at level v cuts.
inline float section(float v, float centre, float half) {
  const float t = (v - centre) / half;
  return t * t < 1 ? std::sqrt(1 - t * t) : 0.0f;
}
// Distance to the segment from a to b.
float segment_distance(Point p, Point a, Point b);

// Value noise: random numbers on a lattice of 16^3 that repeats, joined by smooth cubics. Values in (-1, 1), one feature per unit.
class NoiseField {
 public:
  explicit NoiseField(uint64_t key);
  float at(float x, float y, float z) const;
  // Octaves of halving size and amplitude, scaled back to about (-1, 1).
  float fractal(float x, float y, float z, int octaves) const;

 private:
  std::vector<float> lattice_;
};

// A sum of plane waves of one wavelength in random directions. Its zero lines wind like the sulci of a cortex, about half a wavelength
// apart (the nodal lines of random waves: Berry, "Regular and irregular semiclassical wavefunctions", J. Phys. A 10, 1977).
class WaveField {
 public:
  WaveField(uint64_t key, float wavelength);
  // About the distance in mm to the nearest zero line, signed: the value divided by the field's gradient.
  float line_distance(float x, float y, float z) const;

 private:
  struct Wave {
    float kx, ky, kz, phase;
  };
  std::vector<Wave> waves_;
  float wave_number_;
};

// From brightness to grey levels as a scanner delivers them: blur of the imaging process, uneven coil sensitivity, Rician noise, window.
// Invariant: what a patient's slices share (sensitivity, noise level, window) depends on the patient's key alone; noise on the slice's too.
//
// `brightness` has size*size values, white matter about 1. `slice` tells the noise of one patient's slices apart.
Image scan(const std::vector<float>& brightness, int64_t size, double mm_per_pixel, uint64_t patient_key, uint64_t slice);

}  // namespace dura
