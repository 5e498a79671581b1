// What the writer of ONNX files is given: any names, extents, attributes and metadata. The reader of the tests must find them again.
#include "models/onnx/graph.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/target.h"
#include "tests/support/onnx_reader.h"
#include "tests/support/temporary_folder.h"

using namespace dura;

namespace {

template <class T>
Array array_of(test::Choices& choices, ElementType type) {
  Dimensions dimensions;
  int64_t count = 1;
  for (size_t rank = choices.below(5); rank > 0; --rank) count *= dimensions.emplace_back(static_cast<int64_t>(choices.below(4)));
  std::vector<T> values(static_cast<size_t>(count));
  for (T& v : values) v = choices.number<T>();
  return Array::of(dimensions, type, values);
}

onnx::Attribute attribute_of(test::Choices& choices) {
  const std::string name = choices.text(20);
  switch (choices.below(3)) {
    case 0:
      return {name, choices.number<int64_t>()};
    case 1:
      return {name, 1 + static_cast<double>(choices.number<uint16_t>())};
    default:
      break;
  }
  std::vector<int64_t> values(1 + choices.below(4));
  for (int64_t& v : values) v = choices.number<int64_t>();
  return {name, values};
}

void expect(bool condition) {
  if (!condition) __builtin_trap();
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TemporaryFolder folder;
  test::Choices choices({data, size});
  onnx::Graph graph;
  std::vector<onnx::Node> nodes;
  std::map<std::string, Array> constants;  // the graph borrows their bytes
  std::vector<std::pair<std::string, Dimensions>> inputs;
  std::map<std::string, std::string> metadata;
  while (!choices.rest().empty() && nodes.size() + constants.size() + inputs.size() < 50) {
    const std::string name = choices.text(40);
    switch (choices.below(4)) {
      case 0: {
        onnx::Node node{choices.text(20), {}, name};
        for (size_t n = choices.below(4); n > 0; --n) node.inputs.push_back(choices.text(40));
        for (size_t n = choices.below(3); n > 0; --n) node.attributes.push_back(attribute_of(choices));
        graph.add(nodes.emplace_back(node));
        break;
      }
      case 1: {
        const Array array = choices.flag() ? array_of<float>(choices, ElementType::f32) : array_of<int64_t>(choices, ElementType::i64);
        if (constants.emplace(name, array).second) graph.add(name, array);
        break;
      }
      case 2: {
        Dimensions dimensions(choices.below(5));
        for (int64_t& d : dimensions) d = choices.number<int64_t>();
        graph.input(name, onnx::TensorType::f32, dimensions);
        inputs.emplace_back(name, dimensions);
        break;
      }
      default:
        metadata[name] = choices.text(100);
    }
  }
  const onnx::ProtoMessage message = graph.model("fuzz", metadata);
  AtomicFile out(folder.path() + "/model.onnx");
  message.write(out);
  out.commit();
  const std::string bytes = read_text_file(folder.path() + "/model.onnx", uint64_t{1} << 24);
  expect(bytes.size() == message.size());

  const test::OnnxModel found = test::read_onnx(bytes);  // an error is a finding
  expect(found.nodes.size() == nodes.size() && found.constants.size() == constants.size() && found.inputs.size() == inputs.size());
  for (size_t i = 0; i < nodes.size(); ++i)
    expect(found.nodes[i].op == nodes[i].op && found.nodes[i].inputs == nodes[i].inputs &&
           found.nodes[i].outputs == std::vector<std::string>{nodes[i].output});
  for (const auto& [name, array] : constants) expect(found.constants.at(name).extents == array.dimensions());
  for (size_t i = 0; i < inputs.size(); ++i)
    expect(found.inputs[i].name == inputs[i].first && found.inputs[i].extents.size() == inputs[i].second.size());
  expect(found.metadata == metadata);
  return 0;
}
