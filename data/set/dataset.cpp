#include "data/set/dataset.h"

#include <algorithm>
#include <filesystem>

#include "data/image/codec.h"
#include "engine/base/log.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"

namespace dura {

struct Dataset::Decoded {
  Image image;                    // preprocessed
  int64_t height = 0, width = 0;  // of the file
  std::string error;              // not empty: bad
};

Dataset::Dataset(const Manifest& manifest, const std::vector<int64_t>& rows, const ClassNames& classes, Preprocessing preprocessing,
                 DatasetOptions options)
    : preprocessing_(std::move(preprocessing)), options_(std::move(options)), class_counts_(static_cast<size_t>(classes.size()), 0) {
  DURA_CHECK(!rows.empty(), manifest.name, ": no rows for this split");
  const std::vector<int32_t> labels = class_indices(manifest, rows, classes, options_.require_all_classes);
  std::vector<Sample> candidates;
  for (size_t i = 0; i < rows.size(); ++i) {
    const ManifestRow& row = manifest.rows[static_cast<size_t>(rows[i])];
    candidates.push_back({.file = row.file,
                          .mask = row.mask,
                          .label = labels[i],
                          .row = rows[i],
                          .key = hash_name(row.file),
                          .mm_per_pixel = row.mm_per_pixel});
  }
  load(std::move(candidates));
  for (int64_t c = 0; options_.require_all_classes && c < classes.size(); ++c)
    DURA_CHECK(class_counts_[static_cast<size_t>(c)] > 0, manifest.name, ": every image of class ", classes[c], " is bad");
}

Dataset::Decoded Dataset::decode(const Sample& sample) const {
  Image image = read_image((std::filesystem::path(options_.folder) / sample.file).string());
  Decoded decoded{.image = {}, .height = image.height, .width = image.width, .error = {}};
  decoded.image = one_channel_if_gray(preprocessing_.slice(std::move(image)));
  return decoded;
}

// By chunks: decoded side by side, then stored in order until the cache is full. So neither the memory in between nor the number of threads
// decides what is kept.
void Dataset::load(std::vector<Sample> candidates) {
  constexpr size_t chunk = 256;
  std::vector<Decoded> decoded(std::min(chunk, candidates.size()));
  for (size_t begin = 0; begin < candidates.size(); begin += chunk) {
    const size_t count = std::min(chunk, candidates.size() - begin);
    parallel_for(static_cast<int64_t>(count), [&](int64_t k) {
      try {
        decoded[static_cast<size_t>(k)] = decode(candidates[begin + static_cast<size_t>(k)]);
      } catch (const Error& e) {
        decoded[static_cast<size_t>(k)].error = e.what();
      }
    });
    for (size_t k = 0; k < count; ++k) {
      Decoded d = std::move(decoded[k]);
      decoded[k] = {};
      Sample& sample = candidates[begin + k];
      if (!d.error.empty()) {
        log_warning("bad image, left out: ", d.error);
        bad_images_.push_back({sample.file, d.error});
        continue;
      }
      if (height_ == 0) height_ = d.image.height, width_ = d.image.width;
      DURA_CHECK(d.image.height == height_ && d.image.width == width_, sample.file, ": ", d.image.height, "x", d.image.width,
                 " pixels after preprocessing (", preprocessing_.description(), "), the slices before it have ", height_, "x", width_,
                 ". Resize all to one size.");
      sample.height = d.height, sample.width = d.width;
      ++class_counts_[static_cast<size_t>(sample.label)];
      const uint64_t bytes = d.image.pixels.size();
      const bool fits = cached_bytes_ + bytes <= options_.cache_bytes;
      if (fits) cached_bytes_ += bytes, ++cached_images_;
      cache_.push_back(fits ? std::move(d.image) : Image());
      samples_.push_back(std::move(sample));
    }
  }
  check_bad_share(candidates.size());
}

void Dataset::check_bad_share(size_t candidates) const {
  const double share = static_cast<double>(bad_images_.size()) / static_cast<double>(candidates);
  std::string examples;
  for (size_t i = 0; i < std::min<size_t>(3, bad_images_.size()); ++i) examples += "\n  " + bad_images_[i].reason;
  DURA_CHECK(share <= options_.allowed_bad_share, bad_images_.size(), " of ", candidates, " images are bad, more than the allowed ",
             100 * options_.allowed_bad_share, " %. Repair or remove them, or allow a larger share (--allow-bad). The first:", examples);
  DURA_CHECK(!samples_.empty(), "all ", candidates, " images are bad. The first:", examples);
}

Image Dataset::image(int64_t i) const {
  const Image& kept = cache_.at(static_cast<size_t>(i));
  return kept.empty() ? decode(sample(i)).image : kept;
}

Image read_mask_of(const std::string& folder, const std::string& mask, const std::string& slice, int64_t height, int64_t width) {
  Image image = read_mask((std::filesystem::path(folder) / mask).string());
  DURA_CHECK(image.height == height && image.width == width, mask, ": the mask has ", image.height, "x", image.width, " pixels, its slice ",
             slice, " has ", height, "x", width);
  return image;
}

Image Dataset::mask(int64_t i) const { return sample(i).mask.empty() ? Image() : preprocessing_.mask(stored_mask(sample(i))); }

LesionSize Dataset::lesion(int64_t i) const {
  return sample(i).mask.empty() ? LesionSize() : measure_lesion(stored_mask(sample(i)), sample(i).mm_per_pixel);
}

}  // namespace dura
