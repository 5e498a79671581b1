// The slices of one split. Which files are good is known when the data set has been made (checked_pictures.h): so a run finds out about bad
// ones before it starts, and the list of samples never changes afterwards. Slices are decoded when they are asked for, preprocessed, and
// kept in memory up to a budget. Invariant: sample i is the same slice for the life of the data set, whatever the number of threads and of
// processes, and whatever was remembered or is kept; all slices have the same size.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "data/image/image.h"
#include "data/image/lesion.h"
#include "data/image/preprocess.h"
#include "data/set/checked_pictures.h"
#include "data/set/manifest.h"
#include "engine/base/shared_work.h"

namespace dura {

struct Sample {
  std::string file, mask;         // as in the manifest; mask may be empty
  int32_t label = 0;              // index of the class
  int64_t row = 0;                // in the manifest
  uint64_t key = 0;               // identity for random numbers: of the file's name, so that other rows do not matter
  double mm_per_pixel = 0;        // of the file, before preprocessing; 0: not known
  int64_t height = 0, width = 0;  // of the file, before preprocessing
};

struct BadImage {
  std::string file, reason;
};

struct DatasetOptions {
  std::string folder = {};                   // the manifest's paths are relative to it
  bool require_all_classes = false;          // throw where a class has no row
  double allowed_bad_share = 0.01;           // bad images are left out, named and counted; throws where they are more than this
  uint64_t cache_bytes = uint64_t{1} << 30;  // slices beyond it are decoded again each time
  std::filesystem::path checked = {};        // where it is remembered which pictures are good; empty: nowhere
  // Where several processes share a run: each checks the pictures of its part, and keeps slices from there on. The first alone writes what
  // is remembered.
  SharedWork shared = {};
};

// A slice's mask as it is stored. Throws where its size is not the slice's.
Image read_mask_of(const std::string& folder, const std::string& mask, const std::string& slice, int64_t height, int64_t width);

class Dataset {
 public:
  // The rows `rows` of the manifest. Pictures of which nothing is remembered are decoded now, on all threads. Warns about each bad image
  // through the log.
  Dataset(const Manifest& manifest, const std::vector<int64_t>& rows, const ClassNames& classes, Preprocessing preprocessing,
          DatasetOptions options);

  int64_t size() const { return static_cast<int64_t>(samples_.size()); }
  const Sample& sample(int64_t i) const { return samples_.at(static_cast<size_t>(i)); }
  int64_t height() const { return height_; }  // of every preprocessed slice
  int64_t width() const { return width_; }
  const std::vector<int64_t>& class_counts() const { return class_counts_; }  // by class index
  const std::vector<BadImage>& bad_images() const { return bad_images_; }
  const Preprocessing& preprocessing() const { return preprocessing_; }
  // What is kept at the moment, and what the slices take that may be kept.
  uint64_t cached_bytes() const;
  int64_t cached_images() const;
  uint64_t cache_limit() const { return cache_limit_; }

  // The preprocessed slice: one channel where it is gray, else three. May be called from several threads.
  Image image(int64_t i) const;
  // Its mask, preprocessed alike; an empty image where the manifest names none. Throws where it has another size than its slice.
  Image mask(int64_t i) const;
  // Measured on the mask as it is stored, where mm_per_pixel holds; no pixels where the manifest names none.
  LesionSize lesion(int64_t i) const;

 private:
  class Opening;
  Image decode(const Sample& sample) const;
  Image stored_mask(const Sample& s) const { return read_mask_of(options_.folder, s.mask, s.file, s.height, s.width); }
  void check_bad_share(size_t candidates) const;

  Preprocessing preprocessing_;
  DatasetOptions options_;
  std::vector<Sample> samples_;
  std::vector<bool> may_be_kept_;  // by sample
  std::vector<BadImage> bad_images_;
  std::vector<int64_t> class_counts_;
  int64_t height_ = 0, width_ = 0;
  uint64_t cache_limit_ = 0;

  mutable std::mutex mutex_;
  // By sample; null where it is not kept, or not yet.
  mutable std::vector<std::shared_ptr<const Image>> cache_;
};

}  // namespace dura
