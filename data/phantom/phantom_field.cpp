#include "data/phantom/phantom_field.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/base/random.h"

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

// Gaussian blur along one axis; edges repeat.
void blur(std::vector<float>& values, int64_t size, int64_t step, int64_t line_step, const std::vector<float>& taps) {
  const auto reach = static_cast<int64_t>(taps.size()) - 1;
  std::vector<float> line(static_cast<size_t>(size));
  for (int64_t l = 0; l < size; ++l) {
    for (int64_t i = 0; i < size; ++i) {
      const auto value = [&](int64_t at) {
        return values[static_cast<size_t>(l * line_step + std::clamp<int64_t>(at, 0, size - 1) * step)];
      };
      float sum = taps[0] * value(i);
      for (int64_t k = 1; k <= reach; ++k) sum += taps[static_cast<size_t>(k)] * (value(i - k) + value(i + k));
      line[static_cast<size_t>(i)] = sum;
    }
    for (int64_t i = 0; i < size; ++i) values[static_cast<size_t>(l * line_step + i * step)] = line[static_cast<size_t>(i)];
  }
}

std::vector<float> gaussian_taps(double sigma) {
  std::vector<float> taps;
  double sum = 0;
  for (int k = 0; k <= static_cast<int>(std::ceil(2.5 * sigma)); ++k) {
    taps.push_back(static_cast<float>(std::exp(-0.5 * k * k / (sigma * sigma))));
    sum += (k == 0 ? 1 : 2) * static_cast<double>(taps.back());
  }
  for (float& t : taps) t = static_cast<float>(t / sum);
  return taps;
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

Image scan(const std::vector<float>& brightness, int64_t size, double mm_per_pixel, uint64_t patient_key, uint64_t slice) {
  Random random(random_key(patient_key, "scanner"));
  const double blur_mm = random.uniform(0.5, 0.9), noise = random.uniform(0.015, 0.05), window = random.uniform(78, 115),
               gamma = random.uniform(0.9, 1.1);
  std::array<double, 5> bias;  // log sensitivity: slopes and curvatures over half the picture
  for (double& b : bias) b = random.uniform(-0.14, 0.14);

  std::vector<float> values = brightness;
  const std::vector<float> taps = gaussian_taps(blur_mm / mm_per_pixel);
  blur(values, size, 1, size, taps), blur(values, size, size, 1, taps);

  Random grain(random_key(patient_key, "grain"), slice);
  Image image(size, size, 1);
  for (int64_t row = 0; row < size; ++row)
    for (int64_t column = 0; column < size; ++column) {
      const double x = 2 * (static_cast<double>(column) + 0.5) / static_cast<double>(size) - 1,
                   y = 2 * (static_cast<double>(row) + 0.5) / static_cast<double>(size) - 1;
      const double sensitivity = std::exp(bias[0] * x + bias[1] * y + bias[2] * x * y + bias[3] * x * x + bias[4] * y * y);
      const double signal = sensitivity * static_cast<double>(values[static_cast<size_t>(row * size + column)]);
      // Box and Muller's pair is the complex noise of the two receiver channels; the picture is the magnitude (Rice; Gudbjartsson and Patz,
      // "The Rician distribution of noisy MRI data", Magn. Reson. Med. 34, 1995).
      const double radius = noise * std::sqrt(-2 * std::log(1 - grain.uniform())), turn = 6.283185307179586 * grain.uniform();
      const double magnitude = std::hypot(signal + radius * std::cos(turn), radius * std::sin(turn));
      image.at(row, column) = static_cast<uint8_t>(std::clamp(std::lround(window * std::pow(magnitude, gamma)), 0L, 255L));
    }
  return image;
}

}  // namespace dura
