// Augmentation: the parameters of the small random changes that a slice undergoes each time it is trained on. Here only numbers are drawn,
// as a function of (seed, row key) alone; the pixels are made by the kernels `warp` and `enhance`, on whatever device. So a slice looks the
// same in an epoch whatever the number of loader threads, the batch order, or the device.
#pragma once
#include <array>
#include <cstdint>

#include "data/set/augment_policy.h"
#include "data/image/image.h"

namespace dura {

// The parameters of one slice in one epoch.
struct Augmentation {
  std::array<float, 6> matrix = {1, 0, 0,
                                 0, 1, 0};  // (row, column) in the slice = M (i, j, 1), for `warp`; exact identity where nothing changes
  float sharpness = 1, brightness = 1, contrast = 1;  // for `enhance`

  bool operator==(const Augmentation&) const = default;
};

// For images of this size. `row_key` is make_row_key(sample, epoch, variant). Every number is drawn whatever the policy, in a fixed
// order: changing one range does not change the others' draws.
Augmentation draw_augmentation(const AugmentPolicy& policy, uint64_t seed, uint64_t row_key, int64_t height, int64_t width);

// The slice through warp and enhance; each is left out where it would change nothing.
Image augmented(Image image, const Augmentation& augmentation);
// A mask moved as its slice was; values above half are inside.
Image warp_mask(const Image& mask, const Augmentation& augmentation);

}  // namespace dura
