// Checkpoints of others as models of dura: what the real torch.save wrote, names in the forms that scripts give them, and what does not
// fit.
#include "tests/support/catch.h"

#include <cmath>
#include <cstring>
#include <map>
#include <sstream>

#include "engine/base/random.h"
#include "engine/base/text.h"
#include "models/network/import.h"
#include "models/network/model_file.h"
#include "models/predictor.h"
#include "tests/support/hash_weights.h"
#include "tests/support/picture_formula.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/weight_files.h"
#include "weights/pickle.h"
#include "weights/pth.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

const std::vector<std::string> three = {"a", "b", "c"};

ImportOptions named(const std::vector<std::string>& classes, int depth = 0, const std::string& prefix = "") {
  ImportOptions options;
  options.classes = classes;
  options.depth = depth;
  options.prefix = prefix;
  return options;
}

// What a storage of tensor `name` holds: the hashed weights in the storage's type; zeros of what is no weight.
std::string storage_text(const std::string& name, const StorageType& type, size_t count) {
  static const std::map<std::string, golden::NamedShape> shapes = [] {
    std::map<std::string, golden::NamedShape> all;
    for (const golden::NamedShape& shape : golden::resnet_tensors(18, 3)) all[shape.name] = shape;
    return all;
  }();
  std::string plain = name;
  for (const char* prefix : {"state_dict.", "model_state_dict.", "model.", "module.", "backbone."})
    if (plain.starts_with(prefix)) plain.erase(0, std::string(prefix).size());
  if (plain.starts_with("fc.1.")) plain.erase(3, 2);
  std::string text(count * type.bytes, '\0');
  const auto found = shapes.find(plain);
  if (found == shapes.end()) return text;
  const std::vector<double> values = golden::hash_tensor(found->second, 18);
  REQUIRE(values.size() == count);
  for (size_t i = 0; i < count; ++i) {
    const auto single = static_cast<float>(values[i]);
    const bf16 half = formula::to_bf16(single);
    std::memcpy(text.data() + i * type.bytes, type.bytes == 4 ? static_cast<const void*>(&single) : &half, type.bytes);
  }
  return text;
}

void collect_storages(const Pickle& pickle, const PickleValue& dict, const std::string& prefix,
                      std::map<std::string, std::string>& storages) {
  for (size_t i = 0; i < dict.items.size(); i += 2) {
    const PickleValue &key = pickle[dict.items[i]], &value = pickle[dict.items[i + 1]];
    const std::string name = prefix + (key.kind == PickleKind::text ? std::string(key.text) : std::to_string(key.integer));
    if (value.kind == PickleKind::dict) collect_storages(pickle, value, name + ".", storages);
    if (value.kind != PickleKind::tensor) continue;
    const PickleValue& storage = pickle[value.items[0]];
    storages[std::string(pickle[storage.items[1]].text)] =
        storage_text(name, pickle.type_of(storage), static_cast<size_t>(pickle[storage.items[2]].integer));
  }
}

// The file that torch wrote (make_checkpoints.py).
StateDict torch_checkpoint(const std::string& name) {
  const std::string text = read_text_file(source_folder() + "/tests/golden/checkpoints/" + name + ".pkl", 1 << 20);
  const Pickle pickle = read_pickle(dura::bytes_of(text), name);
  std::map<std::string, std::string> storages;
  collect_storages(pickle, pickle[pickle.root], "", storages);
  std::vector<ZipPart> parts = {{"archive/data.pkl", text}, {"archive/byteorder", "little"}, {"archive/version", "3\n"}};
  for (const auto& [key, contents] : storages) parts.push_back({"archive/data/" + key, contents});
  return parse_pth(shared(zip_text(parts)), name);
}

// The tensors of a model of dura, hashed weights.
const StateDict& plain() {
  static const StateDict state = torch_checkpoint("state_dict");
  return state;
}

template <class Rename>
StateDict renamed(const StateDict& state, const Rename& rename) {
  StateDict result;
  for (const StateDict::Entry& e : state.entries())
    if (const std::string name = rename(e.name); !name.empty()) result.add(name, e.array);
  return result;
}

void expect_same_network(const StateDict& state, const std::string& prefix, const std::string& head,
                         const ImportOptions& options = named(three)) {
  const ImportedModel imported = import_model(state, options, "w");
  CHECK(imported.prefix == prefix);
  CHECK(imported.head == head);
  const StateDict found = state_of(*imported.model);
  for (const StateDict::Entry& e : found.entries()) CHECK(bit_equal(e.array, plain().at(e.name)));
}

std::string refusal(const StateDict& state, const ImportOptions& options = named(three)) {
  try {
    import_model(state, options, "w.pth");
  } catch (const Error& e) {
    return e.what();
  }
  return "it was taken";
}

}  // namespace

TEST_CASE("checkpoints that PyTorch saved in five ways, and one as safetensors, answer as PyTorch does", "[models][import][golden]") {
  const TemporaryFolder folder;
  const auto expect_answer = [&](const StateDict& state, const std::string& name, const double(&expected)[3]) {
    CAPTURE(name);
    const ImportedModel imported = import_model(state, named(three), name);
    write_model(folder / "model.safetensors", *imported.model, {.size = 64});
    const Answer answer = Predictor(folder / "model.safetensors").predict(picture(64, 64, 3));
    REQUIRE(answer.probabilities.size() == 3);
    for (size_t c = 0; c < 3; ++c) CHECK(std::abs(answer.probabilities[c] - expected[c]) < 2e-5);
  };
  size_t ways = 0;
  for (const std::string& line : golden_lines("checkpoints/expected.txt")) {
    std::istringstream in(line);
    std::string name;
    double expected[3];
    in >> name >> expected[0] >> expected[1] >> expected[2];
    expect_answer(torch_checkpoint(name), name, expected);
    ++ways;
    if (name != "state_dict") continue;
    // As save_file of the package safetensors has it: every tensor, the counters of batches too, and a word of who wrote it.
    StateDict state = torch_checkpoint(name);
    state.metadata() = {{"format", "pt"}};
    write_safetensors(folder / "trained.safetensors", state);
    expect_answer(read_weights(folder / "trained.safetensors"), "safetensors", expected);
    ++ways;
  }
  CHECK(ways == 6);
}

TEST_CASE("the network of a checkpoint is found behind any prefix, and what lies beside it is left out", "[models][import]") {
  expect_same_network(plain(), "", "fc");
  expect_same_network(renamed(plain(), [](const std::string& n) { return "encoder.net." + n; }), "encoder.net.", "encoder.net.fc");
  // The dense layer beside the backbone, one level up, inside a Sequential.
  const auto beside = [](const std::string& n) { return n.starts_with("fc.") ? "model.head.2." + n.substr(3) : "model.backbone." + n; };
  expect_same_network(renamed(plain(), beside), "model.backbone.", "model.head.2");

  StateDict more = renamed(plain(), [](const std::string& n) { return "state_dict." + n; });
  more.add("optimizer.state.0.exp_avg", plain().at("fc.weight"));
  more.add("best", scalar(3));
  CHECK(import_model(more, named(three), "w").left_out == std::vector<std::string>{"optimizer.state.0.exp_avg", "best"});

  // Two networks in one file.
  for (const StateDict::Entry& e : plain().entries()) more.add("ema." + e.name, e.array);
  CHECK_THAT(refusal(more), Contains("2 networks") && Contains("'state_dict.'") && Contains("'ema.'") && Contains("--prefix"));
  expect_same_network(more, "ema.", "ema.fc", named(three, 0, "ema."));
  CHECK_THAT(refusal(more, named(three, 0, "teacher.")), Contains("'teacher.'"));
}

TEST_CASE("what does not fit is named tensor by tensor, with the nearest known name", "[models][import]") {
  const auto slip = [](const std::string& n) { return n == "layer2.1.bn2.running_var" ? "layer2.1.bn2.runing_var" : n; };
  CHECK_THAT(refusal(renamed(plain(), slip)),
             Contains("w.pth does not fit a ResNet-18 with 3 classes") && Contains("missing     layer2.1.bn2.running_var (128)") &&
                 Contains("unexpected  'layer2.1.bn2.runing_var' (128); the nearest known name is layer2.1.bn2.running_var"));
  StateDict wrong = renamed(plain(), [](const std::string& n) { return n == "conv1.weight" ? "" : n; });
  wrong.add("conv1.weight", Array::of<float>({64, 1, 7, 7}, ElementType::f32, std::vector<float>(64 * 49)));
  wrong.add("layer1.0.se.weight", Array::of<float>({3}, ElementType::f32, {1, 2, 3}));
  CHECK_THAT(refusal(wrong), Contains("wrong shape conv1.weight: f32 (64,1,7,7) in the file, (64,3,7,7) in the network") &&
                                 Contains("unexpected  'layer1.0.se.weight' (3)"));
  // A depth that the file does not have misses whole blocks: eight, of ten tensors each. The first 60 are named.
  CHECK_THAT(refusal(plain(), named(three, 34)),
             Contains("a ResNet-34") && Contains("missing     layer4.2.conv2.weight") && Contains("missing     ... and 20 more"));
  CHECK_THAT(refusal(renamed(plain(), [](const std::string& n) { return n.starts_with("fc.") ? "" : n; })),
             Contains("missing     fc.weight (3,512)"));

  StateDict two = plain();
  two.add("projector.weight", Array::of<float>({1, 1}, ElementType::f32, {1}));
  CHECK_THAT(refusal(two), Contains("2 dense layers behind the backbone, fc, projector"));
  CHECK_THAT(refusal(renamed(plain(), [](const std::string& n) { return "x" + n; })),
             Contains("none of its") && Contains("the nearest is 'xlayer1.0.conv1.weight'"));
  StateDict whole_numbers = renamed(plain(), [](const std::string& n) { return n == "fc.bias" ? "" : n; });
  whole_numbers.add("fc.bias", Array::of<int64_t>({3}, ElementType::i64, {1, 2, 3}));
  CHECK_THAT(refusal(whole_numbers), Contains("fc.bias: i64 (3) in the file"));
}

TEST_CASE("classes are named once each, as many as there are outputs", "[models][import]") {
  const auto refused = [&](const std::vector<std::string>& classes) {
    CHECK_THROWS_AS(import_model(plain(), named(classes), "w"), UsageError);
    return refusal(plain(), named(classes));
  };
  CHECK_THAT(refused({"a", "b"}), Contains("'fc' has 3 outputs, 2 classes are named"));
  CHECK_THAT(refused({"a"}), Contains("at least two classes"));
  CHECK_THAT(refused({"a", "b", "a"}), Contains("classes 0 and 2 are both called 'a'"));
  CHECK_THAT(refused({"a", "", "c"}), Contains("class 1 is called ''"));
  CHECK_THAT(refused({"a", "b", "c\nd"}), Contains("class 2"));
  CHECK_THAT(refused({"a", "b", "\xC3"}), Contains("UTF-8"));

  const TemporaryFolder folder;
  CHECK(read_class_names(folder.write("names.txt", "\xEF\xBB\xBFtench, Tinca tinca\r\n goldfish \n\n")) ==
        std::vector<std::string>{"tench, Tinca tinca", "goldfish"});
  CHECK_THROWS_WITH(read_class_names(folder.write("hole.txt", "a\n\nb\n")), Contains("hole.txt: line 2 is empty"));
  CHECK_THROWS_WITH(read_class_names(folder.write("none.txt", "\n\n")), Contains("names no classes"));
}

TEST_CASE("the bias of a convolution is taken into the BatchNorm behind it", "[models][import]") {
  StateDict biased = plain();
  std::vector<float> bias(64);
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i) * 0.25f - 5;
  biased.add("layer1.1.conv2.bias", Array::of<float>({64}, ElementType::f32, bias));
  const ImportedModel imported = import_model(biased, named(three), "w");
  CHECK(imported.folded == std::vector<std::string>{"layer1.1.conv2"});
  const StateDict found = state_of(*imported.model);
  const Array &mean = found.at("layer1.1.bn2.running_mean"), &before = plain().at("layer1.1.bn2.running_mean");
  for (int64_t i = 0; i < 64; ++i) CHECK(mean.value(i) == static_cast<float>(before.value(i) - bias[static_cast<size_t>(i)]));
  CHECK(bit_equal(found.at("layer1.1.bn1.running_mean"), plain().at("layer1.1.bn1.running_mean")));
}

TEST_CASE("damaged state dicts are refused or make a whole network, never worse", "[models][import][fuzz]") {
  int refused = 0;
  constexpr int rounds = 150;
  for (uint64_t round = 0; round < rounds; ++round) {
    Random random(random_key(11, "import"), round);
    std::map<std::string, Array> tensors;
    for (const StateDict::Entry& e : plain().entries()) tensors[e.name] = e.array;
    for (uint64_t changes = 1 + random.below(3); changes > 0; --changes) {
      const auto at = std::next(tensors.begin(), static_cast<std::ptrdiff_t>(random.below(tensors.size())));
      std::string name = at->first;
      Array array = at->second;
      switch (random.below(5)) {
        case 0:
          name[random.below(name.size())] = static_cast<char>(random.below(256));
          break;
        case 1:
          name = std::string(random.below(3), '.') + name.substr(random.below(name.size() + 1));
          break;
        case 2: {
          Dimensions other(random.below(6), 1);
          if (!other.empty() && random.chance(0.5)) other[random.below(other.size())] = 0;
          array = Array::of<float>(other, ElementType::f32, std::vector<float>(*array_bytes(other, ElementType::f32) / 4));
          break;
        }
        case 3:
          tensors["." + name] = array;
          break;
        default:
          name.insert(random.below(name.size()), name);
      }
      tensors.erase(at);
      tensors[name] = array;
    }
    StateDict state;
    for (const auto& [name, array] : tensors) state.add(name, array);
    try {
      const ImportedModel imported = import_model(state, named(three), "w");
      REQUIRE(imported.model);
      CHECK(imported.model->classes() == three);
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(refused > rounds / 2);
}
