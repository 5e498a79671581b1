// Cached features are the features: the bits of the batch that computed them, in any order, with padding, beyond the budget.
#include "tests/support/catch.h"

#include <cstring>

#include "apps/training/feature_cache.h"
#include "apps/training/prediction.h"
#include "engine/base/log.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

struct FrozenModel : Classifier {
  FrozenModel() : Classifier({.backbone = {.depth = 18}, .classes = {"rare", "usual"}, .seed = 3}) { freeze_backbone(); }
};

Tensor pictures(const std::vector<int64_t>& samples) {
  const Tensor images = Tensor::empty({static_cast<int64_t>(samples.size()), 32, 32, 3}, DType::u8, Device::cpu);
  for (size_t n = 0; n < samples.size(); ++n) {
    const Image image = samples[n] < 0 ? Image(32, 32, 3) : to_rgb(texture(samples[n], samples[n] % 2 == 0, 32, 32));
    std::copy(image.pixels.begin(), image.pixels.end(), images.data<uint8_t>() + n * image.pixels.size());
  }
  return images;
}

std::vector<float> row(const Tensor& features, int64_t n) {
  const int64_t width = features.numel() / features.shape()[0];
  return {features.data<float>() + n * width, features.data<float>() + (n + 1) * width};
}

// Without a cache. How a kernel adds up may depend on the size of the batch, so bits are those of this very batch.
Tensor computed(Classifier& model, int stage, const std::vector<int64_t>& samples) {
  const Tape nothing(Tape::Wants::leaves);
  return model.backbone().run(model.normalize(pictures(samples)), 0, stage).value();
}

}  // namespace

TEST_CASE("the longest frozen part ends before the first layer that is trained", "[apps][feature_cache]") {
  FrozenModel model;
  CHECK(last_frozen_stage(model) == 4);
  model.unfreeze("layer4.1+");
  CHECK(last_frozen_stage(model) == 3);
  model.unfreeze("layer2+");
  CHECK(last_frozen_stage(model) == 1);
  model.unfreeze("all");
  CHECK(last_frozen_stage(model) == -1);
  // One layer in the middle that was missing in the file.
  FrozenModel fresh;
  fresh.backbone().units()[6]->conv.weight.set_trainable(true);
  CHECK(fresh.backbone().units()[6]->conv.name().rfind("layer2", 0) == 0);
  CHECK(last_frozen_stage(fresh) == 1);
  FrozenModel statistics;
  statistics.backbone().units()[0]->bn.set_batch_statistics(true);
  CHECK(last_frozen_stage(statistics) == -1);
}

TEST_CASE("cached features have the bits of features computed directly, in any order and with padding", "[apps][feature_cache]") {
  FrozenModel model;
  model.unfreeze("layer4+");
  model.set_training(true);
  FeatureCache cache(model, size_t{1} << 30);
  REQUIRE(cache.stage() == 3);
  CHECK(cache.feature_shape({4, 32, 32, 3}) == Shape{4, 2, 2, 256});
  CHECK(cache.bytes() == 0);
  const auto features = [&](const std::vector<int64_t>& samples) {
    const Tensor f = cache.features(pictures(samples), samples);
    CHECK(f.shape() == Shape{static_cast<int64_t>(samples.size()), 2, 2, 256});
    return f;
  };
  const size_t each = 2 * 2 * 256 * sizeof(float);
  const Tensor expected = computed(model, 3, {0, 1, 2, 3}), first = features({0, 1, 2, 3});
  CHECK(cache.bytes() == 4 * each);
  const Tensor known = features({3, 1, 0, 2});
  for (int64_t n = 0; n < 4; ++n) {
    CHECK((row(first, n) == row(expected, n)));
    const int64_t sample = std::vector<int64_t>{3, 1, 0, 2}[static_cast<size_t>(n)];
    CHECK((row(known, n) == row(expected, sample)));
    const std::vector<float> got = row(known, n), alone = row(computed(model, 3, {sample}), 0);
    for (size_t i = 0; i < got.size(); ++i) REQUIRE(got[i] == Approx(alone[i]).epsilon(1e-4).margin(1e-4));
  }
  // Some known, some new.
  CHECK((row(features({2, 4, 0, 5}), 1) == row(computed(model, 3, {2, 4, 0, 5}), 1)));
  CHECK(cache.bytes() == 6 * each);
  // Padded, new and then known: padding is finite and takes no room.
  const std::vector<float> six = row(computed(model, 3, {6, -1, -1, -1}), 0);
  for (int turn = 0; turn < 2; ++turn) {
    const Tensor padded = features({6, -1, -1, -1});
    CHECK((row(padded, 0) == six));
    for (int64_t n = 1; n < 4; ++n)
      for (float v : row(padded, n)) REQUIRE(std::isfinite(v));
    CHECK(cache.bytes() == 7 * each);
  }
  // What is known is not looked at again: other pixels under a known number give the known features.
  CHECK((row(cache.features(pictures({9, 9}), {0, 1}), 0) == row(expected, 0)));
  CHECK_THROWS_WITH(cache.features(pictures({0, 1}), {0}), Contains("1 picture numbers for 2 images"));
}

TEST_CASE("over its budget the cache keeps what fits, computes the rest, and says so once", "[apps][feature_cache]") {
  FrozenModel model;
  FeatureCache cache(model, 2 * 512 * sizeof(float) + 1);
  REQUIRE(cache.stage() == 4);
  std::vector<std::string> said;
  const LogSink before = log_sink();
  log_sink() = [&](LogLevel, const std::string& line) { said.push_back(line); };
  for (int turn = 0; turn < 3; ++turn)
    for (const std::vector<int64_t>& samples : {std::vector<int64_t>{0, 1}, {2, 3}}) {
      const Tensor f = cache.features(pictures(samples), samples);
      for (int64_t n = 0; n < 2; ++n) CHECK((row(f, n) == row(computed(model, 4, samples), n)));
    }
  log_sink() = before;
  CHECK(cache.bytes() == 2 * 512 * sizeof(float));
  REQUIRE(said.size() == 1);
  CHECK_THAT(said[0], Contains("used up by 2 images"));
}

TEST_CASE("predictions with and without cached features have the same bits and the data set's order", "[apps][feature_cache]") {
  const TextureData data({.train = 5, .val = 0, .test = 0});
  const Manifest manifest = read_manifest(data.manifest());
  const Dataset dataset(manifest, {4, 2, 0, 1, 3}, ClassNames({"rare", "usual"}), PreprocessingOptions{.size = 32}.steps(),
                        {.folder = data.path()});
  FrozenModel model;
  model.set_training(true);
  Loader loader(dataset, {.batch_size = 3});  // the last batch is padded
  const Predictions plain = predict(model, loader);
  FeatureCache cache(model, size_t{1} << 30);
  const Predictions filled = predict(model, loader, cache), cached = predict(model, loader, cache);
  CHECK(model.training());
  CHECK(plain.samples == std::vector<int64_t>{0, 1, 2, 3, 4});
  CHECK(plain.labels == std::vector<int32_t>{1, 1, 0, 1, 0});
  CHECK(plain.logits.size() == 10);
  CHECK(filled.logits == plain.logits);
  CHECK(cached.logits == plain.logits);
  CHECK(cached.labels == plain.labels);
}
