// The f32 convolutions against plain loops in double, for every kernel set that this processor has.
#include "tests/support/catch.h"

#include <cstring>
#include <limits>

#include "tests/engine/conv_f32_cases.h"
#include "engine/cpu/conv.h"
#include "engine/cpu/cpu_features.h"

using namespace dura;
using namespace dura::conv_cases;

namespace {

constexpr double exact_limit = 1e-11, winograd_limit = 2e-9;

// Puts the kernel set, the number of threads and the exact switch back at the end of a test.
struct Settings {
  std::string set = cpu::kernels().name;
  int threads = num_threads();
  bool exact = cpu::exact_conv();
  ~Settings() {
    cpu::use_kernel_set(set);
    set_num_threads(threads);
    cpu::set_exact_conv(exact);
  }
};

// Exactly the declared bytes, with a guard behind them.
class Workspace {
 public:
  Workspace(const ConvGeometry& g, ConvPass pass) : bytes_(static_cast<int64_t>(cpu::conv_workspace_f32(g, DType::f32, pass))) {
    memory_ = Tensor::empty({bytes_ + guard}, DType::u8, Device::cpu);
    // NaN everywhere: what was not written must not be read as a number.
    std::memset(memory_.raw(), 0xff, memory_.bytes());
  }
  Tensor tensor() const { return memory_.slice(0, {bytes_}); }
  bool guard_untouched() const {
    const uint8_t* p = memory_.data<uint8_t>() + bytes_;
    for (int64_t i = 0; i < guard; ++i)
      if (p[i] != 0xff) return false;
    return true;
  }

 private:
  static constexpr int64_t guard = 256;
  int64_t bytes_;
  Tensor memory_;
};

Tensor filled(const Shape& shape, float value) {
  const Tensor t = Tensor::empty(shape, DType::f32, Device::cpu);
  std::fill(t.data<float>(), t.data<float>() + t.numel(), value);
  return t;
}
const float unwritten = std::numeric_limits<float>::quiet_NaN();

Tensor forward(const Problem& p, const Epilogue& e = {}, PreparedWeight* prepared = nullptr) {
  const Tensor y = filled(p.dy.shape(), unwritten);
  const Workspace workspace(p.g, ConvPass::forward);
  cpu::conv_forward_f32(p.g, p.x, {p.w, prepared}, e, workspace.tensor(), y);
  CHECK(workspace.guard_untouched());
  return y;
}
Tensor backward_data(const Problem& p, const FoldedScale& scale = {}, PreparedWeight* prepared = nullptr, const Tensor& onto = {}) {
  const Tensor dx = onto.defined() ? onto : filled(p.x.shape(), unwritten);
  const Workspace workspace(p.g, ConvPass::backward_data);
  cpu::conv_backward_data_f32(p.g, p.dy, {p.w, prepared}, scale, workspace.tensor(), {dx, onto.defined()});
  CHECK(workspace.guard_untouched());
  return dx;
}
Tensor backward_filter(const Problem& p, const Tensor& onto = {}) {
  const Tensor dw = onto.defined() ? onto : filled(p.w.shape(), unwritten);
  const Workspace workspace(p.g, ConvPass::backward_filter);
  cpu::conv_backward_filter_f32(p.g, p.x, p.dy, workspace.tensor(), {dw, onto.defined()});
  CHECK(workspace.guard_untouched());
  return dw;
}

void check_close(const char* what, const Tensor& got, const Doubles& expected, double limit) {
  INFO(what);
  const Difference d = difference(got, expected);
  CHECK(d.nmse <= limit);
  CHECK(d.largest <= 8.0 * std::sqrt(limit));
}

bool same_bits(const Tensor& a, const Tensor& b) { return a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0; }

// All passes of one problem with all kernel sets, against one reference.
void check_all_passes(const ConvGeometry& g, double limit) {
  const Problem problem(g, 7);
  const Reference reference(problem);
  for (const std::string& set : cpu::available_kernel_sets()) {
    INFO(name(g) << ", kernels " << set);
    cpu::use_kernel_set(set);
    check_close("forward", forward(problem), reference.y, limit);
    check_close("backward_data", backward_data(problem), reference.dx, limit);
    check_close("backward_filter", backward_filter(problem), reference.dw, limit);
  }
}

}  // namespace

TEST_CASE("f32 convolutions agree with double at every ResNet-50 layer shape", "[cpu][conv]") {
  const Settings settings;
  for (const Layer& layer : resnet50_layers()) {
    // Small images with the true channels. 3x3 filters with stride 1 get enough tiles for Winograd's algorithm.
    const bool winograd = layer.filter == 3 && layer.stride == 1;
    const int64_t size = layer.filter == 7 ? 33 : winograd ? (layer.C <= 64 ? 14 : 7) : layer.C * layer.K > 500000 ? 5 : 8;
    const ConvGeometry g = layer.at(winograd && layer.C > 64 ? 4 : 1, size);
    check_all_passes(g, winograd ? winograd_limit : exact_limit);
  }
}

TEST_CASE("f32 convolutions agree with double for odd extents, strides and paddings", "[cpu][conv]") {
  const Settings settings;
  for (const ConvGeometry& g : {
           geometry(1, 1, 1, 1, 1, 1, 1, 1, 0),
           geometry(2, 5, 7, 3, 7, 1, 1, 1, 0),
           geometry(1, 9, 8, 5, 33, 1, 1, 2, 0),
           geometry(2, 7, 11, 17, 7, 3, 3, 1, 1),
           geometry(1, 8, 9, 5, 33, 3, 3, 2, 1),
           geometry(2, 11, 6, 3, 1, 3, 3, 3, 2),
           geometry(1, 13, 10, 17, 33, 5, 3, 2, 2),
           geometry(2, 6, 13, 1, 7, 2, 5, 1, 3),
           geometry(1, 10, 10, 3, 33, 7, 7, 2, 3),
           geometry(1, 7, 7, 5, 7, 3, 3, 3, 0),
           geometry(2, 9, 9, 33, 17, 1, 1, 3, 0),
           geometry(1, 6, 6, 17, 5, 1, 1, 1, 3),
           geometry(1, 4, 5, 3, 7, 4, 5, 1, 0),
           geometry(3, 5, 4, 7, 40, 2, 2, 2, 1),
           geometry(1, 30, 41, 3, 33, 3, 3, 1, 1),
           geometry(1, 3, 3, 1030, 35, 1, 1, 1, 0),
           geometry(5, 17, 19, 6, 9, 3, 1, 2, 3),
       })
    check_all_passes(g, exact_limit);
}

TEST_CASE("an output that is written past the caches has the bits of its images one by one", "[cpu][conv]") {
  const Settings settings;
  const ConvGeometry all = geometry(3, 60, 61, 8, 160, 1, 1, 1, 0), one = geometry(1, 60, 61, 8, 160, 1, 1, 1, 0);  // 7 MB, 2.3 MB
  const Problem batch(all, 5);
  Problem image(one, 5);
  image.w = batch.w;
  const Tensor factors = filled({160}, 0.5f);
  for (const std::string& set : cpu::available_kernel_sets()) {
    INFO("kernels " << set);
    cpu::use_kernel_set(set);
    const Tensor y = forward(batch, {.scale = factors, .bias = factors, .residual = batch.dy, .relu = true});
    for (int64_t n = 0; n < all.N; ++n) {
      image.x = batch.x.slice(n * image.x.numel(), image.x.shape());
      const Tensor residual = batch.dy.slice(n * image.dy.numel(), image.dy.shape());
      CHECK(same_bits(forward(image, {.scale = factors, .bias = factors, .residual = residual, .relu = true}),
                      y.slice(n * image.dy.numel(), image.dy.shape())));
    }
  }
}

TEST_CASE("Winograd's algorithm agrees with double where tiles hang over the border", "[cpu][conv]") {
  const Settings settings;
  for (const ConvGeometry& g :
       {geometry(4, 9, 10, 33, 47, 3, 3, 1, 1), geometry(9, 24, 23, 130, 300, 3, 3, 1, 1), geometry(3, 13, 11, 40, 32, 3, 3, 1, 0),
        geometry(2, 15, 14, 32, 65, 3, 3, 1, 2), geometry(1, 14, 13, 48, 70, 3, 3, 1, 1)})
    check_all_passes(g, winograd_limit);
}

TEST_CASE("one image takes Winograd's algorithm where a batch does, but for the largest filters", "[cpu][conv]") {
  for (const int64_t images : {1, 16})
    for (const auto& [pixels, channels] : std::vector<std::pair<int64_t, int64_t>>{{56, 64}, {28, 128}, {14, 256}})
      CHECK(cpu::uses_winograd(geometry(images, pixels, pixels, channels, channels, 3, 3, 1, 1), ConvPass::forward));
  CHECK_FALSE(cpu::uses_winograd(geometry(1, 14, 14, 512, 512, 3, 3, 1, 1), ConvPass::forward));
  CHECK_FALSE(cpu::uses_winograd(geometry(4, 7, 7, 256, 256, 3, 3, 1, 1), ConvPass::forward));
}

TEST_CASE("exact_conv turns Winograd's algorithm off", "[cpu][conv]") {
  const Settings settings;
  const Problem problem(geometry(4, 14, 14, 64, 64, 3, 3, 1, 1));
  const Reference reference(problem);
  cpu::set_exact_conv(false);
  const Tensor fast = forward(problem);
  cpu::set_exact_conv(true);
  check_close("forward", forward(problem), reference.y, exact_limit);
  check_close("backward_data", backward_data(problem), reference.dx, exact_limit);
  check_close("backward_filter", backward_filter(problem), reference.dw, exact_limit);
  CHECK_FALSE(same_bits(fast, forward(problem)));
}

TEST_CASE("The epilogue of an f32 convolution is relu(conv * scale + bias + residual), any part left out", "[cpu][conv]") {
  const Settings settings;
  for (const ConvGeometry& g :
       {geometry(2, 6, 7, 5, 37, 3, 3, 1, 1), geometry(4, 12, 12, 32, 33, 3, 3, 1, 1), geometry(2, 5, 5, 800, 35, 1, 1, 1, 0)}) {
    const Problem problem(g, 3);
    const Reference reference(problem);
    const Tensor scale = random_tensor({g.K}, 11), bias = random_tensor({g.K}, 12), residual = random_tensor(problem.dy.shape(), 13);
    for (const std::string& set : cpu::available_kernel_sets()) {
      cpu::use_kernel_set(set);
      for (int parts = 0; parts < 16; ++parts) {
        INFO(name(g) << ", kernels " << set << ", parts " << parts);
        Epilogue e;
        if (parts & 1) e.scale = scale;
        if (parts & 2) e.bias = bias;
        if (parts & 4) e.residual = residual;
        e.relu = (parts & 8) != 0;
        Doubles expected = reference.y;
        for (size_t i = 0; i < expected.size(); ++i) {
          const int64_t k = static_cast<int64_t>(i) % g.K;
          if (parts & 1) expected[i] *= scale.data<float>()[k];
          if (parts & 2) expected[i] += bias.data<float>()[k];
          if (parts & 4) expected[i] += residual.data<float>()[i];
          if (e.relu) expected[i] = std::max(expected[i], 0.0);
        }
        check_close("forward", forward(problem, e), expected, winograd_limit);
      }
    }
  }
}

TEST_CASE("ReLU in an f32 convolution does not hide a NaN", "[cpu][conv]") {
  const Settings settings;
  for (const std::string& set : cpu::available_kernel_sets()) {
    cpu::use_kernel_set(set);
    for (const ConvGeometry& g : {geometry(1, 4, 4, 3, 33, 1, 1, 1, 0), geometry(4, 12, 12, 32, 33, 3, 3, 1, 1)}) {
      INFO(name(g) << ", kernels " << set);
      Problem problem(g);
      problem.x.data<float>()[0] = unwritten;
      CHECK(std::isnan(forward(problem, {{}, {}, {}, true}).data<float>()[0]));
    }
  }
}

TEST_CASE("Gradients of an f32 convolution add to what is there when asked", "[cpu][conv]") {
  const Settings settings;
  for (const ConvGeometry& g : {geometry(2, 9, 8, 5, 9, 3, 3, 2, 1), geometry(1, 9, 8, 17, 9, 1, 1, 2, 0),
                                geometry(4, 12, 12, 32, 33, 3, 3, 1, 1), geometry(4, 40, 40, 8, 16, 1, 1, 1, 0)}) {
    const Problem problem(g, 5);
    const Reference reference(problem);
    for (const std::string& set : cpu::available_kernel_sets()) {
      INFO(name(g) << ", kernels " << set);
      cpu::use_kernel_set(set);
      const Tensor dx = random_tensor(problem.x.shape(), 21), dw = random_tensor(problem.w.shape(), 22);
      Doubles expected_dx = widen(dx), expected_dw = widen(dw);
      for (size_t i = 0; i < expected_dx.size(); ++i) expected_dx[i] += reference.dx[i];
      for (size_t i = 0; i < expected_dw.size(); ++i) expected_dw[i] += reference.dw[i];
      check_close("backward_data", backward_data(problem, {}, nullptr, dx), expected_dx, winograd_limit);
      check_close("backward_filter", backward_filter(problem, dw), expected_dw, winograd_limit);
    }
  }
}

TEST_CASE("A scale is folded into the data gradient", "[cpu][conv]") {
  const Settings settings;
  for (const ConvGeometry& g : {geometry(2, 9, 8, 5, 37, 3, 3, 2, 1), geometry(4, 12, 12, 32, 33, 3, 3, 1, 1)}) {
    Problem problem(g, 9);
    const Tensor scale = random_tensor({g.K}, 31);
    Problem scaled(g, 9);
    for (int64_t i = 0; i < scaled.dy.numel(); ++i) scaled.dy.data<float>()[i] *= scale.data<float>()[i % g.K];
    const Reference reference(scaled);
    for (const std::string& set : cpu::available_kernel_sets()) {
      INFO(name(g) << ", kernels " << set);
      cpu::use_kernel_set(set);
      check_close("backward_data", backward_data(problem, {scale, Revision::first()}), reference.dx, winograd_limit);
    }
  }
}

// Packed filters that are kept lie in the general pool.
static size_t bytes_held() { return device_pool(Device::cpu)->statistics().in_use; }

TEST_CASE("Kept packed filters give the same bits, and follow every change of what they were made from", "[cpu][conv]") {
  const Settings settings;
  for (const ConvGeometry& g :
       {geometry(2, 9, 8, 5, 37, 3, 3, 2, 1), geometry(4, 12, 12, 32, 33, 3, 3, 1, 1), geometry(2, 6, 6, 24, 40, 1, 1, 1, 0)}) {
    INFO(name(g));
    Problem problem(g, 41);
    PreparedWeight prepared;
    const Tensor scale = random_tensor({g.K}, 42);
    Revision scale_revision = Revision::first();
    const size_t held_before = bytes_held();
    const auto check_same = [&](const char* when) {
      INFO(when);
      for (int use = 0; use < 3; ++use) {  // made in the workspace, kept, found
        CHECK(same_bits(forward(problem), forward(problem, {}, &prepared)));
        CHECK(same_bits(backward_data(problem, {scale, scale_revision}), backward_data(problem, {scale, scale_revision}, &prepared)));
      }
      CHECK(bytes_held() >= held_before + 2 * problem.w.bytes());  // one for each direction
    };
    check_same("at first");
    for (int64_t i = 0; i < problem.w.numel(); ++i) problem.w.data<float>()[i] += 1.0f;
    prepared.revision.values_changed();
    check_same("after a change of the filter");
    scale.data<float>()[0] = 3.0f;
    scale_revision.values_changed();
    check_same("after a change of the scale");
    CHECK(same_bits(backward_data(problem), backward_data(problem, {}, &prepared)));  // without a scale
    cpu::set_exact_conv(true);
    check_same("without Winograd");
    cpu::set_exact_conv(false);
    for (const std::string& set : cpu::available_kernel_sets()) {
      cpu::use_kernel_set(set);
      check_same(set.c_str());
    }
  }
}

TEST_CASE("A filter that changes at every step keeps no packed filter", "[cpu][conv]") {
  const Problem problem(geometry(1, 6, 6, 24, 40, 1, 1, 1, 0));
  PreparedWeight prepared;
  const size_t held_before = bytes_held();
  for (int use = 0; use < 3; ++use, prepared.revision.values_changed()) {
    forward(problem, {}, &prepared);
    CHECK(bytes_held() == held_before);
  }
}

TEST_CASE("f32 convolutions give the same bits for any number of threads", "[cpu][conv]") {
  const Settings settings;
  for (const ConvGeometry& g :
       {geometry(3, 17, 19, 5, 70, 3, 3, 2, 1), geometry(6, 16, 16, 32, 64, 3, 3, 1, 1), geometry(4, 40, 40, 16, 24, 1, 1, 1, 0),
        geometry(2, 10, 10, 600, 130, 1, 1, 2, 0), geometry(4, 33, 33, 3, 24, 7, 7, 2, 3)}) {
    const Problem problem(g, 51);
    for (const std::string& set : cpu::available_kernel_sets()) {
      INFO(name(g) << ", kernels " << set);
      cpu::use_kernel_set(set);
      set_num_threads(1);
      const Tensor y = forward(problem), dx = backward_data(problem), dw = backward_filter(problem);
      for (int threads : {2, 5}) {
        set_num_threads(threads);
        CHECK(same_bits(y, forward(problem)));
        CHECK(same_bits(dx, backward_data(problem)));
        CHECK(same_bits(dw, backward_filter(problem)));
      }
    }
  }
}

TEST_CASE("A workspace that is too small is refused", "[cpu][conv]") {
  const Problem problem(geometry(1, 6, 6, 24, 40, 3, 3, 1, 1));
  const Tensor y = filled(problem.dy.shape(), 0.0f);
  const int64_t bytes = static_cast<int64_t>(cpu::conv_workspace_f32(problem.g, DType::f32, ConvPass::forward));
  const Tensor small = Tensor::empty({bytes - 64}, DType::u8, Device::cpu);
  CHECK_THROWS_WITH(cpu::conv_forward_f32(problem.g, problem.x, {problem.w, nullptr}, {}, small, y), Catch::Contains("bytes are needed"));
}
