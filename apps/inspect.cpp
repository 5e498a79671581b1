// dura-inspect: what is in a weight file, a model's card, what a network is made of, and where two traces part.
#include <filesystem>
#include <iostream>

#include "apps/evaluation/model_card.h"
#include "apps/program/text_table.h"
#include "apps/program/program.h"
#include "apps/report/trace_diff.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "models/network/summary.h"
#include "weights/conventions.h"
#include "weights/pth.h"

namespace {

using namespace dura;

struct InspectOptions {
  std::vector<std::string> what;
  TraceTolerance tolerance;
  int64_t size = 224, classes = 1000;
};

std::string number_text(double value) { return printed("%.6g", value); }

int inspect_weights(const std::string& file) {
  const StateDict state = read_weights(file);
  Table rows = {{"tensor", "type", "shape", "min", "max", "mean", "NaN", "inf"}};
  int64_t elements = 0, bad = 0;
  for (const StateDict::Entry& entry : state.entries()) {
    const ArrayStatistics s = statistics(entry.array);
    elements += entry.array.numel();
    bad += s.nans + s.infinities;
    const std::string name = quote(entry.name);
    rows.push_back({name.substr(1, name.size() - 2), element_name(entry.array.type()), describe(entry.array.dimensions()),
                    number_text(s.min), number_text(s.max), number_text(s.mean), std::to_string(s.nans), std::to_string(s.infinities)});
  }
  std::cout << text_table(rows, 0) << "\n";
  for (const auto& [key, value] : state.metadata()) std::cout << "metadata " << quote(key) << ": " << quote(value, 4000) << "\n";
  const std::string sha256 = sha256_file_hex(file);
  std::cout << "conventions: " << conventions_of(state, sha256, file).text() << "\n"
            << state.size() << " tensors, " << elements << " elements, " << state.bytes() << " bytes of them; file of "
            << std::filesystem::file_size(file) << " bytes, SHA-256 " << sha256 << "\n";
  if (bad) std::cout << bad << " elements are NaN or infinite\n";
  return 0;
}

int show_card(const std::string& file) {
  const StateDict state = read_weights(file);
  if (!state.metadata().contains("dura.format")) fail_usage(file, " is no model of dura-train or dura-convert, so it has no card.");
  std::cout << model_card_text(state.metadata(), file, sha256_file_hex(file));
  return 0;
}

int inspect_network(int depth, const InspectOptions& options) {
  ClassifierOptions classifier{.backbone = {.depth = depth}};
  for (int64_t i = 0; i < options.classes; ++i) classifier.classes.push_back(std::to_string(i));
  std::cout << summarise(classifier, options.size, options.size).text();
  return 0;
}

int compare_traces(const std::string& first, const std::string& second, const TraceTolerance& tolerance) {
  constexpr uint64_t max_trace_bytes = uint64_t{1} << 30;
  const auto read = [](const std::string& file) { return parse_trace(read_text_file(file, max_trace_bytes), file); };
  const TraceDiff diff = diff_traces(read(first), read(second), tolerance);
  std::cout << diff.ops << " ops compared: " << diff.identical << " identical, " << diff.within_tolerance << " within tolerance\n"
            << (diff.first_beyond.empty() ? "no op is beyond tolerance" : diff.first_beyond) << "\n";
  return diff.first_beyond.empty() ? 0 : 1;
}

int inspect(const InspectOptions& options) {
  const std::vector<std::string>& what = options.what;
  if (what[0] == "diff") {
    if (what.size() != 3) fail_usage("diff compares two traces: dura-inspect diff FIRST SECOND");
    return compare_traces(what[1], what[2], options.tolerance);
  }
  if (what[0] == "model") {
    if (what.size() != 2) fail_usage("model shows the card of one model: dura-inspect model FILE");
    return show_card(what[1]);
  }
  if (what.size() != 1) fail_usage("one file at a time, or: dura-inspect model FILE, dura-inspect diff FIRST SECOND");
  for (int depth : {18, 34, 50, 101})
    if (what[0] == concat("resnet", depth)) return inspect_network(depth, options);
  return inspect_weights(what[0]);
}

}  // namespace

int main(int argc, char** argv) {
  InspectOptions options;
  Program program(
      {.name = "dura-inspect",
       .summary = "Shows what is in a weight file or a network, a model's card, or where two traces part (exit code 1 if they do).",
       .examples = {"dura-inspect weights.safetensors", "dura-inspect model run/model.safetensors", "dura-inspect resnet50 --size 224",
                    "dura-inspect diff cpu.trace cuda.trace --relative 1e-2"},
       .results_on_standard_output = true,
       .computes = false});
  program.list("what", options.what, "A weight file; model FILE: its card; resnet18, 34, 50 or 101; or: diff FIRST SECOND",
               {.required = true});
  program.integer("--size", options.size, "Height and width of the images of a network", {.min = 32, .max = 4096});
  program.integer("--classes", options.classes, "Classes of a network", {.min = 2, .max = 100000});
  program.number("--relative", options.tolerance.relative, "diff: relative tolerance of the mean", {.min = 0});
  program.number("--absolute", options.tolerance.absolute, "diff: absolute tolerance of the mean", {.min = 0});
  return program.run(argc, argv, [&] { return inspect(options); });
}
