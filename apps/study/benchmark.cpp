#include "apps/study/benchmark.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iomanip>

#include "apps/program/process.h"
#include "apps/study/layer_times.h"
#include "engine/cpu/cpu_features.h"
#include "engine/cpu/peak.h"
#include "engine/optim/adam.h"
#include "engine/plan/captured_step.h"
#include "layers/folded_units.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"

namespace dura {
namespace {

double processor_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double wall_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// What is trained, and with which BatchNorm: as the peers' benchmarks do, free convolutions use batch statistics.
void set_mode(Classifier& model, const std::string& mode) {
  model.set_training(mode != "inf");
  if (mode == "train") return;
  model.freeze_backbone();
  if (mode == "half") model.unfreeze("layer3.3+");
  for (ConvBn* u : model.backbone().units()) u->bn.set_batch_statistics(u->conv.weight.trainable());
}

std::unique_ptr<Classifier> model_of(const BenchmarkOptions& o) {
  if (o.mode != "inf" && o.mode != "train" && o.mode != "half" && o.mode != "head")
    fail_usage("there is no benchmark '", o.mode, "'. Use inf, train, half or head.");
  if (o.batch < 1 || o.size < 32 || o.repetitions < 1 || o.classes < 2)
    fail_usage("benchmark: batch ", o.batch, ", size ", o.size, ", repetitions ", o.repetitions, ", classes ", o.classes, " make no sense");
  std::vector<std::string> classes;
  for (int64_t i = 0; i < o.classes; ++i) classes.push_back(std::to_string(i));
  auto model = std::make_unique<Classifier>(
      ClassifierOptions{.backbone = {.depth = o.depth, .tensors = o.tensors}, .classes = classes, .dropout = 0, .seed = 1});
  set_mode(*model, o.mode);
  return model;
}

// Null for inference.
std::unique_ptr<Adam> optimizer_of(Classifier& model, const BenchmarkOptions& o) {
  if (o.mode == "inf") return nullptr;
  return std::make_unique<Adam>(model.parameters(), AdamOptions{.lr = 1e-4}, LossScalerOptions{.enabled = o.tensors.compute == DType::f16});
}

std::vector<ConvBn*> frozen_units(Classifier& model, const BenchmarkOptions& o) {
  const std::vector<ConvBn*> all = model.backbone().units();
  return o.mode == "inf" ? all : frozen_front(all);
}

void run_step(Classifier& model, FoldedUnits& frozen, Adam* adam, const Tensor& images, const Tensor& labels) {
  const FoldedUnits::Use folded(frozen);
  if (adam)
    adam->minimise([&] { return cross_entropy(model(images), labels).loss; });
  else
    model(images);
}

}  // namespace

std::vector<KernelCall> benchmark_kernels(const BenchmarkOptions& o) {
  const std::unique_ptr<Classifier> owner = model_of(o);
  Classifier& model = *owner;
  const std::unique_ptr<Adam> adam = optimizer_of(model, o);
  FoldedUnits frozen(frozen_units(model, o));
  const Device device = o.tensors.device;
  const DryRun dry(device);
  run_step(model, frozen, adam.get(), Tensor::empty({o.batch, o.size, o.size, 3}, o.tensors.compute, device),
           Tensor::empty({o.batch}, DType::i32, device));
  return dry.calls();
}

BenchmarkResult run_benchmark(const BenchmarkOptions& o) {
  const Device device = o.tensors.device;
  device_pool(device)->reset_peak();
  const std::unique_ptr<Classifier> owner = model_of(o);
  Classifier& model = *owner;
  model.backbone().trace_groups(o.layers);
  Tensor x = Tensor::empty({o.batch, o.size, o.size, 3}, o.tensors.compute, device), labels = Tensor::empty({o.batch}, DType::i32, device);
  {
    const Tensor wide = Tensor::empty(x.shape(), DType::f32, Device::cpu), host = Tensor::empty(x.shape(), x.dtype(), Device::cpu);
    Random random(1);
    for (int64_t i = 0; i < wide.numel(); ++i) wide.data<float>()[i] = static_cast<float>(random.normal());
    backend(Device::cpu).cast(wide, host);
    backend(device).upload(host.raw(), x);
    std::vector<int32_t> l;
    for (int64_t i = 0; i < o.batch; ++i) l.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(o.classes))));
    backend(device).upload(l.data(), labels);
  }

  BenchmarkResult result;
  result.base_bytes = static_cast<size_t>(peak_resident_bytes());
  const std::unique_ptr<Adam> adam = optimizer_of(model, o);
  FoldedUnits frozen(frozen_units(model, o));
  const auto body = [&](const Tensor& images, const Tensor& targets) { run_step(model, frozen, adam.get(), images, targets); };
  const auto body_of_batch = [&](int64_t batch) { body(of_batch(x, batch), of_batch(labels, batch)); };
  CapturedStep step(device, [&] { body(x, labels); },
                    {.name = adam ? "a step" : "inference", .capture = o.capture, .batch = o.batch, .body_of_batch = body_of_batch});
  // A CUDA device works on behind the caller's back; reading one value waits for it.
  const auto run_to_the_end = [&, first = labels.slice(0, {1})] {
    step.run();
    int32_t label = 0;
    backend(device).download(first, &label);
  };
  const int unmeasured = device != Device::cpu ? 3 : adam ? 1 : 2;
  for (double start = wall_seconds(), i = 0; i < unmeasured || wall_seconds() - start < o.warm_up; ++i) run_to_the_end();
  LayerTimes layers(model.backbone().units());
  if (o.layers) set_trace_sink([&](const OpRecord& record) { layers.add(record); });
  std::vector<double> utilisation;
  for (int64_t i = 0; i < o.repetitions; ++i) {
    const double wall = wall_seconds(), processor = processor_seconds();
    run_to_the_end();
    result.seconds.push_back(wall_seconds() - wall);
    if (o.layers) layers.end_step();
    utilisation.push_back((processor_seconds() - processor) / result.seconds.back() / num_threads());
  }
  if (o.layers) {
    set_trace_sink({});
    result.peak = device == Device::cpu ? cpu::measured_peak(o.tensors.compute) : 0;
    result.layers = layers.table(result.peak);
  }
  std::sort(result.seconds.begin(), result.seconds.end());
  std::sort(utilisation.begin(), utilisation.end());
  result.utilisation = utilisation[utilisation.size() / 2];
  result.peak_bytes = static_cast<size_t>(peak_resident_bytes());
  result.planned_bytes = step.predicted_peak();
  result.used_bytes = step.measured_peak();
  result.captured = step.replays();
  result.device_peak_bytes = device_pool(device)->statistics().peak;
  return result;
}

std::string benchmark_json(const BenchmarkOptions& o, const BenchmarkResult& r) {
  const auto images_per_second = [&](double s) { return static_cast<double>(o.batch) / s; };
  std::ostringstream out;
  out << std::fixed << "{\"mode\": \"" << o.mode << "\", \"precision\": \"" << o.precision << "\", \"bs\": " << o.batch
      << ", \"nt\": " << num_threads() << std::setprecision(4) << ", \"med\": " << r.median() << ", \"min\": " << r.seconds.front()
      << ", \"max\": " << r.seconds.back() << std::setprecision(2) << ", \"ips_med\": " << images_per_second(r.median())
      << ", \"ips_max\": " << images_per_second(r.seconds.front()) << ", \"util\": " << r.utilisation
      << ", \"rss\": " << (r.peak_bytes >> 20) << ", \"base\": " << (r.base_bytes >> 20) << ", \"planned\": " << (r.planned_bytes >> 20)
      << ", \"used\": " << (r.used_bytes >> 20) << ", \"captured\": " << (r.captured ? "true" : "false") << ", \"device\": \""
      << device_name(o.tensors.device) << "\", \"device_peak\": " << (r.device_peak_bytes >> 20) << ", \"kernels\": \""
      << cpu::kernels().name << "\"}";
  return out.str();
}

}  // namespace dura
