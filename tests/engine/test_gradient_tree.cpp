// The sum of lanes: which is added to which, in which type, and that blocks of lanes are subtrees.
#include "tests/support/catch.h"

#include <cmath>

#include "engine/core/ops.h"
#include "engine/optim/gradient_tree.h"

using namespace dura;

namespace {

// Two groups: a matrix, and a vector in the type of statistics.
struct Parameters {
  explicit Parameters(DType compute)
      : matrix("w", {3, 7}, compute, Device::cpu), vector("b", {5}, stat_dtype(compute), Device::cpu), arena({&matrix, &vector}) {}

  // Gradients of a lane, of very different sizes: the order of additions shows.
  void gather(int64_t lane) {
    arena.begin_step();
    for (Parameter* p : {&matrix, &vector}) {
      std::vector<double> values;
      for (int64_t i = 0; i < p->shape().numel(); ++i) values.push_back(value(lane, i));
      p->gradient()->add(upload_from_double(p->shape(), values, p->compute().dtype(), Device::cpu));
    }
  }
  static double value(int64_t lane, int64_t i) {
    return (lane % 3 == 1 ? -1.0 : 1.0) * (1.0 + static_cast<double>(i) / 7) * std::pow(10.0, static_cast<double>((lane * 5 + i) % 7 - 3));
  }

  Parameter matrix, vector;
  ParameterArena arena;
};

template <class T>
T rounded(double v, DType stored) {
  return static_cast<T>(download_as_double(upload_from_double({1}, {v}, stored, Device::cpu)).front());
}

// The definition: the sum of a block is that of its halves.
template <class T>
T block_sum(int64_t first, int64_t count, int64_t i, DType stored) {
  if (count == 1) return rounded<T>(Parameters::value(first, i), stored);
  return block_sum<T>(first, count / 2, i, stored) + block_sum<T>(first + count / 2, count / 2, i, stored);
}

template <class T>
void check_sum(Parameters& p, const GradientTree& tree, int64_t first, int64_t lanes) {
  for (size_t g = 0; g < p.arena.groups().size(); ++g) {
    const ParameterArena::Group& group = p.arena.groups()[g];
    const T* sum = tree.sum_of_groups()[g].data<T>();
    const int64_t count = group.parameters.front()->shape().numel();
    for (int64_t i = 0; i < count; ++i) CHECK(sum[i] == block_sum<T>(first, lanes, i, group.gradient.dtype()));
    for (int64_t i = count; i < group.gradient.numel(); ++i) CHECK(sum[i] == 0);  // padding
  }
}

}  // namespace

TEST_CASE("gradients of lanes are added in one binary tree, in f32 where they are stored in 16 bits", "[optim][lanes]") {
  for (const int64_t lanes : {1, 2, 4, 8, 16})
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
      CAPTURE(lanes, dtype_name(dtype));
      Parameters p(dtype);
      GradientTree tree(p.arena, lanes);
      for (const int64_t first : {int64_t{0}, lanes}) {  // a second batch begins anew
        for (int64_t lane = first; lane < first + lanes; ++lane) {
          p.gather(lane);
          tree.add_lane();
        }
        dtype == DType::f64 ? check_sum<double>(p, tree, first, lanes) : check_sum<float>(p, tree, first, lanes);
      }
    }
  // The tree is another sum than one lane after the other, or this test would see nothing.
  float in_a_row = 0;
  for (int64_t lane = 0; lane < 16; ++lane) in_a_row += static_cast<float>(Parameters::value(lane, 3));
  CHECK(in_a_row != block_sum<float>(0, 16, 3, DType::f32));
}

TEST_CASE("the last lane may come in pieces, in any order", "[optim][lanes]") {
  for (const int64_t lanes : {1, 2, 4, 8})
    for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
      CAPTURE(lanes, dtype_name(dtype));
      Parameters p(dtype);
      GradientTree tree(p.arena, lanes);
      for (const int64_t first : {int64_t{0}, lanes}) {
        for (int64_t lane = first; lane < first + lanes; ++lane) {
          p.gather(lane);
          CHECK(tree.is_last_lane() == (lane + 1 == first + lanes));
          if (!tree.is_last_lane()) {
            CHECK_THROWS_WITH(tree.add_piece(0, 16), Catch::Contains("only the last one comes in pieces"));
            tree.add_lane();
            continue;
          }
          for (int64_t begin = tree.sum().numel() - 16; begin >= 0; begin -= 16) tree.add_piece(begin, 16);
          tree.end_lane();
        }
        dtype == DType::f64 ? check_sum<double>(p, tree, first, lanes) : check_sum<float>(p, tree, first, lanes);
      }
    }
}

TEST_CASE("a number of lanes that is no power of two is refused", "[optim][lanes]") {
  Parameters p(DType::f32);
  for (const int64_t lanes : {0, 3, 6}) CHECK_THROWS_WITH(GradientTree(p.arena, lanes), Catch::Contains("expected a power of two"));
}
