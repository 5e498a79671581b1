// From decoded slices to the network's input. Every slice goes through fixed steps once, before it is cached. Their description is part of
// what a model was trained with: a model must never see slices prepared in another way than it learnt from.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/image/image.h"
#include "engine/core/tensor.h"

namespace dura {

struct PreprocessStep {
  std::string name;  // with its parameters, "resize 224x224"
  std::function<Image(Image)> slice;
  std::function<Image(Image)> mask = {};  // where a step moves pixels, its mask must move alike; empty where it does not
  int64_t height = 0, width = 0;          // of what it makes; 0: as before
};

PreprocessStep resize_step(int64_t height, int64_t width);  // antialiased for slices, nearest pixel for masks

class Preprocessing {
 public:
  Preprocessing() = default;
  explicit Preprocessing(std::vector<PreprocessStep> steps) : steps_(std::move(steps)) {}

  Image slice(Image image) const;
  Image mask(Image mask) const;
  const std::vector<PreprocessStep>& steps() const { return steps_; }
  // (height, width) of a slice afterwards, from those before.
  std::pair<int64_t, int64_t> extent(int64_t height, int64_t width) const;
  std::string description() const;  // the names in order, "; " between them; "none"

 private:
  std::vector<PreprocessStep> steps_;
};

// How pictures are prepared for the network, as entries of a model file: what training did, every later program does.
// The metadata of a model file, text by name.
using Entries = std::map<std::string, std::string>;
// Error naming `file` and the entry where it is missing, or no number in this range.
const std::string& required_entry(const Entries& entries, const std::string& key, const std::string& file);
double number_entry(const Entries& entries, const std::string& key, double low, double high, const std::string& file);

struct PreprocessingOptions {
  int64_t size = 224;            // height and width
  std::string denoise = "none";  // none, median3, median5, salt-and-pepper
  double clahe = 0;              // clip limit; 0: no CLAHE
  int64_t clahe_tiles = 8;       // in either direction

  static const std::vector<std::string>& denoisers();
  // Noise removal, CLAHE, resize: the first two at the picture's own resolution, where a noise pixel is one pixel.
  Preprocessing steps() const;

  // dura.size, dura.denoise, dura.clahe, dura.clahe_tiles
  Entries metadata() const;
  // Entries other than dura.size may be missing: then the step is not taken. Error naming `file` and the entry that makes no sense.
  static PreprocessingOptions from_metadata(const Entries& entries, const std::string& file);
};

// Pictures side by side, as a network takes them: u8 (N,H,W,3) on the CPU. They must have one size; a gray one gets three equal channels.
Tensor rgb_batch(const std::vector<Image>& pictures);

}  // namespace dura
