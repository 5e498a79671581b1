// An ONNX graph while it is put together: nodes in the order of execution, weights, inputs and outputs, each a message of onnx.proto.
// Invariant: a node is added after everything that it reads, so that the graph is sorted as the format asks for.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "models/onnx/proto_message.h"
#include "weights/state.h"

namespace dura::onnx {

// TensorProto.DataType of onnx.proto.
enum class TensorType : uint8_t { f32 = 1, u8 = 2, i64 = 7 };

// What an operator is told besides its inputs. Of one name, one value: an integer, a real number, or a list of integers.
struct Attribute {
  enum class Kind : uint8_t { integer, real, integers };
  Attribute(std::string attribute, int64_t value) : name(std::move(attribute)), kind(Kind::integer), integers{value} {}
  Attribute(std::string attribute, double value) : name(std::move(attribute)), kind(Kind::real), real(static_cast<float>(value)) {}
  Attribute(std::string attribute, std::vector<int64_t> values)
      : name(std::move(attribute)), kind(Kind::integers), integers(std::move(values)) {}

  std::string name;
  Kind kind;
  float real = 0;
  std::vector<int64_t> integers = {};
};

struct Node {
  std::string op;                   // "Conv"
  std::vector<std::string> inputs;  // names of values, as the operator's description orders them
  std::string output;               // the value's name, and the node's
  std::vector<Attribute> attributes = {};
};

class Graph {
 public:
  // An extent that is not known when the model is made has a name in the file; here it is this number.
  static constexpr int64_t any_batch = 0;

  // The output's name, for the next node.
  std::string add(const Node& node);
  // A constant of f32 or i64. Its bytes are borrowed until the model has been written.
  std::string add(const std::string& name, const Array& array);
  void input(const std::string& name, TensorType type, const Dimensions& dimensions);
  void output(const std::string& name, TensorType type, const Dimensions& dimensions);

  // The whole model around this graph, for one writing: the graph's contents move into it. `metadata`: entries for metadata_props.
  ProtoMessage model(const std::string& name, const std::map<std::string, std::string>& metadata);

 private:
  ProtoMessage graph_;
};

}  // namespace dura::onnx
