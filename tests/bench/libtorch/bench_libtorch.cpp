// ResNet-50 in LibTorch with its best usual settings, measured as dura-bench measures dura: one line of JSON for each batch size, with the
// fields of tests/gpu/bench_torch_gpu.py. The optimizer is LibTorch's own Adam, which has no fused form.
//   usage: bench_libtorch MODE TYPE DEVICE SIZE REPETITIONS BATCH...     MODE inf|train|half|head, TYPE f16|bf16|tf32|f32, DEVICE cpu|cuda
#include <ATen/autocast_mode.h>
#include <sys/resource.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <stdexcept>

#include "tests/bench/libtorch/resnet50.h"
#if __has_include(<c10/core/CachingDeviceAllocator.h>)
#include <c10/core/CachingDeviceAllocator.h>
#endif

namespace {

struct Options {
  std::string mode, type;
  torch::Device device = torch::kCPU;
  int64_t size = 224;
  int repetitions = 20;
};

// The dynamic loss scale of f16, with the operations that PyTorch's own scaler is made of.
class LossScaler {
 public:
  LossScaler(torch::Device device, bool enabled)
      : enabled_(enabled),
        scale_(torch::full({1}, 65536.0, torch::device(device))),
        growth_(torch::zeros({1}, torch::device(device).dtype(torch::kInt))) {}
  torch::Tensor scaled(const torch::Tensor& loss) const { return enabled_ ? loss * scale_ : loss; }
  void step(torch::optim::Optimizer& optimizer, const std::vector<torch::Tensor>& parameters) {
    if (!enabled_) {
      optimizer.step();
      return;
    }
    std::vector<torch::Tensor> gradients;
    for (const torch::Tensor& p : parameters) gradients.push_back(p.grad());
    torch::Tensor overflow = torch::zeros_like(scale_);
    torch::_amp_foreach_non_finite_check_and_unscale_(gradients, overflow, scale_.reciprocal());
    if (overflow.item<float>() == 0) optimizer.step();
    torch::_amp_update_scale_(scale_, growth_, overflow, 2.0, 0.5, 2000);
  }

 private:
  bool enabled_;
  torch::Tensor scale_, growth_;
};

// Most bytes that tensors on the device held at once, since the last reset; on the CPU of the process.
int64_t peak_mib(torch::Device device, bool reset) {
  if (device.is_cpu()) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss >> 10;
  }
#if __has_include(<c10/core/CachingDeviceAllocator.h>)
  c10::DeviceAllocator* memory = c10::getDeviceAllocator(device.type());
  if (reset) memory->resetPeakStats(0);
  return memory->getDeviceStats(0).allocated_bytes[0].peak >> 20;
#else
  return reset ? 0 : -1;
#endif
}

void wait(torch::Device device) {
  if (device.is_cuda()) torch::cuda::synchronize();
}

void measure(const Options& o, int64_t batch) {
  torch::manual_seed(0);
  peak_mib(o.device, true);
  ResNet50 model(1000);
  model->to(o.device);
  for (torch::Tensor& p : model->parameters())
    if (p.dim() == 4) p.set_data(p.contiguous(torch::MemoryFormat::ChannelsLast));
  model->set_mode(o.mode);
  const torch::Tensor images =
                          torch::randn({batch, 3, o.size, o.size}, torch::device(o.device)).contiguous(torch::MemoryFormat::ChannelsLast),
                      labels = torch::randint(0, 1000, {batch}, torch::device(o.device).dtype(torch::kLong));
  std::vector<torch::Tensor> trained;
  for (const torch::Tensor& p : model->parameters())
    if (p.requires_grad()) trained.push_back(p);
  torch::optim::Adam adam(trained, torch::optim::AdamOptions(1e-4));
  LossScaler scaler(o.device, o.type == "f16");

  const bool narrow = o.type == "f16" || o.type == "bf16";
  const auto forward = [&] {
    at::autocast::set_autocast_enabled(o.device.type(), narrow);
    if (narrow) at::autocast::set_autocast_dtype(o.device.type(), o.type == "f16" ? torch::kHalf : torch::kBFloat16);
    torch::Tensor logits = model(images);
    at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(o.device.type(), false);
    return logits;
  };
  const auto step = [&] {
    if (o.mode == "inf") {
      const torch::NoGradGuard no_gradient;
      forward();
      return;
    }
    adam.zero_grad();
    scaler.scaled(torch::nn::functional::cross_entropy(forward().to(torch::kFloat), labels)).backward();
    scaler.step(adam, trained);
  };
  const int unmeasured = o.device.is_cuda() ? 5 : 1;
  for (int i = 0; i < unmeasured; ++i) step();
  wait(o.device);
  std::vector<double> seconds;
  for (int i = 0; i < o.repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    step();
    wait(o.device);
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  const double middle = seconds[seconds.size() / 2];
  std::printf(
      "{\"peer\": \"libtorch %s\", \"mode\": \"%s\", \"compute\": \"%s\", \"compiled\": false, \"bs\": %lld, \"ms_step\": %.3f, "
      "\"ips_med\": %.1f, \"peak_mib\": %lld}\n",
      TORCH_VERSION, o.mode.c_str(), o.type.c_str(), static_cast<long long>(batch), 1e3 * middle, static_cast<double>(batch) / middle,
      static_cast<long long>(peak_mib(o.device, false)));
  std::fflush(stdout);
}

bool one_of(const std::string& word, std::initializer_list<const char*> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  if (words.size() < 6 || !one_of(words[0], {"inf", "train", "half", "head"}) || !one_of(words[1], {"f16", "bf16", "tf32", "f32"}) ||
      !one_of(words[2], {"cpu", "cuda"})) {
    std::cerr << "usage: bench_libtorch inf|train|half|head f16|bf16|tf32|f32 cpu|cuda SIZE REPETITIONS BATCH...\n";
    return 2;
  }
  try {
    const Options o{.mode = words[0],
                    .type = words[1],
                    .device = words[2] == "cpu" ? torch::kCPU : torch::kCUDA,
                    .size = std::stoll(words[3]),
                    .repetitions = std::stoi(words[4])};
    at::globalContext().setBenchmarkCuDNN(true);
    at::globalContext().setAllowTF32CuDNN(o.type != "f32");
    at::globalContext().setAllowTF32CuBLAS(o.type != "f32");
    for (size_t i = 5; i < words.size(); ++i) measure(o, std::stoll(words[i]));
  } catch (const std::exception& e) {
    std::cerr << "bench_libtorch: " << e.what() << "\n";
    return 1;
  }
}
