#include "engine/optim/gradient_tree.h"

#include <bit>
#include <utility>

#include "engine/core/ops.h"

namespace dura {

GradientTree::GradientTree(const ParameterArena& arena, int64_t lanes) : arena_(arena), lanes_(lanes) {
  DURA_CHECK(lanes >= 1 && std::has_single_bit(static_cast<uint64_t>(lanes)), "gradient tree: ", lanes, " lanes, expected a power of two");
  bool wide = true;
  for (const ParameterArena::Group& g : arena.groups()) wide = wide && g.gradient.dtype() == stat_dtype(g.gradient.dtype());
  const int levels = std::max(1, std::countr_zero(static_cast<uint64_t>(lanes)));
  for (int k = 0; k < levels; ++k) pending_.push_back(make_sums());
  if (!wide && lanes > 1) widened_ = make_sums();
}

GradientTree::Sums GradientTree::make_sums() const {
  int64_t total = 0;
  for (const ParameterArena::Group& g : arena_.groups()) total += g.gradient.numel();
  const Tensor& first = arena_.groups().front().gradient;
  Sums sums{.all = Tensor::zeros({total}, stat_dtype(first.dtype()), first.device(), "sum of gradients"), .groups = {}};
  int64_t begin = 0;
  for (const ParameterArena::Group& g : arena_.groups()) {
    sums.groups.push_back(sums.all.slice(begin, g.gradient.shape()));
    begin += g.gradient.numel();
  }
  return sums;
}

void GradientTree::take_gradients(const Sums& to) const {
  for (size_t i = 0; i < to.groups.size(); ++i) {
    const Tensor& gradient = arena_.groups()[i].gradient;
    Backend& b = backend(gradient.device());
    if (gradient.dtype() == to.groups[i].dtype())
      b.copy(gradient, to.groups[i]);
    else
      b.cast(gradient, to.groups[i]);
  }
}

void GradientTree::add_lane() {
  const int64_t lane = std::exchange(next_, (next_ + 1) % lanes_);
  if (lane % 2 == 0) return take_gradients(pending_.front());
  Backend& b = backend(sum().device());
  const Sums& even = pending_.front();
  if (widened_.all.defined()) {
    take_gradients(widened_);
    b.add(even.all, widened_.all, even.all);
  } else {
    for (size_t i = 0; i < even.groups.size(); ++i) b.add(even.groups[i], arena_.groups()[i].gradient, even.groups[i]);
  }
  // As a binary counter carries: what is complete goes up to where a neighbour waits for it.
  size_t level = 0;
  for (; (lane >> (level + 1)) % 2 != 0; ++level) b.add(pending_[level + 1].all, pending_[level].all, pending_[level + 1].all);
  if (next_ != 0) std::swap(pending_[level + 1], pending_[level]);
}

}  // namespace dura
