// Reverse mode: what is recorded, where gradients gather, and what stays alive until when.
#include "tests/support/catch.h"

#include <optional>

#include "engine/core/ops.h"
#include "engine/optim/parameter.h"

using namespace dura;

namespace {

Tensor vector_of(std::vector<double> values) {
  const auto count = static_cast<int64_t>(values.size());
  return Tensor::of<double>({count}, values);
}

std::vector<double> values(const Tensor& t) { return {t.data<double>(), t.data<double>() + t.numel()}; }

// y = factor * x, whose rule calls `on_backward` first.
Var probe(const Var& x, const std::function<void()>& on_backward) {
  const Tensor y = Tensor::empty(x.shape(), x.value().dtype(), Device::cpu, "probe");
  backend(Device::cpu).copy(x.value(), y);
  return record("probe", y, {&x}, [&] {
    return [on_backward, dx = x.gradient()](const Tensor& dy) {
      on_backward();
      dx->add(dy);
    };
  });
}

size_t bytes_in_use() { return device_pool(Device::cpu)->statistics().in_use; }

}  // namespace

TEST_CASE("a value used several times gets the sum of the gradients of its uses", "[tape]") {
  const Var x = Var::leaf(vector_of({1, -2, 3}));
  Tape tape;
  const Var twice = add(x, x);                 // 2
  const Var five = add(add(twice, twice), x);  // 5
  const Var y = add(five, relu(x));            // 6 where x > 0
  tape.backward(y, vector_of({1, 10, 100}));
  CHECK(values(x.grad()) == std::vector<double>{6, 50, 600});
  CHECK(tape.size() == 0);
}

TEST_CASE("a gradient is added in place only into memory that nobody else sees", "[tape]") {
  // add hands the same tensor to both inputs, and the caller keeps it too: none of them may change when another one gathers more.
  const Var a = Var::leaf(vector_of({1, 1})), b = Var::leaf(vector_of({1, 1})), c = Var::leaf(vector_of({1, 1}));
  const Tensor given = vector_of({1, 2});
  Tape tape;
  const Var ab = add(a, b);
  const Var y = add(add(ab, c), add(ab, a));
  tape.backward(y, given);
  CHECK(values(given) == std::vector<double>{1, 2});
  CHECK(values(a.grad()) == std::vector<double>{3, 6});
  CHECK(values(b.grad()) == std::vector<double>{2, 4});
  CHECK(values(c.grad()) == std::vector<double>{1, 2});

  // The same where a rule computes: relu adds to what add has handed on.
  const Var r = relu(a);
  const Var d = Var::leaf(vector_of({1, 1}));
  const Var e = add(add(r, d), a);
  a.gradient()->reset();
  tape.backward(e, given);
  CHECK(values(given) == std::vector<double>{1, 2});
  CHECK(values(d.grad()) == std::vector<double>{1, 2});
  CHECK(values(a.grad()) == std::vector<double>{2, 4});
}

TEST_CASE("a gradient that owns its memory is added to without a new allocation", "[tape]") {
  const Var x = Var::leaf(vector_of(std::vector<double>(64, 1.0)));
  Tape tape;
  Var y = relu(x);
  for (int i = 0; i < 5; ++i) y = add(y, relu(x));
  const Tensor ones = vector_of(std::vector<double>(64, 1.0));
  const uint64_t before = device_pool(Device::cpu)->statistics().allocations;
  tape.backward(y, ones);
  // One buffer gathers the gradient of x; add passes its own on without a copy.
  CHECK(device_pool(Device::cpu)->statistics().allocations - before == 1);
  CHECK(values(x.grad())[0] == 6);
}

TEST_CASE("an op is recorded only under a tape and when an input needs a gradient", "[tape]") {
  const Var constant(vector_of({1, 2})), leaf = Var::leaf(vector_of({3, 4}));
  CHECK_FALSE(relu(leaf).needs_grad());  // no tape
  Tape tape;
  CHECK_FALSE(relu(constant).needs_grad());
  CHECK_FALSE(add(constant, constant).needs_grad());
  CHECK(tape.size() == 0);
  const Var y = add(constant, leaf);
  CHECK(y.needs_grad());
  CHECK(tape.size() == 1);
  {
    Tape inner;
    relu(y);
    CHECK(inner.size() == 1);
    CHECK(tape.size() == 1);
  }
  relu(y);
  CHECK(tape.size() == 2);
}

TEST_CASE("frozen parameters get no gradient, and gradients pass through the layers they belong to", "[tape]") {
  Parameter w("w", {2, 1, 1, 3}, DType::f64, Device::cpu);
  w.assign(Tensor::of<double>({2, 1, 1, 3}, {1, 2, 3, 4, 5, 6}));
  w.set_trainable(false);
  const Var image = Var::leaf(Tensor::of<double>({1, 1, 1, 3}, {1, 1, 1}));
  Tape tape;
  CHECK_FALSE(conv2d(Var(image.value()), w.var()).needs_grad());
  CHECK(tape.size() == 0);
  const Var y = conv2d(image, w.var());
  tape.backward(y, Tensor::of<double>({1, 1, 1, 2}, {1, 10}));
  CHECK(values(image.grad()) == std::vector<double>{41, 52, 63});
  CHECK_FALSE(w.gradient()->written());
}

TEST_CASE("asking for a gradient that was not wanted is an error", "[tape]") {
  const Var constant(vector_of({1, 2}));
  CHECK_THROWS_WITH(constant.grad(), Catch::Contains("constant") && Catch::Contains("trainable"));
  Tape tape;
  CHECK_THROWS_WITH(tape.backward(constant), Catch::Contains("depends on nothing"));
  const Var y = relu(Var::leaf(vector_of({1, 2})));
  CHECK_THROWS_WITH(tape.backward(y), Catch::Contains("single value") && Catch::Contains("(2)"));
  CHECK_THROWS_WITH(tape.backward(y, vector_of({1, 2, 3})), Catch::Contains("(3)") && Catch::Contains("(2)"));
}

TEST_CASE("a branch that does not reach the loss is passed over", "[tape]") {
  const Var x = Var::leaf(vector_of({1, 2}));
  Tape tape;
  bool visited = false;
  const Var dead = probe(x, [&] { visited = true; });
  const Var y = relu(x);
  tape.backward(y, vector_of({5, 7}));
  CHECK_FALSE(visited);
  CHECK(values(x.grad()) == std::vector<double>{5, 7});
}

TEST_CASE("a gradient is told to be finished once, when the last rule that adds to it has run", "[tape]") {
  const Var x = Var::leaf(vector_of({1, -2, 3})), other = Var::leaf(vector_of({1, 1, 1}));
  std::vector<std::string> order;
  Tape tape;
  const Var first = probe(x, [&] { order.push_back("first"); });
  const Var second = probe(x, [&] { order.push_back("second"); });
  const Var unused = probe(other, [&] { order.push_back("unused"); });
  tape.backward(add(second, first), vector_of({1, 10, 100}), [&](const Gradient& g) {
    if (&g == x.gradient().get()) order.push_back("x is finished");
    if (&g == other.gradient().get()) order.push_back("other is finished");
  });
  CHECK(order == std::vector<std::string>{"other is finished", "second", "first", "x is finished"});
  CHECK(values(x.grad()) == std::vector<double>{2, 20, 200});
}

TEST_CASE("backward releases what a rule saved as soon as the rule has run", "[tape][memory]") {
  constexpr size_t block = 1 << 20;
  const Var x = Var::leaf(vector_of(std::vector<double>(block / sizeof(double), 1.0)));
  device_pool(Device::cpu)->reset_peak();  // drops cached blocks: a larger one could be taken instead
  const size_t before = bytes_in_use();
  size_t at_probe = 0, at_start = 0;
  {
    Tape tape;
    std::optional<Var> y = x;
    for (int i = 0; i < 4; ++i) y = relu(*y);  // each saves its output
    y = probe(*y, [&] { at_probe = bytes_in_use(); });
    for (int i = 0; i < 4; ++i) y = relu(*y);
    const Tensor ones = vector_of(std::vector<double>(block / sizeof(double), 1.0));
    at_start = bytes_in_use();
    CHECK(at_start - before == 9 * block);  // 8 outputs of relu and the gradient; the probe's own output is needed by nobody
    const Var end = *y;
    y.reset();
    device_pool(Device::cpu)->reset_peak();
    tape.backward(end, ones);
  }
  // At the probe the outputs behind it are gone except the last, which `end` holds; there are four before it, and the gradient given and
  // that on its way.
  CHECK(at_probe <= before + (1 + 4 + 2) * block);
  CHECK(device_pool(Device::cpu)->statistics().peak <= at_start + 2 * block);
  CHECK(bytes_in_use() == before + block);  // the gradient of x
}

TEST_CASE("gradients of values between leaf and loss are gone after backward, even where the values are kept", "[tape][memory]") {
  constexpr size_t block = 1 << 18;
  const Tensor ones = vector_of(std::vector<double>(block / sizeof(double), 1.0));
  std::vector<Var> kept = {Var::leaf(ones)};
  Tape tape;
  for (int i = 0; i < 3; ++i) kept.push_back(relu(kept.back()));
  device_pool(Device::cpu)->reset_peak();
  const size_t before = bytes_in_use();
  tape.backward(kept.back(), ones);
  CHECK(bytes_in_use() == before + block);  // the leaf's
  for (size_t i = 1; i < kept.size(); ++i) CHECK_FALSE(kept[i].gradient()->written());
}

TEST_CASE("an op keeps the recipe of a value instead of the value when its producer offers one", "[tape][memory]") {
  const Tensor source = Tensor::of<double>({1, 1, 1, 2}, {2, 3});
  Var x = Var::leaf(source);
  int made = 0;
  x.offer_recipe([&made, source] {
    ++made;
    return source;
  });
  const Var w = Var::leaf(Tensor::of<double>({1, 1, 1, 2}, {1, 1}));
  Tape tape;
  const Var y = conv2d(x, w);
  CHECK(made == 0);
  tape.backward(y, Tensor::of<double>({1, 1, 1, 1}, {10}));
  CHECK(made == 1);
  CHECK(values(w.grad()) == std::vector<double>{20, 30});
}

TEST_CASE("batch-normalised units keep one activation for each convolution, not two", "[tape][memory]") {
  // The next unit's input can be made again from the convolution's output, so only that is kept.
  constexpr int64_t N = 2, size = 32, C = 16, depth = 6;
  constexpr size_t activation = N * size * size * C * sizeof(float);
  const Tensor w = Tensor::zeros({C, 1, 1, C}, DType::f32, Device::cpu), ones = Tensor::empty({C}, DType::f32, Device::cpu),
               zeros = Tensor::zeros({C}, DType::f32, Device::cpu);
  backend(Device::cpu).fill(ones, 1.0);
  BatchNormArgs bn{.gamma = ones,
                   .beta = zeros,
                   .running_mean = Tensor::zeros({C}, DType::f32, Device::cpu),
                   .running_variance = Tensor::zeros({C}, DType::f32, Device::cpu),
                   .mode = BatchNormMode::batch_statistics};
  Tape tape;
  Var y = Tensor::zeros({N, size, size, C}, DType::f32, Device::cpu);
  const size_t before = bytes_in_use();
  for (int64_t i = 0; i < depth; ++i) y = conv_bn_act(y, Var::leaf(w), {}, bn);
  const size_t kept = bytes_in_use() - before;
  CHECK(kept < (depth + 2) * activation);  // one for each, and the last value
  CHECK(kept >= depth * activation);
}

TEST_CASE("a parameter's gradient stays at one address of its arena, is overwritten in each step and added to within one",
          "[tape][parameter]") {
  Parameter a("a", {3}, DType::f64, Device::cpu), b("b", {2, 2}, DType::f64, Device::cpu), frozen("frozen", {3}, DType::f64, Device::cpu);
  a.assign(vector_of({1, 2, 3}));
  b.assign(Tensor::of<double>({2, 2}, {4, 5, 6, 7}));
  frozen.set_trainable(false);
  ParameterArena arena({&a, &b, &frozen});
  CHECK(arena.numel() == 7);
  CHECK(values(a.master()) == std::vector<double>{1, 2, 3});  // moving into the arena keeps the values
  CHECK(values(b.compute()) == std::vector<double>{4, 5, 6, 7});
  REQUIRE(arena.groups().size() == 2);  // a vector, which does not decay, and a matrix, which does
  CHECK(!arena.groups()[0].decays);
  const auto& group = arena.groups()[1];
  CHECK(group.decays);
  const void *address_a = nullptr, *address_b = nullptr;
  for (int step = 0; step < 3; ++step) {
    arena.begin_step();
    Tape tape;
    const Var sum = add(a.var(), a.var());  // used twice
    tape.backward(add(sum, frozen.var()), vector_of({1, 1, 1}));
    Tape other;
    other.backward(relu(b.var()), Tensor::of<double>({2, 2}, {1, 2, 3, 4}));
    CHECK(values(a.gradient()->value()) == std::vector<double>{2, 2, 2});
    CHECK(values(b.gradient()->value()) == std::vector<double>{1, 2, 3, 4});
    if (step == 0) address_a = a.gradient()->value().raw(), address_b = b.gradient()->value().raw();
    CHECK(a.gradient()->value().raw() == address_a);
    CHECK(b.gradient()->value().raw() == address_b);
    arena.check_written();
  }
  CHECK(static_cast<const double*>(address_b) == group.gradient.data<double>() + group.offsets[0]);
  CHECK(group.gradient.data<double>()[group.offsets[0] + 2] == 3);
}

TEST_CASE("a trainable parameter that backward does not reach is named", "[tape][parameter]") {
  Parameter used("layer1.weight", {1}, DType::f64, Device::cpu), unused("layer2.weight", {1}, DType::f64, Device::cpu);
  used.assign(vector_of({1}));
  ParameterArena arena({&used, &unused});
  arena.begin_step();
  Tape tape;
  tape.backward(relu(used.var()));
  CHECK_THROWS_WITH(arena.check_written(), Catch::Contains("layer2.weight"));
}

TEST_CASE("parameters keep their values when their arena goes, and a new value raises the version", "[parameter]") {
  Parameter p("p", {2}, DType::f16, Device::cpu);
  const Revision before = p.revision();
  p.assign(vector_of({1.5, 0.1}));
  CHECK(p.revision() != before);
  CHECK(p.master().dtype() == DType::f32);
  CHECK(p.compute().dtype() == DType::f16);
  {
    ParameterArena arena({&p});
    CHECK(p.master().data<float>()[0] == 1.5f);
    CHECK(p.compute().data<f16>()[0].bits == 0x3e00);
  }
  CHECK(p.master().data<float>()[1] == 0.1f);
  CHECK(p.compute().data<f16>()[1].bits == 0x2e66);
  CHECK_THROWS_WITH(p.assign(vector_of({1, 2, 3})), Catch::Contains("parameter p") && Catch::Contains("(2)") && Catch::Contains("(3)"));
}
