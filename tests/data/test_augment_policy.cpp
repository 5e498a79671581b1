#include "tests/support/catch.h"

#include <cmath>

#include "data/set/augment.h"
#include "engine/base/check.h"

using namespace dura;
using Catch::Contains;

namespace {

AugmentPolicy parsed(const std::string& text, const AugmentPolicy& base = {}) { return parse_augment_policy(text, base, "Menin"); }

template <class F>
std::string usage_error(F&& act) {
  try {
    act();
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}
std::string error_of(const std::string& text) {
  return usage_error([&] { parsed(text); });
}

}  // namespace

TEST_CASE("every parameter of an augmentation can be written", "[data][augment]") {
  CHECK(parsed("rotation=12.5") == AugmentPolicy{.rotation = 12.5});
  CHECK(parsed("hflip=0.5") == AugmentPolicy{.horizontal_flip = 0.5});
  CHECK(parsed("vflip=1") == AugmentPolicy{.vertical_flip = 1});
  CHECK(parsed("shift=0.1") == AugmentPolicy{.shift = 0.1});
  CHECK(parsed("zoom=0.7:1.3") == AugmentPolicy{.zoom_low = 0.7, .zoom_high = 1.3});
  CHECK(parsed("zoom_axes=apart") == AugmentPolicy{.zoom_axes_apart = true});
  CHECK(parsed("sharpness=1:3") == AugmentPolicy{.sharpness_low = 1, .sharpness_high = 3});
  CHECK(parsed("sharpness_p=0.25") == AugmentPolicy{.sharpness_probability = 0.25});
  CHECK(parsed("brightness=0.8:1") == AugmentPolicy{.brightness_low = 0.8, .brightness_high = 1});
  CHECK(parsed("contrast=1:1.5") == AugmentPolicy{.contrast_low = 1, .contrast_high = 1.5});
}

TEST_CASE("a single number is a range about 1, and parts add up", "[data][augment]") {
  CHECK(parsed("zoom=0.15") == AugmentPolicy{.zoom_low = 1 - 0.15, .zoom_high = 1 + 0.15});
  CHECK(parsed("rotation=20,hflip=0.5,vflip=0.5,zoom=0.15,sharpness=0.3") == AugmentPolicy{.rotation = 20,
                                                                                           .horizontal_flip = 0.5,
                                                                                           .vertical_flip = 0.5,
                                                                                           .zoom_low = 1 - 0.15,
                                                                                           .zoom_high = 1 + 0.15,
                                                                                           .sharpness_low = 1 - 0.3,
                                                                                           .sharpness_high = 1 + 0.3});
}

TEST_CASE("a set comes first and replaces what was, and without one what was is changed", "[data][augment]") {
  CHECK(parsed("strong") == strong_augmentation());
  CHECK(parsed("none", strong_augmentation()).changes_nothing());
  AugmentPolicy turned = light_augmentation();
  turned.rotation = 40;
  CHECK(parsed("light,rotation=40", strong_augmentation()) == turned);
  CHECK(parsed("rotation=40", light_augmentation()) == turned);
  AugmentPolicy together = light_augmentation();
  together.zoom_axes_apart = true;
  CHECK(parsed("zoom_axes=together", together) == light_augmentation());
}

TEST_CASE("the text of an augmentation reads back as the same", "[data][augment]") {
  CHECK(describe(AugmentPolicy{}) == "none");
  CHECK(describe(light_augmentation()) == "rotation=5,hflip=0.5,zoom=0.95:1.05");
  for (const char* text : {"none", "light", "strong", "zoom=0.1", "zoom=0.3,zoom_axes=apart", "shift=0.3333333333333333",
                           "rotation=1e-3,vflip=0.1,sharpness=0:0.5,sharpness_p=0,brightness=0.7,contrast=2:10"}) {
    CAPTURE(text);
    CHECK(parsed(describe(parsed(text))) == parsed(text));
  }
}

TEST_CASE("augmentation that cannot be is refused, with what was found and what was expected", "[data][augment]") {
  CHECK_THAT(error_of("rotation=steep"), Contains("Menin: rotation is 'steep', expected degrees from 0 to 180"));
  CHECK_THAT(error_of("rotation"), Contains("rotation is '', expected degrees"));
  CHECK_THAT(error_of("rotation=10:20"), Contains("expected degrees"));
  CHECK_THAT(error_of("rotation=-5"), Contains("rotation is -5, it must be from 0 to 180"));
  CHECK_THAT(error_of("rotation=nan"), Contains("expected degrees"));
  CHECK_THAT(error_of("hflip=1.5"), Contains("hflip is 1.5, it must be from 0 to 1"));
  CHECK_THAT(error_of("vflip=yes"), Contains("expected a probability from 0 to 1"));
  CHECK_THAT(error_of("zoom=0.8-1.2"), Contains("zoom is '0.8-1.2', expected LOW:HIGH as in 0.8:1.2"));
  CHECK_THAT(error_of("zoom=0.8:"), Contains("LOW:HIGH"));
  CHECK_THAT(error_of("zoom=-0.1"), Contains("LOW:HIGH"));
  CHECK_THAT(error_of("zoom=1.2:0.8"), Contains("the range of zoom is reversed, 1.2 to 0.8"));
  CHECK_THAT(error_of("zoom=1"), Contains("zoom is 0, it must be from 0.1 to 10"));
  CHECK_THAT(error_of("sharpness=1:99"), Contains("sharpness is 99"));
  CHECK_THAT(error_of("zoom_axes=both"), Contains("zoom_axes is 'both', expected together or apart"));
  CHECK_THAT(error_of("rotate=5"), Contains("there is no 'rotate'") && Contains("rotation, hflip, vflip, shift, zoom, "));
  CHECK_THAT(error_of("wild"), Contains("there is no 'wild'") && Contains("none, light or strong"));
  CHECK_THAT(error_of(""), Contains("there is no ''"));
  CHECK_THAT(error_of("rotation=5,"), Contains("there is no ''"));
  CHECK_THAT(error_of("rotation=5,rotation=6"), Contains("rotation is given twice"));
  CHECK_THAT(error_of("rotation=5,light"), Contains("'light' must stand first"));
  // As the loader checks what a program sets without a text.
  CHECK_THAT(usage_error([] { AugmentPolicy{.rotation = std::nan("")}.check("Menin"); }), Contains("Menin: rotation is nan"));
  CHECK_THAT(usage_error([] { AugmentPolicy{.contrast_low = 3, .contrast_high = 2}.check("Menin"); }), Contains("reversed"));
  CHECK(usage_error([] { strong_augmentation().check("Menin"); }).empty());
}
