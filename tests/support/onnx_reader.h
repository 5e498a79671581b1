// ONNX files as the tests look at them: a reader of protocol buffers and of the messages that dura writes, and an interpreter of their
// nodes by naive loops in double. Written from onnx.proto and the operators' descriptions, not from the writer: they share no code.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dura::test {

struct OnnxTensor {
  std::vector<int64_t> extents = {};
  std::vector<double> values = {};
  int64_t type = 0;  // TensorProto.DataType
};

struct OnnxAttribute {
  double real = 0;
  int64_t integer = 0;
  std::vector<int64_t> integers = {};
};

struct OnnxNode {
  std::string name, op;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, OnnxAttribute> attributes;

  std::vector<int64_t> integers(const std::string& attribute) const { return attributes.at(attribute).integers; }
  int64_t integer(const std::string& attribute) const { return attributes.at(attribute).integer; }
};

// Of an input or output. An extent that has a name in the file is -1 here.
struct OnnxValue {
  std::string name;
  int64_t type = 0;
  std::vector<int64_t> extents = {};
};

struct OnnxModel {
  int64_t format_version = 0, operator_set = 0;
  std::vector<OnnxNode> nodes;
  std::map<std::string, OnnxTensor> constants;
  std::vector<OnnxValue> inputs, outputs;
  std::map<std::string, std::string> metadata;

  // Every value after all nodes, by name. Error: a node that reads what is not there yet, an operator that dura does not write, an input of
  // other extents than are declared, or extents that an operator does not take.
  std::map<std::string, OnnxTensor> run(const OnnxTensor& input) const;
};

// Error where the bytes are no such message, or hold a field that this reader does not know.
OnnxModel read_onnx(std::string_view bytes);

}  // namespace dura::test
