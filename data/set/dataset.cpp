#include "data/set/dataset.h"

#include <algorithm>
#include <filesystem>

#include "data/image/codec.h"
#include "engine/base/log.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"

namespace dura {

// Makes the list of samples. A file is looked at by the part of the run that it belongs to; what is found is the same for all.
class Dataset::Opening {
 public:
  Opening(Dataset& dataset, std::vector<Sample> candidates)
      : dataset_(dataset), options_(dataset.options_), candidates_(std::move(candidates)), kept_(candidates_.size()) {
    const auto count = static_cast<int64_t>(candidates_.size());
    const Stretch own = options_.shared.own(count);
    begin_ = static_cast<size_t>(own.begin), end_ = static_cast<size_t>(own.end);
  }

  void run() {
    const std::vector<CheckedPicture> checks = check_all();
    dataset_.samples_.reserve(candidates_.size()), dataset_.cache_.reserve(candidates_.size());
    for (size_t i = 0; i < candidates_.size(); ++i) take(i, checks[i]);
    choose_what_is_kept(checks);
  }

 private:
  std::vector<CheckedPicture> check_all() {
    CheckedPictures remembered;
    if (!options_.checked.empty()) remembered = CheckedPictures(options_.checked);
    std::vector<CheckedPicture> checks = check_own(remembered);
    if (!options_.shared.alone()) {
      const std::vector<std::string> all = options_.shared.gather(format_checked(checks));
      checks.clear();
      for (const std::string& text : all)
        for (CheckedPicture& p : parse_checked(text, "pictures checked by another process")) checks.push_back(std::move(p));
      DURA_CHECK(checks.size() == candidates_.size(), "the processes checked ", checks.size(), " of ", candidates_.size(), " pictures");
    }
    if (!options_.checked.empty() && options_.shared.is_first() && remembered.add(checks)) remembered.write(options_.checked);
    return checks;
  }

  // By chunks: looked at side by side, then taken in order. So neither the memory in between nor the number of threads decides what is
  // kept.
  std::vector<CheckedPicture> check_own(const CheckedPictures& remembered) {
    constexpr size_t chunk = 256;
    std::vector<CheckedPicture> checks;
    checks.reserve(end_ - begin_);
    std::vector<PictureCheck> found(chunk);
    uint64_t bytes = 0;
    for (size_t begin = begin_; begin < end_; begin += chunk) {
      const size_t count = std::min(chunk, end_ - begin);
      const bool keeps = bytes < options_.cache_bytes;
      parallel_for(static_cast<int64_t>(count), [&](int64_t k) {
        PictureCheck& check = found[static_cast<size_t>(k)];
        const std::string& file = candidates_[begin + static_cast<size_t>(k)].file;
        check = check_picture(options_.folder, file, remembered.find(file));
        if (keeps && !check.decoded.empty()) check.decoded = one_channel_if_gray(dataset_.preprocessing_.slice(std::move(check.decoded)));
      });
      for (size_t k = 0; k < count; ++k) {
        const uint64_t size = slice_bytes(found[k].picture);
        const bool fits = found[k].picture.error.empty() && bytes + size <= options_.cache_bytes;
        if (fits) bytes += size;
        if (fits && !found[k].decoded.empty()) kept_[begin + k] = std::make_shared<const Image>(std::move(found[k].decoded));
        checks.push_back(std::move(found[k].picture));
        found[k] = {};
      }
    }
    return checks;
  }

  // Of a preprocessed slice.
  uint64_t slice_bytes(const CheckedPicture& p) const {
    const auto [height, width] = dataset_.preprocessing_.extent(p.height, p.width);
    return static_cast<uint64_t>(height * width * p.channels);
  }

  void take(size_t i, const CheckedPicture& p) {
    Sample& sample = candidates_[i];
    if (!p.error.empty()) {
      log_warning("bad image, left out: ", p.error);
      dataset_.bad_images_.push_back({sample.file, p.error});
      return;
    }
    const auto [height, width] = dataset_.preprocessing_.extent(p.height, p.width);
    if (dataset_.height_ == 0) dataset_.height_ = height, dataset_.width_ = width;
    DURA_CHECK(height == dataset_.height_ && width == dataset_.width_, sample.file, ": ", height, "x", width,
               " pixels after preprocessing (", dataset_.preprocessing_.description(), "), the slices before it have ", dataset_.height_,
               "x", dataset_.width_, ". Resize all to one size.");
    sample.height = p.height, sample.width = p.width;
    ++dataset_.class_counts_[static_cast<size_t>(sample.label)];
    dataset_.samples_.push_back(std::move(sample));
    dataset_.cache_.push_back(std::move(kept_[i]));
  }

  // From the own part on, and around: in the order in which check_own() went, so that what it kept is part of it.
  void choose_what_is_kept(const std::vector<CheckedPicture>& checks) {
    std::vector<bool> chosen(checks.size());
    for (size_t k = 0; k < checks.size(); ++k) {
      const size_t i = (begin_ + k) % checks.size();
      const uint64_t size = slice_bytes(checks[i]);
      chosen[i] = checks[i].error.empty() && dataset_.cache_limit_ + size <= options_.cache_bytes;
      if (chosen[i]) dataset_.cache_limit_ += size;
    }
    for (size_t i = 0; i < checks.size(); ++i)
      if (checks[i].error.empty()) dataset_.may_be_kept_.push_back(chosen[i]);
  }

  Dataset& dataset_;
  const DatasetOptions& options_;
  std::vector<Sample> candidates_;
  std::vector<std::shared_ptr<const Image>> kept_;  // by candidate
  size_t begin_ = 0, end_ = 0;                      // of the own part
};

Dataset::Dataset(const Manifest& manifest, const std::vector<int64_t>& rows, const ClassNames& classes, Preprocessing preprocessing,
                 DatasetOptions options)
    : preprocessing_(std::move(preprocessing)), options_(std::move(options)), class_counts_(static_cast<size_t>(classes.size()), 0) {
  DURA_CHECK(!rows.empty(), manifest.name, ": no rows for this split");
  const std::vector<int32_t> labels = class_indices(manifest, rows, classes, options_.require_all_classes);
  std::vector<Sample> candidates;
  candidates.reserve(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const ManifestRow& row = manifest.rows[static_cast<size_t>(rows[i])];
    candidates.push_back({.file = row.file,
                          .mask = row.mask,
                          .label = labels[i],
                          .row = rows[i],
                          .key = hash_name(row.file),
                          .mm_per_pixel = row.mm_per_pixel});
  }
  Opening(*this, std::move(candidates)).run();
  check_bad_share(rows.size());
  for (int64_t c = 0; options_.require_all_classes && c < classes.size(); ++c)
    DURA_CHECK(class_counts_[static_cast<size_t>(c)] > 0, manifest.name, ": every image of class ", classes[c], " is bad");
}

Image Dataset::decode(const Sample& sample) const {
  const std::string path = (std::filesystem::path(options_.folder) / sample.file).string();
  try {
    Image image = one_channel_if_gray(preprocessing_.slice(read_image(path)));
    DURA_CHECK(image.height == height_ && image.width == width_, path, ": ", image.height, "x", image.width,
               " pixels after preprocessing, it had ", height_, "x", width_);
    return image;
  } catch (const Error& e) {
    const std::string advice =
        options_.checked.empty() ? "" : concat(" (Without ", options_.checked.string(), " every picture is checked again.)");
    fail(e.what(), " The picture was good when it was checked. Start again, and it is left out.", advice);
  }
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
  const Sample& which = sample(i);
  const auto at = static_cast<size_t>(i);
  std::shared_ptr<const Image> kept;
  {
    const std::lock_guard lock(mutex_);
    kept = cache_[at];
  }
  if (kept) return *kept;
  Image image = decode(which);
  if (may_be_kept_[at]) {
    kept = std::make_shared<const Image>(image);
    const std::lock_guard lock(mutex_);
    cache_[at] = std::move(kept);
  }
  return image;
}

uint64_t Dataset::cached_bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t bytes = 0;
  for (const auto& kept : cache_)
    if (kept) bytes += kept->pixels.size();
  return bytes;
}

int64_t Dataset::cached_images() const {
  const std::lock_guard lock(mutex_);
  return std::count_if(cache_.begin(), cache_.end(), [](const auto& kept) { return kept != nullptr; });
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
