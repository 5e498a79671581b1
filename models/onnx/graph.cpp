#include "models/onnx/graph.h"

#include <utility>

namespace dura::onnx {
namespace {

// Operators mean what version 13 of the standard set says; version 7 of the file format is the first that may hold it.
constexpr int64_t operator_set = 13, format_version = 7;

ProtoMessage attribute_message(const Attribute& a) {
  ProtoMessage m;
  m.text(1, a.name);
  switch (a.kind) {
    case Attribute::Kind::real:
      return m.real(2, a.real).integer(20, 1), m;
    case Attribute::Kind::integer:
      return m.integer(3, a.integers.front()).integer(20, 2), m;
    case Attribute::Kind::integers:
      for (const int64_t i : a.integers) m.integer(8, i);
      m.integer(20, 7);
  }
  return m;
}

ProtoMessage value_message(const std::string& name, TensorType type, const Dimensions& dimensions) {
  ProtoMessage shape;
  for (const int64_t extent : dimensions) {
    ProtoMessage dimension;
    if (extent == Graph::any_batch)
      dimension.text(2, "N");
    else
      dimension.integer(1, extent);
    shape.message(1, std::move(dimension));
  }
  ProtoMessage tensor, of_type, value;
  tensor.integer(1, static_cast<int64_t>(type)).message(2, std::move(shape));
  of_type.message(1, std::move(tensor));
  value.text(1, name).message(2, std::move(of_type));
  return value;
}

}  // namespace

std::string Graph::add(const Node& node) {
  ProtoMessage m;
  for (const std::string& input : node.inputs) m.text(1, input);
  m.text(2, node.output).text(3, node.output).text(4, node.op);
  for (const Attribute& a : node.attributes) m.message(5, attribute_message(a));
  graph_.message(1, std::move(m));
  return node.output;
}

std::string Graph::add(const std::string& name, const Array& array) {
  DURA_CHECK(array.type() == ElementType::f32 || array.type() == ElementType::i64, "ONNX: the constant ", quote(name), " is of ",
             element_name(array.type()), ", expected f32 or i64");
  ProtoMessage m;
  for (const int64_t extent : array.dimensions()) m.integer(1, extent);
  m.integer(2, static_cast<int64_t>(array.type() == ElementType::f32 ? TensorType::f32 : TensorType::i64));
  m.text(8, name).borrow(9, array.bytes());
  graph_.message(5, std::move(m));
  return name;
}

void Graph::input(const std::string& name, TensorType type, const Dimensions& dimensions) {
  graph_.message(11, value_message(name, type, dimensions));
}
void Graph::output(const std::string& name, TensorType type, const Dimensions& dimensions) {
  graph_.message(12, value_message(name, type, dimensions));
}

ProtoMessage Graph::model(const std::string& name, const std::map<std::string, std::string>& metadata) {
  graph_.text(2, name);
  ProtoMessage model, set;
  set.text(1, "").integer(2, operator_set);
  model.integer(1, format_version).text(2, "dura").message(7, std::exchange(graph_, {})).message(8, std::move(set));
  for (const auto& [key, value] : metadata) {
    ProtoMessage entry;
    entry.text(1, key).text(2, value);
    model.message(14, std::move(entry));
  }
  return model;
}

}  // namespace dura::onnx
