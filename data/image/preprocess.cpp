#include "data/image/preprocess.h"

#include <algorithm>

#include "data/image/enhancement.h"
#include "data/image/resize.h"
#include "engine/base/text.h"

namespace dura {

PreprocessStep resize_step(int64_t height, int64_t width) {
  DURA_CHECK(height > 0 && width > 0, "resize: to ", height, "x", width, " pixels, both must be positive");
  return {concat("resize ", height, "x", width), [=](Image image) { return resize_bilinear(image, height, width); },
          [=](Image mask) { return resize_nearest(mask, height, width); }, height, width};
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

std::pair<int64_t, int64_t> Preprocessing::extent(int64_t height, int64_t width) const {
  for (const PreprocessStep& step : steps_)
    if (step.height > 0) height = step.height, width = step.width;
  return {height, width};
}

std::string Preprocessing::description() const {
  std::vector<std::string> names;
  for (const PreprocessStep& step : steps_) names.push_back(step.name);
  return names.empty() ? "none" : joined(names, "; ");
}

const std::string& required_entry(const Entries& entries, const std::string& key, const std::string& file) {
  const auto found = entries.find(key);
  DURA_CHECK(found != entries.end(), file, ": the metadata entry '", key,
             "' is missing. A model written by dura-train is expected here; dura-convert --classes makes one of other weights.");
  return found->second;
}

double number_entry(const Entries& entries, const std::string& key, double low, double high, const std::string& file) {
  const std::string& text = required_entry(entries, key, file);
  const std::optional<double> v = parse_number(text);
  DURA_CHECK(v && *v >= low && *v <= high, file, ": the metadata entry '", key, "' is '", text, "', expected a number from ", low, " to ",
             high);
  return *v;
}

const std::vector<std::string>& PreprocessingOptions::denoisers() {
  static const std::vector<std::string> names = {"none", "median3", "median5", "salt-and-pepper"};
  return names;
}

Preprocessing PreprocessingOptions::steps() const {
  std::vector<PreprocessStep> all;
  const auto add = [&](std::string name, std::function<Image(Image)> step) {
    all.push_back({.name = std::move(name), .slice = std::move(step)});
  };
  if (denoise == "median3") add("median 3x3", [](Image image) { return median_filter(image, 3); });
  if (denoise == "median5") add("median 5x5", [](Image image) { return median_filter(image, 5); });
  if (denoise == "salt-and-pepper") add("salt-and-pepper removal", [](Image image) { return remove_salt_and_pepper(image); });
  if (clahe > 0) {
    const ClaheOptions o = {.clip_limit = clahe, .tiles_y = clahe_tiles, .tiles_x = clahe_tiles};
    check_options(o);
    add(concat("CLAHE ", o.clip_limit, " ", o.tiles_y, "x", o.tiles_x), [o](Image image) { return dura::clahe(image, o); });
  }
  all.push_back(resize_step(size, size));
  return Preprocessing(std::move(all));
}

Entries PreprocessingOptions::metadata() const {
  return {{"dura.size", std::to_string(size)},
          {"dura.denoise", denoise},
          {"dura.clahe", concat(clahe)},
          {"dura.clahe_tiles", std::to_string(clahe_tiles)}};
}

PreprocessingOptions PreprocessingOptions::from_metadata(const Entries& entries, const std::string& file) {
  PreprocessingOptions o;
  o.size = static_cast<int64_t>(number_entry(entries, "dura.size", 32, 8192, file));
  if (const auto found = entries.find("dura.denoise"); found != entries.end()) o.denoise = found->second;
  DURA_CHECK(std::find(denoisers().begin(), denoisers().end(), o.denoise) != denoisers().end(), file,
             ": the metadata entry 'dura.denoise' is '", o.denoise, "', which this version of dura does not know");
  if (entries.count("dura.clahe")) o.clahe = number_entry(entries, "dura.clahe", 0, 1000, file);
  if (entries.count("dura.clahe_tiles")) o.clahe_tiles = static_cast<int64_t>(number_entry(entries, "dura.clahe_tiles", 1, 256, file));
  return o;
}

Tensor rgb_batch(const std::vector<Image>& pictures) {
  DURA_CHECK(!pictures.empty(), "a batch of no pictures was asked for");
  const int64_t height = pictures.front().height, width = pictures.front().width;
  const Tensor batch = Tensor::empty({std::ssize(pictures), height, width, 3}, DType::u8, Device::cpu, "images");
  uint8_t* to = batch.data<uint8_t>();
  for (const Image& p : pictures) {
    DURA_CHECK(p.height == height && p.width == width, "a batch holds pictures of ", height, "x", width, " and of ", p.height, "x", p.width,
               " pixels. Resize all to one size.");
    const Image rgb = to_rgb(p);
    to = std::copy(rgb.pixels.begin(), rgb.pixels.end(), to);
  }
  return batch;
}

}  // namespace dura
