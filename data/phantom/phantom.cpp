#include "data/phantom/phantom.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iomanip>
#include <numeric>

#include "data/image/codec.h"
#include "data/phantom/phantom_field.h"
#include "engine/base/file.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"

namespace dura {

namespace {

uint64_t patient_key(const PhantomOptions& options, int64_t patient) {
  return formula::mix64(random_key(options.seed, "phantom patient") + static_cast<uint64_t>(patient));
}

int64_t meningiomas_before(const PhantomOptions& options, int64_t patient) {
  return static_cast<int64_t>(std::floor(static_cast<double>(patient) * options.meningioma_share + 1e-9));
}

struct SplitCounts {
  int64_t all, val, test;
};
SplitCounts split_counts(const PhantomOptions& options, LesionKind kind) {
  const int64_t rare = meningiomas_before(options, options.patients), all = kind == LesionKind::meningioma ? rare : options.patients - rare;
  const auto part = [&](double share) { return static_cast<int64_t>(std::llround(share * static_cast<double>(all))); };
  return {all, part(options.val_share), part(options.test_share)};
}

// The patients of a class in shuffled order: the first are the test set's, then validation's. So every split has its share of each class.
Split split_of(const PhantomOptions& options, int64_t patient) {
  const LesionKind kind = phantom_kind(options, patient);
  const SplitCounts counts = split_counts(options, kind);
  std::vector<int64_t> order(static_cast<size_t>(counts.all));
  std::iota(order.begin(), order.end(), int64_t{0});
  Random random(random_key(options.seed, "phantom split"), static_cast<uint64_t>(kind));
  random.shuffle(order);
  const int64_t before = meningiomas_before(options, patient),
                rank = order[static_cast<size_t>(kind == LesionKind::meningioma ? before : patient - before)];
  return rank < counts.test ? Split::test : rank < counts.test + counts.val ? Split::val : Split::train;
}

struct Pose {
  float cos_turn, sin_turn;
  Point shift;
  Point to_head(Point p) const {
    const Point q = p - shift;
    return {cos_turn * q.x + sin_turn * q.y, cos_turn * q.y - sin_turn * q.x};
  }
};

}  // namespace

// The rare class is spread evenly over the patients' numbers.
LesionKind phantom_kind(const PhantomOptions& options, int64_t patient) {
  return meningiomas_before(options, patient + 1) > meningiomas_before(options, patient) ? LesionKind::meningioma : LesionKind::glioma;
}

void check_options(const PhantomOptions& o) {
  const auto require = [](bool right, const auto&... parts) {
    if (!right) fail_usage(parts...);
  };
  require(o.size >= 64 && o.size <= 512, "phantoms are 64 to 512 pixels wide, ", o.size, " was asked for");
  require(o.patients >= 2 && o.patients <= 1000000, "phantoms need 2 to 1000000 patients, ", o.patients, " were asked for");
  require(o.slices_per_patient >= 1 && o.slices_per_patient <= 64, "a phantom patient has 1 to 64 slices, ", o.slices_per_patient,
          " were asked for");
  require(o.meningioma_share > 0 && o.meningioma_share < 1, "the share of meningiomas must lie between 0 and 1, it is ",
          o.meningioma_share);
  require(o.val_share >= 0 && o.test_share >= 0 && o.val_share + o.test_share < 1, "the shares of validation and test patients, ",
          o.val_share, " and ", o.test_share, ", must not be negative and must leave patients to train on");
  for (LesionKind kind : {LesionKind::meningioma, LesionKind::glioma}) {
    const SplitCounts c = split_counts(o, kind);
    require(c.all > c.val + c.test && (c.val > 0 || o.val_share == 0) && (c.test > 0 || o.test_share == 0), o.patients,
            " patients are too few: ", c.all, " with ", kind == LesionKind::meningioma ? "meningioma" : "glioma",
            " cannot fill all splits; ask for more patients");
  }
}

Phantom make_phantom(const PhantomOptions& options, int64_t index) {
  DURA_CHECK(index >= 0 && index < options.images(), "phantom ", index, " of ", options.images(), " does not exist");
  Phantom result;
  result.patient = index / options.slices_per_patient, result.slice = index % options.slices_per_patient;
  result.kind = phantom_kind(options, result.patient);
  result.split = split_of(options, result.patient);
  result.mm_per_pixel = phantom_width_mm / static_cast<double>(options.size);

  const uint64_t key = patient_key(options, result.patient);
  const Head head(key);
  const Lesion lesion(key, result.kind, head);
  result.place = lesion.place();

  // Slices are spread over the middle of the lesion, where it is still large enough to be told apart.
  Random random(random_key(key, "pose"));
  const auto turn = static_cast<float>(random.uniform(-0.17, 0.17));
  const Pose pose = {
      std::cos(turn), std::sin(turn), {static_cast<float>(random.uniform(-5, 5)), static_cast<float>(random.uniform(-4, 4))}};
  const double spread = (static_cast<double>(result.slice) + random.uniform(0.2, 0.8)) / static_cast<double>(options.slices_per_patient);
  const float level = lesion.level() + lesion.half_height() * static_cast<float>(1.1 * (spread - 0.5));
  const Head::Slice head_slice(head, std::clamp(level, lowest_level_mm, highest_level_mm));
  const Lesion::Slice lesion_slice(lesion, head_slice);

  const int64_t n = options.size;
  result.mask = Image(n, n, 1), result.brain = Image(n, n, 1);
  std::vector<float> brightness(static_cast<size_t>(n * n));
  int64_t area = 0;
  for (int64_t row = 0; row < n; ++row)
    for (int64_t column = 0; column < n; ++column) {
      const auto mm = [&](int64_t i) {
        return static_cast<float>((static_cast<double>(i) + 0.5) * result.mm_per_pixel - phantom_width_mm / 2);
      };
      const Point p = pose.to_head({mm(column), mm(row)});
      const float light = head_slice.brightness(p, lesion_slice.displaced_from(p));
      brightness[static_cast<size_t>(row * n + column)] = lesion_slice.paint(light, p);
      const bool inside = lesion_slice.inside(p) > 0;
      area += inside;
      result.mask.at(row, column) = inside ? 255 : 0;
      result.brain.at(row, column) = head_slice.brain_depth(p) > 0 ? 255 : 0;
    }
  result.lesion_mm = 2 * std::sqrt(static_cast<double>(area) / 3.14159265358979) * result.mm_per_pixel;
  result.image = scan(brightness, n, result.mm_per_pixel, key, static_cast<uint64_t>(result.slice));
  return result;
}

Manifest write_phantoms(const PhantomOptions& options, const std::string& directory) {
  check_options(options);
  namespace fs = std::filesystem;
  for (const char* folder : {"images", "masks", "brains"}) make_folder(fs::path(directory) / folder);
  Manifest manifest;
  manifest.name = (fs::path(directory) / "manifest.csv").string();
  manifest.columns = {"file", "label", "split", "group", "patient", "mask", "mm_per_pixel", "lesion_mm", "place", "slice", "brain"};
  manifest.rows.resize(static_cast<size_t>(options.images()));
  parallel_for(options.images(), [&](int64_t i) {
    const Phantom phantom = make_phantom(options, i);
    const std::string patient = concat('p', std::setw(5), std::setfill('0'), phantom.patient);
    const std::string file = concat(patient, "_s", phantom.slice, ".png");
    const auto write = [&](const char* folder, const Image& image) {
      const std::string path = concat(folder, "/", file);
      write_png((fs::path(directory) / path).string(), image);
      return path;
    };
    ManifestRow& row = manifest.rows[static_cast<size_t>(i)];
    row.file = write("images", phantom.image), row.mask = write("masks", phantom.mask);
    row.label = phantom.kind == LesionKind::meningioma ? "Menin" : "Glioma", row.split = split_name(phantom.split);
    row.group = row.patient = patient, row.mm_per_pixel = phantom.mm_per_pixel;
    row.extra = {concat(std::fixed, std::setprecision(1), phantom.lesion_mm), place_name(phantom.place), std::to_string(phantom.slice),
                 write("brains", phantom.brain)};
  });
  write_manifest(manifest.name, manifest);
  return manifest;
}

}  // namespace dura
