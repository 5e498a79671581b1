#include "apps/training/gradient_exchange.h"

#include <exception>

#include "engine/core/backend.h"

namespace dura {

void all_reduce(Communicator& ranks, const Tensor& sum) {
  const auto count = static_cast<size_t>(sum.numel());
  if (sum.dtype() == DType::f64)
    ranks.all_reduce(std::span(sum.data<double>(), count));
  else
    ranks.all_reduce(std::span(sum.data<float>(), count));
}

GradientExchange::GradientExchange(const ParameterArena& arena, GradientTree& tree, Communicator& ranks, int64_t bucket_bytes)
    : tree_(tree), ranks_(ranks) {
  const auto element = static_cast<int64_t>(dtype_size(tree.sum().dtype()));
  int64_t first_of_group = 0;
  for (const ParameterArena::Group& g : arena.groups()) {
    // Backward comes from the last parameter to the first.
    int64_t end = g.gradient.numel();
    Bucket bucket;
    for (size_t i = g.parameters.size(); i-- > 0;) {
      bucket_of_[g.parameters[i]->gradient().get()] = buckets_.size();
      ++bucket.parameters;
      bucket.begin = first_of_group + g.offsets[i], bucket.count = end - g.offsets[i];
      if (bucket.count * element < bucket_bytes && i > 0) continue;
      bucket.missing = bucket.parameters;
      buckets_.push_back(bucket);
      end = g.offsets[i];
      bucket = {};
    }
    first_of_group += g.gradient.numel();
  }
}

// Where an exception passes, the other ranks may never answer.
GradientExchange::~GradientExchange() {
  if (std::uncaught_exceptions() > 0) ranks_.give_up();
}

void GradientExchange::finished(const Gradient& gradient) {
  const auto found = bucket_of_.find(&gradient);
  if (found == bucket_of_.end()) return;
  Bucket& bucket = buckets_[found->second];
  if (--bucket.missing > 0) return;
  bucket.missing = bucket.parameters;
  tree_.add_piece(bucket.begin, bucket.count);
  sender_.add([this, piece = tree_.sum().slice(bucket.begin, Shape{bucket.count})] { all_reduce(ranks_, piece); });
}

void GradientExchange::finish() {
  sender_.wait();
  tree_.end_lane();
}

int64_t GradientExchange::bytes_per_step() const {
  int64_t bytes = 0;
  for (const Bucket& b : buckets_) bytes += ranks_.all_reduce_bytes(b.count, static_cast<int64_t>(dtype_size(tree_.sum().dtype())));
  return bytes;
}

}  // namespace dura
