// The two checks of heat maps, on networks where the answer is known.
#include "tests/support/catch.h"

#include <set>

#include "apps/report/heat_map_page.h"
#include "models/explain/sanity_check.h"
#include "tests/support/heat_map_pictures.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

struct Slices {
  TextureData data{{.train = 0, .val = 0, .test = 4}};
  Manifest manifest = read_manifest(data.manifest());
  Dataset dataset{manifest, {0, 1, 2, 3}, ClassNames({"rare", "usual"}), Preprocessing({resize_step(64, 64)}), {.folder = data.path()}};
};

}  // namespace

TEST_CASE("pixels go hottest first, equal ones in the order of the second map, and each once", "[apps][heat_maps]") {
  HeatMap map{2, 2, {0, 3, 0, 5}};
  const HeatMap other{2, 2, {0.1f, 0.9f, 0.7f, 0.2f}};
  CHECK(hottest_first(map, other, 2, 2) == std::vector<int64_t>{3, 1, 2, 0});
  const std::vector<int64_t> large = hottest_first(map, other, 20, 30);
  CHECK(std::set<int64_t>(large.begin(), large.end()).size() == 600);
  CHECK(large.front() / 30 > 14);  // the lower right corner, where the map is largest
  CHECK(large.front() % 30 >= 22);

  Image picture(2, 2, 3, 10);
  const Image white(2, 2, 3, 255);
  const Image two = replaced(picture, white, {3, 1, 2, 0}, 2);
  CHECK(two.at(1, 1, 2) == 255);
  CHECK(two.at(0, 1, 0) == 255);
  CHECK(two.at(0, 0, 0) == 10);
  CHECK(two.at(1, 0, 0) == 10);
  CHECK(replaced(picture, white, {3, 1, 2, 0}, 4) == white);
  CHECK(replaced(picture, white, {3, 1, 2, 0}, 0) == picture);
  CHECK_THROWS(replaced(picture, Image(2, 3, 3), {0}, 1));
}

TEST_CASE("the area under a line is its mean by trapezia", "[apps][heat_maps]") {
  CHECK(ProbabilityLine{{1, 0.5, 0}}.area() == 0.5);
  CHECK(ProbabilityLine{{1, 0, 0, 0, 0}}.area() == 0.125);
  CHECK(ProbabilityLine{{0.25, 0.25}}.area() == 0.25);
}

TEST_CASE("deletion curves begin and end at the whole and the blurred picture, and insertion runs the other way", "[apps][heat_maps]") {
  const Slices slices;
  Classifier model({.backbone = {.depth = 18}, .classes = {"rare", "usual"}, .seed = 2});
  const std::vector<int64_t> samples = {1, 3};
  randomise_weights(model, 0, 4, images_of(slices.dataset, samples));
  const std::vector<Explanation> explained = explain(model, slices.dataset, samples, 2, {.stage = 3});
  const DeletionCurves c = deletion_curves(model, slices.dataset, samples, explained, {.steps = 4, .batch = 3});
  CHECK(c.pictures == 2);
  CHECK(c.share == std::vector<double>{0, 0.25, 0.5, 0.75, 1});
  CHECK(c.deletion.probability.front() == Approx((explained[0].probability + explained[1].probability) / 2).epsilon(1e-5));
  CHECK(c.deletion.probability.front() == c.insertion.probability.back());
  CHECK(c.deletion.probability.back() == c.insertion.probability.front());
  CHECK(c.deletion.probability.front() == c.random_deletion.probability.front());
  CHECK(c.deletion.probability.back() == c.random_deletion.probability.back());
  CHECK(c.deletion.probability != c.random_deletion.probability);
  CHECK(c.insertion.probability != c.random_insertion.probability);
  // The same again, whatever the batch.
  const DeletionCurves again = deletion_curves(model, slices.dataset, samples, explained, {.steps = 4, .batch = 16});
  for (size_t k = 0; k < 5; ++k) CHECK(again.random_deletion.probability[k] == Approx(c.random_deletion.probability[k]).epsilon(1e-4));
  CHECK_THROWS(deletion_curves(model, slices.dataset, {0}, explained));

  HtmlPage page("test");
  add_deletion(page, c);
  CHECK_THAT(page.text(), Contains("on 2 pictures") && Contains("<svg") && Contains("hottest first"));
}

TEST_CASE("cascading randomisation begins with the network itself and ends far from it", "[apps][heat_maps]") {
  const Slices slices;
  Classifier model({.backbone = {.depth = 18}, .classes = {"rare", "usual"}, .seed = 2});
  const std::vector<int64_t> samples = {0, 1, 2, 3};
  randomise_weights(model, 0, 99, images_of(slices.dataset, samples));
  const SanityCheck check = sanity_check(model, slices.dataset, samples, 2, {.stage = 3}, 2);
  const std::vector<SanityStep>& steps = check.steps;
  REQUIRE(steps.size() == 7);
  CHECK(steps[0].randomised == "nothing");
  CHECK(steps[0].rank_correlation == Approx(1));
  CHECK(steps[0].structural_similarity == Approx(1));
  CHECK(steps[0].maps == 4);
  CHECK(steps[1].randomised == "head");
  CHECK(steps[6].randomised == "stem");
  for (size_t k = 1; k < 7; ++k) {
    CHECK(steps[k].maps == 8);
    CHECK(steps[k].examples.size() == 4);
    CHECK(std::abs(steps[k].rank_correlation) < 0.999);
  }
  CHECK(steps[6].rank_correlation < 0.7);
  CHECK(steps[6].structural_similarity < 0.7);
  CHECK_THROWS(sanity_check(model, slices.dataset, {}, 2, {}, 1));

  const Image row = sanity_picture(check, 32);
  CHECK(row.width > 7 * 32);
  CHECK(row.height > 4 * 32);
  CHECK(check.slices.size() == 4);
  HtmlPage page("test");
  add_sanity(page, check);
  CHECK_THAT(page.text(), Contains("layer3") && Contains("rank correlation") && Contains("<img"));
  CHECK_THAT(sanity_text(check), Contains("stem"));
}
