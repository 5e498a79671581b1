// Speed and memory of inference and of a training step of ResNet on random images: what `dura-bench` prints.
#pragma once
#include <string>

#include "apps/program/text_table.h"
#include "engine/plan/meta_backend.h"
#include "models/network/classifier.h"

namespace dura {

struct BenchmarkOptions {
  std::string mode = "inf";  // inf; train: all free; half: from layer3.3 on; head: the dense layer alone
  int depth = 50;
  int64_t batch = 16, size = 224, repetitions = 10, classes = 1000;
  TensorOptions tensors = {};
  std::string precision = "f32";  // what `tensors` were made from, for the report
  double warm_up = 0;             // seconds before the measurement, at least: a card's clocks rise under load
  bool capture = true;            // CapturedStepOptions
  bool layers = false;            // fill BenchmarkResult::layers, which makes every op wait for the device
};

struct BenchmarkResult {
  std::vector<double> seconds;   // of each repetition, sorted
  double utilisation = 0;        // processor time / (wall time * threads), median
  size_t base_bytes = 0;         // peak resident memory of the process before the first step
  size_t peak_bytes = 0;         // and after the last
  size_t planned_bytes = 0;      // of the step's arena, by its dry run
  size_t used_bytes = 0;         // of it
  size_t device_peak_bytes = 0;  // most that tensors on the device held at once
  bool captured = false;         // the measured steps were replays of a captured one
  Table layers;                  // LayerTimes::table
  double peak = 0;               // with layers, on the CPU: FLOP/s of the kernels on numbers in the cache (engine/cpu/peak.h)
  double median() const { return seconds[seconds.size() / 2]; }
};

// What a step would run, by its dry run.
std::vector<KernelCall> benchmark_kernels(const BenchmarkOptions& options);

// Unmeasured steps come first: packing, page faults, on CUDA the capture.
BenchmarkResult run_benchmark(const BenchmarkOptions& options);

// One line of JSON: mode, precision, bs, nt, med, min, max (seconds), ips_med, ips_max (images/s), util, rss, base (MiB), planned and used
// (MiB of the arena), captured, device, device_peak (MiB of its tensors), kernels.
std::string benchmark_json(const BenchmarkOptions& options, const BenchmarkResult& result);

}  // namespace dura
