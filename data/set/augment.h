// How training pictures are varied: what a class may be given, and what one sample of an epoch is given.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "data/image/image.h"

namespace dura {

// What augmentation may do to a class: ranges and probabilities, by name. Named sets of them ("strong", "light"), and the text in which a
// user writes them: "strong,rotation=30,zoom=0.8:1.2". Invariant: parse_augment_policy(describe(p), {}) gives p again.

// Ranges are uniform.
struct AugmentPolicy {
  double rotation = 0;                           // degrees, either way
  double horizontal_flip = 0;                    // probability
  double vertical_flip = 0;                      // probability
  double zoom_low = 1, zoom_high = 1;            // magnification: above 1 shows less of the slice, larger
  bool zoom_axes_apart = false;                  // height and width drawn independently, as Keras does: changes the shape of things
  double shift = 0;                              // share of the side, either way
  double sharpness_low = 1, sharpness_high = 1;  // as in PIL: 0 smoothed, 1 as it is, 2 sharpened
  // Of drawing a sharpness at all. Below 1 where classes have different policies: if every slice of one class is sharpened and none of
  // the others is, sharpening itself tells the classes apart.
  double sharpness_probability = 1;
  double brightness_low = 1, brightness_high = 1;  // factor
  double contrast_low = 1, contrast_high = 1;      // factor about grey level 128

  bool operator==(const AugmentPolicy&) const = default;
  bool changes_nothing() const { return *this == AugmentPolicy{}; }
  // Throws UsageError naming `who` and the value where a range is reversed or absurd (zoom 0, probability above 1).
  void check(const std::string& who) const;
};

AugmentPolicy
strong_augmentation();               // for the rare class: rotation 20, both flips, zoom 0.8 to 1.2, half of the slices sharpened by 1 to 2
AugmentPolicy light_augmentation();  // for the others: rotation 5, horizontal flip, zoom 0.95 to 1.05

// A comma between the parts. The first part may be a set: none, light, strong; without one, `base` is changed. The others are
// rotation=DEGREES, shift=SHARE, hflip=P, vflip=P, sharpness_p=P, zoom_axes=together|apart, and for zoom, sharpness, brightness and
// contrast NAME=LOW:HIGH, or NAME=D for 1-D to 1+D. UsageError naming `who`, what was found and what was expected; checked.
AugmentPolicy parse_augment_policy(const std::string& text, const AugmentPolicy& base, const std::string& who);
// The parts that differ from nothing, with the shortest digits that read back the same; "none".
std::string describe(const AugmentPolicy& policy);

// Augmentation: the parameters of the small random changes that a slice undergoes each time it is trained on. Here only numbers are drawn,
// as a function of (seed, row key) alone; the pixels are made by the kernels `warp` and `enhance`, on whatever device. So a slice looks the
// same in an epoch whatever the number of loader threads, the batch order, or the device.
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
