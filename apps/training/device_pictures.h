// The pictures of a data set in a device's memory, where the rows of a batch are made of them: a picture goes up once, and is turned and
// sharpened by the device. The formulas are the host's (augment.h), and so are the bytes.
#pragma once
#include <cstddef>
#include <cstdint>

#include "data/set/loader.h"

namespace dura {

class DevicePictures {
 public:
  // Uploads the first pictures of the data set, as many as `budget` bytes hold. The others go up with each batch: a loader with `raw_from`
  // kept() has them. `rows`: of a batch, or of its lane; takes memory for twice as many pictures besides.
  DevicePictures(const Dataset& dataset, Device device, int64_t rows, size_t budget);

  int64_t kept() const { return kept_; }
  size_t bytes() const { return pictures_.bytes() + warped_.bytes(); }

  // Makes the rows of the batch from `first` on: as many as `images`, u8 (N,H,W,3) on the device, has. Their slices are in batch.images
  // where they are not kept.
  void make(const Batch& batch, int64_t first, const Tensor& images);

 private:
  int64_t kept_, rows_;
  Tensor pictures_;                 // u8 (kept + rows,H,W,3): of the data set, and those that came with the batch
  Tensor picture_, augmentations_;  // of a row; all matrices, then all parameters of enhance, so that they go up at once
  Tensor warped_;
};

}  // namespace dura
