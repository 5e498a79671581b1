// dura-bench: how fast, and with how much memory.
#include <iostream>

#include "apps/program/program.h"
#include "apps/study/benchmark.h"
#include "apps/study/card_bound.h"
#include "engine/cpu/cpu_features.h"

int main(int argc, char** argv) {
  dura::BenchmarkOptions options;
  int64_t depth = options.depth;
  std::string precision = "f32";
  std::vector<std::string> modes = {options.mode};
  std::string card = "h100";
  bool exact = false, no_capture = false, compare_capture = false, plan = false;
  dura::Program program(
      {.name = "dura-bench",
       .summary = "Measures images/s and memory of ResNet: inference, or a training step. Prints a line of JSON for each measurement.",
       .examples = {"dura-bench --mode inf --batch 16", "dura-bench --mode train --repetitions 5",
                    "dura-bench --mode train --precision bf16 --layers", "DURA_CPU=avx2 dura-bench --mode half",
                    "dura-bench --device cuda --precision f16 --mode inf train half head --compare-capture",
                    "dura-bench --device cuda --plan --card h200 --mode train --precision f16 --batch 256"},
       .results_on_standard_output = true});
  program.list("--mode", modes,
               "One or more of inf: inference; train: a step with everything free; half: from layer3.3 on; head: the dense layer alone");
  program.integer("--depth", depth, "ResNet-18, 34, 50 or 101");
  program.integer("--batch", options.batch, "Images in a batch", {.min = 1, .max = 4096});
  program.integer("--size", options.size, "Height and width of the images", {.min = 32, .max = 2048});
  program.integer("--repetitions", options.repetitions, "Measured steps", {.min = 1, .max = 10000});
  program.number("--warm-up", options.warm_up, "Seconds of steps before the measured ones", {.min = 0, .max = 600});
  program.integer("--classes", options.classes, "Outputs of the dense layer", {.min = 2, .max = 100000});
  program.text("--precision", precision, "Type that activations, gradients and working copies of weights are stored in",
               {.choices = {"f32", "tf32", "f16", "bf16"}});
  program.flag("--layers", options.layers,
               "A table of each layer's time, rate and share of the processor's measured peak, on standard error");
  program.flag("--exact-conv", exact, "No Winograd convolutions");
  program.flag("--no-capture", no_capture, "CUDA: start the kernels of each step one by one instead of replaying a captured step");
  program.flag("--compare-capture", compare_capture, "CUDA: measure each with and then without capture");
  program.flag("--plan", plan, "CUDA: print, instead of measuring, how fast each step could be on --card at best; needs no card");
  program.text("--card", card, "For --plan: whose figures", {.choices = {"h100", "h200"}});
  return program.run(argc, argv, [&] {
    options.depth = static_cast<int>(depth);
    options.precision = precision;
    if (plan) {
      // The simulated device makes the decisions that a card with an engine for every graph would.
      options.tensors = {.compute = precision == "tf32" ? dura::DType::f32 : dura::parse_dtype(precision.c_str()),
                         .device = dura::Device::cuda_sim};
      for (const std::string& mode : modes) {
        options.mode = mode;
        const dura::CardBound bound =
            dura::card_bound(dura::benchmark_kernels(options), options.tensors.compute, precision == "tf32", dura::card_figures(card));
        std::cout << dura::card_bound_text(bound, mode + " " + precision, options.batch);
      }
      return 0;
    }
    options.tensors = dura::tensors_of_precision(precision, program.device());
    dura::cpu::set_exact_conv(exact);
    // One process for all: what a card takes seconds to make, its plans, is made once.
    for (const std::string& mode : modes) {
      options.mode = mode;
      const auto measure = [&](bool capture) {
        options.capture = capture;
        const dura::BenchmarkResult result = dura::run_benchmark(options);
        std::cout << dura::benchmark_json(options, result) << std::endl;
        if (!options.layers) return;
        std::cerr << dura::text_table(result.layers);
        if (result.peak > 0) std::cerr << "  peak, measured: " << dura::fixed(result.peak * 1e-9, 0) << " GFLOP/s\n";
      };
      measure(!no_capture);
      if (compare_capture && !no_capture) measure(false);
    }
    return 0;
  });
}
