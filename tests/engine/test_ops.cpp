// Runs the op table (op_cases.cpp) through the harness, shows that the harness finds what it is there to find, and counts what ran.
#define CATCH_CONFIG_EXTERNAL_INTERFACES  // the listener below
#include "tests/support/catch.h"

#include <iostream>

#include "tests/engine/op_harness.h"

using namespace dura;
using namespace dura::optest;

namespace {

void expect_none(const Failures& failures) {
  for (const std::string& f : failures) FAIL_CHECK(f);
  CHECK(failures.empty());
}

const OpCase& row(const std::string& beginning) {
  for (const OpCase& c : op_cases())
    if (c.name.rfind(beginning, 0) == 0) return c;
  fail("no row begins with ", beginning);
}

// The row with its gradient of the first input spoilt by `spoil`.
OpCase with_gradient(const OpCase& c, const std::function<void(double*, int64_t)>& spoil) {
  OpCase mutant = c;
  mutant.name = "mutation of " + c.name;
  mutant.build = [c, spoil](const std::vector<Var>& v, const Column& column) {
    // An identity in front of the op, whose backward rule hands on a spoilt gradient.
    std::vector<Var> inputs = v;
    inputs[0] = record("spoil", v[0].value(), {&v[0]}, [&] {
      return [spoil, dx = v[0].gradient()](const Tensor& dy) {
        Array g = to_array(dy);
        spoil(g.v.data(), g.numel());
        Column of_gradient;
        of_gradient.dtype = dy.dtype();
        dx->add(of_gradient.tensor(g));
      };
    });
    return c.build(inputs, column);
  };
  return mutant;
}

// Every check that should notice a wrong gradient does.
void expect_noticed(const OpCase& mutant) {
  INFO(mutant.name);
  CHECK_FALSE(check_against_reference(mutant).empty());
  CHECK_FALSE(check_central_differences(mutant).empty());
}

// Prints the counts when the run ends, so that a skip is seen.
struct CountListener : Catch::TestEventListenerBase {
  using Catch::TestEventListenerBase::TestEventListenerBase;
  void testRunEnded(const Catch::TestRunStats&) override {
    for (const auto& [kind, count] : counts()) {
      std::cout << "ops: " << kind << ": " << count.run << " run";
      for (const auto& [reason, times] : count.skipped) std::cout << ", " << times << " skipped (" << reason << ")";
      std::cout << '\n';
    }
  }
};
CATCH_REGISTER_LISTENER(CountListener)

}  // namespace

TEST_CASE("every op equals its definition in float64, forward and backward", "[ops]") {
  for (const OpCase& c : op_cases()) {
    expect_none(check_against_reference(c));
    ++counts()["definition, f64"].run;
  }
}

TEST_CASE("every gradient equals central differences in float64", "[ops]") {
  for (const OpCase& c : op_cases()) {
    expect_none(check_central_differences(c));
    ++counts()["central differences, f64"].run;
  }
}

TEST_CASE("every op gives the same as float64 on each device, dtype and kernel set", "[ops]") {
  std::vector<Column> others = columns();
  others.erase(others.begin());  // f64 itself
  for (const OpCase& c : op_cases()) expect_none(check_columns(c, others));
  for (const auto& [column, reason] : missing_columns()) counts()[column].skipped[reason] += static_cast<int>(op_cases().size());
}

TEST_CASE("a second use of an input adds its gradient", "[ops]") {
  for (const Column& column : columns())
    for (const OpCase& c : op_cases()) {
      expect_none(check_accumulation(c, column));
      ++counts()["accumulation, " + column.name()].run;
    }
}

TEST_CASE("every convolution of ResNet-50 gives the same as float64 on each device and kernel set", "[ops]") {
  std::vector<Column> singles;
  for (const Column& column : columns())
    if (column.dtype == DType::f32) singles.push_back(column);
  for (const OpCase& c : resnet_shapes()) expect_none(check_columns(c, singles));
}

TEST_CASE("the harness notices a gradient that is one percent too large", "[ops][mutation]") {
  for (const char* name : {"relu (3,7)", "conv2d (2,7,9,5)", "conv_bn_act (2,6,5,4)", "batch_norm batch", "max_pool2d", "linear (3",
                           "global_mean", "cross_entropy (5", "cam_energy (3"})
    expect_noticed(with_gradient(row(name), [](double* g, int64_t count) {
      for (int64_t i = 0; i < count; ++i) g[i] *= 1.01;
    }));
}

TEST_CASE("the harness notices one element of a gradient that is dropped", "[ops][mutation]") {
  for (const char* name : {"relu (2,3,5,13)", "conv2d (2,7,9,5)", "conv_bn_act (2,6,5,4)", "add (2", "cam_energy (4"})
    for (const bool last : {false, true})
      expect_noticed(with_gradient(row(name), [last](double* g, int64_t count) {
        int64_t i = last ? count - 1 : 0;
        while (g[i] == 0) i += last ? -1 : 1;
        g[i] = 0;
      }));
}

TEST_CASE("the harness notices a stride, padding or ReLU that is ignored, and BatchNorm with the wrong statistics", "[ops][mutation]") {
  const auto built = [](const std::string& name, auto build) {
    OpCase c = row(name);
    c.name = "mutation of " + c.name;
    c.build = build;
    return c;
  };
  using Vars = std::vector<Var>;
  const OpCase stride = built("conv2d (2,9,6,4) * (9,3,3,4) stride 2",
                              [](const Vars& v, const Column&) { return conv2d(v[0], v[1], {.stride = 1, .padding = 1}); });
  CHECK_FALSE(check_against_reference(stride).empty());
  // Every second pixel of the output of stride 1 would have the right shape with the wrong padding.
  const OpCase padding = built("conv2d (1,8,8,3) * (5,3,3,3) stride 2 padding 0",
                               [](const Vars& v, const Column&) { return conv2d(v[0], v[1], {.stride = 3, .padding = 1}); });
  CHECK_FALSE(check_against_reference(padding).empty());
  const OpCase no_relu = built("relu (3,7)", [](const Vars& v, const Column&) { return add(v[0], v[0]); });
  CHECK_FALSE(check_against_reference(no_relu).empty());
  const OpCase ceil = built("max_pool2d (2,8,9,5) kernel 3 stride 2 padding 0 ceil", [](const Vars& v, const Column&) {
    return max_pool2d(v[0], {.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = false});
  });
  CHECK_FALSE(check_against_reference(ceil).empty());
}

TEST_CASE("the comparison notices a NaN, a missing gradient and one bad element among many", "[ops][mutation]") {
  Array expected({100, 1000});
  Random random(1);
  for (double& x : expected.v) x = random.normal();
  for (const Column& column : {Column{.dtype = DType::f32}, Column{.dtype = DType::f16}, Column{}}) {
    for (const Accuracy accuracy : {Accuracy::pointwise, Accuracy::product}) {
      CHECK(compare(expected, expected, accuracy, column).empty());
      CHECK_FALSE(compare(Array(), expected, accuracy, column).empty());
      Array wrong = expected;
      wrong[77777] = std::nan("");
      CHECK_FALSE(compare(wrong, expected, accuracy, column).empty());
      wrong[77777] = expected[77777] + 0.02;
      CHECK_FALSE(compare(wrong, expected, accuracy, column).empty());
      wrong = expected;
      for (double& x : wrong.v) x *= 1.01;
      CHECK_FALSE(compare(wrong, expected, accuracy, column).empty());
    }
  }
}
