// Two runs on the same pictures: McNemar's test against SciPy, paired intervals, and test sets that are not the same.
#include "tests/support/catch.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/evaluation/comparison.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "tests/support/named_values.h"
#include "tests/support/run_program.h"
#include "tests/support/temporary_folder.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

const std::string header = "file,label,predicted,correct,p_Menin,p_Glioma,patient\n";

std::string row(int i, bool menin, double p, const std::string& patient) {
  const bool called = p >= 0.5;
  return concat("s", i, ".png,", menin ? "Menin" : "Glioma", ",", called ? "Menin" : "Glioma", ",", called == menin ? 1 : 0, ",", p, ",",
                1 - p, ",", patient, "\n");
}

// 60 pictures of 12 patients, every third a Menin; the first `right` of each patient's five are decided rightly.
std::string predictions(int right, int patients = 12) {
  std::string text = header;
  for (int i = 0; i < 5 * patients; ++i) {
    const bool menin = i % 3 == 0, is_right = i % 5 < right;
    text += row(i, menin, (menin == is_right ? 0.6 : 0.1) + 0.005 * (i % 7), concat("P", i / 5));
  }
  return text;
}

Comparison compared(const std::string& a, const std::string& b) {
  return compare_predictions(parse_predictions(a, "a.csv"), parse_predictions(b, "b.csv"), {.resamples = 300, .seed = 1});
}

}  // namespace

TEST_CASE("McNemar's exact test is SciPy's binomial test", "[evaluation]") {
  const NamedValues golden = read_named_values("mcnemar.txt");
  CHECK(golden.size() == 9);
  for (const auto& [name, v] : golden) {
    INFO(name);
    const auto n = static_cast<int64_t>(v.at(0)), m = static_cast<int64_t>(v.at(1));
    const double tolerance = n + m > 100 ? 1e-10 : 1e-12;  // lgamma of a thousand has lost two digits by its size
    CHECK(exact_mcnemar(n, m) == Approx(v.at(2)).epsilon(tolerance));
    CHECK(exact_mcnemar(m, n) == exact_mcnemar(n, m));
  }
  CHECK(exact_mcnemar(0, 0) == 1);
  CHECK_THROWS_AS(exact_mcnemar(-1, 2), Error);
  const McNemar m = mcnemar({true, true, true, false, false}, {true, false, false, true, false});
  CHECK(std::vector<int64_t>{m.both_right, m.only_a_right, m.only_b_right, m.both_wrong} == std::vector<int64_t>{1, 2, 1, 1});
  CHECK_THROWS_AS(mcnemar({true}, {}), Error);
}

TEST_CASE("a run does not differ from itself, and the better run is found on either side", "[evaluation]") {
  const Comparison same = compared(predictions(3), predictions(3));
  CHECK(same.mcnemar.p_value == 1);
  CHECK(same.units == 12);
  CHECK(same.pictures == 60);
  for (const ScoreDifference& d : same.differences) {
    CHECK(d.difference == 0);
    CHECK(d.interval.low == 0);
    CHECK(d.interval.high == 0);
    CHECK_FALSE(d.clear());
  }
  const Comparison better = compared(predictions(3), predictions(4)), worse = compared(predictions(4), predictions(3));
  REQUIRE(better.differences.size() == 5);  // accuracy, F1 and AUC of two classes
  CHECK(better.differences[0].a == Approx(0.6));
  CHECK(better.differences[0].b == Approx(0.8));
  CHECK(better.mcnemar.only_b_right == 12);
  CHECK(better.mcnemar.p_value == Approx(2 * std::pow(0.5, 12)));
  for (size_t s = 0; s < 5; ++s) {
    const ScoreDifference &up = better.differences[s], &down = worse.differences[s];
    INFO(up.score);
    CHECK(up.clear());
    CHECK(up.interval.low > 0);
    CHECK(up.difference == Approx(-down.difference));
    CHECK(up.interval.low == Approx(-down.interval.high));
  }
  // Every patient improves by one picture of five: whoever is drawn, the difference is the same.
  CHECK(better.differences[0].interval.low == Approx(0.2));
  CHECK(better.differences[0].interval.high == Approx(0.2));
}

TEST_CASE("the order of rows does not matter, other columns neither", "[evaluation]") {
  const std::string a = header + row(0, true, 0.9, "A") + row(1, false, 0.2, "B") + row(2, false, 0.7, "B");
  const std::string b =
      "patient,p_Menin,p_Glioma,file,note,label,predicted\nB,0.7,0.3,s2.png,x,Glioma,Menin\nA,0.9,0.1,s0.png,,Menin,Menin\nB,0.2,0.8,s1."
      "png,,Glioma,Glioma\n";
  for (const ScoreDifference& d : compared(a, b).differences) CHECK(d.difference == 0);
}

TEST_CASE("without patients groups are drawn, without groups pictures", "[evaluation]") {
  const std::string text =
      "file,label,predicted,p_a,p_b,patient,group,variant\n1,a,a,1,0,P,G1,0\n2,b,a,0.7,0.3,,G1,0\n3,b,b,0,1,,G1,0\n3,b,b,0,1,,,1\n";
  const PredictionTable t = parse_predictions(text, "t");
  CHECK(t.units == std::vector<std::string>{"patient P", "group G1", "group G1", "picture 3"});
  CHECK(t.pictures[3] == "3#1");
  CHECK(t.patients == 1);
}

TEST_CASE("one patient has no interval, one class no AUC, and both are said", "[evaluation]") {
  const std::string a = header + row(0, true, 0.9, "A") + row(1, true, 0.2, "A"),
                    b = header + row(0, true, 0.9, "A") + row(1, true, 0.8, "A");
  const Comparison c = compared(a, b);
  CHECK(std::isnan(c.differences[0].interval.low));
  CHECK(std::isnan(c.differences[2].a));  // AUC of Menin, without any Glioma
  const std::string text = comparison_text(c);
  CHECK_THAT(text, Contains("No intervals") && Contains("no interval"));
  const auto json = nlohmann::json::parse(comparison_json(c));
  CHECK(json["scores"][2]["a"].is_null());
  CHECK(json["mcnemar"]["only_b_right"] == 1);
}

TEST_CASE("different test sets, labels, patients and classes are refused by name", "[evaluation]") {
  const std::string a = header + row(0, true, 0.9, "A") + row(1, false, 0.2, "B");
  CHECK_THROWS_WITH(compared(a, header + row(0, true, 0.9, "A")), Contains("s1.png is in a.csv (2 pictures), not in b.csv (1)"));
  CHECK_THROWS_WITH(compared(header + row(0, true, 0.9, "A"), a), Contains("s1.png is in b.csv (2 pictures), not in a.csv (1)"));
  CHECK_THROWS_WITH(compared(a, header + row(0, true, 0.9, "A") + row(1, true, 0.2, "B")),
                    Contains("s1.png is Glioma in a.csv, Menin in b.csv"));
  CHECK_THROWS_WITH(compared(a, header + row(0, true, 0.9, "A") + row(1, false, 0.2, "C")), Contains("different patients"));
  CHECK_THROWS_AS(compared(a, "file,label,predicted,p_Glioma,p_Menin,patient\ns0.png,Menin,Menin,0.1,0.9,A\n"), UsageError);
}

TEST_CASE("damaged predictions are refused with their line", "[evaluation]") {
  const auto parse = [](const std::string& text) { return parse_predictions(text, "x.csv"); };
  CHECK_THROWS_WITH(parse("file,label\na,b\n"), Contains("no column 'predicted'"));
  CHECK_THROWS_WITH(parse("file,label,predicted,p_a\n1,a,a,1\n"), Contains("1 columns p_<class>"));
  CHECK_THROWS_WITH(parse(header), Contains("no rows"));
  CHECK_THROWS_WITH(parse(header + "s0,Menin,Menin,1,-,0.1,A\n"), Contains("x.csv line 2") && Contains("diverged"));
  CHECK_THROWS_WITH(parse(header + "s0,Menin,Menin,1,1.5,0,A\n"), Contains("from 0 to 1"));
  CHECK_THROWS_WITH(parse(header + "s0,Other,Menin,1,1,0,A\n"), Contains("'Other' is none of the classes"));
  CHECK_THROWS_WITH(parse(header + row(0, true, 1, "A") + row(0, true, 1, "A")), Contains("line 3") && Contains("on line 2 already"));
}

TEST_CASE("dura-compare takes folders or files, writes JSON, and refuses what cannot be compared", "[apps][evaluate]") {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "a");
  folder.write("a/predictions_test.csv", predictions(3));
  folder.write("b.csv", predictions(4));
  folder.write("c.csv", predictions(4, 11));
  const ProgramRun run = run_program("dura-compare", {folder / "a", folder / "b.csv", "--out", folder / "out.json"});
  INFO(run.output);
  CHECK(run.code == 0);
  CHECK_THAT(run.output, Contains("The same 60 pictures of 12 patients") && Contains("B is higher") && Contains("McNemar"));
  CHECK(nlohmann::json::parse(read_text_file(folder / "out.json", 1 << 20))["format"] == "dura comparison 1");
  const ProgramRun other = run_program("dura-compare", {folder / "b.csv", folder / "c.csv"});
  CHECK(other.code == 2);
  CHECK_THAT(other.output, Contains("different test sets"));
  const ProgramRun val = run_program("dura-compare", {folder / "a", folder / "b.csv", "--split", "val"});
  CHECK(val.code == 1);
  CHECK_THAT(val.output, Contains("no predictions_val.csv"));
}
