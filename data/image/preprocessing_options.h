// How pictures are prepared for the network, as entries of a model file: what training did, every later program does.
#pragma once
#include <map>
#include <string>

#include "data/image/preprocess.h"

namespace dura {

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

}  // namespace dura
