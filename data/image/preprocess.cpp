#include "data/image/preprocess.h"

#include "data/image/median.h"
#include "data/image/resize.h"
#include "data/image/salt_and_pepper.h"

namespace dura {

PreprocessStep resize_step(int64_t height, int64_t width) {
  DURA_CHECK(height > 0 && width > 0, "resize: to ", height, "x", width, " pixels, both must be positive");
  return {concat("resize ", height, "x", width), [=](Image image) { return resize_bilinear(image, height, width); },
          [=](Image mask) { return resize_nearest(mask, height, width); }};
}

PreprocessStep clahe_step(const ClaheOptions& options) {
  check_options(options);
  return {concat("CLAHE ", options.clip_limit, " ", options.tiles_y, "x", options.tiles_x),
          [=](Image image) { return clahe(image, options); },
          {}};
}

PreprocessStep median_step(int64_t width) {
  return {concat("median ", width, "x", width), [=](Image image) { return median_filter(image, width); }, {}};
}

PreprocessStep salt_and_pepper_step() {
  return {"salt-and-pepper removal", [](Image image) { return remove_salt_and_pepper(image); }, {}};
}

Image Preprocessing::slice(Image image) const {
  for (const PreprocessStep& step : steps_) image = step.slice(std::move(image));
  return image;
}

Image Preprocessing::mask(Image mask) const {
  for (const PreprocessStep& step : steps_)
    if (step.mask) mask = step.mask(std::move(mask));
  return mask;
}

std::string Preprocessing::description() const {
  std::string text;
  for (const PreprocessStep& step : steps_) text += (text.empty() ? "" : "; ") + step.name;
  return text.empty() ? "none" : text;
}

}  // namespace dura
