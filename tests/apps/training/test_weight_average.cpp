// The mean of weights over epochs, and a training that ends with it.
#include "tests/support/catch.h"

#include "apps/training/weight_average.h"
#include "engine/base/check.h"
#include "tests/support/program_output.h"
#include "tests/support/texture_data.h"
#include "weights/safetensors.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

StateDict weights(const std::vector<float>& values) {
  StateDict s;
  s.add("a", Array::of({2}, ElementType::f32, std::vector<float>{values[0], values[1]}));
  s.add("b", Array::of({}, ElementType::f32, std::vector<float>{values[2]}));
  return s;
}

}  // namespace

TEST_CASE("the mean of weights is that of all epochs, and what never changed keeps its bits", "[training]") {
  WeightAverage average;
  CHECK(average.mean().size() == 0);
  for (const float v : {1.0f, 2.0f, 6.0f}) average.add(weights({v, 0.1f, -v}));
  CHECK(average.epochs() == 3);
  CHECK(average.mean().at("a").value(0) == Approx(3));
  CHECK(average.mean().at("a").value(1) == static_cast<double>(0.1f));
  CHECK(average.mean().at("b").value(0) == Approx(-3));
}

TEST_CASE("a mean that was saved between epochs goes on with the same bytes", "[training]") {
  WeightAverage whole, before, after;
  whole.add(weights({1, 2, 3}));
  before.add(weights({1, 2, 3}));
  StateDict saved;
  before.save(saved);
  after.add(weights({9, 9, 9}));  // forgotten
  after.restore(saved, "last.safetensors");
  for (WeightAverage* w : {&whole, &after}) w->add(weights({0.3f, -7, 1e-3f}));
  CHECK(after.epochs() == 2);
  for (const StateDict::Entry& e : whole.mean().entries()) CHECK(bit_equal(e.array, after.mean().at(e.name)));

  after.restore({}, "last.safetensors");
  CHECK(after.epochs() == 0);
  saved.metadata()["average.epochs"] = "many";
  CHECK_THROWS_WITH(after.restore(saved, "last.safetensors"), Contains("last.safetensors") && Contains("'many'") && Contains("damaged"));
}

TEST_CASE("weights of another network are not averaged", "[training]") {
  WeightAverage average;
  average.add(weights({1, 2, 3}));
  StateDict other;
  other.add("a", Array::of({1}, ElementType::f32, std::vector<float>{1}));
  other.add("b", Array::of({}, ElementType::f32, std::vector<float>{1}));
  CHECK_THROWS_WITH(average.add(other), Contains("'a' is f32 (1)"));
}

TEST_CASE("phase 2 ends with the mean of its later epochs, which is validated and said", "[apps][train]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string initial = write_initial_model(out / "weights.safetensors");
  const auto train = [&](const std::string& run, const std::string& epochs, const std::vector<std::string>& more) {
    return must_run("dura-train",
                    joined({"--data",      data.path(), "--out",      out / run,   "--weights",       initial, "--depth",         "18",
                            "--size",      "32",        "--batch",    "8",         "--phase1-epochs", "0",     "--phase2-epochs", epochs,
                            "--phase2-lr", "1e-3",      "--unfreeze", "layer4.1+", "--restore",       "last"},
                           more));
  };
  const auto dense = [&](const std::string& run) { return read_safetensors(out / run + "/model.safetensors").at("fc.weight"); };
  for (const char* epochs : {"1", "2", "3"}) train(epochs, epochs, {});
  CHECK_THAT(train("mean", "3", {"--average-from", "2"}).output, Contains("mean of the weights after its last 2 epochs kept  val loss "));
  for (int64_t i = 0; i < dense("mean").numel(); i += 97)
    CHECK(dense("mean").value(i) == Approx((dense("2").value(i) + dense("3").value(i)) / 2).margin(1e-9));
  CHECK_FALSE(bit_equal(dense("mean"), dense("3")));
  CHECK_THAT(
      run_program("dura-train", {"--data", data.path(), "--out", out / "late", "--phase2-epochs", "3", "--average-from", "4"}).output,
      Contains("--average-from 4: phase 2 has 3 epochs"));
}
