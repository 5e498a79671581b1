// Kernels that are not differentiable ops, side effects of ops, and values at the edge: running statistics, metrics, heat maps, ties, NaN,
// huge logits.
#include "tests/support/catch.h"

#include <cmath>
#include <limits>

#include "tests/engine/op_harness.h"

using namespace dura;
using namespace dura::optest;

namespace {

const std::vector<DType> floating = {DType::f64, DType::f32, DType::f16, DType::bf16};

Array random_array(const Shape& s, uint64_t key, double offset = 0, double scale = 1) {
  Array a(s);
  Random r(key);
  for (double& x : a.v) x = offset + scale * r.normal();
  return a;
}

// The values as the column's storage has them.
Array stored(const Array& a, const Column& c) { return to_array(c.tensor(a)); }

void expect_equal(const Array& found, const Array& expected, const Column& column, Accuracy accuracy = Accuracy::pointwise) {
  const std::string wrong = compare(found, expected, accuracy, column);
  INFO(column.name() << ": " << wrong);
  CHECK(wrong.empty());
}

}  // namespace

TEST_CASE("batch statistics update the running ones as PyTorch and as Keras do, and stored ones stay", "[kernels]") {
  constexpr int64_t K = 5;
  for (const DType dtype : floating)
    for (const bool unbiased : {true, false})
      for (const Shape& s : {Shape{3, 4, 2, K}, Shape{1, 1, 1, K}}) {
        const Column column{.dtype = dtype};
        const Array x = stored(random_array(s, 3, 2.0), column), mean = random_array({K}, 4), variance(Array({K}));
        Tensor running_mean = column.stat_tensor(mean), running_variance = column.stat_tensor(variance);
        BatchNormArgs args{.gamma = column.stat_tensor(random_array({K}, 5)),
                           .beta = column.stat_tensor(random_array({K}, 6)),
                           .running_mean = running_mean,
                           .running_variance = running_variance,
                           .momentum = 0.25,
                           .unbiased_running = unbiased,
                           .mode = BatchNormMode::batch_statistics};
        const auto expected =
            reference::updated_running({to_array(running_mean), variance}, reference::moments(x), s.numel() / K, 0.25, unbiased);
        batch_norm(column.tensor(x), args);
        const Column stat{.dtype = stat_dtype(dtype)};
        expect_equal(to_array(running_mean), expected.mean, stat);
        expect_equal(to_array(running_variance), expected.variance, stat);
        const Array before = to_array(running_mean);
        args.mode = BatchNormMode::stored_statistics;
        batch_norm(column.tensor(x), args);
        CHECK(to_array(running_mean).v == before.v);
      }
}

TEST_CASE("channel statistics keep their digits where the mean is a thousand times the deviation", "[kernels]") {
  const Column single{.dtype = DType::f32};
  const Array x = stored(random_array({7, 31, 13, 3}, 9, 4096.0, 1.0), single);
  const Tensor mean = Tensor::empty({3}, DType::f32, Device::cpu), variance = Tensor::empty({3}, DType::f32, Device::cpu);
  backend(Device::cpu).channel_statistics(single.tensor(x), mean, variance);
  const auto expected = reference::moments(x);
  for (int64_t k = 0; k < 3; ++k) {
    CHECK(to_array(mean)[k] == Approx(expected.mean[k]).epsilon(1e-6));
    CHECK(to_array(variance)[k] == Approx(expected.variance[k]).epsilon(1e-4));  // E[x^2]-E[x]^2 in f32 would be off by more than 1
  }
}

TEST_CASE("Grad-CAM's weighted sum equals its definition", "[kernels]") {
  for (const DType dtype : floating)
    for (const bool with_relu : {true, false}) {
      const Column column{.dtype = dtype};
      const Array a = stored(random_array({2, 3, 5, 17}, 1), column), alpha = stored(random_array({2, 17}, 2), column);
      const Tensor y = Tensor::empty({2, 3, 5}, stat_dtype(dtype), Device::cpu);
      backend(Device::cpu).weighted_channel_sum(column.tensor(a), column.tensor(alpha), with_relu, y);
      expect_equal(to_array(y), reference::weighted_channel_sum(a, alpha, with_relu), {.dtype = stat_dtype(dtype)}, Accuracy::product);
    }
}

TEST_CASE("images are normalised by channel, in RGB or BGR order", "[kernels]") {
  const float mean[3] = {123.5f, 116.25f, 103.75f}, deviation[3] = {58.5f, 57.0f, 57.5f};
  const double mean64[3] = {123.5, 116.25, 103.75}, deviation64[3] = {58.5, 57.0, 57.5};
  std::vector<uint8_t> bytes;
  for (int i = 0; i < 2 * 5 * 7 * 3; ++i) bytes.push_back(static_cast<uint8_t>(i * 37));
  const Tensor x = Tensor::of<uint8_t>({2, 5, 7, 3}, bytes);
  Array wide(x.shape());
  for (size_t i = 0; i < bytes.size(); ++i) wide.v[i] = bytes[i];
  for (const DType dtype : floating)
    for (const bool bgr : {false, true}) {
      const Tensor y = Tensor::empty(x.shape(), dtype, Device::cpu);
      backend(Device::cpu).normalize(x, mean, deviation, bgr, y);
      // Computed in f32 from f32 constants whatever the storage type.
      expect_equal(to_array(y), reference::normalize(wide, mean64, deviation64, bgr), {.dtype = dtype == DType::f64 ? DType::f32 : dtype});
    }
}

TEST_CASE("metrics add up the loss, the unweighted loss and the confusion matrix, where a tie goes to the first class", "[kernels]") {
  const Tensor sums = Tensor::zeros({2 + 9}, DType::f64, Device::cpu), labels = Tensor::of<int32_t>({4}, {0, 2, 1, 1}),
               weights = Tensor::of<double>({3}, {4, 1, 1});
  const Tensor logits = Tensor::of<double>({4, 3}, {2, 1, 0, 0, 0, 0, 0, 3, 1, 5, 1, 1});
  double expected = 0;
  for (int repeat = 1; repeat <= 2; ++repeat) {
    const CrossEntropy ce = cross_entropy(logits, labels, weights);
    backend(Device::cpu).add_metrics(ce.probabilities, labels, ce.loss.value(), sums);
    const double* s = sums.data<double>();
    const Array p = to_array(ce.probabilities);
    expected -= std::log(p(0, 0)) + std::log(p(1, 2)) + std::log(p(2, 1)) + std::log(p(3, 1));
    CHECK(s[0] == Approx(repeat * 4 * ce.loss.value().data<double>()[0]));
    CHECK(s[1] == Approx(expected));
    const std::vector<double> confusion(s + 2, s + 11);
    CHECK(confusion == std::vector<double>{1.0 * repeat, 0, 0, 1.0 * repeat, 1.0 * repeat, 0, 1.0 * repeat, 0, 0});
  }
}

TEST_CASE("smoothed labels give PyTorch's loss and gradients, with class weights and without", "[kernels]") {
  // torch.nn.CrossEntropyLoss(weight, label_smoothing) of PyTorch 2 in f64.
  struct Row {
    bool weighted;
    double smoothing, loss;
    std::vector<double> gradients;
  };
  const std::vector<Row> rows = {{false,
                                  0.1,
                                  1.2739519336301581,
                                  {-0.03693407468601437, 0.0014448099843385291, 0.03548926470167584, 0.04606484439253598,
                                   0.18153496319091222, -0.22759980758344822, -0.002855451946717353, 0.0032633416531349588,
                                   -0.00040788970641761346, 0.10874429937503696, -0.11625570062496304, 0.0075114012499260755}},
                                 {true,
                                  0.1,
                                  0.7520315783981487,
                                  {-0.1268596476339844, 0.01910709481235014, 0.10775255282163425, 0.0007458972620337069,
                                   0.07461105853245924, -0.07535695579449296, -0.019909338970095475, -0.0006591816723800547,
                                   0.020568520642475527, 0.0623338458449341, -0.07099948748839924, 0.008665641643465128}},
                                 {true,
                                  0.4,
                                  1.184723691892534,
                                  {-0.07863265971448931, -0.0017967672919743359, 0.08042942700646359, -0.051414588677734484,
                                   0.10857593760559138, -0.057161348927856924, -0.08511523726699788, -0.014233401675988511,
                                   0.09934863894298639, 0.015180117962995808, -0.018153215370337518, 0.0029730974073416956}}};
  for (const Row& row : rows) {
    CAPTURE(row.weighted, row.smoothing);
    const Var logits = Var::leaf(Tensor::of<double>({4, 3}, {2, -1, 0.5, 0.25, 1.5, -2, -0.75, 0, 3, 1, 1, -1}));
    Tape tape;
    const CrossEntropy ce =
        cross_entropy(logits, Tensor::of<int32_t>({4}, {0, 2, 2, 1}), row.weighted ? Tensor::of<double>({3}, {4, 1, 0.5}) : Tensor(),
                      {.norm = ClassWeightNorm::sum_of_weights, .label_smoothing = row.smoothing});
    CHECK(to_array(ce.loss.value())[0] == Approx(row.loss).epsilon(1e-13));
    tape.backward(ce.loss);
    for (size_t i = 0; i < row.gradients.size(); ++i) CHECK(std::abs(to_array(logits.grad()).v[i] - row.gradients[i]) < 1e-14);
  }
}

TEST_CASE("huge logits give finite losses and gradients", "[kernels]") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const Column column{.dtype = dtype};
    Array logits({3, 2});
    logits.v = {1e4, -1e4, -1e4, 1e4, 80, -80};
    const Var x = Var::leaf(column.tensor(logits));
    Tape tape;
    const CrossEntropy ce = cross_entropy(x, Tensor::of<int32_t>({3}, {0, 0, 1}));
    CHECK(to_array(ce.loss.value())[0] == Approx((0 + 2e4 + 160) / 3).epsilon(0.005));
    tape.backward(ce.loss);
    const Array g = to_array(x.grad());
    CHECK(g(0, 0) == 0);
    CHECK(g(1, 0) == Approx(-1.0 / 3).epsilon(0.005));
    CHECK(g(1, 1) == Approx(1.0 / 3).epsilon(0.005));
  }
}

TEST_CASE("NaN is passed on by ReLU and max pooling, and a tie in a window goes to its first element", "[kernels]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const DType dtype : floating) {
    const Column column{.dtype = dtype};
    Array x({1, 2, 4, 1});
    x.v = {nan, 1, 3, 3, 0, -1, 3, 3};
    CHECK(std::isnan(to_array(relu(column.tensor(x)).value())[0]));
    const Var leaf = Var::leaf(column.tensor(x));
    Tape tape;
    const Var y = max_pool2d(leaf, {.kernel = 2, .stride = 2, .padding = 0});
    CHECK(std::isnan(to_array(y.value())[0]));
    CHECK(to_array(y.value())[1] == 3);
    Array dy(y.shape());
    dy.v = {1, 2};
    tape.backward(y, column.tensor(dy));
    CHECK(to_array(leaf.grad()).v == std::vector<double>{1, 0, 2, 0, 0, 0, 0, 0});
  }
}

TEST_CASE("the unit of the model equals convolution, BatchNorm, addition and ReLU one after another", "[kernels]") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Column column{.dtype = dtype};
    const auto stat = [&](uint64_t key, double offset) { return column.stat_tensor(random_array({8}, key, offset, 0.1)); };
    for (const BatchNormMode mode : {BatchNormMode::batch_statistics, BatchNormMode::stored_statistics}) {
      const Var x = column.tensor(random_array({2, 9, 7, 6}, 1)), w = column.tensor(random_array({8, 3, 3, 6}, 2, 0, 0.2)),
                residual = column.tensor(random_array({2, 9, 7, 8}, 3));
      const auto args = [&] {
        return BatchNormArgs{
            .gamma = stat(4, 1), .beta = stat(5, 0), .running_mean = stat(6, 0), .running_variance = stat(7, 1), .mode = mode};
      };
      const Var together = conv_bn_act(x, w, {.padding = 1}, args(), residual);
      const Var apart = relu(add(batch_norm(conv2d(x, w, {.padding = 1}), args()), residual));
      expect_equal(to_array(together.value()), to_array(apart.value()), column, Accuracy::product);
    }
  }
}
