// ResNet-50 (He et al., 2015; stride in the 3x3 convolution) in LibTorch, images (N,3,H,W) in channels-last memory.
#pragma once
#include <torch/torch.h>

struct BottleneckImpl : torch::nn::Module {
  BottleneckImpl(int64_t in, int64_t width, int64_t stride);
  torch::Tensor forward(const torch::Tensor& x);

  torch::nn::Conv2d conv1, conv2, conv3;
  torch::nn::BatchNorm2d bn1, bn2, bn3;
  torch::nn::Sequential downsample{nullptr};  // null where the identity fits
};
TORCH_MODULE(Bottleneck);

struct ResNet50Impl : torch::nn::Module {
  explicit ResNet50Impl(int64_t classes);
  torch::Tensor forward(torch::Tensor x);

  // What is trained: "train" everything, "half" from the fourth block of the third stage on, "head" the dense layer. What is not, takes no
  // gradient and uses its stored statistics; "inf" is inference.
  void set_mode(const std::string& mode);

  torch::nn::Conv2d conv1;
  torch::nn::BatchNorm2d bn1;
  std::vector<torch::nn::Sequential> stages;
  torch::nn::Linear fc;
};
TORCH_MODULE(ResNet50);
