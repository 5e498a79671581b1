// What runs now, and a line about each op that ran. A trace line is
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

// Where trace lines go; unset: tracing is off and costs one comparison per op.
using TraceSink = std::function<void(const std::string& line)>;
void set_trace_sink(TraceSink sink);
bool tracing();

// Times one op and writes a line for each of its results, all with the time until the first was there.
class OpTrace {
 public:
  OpTrace(const char* direction, const char* op) : direction_(direction), op_(op) {
    if (tracing()) start_ = std::chrono::steady_clock::now();
  }
  void done(const Tensor& result) {
    if (tracing()) write(result);
  }
  const char* op() const { return op_; }

 private:
  void write(const Tensor& result);
  const char* direction_;
  const char* op_;
  std::chrono::steady_clock::time_point start_;
  double milliseconds_ = -1;  // not known yet
};

}  // namespace dura
