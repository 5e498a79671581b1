#include "tests/support/catch.h"

#include <limits>

#include "layers/layers.h"
#include "tests/support/weight_files.h"
#include "weights/conventions.h"
#include "weights/load.h"
#include "weights/pth.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

// The network whose state dict tests/golden/make_pth.py saves as "module".
class Small : public Module {
 public:
  explicit Small(DType compute = DType::f32, int64_t classes = 2)
      : Module(""),
        conv1("conv1", 3, 4, 3, {.stride = 1, .padding = 0}, {.compute = compute}),
        bn1("bn1", 4, {.compute = compute}),
        fc("fc", 4, classes, {.compute = compute}) {
    add(conv1);
    add(bn1);
    add(fc);
  }
  Conv2d conv1;
  BatchNorm2d bn1;
  Linear fc;
};

StateDict renamed(const StateDict& state, const std::string& prefix) {
  StateDict result;
  for (const StateDict::Entry& e : state.entries()) result.add(prefix + e.name, e.array);
  return result;
}

StateDict without(const StateDict& state, const std::string& name) {
  StateDict result;
  for (const StateDict::Entry& e : state.entries())
    if (e.name != name) result.add(e.name, e.array);
  return result;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("loading: a state dict of torchvision's names fills the module, filters are turned once", "[weights]") {
  const StateDict state = read_weights(golden("module.pth"));
  for (DType compute : {DType::f32, DType::f64, DType::f16}) {
    Small module(compute);
    const LoadReport report = load_state(module, state, Strict::yes, "module.pth");
    CHECK(report.complete());
    CHECK(report.loaded.size() == 7);
    // Element (k,c,r,s) of the file is element (k,r,s,c) here.
    const Array& file = state.at("conv1.weight");
    const Tensor& w = module.conv1.weight.master();
    REQUIRE(w.shape() == Shape{4, 3, 3, 3});
    for (int64_t k = 0; k < 4; ++k)
      for (int64_t c = 0; c < 3; ++c)
        for (int64_t p = 0; p < 9; ++p) {
          const int64_t i = (k * 9 + p) * 3 + c;
          const double value = w.dtype() == DType::f64 ? w.data<double>()[i] : static_cast<double>(w.data<float>()[i]);
          CHECK(value == file.value((k * 3 + c) * 9 + p));
        }
    CHECK(Array::share(module.bn1.running_variance).value(2) == state.at("bn1.running_var").value(2));
    CHECK(Array::share(module.fc.weight.master()).value(5) == state.at("fc.weight").value(5));
  }
}

TEST_CASE("loading: what a module gives is what it was given, bit by bit", "[weights]") {
  StateDict state = without(read_weights(golden("module.pth")), "bn1.num_batches_tracked");
  state = without(state, "fc.bias");
  state.add("fc.bias", Array::of<float>({2}, ElementType::f32, {-0.0f, 1e-45f}));
  Small module;
  load_state(module, state, Strict::yes, "w");
  const StateDict back = state_of(module);
  REQUIRE(back.size() == state.size());
  for (const StateDict::Entry& e : state.entries()) CHECK(bit_equal(back.at(e.name), e.array));
  Small second;
  load_state(second, back, Strict::yes, "w");
  CHECK(safetensors_bytes(state_of(second)) == safetensors_bytes(back));
}

TEST_CASE("loading: prefixes that all names share are ignored, counters too", "[weights]") {
  const StateDict state = read_weights(golden("module.pth"));
  for (const char* prefix : {"module.", "model.", "backbone.", "module.model.", "state_dict.module."}) {
    Small module;
    CHECK(load_state(module, renamed(state, prefix), Strict::yes, "w").loaded.size() == 7);
  }
  Small module;
  CHECK(load_state(module, without(state, "bn1.num_batches_tracked"), Strict::yes, "w").complete());
  CHECK_THROWS_WITH(load_state(module, renamed(state, "other."), Strict::no, "w.pth"),
                    Contains("w.pth: none of its 8 tensors belongs to this model"));
}

TEST_CASE("loading: missing, unexpected and mismatched tensors are named", "[weights]") {
  const StateDict good = read_weights(golden("module.pth"));
  StateDict state = without(without(good, "bn1.bias"), "fc.weight");
  state.add("fc.weight", Array::of<float>({1, 4}, ElementType::f32, {1, 2, 3, 4}));
  state.add("conv1.bias", Array::of<float>({4}, ElementType::f32, {0, 0, 0, 0}));
  Small module;
  module.bn1.reset();
  const LoadReport report = load_state(module, state, Strict::no, "w");
  CHECK(report.missing == Names{"bn1.bias"});
  CHECK(report.unexpected == Names{"conv1.bias"});
  CHECK(report.mismatched == Names{"fc.weight: f32 (1,4) in the file, (2,4) in the model"});
  CHECK_FALSE(report.complete());
  CHECK(report.text() ==
        "5 tensors loaded; 1 missing: bn1.bias; 1 unexpected: conv1.bias; 1 of another shape or type: "
        "fc.weight: f32 (1,4) in the file, (2,4) in the model");
  CHECK(Array::share(module.bn1.beta.master()).value(0) == 0);  // kept

  StateDict integers = without(good, "fc.bias");
  integers.add("fc.bias", Array::of<int32_t>({2}, ElementType::i32, {1, 2}));
  CHECK(load_state(module, integers, Strict::no, "w").mismatched == Names{"fc.bias: i32 (2) in the file, (2) in the model"});
}

TEST_CASE("loading: a strict load that fails leaves the module as it was", "[weights]") {
  StateDict state = without(read_weights(golden("module.pth")), "fc.bias");
  Small module;
  const std::vector<uint8_t> before = safetensors_bytes(state_of(module));
  CHECK_THROWS_WITH(load_state(module, state, Strict::yes, "w.pth"),
                    Contains("w.pth does not fit the model exactly") && Contains("1 missing: fc.bias"));
  CHECK(safetensors_bytes(state_of(module)) == before);
  Small wide(DType::f32, 3);
  CHECK_THROWS_WITH(load_state(wide, read_weights(golden("module.pth")), Strict::yes, "w"),
                    Contains("fc.weight: f32 (2,4) in the file, (3,4) in the model"));
}

TEST_CASE("conventions come from the file's metadata, its sum, or a description of its source", "[weights]") {
  const std::string none(64, '0');
  StateDict state;
  state.add("conv1.weight", scalar(0));
  CHECK_FALSE(conventions_of(state, none, "w").known);
  CHECK(conventions_of(state, none, "w").input == InputConvention::torch);
  CHECK(conventions_of(state, none, "w").variant == ResNetVariant::v1_5);
  CHECK_THAT(conventions_of(state, none, "w").source, Contains("torchvision's conventions are assumed"));
  const WeightConventions v2 = conventions_of(state, "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca", "w");
  CHECK(v2.known);
  CHECK_THAT(v2.source, Contains("IMAGENET1K_V2"));

  StateDict caffe = state;
  caffe.metadata()["source"] = "MSRA ResNet-50, Caffe weights";
  const WeightConventions c = conventions_of(caffe, none, "w");
  CHECK(c.known);
  CHECK(c.input == InputConvention::caffe);
  CHECK(c.variant == ResNetVariant::v1);
  CHECK(c.stem_pool == StemPool::ceil);

  StateDict biased = state;
  biased.add("conv1.bias", scalar(0));
  CHECK_FALSE(conventions_of(biased, none, "w").known);
  CHECK_THAT(conventions_of(biased, none, "w").source, Contains("conv1.bias") && Contains("Caffe or Keras"));

  StateDict stated = caffe;
  for (const auto& [key, value] : WeightConventions{.variant = ResNetVariant::v1}.metadata()) stated.metadata()[key] = value;
  const WeightConventions s = conventions_of(stated, none, "w");
  CHECK(s.known);
  CHECK(s.input == InputConvention::torch);
  CHECK(s.variant == ResNetVariant::v1);
  stated.metadata()["dura.input"] = "rgb";
  CHECK_THROWS_WITH(conventions_of(stated, none, "w.st"), Contains("w.st: its metadata say dura.input = 'rgb', expected torch, caffe or keras"));
  stated.metadata().erase("dura.input");
  CHECK_THROWS_WITH(conventions_of(stated, none, "w.st"), Contains("not dura.input (torch, caffe or keras)"));

  const WeightConventions given = GivenConventions{.variant = "v1_5", .stem_pool = "padded"}.over(c);
  CHECK(given.input == InputConvention::caffe);
  CHECK(given.variant == ResNetVariant::v1_5);
  CHECK(given.stem_pool == StemPool::padded);
  CHECK_THROWS_AS(GivenConventions{.input = "rgb"}.over(c), UsageError);
}
