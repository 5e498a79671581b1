// Lesions at the cells of a map: which cells count, and that batches say it of the slice as it was augmented.
#include "tests/support/catch.h"

#include "data/set/loader.h"
#include "tests/support/texture_data.h"

using namespace dura;

namespace {

// Two cells of four pixels along each side, in equal shares.
constexpr MapPlacement shares{.row_step = 0.25, .first_row = 0.125 - 0.5, .column_step = 0.25, .first_column = 0.125 - 0.5};

Image mask_of(int64_t first_row, int64_t first_column, int64_t height, int64_t width) {
  Image mask(8, 8, 1);
  for (int64_t r = 0; r < height; ++r)
    for (int64_t c = 0; c < width; ++c) mask.at(first_row + r, first_column + c) = 255;
  return mask;
}

}  // namespace

TEST_CASE("a cell counts as lesion where more than a share of it is", "[data][lesion_cells]") {
  using Cells = std::vector<uint8_t>;
  const auto cells = [](const Image& mask, double share) {
    return lesion_cells(mask, {.rows = 2, .columns = 2, .at = shares, .share = share});
  };
  CHECK(cells(mask_of(0, 0, 4, 4), 0) == Cells{1, 0, 0, 0});
  CHECK(cells(mask_of(3, 3, 2, 2), 0) == Cells{1, 1, 1, 1});  // a pixel in each
  CHECK(cells(mask_of(3, 3, 2, 2), 1.0 / 16) == Cells{0, 0, 0, 0});
  CHECK(cells(mask_of(0, 2, 4, 4), 0.49) == Cells{1, 1, 0, 0});  // half of either
  CHECK(cells(mask_of(0, 2, 4, 4), 0.5) == Cells{0, 0, 0, 0});
  CHECK(cells(mask_of(4, 0, 4, 8), 0.9) == Cells{0, 0, 1, 1});
  CHECK(cells(Image(8, 8, 1), 0) == Cells{0, 0, 0, 0});
}

TEST_CASE("a pixel belongs to the cell whose receptive field is centred nearest", "[data][lesion_cells]") {
  // Cells at pixels 0 and 4: the first has pixels 0 and 1, the second all from 2 on.
  const MapPlacement fields{.row_step = 0.25, .column_step = 0.25};
  for (int64_t c = 0; c < 8; ++c) {
    CAPTURE(c);
    const std::vector<uint8_t> found = lesion_cells(mask_of(0, c, 1, 1), {.rows = 1, .columns = 2, .at = fields});
    CHECK(found == (c < 2 ? std::vector<uint8_t>{1, 0} : std::vector<uint8_t>{0, 1}));
  }
}

TEST_CASE("a batch has the lesions of its slices as they were augmented, zeros without a mask, and nothing unless asked",
          "[data][loader][lesion_cells]") {
  const test::TextureData data({}, 3);
  const ClassNames classes({"rare", "usual"});
  const Manifest manifest = read_manifest(data.manifest());
  const Dataset dataset(manifest, rows_by_split(manifest)[Split::train], classes, Preprocessing({resize_step(32, 32)}),
                        {.folder = data.path()});
  const LesionGrid grid{.rows = 8, .columns = 8, .at = {0.25, 0.125 - 0.5, 0.25, 0.125 - 0.5}, .share = 0.5};
  LoaderOptions options{
      .batch_size = 6, .training = true, .seed = 3, .policies = {strong_augmentation(), light_augmentation()}, .items = {}};
  Loader plain(dataset, options);
  options.lesions = grid;
  Loader loader(dataset, options);
  plain.start_epoch(1);
  bool moved = false;
  int64_t with_lesion = 0;
  for (loader.start_epoch(1); loader.next();) {
    REQUIRE(plain.next());
    const Batch& batch = loader.batch();
    CHECK_FALSE(plain.batch().lesion.defined());
    CHECK(std::equal(batch.images.data<uint8_t>(), batch.images.data<uint8_t>() + batch.images.numel(),
                     plain.batch().images.data<uint8_t>()));
    REQUIRE(batch.lesion.shape() == Shape{6, 8, 8});
    for (size_t n = 0; n < 6; ++n) {
      const uint8_t* cells = batch.lesion.data<uint8_t>() + n * 64;
      const Image mask = dataset.mask(batch.samples[n]);
      const std::vector<uint8_t> expected =
          mask.empty() ? std::vector<uint8_t>(64) : lesion_cells(warp_mask(mask, batch.augmentations[n]), grid);
      CHECK(std::vector<uint8_t>(cells, cells + 64) == expected);
      if (mask.empty()) continue;
      ++with_lesion;
      moved = moved || expected != lesion_cells(mask, grid);
    }
  }
  CHECK(with_lesion == 8);
  CHECK(moved);

  // Where processes share a batch, each has the lesions of its own rows.
  Loader whole(dataset, options);
  whole.start_epoch(1);
  options.part = 1, options.parts = 2;
  Loader second(dataset, options);
  for (second.start_epoch(1); second.next();) {
    REQUIRE(whole.next());
    REQUIRE(second.batch().lesion.shape() == Shape{3, 8, 8});
    const uint8_t* own = second.batch().lesion.data<uint8_t>();
    CHECK(std::equal(own, own + 3 * 64, whole.batch().lesion.data<uint8_t>() + 3 * 64));
  }
}
