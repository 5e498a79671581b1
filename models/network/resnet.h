// ResNet-18/34/50/101 (He et al. 2016) from one table, with torchvision's names. The backbone ends before the global average pooling.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "layers/layers.h"
#include "weights/conventions.h"

namespace dura {

struct ResNetOptions {
  int depth = 50;  // 18, 34, 50 or 101
  ResNetVariant variant = ResNetVariant::v1_5;
  StemPool stem_pool = StemPool::padded;
  TensorOptions tensors = {};
};

// Two 3x3 convolutions, or 1x1, 3x3, 1x1; the last adds the shortcut and applies ReLU behind it.
class ResidualBlock : public Module {
 public:
  ResidualBlock(const std::string& name, bool bottleneck, int64_t C, int64_t width, int64_t stride, const ResNetOptions& o);
  Var operator()(const Var& x);
  // In the order in which Keras counts them: the shortcut comes before the last convolution.
  std::vector<ConvBn*> units();
  int64_t out_channels() const { return out_channels_; }

 private:
  std::vector<std::unique_ptr<ConvBn>> convs_;
  std::unique_ptr<ConvBn> shortcut_;  // null: identity
  int64_t out_channels_;
};

class ResNet : public Module {
 public:
  explicit ResNet(const ResNetOptions& options);

  // Stage 0 is the stem (convolution and pooling), 1 to 4 are layer1 to layer4. run(x, 0, 4) is the whole backbone:
  // (N,H,W,3) -> (N,H/32,W/32,channels()). Running until a stage and then from the next one on is how Grad-CAM and feature caching work;
  // behind stage 4 nothing is left to run, and run(x, 5) is x.
  Var run(const Var& x, int first_stage = 0, int last_stage = 4);
  static constexpr int stages = 5;
  // While operations are traced, run() sees whole batches, so that the traces of two devices have the same lines. On: groups of images as
  // ever, for times.
  void trace_groups(bool on) { trace_groups_ = on; }
  static int stage_by_name(const std::string& name);  // "stem", "layer1" ... "layer4"; UsageError otherwise
  static int stage_of(const ConvBn& unit);            // by its name: "layer3.0.conv1" belongs to stage 3, "conv1" to stage 0

  // What the cells of a stage's output look at: the receptive field of cell i is centred on input pixel first + i * step, in both
  // directions. Strides take every second place from the first on, so that the middles of an image's 32-pixel shares are NOT where
  // layer4's cells look: they look half a share further up and left.
  struct CellPixels {
    int64_t first = 0, step = 1;
  };
  CellPixels cell_pixels(int stage) const;

  int64_t channels() const;
  // Of run(x, 0, stage) for x of shape (N,H,W,3), without computing anything.
  Shape output_shape(const Shape& x, int stage = 4);
  const ResNetOptions& options() const { return options_; }
  // Every convolution with its BatchNorm, in order of execution as Keras counts it.
  std::vector<ConvBn*> units();

  // He initialisation of all convolutions, BatchNorm to (1, 0, 0, 1).
  void initialise(uint64_t seed);

 private:
  Var run_stages(const Var& x, int first_stage, int last_stage);
  Tensor run_in_groups(const Tensor& x, int last_stage);
  int last_constant_stage(int last_stage);
  bool runs_in_groups(const Tensor& x) const;

  bool trace_groups_ = false;
  ResNetOptions options_;
  ConvBn stem_;
  std::vector<std::unique_ptr<ResidualBlock>> blocks_;
  std::vector<int> block_stage_;
};

}  // namespace dura
