// Batches, prepared ahead of time by threads of their own. What a batch holds depends on (data set, options, epoch, index) alone: never on
// the number of threads, on timing, or on which batches were asked for before. So a run that is resumed at any batch goes on with the same
// bytes.
//   Loader loader(dataset, {.batch_size = 16, .training = true, .seed = 1, .policies = policies});
//   for (loader.start_epoch(epoch); loader.next();) step.run(loader.batch());
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "data/set/augment.h"
#include "data/set/dataset.h"
#include "data/set/lesion_cells.h"
#include "engine/core/tensor.h"

namespace dura {

struct Batch {
  Tensor images;                            // u8 (N,H,W,3), or of some rows: LoaderOptions::parts, raw_from
  Tensor labels;                            // i32 (N)
  Tensor row_keys;                          // i32 (N,2): low and high word of make_row_key(sample's key, epoch, variant)
  Tensor lesion;                            // u8 (N,rows,columns) of LoaderOptions::lesions, of as many rows as images; 0 without a mask
  int64_t first_image = 0;                  // the row that images begins with
  int64_t rows = 0;                         // rows that count; the rest pads a last batch: black, label 0
  std::vector<int64_t> samples;             // N: index into the data set, -1 where padded
  std::vector<int64_t> pictures;            // N: the same number means the same pixels, whatever the epoch; -1 where padded
  std::vector<uint32_t> variants;           // N
  std::vector<Augmentation> augmentations;  // N: what was done to each slice, for its mask
  int64_t epoch = 0, index = 0;
};

// A slice, or with variant > 0 one more version of it.
struct LoaderItem {
  int64_t sample = 0;
  uint32_t variant = 0;
};

std::vector<LoaderItem> each_once(const Dataset& dataset);

// Every sample once, then augmented versions of the smaller classes until all classes are equally large: the balanced set of the
// comparison, to be reported beside the untouched one and never in its place.
std::vector<LoaderItem> balanced_items(const Dataset& dataset);

// For training: every sample once, and further versions of the class `label` until it is `share` of the items, to the nearest whole number
// (none where it is as much already). Which samples have one version more than others, where it does not come out even, depends on the
// seed. UsageError for a share outside of [0,1).
std::vector<LoaderItem> oversampled_items(const Dataset& dataset, int32_t label, double share, uint64_t seed);

// Half of the threads that the program has (set_num_threads), from 2 to 16: a card would wait for two, and more than it needs wait
// themselves.
int default_loader_workers();

struct LoaderOptions {
  int64_t batch_size = 16;
  // Training: a new order each epoch, every item augmented, a short last batch dropped. Otherwise: the order of the items, the same in
  // every epoch, only variants above 0 augmented, the last batch padded.
  bool training = false;
  // The augmentations of training come again after so many epochs; 0: never.
  int64_t repeat = 0;
  // The pictures that training has in the same epoch, but in the order of the items, all of them.
  bool pictures_of_training = false;
  uint64_t seed = 0;
  int workers = default_loader_workers();    // threads; 0: batches are prepared in next()
  int prefetch = std::max(4, 2 * workers);   // batches ready or in preparation at most
  std::vector<AugmentPolicy> policies = {};  // one per class; empty: none
  std::vector<LoaderItem> items = {};        // empty: every sample once
  LesionGrid lesions = {};                   // where batches are to say where lesions lie
  // Where several processes share a batch: images and lesions are made of the rows of this part alone (the parts are equal), everything
  // else of all.
  int64_t part = 0, parts = 1;
  // 0 or more: a device has the slices of the samples below this number and augments them and the others (DevicePictures). Images are the
  // others' slices as they are, black in the rows of those that it has, and undefined where it has all.
  int64_t raw_from = -1;
};

class Loader {
 public:
  // The data set must outlive the loader. Throws UsageError for nonsense options and Error where no full batch can be made.
  Loader(const Dataset& dataset, LoaderOptions options);
  ~Loader();  // stops the threads after the batch at hand
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  int64_t batches_per_epoch() const;
  int64_t rows_per_epoch() const;  // that count

  // From batch `first` of `epoch` on; may be called at any time.
  void start_epoch(int64_t epoch, int64_t first = 0);
  // Moves on to the next batch; false after the last of the epoch. Rethrows what went wrong while this batch was prepared.
  bool next();
  // The batch at hand. Its tensors may be kept: the loader makes new ones.
  const Batch& batch() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dura
