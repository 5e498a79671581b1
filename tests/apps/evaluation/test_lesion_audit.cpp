// What a lesion audit says of a network: means and differences over patients, and a verdict that no map can win alone.
#include "tests/support/catch.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/evaluation/lesion_audit.h"
#include "tests/support/program_output.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

// Slices of ten patients, two each, all with these values and a little noise (-0.0005 on average); what is not named is 0.1.
std::vector<AuditedSlice> slices(const std::map<std::string, double>& values) {
  std::vector<AuditedSlice> all;
  for (int i = 0; i < 20; ++i) {
    AuditedSlice s{concat("s", i, ".png"), concat("P", i / 2), {}};
    for (const AuditMeasure& m : audit_measures()) {
      const auto found = values.find(m.key);
      s.values.push_back((found == values.end() ? 0.1 : found->second) + 0.01 * (i % 3 - 1));
    }
    all.push_back(std::move(s));
  }
  return all;
}

const std::map<std::string, double> looks = {
    {"gradcam_layer4_hit", 0.7}, {"lesion_share", 0.05}, {"hit_above_chance", 0.65}, {"fall_filled", 0.3}, {"filled_excess", 0.25}};
const std::map<std::string, double> lies = {{"hit_above_chance", 0.65}, {"fall_filled", 0.02}, {"filled_excess", -0.05}};
const std::map<std::string, double> hides = {{"hit_above_chance", -0.05}, {"fall_filled", 0.3}, {"filled_excess", 0.25}};
const std::map<std::string, double> elsewhere = {{"hit_above_chance", -0.05}, {"fall_filled", 0.02}, {"filled_excess", -0.05}};

}  // namespace

TEST_CASE("a network looks at the lesion only where map and deletion say so", "[evaluation][audit]") {
  CHECK_THAT(summarise_audit(slices(looks), {}).verdict(),
             Contains("The network looks at the lesion: ") && Contains("69.9 %") && Contains("lowers the answer's probability by 0.299"));
  for (const auto& [values, says] : {std::pair(lies, "The map lies on the lesion, but the network does not need it"),
                                     std::pair(hides, "The network uses the lesion, but its map does not show it"),
                                     std::pair(elsewhere, "Nothing says that the network looks at the lesion")}) {
    const std::string verdict = summarise_audit(slices(values), {}).verdict();
    CHECK_THAT(verdict, Contains(says));
    CHECK_THAT(verdict, !Contains("The network looks"));
  }
  // A fall that is no larger than elsewhere is the replacing, not the lesion.
  CHECK_FALSE(summarise_audit(slices({{"fall_filled", 0.4}, {"filled_excess", 0}}), {}).network_needs());
}

TEST_CASE("means leave out what was not measured, and differences are taken slice by slice", "[evaluation][audit]") {
  std::vector<AuditedSlice> a = slices(looks), b = slices(lies);
  const size_t fall = 16;
  REQUIRE(audit_measures().at(fall).key == "fall_filled_elsewhere");
  for (size_t i = 0; i < 20; i += 2) a[i].values[fall] = NAN;
  const LesionAudit audit = summarise_audit(a, b);
  CHECK(audit.units == 10);
  double sum = 0;
  for (size_t i = 1; i < 20; i += 2) sum += a[i].values[fall];
  CHECK(audit.mean("fall_filled_elsewhere").value == Approx(sum / 10));
  const Score difference = audit.differences.at(15);
  CHECK(difference.value == Approx(0.28));
  CHECK((difference.interval.low == Approx(0.28) && difference.interval.high == Approx(0.28)));  // the noise is the same
  CHECK_THAT(audit_text(audit), Contains("20 slices of 10 patients") && Contains("less the other network's"));
  b.pop_back();
  CHECK_THROWS_AS(summarise_audit(a, b), UsageError);
  b = slices(lies);
  b[3].file = "other.png";
  CHECK_THROWS_WITH(summarise_audit(a, b), Contains("s3.png") && Contains("other.png"));
  const auto json = nlohmann::json::parse(audit_json(audit));
  CHECK(json["format"] == "dura lesion audit 1");
  CHECK(json["measures"].size() == audit_measures().size());
  CHECK(json["measures"][15]["difference"]["value"].get<double>() == Approx(0.28));
  CHECK(json["network_needs"] == true);
  const CsvTable table = parse_csv(audit_csv(audit), "audit");
  CHECK(table.rows.size() == 20);
  CHECK(cell(table, 0, "fall_filled_elsewhere").empty());
  CHECK_THAT(audit_text(summarise_audit({}, {})), Contains("no slice has a mask"));
}

TEST_CASE("dura-gradcam --audit asks a model about lesions, against another, and the report says what came out", "[apps][gradcam][audit]") {
  const TextureData data({}, 2);
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors"),
                    other = write_initial_model(out / "other.safetensors", {"rare", "usual"}, 8);
  const auto audited = [&](const std::string& folder, const std::vector<std::string>& more) {
    return run_program("dura-gradcam", joined({"--model", model, "--data", data.path(), "--out", folder, "--pictures", "1", "--audit", "3",
                                               "--random-networks", "0"},
                                              more));
  };
  const ProgramRun run = audited(out / "run/heat_maps", {"--against", other});
  CAPTURE(run.output);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output, Contains("lesion audit on 3 slices of 3 patients") && Contains("occlusion: peak in the lesion"));
  const CsvTable table = table_of(out / "run/heat_maps/lesion_audit.csv");
  REQUIRE(table.rows.size() == 3);
  for (size_t i = 0; i < 3; ++i) CHECK(std::stod(cell(table, i, "probability")) >= 0.5);
  out.write("run/run.json", "{}");
  must_run("dura-report", {"--run", out / "run"});
  CHECK_THAT(read_text_file(out / "run/report.html", 1 << 22), Contains("less the other network") && Contains("lesion and rim blurred"));
  const std::string swapped = write_initial_model(out / "swapped.safetensors", {"usual", "rare"});
  const ProgramRun refused = audited(out / "refused", {"--against", swapped});
  CHECK(refused.code == 2);
  CHECK_THAT(refused.output, Contains("--against") && Contains("classes"));
}
