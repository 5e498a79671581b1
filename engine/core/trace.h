// What runs now, and a record of each op that ran. As a line it is
//   forward conv_bn_act layer1.0.conv1 f32 (16,56,56,64) ms=1.234 mean=1.234567890e-01 checksum=0123456789abcdef
// (direction, op, label, dtype, shape, time, mean, FNV-1a hash of the bytes). `dura-inspect diff` compares two files of such lines.
#pragma once
#include <chrono>
#include <functional>
#include <string>

#include "engine/core/tensor.h"

namespace dura {

// The name of the module at work, for memory errors, plans and traces. Labels nest; the innermost counts.
class Label {
 public:
  explicit Label(std::string name);
  ~Label();
  Label(const Label&) = delete;
  Label& operator=(const Label&) = delete;
  static const std::string& current();  // "" outside of every module

 private:
  std::string name_;
  const std::string* outer_;
};

// An op that ran, forward or backward, and one of its results.
struct OpRecord {
  const char *direction, *op;
  const std::string& label;
  const Tensor& result;
  double milliseconds;  // until the op's first result was there
};
std::string trace_line(const OpRecord& record);  // reads the result

// Where records go; unset: tracing is off and costs one comparison per op.
using TraceSink = std::function<void(const OpRecord&)>;
void set_trace_sink(TraceSink sink);
bool tracing();

// Times one op and records each of its results, all with the time until the first was there.
class OpTrace {
 public:
  OpTrace(const char* direction, const char* op) : direction_(direction), op_(op) {
    if (tracing()) start_ = std::chrono::steady_clock::now();
  }
  void done(const Tensor& result) {
    if (tracing()) record(result);
  }
  const char* op() const { return op_; }

 private:
  void record(const Tensor& result);
  const char* direction_;
  const char* op_;
  std::chrono::steady_clock::time_point start_;
  double milliseconds_ = -1;  // not known yet
};

}  // namespace dura
