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

// As a binary counter carries: what is complete goes up to where a neighbour waits for it.
size_t GradientTree::complete_levels() const {
  size_t level = 0;
  for (; (next_ >> (level + 1)) % 2 != 0; ++level) {
  }
  return level;
}

void GradientTree::add(size_t group, int64_t begin, int64_t count) {
  const auto piece = [&](const Sums& sums) { return sums.groups[group].slice(begin, Shape{count}); };
  const Tensor gradient = arena_.groups()[group].gradient.slice(begin, Shape{count}), even = piece(pending_.front());
  Backend& b = backend(gradient.device());
  const bool wide = gradient.dtype() == even.dtype();
  if (next_ % 2 == 0) return wide ? b.copy(gradient, even) : b.cast(gradient, even);
  if (wide) {
    b.add(even, gradient, even);
  } else {
    b.cast(gradient, piece(widened_));
    b.add(even, piece(widened_), even);
  }
  for (size_t level = 0; level < complete_levels(); ++level)
    b.add(piece(pending_[level + 1]), piece(pending_[level]), piece(pending_[level + 1]));
}

void GradientTree::add_piece(int64_t begin, int64_t count) {
  DURA_CHECK(is_last_lane(), "gradient tree: a piece of lane ", next_, " of ", lanes_, ", only the last one comes in pieces");
  size_t group = 0;
  for (; begin >= arena_.groups()[group].gradient.numel(); ++group) begin -= arena_.groups()[group].gradient.numel();
  add(group, begin, count);
}

void GradientTree::add_lane() {
  for (size_t group = 0; group < arena_.groups().size(); ++group) add(group, 0, arena_.groups()[group].gradient.numel());
  end_lane();
}

void GradientTree::end_lane() {
  const int64_t lane = next_;
  const size_t level = complete_levels();
  next_ = (next_ + 1) % lanes_;
  if (lane % 2 != 0 && next_ != 0) std::swap(pending_[level + 1], pending_[level]);
}

}  // namespace dura
