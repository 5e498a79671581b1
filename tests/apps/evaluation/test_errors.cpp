// The analysis of errors: rates, sizes of lesions, traits, worst cases, and what it says where nothing is known.
#include "tests/support/catch.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/evaluation/error_analysis.h"
#include "apps/evaluation/split_evaluation.h"
#include "engine/base/check.h"

using namespace dura;
using Catch::Contains;

namespace {

AnalysedPicture picture(int32_t label, int32_t decided, double diameter_mm = 0, const std::string& plane = "ax",
                        const std::string& unit = "a") {
  AnalysedPicture p;
  p.file = concat("p", label, decided, diameter_mm, plane, ".png");
  p.unit = unit;
  p.label = label, p.decided = decided;
  p.probabilities = {decided == 0 ? 0.75 : 0.25, decided == 0 ? 0.25 : 0.75};
  p.diameter_mm = diameter_mm;
  p.columns = {plane};
  return p;
}

std::string text_of(const std::vector<AnalysedPicture>& pictures) {
  SplitEvaluation s;
  s.split = "test", s.classes = {"rare", "usual"}, s.threshold_rule = "argmax", s.units = "patients", s.unit_count = 2;
  Evaluation e;
  e.title = "untouched";
  e.confusion = Confusion(2);
  e.classes.resize(2);
  s.results = {e};
  s.errors = analyse_errors(pictures, 0, {"plane"});
  CHECK(nlohmann::json::parse(split_evaluation_json(s))["errors"]["wrong_decisions"] == s.errors->errors);
  return split_evaluation_text(s);
}

}  // namespace

TEST_CASE("misses are counted by size: two small bins, then quartiles of the larger lesions", "[evaluation]") {
  std::vector<AnalysedPicture> pictures = {picture(0, 1, 4.9), picture(0, 0, 5), picture(0, 1, 9.9, "ax", "b"), picture(0, 0)};
  for (int i = 0; i < 8; ++i) pictures.push_back(picture(0, i == 7, 10 + i));
  for (int i = 0; i < 3; ++i) pictures.push_back(picture(1, i == 0 ? 0 : 1));
  const ErrorAnalysis a = analyse_errors(pictures, 0, {"plane"});
  CHECK(a.false_negatives.pictures.count == 3);
  CHECK(a.false_negatives.pictures.of == 12);
  CHECK(a.false_negatives.units == 2);
  CHECK(a.false_positives.pictures.count == 1);
  CHECK(a.false_positives.pictures.of == 3);
  CHECK(a.not_measured == 1);
  CHECK(a.under_5_mm.count == 1);
  CHECK(a.under_5_mm.of == 11);
  CHECK(a.missed_under_5_mm.count == 1);
  CHECK(a.missed_under_5_mm.of == 3);
  REQUIRE(a.by_diameter.size() == 6);
  const std::vector<int64_t> lesions = {1, 2, 2, 2, 2, 2}, missed = {1, 1, 0, 0, 0, 1};
  for (size_t k = 0; k < 6; ++k) {
    CHECK(a.by_diameter[k].missed.of == lesions[k]);
    CHECK(a.by_diameter[k].missed.count == missed[k]);
  }
  CHECK(a.by_diameter[2].low == 10);
  CHECK(a.by_diameter[3].low == 12);
  CHECK(a.by_diameter[5].high == 17);
}

TEST_CASE("an empty bin says so and is never 0 %, and nothing measured says so", "[evaluation]") {
  const std::string text = text_of({picture(0, 0, 20), picture(0, 1, 30), picture(1, 1)});
  CHECK_THAT(text, Contains("under 5 mm        no lesion of this size") && Contains("10.0 mm and more"));
  CHECK_THAT(text, Contains("Under 5 mm are 0 of 2"));
  const ErrorAnalysis a = analyse_errors({picture(0, 0, 20)}, 0, {"plane"});
  CHECK(std::isnan(a.by_diameter[0].missed.rate()));
  const std::string unknown = text_of({picture(0, 0), picture(0, 1), picture(1, 1)});
  CHECK_THAT(unknown, Contains("Misses by lesion size: not known") && !Contains("no lesion of this size"));
}

TEST_CASE("lesions of one size fall into one bin", "[evaluation]") {
  std::vector<AnalysedPicture> pictures;
  for (int i = 0; i < 20; ++i) pictures.push_back(picture(0, 0, 10));
  const ErrorAnalysis a = analyse_errors(pictures, 0, {"plane"});
  REQUIRE(a.by_diameter.size() == 3);
  CHECK(a.by_diameter[2].missed.of == 20);
}

TEST_CASE("traits compare false positives with true negatives", "[evaluation]") {
  std::vector<AnalysedPicture> pictures;
  for (int i = 0; i < 8; ++i) {
    pictures.push_back(picture(1, 1, 0, i % 2 ? "co" : "ax"));
    pictures.back().features.mean_intensity = 10 * i;
  }
  for (int i = 0; i < 4; ++i) {
    pictures.push_back(picture(1, 0, 0, "co"));
    pictures.back().features.mean_intensity = 65;
    pictures.back().features.bright_at_border = i < 3;
  }
  const ErrorAnalysis a = analyse_errors(pictures, 0, {"plane"});
  const auto trait = [&](const std::string& name) {
    for (const Trait& t : a.traits)
      if (t.name == name) return t;
    fail("no trait ", name);
  };
  CHECK(trait("mean intensity above 60").false_positives.rate() == 1);
  CHECK(trait("mean intensity above 60").true_negatives.rate() == 0.125);
  CHECK(trait("bright region at the border").false_positives.rate() == 0.75);
  CHECK(trait("bright region at the border").true_negatives.rate() == 0);
  CHECK(trait("plane = co").false_positives.rate() == 1);
  CHECK(trait("plane = co").true_negatives.rate() == 0.5);
  CHECK(trait("plane = ax").false_positives.count == 0);
}

TEST_CASE("columns with one value or a value for each picture are no traits", "[evaluation]") {
  std::vector<AnalysedPicture> pictures;
  for (int i = 0; i < 12; ++i) {
    pictures.push_back(picture(1, i % 2));
    pictures.back().columns = {"same", std::to_string(i)};
  }
  for (const Trait& t : analyse_errors(pictures, 0, {"one", "many"}).traits) CHECK_THAT(t.name, !Contains(" = "));
}

TEST_CASE("worst cases are the wrong decisions, the least probable truth first, 40 at most", "[evaluation]") {
  std::vector<AnalysedPicture> pictures;
  for (int i = 0; i < 100; ++i) {
    pictures.push_back(picture(i % 2, 0));
    pictures.back().probabilities = {1 - i / 1000.0, i / 1000.0};
  }
  const ErrorAnalysis a = analyse_errors(pictures, 0, {"plane"});
  CHECK(a.errors == 50);
  REQUIRE(a.worst.size() == 40);
  CHECK(a.worst[0].probabilities[1] == 0.001);
  CHECK(a.worst[1].probabilities[1] == 0.003);
}

TEST_CASE("no errors, no pictures of the rare class, no pictures of others", "[evaluation]") {
  CHECK_THAT(text_of({picture(0, 0), picture(1, 1)}), Contains("No picture is decided wrongly") && Contains("0 of 1 (0.0 %)"));
  CHECK_THAT(text_of({picture(1, 1), picture(1, 0)}), Contains("(rare missed): 0 of 0\n"));
  CHECK(analyse_errors({picture(1, 0)}, 0, {"plane"}).traits.size() >= 1);  // every negative is a false positive
  CHECK_THROWS_AS(analyse_errors({picture(1, 0)}, 0, {}), Error);
}
