// Adam against steps computed by hand, and the loss scale as a state machine.
#include "tests/support/catch.h"

#include <cmath>
#include <limits>
#include <memory>

#include "engine/core/ops.h"
#include "engine/optim/adam.h"
#include "engine/base/random.h"
#include "tests/engine/reference.h"

using namespace dura;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

Tensor tensor(DType dtype, const std::vector<double>& values) {
  const Shape s{static_cast<int64_t>(values.size())};
  const Tensor t = Tensor::empty(s, dtype, Device::cpu);
  backend(Device::cpu).cast(Tensor::of<double>(s, values), t);
  return t;
}

std::vector<double> values(const Tensor& t) {
  const Tensor wide = Tensor::empty(t.shape(), DType::f64, Device::cpu);
  backend(Device::cpu).cast(t, wide);
  return {wide.data<double>(), wide.data<double>() + wide.numel()};
}

// A parameter whose gradients are given, in place of a network.
struct Given {
  Given(DType compute, const std::vector<double>& start, const AdamOptions& options, const LossScalerOptions& scaler = {})
      : parameter("p", {static_cast<int64_t>(start.size())}, compute, Device::cpu), dtype(compute) {
    parameter.assign(tensor(DType::f64, start));
    adam = std::make_unique<Adam>(std::vector<Parameter*>{&parameter}, options, scaler);
  }
  void step(const std::vector<double>& gradient) {
    adam->begin_step();
    parameter.gradient()->add(tensor(dtype, gradient));
    adam->step();
  }
  double state(StepState::Slot slot) const { return adam->read_state()[slot]; }
  double moment(bool second) const { return values(second ? adam->arena().groups()[0].v : adam->arena().groups()[0].m)[0]; }

  Parameter parameter;
  DType dtype;
  std::unique_ptr<Adam> adam;
};

}  // namespace

TEST_CASE("Adam makes the steps computed by hand, in Keras' and in PyTorch's form", "[optim]") {
  // lr 0.1, eps 1e-3, in 40-digit decimal arithmetic. A large eps shows which form it is.
  struct Row {
    AdamEpsForm form;
    double start;
    std::vector<double> gradients, parameters;
  };
  const std::vector<Row> rows = {
      {AdamEpsForm::keras, 1, {0.5, -0.25, 2}, {0.905948348715197548, 0.880741149959402650, 0.814682376611618320}},
      {AdamEpsForm::keras, -2, {0.001, 0.001, -0.004}, {-2.00306534300317155, -2.00734501585041482, -2.00326616310054022}},
      {AdamEpsForm::torch, 1, {0.5, -0.25, 2}, {0.900199600798403193, 0.873633115403568231, 0.806624215651188280}},
      {AdamEpsForm::torch, -2, {0.001, 0.001, -0.004}, {-2.05, -2.10, -2.07551033770173499}},
  };
  for (const Row& r : rows)
    for (const DType dtype : {DType::f64, DType::f32}) {
      Given g(dtype, {r.start}, {.lr = 0.1, .eps = 1e-3, .eps_form = r.form});
      for (size_t t = 0; t < r.gradients.size(); ++t) {
        g.step({r.gradients[t]});
        CHECK(values(g.parameter.master())[0] == Approx(r.parameters[t]).epsilon(dtype == DType::f64 ? 1e-14 : 1e-6));
        CHECK(g.state(StepState::step_count) == static_cast<double>(t + 1));
      }
      CHECK(g.moment(false) == Approx(r.start == 1 ? 0.218 : -0.000229).epsilon(1e-6));
      CHECK(g.moment(true) == Approx(r.start == 1 ? 0.00431193775 : 1.7997001e-8).epsilon(1e-6));
    }
}

TEST_CASE("Adam equals its definition over many parameters and steps", "[optim]") {
  constexpr int count = 200, steps = 20;
  for (const bool keras : {true, false}) {
    Random random(random_key(9, keras ? "keras" : "torch"));
    std::vector<double> p(count), m(count, 0), v(count, 0);
    for (double& x : p) x = random.normal();
    const double eps = keras ? 1e-7 : 1e-8;
    Given g(DType::f64, p, {.eps = eps, .eps_form = keras ? AdamEpsForm::keras : AdamEpsForm::torch});
    for (int t = 1; t <= steps; ++t) {
      std::vector<double> gradient(count);
      for (size_t i = 0; i < count; ++i) {
        gradient[i] = random.normal() * std::pow(10.0, -static_cast<double>(i % 10));
        p[i] = reference::adam(p[i], gradient[i], m[i], v[i], t, 1e-3, 0.9, 0.999, eps, keras);
      }
      g.step(gradient);
    }
    const std::vector<double> found = values(g.parameter.master());
    for (size_t i = 0; i < count; ++i) REQUIRE(std::abs(found[i] - p[i]) < 1e-12);
  }
}

// Two parameters, a matrix and a vector, so that a norm is one over both and weight decay can tell them apart.
struct Pair {
  explicit Pair(const AdamOptions& options, const LossScalerOptions& scaler = {}) : adam({&a, &b}, options, scaler) {
    a.assign(Tensor::of<double>({2, 2}, {0.3, -0.7, 1.1, 0.05}));
    b.assign(tensor(DType::f64, {0.4, -0.2, 0.9}));
  }
  // The gradients of step t, growing, from shorter to longer than 1.
  void step(int t) {
    const double size = (0.1 + 0.9 * t) * adam.read_state()[StepState::loss_scale], sign = t % 2 ? -1 : 1;
    adam.begin_step();
    a.gradient()->add(Tensor::of<double>({2, 2}, {3 * size, -4 * size, 0.5 * size, 2 * size}));
    b.gradient()->add(tensor(DType::f64, {sign * size, sign * -2 * size, sign * 0.25 * size}));
    adam.step();
  }
  void expect(const std::vector<double>& expected) const {
    std::vector<double> found = values(a.master());
    const std::vector<double> vector = values(b.master());
    found.insert(found.end(), vector.begin(), vector.end());
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) CHECK(std::abs(found[i] - expected[i]) < 1e-14);
  }
  Parameter a{"a", {2, 2}, DType::f64, Device::cpu}, b{"b", {3}, DType::f64, Device::cpu};
  Adam adam;
};

TEST_CASE("gradients are clipped by their global norm as PyTorch clips them before Adam, under any loss scale", "[optim]") {
  // torch.nn.utils.clip_grad_norm_ over both parameters, then torch.optim.Adam(lr=0.1, eps=1e-3), f64. The norms are 0.59, 5.86, 11.1.
  const std::vector<std::vector<double>> expected = {{0.20033222591362126, -0.6002493765586034, 1.0019607843137255, -0.04950248756218903,
                                                      0.30099009900990104, -0.10049751243781098, 0.8038461538461539},
                                                     {0.10249362180256111, -0.5023526045179977, 0.9052711932303066, -0.14722496294000675,
                                                      0.33113695342340627, -0.1307517145402809, 0.8333645860390947},
                                                     {0.0035833088909800886, -0.4033877573206406, 0.8074390822159103, -0.24602638738727983,
                                                      0.3073119189040309, -0.10684799445179152, 0.8100009970083606}};
  for (const bool scaled : {false, true}) {
    Pair p({.lr = 0.1, .eps = 1e-3, .eps_form = AdamEpsForm::torch, .clip_norm = 1}, {.enabled = scaled, .initial_scale = 1024});
    for (int t = 0; t < 3; ++t) {
      p.step(t);
      p.expect(expected[static_cast<size_t>(t)]);
      CHECK(p.adam.read_state()[StepState::gradient_square_sum] == 0);  // of one step, not of all so far
    }
  }
}

TEST_CASE("weight decay makes PyTorch's AdamW of matrices, and leaves vectors to Adam, with and without clipping", "[optim]") {
  // torch.optim.AdamW(lr=0.1, weight_decay=0.05) with 0 for the vector; eps 1e-8 without clipping, 1e-3 with. f64.
  const std::vector<std::vector<double>> plain = {{0.1985000033333332, -0.5965000025, 0.994500019999996, -0.05024999500000023,
                                                   0.30000000999999904, -0.10000000499999978, 0.800000039999984},
                                                  {0.11679872841389638, -0.512808727490109, 0.9088187468896451, -0.13070751973852843,
                                                   0.36738072969970564, -0.1673807251736793, 0.8673807568558535},
                                                  {0.030581101872395586, -0.4246110508957449, 0.8186410214054101, -0.21568761492430266,
                                                   0.3352495402976997, -0.13524953564226358, 0.8352495682303064}};
  const std::vector<std::vector<double>> clipped = {{0.19883222591362126, -0.5967493765586035, 0.9964607843137255, -0.04975248756218903,
                                                     0.30099009900990104, -0.10049751243781098, 0.8038461538461539},
                                                    {0.099999460672993, -0.4958688576352047, 0.894788889308738, -0.1472262005021958,
                                                     0.33113695342340627, -0.1307517145402809, 0.8333645860390947},
                                                    {0.0005891504580470275, -0.39442466614967153, 0.792482833847798, -0.24529149394695787,
                                                     0.3073119189040309, -0.10684799445179152, 0.8100009970083606}};
  Pair p({.lr = 0.1, .eps = 1e-8, .eps_form = AdamEpsForm::torch, .weight_decay = 0.05});
  Pair c({.lr = 0.1, .eps = 1e-3, .eps_form = AdamEpsForm::torch, .clip_norm = 1, .weight_decay = 0.05});
  for (int t = 0; t < 3; ++t) {
    p.step(t), c.step(t);
    p.expect(plain[static_cast<size_t>(t)]);
    c.expect(clipped[static_cast<size_t>(t)]);
  }
}

TEST_CASE("a norm that no gradient reaches clips nothing, and an overflow skips its step also where gradients are clipped", "[optim]") {
  Pair plain({.lr = 0.1}), loose({.lr = 0.1, .clip_norm = 100});
  for (int t = 0; t < 3; ++t) plain.step(t), loose.step(t);
  CHECK(values(plain.a.master()) == values(loose.a.master()));
  Pair p({.lr = 0.1, .clip_norm = 1});
  const std::vector<double> before = values(p.a.master());
  p.adam.begin_step();
  p.a.gradient()->add(Tensor::of<double>({2, 2}, {1, 2, std::numeric_limits<double>::infinity(), 1}));
  p.b.gradient()->add(tensor(DType::f64, {1, 1, 1}));
  p.adam.step();
  CHECK(values(p.a.master()) == before);
  CHECK(p.adam.read_state()[StepState::skipped_steps] == 1);
}

TEST_CASE("a parameter in f16 keeps an f32 master, and its compute copy is the rounded master", "[optim]") {
  Given g(DType::f16, {1.0}, {.lr = 1e-4});
  for (int i = 0; i < 4; ++i) g.step({1.0});
  // Four steps of about 1e-4: below the 4.9e-4 that f16 resolves under 1, so only the master can gather them.
  CHECK(values(g.parameter.master())[0] == Approx(0.9996).epsilon(1e-6));
  CHECK(values(g.parameter.compute())[0] == 0.99951171875);
}

TEST_CASE("the learning rate is read from the step state", "[optim]") {
  Given g(DType::f64, {1.0}, {.lr = 1e-3});
  std::vector<double> state = g.adam->read_state();
  state[StepState::learning_rate] = 0;
  g.adam->write_state(state);
  g.step({1.0});
  CHECK(values(g.parameter.master())[0] == 1.0);
  CHECK_THROWS_AS(g.adam->write_state({1, 2}), Error);
}

TEST_CASE("options of Adam that make no sense are refused", "[optim]") {
  Parameter p("p", {1}, DType::f32, Device::cpu);
  for (const AdamOptions& o : {AdamOptions{.lr = -1}, AdamOptions{.beta1 = 1}, AdamOptions{.beta2 = -0.1}, AdamOptions{.eps = 0},
                               AdamOptions{.lr = std::nan("")}, AdamOptions{.clip_norm = -1}, AdamOptions{.weight_decay = std::nan("")}})
    CHECK_THROWS_AS(Adam({&p}, o), UsageError);
  p.set_trainable(false);
  CHECK_THROWS_WITH(Adam({&p}, {}), Catch::Contains("nothing is trainable"));
}

TEST_CASE("the loss scale grows after finite steps in a row, and backs off at an overflow, whose step is skipped", "[optim][scaler]") {
  // f: finite, i: infinite, n: NaN. The scale after each step, with growth after 3.
  struct Row {
    std::string events;
    std::vector<double> scales;
  };
  for (const Row& r :
       {Row{"ffffff", {1024, 1024, 2048, 2048, 2048, 4096}}, Row{"ffifff", {1024, 1024, 512, 512, 512, 1024}},
        Row{"iiif", {512, 256, 128, 128}}, Row{"fnff", {1024, 512, 512, 512}}, Row{"ffnffif", {1024, 1024, 512, 512, 512, 256, 256}}}) {
    Given g(DType::f32, {1.0, 2.0}, {.lr = 0.1}, {.enabled = true, .initial_scale = 1024, .dynamics = {.growth_interval = 3}});
    double finite = 0, skipped = 0;
    for (size_t t = 0; t < r.events.size(); ++t) {
      const std::vector<double> before = values(g.parameter.master());
      const double m = g.moment(false), v = g.moment(true), scale = g.state(StepState::loss_scale);
      const char e = r.events[t];
      g.step({scale * 0.5, e == 'f' ? scale : e == 'i' ? -static_cast<double>(infinity) : std::nan("")});
      INFO(r.events << " step " << t);
      CHECK(g.state(StepState::loss_scale) == r.scales[t]);
      if (e == 'f') {
        ++finite;
        CHECK(values(g.parameter.master()) != before);
      } else {
        ++skipped;
        CHECK(values(g.parameter.master()) == before);
        CHECK(g.moment(false) == m);
        CHECK(g.moment(true) == v);
      }
      CHECK(g.state(StepState::step_count) == finite);
      CHECK(g.state(StepState::skipped_steps) == skipped);
      CHECK(g.state(StepState::overflow) == 0);
    }
  }
}

TEST_CASE("with 2000 as the interval the scale grows at the 2000th finite step, as in Keras and PyTorch", "[optim][scaler]") {
  Given g(DType::f32, {1.0}, {}, {.enabled = true, .initial_scale = 32768});
  for (int i = 0; i < 1999; ++i) g.step({1.0});
  CHECK(g.state(StepState::loss_scale) == 32768);
  g.step({1.0});
  CHECK(g.state(StepState::loss_scale) == 65536);
}

TEST_CASE("a scale that has nowhere to grow stays, and one that is off stays 1 but still skips overflows", "[optim][scaler]") {
  Given top(DType::f32, {1.0}, {}, {.enabled = true, .initial_scale = std::ldexp(1.0, 127), .dynamics = {.growth_interval = 1}});
  top.step({1.0});
  CHECK(top.state(StepState::loss_scale) == std::ldexp(1.0, 127));
  Given off(DType::f32, {1.0}, {}, {.enabled = false, .dynamics = {.growth_interval = 1}});
  off.step({1.0});
  off.step({static_cast<double>(infinity)});
  CHECK(off.state(StepState::loss_scale) == 1);
  CHECK(off.state(StepState::skipped_steps) == 1);
  CHECK(off.state(StepState::step_count) == 1);
}

TEST_CASE("scaled training makes bit for bit the steps of unscaled training", "[optim][scaler]") {
  Given plain(DType::f32, {0.3, -0.7}, {}),
      scaled(DType::f32, {0.3, -0.7}, {}, {.enabled = true, .initial_scale = 1024, .dynamics = {.growth_interval = 2}});
  for (int t = 0; t < 7; ++t) {
    const double a = 0.1 * t - 0.35, b = 1e-5 * t;
    const double scale = scaled.state(StepState::loss_scale);
    plain.step({a, b});
    scaled.step({static_cast<double>(static_cast<float>(a)) * scale, static_cast<double>(static_cast<float>(b)) * scale});
  }
  CHECK(scaled.state(StepState::loss_scale) == 8192);
  CHECK(values(plain.parameter.master()) == values(scaled.parameter.master()));
}

TEST_CASE("the scale multiplies the loss and its gradient, and the unscaled gradient norm is measured", "[optim][scaler]") {
  const Given g(DType::f32, {3.0, 4.0}, {}, {.enabled = true, .initial_scale = 256});
  Tape tape;
  const Var leaf = Var::leaf(Tensor::of<float>({1}, {2.5f}));
  const Var scaled = scale_loss(leaf, g.adam->state());
  CHECK(scaled.value().data<float>()[0] == 640.0f);
  tape.backward(scaled);
  CHECK(leaf.grad().data<float>()[0] == 256.0f);
  Backend& b = backend(Device::cpu);
  b.check_gradients(tensor(DType::f32, {3 * 256.0, 4 * 256.0}), g.adam->state());
  CHECK(g.state(StepState::gradient_square_sum) == Approx(25));
  CHECK(g.state(StepState::overflow) == 0);
}
