#include "tests/support/catch.h"

#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "data/image/codec.h"
#include "data/phantom/phantom.h"
#include "data/phantom/pretext.h"
#include "engine/base/file.h"
#include "engine/base/parallel.h"
#include "tests/support/run_program.h"
#include "tests/support/temporary_folder.h"

using namespace dura;

namespace {

std::map<std::string, std::vector<uint8_t>> files_in(const std::string& folder) {
  std::map<std::string, std::vector<uint8_t>> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files[std::filesystem::relative(entry.path(), folder).string()] = read_file(entry.path(), 1 << 24);
  return files;
}

double share_of_difference(const Image& a, const Image& b) {
  int64_t different = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) different += a.pixels[i] != b.pixels[i];
  return static_cast<double>(different) / static_cast<double>(a.pixels.size());
}

struct ThreadCount {  // restores what was set before
  int before = num_threads();
  explicit ThreadCount(int n) { set_num_threads(n); }
  ~ThreadCount() { set_num_threads(before); }
};

}  // namespace

TEST_CASE("a phantom depends on seed, patient and slice alone", "[data][phantom]") {
  const PhantomOptions options{.seed = 3, .patients = 20, .slices_per_patient = 2};
  const Phantom p = make_phantom(options, 9);
  CHECK(p.image == make_phantom(options, 9).image);
  CHECK(p.patient == 4);
  CHECK(p.slice == 1);
  PhantomOptions more = options;
  more.patients = 200;
  CHECK(p.image == make_phantom(more, 9).image);
  PhantomOptions other = options;
  other.seed = 4;
  CHECK(share_of_difference(p.image, make_phantom(other, 9).image) > 0.5);
  CHECK(share_of_difference(p.image, make_phantom(options, 8).image) > 0.5);
  CHECK_THROWS_AS(make_phantom(options, 40), Error);
}

TEST_CASE("phantom folders do not depend on the number of threads", "[data][phantom]") {
  const PhantomOptions options{.seed = 5, .patients = 12, .slices_per_patient = 2, .size = 64, .meningioma_share = 0.5};
  const PretextOptions pretext{.seed = 5, .images = 24, .size = 64};
  TemporaryFolder one, several;
  for (const auto& [folder, threads] : {std::pair{&one, 1}, std::pair{&several, 3}}) {
    const ThreadCount set(threads);
    write_phantoms(options, *folder / "tumour");
    write_pretext(pretext, *folder / "pretext");
  }
  const auto files = files_in(one.path());
  CHECK(files.size() == 24 * 3 + 1 + 24 + 1);
  CHECK(files == files_in(several.path()));
}

TEST_CASE("a patient's slices show one head and one lesion", "[data][phantom]") {
  const PhantomOptions options{.seed = 8, .patients = 30, .slices_per_patient = 3, .meningioma_share = 0.5};
  double within = 0, between = 0;
  for (int64_t patient = 0; patient < options.patients; ++patient) {
    const Phantom first = make_phantom(options, 3 * patient), last = make_phantom(options, 3 * patient + 2),
                  next = make_phantom(options, (3 * patient + 3) % options.images());
    CHECK(first.kind == last.kind);
    CHECK(first.place == last.place);
    CHECK(first.split == last.split);
    CHECK(first.image != last.image);
    int64_t shared = 0;
    for (size_t i = 0; i < first.mask.pixels.size(); ++i) shared += first.mask.pixels[i] && last.mask.pixels[i];
    CHECK(shared > 0);
    within += share_of_difference(first.brain, last.brain), between += share_of_difference(first.brain, next.brain);
  }
  // A patient's slices lie several mm apart, so their outlines differ too: clearly less than those of two patients.
  CHECK(within < 0.7 * between);
}

TEST_CASE("phantom masks lie in the brain and measure the lesion", "[data][phantom]") {
  PhantomOptions options{.seed = 9, .patients = 120, .slices_per_patient = 1, .meningioma_share = 0.5};
  std::map<LesionKind, std::set<LesionPlace>> places;
  for (int64_t i = 0; i < options.images(); ++i) {
    const Phantom p = make_phantom(options, i);
    CAPTURE(i, place_name(p.place), p.lesion_mm);
    int64_t area = 0, outside = 0;
    for (size_t k = 0; k < p.mask.pixels.size(); ++k) area += p.mask.pixels[k] != 0, outside += p.mask.pixels[k] && !p.brain.pixels[k];
    CHECK(outside == 0);
    CHECK(p.lesion_mm == Approx(2 * std::sqrt(static_cast<double>(area) / 3.14159265) * p.mm_per_pixel).margin(0.01));
    CHECK(p.lesion_mm > 8);
    CHECK(p.lesion_mm < 70);
    places[p.kind].insert(p.place);
  }
  CHECK(places[LesionKind::meningioma].size() == 5);
  CHECK(places[LesionKind::glioma].size() == 5);
  const Phantom coarse = make_phantom(options, 17);
  options.size = 256;
  const Phantom fine = make_phantom(options, 17);
  CHECK(fine.mm_per_pixel == Approx(coarse.mm_per_pixel / 2));
  CHECK(fine.lesion_mm == Approx(coarse.lesion_mm).epsilon(0.03));
}

TEST_CASE("phantom patients are split by class in the wanted shares", "[data][phantom]") {
  const PhantomOptions options{
      .seed = 2, .patients = 100, .slices_per_patient = 2, .size = 64, .meningioma_share = 0.2, .val_share = 0.2, .test_share = 0.3};
  const TemporaryFolder folder;
  write_phantoms(options, folder.path());
  const Manifest manifest = read_manifest(folder.path() + "/manifest.csv");
  const SplitRows splits = rows_by_split(manifest);
  check_no_leak(manifest, splits);
  const std::map<Split, std::array<int64_t, 2>> wanted = {{Split::train, {20, 80}}, {Split::val, {8, 32}}, {Split::test, {12, 48}}};
  for (const auto& [split, counts] : wanted) {
    std::array<int64_t, 2> found{};
    for (int32_t c : class_indices(manifest, splits[split], ClassNames({"Menin", "Glioma"}), true)) ++found[static_cast<size_t>(c)];
    CHECK(found == counts);
  }
  CHECK(manifest.extra_columns() == std::vector<std::string>{"lesion_mm", "place", "slice", "brain"});
  const Phantom p = make_phantom(options, 33);
  CHECK(read_image((folder / manifest.rows[33].file)) == p.image);
  CHECK(read_mask((folder / manifest.rows[33].mask)) == p.mask);
  CHECK(manifest.rows[33].mm_per_pixel == p.mm_per_pixel);
}

TEST_CASE("the brightest point of a phantom is often not its lesion", "[data][phantom]") {
  // Sinuses, vessels and plexus outshine many lesions: a heat map has to do better than pointing at what is bright.
  const PhantomOptions options{.seed = 12, .patients = 100, .slices_per_patient = 1, .meningioma_share = 0.2};
  int64_t hits = 0;
  for (int64_t i = 0; i < options.images(); ++i) {
    const Phantom p = make_phantom(options, i);
    int best = -1;
    bool hit = false;
    for (int64_t r = 2; r + 2 < p.image.height; ++r)
      for (int64_t c = 2; c + 2 < p.image.width; ++c) {
        if (!p.brain.at(r, c)) continue;
        int sum = 0;
        for (int64_t y = r - 2; y <= r + 2; ++y)
          for (int64_t x = c - 2; x <= c + 2; ++x) sum += p.brain.at(y, x) ? p.image.at(y, x) : 0;
        if (sum > best) best = sum, hit = p.mask.at(r, c) != 0;
      }
    hits += hit;
  }
  CHECK(hits < 60);
  CHECK(hits > 5);
}

TEST_CASE("options that no phantom can have are refused", "[data][phantom]") {
  const auto message = [](const PhantomOptions& options) -> std::string {
    try {
      check_options(options);
    } catch (const UsageError& e) {
      return e.what();
    }
    return "";
  };
  CHECK(message({}).empty());
  CHECK_THAT(message({.size = 63}), Catch::Contains("64 to 512"));
  CHECK_THAT(message({.patients = 1}), Catch::Contains("patients"));
  CHECK_THAT(message({.slices_per_patient = 0}), Catch::Contains("slices"));
  CHECK_THAT(message({.meningioma_share = 0}), Catch::Contains("between 0 and 1"));
  CHECK_THAT(message({.val_share = 0.6, .test_share = 0.4}), Catch::Contains("patients to train on"));
  CHECK_THAT(message({.patients = 8}), Catch::Contains("too few"));
  CHECK_THROWS_AS(check_options(PretextOptions{.size = 32}), UsageError);
  CHECK_THROWS_AS(check_options(PretextOptions{.images = 0}), UsageError);
  CHECK_THROWS_AS(check_options(PretextOptions{.mm_per_pixel = 0}), UsageError);
}

TEST_CASE("pretext pictures have every class equally often and depend on seed and index alone", "[data][phantom]") {
  const PretextOptions options{.seed = 1, .images = 80, .size = 64, .val_share = 0.2};
  const TemporaryFolder folder;
  const Manifest manifest = write_pretext(options, folder.path());
  std::map<std::string, std::map<std::string, int>> counts;
  for (const ManifestRow& row : manifest.rows) ++counts[row.label][row.split];
  CHECK(counts.size() == pretext_classes().size());
  for (const auto& [label, by_split] : counts) CHECK(by_split == std::map<std::string, int>{{"train", 8}, {"val", 2}});
  CHECK(make_pretext(options, 12).image == read_image(folder / manifest.rows[12].file));
  CHECK(make_pretext({.seed = 2, .images = 80, .size = 64}, 12).image != make_pretext(options, 12).image);
}

TEST_CASE("dura-phantom writes both tasks and refuses nonsense", "[apps][phantom]") {
  const TemporaryFolder folder;
  const std::string tumour = folder / "tumour", pretext = folder / "pretext";
  const test::ProgramRun run = test::run_program("dura-phantom", {"--out", tumour, "--patients", "30", "--slices", "1", "--size", "64",
                                                                  "--seed", "3", "--sheet", folder / "sheet.png"});
  CAPTURE(run.output);
  CHECK(run.code == 0);
  CHECK_THAT(run.output, Catch::Contains("Menin: ") && Catch::Contains("30 pictures"));
  CHECK(read_manifest(tumour + "/manifest.csv").rows.size() == 30);
  CHECK(read_image(folder / "sheet.png").width == 8 * 66 + 2);
  CHECK(test::run_program("dura-phantom", {"--out", pretext, "--task", "pretext", "--images", "16", "--size", "64"}).code == 0);
  CHECK(read_manifest(pretext + "/manifest.csv").rows.size() == 16);
  CHECK(test::run_program("dura-phantom", {"--out", tumour, "--size", "20"}).code == 2);
  CHECK(test::run_program("dura-phantom", {"--out", tumour, "--patients", "4"}).code == 2);
  CHECK(test::run_program("dura-phantom", {"--out", "/proc/nowhere", "--patients", "30"}).code == 1);
}
