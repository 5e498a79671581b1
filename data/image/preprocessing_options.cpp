#include "data/image/preprocessing_options.h"

#include <algorithm>
#include <cstdlib>

#include "engine/base/check.h"

namespace dura {
namespace {

double number(const std::map<std::string, std::string>& entries, const std::string& key, double low, double high, const std::string& file) {
  const std::string& text = entries.at(key);
  char* end = nullptr;
  const double v = std::strtod(text.c_str(), &end);
  DURA_CHECK(!text.empty() && *end == '\0' && v >= low && v <= high, file, ": the metadata entry '", key, "' is '", text,
             "', expected a number from ", low, " to ", high);
  return v;
}

}  // namespace

const std::vector<std::string>& PreprocessingOptions::denoisers() {
  static const std::vector<std::string> names = {"none", "median3", "median5", "salt-and-pepper"};
  return names;
}

Preprocessing PreprocessingOptions::steps() const {
  std::vector<PreprocessStep> all;
  if (denoise == "median3") all.push_back(median_step(3));
  if (denoise == "median5") all.push_back(median_step(5));
  if (denoise == "salt-and-pepper") all.push_back(salt_and_pepper_step());
  if (clahe > 0) all.push_back(clahe_step({.clip_limit = clahe, .tiles_y = clahe_tiles, .tiles_x = clahe_tiles}));
  all.push_back(resize_step(size, size));
  return Preprocessing(std::move(all));
}

std::map<std::string, std::string> PreprocessingOptions::metadata() const {
  return {{"dura.size", std::to_string(size)},
          {"dura.denoise", denoise},
          {"dura.clahe", concat(clahe)},
          {"dura.clahe_tiles", std::to_string(clahe_tiles)}};
}

PreprocessingOptions PreprocessingOptions::from_metadata(const std::map<std::string, std::string>& entries, const std::string& file) {
  PreprocessingOptions o;
  DURA_CHECK(entries.count("dura.size"), file,
             ": the metadata entry 'dura.size' is missing. A model written by dura-train is expected here.");
  o.size = static_cast<int64_t>(number(entries, "dura.size", 32, 8192, file));
  if (const auto found = entries.find("dura.denoise"); found != entries.end()) o.denoise = found->second;
  DURA_CHECK(std::find(denoisers().begin(), denoisers().end(), o.denoise) != denoisers().end(), file,
             ": the metadata entry 'dura.denoise' is '", o.denoise, "', which this version of dura does not know");
  if (entries.count("dura.clahe")) o.clahe = number(entries, "dura.clahe", 0, 1000, file);
  if (entries.count("dura.clahe_tiles")) o.clahe_tiles = static_cast<int64_t>(number(entries, "dura.clahe_tiles", 1, 256, file));
  return o;
}

}  // namespace dura
