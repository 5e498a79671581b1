// dura-prepare finds a mirrored copy, keeps it together with its original, and refuses a table that divides them.
#include "tests/support/catch.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "data/image/codec.h"
#include "data/set/manifest.h"
#include "data/phantom/phantom.h"
#include "engine/base/file.h"
#include "tests/support/run_program.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

// Two slices of each class, each of another patient, and g0.png mirrored as copy.png in the split `copy_split`.
std::string table_with_copy(const TemporaryFolder& folder, const std::string& copy_split) {
  const PhantomOptions options{.seed = 3, .patients = 10, .slices_per_patient = 1};
  std::string table = "file,label,split,group\n";
  const auto add = [&](const std::string& name, const Image& image, const char* label, const std::string& split, const std::string& group) {
    write_picture(folder, name, image);
    table += name + "," + label + "," + split + "," + group + "\n";
  };
  int meningiomas = 0, gliomas = 0;
  for (int64_t i = 0; i < options.patients; ++i) {
    const Phantom p = make_phantom(options, i);
    int& number = p.kind == LesionKind::meningioma ? meningiomas : gliomas;
    const char* split = number % 2 ? "test" : "train";
    const std::string name = concat(p.kind == LesionKind::meningioma ? "m" : "g", number++, ".png");
    add(name, p.image, p.kind == LesionKind::meningioma ? "Menin" : "Glioma", split, name == "g0.png" ? "first" : "");
    if (name != "g0.png") continue;
    Image mirrored = p.image;
    for (int64_t r = 0; r < mirrored.height; ++r) std::reverse(mirrored.row(r), mirrored.row(r) + mirrored.width);
    add("copy.png", mirrored, "Glioma", copy_split, "second");
  }
  folder.write("manifest.csv", table);
  return folder.path();
}

}  // namespace

TEST_CASE("a mirrored copy is named and shares its original's group in the manifest", "[apps][prepare][leak]") {
  const TemporaryFolder folder;
  const ProgramRun run = run_program("dura-prepare", {table_with_copy(folder, "train"), "--out", folder / "out.csv", "--copies",
                                                      folder / "copies.csv", "--json", folder / "out.json"});
  INFO(run.output);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output, Contains("mirrored left to right"));
  CHECK_THAT(read_text_file(folder / "copies.csv", 1 << 20),
             Contains("g0.png,copy.png,train,train,mirrored left to right,") && Contains("first_split"));
  const nlohmann::json json = nlohmann::json::parse(read_text_file(folder / "out.json", 1 << 22));
  REQUIRE(json["similar"].size() == 1);
  CHECK(json["similar"][0]["divided"] == false);
  int first = 0;
  for (const ManifestRow& row : read_manifest(folder / "out.csv").rows) {
    first += row.group == "first";
    CHECK(row.group != "second");  // the names of joined groups become one
  }
  CHECK(first == 2);
}

TEST_CASE("a sheet of the copies shows the pair, and the second laid upon the first as the audit found it", "[apps][prepare][leak]") {
  const TemporaryFolder folder;
  const ProgramRun run = run_program("dura-prepare", {table_with_copy(folder, "train"), "--report", folder / "report"});
  INFO(run.output);
  REQUIRE(run.code == 0);
  const Image sheet = read_image(folder / "report/copies.png");
  // Three cells of 160 pixels with 4 between them, below two lines of text. The mirrored copy laid upon its original is the original.
  REQUIRE(sheet.width >= 3 * 160 + 2 * 4);
  double apart = 0, laid_apart = 0;
  for (int64_t r = sheet.height - 120; r < sheet.height - 40; ++r)
    for (int64_t c = 20; c < 140; ++c) {
      apart += std::abs(sheet.at(r, c) - sheet.at(r, c + 164));
      laid_apart += std::abs(sheet.at(r, c) - sheet.at(r, c + 2 * 164));
    }
  CHECK(apart > 80 * 120);  // a grey level each
  CHECK(laid_apart < 0.1 * apart);
}

TEST_CASE("a table that divides a picture and its mirrored copy is refused, unless the leak is allowed", "[apps][prepare][leak]") {
  const TemporaryFolder folder;
  const std::vector<std::string> arguments = {table_with_copy(folder, "test"), "--out", folder / "out.csv"};
  const ProgramRun refused = run_program("dura-prepare", arguments);
  CHECK(refused.code != 0);
  CHECK_THAT(refused.output, Contains("first") && Contains("1 of them in two splits"));
  std::vector<std::string> allowed = arguments;
  allowed.push_back("--allow-leak");
  const ProgramRun accepted = run_program("dura-prepare", allowed);
  INFO(accepted.output);
  CHECK(accepted.code == 0);
  CHECK_THAT(accepted.output, Contains("leak allowed"));

  // Divided anew, they stay together.
  std::vector<std::string> anew = arguments;
  anew.insert(anew.end(), {"--split", "new", "--test", "0.4", "--val", "0"});
  const ProgramRun divided = run_program("dura-prepare", anew);
  INFO(divided.output);
  REQUIRE(divided.code == 0);
  CHECK_THAT(divided.output, Contains("0 of them in two splits"));
}
