// Pictures that a device keeps and augments: the rows that it makes of them are the host's, byte for byte.
#include "tests/support/catch.h"

#include "apps/training/device_pictures.h"
#include "tests/support/cuda_under_test.h"
#include "tests/support/slices.h"

using namespace dura;
using test::cuda_under_test;
using test::Slices;

namespace {

LoaderOptions options(int64_t raw_from) {
  AugmentPolicy bright = light_augmentation();
  bright.brightness_low = 0.8, bright.brightness_high = 1.2;
  return {.batch_size = 6, .training = true, .seed = 3, .workers = 0, .policies = {strong_augmentation(), bright}, .raw_from = raw_from};
}

}  // namespace

TEST_CASE("the rows of a batch that a device makes of its pictures are the host's, whatever it keeps of them", "[training][cuda-sim]") {
  const Slices slices(15);
  const Dataset dataset = slices.dataset();
  const size_t one = 20 * 20 * 3;
  for (const int64_t kept : {15, 7, 0})
    for (const int64_t rows : {6, 2}) {  // a batch at once, and by lanes
      CAPTURE(kept, rows);
      DevicePictures pictures(dataset, cuda_under_test(), rows, one * (kept == 15 ? 99 : static_cast<size_t>(kept)) + one / 2);
      REQUIRE(pictures.kept() == kept);
      Loader host(dataset, options(-1)), device(dataset, options(kept));
      const Tensor images = Tensor::empty({rows, 20, 20, 3}, DType::u8, cuda_under_test());
      for (const int64_t epoch : {0, 1})
        for (host.start_epoch(epoch), device.start_epoch(epoch); host.next();) {
          REQUIRE(device.next());
          CHECK(device.batch().images.defined() == (kept < 15));
          for (int64_t first = 0; first < 6; first += rows) {
            pictures.make(device.batch(), first, images);
            const Tensor expected = host.batch().images.slice(first * static_cast<int64_t>(one), images.shape());
            std::vector<uint8_t> found(static_cast<size_t>(images.numel()));
            backend(images.device()).download(images, found.data());
            CHECK(std::equal(found.begin(), found.end(), expected.data<uint8_t>()));
          }
        }
    }
}

TEST_CASE("a batch without the pictures that a device lacks is refused", "[training][cuda-sim]") {
  const Slices slices(8);
  const Dataset dataset = slices.dataset();
  DevicePictures pictures(dataset, cuda_under_test(), 6, 0);
  Loader loader(dataset, options(8));
  loader.start_epoch(0);
  REQUIRE(loader.next());
  const Tensor images = Tensor::empty({6, 20, 20, 3}, DType::u8, cuda_under_test());
  CHECK_THROWS_WITH(pictures.make(loader.batch(), 0, images), Catch::Contains("neither kept nor in the batch"));
  CHECK_THROWS_WITH(pictures.make(loader.batch(), 1, images), Catch::Contains("rows 1 to 7 of a batch of 6"));
}
