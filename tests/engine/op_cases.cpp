// The op table: one row for each op and kind of shape. Adding an op means adding a row here; the harness derives all its tests.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/engine/op_harness.h"
#include "tests/engine/reference_guide.h"

namespace dura::optest {
namespace {

using reference::Moments;
using reference::Pool;
using reference::UnitArgs;
using reference::Window;

using Arrays = std::vector<Array>;
using Vars = std::vector<Var>;

double smallest_magnitude(const Array& a) {
  double least = std::numeric_limits<double>::infinity();
  for (double x : a.v) least = std::min(least, std::abs(x));
  return least;
}

// ---- element by element ----

OpCase relu_row(const Shape& s) {
  return {.name = concat("relu ", s),
          .accuracy = Accuracy::pointwise,
          .inputs = {{"x", s, false,
                      [](Random& r, Array& a) {
                        for (double& x : a.v) x = r.normal(), x += x < 0 ? -0.1 : 0.1;
                      }}},
          .build = [](const Vars& v, const Column&) { return relu(v[0]); },
          .forward = [](const Arrays& a) { return reference::relu(a[0]); },
          .backward = [](const Arrays& a, const Array& dy) { return Arrays{reference::relu_backward(a[0], dy)}; },
          .kink_distance = [](const Arrays& a) { return smallest_magnitude(a[0]); }};
}

OpCase add_row(const Shape& s) {
  return {.name = concat("add ", s),
          .accuracy = Accuracy::pointwise,
          .inputs = {{"a", s}, {"b", s}},
          .build = [](const Vars& v, const Column&) { return add(v[0], v[1]); },
          .forward = [](const Arrays& a) { return reference::add(a[0], a[1]); },
          .backward =
              [](const Arrays&, const Array& dy) {
                return Arrays{dy, dy};
              }};
}

// To a wider type and back: in f64 the identity, elsewhere a rounding that the inputs already have.
OpCase cast_row(const Shape& s) {
  return {.name = concat("cast ", s),
          .accuracy = Accuracy::pointwise,
          .inputs = {{"x", s}},
          .build = [](const Vars& v, const Column&) { return cast(v[0], DType::f64); },
          .forward = [](const Arrays& a) { return a[0]; },
          .backward = [](const Arrays&, const Array& dy) { return Arrays{dy}; }};
}

OpCase dropout_row(const Shape& s, double p) {
  constexpr uint64_t key = 0x1234567890abcdefull;
  std::vector<uint64_t> keys;
  std::vector<int32_t> words;
  for (int64_t n = 0; n < s[0]; ++n) {
    keys.push_back(make_row_key(static_cast<uint64_t>(n), 3, 1));
    words.push_back(static_cast<int32_t>(keys.back() & 0xffffffffu));
    words.push_back(static_cast<int32_t>(keys.back() >> 32));
  }
  const auto on = [words, s](Device device) {
    const Tensor t = Tensor::empty({s[0], 2}, DType::i32, device);
    backend(device).upload(words.data(), t);
    return t;
  };
  return {.name = concat("dropout p=", p, " ", s),
          .accuracy = Accuracy::pointwise,
          .inputs = {{"x", s}},
          .build = [=](const Vars& v, const Column& column) { return dropout(v[0], p, key, on(column.device)); },
          .forward = [=](const Arrays& a) { return reference::dropout(a[0], p, key, keys); },
          .backward = [=](const Arrays&, const Array& dy) { return Arrays{reference::dropout(dy, p, key, keys)}; }};
}

// ---- convolution ----

// Scaled by the fan, so that outputs and gradients are of order 1.
std::function<void(Random&, Array&)> filter_fill() {
  return [](Random& r, Array& a) {
    const double scale = 1 / std::sqrt(static_cast<double>(a.numel() / a.shape[0]));
    for (double& x : a.v) x = scale * r.normal();
  };
}

std::string conv_name(const char* op, const Shape& x, const Shape& w, Window o) {
  return concat(op, " ", x, " * ", w, " stride ", o.stride, " padding ", o.padding);
}

OpCase conv_row(const Shape& x, const Shape& w, Window o, bool naive = true) {
  OpCase c{.name = conv_name("conv2d", x, w, o),
           .accuracy = Accuracy::product,
           .inputs = {{"x", x}, {"w", w, false, filter_fill()}},
           .build = [o](const Vars& v, const Column&) { return conv2d(v[0], v[1], {.stride = o.stride, .padding = o.padding}); },
           .forward = [o](const Arrays& a) { return reference::conv2d(a[0], a[1], o); },
           .backward =
               [o](const Arrays& a, const Array& dy) {
                 const auto g = reference::conv2d_backward(a[0], a[1], dy, o);
                 return Arrays{g.dx, g.dw};
               }};
  if (!naive) c.forward = nullptr, c.backward = nullptr;
  return c;
}

// ---- batch normalisation and the model's unit ----

// Stored statistics of K channels, the same for a row on every column.
Moments stored_statistics(int64_t K) {
  Moments m{Array({K}), Array({K})};
  for (int64_t k = 0; k < K; ++k)
    m.mean[k] = 0.25 * static_cast<double>(k % 5) - 0.5, m.variance[k] = 0.5 + 0.25 * static_cast<double>(k % 4);
  return m;
}

constexpr double eps = 1e-5;

void fill_gamma(Random& r, Array& a) {
  for (double& x : a.v) x = r.uniform(0.5, 1.5);
}

BatchNormArgs norm_args(const Var& gamma, const Var& beta, bool batch, const Column& c) {
  const Moments m = stored_statistics(gamma.value().numel());
  return {.gamma = gamma,
          .beta = beta,
          .running_mean = c.stat_tensor(m.mean),
          .running_variance = c.stat_tensor(m.variance),
          .eps = eps,
          .mode = batch ? BatchNormMode::batch_statistics : BatchNormMode::stored_statistics};
}

OpCase batch_norm_row(const Shape& s, bool batch) {
  const int64_t K = s[s.rank() - 1];
  const auto used = [=](const Array& x) { return batch ? reference::moments(x) : stored_statistics(K); };
  return {.name = concat("batch_norm ", batch ? "batch" : "stored", " statistics ", s),
          .accuracy = Accuracy::product,
          .inputs = {{"x", s}, {"gamma", {K}, true, fill_gamma}, {"beta", {K}, true}},
          .build = [=](const Vars& v, const Column& column) { return batch_norm(v[0], norm_args(v[1], v[2], batch, column)); },
          .forward = [=](const Arrays& a) { return reference::batch_norm(a[0], a[1], a[2], used(a[0]), eps); },
          .backward =
              [=](const Arrays& a, const Array& dy) {
                const auto g = reference::batch_norm_backward(a[0], a[1], used(a[0]), eps, dy, batch);
                return Arrays{g.dx, g.dgamma, g.dbeta};
              }};
}

struct UnitOptions {
  bool batch = false, residual = false, relu = true;
  bool naive = true;
};

// Inputs that keep the ReLU decided: a residual of +-4, or a beta of +-4 for each channel, against a normalised convolution of order 0.5.
void fill_decided(Random& r, Array& a) {
  for (double& x : a.v) x = (r.chance(0.5) ? 4.0 : -4.0) + r.uniform(-0.5, 0.5);
}

OpCase unit_row(const Shape& x, const Shape& w, Window o, UnitOptions u) {
  const int64_t K = w[0];
  const auto args = [=](const Arrays& a) {
    return UnitArgs{
        .window = o, .gamma = a[2], .beta = a[3], .stored = stored_statistics(K), .eps = eps, .batch_statistics = u.batch, .relu = u.relu};
  };
  const auto forward = [=](const Arrays& a) { return reference::conv_bn_act(a[0], a[1], args(a), u.residual ? a[4] : Array()); };
  OpCase c{.name = concat(conv_name("conv_bn_act", x, w, o), u.batch ? " batch" : " stored", u.residual ? " residual" : "",
                          u.relu ? " relu" : ""),
           .accuracy = Accuracy::product,
           .inputs = {{"x", x},
                      {"w", w, false, filter_fill()},
                      {"gamma",
                       {K},
                       true,
                       [](Random& r, Array& a) {
                         for (double& v : a.v) v = r.uniform(0.3, 0.7);
                       }},
                      {"beta", {K}, true}},
           .build =
               [=](const Vars& v, const Column& column) {
                 return conv_bn_act(v[0], v[1], {.stride = o.stride, .padding = o.padding}, norm_args(v[2], v[3], u.batch, column),
                                    u.residual ? v[4] : Var(), u.relu);
               },
           .forward = [=](const Arrays& a) { return forward(a).y; },
           .backward =
               [=](const Arrays& a, const Array& dy) {
                 const auto g = reference::conv_bn_act_backward(a[0], a[1], args(a), forward(a), dy);
                 Arrays all{g.dx, g.dw, g.dgamma, g.dbeta};
                 if (u.residual) all.push_back(g.dresidual);
                 return all;
               }};
  if (u.batch) c.roundings = 4;  // the convolution's output is kept in 16 bits
  if (u.relu) c.kink_distance = [=](const Arrays& a) { return smallest_magnitude(forward(a).before_relu); };
  const Shape y({x[0], (x[1] + 2 * o.padding - w[1]) / o.stride + 1, (x[2] + 2 * o.padding - w[2]) / o.stride + 1, K});
  if (u.residual) c.inputs.push_back({"residual", y});
  if (u.relu) c.inputs.back().fill = fill_decided;
  return c;
}

// ---- pooling, dense layer, loss ----

// A random order of numbers 0.25 apart: no two are near enough to exchange places.
void fill_distinct(Random& r, Array& a) {
  for (size_t i = 0; i < a.v.size(); ++i) a.v[i] = 0.25 * (static_cast<double>(i) - static_cast<double>(a.v.size() / 2));
  r.shuffle(a.v);
}

OpCase max_pool_row(const Shape& s, Pool o) {
  return {.name = concat("max_pool2d ", s, " kernel ", o.kernel, " stride ", o.stride, " padding ", o.padding, o.ceil_mode ? " ceil" : ""),
          .accuracy = Accuracy::pointwise,
          .inputs = {{"x", s, false, fill_distinct}},
          .build =
              [=](const Vars& v, const Column&) {
                return max_pool2d(v[0], {.kernel = o.kernel, .stride = o.stride, .padding = o.padding, .ceil_mode = o.ceil_mode});
              },
          .forward = [=](const Arrays& a) { return reference::max_pool2d(a[0], o); },
          .backward = [=](const Arrays& a, const Array& dy) { return Arrays{reference::max_pool2d_backward(a[0], dy, o)}; }};
}

OpCase global_mean_row(const Shape& s) {
  return {.name = concat("global_mean ", s),
          .accuracy = Accuracy::product,
          .inputs = {{"x", s}},
          .build = [](const Vars& v, const Column&) { return global_mean(v[0]); },
          .forward = [](const Arrays& a) { return reference::global_mean(a[0]); },
          .backward = [s](const Arrays&, const Array& dy) { return Arrays{reference::global_mean_backward(s, dy)}; }};
}

OpCase linear_row(int64_t N, int64_t C, int64_t K, bool bias) {
  OpCase c{.name = concat("linear (", N, ",", C, ") to ", K, bias ? " with bias" : ""),
           .accuracy = Accuracy::product,
           .inputs = {{"x", {N, C}}, {"w", {K, C}, false, filter_fill()}},
           .build = [=](const Vars& v, const Column&) { return linear(v[0], v[1], bias ? v[2] : Var()); },
           .forward = [=](const Arrays& a) { return reference::linear(a[0], a[1], bias ? a[2] : Array()); },
           .backward =
               [=](const Arrays& a, const Array& dy) {
                 const auto g = reference::linear_backward(a[0], a[1], dy);
                 return bias ? Arrays{g.dx, g.dw, g.db} : Arrays{g.dx, g.dw};
               }};
  if (bias) c.inputs.push_back({"b", {K}});
  return c;
}

OpCase cross_entropy_row(int64_t N, int64_t K, bool weighted, const CrossEntropyOptions& options) {
  std::vector<int32_t> labels;
  for (int64_t n = 0; n < N; ++n) labels.push_back(static_cast<int32_t>((n * 7 + 1) % K));
  Array weights;
  if (weighted) {
    weights = Array({K});
    for (int64_t k = 0; k < K; ++k) weights[k] = k % 2 ? 1.0 : 4.0;
  }
  const bool by_weights = options.norm == ClassWeightNorm::sum_of_weights;
  const double smoothing = options.label_smoothing;
  return {.name = concat("cross_entropy (", N, ",", K, ")", weighted ? " weighted" : "", by_weights ? " sum of weights" : " sum over batch",
                         smoothing > 0 ? concat(" smoothed by ", smoothing) : ""),
          .accuracy = Accuracy::product,
          .inputs = {{"logits",
                      {N, K},
                      false,
                      [](Random& r, Array& a) {
                        for (double& x : a.v) x = 3 * r.normal();
                      }}},
          .build =
              [=](const Vars& v, const Column& column) {
                const Tensor label = Tensor::empty({N}, DType::i32, column.device);
                backend(column.device).upload(labels.data(), label);
                return cross_entropy(v[0], label, weighted ? column.stat_tensor(weights) : Tensor(), options).loss;
              },
          .forward =
              [=](const Arrays& a) {
                Array loss({1});
                loss[0] = reference::cross_entropy(a[0], labels, weights, by_weights, smoothing);
                return loss;
              },
          .backward =
              [=](const Arrays& a, const Array& dy) {
                return Arrays{reference::cross_entropy_backward(a[0], labels, weights, by_weights, smoothing, dy[0])};
              }};
}

struct GuideRowOptions {
  Shape features;
  int64_t classes = 2;
  std::vector<int64_t> without_lesion = {};  // rows of the batch
  // Every second row has evidence nowhere: class k's weights are all about k, and the features positive.
  bool without_evidence = false;
  double strength = 1;
};

OpCase cam_energy_row(const GuideRowOptions& o) {
  const int64_t N = o.features[0], H = o.features[1], W = o.features[2], C = o.features[3], K = o.classes;
  reference::GuideArgs args{Array({N, K}), {}, Array({N, H, W}), o.strength};
  for (int64_t n = 0; n < N; ++n) args.labels.push_back(static_cast<int32_t>((n + 1) % K));
  for (int64_t i = 0; i < N * K; ++i) args.logits[i] = static_cast<double>((i / K * 5 + i % K * 3) % 7);
  std::vector<uint8_t> lesion;
  for (int64_t i = 0; i < args.lesion.numel(); ++i) {
    const int64_t n = i / (H * W);
    const bool left_out = std::find(o.without_lesion.begin(), o.without_lesion.end(), n) != o.without_lesion.end();
    args.lesion[i] = !left_out && (i + n) % 3 == 0 ? 1 : 0;
    lesion.push_back(args.lesion[i] > 0 ? 255 : 0);
  }
  const auto positive = [](Random& r, Array& a) {
    for (double& x : a.v) x = 0.1 + std::abs(r.normal());
  };
  const auto about_class = [C](Random& r, Array& a) {
    for (int64_t i = 0; i < a.numel(); ++i) a[i] = static_cast<double>(i / C) + 0.1 * r.normal();
  };
  return {
      .name = concat("cam_energy ", o.features, " of ", K, " classes", o.without_evidence ? " without evidence" : "", " strength ",
                     o.strength, o.without_lesion.empty() ? "" : concat(" ", o.without_lesion.size(), " without lesion")),
      .accuracy = Accuracy::product,
      .inputs = {{"features", o.features, false, o.without_evidence ? positive : std::function<void(Random&, Array&)>()},
                 {"weight", {K, C}, false, o.without_evidence ? about_class : std::function<void(Random&, Array&)>()}},
      .build =
          [=](const Vars& v, const Column& column) {
            const Tensor labels = Tensor::empty({N}, DType::i32, column.device), cells = Tensor::empty({N, H, W}, DType::u8, column.device);
            backend(column.device).upload(args.labels.data(), labels);
            backend(column.device).upload(lesion.data(), cells);
            return cam_energy(v[0], v[1], column.tensor(args.logits), labels, cells, o.strength).loss;
          },
      .forward =
          [=](const Arrays& a) {
            Array loss({1});
            loss[0] = reference::cam_energy(a[0], a[1], args);
            return loss;
          },
      .backward =
          [=](const Arrays& a, const Array& dy) {
            const auto g = reference::cam_energy_backward(a[0], a[1], args, dy[0]);
            return Arrays{g.da, g.dw};
          },
      .kink_distance = [=](const Arrays& a) { return reference::guide_kink_distance(a[0], a[1], args); }};
}

std::vector<OpCase> make_cases() {
  std::vector<OpCase> t;
  for (const Shape& s : {Shape{1}, Shape{3, 7}, Shape{2, 3, 5, 13}}) t.push_back(relu_row(s));
  for (const Shape& s : {Shape{1}, Shape{3, 7}, Shape{2, 3, 5, 13}}) t.push_back(add_row(s));
  t.push_back(cast_row({2, 3, 5, 7}));
  t.push_back(dropout_row({3, 37}, 0.5));
  t.push_back(dropout_row({1, 4}, 0.0));
  t.push_back(dropout_row({2, 3, 3, 5}, 0.2));

  t.push_back(conv_row({2, 5, 7, 8}, {16, 1, 1, 8}, {1, 0}));
  t.push_back(conv_row({1, 6, 5, 5}, {7, 1, 1, 5}, {2, 0}));
  t.push_back(conv_row({2, 7, 9, 5}, {6, 3, 3, 5}, {1, 1}));
  t.push_back(conv_row({1, 8, 8, 16}, {16, 3, 3, 16}, {1, 1}));
  t.push_back(conv_row({2, 9, 6, 4}, {9, 3, 3, 4}, {2, 1}));
  t.push_back(conv_row({1, 8, 8, 3}, {5, 3, 3, 3}, {2, 0}));
  t.push_back(conv_row({2, 13, 11, 3}, {8, 7, 7, 3}, {2, 3}));
  t.push_back(conv_row({1, 1, 1, 7}, {3, 3, 3, 7}, {1, 1}));
  t.push_back(conv_row({3, 4, 4, 2}, {3, 4, 4, 2}, {1, 0}));
  t.push_back(conv_row({1, 5, 6, 2}, {2, 2, 3, 2}, {3, 2}));
  t.push_back(conv_row({1, 3, 4, 33}, {17, 5, 1, 33}, {1, 2}));

  t.push_back(batch_norm_row({2, 3, 5, 7}, true));
  t.push_back(batch_norm_row({2, 3, 5, 7}, false));
  t.push_back(batch_norm_row({5, 3}, true));
  t.push_back(batch_norm_row({1, 33, 33, 2}, true));  // several tiles of rows
  t.push_back(batch_norm_row({1, 2, 3, 9}, true));

  for (const bool batch : {false, true}) {
    t.push_back(unit_row({2, 5, 4, 6}, {8, 1, 1, 6}, {1, 0}, {.batch = batch}));
    t.push_back(unit_row({2, 5, 4, 6}, {5, 1, 1, 6}, {1, 0}, {.batch = batch, .residual = true}));
    t.push_back(unit_row({2, 6, 5, 4}, {7, 3, 3, 4}, {1, 1}, {.batch = batch}));
    t.push_back(unit_row({1, 7, 7, 5}, {8, 3, 3, 5}, {2, 1}, {.batch = batch, .residual = true}));
    t.push_back(unit_row({2, 6, 6, 5}, {9, 1, 1, 5}, {2, 0}, {.batch = batch, .relu = false}));
    t.push_back(unit_row({1, 9, 11, 3}, {5, 7, 7, 3}, {2, 3}, {.batch = batch}));
    t.push_back(unit_row({2, 4, 3, 6}, {6, 3, 3, 6}, {1, 1}, {.batch = batch, .residual = true, .relu = false}));
  }

  t.push_back(max_pool_row({2, 8, 9, 5}, {3, 2, 1, false}));
  t.push_back(max_pool_row({1, 7, 6, 16}, {3, 2, 1, false}));
  t.push_back(max_pool_row({2, 8, 9, 5}, {3, 2, 0, true}));
  t.push_back(max_pool_row({1, 7, 7, 3}, {3, 2, 0, true}));
  t.push_back(max_pool_row({1, 6, 6, 9}, {2, 2, 0, false}));
  t.push_back(max_pool_row({1, 5, 4, 2}, {2, 3, 1, true}));
  t.push_back(max_pool_row({2, 4, 4, 17}, {3, 1, 1, false}));
  for (const Shape& s : {Shape{2, 7, 7, 12}, Shape{1, 1, 1, 3}, Shape{3, 2, 5, 9}}) t.push_back(global_mean_row(s));
  t.push_back(linear_row(3, 17, 5, true));
  t.push_back(linear_row(1, 8, 2, true));
  t.push_back(linear_row(4, 6, 3, false));
  for (const ClassWeightNorm norm : {ClassWeightNorm::sum_over_batch, ClassWeightNorm::sum_of_weights}) {
    t.push_back(cross_entropy_row(5, 3, true, {.norm = norm}));
    t.push_back(cross_entropy_row(1, 2, true, {.norm = norm}));
    t.push_back(cross_entropy_row(5, 3, true, {.norm = norm, .label_smoothing = 0.1}));
    t.push_back(cross_entropy_row(4, 7, false, {.norm = norm, .label_smoothing = 0.3}));
  }
  t.push_back(cross_entropy_row(4, 7, false, {}));
  t.push_back(cam_energy_row({.features = {3, 3, 2, 7}}));
  t.push_back(cam_energy_row({.features = {1, 2, 2, 33}, .strength = 2.5}));
  t.push_back(cam_energy_row({.features = {4, 2, 3, 5}, .classes = 4, .without_lesion = {1}}));
  t.push_back(cam_energy_row({.features = {3, 2, 3, 300}, .without_evidence = true}));
  t.push_back(cam_energy_row({.features = {2, 3, 3, 4}, .classes = 3, .without_lesion = {0, 1}}));
  return t;
}

}  // namespace

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> all = make_cases();
  return all;
}

const std::vector<OpCase>& resnet_shapes() {
  static const std::vector<OpCase> all = [] {
    std::vector<OpCase> t;
    const auto conv = [&](int64_t size, int64_t C, int64_t K, int64_t kernel, int64_t stride) {
      t.push_back(conv_row({1, size, size, C}, {K, kernel, kernel, C}, {stride, kernel / 2}, false));
    };
    conv(224, 3, 64, 7, 2);
    int64_t C = 64, size = 56;
    for (int64_t width = 64; width <= 512; width *= 2) {
      const int64_t stride = width == 64 ? 1 : 2;
      conv(size, C, width, 1, 1);  // first block
      conv(size, width, width, 3, stride);
      conv(size, C, 4 * width, 1, stride);          // shortcut
      if (stride == 2) conv(size, C, width, 1, 2);  // V1's stride
      size /= stride;
      C = 4 * width;
      conv(size, width, C, 1, 1);
      conv(size, C, width, 1, 1);  // the other blocks
      if (stride == 2) conv(size, width, width, 3, 1);
    }
    return t;
  }();
  return all;
}

}  // namespace dura::optest
