#include "models/onnx/export.h"

#include <map>

#include "engine/base/text.h"
#include "models/network/model_file.h"
#include "models/onnx/graph.h"

namespace dura {
namespace {

using onnx::Graph;
using onnx::TensorType;

constexpr uint64_t max_message_bytes = (uint64_t{1} << 31) - 1;

std::string listed(const float (&values)[3]) { return joined({shortest(values[0]), shortest(values[1]), shortest(values[2])}, " "); }

// Adds the network node by node. Every value is called after the module that makes it.
class Exporter {
 public:
  Exporter(Classifier& model, const StateDict& weights, Graph& graph) : model_(model), weights_(weights), graph_(graph) {
    for (ConvBn* unit : model.backbone().units()) units_[unit->conv.name()] = unit;
  }

  // u8 (N,H,W,3) -> f32 (N,3,H,W)
  std::string normalise(const std::string& pixels) {
    const Normalisation& n = normalisation_of(model_.options().input);
    constants_ = {Array::of<int64_t>({3}, ElementType::i64, {2, 1, 0}),
                  Array::of<float>({3}, ElementType::f32, {n.mean[0], n.mean[1], n.mean[2]}),
                  Array::of<float>({3}, ElementType::f32, {n.deviation[0], n.deviation[1], n.deviation[2]})};
    std::string x = graph_.add({"Cast", {pixels}, "normalise.cast", {{"to", static_cast<int64_t>(TensorType::f32)}}});
    if (n.bgr) x = graph_.add({"Gather", {x, graph_.add("normalise.order", constants_[0])}, "normalise.bgr", {{"axis", int64_t{3}}}});
    x = graph_.add({"Sub", {x, graph_.add("normalise.mean", constants_[1])}, "normalise.centred"});
    x = graph_.add({"Div", {x, graph_.add("normalise.deviation", constants_[2])}, "normalise.scaled"});
    return graph_.add({"Transpose", {x}, "normalise", {{"perm", std::vector<int64_t>{0, 3, 1, 2}}}});
  }

  std::string backbone(std::string x) {
    x = unit("conv1", x);
    x = graph_.add({"Relu", {x}, "relu"});
    const bool padded = model_.options().backbone.stem_pool == StemPool::padded;
    x = graph_.add({"MaxPool",
                    {x},
                    "maxpool",
                    {{"kernel_shape", std::vector<int64_t>{3, 3}},
                     {"strides", std::vector<int64_t>{2, 2}},
                     {"pads", std::vector<int64_t>(4, padded ? 1 : 0)},
                     {"ceil_mode", int64_t{!padded}}}});
    for (int stage = 1; stage < ResNet::stages; ++stage)
      for (int i = 0; units_.contains(concat("layer", stage, ".", i, ".conv1")); ++i) x = block(concat("layer", stage, ".", i), x);
    return x;
  }

  std::string head(const std::string& features) {
    std::string x = graph_.add({"GlobalAveragePool", {features}, "avgpool"});
    x = graph_.add({"Flatten", {x}, "flatten", {{"axis", int64_t{1}}}});
    return graph_.add({"Gemm", {x, weight("fc.weight"), weight("fc.bias")}, "logits", {{"transB", int64_t{1}}}});
  }

 private:
  std::string weight(const std::string& name) { return graph_.add(name, weights_.at(name)); }

  // A convolution and its BatchNorm.
  std::string unit(const std::string& name, const std::string& x) {
    const ConvBn& u = *units_.at(name);
    const ConvOptions& o = u.conv.options;
    const std::string filter = u.conv.weight.name(), bn = u.bn.name();
    const std::string y = graph_.add({"Conv",
                                      {x, weight(filter)},
                                      name,
                                      {{"kernel_shape", std::vector<int64_t>{u.conv.weight.shape()[1], u.conv.weight.shape()[2]}},
                                       {"strides", std::vector<int64_t>{o.stride, o.stride}},
                                       {"pads", std::vector<int64_t>(4, o.padding)}}});
    return graph_.add({"BatchNormalization",
                       {y, weight(bn + ".weight"), weight(bn + ".bias"), weight(bn + ".running_mean"), weight(bn + ".running_var")},
                       bn,
                       {{"epsilon", u.bn.eps}}});
  }

  std::string block(const std::string& name, const std::string& x) {
    const std::string shortcut = name + ".downsample.0";
    const std::string residual = units_.contains(shortcut) ? unit(shortcut, x) : x;
    std::string y = x;
    for (int i = 1; units_.contains(concat(name, ".conv", i)); ++i) {
      if (i > 1) y = graph_.add({"Relu", {y}, concat(name, ".relu", i - 1)});
      y = unit(concat(name, ".conv", i), y);
    }
    y = graph_.add({"Add", {y, residual}, name + ".add"});
    return graph_.add({"Relu", {y}, name});
  }

  Classifier& model_;
  const StateDict& weights_;
  Graph& graph_;
  std::vector<Array> constants_;          // beside the weights; the graph borrows them
  std::map<std::string, ConvBn*> units_;  // by the convolution's name
};

}  // namespace

void write_onnx(const std::filesystem::path& file, Classifier& model, const PreprocessingOptions& preprocessing,
                const OnnxOptions& options) {
  DURA_CHECK(options.batch >= 0, "ONNX: a batch of ", options.batch, " images; expected is a number from 1, or 0 for any");
  const StateDict weights = state_of(model);
  DURA_CHECK(weights.at("fc.weight").type() == ElementType::f32, "ONNX: the weights are ", element_name(weights.at("fc.weight").type()),
             ", expected f32. Read the model to compute in f32.");
  const int64_t size = preprocessing.size;
  Graph graph;
  Exporter exporter(model, weights, graph);
  std::string x;
  if (options.input == OnnxInput::pixels) {
    graph.input("pixels", TensorType::u8, {options.batch, size, size, 3});
    x = exporter.normalise("pixels");
  } else {
    graph.input("images", TensorType::f32, {options.batch, 3, size, size});
    x = "images";
  }
  const std::string logits = exporter.head(exporter.backbone(x));
  const std::string probabilities = graph.add({"Softmax", {logits}, "probabilities", {{"axis", int64_t{1}}}});
  for (const std::string& name : {logits, probabilities}) graph.output(name, TensorType::f32, {options.batch, std::ssize(model.classes())});

  const Normalisation& n = normalisation_of(model.options().input);
  Entries metadata = model_metadata(model, preprocessing);
  metadata.insert(options.more.begin(), options.more.end());
  metadata["dura.onnx_input"] = options.input == OnnxInput::pixels ? "pixels" : "images";
  metadata["dura.channels"] = n.bgr ? "BGR" : "RGB";
  metadata["dura.mean"] = listed(n.mean);
  metadata["dura.deviation"] = listed(n.deviation);
  const onnx::ProtoMessage message = graph.model(concat("dura ResNet-", model.options().backbone.depth), metadata);
  DURA_CHECK(message.size() <= max_message_bytes, file.string(), ": the model takes ", message.size(),
             " bytes, an ONNX file holds at most ", max_message_bytes);
  AtomicFile out(file);
  message.write(out);
  out.commit();
}

}  // namespace dura
