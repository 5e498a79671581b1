// Whole networks against float64 torchvision: the same hash-generated weights and images, one training step, and every number that comes
// out of it. What is trained and how BatchNorm behaves differs from case to case; tests/golden/make_golden.py has the list.
#include "tests/support/catch.h"
#include "tests/support/folders.h"

#include <algorithm>
#include <map>
#include <memory>

#include "engine/optim/adam.h"
#include "models/network/classifier.h"
#include "tests/support/cuda_under_test.h"
#include "tests/support/golden_file.h"
#include "tests/engine/op_harness.h"

using namespace dura;
using namespace dura::golden;

namespace {

// Between torchvision's order of a filter (K,C,R,S) and ours (K,R,S,C); other tensors are the same in both.
std::vector<double> reorder(const std::vector<double>& values, const Shape& ours, bool to_ours) {
  if (ours.rank() != 4) return values;
  const int64_t K = ours[0], R = ours[1], S = ours[2], C = ours[3];
  std::vector<double> out(values.size());
  for (int64_t k = 0; k < K; ++k)
    for (int64_t r = 0; r < R; ++r)
      for (int64_t s = 0; s < S; ++s)
        for (int64_t c = 0; c < C; ++c) {
          const auto here = static_cast<size_t>(((k * R + r) * S + s) * C + c), theirs = static_cast<size_t>(((k * C + c) * R + r) * S + s);
          out[to_ours ? here : theirs] = values[to_ours ? theirs : here];
        }
  return out;
}

std::vector<double> to_doubles(const Tensor& t) {
  const Tensor host = Tensor::empty(t.shape(), t.dtype(), Device::cpu), wide = Tensor::empty(t.shape(), DType::f64, Device::cpu);
  backend(t.device()).download(t, host.raw());
  backend(Device::cpu).cast(host, wide);
  return std::vector<double>(wide.data<double>(), wide.data<double>() + wide.numel());
}

Tensor on_device(const Tensor& host, Device device) {
  const Tensor t = Tensor::empty(host.shape(), host.dtype(), device);
  backend(device).upload(host.raw(), t);
  return t;
}

Tensor from_doubles(const Shape& shape, const std::vector<double>& values, DType dtype, Device device) {
  const Tensor t = Tensor::empty(shape, dtype, Device::cpu);
  backend(Device::cpu).cast(Tensor::of<double>(shape, values), t);
  return on_device(t, device);
}

double largest(const std::vector<double>& v) {
  double most = 0;
  for (double x : v) most = std::max(most, std::abs(x));
  return most;
}

double relative_difference(const std::vector<double>& found, const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i) worst = std::max(worst, std::abs(found[i] - expected[i]));
  return worst / largest(expected);
}

// One golden case as a network of ours.
class GoldenNetwork {
 public:
  GoldenNetwork(const GoldenCase& c, DType compute, Device device = Device::cpu)
      : case_(c),
        model_({.backbone = {.depth = static_cast<int>(c.integer("depth")),
                             .variant = c.integer("v1") ? ResNetVariant::v1 : ResNetVariant::v1_5,
                             .stem_pool = c.integer("v1") ? StemPool::ceil : StemPool::padded,
                             .tensors = {.compute = compute, .device = device}},
                .classes = std::vector<std::string>(static_cast<size_t>(c.integer("classes")), "class"),
                .dropout = 0}) {
    load();
    const int64_t N = c.integer("batch"), size = c.integer("size");
    const auto seed = static_cast<uint64_t>(c.integer("seed"));
    const std::vector<double> planes = hash_images(seed, N, size);
    std::vector<double> pixels(planes.size());
    for (int64_t n = 0; n < N; ++n)
      for (int64_t i = 0; i < size * size; ++i)
        for (int64_t ch = 0; ch < 3; ++ch)
          pixels[static_cast<size_t>((n * size * size + i) * 3 + ch)] = planes[static_cast<size_t>((n * 3 + ch) * size * size + i)];
    images_ = from_doubles({N, size, size, 3}, pixels, compute, device);
    labels_ = on_device(Tensor::of<int32_t>({N}, hash_labels(seed, N, c.integer("classes"))), device);
    const std::vector<double> weights = c.class_weights();
    if (!weights.empty()) class_weights_ = from_doubles({static_cast<int64_t>(weights.size())}, weights, stat_dtype(compute), device);
    choose_trainable();
  }

  Classifier& model() { return model_; }
  std::vector<double> logits_in_evaluation() {
    model_.set_training(false);
    return to_doubles(model_(images_).value());
  }

  // Forward and backward in training form; leaves the gradients in the parameters.
  void train(Adam& adam) {
    model_.set_training(true);
    adam.begin_step();
    Tape tape;
    const Var logits = model_(images_);
    const CrossEntropy ce = cross_entropy(
        logits, labels_, class_weights_,
        {.norm = case_.setting("norm") == "sum_of_weights" ? ClassWeightNorm::sum_of_weights : ClassWeightNorm::sum_over_batch});
    logits_ = to_doubles(logits.value());
    loss_ = to_doubles(ce.loss.value());
    tape.backward(ce.loss);
  }
  const std::vector<double>& logits() const { return logits_; }
  const std::vector<double>& loss() const { return loss_; }

 private:
  void load() {
    std::map<std::string, NamedShape> shapes;
    for (const NamedShape& t : resnet_tensors(static_cast<int>(case_.integer("depth")), case_.integer("classes"))) shapes[t.name] = t;
    const auto values = [&](const std::string& name, const Shape& ours) {
      const auto found = shapes.find(name);
      REQUIRE(found != shapes.end());
      REQUIRE(found->second.numel() == ours.numel());
      const std::vector<double> v = reorder(hash_tensor(found->second, static_cast<int>(case_.integer("depth"))), ours, true);
      shapes.erase(found);
      return v;
    };
    for (Parameter* p : model_.parameters()) p->assign(Tensor::of<double>(p->shape(), values(p->name(), p->shape())));
    for (const NamedBuffer& b : model_.buffers())
      backend(b.tensor.device())
          .copy(from_doubles(b.tensor.shape(), values(b.name, b.tensor.shape()), b.tensor.dtype(), b.tensor.device()), b.tensor);
    model_.buffers_changed();
    CHECK(shapes.empty());  // a tensor of torchvision's that our network does not have
  }

  void choose_trainable() {
    const std::string& from = case_.setting("trainable");
    model_.freeze_backbone();
    if (from != "fc") model_.unfreeze(from == "all" ? from : from + "+");
    for (ConvBn* u : model_.backbone().units()) u->bn.set_batch_statistics(u->conv.weight.trainable() && !case_.integer("frozen_bn"));
  }

  const GoldenCase& case_;
  Classifier model_;
  Tensor images_, labels_, class_weights_;
  std::vector<double> logits_, loss_;
};

const GoldenCase& golden_case(const std::string& name) {
  static const std::vector<GoldenCase> all = read_golden(source_folder() + "/tests/golden/golden.txt");
  for (const GoldenCase& c : all)
    if (c.name == name) return c;
  fail("no golden case ", name);
}

// The difference of every digest of one kind from `tensor_of(name)`, of which there are `count`.
template <class F>
std::map<std::string, double> differences(const GoldenCase& c, const std::string& kind, size_t count, F&& tensor_of) {
  std::map<std::string, double> all;
  const auto expected = c.digests.find(kind);
  if (expected != c.digests.end())
    for (const auto& [name, digest_expected] : expected->second) {
      INFO(c.name << " " << kind << " " << name);
      const Tensor t = tensor_of(name);
      REQUIRE(t.defined());
      const std::vector<double> v = reorder(to_doubles(t), t.shape(), false);
      all[name] = difference(digest(name, v), digest_expected, v.size());
    }
  CHECK(count == all.size());
  return all;
}

void check_all(const std::map<std::string, double>& found, double tolerance) {
  for (const auto& [name, d] : found)
    if (!(d <= tolerance)) FAIL_CHECK(name << " differs by " << d << ", limit " << tolerance);
}

void check_case(const std::string& name) {
  const GoldenCase& c = golden_case(name);
  GoldenNetwork net(c, DType::f64);
  CHECK(relative_difference(net.logits_in_evaluation(), c.values.at("logits_eval")) <= 1e-8);

  std::vector<std::string> forms;
  for (const char* form : {"torch", "keras"})
    if (c.digests.count(std::string("adam_") + form)) forms.push_back(form);
  for (size_t i = 0; i < std::max<size_t>(1, forms.size()); ++i) {
    // A fresh network for each form: a step changes parameters and buffers.
    std::unique_ptr<GoldenNetwork> fresh = i == 0 ? nullptr : std::make_unique<GoldenNetwork>(c, DType::f64);
    GoldenNetwork& n = fresh ? *fresh : net;
    const bool keras = !forms.empty() && forms[i] == "keras";
    std::map<std::string, Parameter*> parameters;
    for (Parameter* p : n.model().parameters()) parameters[p->name()] = p;
    std::map<std::string, Tensor> before, buffers;
    for (const NamedBuffer& b : n.model().buffers()) {
      buffers[b.name] = b.tensor;
      before[b.name] = Tensor::of<double>(b.tensor.shape(), to_doubles(b.tensor));
    }
    Adam adam(n.model().parameters(),
              {.lr = std::stod(c.setting("lr")), .eps = keras ? 1e-7 : 1e-8, .eps_form = keras ? AdamEpsForm::keras : AdamEpsForm::torch});
    n.train(adam);
    size_t trainable = 0, changed = 0;
    for (const auto& [unused, p] : parameters) trainable += p->trainable();
    for (const auto& [buffer, tensor] : buffers) changed += to_doubles(tensor) != to_doubles(before[buffer]);
    if (i == 0) {
      CHECK(relative_difference(n.logits(), c.values.at("logits")) <= 1e-8);
      CHECK(relative_difference(n.loss(), c.values.at("loss")) <= 1e-8);
      check_all(differences(c, "gradient", trainable, [&](const std::string& p) { return parameters.at(p)->gradient()->value(); }), 1e-8);
      check_all(differences(c, "buffer", changed, [&](const std::string& b) { return buffers.at(b); }), 1e-7);
    }
    if (forms.empty()) continue;
    adam.step();
    check_all(differences(c, "adam_" + forms[i], trainable, [&](const std::string& p) { return parameters.at(p)->master(); }), 1e-7);
  }
}

// What one step in one precision gives.
struct Step {
  std::vector<double> logits_eval;
  std::map<std::string, std::vector<double>> gradients;  // of what is trainable, in torchvision's order
};

Step run_step(const GoldenCase& c, DType compute, Device device = Device::cpu) {
  GoldenNetwork net(c, compute, device);
  Step s{net.logits_in_evaluation(), {}};
  Adam adam(net.model().parameters(), {});
  net.train(adam);
  for (Parameter* p : net.model().parameters())
    if (p->trainable()) s.gradients[p->name()] = reorder(to_doubles(p->gradient()->value()), p->shape(), false);
  return s;
}

// Cosine of the angle between two gradients of the whole network.
double cosine(const Step& a, const Step& b) {
  double product = 0, a_square = 0, b_square = 0;
  for (const auto& [name, values] : a.gradients) {
    const std::vector<double>& others = b.gradients.at(name);
    for (size_t i = 0; i < values.size(); ++i) {
      product += values[i] * others[i];
      a_square += values[i] * values[i];
      b_square += others[i] * others[i];
    }
  }
  return product / std::sqrt(a_square * b_square);
}

// f32 against float64: logits within 1e-5 in exact form, within 2e-4 in fast form (Winograd), and the same largest one. Among millions of
// ReLUs some are so near to zero that rounding decides them, each of which moves the gradients before it by up to 1e-2: so the gradient is
// held to its direction, and each tensor to 2 % of what torchvision says.
void check_single_precision(const GoldenCase& c, const Step& found, const Step& exact, bool fast_form) {
  const std::vector<double>& expected = c.values.at("logits_eval");
  CHECK(relative_difference(found.logits_eval, expected) <= (fast_form ? 2e-4 : 1e-5));
  const auto classes = static_cast<std::ptrdiff_t>(c.integer("classes"));
  const auto largest_of = [&](const std::vector<double>& v, std::ptrdiff_t row) {
    return std::max_element(v.begin() + row * classes, v.begin() + (row + 1) * classes) - v.begin();
  };
  for (std::ptrdiff_t n = 0; n < c.integer("batch"); ++n) CHECK(largest_of(found.logits_eval, n) == largest_of(expected, n));
  const auto& digests = c.digests.at("gradient");
  CHECK(found.gradients.size() == digests.size());
  for (const auto& [name, values] : found.gradients) {
    const double d = difference(digest(name, values), digests.at(name), values.size());
    if (!(d <= 0.02)) FAIL_CHECK(name << " differs by " << d);
  }
  CHECK(cosine(found, exact) >= 0.9999);
}

// On the kernel set that this processor prefers, or on all of them.
void check_case_f32(const std::string& name, bool all_sets) {
  const GoldenCase& c = golden_case(name);
  const Step exact = run_step(c, DType::f64);
  std::string first;
  for (const optest::Column& column : optest::columns()) {
    if (column.dtype != DType::f32 || column.device != Device::cpu) continue;
    if (first.empty()) first = column.kernels;
    if (!all_sets && column.kernels != first) continue;
    INFO(name << " " << column.name());
    const optest::KernelChoice kernels(column);
    check_single_precision(c, run_step(c, DType::f32), exact, column.winograd);
  }
}

// The CUDA backend. In 16 bits a ReLU is decided by rounding far more often, so only directions are compared: with
// float64, and more closely with the CPU's form of the same type, which rounds at other places but takes the same inputs and weights.
void check_case_cuda(const std::string& name, const std::vector<DType>& dtypes) {
  const GoldenCase& c = golden_case(name);
  const Step exact = run_step(c, DType::f64);
  for (const DType dtype : dtypes) {
    INFO(name << " " << dtype_name(dtype) << " on " << device_name(test::cuda_under_test()));
    const Step found = run_step(c, dtype, test::cuda_under_test());
    if (dtype == DType::f32) {
      check_single_precision(c, found, exact, false);
      continue;
    }
    const Step on_cpu = run_step(c, dtype);
    const double logits = relative_difference(found.logits_eval, c.values.at("logits_eval")), angle = cosine(found, exact),
                 cpu_logits = relative_difference(found.logits_eval, on_cpu.logits_eval), cpu_angle = cosine(found, on_cpu);
    CAPTURE(logits, angle, cpu_logits, cpu_angle);
    const bool f16 = dtype == DType::f16;
    CHECK(logits <= (f16 ? 0.02 : 0.15));
    CHECK(angle >= (f16 ? 0.99 : 0.9));
    CHECK(cpu_logits <= (f16 ? 0.02 : 0.15));
    CHECK(cpu_angle >= (f16 ? 0.99 : 0.9));
  }
}

}  // namespace

TEST_CASE("golden ResNet-50, everything trained", "[golden][models]") { check_case("resnet50_full"); }
TEST_CASE("golden ResNet-50, last half trained", "[golden][models]") { check_case("resnet50_half"); }
TEST_CASE("golden ResNet-50, head trained", "[golden][models]") { check_case("resnet50_head"); }
TEST_CASE("golden ResNet-50, trained from layer3 on with frozen BatchNorm and class weights", "[golden][models]") {
  check_case("resnet50_frozen_bn");
}
TEST_CASE("golden ResNet-50 V1 with ceil-mode pooling and PyTorch's class weights", "[golden][models]") { check_case("resnet50_v1"); }
TEST_CASE("golden ResNet-18, everything trained, odd image size", "[golden][models]") { check_case("resnet18_full"); }
TEST_CASE("golden ResNet-18 with frozen BatchNorm and class weights", "[golden][models]") { check_case("resnet18_frozen_bn"); }

TEST_CASE("golden ResNet-50 on the simulated CUDA device, everything trained", "[golden][models][cuda-sim][slow]") {
  check_case_cuda("resnet50_full", {DType::f32, DType::f16});
}
TEST_CASE("golden ResNet-18 on the simulated CUDA device in f32, f16 and bf16", "[golden][models][cuda-sim]") {
  check_case_cuda("resnet18_full", {DType::f32, DType::f16, DType::bf16});
}
TEST_CASE("golden ResNet-50 on the simulated CUDA device, from layer3 on with frozen BatchNorm", "[golden][models][cuda-sim][slow]") {
  check_case_cuda("resnet50_frozen_bn", {DType::f32, DType::f16, DType::bf16});
}

TEST_CASE("golden ResNet-50 in f32, everything trained", "[golden][models]") { check_case_f32("resnet50_full", false); }
TEST_CASE("golden ResNet-50 in f32, trained from layer3 on with frozen BatchNorm and class weights", "[golden][models]") {
  check_case_f32("resnet50_frozen_bn", false);
}
TEST_CASE("golden ResNet-18 in f32 on every kernel set", "[golden][models]") {
  check_case_f32("resnet18_full", true);
  check_case_f32("resnet18_frozen_bn", true);
}
