#include "tests/engine/op_harness.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/cpu/cpu_features.h"
#include "engine/devices/cuda_devices.h"
#include "engine/base/parallel.h"
#include "tests/engine/cpu/emulated_amx.h"

namespace dura::optest {
namespace {

struct Tolerance {
  double relative, absolute;  // element by element
  double mean_square;         // normalised by the mean square of what is expected
};

Tolerance tolerance(const Column& column) {
  switch (column.dtype) {
    case DType::f64:
      return {1e-12, 1e-12, 1e-20};
    case DType::f16:
      return {1e-3, 1e-5, 5e-7};
    case DType::bf16:
      return {1.6e-2, 1e-5, 3e-5};
    default:
      return {1.3e-6, 1e-5, column.winograd ? 2e-9 : 1e-11};
  }
}

// f16 decides differently from f64 where a value is within its rounding error of a kink.
double kink_margin(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 1e-4;
    case DType::f32:
      return 1e-4;
    default:
      return 0.05;
  }
}

Array rounded(const Array& values, DType dtype) {
  Column column;
  column.dtype = dtype;
  return to_array(column.tensor(values));
}

double dot(const Array& a, const Array& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.numel(); ++i) sum += a[i] * b[i];
  return sum;
}

// While alive, small loops run on this thread alone: a row is too small to share, and central differences run it thousands of times.
class OneThread {
 public:
  OneThread() : before_(num_threads()) { set_num_threads(1); }
  ~OneThread() { set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace

KernelChoice::KernelChoice(const Column& column) : before_(cpu::kernels().name), exact_before_(cpu::exact_conv()) {
  if (!column.kernels.empty()) use_kernels(column.kernels);
  cpu::set_exact_conv(!column.winograd);
}
KernelChoice::~KernelChoice() {
  use_kernels(before_);
  cpu::set_exact_conv(exact_before_);
}

std::string Column::name() const {
  std::string n = std::string(device_name(device)) + " " + dtype_name(dtype);
  if (!kernels.empty()) n += " " + kernels;
  return winograd ? n + " winograd" : n;
}

Tensor Column::upload(const Array& values, DType type) const {
  const Tensor host = Tensor::empty(values.shape, type, Device::cpu), wide = Tensor::of<double>(values.shape, values.v);
  device_backend(Device::cpu).cast(wide, host);
  if (device == Device::cpu) return host;
  const Tensor there = Tensor::empty(values.shape, type, device);
  backend(device).upload(host.raw(), there);
  return there;
}

std::vector<Column> columns() {
  std::vector<Column> all = {{}};
  for (const std::string& set : cpu::available_kernel_sets())
    for (const bool winograd : {false, true}) all.push_back({.dtype = DType::f32, .kernels = set, .winograd = winograd});
  all.push_back({.dtype = DType::f16});
  for (const std::string& set : cpu::available_kernel_sets()) all.push_back({.dtype = DType::bf16, .kernels = set});
  all.push_back({.dtype = DType::bf16, .kernels = emulated_amx_kernels().name});
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) all.push_back({.device = Device::cuda_sim, .dtype = dtype});
  if (cuda::why_not(Device::cuda).empty())
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) all.push_back({.device = Device::cuda, .dtype = dtype});
  return all;
}

std::map<std::string, std::string> missing_columns() {
  std::map<std::string, std::string> missing;
  const std::vector<std::string> available = cpu::available_kernel_sets();
  for (const char* set : {"avx2", "avx512", "avx512bf16", "amx"})
    if (std::find(available.begin(), available.end(), set) == available.end()) missing[concat("cpu f32 ", set)] = "not on this processor";
  if (const std::string reason = cuda::why_not(Device::cuda); !reason.empty()) missing[device_name(Device::cuda)] = reason;
  return missing;
}

Array to_array(const Tensor& t) {
  const Tensor host = Tensor::empty(t.shape(), t.dtype(), Device::cpu), wide = Tensor::empty(t.shape(), DType::f64, Device::cpu);
  backend(t.device()).download(t, host.raw());
  device_backend(Device::cpu).cast(host, wide);
  Array a(t.shape());
  std::copy_n(wide.data<double>(), a.numel(), a.v.begin());
  return a;
}

Drawn draw(const OpCase& c, DType rounded_to) {
  for (uint64_t attempt = 0; attempt < 400; ++attempt) {
    Drawn d;
    Random random(random_key(attempt, c.name));
    for (const Input& input : c.inputs) {
      Array a(input.shape);
      if (input.fill)
        input.fill(random, a);
      else
        for (double& x : a.v) x = random.normal();
      d.inputs.push_back(rounded(a, input.stat ? stat_dtype(rounded_to) : rounded_to));
    }
    d.kink_distance = c.kink_distance ? c.kink_distance(d.inputs) : std::numeric_limits<double>::infinity();
    if (d.kink_distance < kink_margin(DType::f64)) continue;
    if (c.forward) {
      d.cotangent = Array(c.forward(d.inputs).shape);
    } else {
      std::vector<Var> constants;
      const Column exact;
      for (const Array& a : d.inputs) constants.emplace_back(exact.tensor(a));
      d.cotangent = Array(c.build(constants, exact).shape());
    }
    for (double& x : d.cotangent.v) x = random.normal();
    d.cotangent = rounded(d.cotangent, rounded_to);
    return d;
  }
  fail("op table: no inputs of '", c.name, "' stay ", kink_margin(DType::f64), " away from its kinks in 400 attempts");
}

Run run(const OpCase& c, const Column& column, const Drawn& drawn, int uses) {
  const KernelChoice choice(column);
  Tape tape;
  std::vector<Var> leaves;
  for (size_t i = 0; i < c.inputs.size(); ++i)
    leaves.push_back(Var::leaf(c.inputs[i].stat ? column.stat_tensor(drawn.inputs[i]) : column.tensor(drawn.inputs[i])));
  Var y = c.build(leaves, column);
  for (int i = 1; i < uses; ++i) y = add(y, c.build(leaves, column));
  Run r{to_array(y.value()), {}};
  if (r.y.shape != drawn.cotangent.shape) return r;
  Column of_output = column;
  of_output.dtype = y.value().dtype();
  tape.backward(y, of_output.tensor(drawn.cotangent));
  for (const Var& leaf : leaves) r.gradients.push_back(leaf.gradient()->written() ? to_array(leaf.grad()) : Array());
  return r;
}

std::string compare(const Array& found, const Array& expected, Accuracy accuracy, const Column& column, double roundings) {
  if (!found.defined()) return "nothing was computed";
  if (found.shape != expected.shape) return concat("shape ", found.shape, ", expected ", expected.shape);
  Tolerance t = tolerance(column);
  if (column.dtype == DType::f16 || column.dtype == DType::bf16) t.mean_square *= roundings;
  double error = 0, size = 0, worst = 0;
  for (int64_t i = 0; i < found.numel(); ++i) {
    const double d = std::abs(found[i] - expected[i]);
    if (!std::isfinite(found[i])) return concat("element ", i, " is ", found[i], ", expected ", expected[i]);
    if (accuracy == Accuracy::pointwise && d > t.absolute + t.relative * std::abs(expected[i]))
      return concat("element ", i, " is ", found[i], ", expected ", expected[i]);
    error += d * d;
    size += expected[i] * expected[i];
    worst = std::max(worst, d);
  }
  if (accuracy == Accuracy::pointwise) return "";
  const double count = static_cast<double>(found.numel()), floor = t.absolute * t.absolute * count;
  if (error > t.mean_square * size + floor * t.mean_square)
    return concat("normalised mean square error ", error / size, ", limit ", t.mean_square);
  // In a large tensor one bad element drowns in the mean.
  const double limit = 8 * std::sqrt(t.mean_square * (size + floor) / count);
  if (worst > limit) return concat("largest difference ", worst, ", limit ", limit);
  return "";
}

namespace {

Failures compare_runs(const OpCase& c, const Run& found, const Run& expected, const Column& column) {
  Failures failures;
  const auto note = [&](const std::string& what, const std::string& wrong) {
    if (!wrong.empty()) failures.push_back(concat(c.name, " [", column.name(), "] ", what, ": ", wrong));
  };
  note("forward", compare(found.y, expected.y, c.accuracy, column, c.roundings));
  if (found.gradients.size() != c.inputs.size()) {
    note("backward", "did not run");
    return failures;
  }
  for (size_t i = 0; i < c.inputs.size(); ++i)
    note("gradient of " + c.inputs[i].name, compare(found.gradients[i], expected.gradients[i], c.accuracy, column, c.roundings));
  return failures;
}

}  // namespace

Failures check_against_reference(const OpCase& c) {
  const Drawn d = draw(c, DType::f64);
  const Column exact;
  return compare_runs(c, run(c, exact, d), {c.forward(d.inputs), c.backward(d.inputs, d.cotangent)}, exact);
}

Failures check_central_differences(const OpCase& c) {
  constexpr double step = 1e-6, limit = 1e-6;
  constexpr int64_t most_elements = 120;
  const OneThread one_thread;
  const Drawn d = draw(c, DType::f64);
  const Column exact;
  const Run analytic = run(c, exact, d);
  Failures failures;
  if (analytic.gradients.size() != c.inputs.size()) return {c.name + ": backward did not run"};
  const auto loss = [&](size_t input, const Array& direction, double along) {
    std::vector<Var> constants;
    for (size_t i = 0; i < d.inputs.size(); ++i) {
      Array a = d.inputs[i];
      if (i == input)
        for (int64_t j = 0; j < a.numel(); ++j) a[j] += along * direction[j];
      constants.emplace_back(exact.tensor(a));
    }
    return dot(to_array(c.build(constants, exact).value()), d.cotangent);
  };
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const Array& gradient = analytic.gradients[i];
    if (!gradient.defined()) {
      failures.push_back(concat(c.name, ": no gradient of ", c.inputs[i].name));
      continue;
    }
    double largest = 1e-2;  // gradients near zero are compared absolutely
    for (double g : gradient.v) largest = std::max(largest, std::abs(g));
    const auto check = [&](const Array& direction, const char* what, int64_t which) {
      const double numeric = (loss(i, direction, step) - loss(i, direction, -step)) / (2 * step), expected = dot(gradient, direction);
      if (!(std::abs(numeric - expected) <= limit * largest * std::sqrt(dot(direction, direction))))
        failures.push_back(concat(c.name, ": gradient of ", c.inputs[i].name, " along ", what, " ", which, " is ", expected,
                                  ", central difference ", numeric));
    };
    Array direction(gradient.shape);
    const int64_t stride = std::max<int64_t>(1, gradient.numel() / most_elements);
    for (int64_t j = 0; j < gradient.numel() && failures.size() < 8; j += stride) {
      direction[j] = 1;
      check(direction, "element", j);
      direction[j] = 0;
    }
    Random random(random_key(i, c.name + " direction"));
    for (int64_t k = 0; k < 2; ++k) {  // all elements at once
      for (double& x : direction.v) x = random.normal();
      check(direction, "random direction", k);
    }
  }
  return failures;
}

Failures check_accumulation(const OpCase& c, const Column& column) {
  const Drawn d = draw(c, column.dtype);
  const Run once = run(c, column, d);
  Run twice = run(c, column, d, 2);
  for (double& x : twice.y.v) x /= 2;
  for (Array& g : twice.gradients)
    for (double& x : g.v) x /= 2;
  return compare_runs(c, twice, once, column);
}

Failures check_columns(const OpCase& c, const std::vector<Column>& which) {
  Failures failures;
  std::map<DType, std::pair<Drawn, Run>> exact;  // f64 on inputs that are exact in this dtype
  for (const Column& column : which) {
    auto found = exact.find(column.dtype);
    if (found == exact.end()) {
      Drawn d = draw(c, column.dtype);
      Run expected = run(c, Column{}, d);
      found = exact.emplace(column.dtype, std::make_pair(std::move(d), std::move(expected))).first;
    }
    const auto& [drawn, expected] = found->second;
    if (drawn.kink_distance < kink_margin(column.dtype)) {
      ++counts()[column.name()].skipped[concat("a ReLU is nearer to its kink than ", dtype_name(column.dtype), " resolves")];
      continue;
    }
    ++counts()[column.name()].run;
    for (std::string& f : compare_runs(c, run(c, column, drawn), expected, column)) failures.push_back(std::move(f));
  }
  return failures;
}

std::map<std::string, Count>& counts() {
  static std::map<std::string, Count> all;
  return all;
}

}  // namespace dura::optest
