// dura-convert: a weight file of torch.save (or any that dura reads) as safetensors, with the conventions it must be used with, and read
// back bit by bit before it counts as written.
#include <filesystem>
#include <iostream>

#include "apps/program/program.h"
#include "engine/base/log.h"
#include "engine/base/sha256.h"
#include "weights/conventions.h"
#include "weights/pth.h"

namespace {

using namespace dura;

struct ConvertOptions {
  std::string in, out;
  GivenConventions given;
  bool allow_nonfinite = false;
};

// What is stated on the command line counts; the rest comes from what is known of the file.
WeightConventions choose_conventions(const ConvertOptions& options, const StateDict& state, const std::string& sha256) {
  WeightConventions conventions = options.given.over(conventions_of(state, sha256, options.in));
  if (options.given.any()) conventions.source = "as given", conventions.known = true;
  return conventions;
}

void check_copy(const StateDict& written, const StateDict& read, const std::string& out) {
  DURA_CHECK(read.size() == written.size() && read.metadata() == written.metadata(), out,
             ": read back with other tensors or metadata than were written. The disk or the memory is failing; do not use the file.");
  for (const StateDict::Entry& entry : written.entries()) {
    const Array* array = read.find(entry.name);
    DURA_CHECK(array && bit_equal(*array, entry.array), out, ": tensor ", quote(entry.name),
               " was read back with other contents than were written. The disk or the memory is failing; do not use the file.");
  }
}

int convert(const ConvertOptions& options) {
  StateDict state = read_weights(options.in);
  const std::string sha256 = sha256_file_hex(options.in);
  if (!options.allow_nonfinite) require_finite(state, options.in);
  const WeightConventions conventions = choose_conventions(options, state, sha256);
  if (conventions.known) {
    log_info("conventions: ", conventions.text());
    for (const auto& [key, value] : conventions.metadata()) state.metadata()[key] = value;
  } else {
    log_warning("conventions ", conventions.source, ". They are not written down; state them with --input, --variant and --stem-pool.");
  }
  state.metadata()["dura.converted_from"] = sha256;
  write_safetensors(options.out, state);
  check_copy(state, read_safetensors(options.out), options.out);
  std::cout << options.out << ": " << state.size() << " tensors, " << std::filesystem::file_size(options.out) << " bytes, SHA-256 "
            << sha256_file_hex(options.out) << "\nread back: every bit as in " << options.in << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  ConvertOptions options;
  Program program({.name = "dura-convert",
                   .summary = "Turns a weight file (.pth, .pt, .safetensors) into safetensors and checks the result bit by bit.",
                   .examples = {"dura-convert resnet50-0676ba61.pth resnet50.safetensors",
                                "dura-convert caffe_resnet50.pth resnet50.safetensors --input caffe --variant v1 --stem-pool ceil"},
                   .computes = false});
  program.text("in", options.in, "Weight file to read", {.required = true});
  program.text("out", options.out, "Safetensors file to write", {.required = true});
  program.heading("Conventions (auto: from what is known of the file)");
  program.text("--input", options.given.input, "torch: RGB, mean and deviation; caffe: BGR, mean", {.choices = {"auto", "torch", "caffe"}});
  program.text("--variant", options.given.variant, "Where bottleneck blocks have their stride", {.choices = {"auto", "v1", "v1_5"}});
  program.text("--stem-pool", options.given.stem_pool, "Pooling of the stem", {.choices = {"auto", "padded", "ceil"}});
  program.flag("--allow-nonfinite", options.allow_nonfinite, "Convert weights that hold NaN or infinity, too");
  return program.run(argc, argv, [&] { return convert(options); });
}
