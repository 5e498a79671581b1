#include "apps/study/layer_times.h"

#include <algorithm>

namespace dura {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

LayerTimes::LayerTimes(const std::vector<ConvBn*>& convolutions) {
  for (const ConvBn* unit : convolutions) filters_[unit->conv.name()] = unit->conv.weight.shape();
}

void LayerTimes::add(const OpRecord& r) {
  const std::string key = concat(r.direction, " ", r.op, " ", r.label);
  const auto [at, fresh] = found_.emplace(key, ops_.size());
  if (fresh) ops_.push_back({r.direction, r.op, r.label, 0, 0, 0, {}});
  Op& op = ops_[at->second];
  // All results of one run of an op carry the same time.
  const bool first_result = op.step == 0 || op.last != r.milliseconds;
  if (first_result) op.step += op.last = r.milliseconds;
  const auto filter = filters_.find(r.label);
  if (filter == filters_.end() || !first_step_) return;
  if (op.direction == "forward") {
    Shape& output = outputs_[r.label];
    if (first_result) output = op.passes == 0 ? r.result.shape() : output.of_batch(output[0] + r.result.shape()[0]);
    op.passes = 1;
  } else if (r.result.shape() == filter->second || (r.result.shape().rank() == 4 && r.result.shape()[3] == filter->second[3])) {
    op.passes = std::min<int64_t>(2, op.passes + 1);  // the filter's gradient, or the input's
  }
}

void LayerTimes::end_step() {
  for (Op& op : ops_) {
    op.times.push_back(op.step);
    op.step = 0;
  }
  first_step_ = false;
}

double LayerTimes::flops(const Op& op) const {
  const auto filter = filters_.find(op.layer), output = outputs_.find(op.layer);
  if (filter == filters_.end() || output == outputs_.end()) return 0;
  const double outputs = static_cast<double>(output->second.numel()),
               taps = static_cast<double>(filter->second.numel() / filter->second[0]);
  return 2 * outputs * taps * static_cast<double>(op.passes);
}

Table LayerTimes::table(double peak) const {
  Table lines = {{"pass", "op", "layer", "output", "ms", "%", "GFLOP/s", "of peak %"}};
  double total = 0, convolution_ms = 0, convolution_flops = 0;
  for (const Op& op : ops_) total += median(op.times);
  const auto rate_cells = [&](std::vector<std::string>& cells, double flop, double ms) {
    const double rate = flop / ms * 1e3;
    cells.push_back(fixed(rate * 1e-9, 1));
    cells.push_back(peak > 0 ? fixed(100 * rate / peak, 0) : "-");
  };
  for (const Op& op : ops_) {
    const double ms = median(op.times), flop = flops(op);
    const auto output = outputs_.find(op.layer);
    std::vector<std::string> cells = {op.direction,
                                      op.op,
                                      op.layer.empty() ? "-" : op.layer,
                                      output == outputs_.end() ? "" : concat(output->second),
                                      fixed(ms),
                                      fixed(100 * ms / total, 1)};
    if (flop > 0) rate_cells(cells, flop, ms), convolution_ms += ms, convolution_flops += flop;
    lines.push_back(std::move(cells));
  }
  lines.push_back({"all", "", "", "", fixed(total), "100.0"});
  if (convolution_ms > 0) {
    std::vector<std::string> cells = {"all", "convolutions", "", "", fixed(convolution_ms), fixed(100 * convolution_ms / total, 1)};
    rate_cells(cells, convolution_flops, convolution_ms);
    lines.push_back(std::move(cells));
  }
  return lines;
}

}  // namespace dura
