#include "apps/training/weight_average.h"

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura {
namespace {

constexpr const char *prefix = "average.", *count_key = "average.epochs";

}  // namespace

void WeightAverage::add(const StateDict& weights) {
  DURA_CHECK(epochs_ == 0 || weights.size() == mean_.size(), "weight average: ", weights.size(), " arrays, ", mean_.size(), " before");
  ++epochs_;
  StateDict next;
  for (const StateDict::Entry& e : weights.entries()) {
    const Array& w = e.array;
    const Array* before = mean_.find(e.name);
    DURA_CHECK(w.type() == ElementType::f32 && (epochs_ == 1 || (before && before->dimensions() == w.dimensions())),
               "weight average: ", quote(e.name), " is ", element_name(w.type()), " ", describe(w.dimensions()),
               ", expected f32 and the extents of before");
    std::vector<float> values(static_cast<size_t>(w.numel()));
    for (int64_t i = 0; i < w.numel(); ++i) {
      const double mean = before ? before->value(i) : w.value(i);
      values[static_cast<size_t>(i)] = static_cast<float>(mean + (w.value(i) - mean) / static_cast<double>(epochs_));
    }
    next.add(e.name, Array::of(w.dimensions(), ElementType::f32, values));
  }
  mean_ = std::move(next);
}

void WeightAverage::save(StateDict& into) const {
  if (epochs_ == 0) return;
  for (const StateDict::Entry& e : mean_.entries()) into.add(prefix + e.name, e.array);
  into.metadata()[count_key] = std::to_string(epochs_);
}

void WeightAverage::restore(const StateDict& from, const std::string& file) {
  mean_ = {}, epochs_ = 0;
  const auto count = from.metadata().find(count_key);
  if (count == from.metadata().end()) return;
  epochs_ = parse_number<int64_t>(count->second).value_or(0);
  DURA_CHECK(epochs_ > 0, file, ": the entry '", count_key, "' is ", quote(count->second),
             ", expected a number of epochs. The checkpoint is damaged; begin a new run.");
  for (const StateDict::Entry& e : from.entries())
    if (e.name.starts_with(prefix)) mean_.add(e.name.substr(std::string_view(prefix).size()), e.array);
}

}  // namespace dura
