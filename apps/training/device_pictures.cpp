#include "apps/training/device_pictures.h"

#include <algorithm>

#include "data/image/preprocess.h"
#include "engine/base/parallel.h"
#include "engine/core/backend.h"

namespace dura {

DevicePictures::DevicePictures(const Dataset& dataset, Device device, int64_t rows, size_t budget) : rows_(rows) {
  const Shape one{1, dataset.height(), dataset.width(), 3};
  const auto fits = static_cast<int64_t>(budget / static_cast<size_t>(one.numel()));
  kept_ = std::min(dataset.size(), fits);
  pictures_ = Tensor::empty(one.of_batch(kept_ + rows), DType::u8, device, "pictures");
  warped_ = Tensor::empty(one.of_batch(rows), DType::u8, device, "warped pictures");
  picture_ = Tensor::empty({rows}, DType::i32, device, "numbers of pictures");
  augmentations_ = Tensor::empty({rows * 9}, DType::f32, device, "augmentations");
  constexpr int64_t at_once = 64;
  for (int64_t begin = 0; begin < kept_; begin += at_once) {
    std::vector<Image> some(static_cast<size_t>(std::min(at_once, kept_ - begin)));
    parallel_for(std::ssize(some), [&](int64_t i) { some[static_cast<size_t>(i)] = dataset.image(begin + i); });
    const Tensor images = rgb_batch(some);
    backend(device).upload(images.raw(), pictures_.slice(begin * one.numel(), images.shape()));
  }
}

void DevicePictures::make(const Batch& batch, int64_t first, const Tensor& images) {
  DURA_CHECK(images.shape() == warped_.shape() && first >= 0 && first + rows_ <= std::ssize(batch.samples), "pictures on the device: rows ",
             first, " to ", first + rows_, " of a batch of ", batch.samples.size(), " for ", describe(images));
  Backend& b = backend(images.device());
  std::vector<int32_t> picture;
  std::vector<float> augmentations, parameters;
  bool all_kept = true;
  for (int64_t i = 0; i < rows_; ++i) {
    const auto row = static_cast<size_t>(first + i);
    const int64_t sample = batch.samples[row];
    const bool kept = sample >= 0 && sample < kept_;
    all_kept = all_kept && kept;
    picture.push_back(static_cast<int32_t>(kept ? sample : kept_ + i));
    const Augmentation& a = batch.augmentations[row];
    augmentations.insert(augmentations.end(), a.matrix.begin(), a.matrix.end());
    parameters.insert(parameters.end(), {a.sharpness, a.brightness, a.contrast});
  }
  if (!all_kept) {
    const int64_t one = images.numel() / rows_, begin = first - batch.first_image;
    DURA_CHECK(batch.images.defined() && begin >= 0 && (begin + rows_) * one <= batch.images.numel(),
               "pictures on the device: some of a batch are neither kept nor in the batch");
    b.upload(batch.images.slice(begin * one, images.shape()).raw(), pictures_.slice(kept_ * one, images.shape()));
  }
  b.upload(picture.data(), picture_);
  augmentations.insert(augmentations.end(), parameters.begin(), parameters.end());
  b.upload(augmentations.data(), augmentations_);
  b.warp(pictures_, picture_, augmentations_.slice(0, {rows_, 6}), warped_);
  b.enhance(warped_, augmentations_.slice(rows_ * 6, {rows_, 3}), images);
}

}  // namespace dura
