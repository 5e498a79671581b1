// Models, backbones and checkpoints as files: what is written is what is read, and what does not fit is named before work starts.
#include "tests/support/catch.h"

#include <algorithm>
#include <limits>

#include "models/network/model_file.h"
#include "apps/training/training_state.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/weight_files.h"
#include "weights/safetensors.h"

using namespace dura;
using Catch::Contains;
using dura::test::safetensors_bytes;

namespace {

ClassifierOptions options(uint64_t seed = 1) {
  return {.backbone = {.depth = 18, .variant = ResNetVariant::v1, .stem_pool = StemPool::ceil},
          .classes = {"Menin", "Glioma"},
          .input = InputConvention::caffe,
          .dropout = 0.25,
          .seed = seed};
}

StateDict without(const StateDict& state, const std::string& part) {
  StateDict result;
  for (const StateDict::Entry& e : state.entries())
    if (e.name.find(part) == std::string::npos) result.add(e.name, e.array);
  result.metadata() = state.metadata();
  return result;
}

bool same_weights(Module& a, Module& b) { return safetensors_bytes(state_of(a)) == safetensors_bytes(state_of(b)); }

}  // namespace

TEST_CASE("a model file gives back the same model, and says how it must be used", "[apps][weights]") {
  const TemporaryFolder folder;
  const std::string file = folder / "model.safetensors";
  Classifier model(options());
  write_model(file, model, {.size = 96});
  const ModelFile read = read_model(file, {});
  CHECK(read.preprocessing.size == 96);
  CHECK(read.model->classes() == std::vector<std::string>{"Menin", "Glioma"});
  CHECK(read.model->options().input == InputConvention::caffe);
  CHECK(read.model->options().backbone.variant == ResNetVariant::v1);
  CHECK(read.model->options().backbone.stem_pool == StemPool::ceil);
  CHECK(read.model->options().dropout == 0.25);
  CHECK(same_weights(*read.model, model));
  const std::vector<uint8_t> bytes = safetensors_bytes(read_safetensors(file));
  write_model(file, *read.model, read.preprocessing);
  CHECK(safetensors_bytes(read_safetensors(file)) == bytes);
}

TEST_CASE("a model file that does not fit is refused and named", "[apps][weights]") {
  const TemporaryFolder folder;
  const std::string file = folder / "model.safetensors";
  Classifier model(options());
  write_model(file, model, {});
  const StateDict good = read_safetensors(file);
  CHECK_THROWS_WITH(read_model(file, {}, {"Glioma", "Menin"}), Contains(file) && Contains("Menin, Glioma, expected were Glioma, Menin"));
  CHECK_THROWS_WITH(read_model(file, {}, {"a", "b", "c"}), Contains("expected were a, b, c"));
  const auto refused = [&](const StateDict& state, const std::string& why) {
    write_safetensors(file, state);
    CHECK_THROWS_WITH(read_model(file, {}), Contains(file) && Contains(why));
  };
  StateDict changed = good;
  changed.metadata()["dura.classes"] = "a\nb\nc";
  refused(changed, "the metadata name 3 classes, the dense layer fc.weight has the extents (2,512)");
  refused(without(good, "fc.weight"), "the metadata name 2 classes, the dense layer fc.weight is not there");
  changed = good;
  changed.metadata().erase("dura.input");
  refused(changed, "'dura.input' is missing");
  changed = good;
  changed.metadata()["dura.size"] = "1e9";
  refused(changed, "'dura.size' is '1e9'");
  refused(without(good, "layer4.1.bn2"), "missing: layer4.1.bn2.weight");
  changed = without(good, "fc.bias");
  changed.add("fc.bias", Array::of<float>({2}, ElementType::f32, {0, std::numeric_limits<float>::quiet_NaN()}));
  refused(changed, "'fc.bias' holds nan at element 1");
  changed = without(good, "fc.bias");
  changed.add("fc.bias", Array::of<int64_t>({2}, ElementType::i64, {0, 0}));
  refused(changed, "fc.bias: i64 (2) in the file");
}

TEST_CASE("a backbone with missing convolutions is used, and they are named", "[apps][weights]") {
  Classifier source(options(1)), model(options(2));
  const StateDict whole = state_of(source);
  StateDict partial = without(without(whole, "layer4.1.conv1"), "fc.");
  std::vector<float> bias(64);
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i) - 20;
  partial.add("conv1.bias", Array::of<float>({64}, ElementType::f32, bias));
  CHECK(load_backbone(model, partial, "w") == std::vector<std::string>{"layer4.1.conv1"});
  const StateDict now = state_of(model);
  CHECK(bit_equal(now.at("layer1.0.conv1.weight"), whole.at("layer1.0.conv1.weight")));
  CHECK_FALSE(bit_equal(now.at("layer4.1.conv1.weight"), whole.at("layer4.1.conv1.weight")));
  CHECK(now.at("layer4.1.bn1.weight").value(7) == 1);
  CHECK(now.at("layer4.1.bn1.running_mean").value(7) == 0);
  // Stored statistics see the bias: (x + b) - mean.
  CHECK(now.at("bn1.running_mean").value(7) == static_cast<float>(whole.at("bn1.running_mean").value(7) + 13));

  CHECK_THROWS_WITH(load_backbone(model, without(whole, "layer4.1.bn1.running_var"), "w"),
                    Contains("w: the BatchNorm layer4.1.bn1 is not complete"));
  StateDict deeper = whole;
  deeper.add("layer4.2.conv1.weight", Array::of<float>({1}, ElementType::f32, {0}));
  CHECK_THROWS_WITH(load_backbone(model, deeper, "w"), Contains("layer4.2.conv1.weight has no place in a ResNet-18"));
  StateDict other = without(whole, "layer1.0.conv1");
  other.add("layer1.0.conv1.weight", Array::of<float>({64, 64, 1, 1}, ElementType::f32, std::vector<float>(4096)));
  CHECK_THROWS_WITH(load_backbone(model, other, "w"),
                    Contains("another architecture") && Contains("(64,64,1,1) in the file, (64,64,3,3) in the model"));
}

TEST_CASE("weights of another depth are refused, not completed by fresh blocks", "[apps][weights]") {
  Classifier shallow(options(1));
  ClassifierOptions deep = options(2);
  deep.backbone.depth = 34;
  Classifier model(deep);
  CHECK_THROWS_WITH(load_backbone(model, without(state_of(shallow), "fc."), "w"),
                    Contains("w has the blocks of a ResNet-18, --depth asks for a ResNet-34. Use --depth 18"));
}

TEST_CASE("a checkpoint gives back every bit of a run's state", "[apps][weights]") {
  const TemporaryFolder folder;
  const std::string file = folder / "last.safetensors";
  Classifier model(options(1));
  model.freeze_backbone();
  model.unfreeze("layer4");
  Adam adam(model.parameters(), {.lr = 1e-3});
  float value = 0.5f;
  for (const auto& group : adam.arena().groups())
    for (const Tensor& moments : {group.m, group.v})
      for (int64_t i = 0; i < moments.numel(); ++i) moments.data<float>()[i] = value = 1 - 1.37f * value * value;  // anything but regular
  std::vector<double> step = adam.read_state();
  step[0] += 17;
  adam.write_state(step);
  const TrainingState state{
      .phase = "phase2", .epoch = 3, .history_rows = 5, .early_stopping = {{"best", "0x1.8p-1"}, {"wait", "2"}}, .arrays = {}};
  write_training_state(file, model, adam, state);
  const std::vector<uint8_t> bytes = safetensors_bytes(read_safetensors(file));

  Classifier second(options(2));
  second.freeze_backbone();
  second.unfreeze("layer4");
  Adam resumed(second.parameters(), {.lr = 1e-3});
  const TrainingState read = read_training_state(file);
  CHECK(read.phase == "phase2");
  CHECK(read.epoch == 3);
  CHECK(read.history_rows == 5);
  CHECK(read.early_stopping == state.early_stopping);
  restore_model(second, read, file);
  restore_optimizer(resumed, read, file);
  CHECK(same_weights(second, model));
  CHECK(resumed.read_state() == step);
  write_training_state(file, second, resumed, read);
  CHECK(safetensors_bytes(read_safetensors(file)) == bytes);

  // Of another phase, another format, or damaged.
  Classifier frozen(options(2));
  Adam everything(frozen.parameters(), {.lr = 1e-3});
  CHECK_THROWS_WITH(restore_optimizer(everything, read, file), Contains(file) && Contains("'adam.m/") && Contains("is missing"));
  StateDict raw = read_safetensors(file);
  raw.metadata()["epoch"] = "three";
  write_safetensors(file, raw);
  CHECK_THROWS_WITH(read_training_state(file), Contains("'epoch' is 'three', expected a whole number"));
  raw.metadata()["format"] = "dura training state 9";
  write_safetensors(file, raw);
  CHECK_THROWS_WITH(read_training_state(file), Contains("format is not 'dura training state 1'"));
  raw.metadata().erase("format");
  write_safetensors(file, raw);
  CHECK_THROWS_WITH(read_training_state(file), Contains("not a checkpoint of dura-train"));
}
