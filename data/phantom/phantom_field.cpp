#include "data/phantom/phantom_field.h"

#include <algorithm>

namespace dura {

namespace {
constexpr int lattice_bits = 4, lattice_size = 1 << lattice_bits;
constexpr int wave_count = 10;

struct Cell {
  int low, high;
  float share;
};
Cell cell_of(float v) {
  const float whole = std::floor(v), t = v - whole;
  const int i = static_cast<int>(whole);
  return {i & (lattice_size - 1), (i + 1) & (lattice_size - 1), t * t * (3 - 2 * t)};
}
}  // namespace

float segment_distance(Point p, Point a, Point b) {
  const Point along = b - a, from = p - a;
  const float square = dot(along, along);
  return length(from - along * (square > 0 ? clamp01(dot(from, along) / square) : 0.0f));
}

NoiseField::NoiseField(uint64_t key) : lattice_(lattice_size * lattice_size * lattice_size) {
  Random random(key);
  for (float& v : lattice_) v = 2 * formula::uniform01(random.next_u32()) - 1;
}

float NoiseField::at(float x, float y, float z) const {
  const Cell cx = cell_of(x), cy = cell_of(y), cz = cell_of(z);
  const auto line = [&](int iz, int iy) {
    const float* row = &lattice_[static_cast<size_t>((iz << (2 * lattice_bits)) | (iy << lattice_bits))];
    return mix(row[cx.low], row[cx.high], cx.share);
  };
  const auto plane = [&](int iz) { return mix(line(iz, cy.low), line(iz, cy.high), cy.share); };
  return mix(plane(cz.low), plane(cz.high), cz.share);
}

float NoiseField::fractal(float x, float y, float z, int octaves) const {
  float sum = 0, amplitude = 1, square = 0;
  for (int i = 0; i < octaves; ++i) {
    // The shift keeps the octaves' lattices from sharing corners, which would show as a star.
    sum += amplitude * at(x + 5.3f * static_cast<float>(i), y + 2.7f * static_cast<float>(i), z + 3.9f * static_cast<float>(i));
    square += amplitude * amplitude;
    amplitude *= 0.5f, x *= 2, y *= 2, z *= 2;
  }
  return sum / std::sqrt(square);
}

WaveField::WaveField(uint64_t key, float wavelength) : wave_number_(6.2831853f / wavelength) {
  Random random(key);
  for (int i = 0; i < wave_count; ++i) {
    // Directions lie close to the plane of the slice: sulci run steeply, so that neighbouring slices look alike.
    const double turn = random.uniform(0, 6.283185307), tilt = random.uniform(-0.5, 0.5), stretch = random.uniform(0.8, 1.2) * wave_number_;
    waves_.push_back({static_cast<float>(stretch * std::cos(turn) * std::cos(tilt)),
                      static_cast<float>(stretch * std::sin(turn) * std::cos(tilt)), static_cast<float>(stretch * std::sin(tilt)),
                      static_cast<float>(random.uniform(0, 6.283185307))});
  }
}

float WaveField::line_distance(float x, float y, float z) const {
  float value = 0, gx = 0, gy = 0;
  for (const Wave& w : waves_) {
    const float angle = w.kx * x + w.ky * y + w.kz * z + w.phase, s = std::sin(angle);
    value += std::cos(angle), gx -= w.kx * s, gy -= w.ky * s;
  }
  // Where waves cancel the gradient vanishes and the quotient would burst: a third of its usual size is the least that counts.
  const float usual = wave_number_ * std::sqrt(0.5f * wave_count);
  return value / std::max(std::sqrt(gx * gx + gy * gy), 0.33f * usual);
}

}  // namespace dura
