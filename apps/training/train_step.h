// One training step of the classifier as a captured step: normalise, forward, loss, backward, Adam, metric sums. Its inputs are fixed
// tensors that run() fills; its outcome stays on the device until metrics are read.
//
// With lanes the batch is cut by row into equal parts. The captured step is that of one lane and ends with its gradients; they are added in
// one fixed binary tree, and Adam follows behind the last. So a batch needs the memory of a lane and a few flat arrays of gradients.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "apps/training/device_pictures.h"
#include "apps/training/gradient_exchange.h"
#include "data/set/loader.h"
#include "engine/comm/communicator.h"
#include "engine/devices/device_sum.h"
#include "engine/optim/adam.h"
#include "engine/optim/gradient_tree.h"
#include "engine/plan/captured_step.h"
#include "layers/folded_units.h"
#include "models/network/classifier.h"

namespace dura {

struct LossOptions {
  std::vector<double> class_weights;  // in class order; empty: all 1
  CrossEntropyOptions cross_entropy;
  double guide = 0;         // strength of cam_energy on what the backbone gives; 0: none
  LesionGrid lesions = {};  // of the batches, where there is a guide
};

// Sums over the batches since the last reset, for the averages of an epoch.
struct TrainSums {
  int64_t images = 0;
  double weighted_loss = 0, loss = 0;  // sums over images
  std::vector<int64_t> confusion;      // K*K, [label*K + predicted]
  double outside = 0, guided = 0;      // cam_energy's 1 - t/s, summed over rows, and how many rows counted

  double guide_loss() const { return outside / guided; }  // NaN where no row counted
};

// How gradients in devices' memory are added over processes: by linked devices in the order of the tree, by them in any order, or through
// the host's memory, as happens too where devices cannot be linked.
enum class DeviceSums : uint8_t { exact, fast, host };

struct TrainStepOptions {
  // The model runs from this stage on: 0 takes u8 images (N,H,W,3); k > 0 the features behind stage k-1, (N,h,w,C).
  int first_stage = 0;
  int64_t lanes = 1;    // of a batch, a power of two
  bool capture = true;  // CapturedStepOptions
  // Processes that share the lanes, as many each; the same step is to be run on all of them.
  Communicator* ranks = &alone();
  // Gradients are exchanged between them while backward goes on, in buckets of at least so many bytes; 0: all behind it. On a device whose
  // memory the host cannot read they always are.
  int64_t bucket_bytes = 0;
  DeviceSums device_sums = DeviceSums::exact;
};

class TrainStep {
 public:
  // Where the step begins behind a stage: the features on the model's device of some rows of a batch, as FeatureCache::features gives them.
  using FeatureSource = std::function<Tensor(const Tensor& images, const std::vector<int64_t>& pictures)>;

  // `input` is the shape of what a lane takes. `model` and `adam` must outlive the step; what is trainable must not change in its lifetime.
  TrainStep(Classifier& model, Adam& adam, const LossOptions& loss, const Shape& input, const TrainStepOptions& options = {});

  // Plans the step and takes its memory; OutOfMemory says which batch would fit. The first run() does it otherwise.
  void prepare() { step_->prepare(); }

  // A batch of as many rows as the lanes have together, with the images and lesions of this process's lanes. The loss is that of the whole
  // batch, however it is normalised, up to rounding; random numbers go by row. BatchNorm with batch statistics takes those of a lane, and
  // the running ones follow lane 0 alone. `pictures`: the device makes the images of them.
  void run(const Batch& batch, const FeatureSource& features = {}, DevicePictures* pictures = nullptr);

  // What this process sends in each step for gradients and the guide's shares.
  int64_t bytes_per_step() const;

  TrainSums read_sums() const;  // over the lanes of this process
  TrainSums read_sums_of_all() const;
  void reset_sums();
  // Gives all processes the running statistics of rank 0, which has lane 0.
  void share_statistics();
  const CapturedStep& captured() const { return *step_; }

 private:
  struct Inputs {
    Tensor input, labels, row_keys, lesion;  // of one batch; the last one with a guide
  };
  // What a pass leaves for the metric sums.
  struct Outcome {
    Tensor probabilities, loss, map_sums;
  };
  // A lane's share of the batch's loss: a step state whose loss scale it is.
  struct Share {
    Tensor state;
    double written = 0;
    void write(double share);
  };
  void body(const Inputs& in);
  void tell_changes();
  Var loss_of(const Inputs& in, Outcome& outcome);
  void run_lane(const Batch& batch, int64_t first_row, const FeatureSource& features, DevicePictures* pictures);
  void run_lanes(const Batch& batch, const FeatureSource& features, DevicePictures* pictures);
  void add_over_ranks();
  std::vector<double> added_sums() const;
  TrainSums sums_of(const std::vector<double>& added, int64_t images) const;
  double share_of_lane(const Batch& batch, int64_t lane) const;
  std::vector<double> guided_shares(const Batch& batch) const;

  Classifier& model_;
  Adam& adam_;
  LossOptions loss_options_;
  TrainStepOptions options_;
  int64_t own_lanes_, first_lane_, images_ = 0;
  Inputs in_;
  Tensor of_rows_;  // the labels and row keys of in_
  Tensor class_weights_, sums_;
  std::unique_ptr<FoldedUnits> frozen_;  // of those that run
  std::unique_ptr<CapturedStep> step_;

  // With lanes.
  std::unique_ptr<GradientTree> tree_;
  std::unique_ptr<GradientExchange> exchange_;  // with other processes, in buckets
  std::unique_ptr<DeviceSum> device_sum_;       // or from device to device
  bool exchanging_ = false;                     // the lane at work is the last one, and its gradients go into buckets
  Share share_, guided_share_;                  // of the cross-entropy, of the guide's loss
  std::vector<Tensor> lane_sums_;               // of each lane; sums_ is that of the lane at work
  struct RunningStatistics {
    BatchNorm2d* owner;
    Tensor tensor, of_lane_0;
  };
  std::vector<RunningStatistics> running_;  // that training changes
};

}  // namespace dura
