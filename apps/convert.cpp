// dura-convert: a weight file of torch.save (or any that dura reads) as safetensors, with the conventions it must be used with, and read
// back bit by bit before it counts as written; as a model, where its classes are named; and a model as an ONNX file.
#include <filesystem>
#include <iostream>

#include "apps/keras/keras_weights.h"
#include "apps/program/card_options.h"
#include "apps/program/data_options.h"
#include "apps/program/program.h"
#include "engine/base/log.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"
#include "models/network/import.h"
#include "models/onnx/export.h"
#include "weights/safetensors.h"

namespace {

using namespace dura;

struct ConvertOptions {
  std::string in, out, classes_file, depth = "auto", onnx_input = "pixels";
  std::vector<std::string> classes;
  GivenConventions given;
  CardOptions card;
  ImportOptions import;
  PreprocessingOptions preprocessing;
  int64_t batch = 0;
  bool allow_nonfinite = false;

  bool makes_model() const { return !classes.empty() || !classes_file.empty(); }
  bool makes_onnx() const { return lower_case(std::filesystem::path(out).extension().string()) == ".onnx"; }
};

// What is stated on the command line counts; the rest comes from what is known of the file.
WeightConventions choose_conventions(const ConvertOptions& options, const StateDict& state, const std::string& sha256) {
  WeightConventions conventions = options.given.over(conventions_of(state, sha256, options.in));
  if (options.given.any()) conventions.source = "as given", conventions.known = true;
  return conventions;
}

void print_written(const std::string& out, const std::string& what) {
  std::cout << out << ": " << what << ", " << std::filesystem::file_size(out) << " bytes, SHA-256 " << sha256_file_hex(out) << std::endl;
}

void confirm_copy(const StateDict& written, const StateDict& read, const std::string& out, const std::string& what) {
  DURA_CHECK(read.size() == written.size() && read.metadata() == written.metadata(), out,
             ": read back with other tensors or metadata than were written. The disk or the memory is failing; do not use the file.");
  for (const StateDict::Entry& entry : written.entries()) {
    const Array* array = read.find(entry.name);
    DURA_CHECK(array && bit_equal(*array, entry.array), out, ": tensor ", quote(entry.name),
               " was read back with other contents than were written. The disk or the memory is failing; do not use the file.");
  }
  print_written(out, what);
  std::cout << "read back: every bit as written" << std::endl;
}

void convert_weights(const ConvertOptions& options, StateDict& state, const WeightConventions& conventions, const std::string& sha256) {
  if (conventions.known)
    for (const auto& [key, value] : conventions.metadata()) state.metadata()[key] = value;
  state.metadata()["dura.converted_from"] = sha256;
  write_safetensors(options.out, state);
  confirm_copy(state, read_safetensors(options.out), options.out, concat(state.size(), " tensors"));
}

void write_result(const ConvertOptions& o, Classifier& model, const PreprocessingOptions& preprocessing, const Entries& metadata) {
  const std::string what = concat("ResNet-", model.options().backbone.depth, " with ", model.classes().size(), " classes");
  if (o.makes_onnx()) {
    const OnnxInput input = o.onnx_input == "pixels" ? OnnxInput::pixels : OnnxInput::images;
    write_onnx(o.out, model, preprocessing, {.batch = o.batch, .input = input, .more = metadata});
    return print_written(o.out, what + " as ONNX");
  }
  write_model(o.out, model, preprocessing, metadata);
  confirm_copy(state_of(model), state_of(*read_model(o.out, {}).model), o.out, what);
}

int convert(ConvertOptions& o) {
  if (!o.classes.empty() && !o.classes_file.empty()) fail_usage("--classes and --classes-file both name the classes. Use one of the two.");
  if (!o.makes_onnx() && (o.batch != 0 || o.onnx_input != "pixels"))
    fail_usage("--batch and --onnx-input are for an output that ends in .onnx.");
  if (!o.makes_model() &&
      (o.preprocessing.metadata() != PreprocessingOptions{}.metadata() || o.depth != "auto" || !o.import.prefix.empty() || o.card.any()))
    fail_usage("preprocessing, --depth, --prefix, --weights-licence and --limits belong to a model that is made of a checkpoint: name ",
               "its classes with --classes or --classes-file.");
  StateDict state = read_weights_or_keras(o.in);
  const std::string sha256 = sha256_file_hex(o.in);
  const bool is_model = state.metadata().contains("dura.format");
  if (is_model && o.makes_model()) fail_usage(o.in, " is a model of dura: it has its classes and its preprocessing.");
  if (o.makes_onnx() && !is_model && !o.makes_model())
    fail_usage(o.in, " is no model of dura: weights alone do not make a network. Name the classes with --classes or --classes-file.");
  if (o.makes_onnx() && is_model) {
    const ModelFile file = read_model(o.in, {});
    return write_result(o, *file.model, file.preprocessing, state.metadata()), 0;
  }
  if (!o.allow_nonfinite) require_finite(state, o.in);
  const WeightConventions conventions = choose_conventions(o, state, sha256);
  if (conventions.known)
    log_info("conventions: ", conventions.text());
  else
    log_warning("conventions ", conventions.source, ". ", o.makes_model() ? "The model says so, too" : "They are not written down",
                "; state them with --input, --variant and --stem-pool.");
  if (!o.makes_model()) return convert_weights(o, state, conventions, sha256), 0;
  o.import.classes = o.classes.empty() ? read_class_names(o.classes_file) : o.classes;
  o.import.conventions = conventions;
  o.import.depth = o.depth == "auto" ? 0 : parse_number<int>(o.depth).value();
  const ImportedModel imported = import_model(state, o.import, o.in);
  log_info("backbone: ", quote(imported.prefix + "conv1"), " and on; dense layer: ", quote(imported.head),
           "; preparation: ", o.preprocessing.steps().description());
  if (!imported.folded.empty()) log_info("biases taken into the BatchNorm behind them: ", first_few(imported.folded, ", ", 12));
  if (!imported.left_out.empty())
    log_info(imported.left_out.size(), " tensors beside the network left out: ", first_few(imported.left_out, ", ", 12));
  Entries card = o.card.entries("dura-convert");
  card["dura.converted_from"] = sha256;
  return write_result(o, *imported.model, o.preprocessing, card), 0;
}

}  // namespace

int main(int argc, char** argv) {
  ConvertOptions options;
  Program program(
      {.name = "dura-convert",
       .summary = "Turns weights (.pth, .safetensors, Keras' .h5) into safetensors, a model where its classes are named, or ONNX.",
       .examples = {"dura-convert resnet50-0676ba61.pth resnet50.safetensors",
                    "dura-convert caffe_resnet50.pth resnet50.safetensors --input caffe --variant v1 --stem-pool ceil",
                    "dura-convert trained.pth model.safetensors --classes Menin Glioma --size 224 --input torch",
                    "dura-convert resnet50_keras.h5 model.safetensors --classes-file imagenet_classes.txt",
                    "dura-convert model.safetensors model.onnx --batch 1"},
       .computes = false});
  program.text("in", options.in, "Weight file or model to read", {.required = true});
  program.text("out", options.out, "File to write: safetensors, or ONNX where its name ends in .onnx", {.required = true});
  program.heading("Conventions (auto: from what is known of the file)");
  declare(program, options.given);
  program.flag("--allow-nonfinite", options.allow_nonfinite, "Convert weights that hold NaN or infinity, too");
  program.heading("A model of a trained checkpoint");
  program.list("--classes", options.classes, "Names of the classes, in the order of the outputs");
  program.text("--classes-file", options.classes_file, "A file with their names, one a line");
  program.text("--depth", options.depth, "Of the ResNet; auto: the one that fits", {.choices = {"auto", "18", "34", "50", "101"}});
  program.text("--prefix", options.import.prefix, "In front of the network's names, where the file holds several networks");
  declare(program, options.preprocessing);
  options.card.declare(program);
  program.heading("ONNX");
  program.integer("--batch", options.batch, "Pictures in a batch; 0: any number", {.min = 0, .max = 65536});
  program.text("--onnx-input", options.onnx_input, "pixels: u8 (N,size,size,3), normalised inside; images: f32 (N,3,size,size)",
               {.choices = {"pixels", "images"}});
  return program.run(argc, argv, [&] { return convert(options); });
}
