// Speed and memory of inference and of a training step of ResNet on random images: what `dura-bench` prints.
#pragma once
#include <string>

#include "models/classifier.h"

namespace dura {

struct BenchmarkOptions {
  std::string mode = "inf";  // inf; train: all free; half: from layer3.3 on; head: the dense layer alone
  int depth = 50;
  int64_t batch = 16, size = 224, repetitions = 10, classes = 1000;
  TensorOptions tensors = {};
};

struct BenchmarkResult {
  std::vector<double> seconds;      // of each repetition, sorted
  double utilisation = 0;           // processor time / (wall time * threads), median
  size_t base_bytes = 0;            // peak resident memory of the process before the first step
  size_t peak_bytes = 0;            // and after the last
  size_t planned_bytes = 0;         // of the step's arena, by its dry run; 0 for inference
  size_t device_peak_bytes = 0;  // most that tensors on the device held at once
  double median() const { return seconds[seconds.size() / 2]; }
};

// Two unmeasured steps for inference and one for training come first: packing, page faults.
BenchmarkResult run_benchmark(const BenchmarkOptions& options);

// One line of JSON: mode, precision, bs, nt, med, min, max (seconds), ips_med, ips_max (images/s), util, rss, base (MiB), planned (MiB), device, device_peak (MiB of its tensors), kernels.
std::string benchmark_json(const BenchmarkOptions& options, const BenchmarkResult& result);

}  // namespace dura
