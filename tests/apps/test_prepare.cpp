// dura-prepare from outside: folders in, a checked manifest and a report out; and each input that must stop it.
#include "tests/support/catch.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/image/codec.h"
#include "data/set/manifest.h"
#include "engine/base/file.h"
#include "engine/core/formula.h"
#include "tests/support/run_program.h"
#include "tests/support/temporary_folder.h"

using namespace dura;
using test::run_program;

namespace {

// 40 gliomas and 10 meningiomas, all different; the gliomas have masks of a 10x10 square.
struct Folders {
  TemporaryFolder folder;
  Folders() {
    Image mask(32, 32, 1);
    for (int64_t r = 4; r < 14; ++r) std::fill_n(mask.row(r) + 7, 10, uint8_t{255});
    for (int i = 0; i < 50; ++i) {
      Image slice(32, 32, 1);  // noise: no two are alike
      for (size_t k = 0; k < slice.pixels.size(); ++k)
        slice.pixels[k] = static_cast<uint8_t>(formula::mix64(static_cast<uint64_t>(i) * 4096 + k));
      write(concat(i < 40 ? "images/glioma/" : "images/meningioma/", i, ".png"), slice);
      if (i < 40) write(concat("masks/glioma/", i, ".png"), mask);
    }
  }
  void write(const std::string& name, const Image& image) const {
    const std::vector<uint8_t> png = encode_png(image);
    folder.write(name, {png.begin(), png.end()});
  }
  // The whole folder as a table with patients (five slices each), ready to be damaged.
  std::string table() const {
    std::string text = "path,class,subject,mask,mm_per_pixel\n";
    for (int i = 0; i < 50; ++i)
      text += concat("images/", i < 40 ? "glioma/" : "meningioma/", i, ".png,", i < 40 ? "glioma" : "meningioma", ",P", i / 5, ",",
                     i < 40 ? concat("masks/glioma/", i, ".png") : "", ",0.5\n");
    return text;
  }
};

const std::vector<std::string> renamed = {"--column", "file=path", "label=class", "patient=subject"};

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("prepare turns folders into a split manifest and describes them", "[apps][prepare]") {
  const Folders data;
  const std::string out = data.folder / "out.csv", json = data.folder / "out.json";
  const test::ProgramRun run =
      run_program("dura-prepare", {data.folder.path(), "--out", out, "--json", json, "--seed", "3", "--val", "0.25"});
  CAPTURE(run.output);
  REQUIRE(run.code == 0);
  const Manifest manifest = read_manifest(out);
  const SplitRows splits = rows_by_split(manifest);
  CHECK(splits[Split::train].size() == 30);
  CHECK(splits[Split::val].size() == 10);
  CHECK(splits[Split::test].size() == 10);
  const auto report = nlohmann::json::parse(read_text_file(json, 1 << 20));
  CHECK(report["slices"] == 50);
  CHECK(report["classes"][0]["name"] == "glioma");
  CHECK(report["classes"][0]["splits"]["test"]["slices"] == 8);
  CHECK(report["classes"][0]["masks"] == 40);
  CHECK(report["extents"][0]["width"] == 32);
  CHECK(report["split"]["units"] == 50);
  CHECK_THAT(run.output, Catch::Contains("32x32 (50)") && Catch::Contains("divided 50"));
}

TEST_CASE("prepare keeps patients whole, renames columns and measures lesions", "[apps][prepare]") {
  const Folders data;
  const std::string table = data.folder.write("table.csv", data.table()), out = data.folder / "out.csv", json = data.folder / "out.json";
  const test::ProgramRun run = run_program("dura-prepare", with({data.folder.path(), "--manifest", table, "--out", out, "--json", json,
                                                                 "--val", "0", "--test", "0.5", "--classes", "Menin=meningioma", "Glioma"},
                                                                renamed));
  CAPTURE(run.output);
  REQUIRE(run.code == 0);
  const Manifest manifest = read_manifest(out);
  CHECK(find_leaks(manifest, rows_by_split(manifest)).empty());
  CHECK(rows_by_split(manifest)[Split::test].size() == 25);
  const auto report = nlohmann::json::parse(read_text_file(json, 1 << 20));
  CHECK(report["classes"][0]["name"] == "Menin");
  CHECK(report["classes"][1]["splits"]["test"]["patients"] == 4);
  CHECK(report["classes"][1]["lesion_mm"]["median"].get<double>() == Approx(2 * std::sqrt(25 / 3.14159265)));
  // Once split, the table is kept as it is.
  const test::ProgramRun again =
      run_program("dura-prepare", {data.folder.path(), "--manifest", out, "--out", data.folder / "again.csv", "--seed", "99"});
  CHECK(again.code == 0);
  CHECK(read_text_file(data.folder / "again.csv", 1 << 20) == read_text_file(out, 1 << 20));
}

TEST_CASE("prepare keeps a slice that is stored twice on one side of the split", "[apps][prepare]") {
  const Folders data;
  for (const char* copy : {"a", "b", "c"})
    std::filesystem::copy_file(data.folder / "images/glioma/7.png", data.folder / concat("images/glioma/copy_", copy, ".png"));
  for (const char* seed : {"1", "2", "3"}) {
    const std::string out = data.folder / "out.csv";
    const test::ProgramRun run = run_program("dura-prepare", {data.folder.path(), "--out", out, "--seed", seed});
    CAPTURE(run.output);
    REQUIRE(run.code == 0);
    CHECK_THAT(run.output, Catch::Contains("stored more than once, byte for byte: 1"));
    const Manifest manifest = read_manifest(out);
    CHECK(find_leaks(manifest, rows_by_split(manifest)).empty());
    CHECK(std::count_if(manifest.rows.begin(), manifest.rows.end(), [](const ManifestRow& r) { return !r.group.empty(); }) == 4);
    std::filesystem::remove(out);
  }
}

TEST_CASE("prepare names bad files, sets them aside, and stops where they are many", "[apps][prepare]") {
  const Folders data;
  data.folder.write("images/glioma/3.png", "");
  const std::string out = data.folder / "out.csv";
  const test::ProgramRun strict = run_program("dura-prepare", {data.folder.path(), "--out", out});
  CHECK(strict.code == 1);
  CHECK_THAT(strict.output, Catch::Contains("1 files of 50") && Catch::Contains("glioma/3.png") && Catch::Contains("0 bytes"));
  CHECK(!std::filesystem::exists(out));
  const test::ProgramRun lenient = run_program("dura-prepare", {data.folder.path(), "--out", out, "--allow-bad", "0.05"});
  CAPTURE(lenient.output);
  REQUIRE(lenient.code == 0);
  CHECK(rows_by_split(read_manifest(out)).left_out == std::map<std::string, int64_t>{{"bad", 1}});
}

TEST_CASE("prepare stops before any work with one clear message", "[apps][prepare]") {
  const Folders data;
  const auto stops = [&](std::vector<std::string> arguments, int code, const std::string& message) {
    const test::ProgramRun run = run_program("dura-prepare", arguments);
    CAPTURE(run.output);
    CHECK(run.code == code);
    CHECK_THAT(run.output, Catch::Contains("dura-prepare: error: ") && Catch::Contains(message));
  };
  const auto damaged = [&](const std::string& from, const std::string& to) {
    std::string text = data.table();
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return with({data.folder.path(), "--manifest", data.folder.write("damaged.csv", text.replace(at, from.size(), to))}, renamed);
  };
  const TemporaryFolder empty;
  stops({empty.path()}, 1, "no PNG or JPEG files");
  stops({empty / "missing"}, 1, "no such folder");
  empty.write("glioma/1.png", "x");
  stops({empty.path()}, 1, "one class only, 'glioma'");
  stops(damaged("path,class", "path,klass"), 1, "no column 'class'");
  stops(damaged("images/glioma/5.png", "images/glioma/4.png"), 1, "listed twice");
  stops(damaged("images/glioma/5.png", "../5.png"), 1, "leads outside");
  stops(with(damaged("P0", "P0"), {"--classes", "Menin", "Glioma"}), 1, "no row of class Menin");
  stops({data.folder.path(), "--test", "1.5"}, 2, "--test is 1.5");
  stops({data.folder.path(), "--balance", "age"}, 2, "no column 'age'");
  stops({data.folder.path(), "--out", "/proc/nowhere/out.csv"}, 1, "/proc/nowhere/out.csv");

  // A patient in two splits, unless it is allowed.
  std::string leak = "file,label,split,patient\n";
  for (int i : {0, 1, 45, 46})
    leak += concat("images/", i < 40 ? "glioma/" : "meningioma/", i, ".png,", i < 40 ? "glioma" : "meningioma", ",",
                   i % 2 ? "train" : "test", ",P", i / 2 * (i < 40), "\n");
  const std::string table = data.folder.write("leak.csv", leak);
  stops({data.folder.path(), "--manifest", table}, 1, "patient P0 is in");
  const test::ProgramRun allowed = run_program("dura-prepare", {data.folder.path(), "--manifest", table, "--allow-leak"});
  CHECK(allowed.code == 0);
  CHECK_THAT(allowed.output, Catch::Contains("leak allowed: patient P0"));
}
