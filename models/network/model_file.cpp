#include "models/network/model_file.h"

#include <algorithm>
#include <map>

#include "engine/base/log.h"
#include "engine/base/text.h"
#include "models/network/conv_bias.h"
#include "weights/safetensors.h"

namespace dura {
namespace {

constexpr const char* model_format = "dura model 1";

}  // namespace

Entries model_metadata(const Classifier& model, const PreprocessingOptions& preprocessing) {
  const ClassifierOptions& o = model.options();
  Entries entries = {{"dura.format", model_format},
                     {"dura.classes", joined(o.classes, "\n")},
                     {"dura.depth", std::to_string(o.backbone.depth)},
                     {"dura.dropout", concat(o.dropout)}};
  entries.merge(WeightConventions{.input = o.input, .variant = o.backbone.variant, .stem_pool = o.backbone.stem_pool}.metadata());
  entries.merge(preprocessing.metadata());
  return entries;
}

void write_model(const std::filesystem::path& file, Classifier& model, const PreprocessingOptions& preprocessing, const Entries& more) {
  StateDict state = state_of(model);
  state.metadata() = model_metadata(model, preprocessing);
  state.metadata().insert(more.begin(), more.end());
  write_safetensors(file, state);
}

namespace {

ModelFile model_of(const StateDict& state, const std::string& name, const TensorOptions& tensors,
                   const std::vector<std::string>& expected_classes) {
  const Entries& entries = state.metadata();
  require_finite(state, name);
  DURA_CHECK(required_entry(entries, "dura.format", name) == model_format, name, ": the format is '",
             required_entry(entries, "dura.format", name), "', expected '", model_format, "'");
  ClassifierOptions o;
  o.classes = split_at(required_entry(entries, "dura.classes", name), '\n');
  o.backbone.depth = static_cast<int>(number_entry(entries, "dura.depth", 18, 101, name));
  for (const char* key : {"dura.variant", "dura.stem_pool", "dura.input"}) required_entry(entries, key, name);
  const WeightConventions conventions = stated_conventions(entries, name);
  o.backbone.variant = conventions.variant;
  o.backbone.stem_pool = conventions.stem_pool;
  o.backbone.tensors = tensors;
  o.input = conventions.input;
  o.dropout = number_entry(entries, "dura.dropout", 0, 0.999, name);
  DURA_CHECK(o.classes.size() >= 2, name, ": the metadata names ", o.classes.size(), " class, a classifier has at least two");
  DURA_CHECK(expected_classes.empty() || expected_classes == o.classes, name, ": the model knows the classes ", joined(o.classes, ", "),
             ", expected were ", joined(expected_classes, ", "),
             " in this order. Classes and their order are part of a model; leave --classes out to use the model's.");
  // Before memory is taken: a list of names is short beside the dense layer that it asks for.
  const Array* dense = state.find("fc.weight");
  DURA_CHECK(dense && !dense->dimensions().empty() && dense->dimensions()[0] == std::ssize(o.classes), name, ": the metadata name ",
             o.classes.size(), " classes, the dense layer fc.weight ",
             dense ? concat("has the extents ", describe(dense->dimensions())) : "is not there", ". The file is damaged.");
  ModelFile result;
  result.model = std::make_unique<Classifier>(o, Initialise::no);
  result.preprocessing = PreprocessingOptions::from_metadata(entries, name);
  load_state(*result.model, state, Strict::yes, name);
  return result;
}

}  // namespace

ModelFile read_model(const std::filesystem::path& file, const TensorOptions& tensors, const std::vector<std::string>& expected_classes) {
  return model_of(read_safetensors(file), file.string(), tensors, expected_classes);
}

ModelFile parse_model(std::span<const uint8_t> bytes, const std::string& name, const TensorOptions& tensors) {
  return model_of(parse_safetensors(bytes, nullptr, name), name, tensors, {});
}

namespace {

// The depth whose convolutions are exactly those that were found in a file; 0: of none.
int depth_of(const std::vector<std::string>& loaded) {
  for (const int depth : {18, 34, 50, 101}) {
    ResNet net({.depth = depth, .tensors = {.device = Device::meta}});
    const std::vector<ConvBn*> units = net.units();
    const auto is_there = [&](const ConvBn* u) { return std::find(loaded.begin(), loaded.end(), u->conv.weight.name()) != loaded.end(); };
    const auto is_filter = [](const std::string& name) {
      return name.find("conv") != std::string::npos || name.ends_with("downsample.0.weight");
    };
    const auto filters = static_cast<size_t>(std::count_if(loaded.begin(), loaded.end(), is_filter));
    if (filters == units.size() && std::all_of(units.begin(), units.end(), is_there)) return depth;
  }
  return 0;
}

// The state without biases of convolutions.
StateDict without_biases(const StateDict& state, const std::string& file) {
  std::map<std::string, Array> arrays;
  for (const StateDict::Entry& e : state.entries()) arrays.emplace(e.name, e.array);
  const std::vector<std::string> folded = fold_conv_biases(arrays);
  if (!folded.empty()) log_info(file, ": biases taken into the BatchNorm behind them: ", first_few(folded, ", ", 12));
  StateDict result;
  for (const StateDict::Entry& e : state.entries())
    if (const auto found = arrays.find(e.name); found != arrays.end()) result.add(e.name, found->second);
  return result;
}

}  // namespace

std::vector<std::string> load_backbone(Classifier& model, const StateDict& state, const std::string& file) {
  const LoadReport report = load_state(model.backbone(), without_biases(state, file), Strict::no, file);
  DURA_CHECK(report.mismatched.empty(), file, " is of another architecture: ", report.text(),
             ". Choose the depth that the file has with --depth.");
  for (const std::string& name : report.unexpected)
    DURA_CHECK(!name.starts_with("layer"), file, ": the tensor ", name, " has no place in a ResNet-", model.options().backbone.depth,
               ". Choose the depth that the file has with --depth.");
  // Blocks that only the deeper network has would be initialised and trained without a word.
  const int depth = model.options().backbone.depth, file_depth = depth_of(report.loaded);
  if (file_depth != 0 && file_depth != depth)
    fail_usage(file, " has the blocks of a ResNet-", file_depth, ", --depth asks for a ResNet-", depth, ". Use --depth ", file_depth,
               ", or weights of a ResNet-", depth, ".");
  if (!report.unexpected.empty()) log_info(file, ": not used: ", joined(report.unexpected, ", "));
  std::vector<std::string> fresh;
  for (ConvBn* u : model.backbone().units()) {
    const auto is_missing = [&](const std::string& name) {
      for (const std::string& m : report.missing)
        if (m == name) return true;
      return false;
    };
    const bool no_filter = is_missing(u->conv.weight.name());
    const bool no_statistics = is_missing(u->bn.gamma.name()) || is_missing(u->bn.beta.name()) ||
                               is_missing(u->bn.name() + ".running_mean") || is_missing(u->bn.name() + ".running_var");
    DURA_CHECK(no_filter || !no_statistics, file, ": the BatchNorm ", u->bn.name(),
               " is not complete though its convolution is there. The file is damaged or cut short.");
    if (!no_filter) continue;
    u->bn.reset();
    fresh.push_back(u->conv.name());
  }
  return fresh;
}

}  // namespace dura
