// Two runs of the same work, compared op by op: the first op whose result is beyond tolerance is where to look. Traces are files of the
// lines that engine/core/trace.h writes (--trace FILE).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace dura {

struct TraceLine {
  std::string op;  // "forward conv_bn_act layer1.0.conv1": direction, op, label
  std::string dtype, shape, checksum;
  double mean = 0;
};

// Throws Error naming `file` and the line for anything that is no trace line.
std::vector<TraceLine> parse_trace(const std::string& text, const std::string& file);

struct TraceTolerance {
  double relative = 1e-3, absolute = 1e-5;  // of the mean: |a - b| <= absolute + relative * max(|a|, |b|)
};

struct TraceDiff {
  int64_t ops = 0;               // compared
  int64_t identical = 0;         // same checksum and type
  int64_t within_tolerance = 0;  // of the rest
  std::string first_beyond;      // what differs first and how; empty: nothing does
};

// Ops are paired by position: runs that do different work differ at the first op that is another one.
TraceDiff diff_traces(const std::vector<TraceLine>& a, const std::vector<TraceLine>& b, const TraceTolerance& tolerance);

}  // namespace dura
