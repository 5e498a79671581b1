// Networks that have forgotten a part: what changes, what stays, and that their maps are not empty.
#include "tests/support/catch.h"

#include <cmath>
#include <set>

#include "models/explain/explanation.h"
#include "models/explain/sanity_check.h"
#include "engine/base/random.h"
#include "weights/load.h"

using namespace dura;

namespace {

Tensor noise_images(int64_t count) {
  const Tensor images = Tensor::empty({count, 64, 64, 3}, DType::u8, Device::cpu);
  Random random(3);
  for (int64_t i = 0; i < images.numel(); ++i) images.data<uint8_t>()[i] = static_cast<uint8_t>(random.below(256));
  return images;
}

// The first parts of the names ("layer3", "fc") of everything that differs.
std::set<std::string> changed_parts(const StateDict& a, const StateDict& b) {
  std::set<std::string> parts;
  for (const StateDict::Entry& e : a.entries())
    if (!bit_equal(e.array, b.at(e.name))) parts.insert(e.name.substr(0, e.name.find('.')));
  return parts;
}

}  // namespace

TEST_CASE("random weights reach down to the stage that was asked for, and no further", "[apps][heat_maps]") {
  Classifier model({.backbone = {.depth = 18}, .classes = {"a", "b", "c"}, .seed = 5});
  const Tensor images = noise_images(4);
  const StateDict before = state_of(model);
  const std::unique_ptr<Classifier> copy = copy_of(model);
  CHECK(changed_parts(before, state_of(*copy)).empty());
  randomise_weights(*copy, 5, 1, images);
  CHECK(changed_parts(before, state_of(*copy)) == std::set<std::string>{"fc"});
  randomise_weights(*copy, 4, 1, images);
  CHECK(changed_parts(before, state_of(*copy)) == std::set<std::string>{"fc", "layer4"});
  randomise_weights(*copy, 2, 1, images);
  CHECK(changed_parts(before, state_of(*copy)) == std::set<std::string>{"fc", "layer2", "layer3", "layer4"});
  randomise_weights(*copy, 0, 1, images);
  CHECK(changed_parts(before, state_of(*copy)).size() == 7);  // conv1, bn1, four stages, fc
  CHECK(changed_parts(before, state_of(model)).empty());
  CHECK_FALSE(copy->training());

  // The same seed gives the same network, whatever was there before; another seed another.
  Classifier fresh({.backbone = {.depth = 18}, .classes = {"a", "b", "c"}, .seed = 9});
  randomise_weights(fresh, 0, 1, images);
  CHECK(changed_parts(state_of(*copy), state_of(fresh)).empty());
  randomise_weights(fresh, 0, 2, images);
  CHECK(changed_parts(state_of(*copy), state_of(fresh)).size() == 7);
}

TEST_CASE("a random network's values stay in range, its head sums to zero, and its maps at layer4 are never empty", "[apps][heat_maps]") {
  const Tensor images = noise_images(6);
  Classifier model({.backbone = {.depth = 18}, .classes = {"a", "b"}}, Initialise::no);
  for (uint64_t seed : {1, 2, 3}) {
    randomise_weights(model, 0, seed, images);
    const float* w = model.head().weight.master().data<float>();
    double size = 0;
    for (int64_t c = 0; c < 512; ++c) {
      CHECK(std::abs(w[c] + w[512 + c]) < 1e-7);
      size += std::abs(w[c]);
    }
    CHECK(size > 1);
    for (CamMethod method : {CamMethod::grad_cam, CamMethod::hires_cam})
      for (const Explanation& e : explain(model, images, {.method = method})) {
        CHECK(e.map.has_evidence());
        CHECK(e.explained == e.predicted);
        for (float v : e.map.values) CHECK(v < 1000);
      }
  }
}

TEST_CASE("pictures are spread evenly", "[apps][heat_maps]") {
  CHECK(spread(10, 4) == std::vector<int64_t>{0, 2, 5, 7});
  CHECK(spread(3, 0) == std::vector<int64_t>{0, 1, 2});
  CHECK(spread(3, 9) == std::vector<int64_t>{0, 1, 2});
  CHECK(spread(0, 5).empty());
}
