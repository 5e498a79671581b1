// BatchNorm with its residual, ReLU and mask as one graph, forward and backward, as the simulated device computes it, against the same in
// separate steps by their definitions in double.
#include <catch2/catch.hpp>

#include <cmath>

#include "engine/cuda/cuda_devices.h"
#include "engine/cuda/driver.h"
#include "tests/op_harness.h"

using namespace dura;
using namespace dura::optest;

namespace {

Array random_array(const Shape& s, uint64_t key, double offset = 0) {
  Array a(s);
  Random r(key);
  for (double& x : a.v) x = offset + 0.5 * r.normal();
  return a;
}

Tensor empty(const Column& c, const Shape& s) { return Tensor::empty(s, c.dtype, c.device); }
Tensor empty_stat(const Shape& s) { return Tensor::empty(s, DType::f32, Device::cuda_sim); }

void append(std::vector<Tensor>& to, const std::vector<Tensor>& more) {
  for (const Tensor& t : more) to.push_back(t);
}

void run_graph(const cuda::Graph& graph, const std::vector<Tensor>& tensors) {
  std::vector<void*> addresses;
  for (const Tensor& t : tensors) addresses.push_back(t.raw());
  cuda::driver_of(Device::cuda_sim).run(graph, addresses, nullptr, cuda::compute_stream(Device::cuda_sim));
}

void expect_near(const Tensor& found, const Array& expected, const Column& column, const char* what) {
  const std::string wrong = compare(to_array(found), expected, Accuracy::product, column, 2);
  INFO(column.name() << " " << what << ": " << wrong);
  CHECK(wrong.empty());
}

}  // namespace

TEST_CASE("BatchNorm, addition, ReLU and mask as one graph equal the separate steps, forward and backward", "[cuda-sim][graph]") {
  const Shape s({2, 5, 3, 13});  // 390 elements: the mask ends inside of a byte
  const Shape channels({13});
  constexpr double eps = 1e-5, momentum = 0.25;
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const bool residual : {false, true}) {
      const Column column{.device = Device::cuda_sim, .dtype = dtype}, stat{.device = Device::cuda_sim, .dtype = DType::f32};
      const auto stored = [](const Array& a, const Column& c) { return to_array(c.tensor(a)); };
      const Array x = stored(random_array(s, 1, 0.5), column), r = stored(random_array(s, 2), column),
                  dy = stored(random_array(s, 3), column);
      const Array gamma = stored(random_array(channels, 4, 1), stat), beta = stored(random_array(channels, 5), stat);
      const Array running_mean = stored(random_array(channels, 6), stat), running_variance = stored(random_array(channels, 7, 2), stat);

      const reference::Moments m = reference::moments(x);
      Array y = reference::batch_norm(x, gamma, beta, m, eps);
      if (residual) y = reference::add(y, r);
      y = reference::relu(y);

      const Tensor there = column.tensor(x), out = empty(column, s), mean = empty_stat(channels), invstd = empty_stat(channels),
                   new_mean = empty_stat(channels), new_variance = empty_stat(channels);
      const Tensor mask = Tensor::empty({(s.numel() + 7) / 8}, DType::u8, Device::cuda_sim);
      std::vector<Tensor> tensors;
      append(tensors, {there, stat.tensor(gamma), stat.tensor(beta), stat.tensor(running_mean), stat.tensor(running_variance)});
      if (residual) tensors.push_back(column.tensor(r));
      append(tensors, {out, mask, mean, invstd, new_mean, new_variance});
      run_graph(cuda::batch_norm_training_graph(
                    s, dtype, {.running = true, .residual = residual, .relu = true, .epsilon = eps, .momentum = momentum}),
                tensors);
      expect_near(out, y, column, "y");
      expect_near(mean, m.mean, stat, "mean");
      const reference::Moments moved = reference::updated_running({running_mean, running_variance}, m, s.numel() / 13, momentum, true);
      expect_near(new_mean, moved.mean, stat, "running mean");
      expect_near(new_variance, moved.variance, stat, "running variance");

      // The mask is that of the outputs as they were stored: one that rounds to zero gets no gradient.
      const Array found = to_array(out);
      Array g = dy;
      for (int64_t i = 0; i < g.numel(); ++i) g[i] = found[i] > 0 ? dy[i] : 0;
      const auto expected = reference::batch_norm_backward(x, gamma, m, eps, g, true);
      const Tensor dx = empty(column, s), masked = empty(column, s), dgamma = empty_stat(channels), dbeta = empty_stat(channels);
      tensors = {column.tensor(dy), mask, there, stat.tensor(gamma), mean, invstd};
      if (residual) tensors.push_back(masked);
      append(tensors, {dx, dgamma, dbeta});
      run_graph(cuda::batch_norm_backward_graph(s, dtype, true, residual), tensors);
      expect_near(dx, expected.dx, column, "dx");
      expect_near(dgamma, expected.dgamma, stat, "dgamma");
      expect_near(dbeta, expected.dbeta, stat, "dbeta");
      if (residual) CHECK(to_array(masked).v == g.v);
    }
}
