// Weights, statistics, inputs and labels of a ResNet from an integer hash of (tensor name, element index), so that golden tests need no
// large file. tests/golden/hash_weights.py is the same formula; both sides must give the same bits, and a checksum says so before any
// golden value is compared.
//
// Every value is an integer below 2^24 times a power of two: exact in f32 and in f64, so networks of both precisions begin from the same
// numbers. Elements are indexed in torchvision's order: filters (K,C,R,S), images (N,C,H,W).
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "engine/core/formula.h"
#include "engine/base/random.h"

namespace dura::golden {

// An odd integer in [-4095, 4095], uniform: symmetric, and never zero.
inline int64_t hash_integer(uint64_t key, uint64_t index) { return 2 * static_cast<int64_t>(formula::mix64(key + index) >> 52) - 4095; }

struct NamedShape {
  std::string name;
  std::vector<int64_t> extents;  // torchvision's order
  int64_t numel() const {
    int64_t n = 1;
    for (int64_t e : extents) n *= e;
    return n;
  }
};

// The tensors of torchvision's resnet{18,34,50,101} with `classes` outputs, in the order of its state_dict, num_batches_tracked left out.
inline std::vector<NamedShape> resnet_tensors(int depth, int64_t classes) {
  const bool bottleneck = depth >= 50;
  const int64_t expansion = bottleneck ? 4 : 1;
  const std::vector<int> blocks = depth == 18 ? std::vector{2, 2, 2, 2} : depth == 101 ? std::vector{3, 4, 23, 3} : std::vector{3, 4, 6, 3};
  std::vector<NamedShape> all;
  const auto norm = [&](const std::string& name, int64_t channels) {
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"}) all.push_back({name + part, {channels}});
  };
  const auto conv = [&](const std::string& name, int64_t out, int64_t in, int64_t size) {
    all.push_back({name + ".weight", {out, in, size, size}});
  };
  conv("conv1", 64, 3, 7);
  norm("bn1", 64);
  int64_t in = 64;
  for (int layer = 1; layer <= 4; ++layer) {
    const int64_t width = 64 << (layer - 1), out = width * expansion;
    for (int b = 0; b < blocks[static_cast<size_t>(layer - 1)]; ++b) {
      const std::string block = "layer" + std::to_string(layer) + "." + std::to_string(b) + ".";
      const auto unit = [&](int i, int64_t k, int64_t c, int64_t size) {
        conv(block + "conv" + std::to_string(i), k, c, size);
        norm(block + "bn" + std::to_string(i), k);
      };
      if (bottleneck) {
        unit(1, width, in, 1);
        unit(2, width, width, 3);
        unit(3, out, width, 1);
      } else {
        unit(1, width, in, 3);
        unit(2, width, width, 3);
      }
      if (b == 0 && (layer > 1 || in != out)) {
        conv(block + "downsample.0", out, in, 1);
        norm(block + "downsample.1", out);
      }
      in = out;
    }
  }
  all.push_back({"fc.weight", {classes, in}});
  all.push_back({"fc.bias", {classes}});
  return all;
}

// The values of one tensor of resnet_tensors(depth, ...).
inline std::vector<double> hash_tensor(const NamedShape& tensor, int depth) {
  const auto ends_with = [&](const std::string& end) {
    return tensor.name.size() >= end.size() && tensor.name.compare(tensor.name.size() - end.size(), end.size(), end) == 0;
  };
  const std::string last_norm = depth >= 50 ? "bn3" : "bn2";
  // value = (offset*4096 + integer*spread) * 2^-24: `offset` in units of 2^-12, `spread` the half width in units of 2^-12.
  int64_t offset = 0, spread = 0;
  if (tensor.extents.size() > 1) {
    // Uniform within +-sqrt(gain*3/fan), rounded down to a multiple of 2^-12: He et al. 2015 with gain 2 before a ReLU, 1 for the
    // classifier.
    int64_t fan = 1;
    for (size_t i = 1; i < tensor.extents.size(); ++i) fan *= tensor.extents[i];
    const int64_t gain = tensor.extents.size() == 4 ? 2 : 1;
    while ((spread + 1) * (spread + 1) * fan <= gain * 3 * (int64_t{1} << 24)) ++spread;
  } else if (ends_with(last_norm + ".weight")) {
    offset = 768, spread = 256;  // gamma of a residual branch, 0.125 to 0.25: deep activations stay of order 1
  } else if (ends_with("running_var")) {
    offset = 4096, spread = 2048;
  } else if (ends_with("running_mean") || ends_with(".bias")) {
    spread = 1024;
  } else {
    offset = 4096, spread = 1024;  // gamma
  }
  const uint64_t key = hash_name(tensor.name);
  std::vector<double> values(static_cast<size_t>(tensor.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(offset * 4096 + hash_integer(key, i) * spread) * 0x1p-24;
  return values;
}

// Images in [-2, 2], (N,3,size,size).
inline std::vector<double> hash_images(uint64_t seed, int64_t count, int64_t size) {
  const uint64_t key = formula::mix64(hash_name("images") + seed);
  std::vector<double> values(static_cast<size_t>(count * 3 * size * size));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(hash_integer(key, i)) * 0x1p-11;
  return values;
}

inline std::vector<int32_t> hash_labels(uint64_t seed, int64_t count, int64_t classes) {
  const uint64_t key = formula::mix64(hash_name("labels") + seed);
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < count; ++i)
    labels.push_back(static_cast<int32_t>(formula::mix64(key + static_cast<uint64_t>(i)) % static_cast<uint64_t>(classes)));
  return labels;
}

// Depends on the bits and the place of every value.
inline uint64_t checksum(const std::vector<double>& values) {
  uint64_t sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    uint64_t bits;
    std::memcpy(&bits, &values[i], sizeof bits);
    sum += formula::mix64(bits ^ formula::mix64(i));
  }
  return sum;
}

// What is stored of a large tensor. A wrong or missing element changes the first three, a wrong order the projection and the samples.
struct Digest {
  static constexpr int samples = 8;
  double sum = 0, l2 = 0, projection = 0;  // the projection is a sum with hash-chosen signs
  double sample[samples] = {};
};

inline Digest digest(const std::string& name, const std::vector<double>& values) {
  Digest d;
  const uint64_t key = hash_name(name);
  for (size_t i = 0; i < values.size(); ++i) {
    d.sum += values[i];
    d.l2 += values[i] * values[i];
    d.projection += formula::mix64(key + i) >> 63 ? -values[i] : values[i];
  }
  d.l2 = std::sqrt(d.l2);
  for (uint64_t j = 0; j < Digest::samples; ++j) d.sample[j] = values[formula::mix64(formula::mix64(key) + j) % values.size()];
  return d;
}

// The largest difference of two digests of a tensor with `count` elements, relative to what each number can be: the L2 norm for itself, by
// Cauchy and Schwarz L2*sqrt(count) for the sums, and for an element its own size or the root mean square, whichever is larger.
inline double difference(const Digest& found, const Digest& expected, size_t count) {
  const double root = std::sqrt(static_cast<double>(count)), tiny = 1e-300;
  double worst = std::abs(found.l2 - expected.l2) / (expected.l2 + tiny);
  worst = std::fmax(worst, std::abs(found.sum - expected.sum) / (expected.l2 * root + tiny));
  worst = std::fmax(worst, std::abs(found.projection - expected.projection) / (expected.l2 * root + tiny));
  for (int j = 0; j < Digest::samples; ++j)
    worst = std::fmax(worst,
                      std::abs(found.sample[j] - expected.sample[j]) / std::fmax(std::abs(expected.sample[j]), expected.l2 / root + tiny));
  return std::isfinite(found.l2) ? worst : INFINITY;
}

}  // namespace dura::golden
