#include "data/image/preprocess.h"

#include "data/image/resize.h"
#include "engine/base/text.h"

namespace dura {

PreprocessStep resize_step(int64_t height, int64_t width) {
  DURA_CHECK(height > 0 && width > 0, "resize: to ", height, "x", width, " pixels, both must be positive");
  return {concat("resize ", height, "x", width), [=](Image image) { return resize_bilinear(image, height, width); },
          [=](Image mask) { return resize_nearest(mask, height, width); }};
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
  std::vector<std::string> names;
  for (const PreprocessStep& step : steps_) names.push_back(step.name);
  return names.empty() ? "none" : joined(names, "; ");
}

}  // namespace dura
