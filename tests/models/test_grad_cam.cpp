// Heat maps of the Grad-CAM family: against float64 definitions elsewhere, against each other where theory says that they are equal, and
// where a map must be empty.
#include "tests/support/catch.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "engine/core/tensor.h"
#include "models/explain/grad_cam.h"
#include "tests/support/cuda_under_test.h"
#include "tests/support/named_values.h"
#include "tests/support/hash_weights.h"

using namespace dura;
using namespace dura::golden;
using Catch::Contains;

namespace {

// A hash-made tensor of torchvision's order in dura's: (K,C,R,S) -> (K,R,S,C).
Tensor from_hash(const std::vector<double>& values, const Shape& ours, DType dtype, Device device = Device::cpu) {
  const Tensor wide = Tensor::empty(ours, DType::f64, Device::cpu), t = Tensor::empty(ours, dtype, Device::cpu);
  if (ours.rank() < 4) {
    std::copy(values.begin(), values.end(), wide.data<double>());
  } else {
    const int64_t K = ours[0], places = ours[1] * ours[2], C = ours[3];
    for (int64_t k = 0; k < K; ++k)
      for (int64_t i = 0; i < places; ++i)
        for (int64_t c = 0; c < C; ++c)
          wide.data<double>()[(k * places + i) * C + c] = values[static_cast<size_t>((k * C + c) * places + i)];
  }
  backend(Device::cpu).cast(wide, t);
  if (device == Device::cpu) return t;
  const Tensor there = Tensor::empty(ours, dtype, device);
  backend(device).upload(t.raw(), there);
  return there;
}

// The network of tests/golden/make_heat_maps.py.
struct HashNetwork {
  explicit HashNetwork(DType compute, Device device = Device::cpu)
      : model({.backbone = {.depth = 18, .tensors = {.compute = compute, .device = device}}, .classes = {"a", "b", "c"}}, Initialise::no),
        x(from_hash(hash_images(5, 2, 64), {2, 64, 64, 3}, compute, device)) {
    std::map<std::string, std::vector<double>> values;
    for (const NamedShape& t : resnet_tensors(18, 3)) values[t.name] = hash_tensor(t, 18);
    for (Parameter* p : model.parameters()) p->assign(from_hash(values.at(p->name()), p->shape(), stat_dtype(compute)));
    for (const NamedBuffer& b : model.buffers()) {
      const Tensor t = from_hash(values.at(b.name), b.tensor.shape(), b.tensor.dtype());
      backend(device).upload(t.raw(), b.tensor);
    }
    model.buffers_changed();
  }

  Classifier model;
  Tensor x;
};

std::vector<double> to_doubles(const Tensor& t) {
  const Tensor wide = Tensor::empty(t.shape(), DType::f64, Device::cpu);
  backend(Device::cpu).cast(t, wide);
  return {wide.data<double>(), wide.data<double>() + wide.numel()};
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0, scale = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(a[i] - b[i]));
    scale = std::max(scale, std::abs(b[i]));
  }
  REQUIRE(scale > 0);
  return worst / scale;
}

}  // namespace

TEST_CASE("the four heat map methods agree with their definitions in float64 and in float32", "[models][grad_cam]") {
  const test::NamedValues golden = test::read_named_values("heat_maps.txt");
  for (const auto& [dtype, tolerance] : {std::pair{DType::f64, 1e-11}, std::pair{DType::f32, 2e-4}}) {
    HashNetwork network(dtype);
    for (const std::string& method : cam_method_names())
      for (int stage : {2, 3, 4}) {
        CAPTURE(dtype_name(dtype), method, stage);
        const GradCam found = grad_cam(network.model, network.x, {.method = cam_method_by_name(method), .stage = stage, .classes = {2, 0}});
        CHECK(found.maps.shape() == Shape{2, 32 >> stage, 32 >> stage});
        CHECK(largest_difference(to_doubles(found.maps), golden.at(concat(method, "_layer", stage))) < tolerance);
      }
  }
}

TEST_CASE("behind layer4, Grad-CAM and HiResCAM are the positive part of CAM over the number of places", "[models][grad_cam]") {
  HashNetwork network(DType::f64);
  const Tensor features = network.model.backbone().run(network.x).value();
  const std::vector<int32_t> classes = {1, 2};
  const int64_t places = features.shape()[1] * features.shape()[2], C = features.shape()[3];
  std::vector<double> cam;
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t i = 0; i < places; ++i) {
      const double *a = features.data<double>() + (n * places + i) * C,
                   *w = network.model.head().weight.master().data<double>() + classes[static_cast<size_t>(n)] * C;
      cam.push_back(std::max(0.0, std::inner_product(a, a + C, w, 0.0) / static_cast<double>(places)));
    }
  for (CamMethod method : {CamMethod::grad_cam, CamMethod::hires_cam})
    CHECK(largest_difference(to_doubles(grad_cam(network.model, network.x, {.method = method, .classes = classes}).maps), cam) < 1e-13);
}

TEST_CASE("without classes a map explains the predicted one", "[models][grad_cam]") {
  HashNetwork network(DType::f64);
  for (const std::string& name : cam_method_names()) {
    const CamMethod method = cam_method_by_name(name);
    const GradCam own = grad_cam(network.model, network.x, {.method = method, .stage = 3});
    REQUIRE(own.classes.size() == 2);
    for (size_t n = 0; n < 2; ++n) {
      const double* row = own.logits.data<double>() + 3 * n;
      CHECK(own.classes[n] == std::max_element(row, row + 3) - row);
    }
    const GradCam named = grad_cam(network.model, network.x, {.method = method, .stage = 3, .classes = own.classes});
    CHECK(to_doubles(own.maps) == to_doubles(named.maps));
  }
}

TEST_CASE("where every weight speaks against the class, every method's map at layer4 is zero", "[models][grad_cam]") {
  HashNetwork network(DType::f32);
  const Tensor against = Tensor::empty(network.model.head().weight.shape(), DType::f32, Device::cpu);
  std::fill_n(against.data<float>(), against.numel(), -1.0f);
  network.model.head().weight.assign(against);
  for (const std::string& method : cam_method_names())
    for (double v : to_doubles(grad_cam(network.model, network.x, {.method = cam_method_by_name(method)}).maps)) CHECK(v == 0);
}

TEST_CASE("heat maps see through frozen layers and do not touch parameter gradients", "[models][grad_cam]") {
  HashNetwork network(DType::f32);
  for (const std::string& method : cam_method_names())
    for (int stage : {2, 4}) {
      const GradCamOptions options = {.method = cam_method_by_name(method), .stage = stage, .classes = {0, 1}};
      network.model.freeze_backbone();
      const std::vector<double> frozen = to_doubles(grad_cam(network.model, network.x, options).maps);
      network.model.unfreeze("all");
      CHECK(frozen == to_doubles(grad_cam(network.model, network.x, options).maps));
      CHECK(std::accumulate(frozen.begin(), frozen.end(), 0.0) > 0);
      for (Parameter* p : network.model.parameters()) CHECK_FALSE(p->gradient()->written());
    }
}

TEST_CASE("heat maps through frozen layers on the simulated CUDA device are the CPU's", "[models][grad_cam][cuda-sim]") {
  for (const auto& [dtype, tolerance] : {std::pair{DType::f32, 2e-4}, std::pair{DType::f16, 0.05}}) {
    HashNetwork cpu(dtype), simulated(dtype, test::cuda_under_test());
    for (HashNetwork* network : {&cpu, &simulated}) network->model.freeze_backbone();
    for (const std::string& method : cam_method_names())
      for (int stage : {2, 4}) {
        CAPTURE(dtype_name(dtype), method, stage);
        const GradCamOptions options = {.method = cam_method_by_name(method), .stage = stage, .classes = {2, 0}};
        const std::vector<double> expected = to_doubles(grad_cam(cpu.model, cpu.x, options).maps);
        CHECK(largest_difference(download_as_double(grad_cam(simulated.model, simulated.x, options).maps), expected) < tolerance);
      }
    for (Parameter* p : simulated.model.parameters()) CHECK_FALSE(p->gradient()->written());
  }
}

TEST_CASE("heat maps refuse unknown methods, stages, classes and a model that is being trained", "[models][grad_cam]") {
  CHECK_THROWS_WITH(cam_method_by_name("scorecam"), Contains("no heat map method 'scorecam'") && Contains("layercam"));
  HashNetwork network(DType::f32);
  CHECK_THROWS_WITH(grad_cam(network.model, network.x, {.stage = 5}), Contains("stage 5 of 0"));
  CHECK_THROWS_WITH(grad_cam(network.model, network.x, {.classes = {0}}), Contains("1 classes for 2 images"));
  CHECK_THROWS_WITH(grad_cam(network.model, network.x, {.classes = {0, 3}}), Contains("class 3 of 3"));
  network.model.set_training(true);
  CHECK_THROWS_WITH(grad_cam(network.model, network.x), Contains("training mode"));
}

namespace {

// Where the gradient of one cell of a stage weighs, along rows and along columns: its centre of mass in pixels.
std::pair<double, double> centre_of_gradient(ResNet& network, int stage, int64_t size, int64_t cell, double slope) {
  const Tensor x = Tensor::empty({1, size, size, 3}, DType::f64, Device::cpu);
  for (int64_t i = 0; i < size * size * 3; ++i) x.data<double>()[i] = 1000 + slope * static_cast<double>(i / 3 / size + i / 3 % size);
  Tape tape(Tape::Wants::leaves);
  const Var input = Var::leaf(x), output = network.run(input, 0, stage);
  const Tensor gradient = Tensor::empty(output.shape(), DType::f64, Device::cpu);
  backend(Device::cpu).fill(gradient, 0);
  const int64_t width = output.shape()[2], channels = output.shape()[3];
  std::fill_n(gradient.data<double>() + (cell * width + cell) * channels, channels, 1.0);
  tape.backward(output, gradient);
  double mass = 0, rows = 0, columns = 0;
  for (int64_t i = 0; i < size * size * 3; ++i) {
    const double g = input.grad().data<double>()[i];
    mass += g, rows += g * static_cast<double>(i / 3 / size), columns += g * static_cast<double>(i / 3 % size);
  }
  REQUIRE(mass > 0);
  return {rows / mass, columns / mass};
}

}  // namespace

TEST_CASE("a stage's cells look at the pixels that cell_pixels says", "[models][grad_cam]") {
  struct Case {
    int depth;
    ResNetVariant variant;
    StemPool pool;
  };
  for (const Case& c : {Case{18, ResNetVariant::v1_5, StemPool::padded}, Case{50, ResNetVariant::v1, StemPool::ceil}})
    for (int stage : {0, 1, 2}) {
      ResNet network({.depth = c.depth, .variant = c.variant, .stem_pool = c.pool, .tensors = {.compute = DType::f64}});
      network.initialise(1);
      // All filters positive and flat: every pixel of the receptive field counts, alike on both sides of its centre.
      for (ConvBn* unit : network.units()) backend(Device::cpu).fill(unit->conv.weight.master(), 1e-2);
      network.buffers_changed();
      const ResNet::CellPixels cells = network.cell_pixels(stage);
      constexpr int64_t size = 257;
      const int64_t cell = size / 2 / cells.step;
      // The pooling passes the gradient to the largest of nine, on a slope always in the same corner: up and down make up for each other.
      const auto [row_up, column_up] = centre_of_gradient(network, stage, size, cell, 1);
      const auto [row_down, column_down] = centre_of_gradient(network, stage, size, cell, -1);
      CAPTURE(c.depth, stage, row_up, row_down);
      CHECK((row_up + row_down) / 2 == Approx(static_cast<double>(cells.first + cell * cells.step)).margin(0.02));
      CHECK((column_up + column_down) / 2 == Approx(static_cast<double>(cells.first + cell * cells.step)).margin(0.02));
    }
}
