// Scores of many heat maps: means by group, the chance of so many hits, and the files for other programs.
#include "tests/support/catch.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/evaluation/split_maps.h"
#include "apps/report/heat_map_page.h"
#include "data/set/csv.h"

using namespace dura;
using Catch::Contains;

namespace {

// Twenty pictures, eight hits; class "b" has five of them, all hits; three answers are wrong, one hit among them.
std::vector<ScoredPicture> twenty() {
  std::vector<ScoredPicture> all;
  for (int i = 0; i < 20; ++i) {
    ScoredPicture p{.file = "p" + std::to_string(i) + ".png",
                    .label = i < 5 ? "b" : "a",
                    .predicted = "",
                    .explained = "a",
                    .probability = 0.75,
                    .score = {}};
    p.predicted = i == 4 || i > 17 ? (p.label == "a" ? "b" : "a") : p.label;
    p.score.evidence = i != 19;
    p.score.random_maps_with_evidence = 0.5;
    p.score[Guess::network] = {.pointing = i < 8 ? 1.0 : 0.0, .energy = 0.25, .iou_half = 0.5, .iou_otsu = i < 10 ? 1.0 : 0.0};
    p.score[Guess::random_point] = {0.05, 0.04, 0.04, 0.04};
    p.score[Guess::brightest].pointing = i == 3;
    all.push_back(p);
  }
  return all;
}

}  // namespace

TEST_CASE("the binomial tail agrees with exact values", "[apps][heat_maps]") {
  CHECK(binomial_tail(10, 0, 0.3) == 1);
  CHECK(binomial_tail(10, 11, 0.3) == 0);
  CHECK(binomial_tail(10, 1, 0) == 0);
  CHECK(binomial_tail(10, 10, 1) == 1);
  CHECK(binomial_tail(1, 1, 0.25) == Approx(0.25).epsilon(1e-12));
  CHECK(binomial_tail(10, 5, 0.5) == Approx(638.0 / 1024).epsilon(1e-12));
  CHECK(binomial_tail(10, 10, 0.5) == Approx(1.0 / 1024).epsilon(1e-12));
  CHECK(binomial_tail(4, 2, 1.0 / 3) == Approx(33.0 / 81).epsilon(1e-12));
  CHECK(binomial_tail(1000, 1000, 0.1) == 0);                                                   // 1e-1000 is below the smallest number
  CHECK(binomial_tail(200, 100, 0.5) == Approx(0.5 + 0.05634847900925642 / 2).epsilon(1e-10));  // by symmetry, with the middle term
}

TEST_CASE("groups hold the means of their pictures and the chance of so many hits", "[apps][heat_maps]") {
  const std::vector<ScoreGroup> groups = score_groups(twenty(), {"a", "b", "c"});
  REQUIRE(groups.size() == 5);  // nothing of class c
  std::vector<std::string> names;
  for (const ScoreGroup& g : groups) names.push_back(g.name);
  CHECK(names == std::vector<std::string>{"all", "a", "b", "right", "wrong"});
  const ScoreGroup& all = groups[0];
  CHECK(all.pictures == 20);
  CHECK(all.without_evidence == 1);
  CHECK(all[Guess::network].pointing == 0.4);
  CHECK(all[Guess::network].energy == Approx(0.25));
  CHECK(all[Guess::network].iou_half == Approx(0.5));
  CHECK(all[Guess::network].iou_otsu == Approx(0.5));
  CHECK(all[Guess::brightest].pointing == 0.05);
  CHECK(all.random_maps_with_evidence == Approx(0.5));
  CHECK(all.p_value == Approx(binomial_tail(20, 8, 0.05)));
  CHECK(groups[1].pictures == 15);
  CHECK(groups[1][Guess::network].pointing == Approx(0.2));
  CHECK(groups[2][Guess::network].pointing == 1);
  CHECK(groups[3].pictures == 17);
  CHECK(groups[4].pictures == 3);
  CHECK(groups[4][Guess::network].pointing == Approx(1.0 / 3));
  CHECK(score_groups({}, {"a"}).empty());
}

TEST_CASE("the scores' text has one sentence and a row for each guess of each group", "[apps][heat_maps]") {
  const std::vector<ScoreGroup> groups = score_groups(twenty(), {"a", "b"});
  const std::string text = score_text(groups, "maps");
  CHECK_THAT(text,
             Contains("maps on 20 pictures with a lesion, 1 without positive evidence: peak inside of 0.400, 8.0 times a random point"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 2 + 5 * 6);
  CHECK_THAT(text, Contains("wrong: 3"));
  CHECK(score_text({}, "maps").empty());
}

TEST_CASE("heat_maps.json and heat_maps.csv hold the scores", "[apps][heat_maps]") {
  const std::vector<ScoredPicture> pictures = twenty();
  const auto json = nlohmann::json::parse(heat_maps_json({.model_sha256 = {"ab", "cd"},
                                                          .split = "test",
                                                          .method = "layercam",
                                                          .stage = "layer3",
                                                          .cells = "receptive-fields",
                                                          .enlarge = "cubic",
                                                          .explain = "predicted",
                                                          .tolerance = "5 mm",
                                                          .maps = 25,
                                                          .random_networks = 3},
                                                         score_groups(pictures, {"a", "b"})));
  CHECK(json["model_sha256"] == "ab, cd");
  CHECK(json["cells"] == "receptive-fields");
  CHECK(json["enlarge"] == "cubic");
  CHECK(json["format"] == "dura heat maps 1");
  CHECK(json["method"] == "layercam");
  CHECK(json["maps"] == 25);
  REQUIRE(json["groups"].size() == 5);
  CHECK(json["groups"][0]["group"] == "all");
  CHECK(json["groups"][0]["scores"]["network"]["pointing"] == 0.4);
  CHECK(json["groups"][0]["scores"]["brightest"]["pointing"] == 0.05);
  CHECK(json["groups"][2]["scores"]["network"]["iou_otsu"] == 1);
  HeatMapRun run;
  CHECK(run.title() == "Heat maps (gradcam at layer4, tolerance 0)");
  run.enlarge = "cubic";
  CHECK(run.title() == "Heat maps (gradcam at layer4, cubic, tolerance 0)");
  const auto nothing = nlohmann::json::parse(heat_maps_json({}, {}));
  CHECK(nothing["groups"].empty());
  CHECK_FALSE(nothing.contains("sanity"));
  CHECK_FALSE(nothing.contains("deletion"));

  const CsvTable csv = parse_csv(heat_maps_csv(pictures), "heat_maps.csv");
  REQUIRE(csv.rows.size() == 20);
  CHECK(csv.header.size() == 6 + 4 * guesses);
  CHECK(csv.header[6] == "network_pointing");
  CHECK(csv.rows[4].fields[1] == "b");
  CHECK(csv.rows[4].fields[2] == "a");
  CHECK(csv.rows[19].fields[5] == "0");
  CHECK(csv.rows[7].fields[6] == "1");
}
