#include "tests/bench/libtorch/resnet50.h"

namespace nn = torch::nn;

namespace {

constexpr int64_t expansion = 4;

nn::Conv2d convolution(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false));
}

nn::Sequential stage(int64_t in, int64_t width, int64_t blocks, int64_t stride) {
  nn::Sequential s(Bottleneck(in, width, stride));
  for (int64_t i = 1; i < blocks; ++i) s->push_back(Bottleneck(width * expansion, width, 1));
  return s;
}

void freeze(nn::Module& module) {
  module.eval();
  for (torch::Tensor& p : module.parameters()) p.set_requires_grad(false);
}

}  // namespace

BottleneckImpl::BottleneckImpl(int64_t in, int64_t width, int64_t stride)
    : conv1(register_module("conv1", convolution(in, width, 1))),
      conv2(register_module("conv2", convolution(width, width, 3, stride))),
      conv3(register_module("conv3", convolution(width, width * expansion, 1))),
      bn1(register_module("bn1", nn::BatchNorm2d(width))),
      bn2(register_module("bn2", nn::BatchNorm2d(width))),
      bn3(register_module("bn3", nn::BatchNorm2d(width * expansion))) {
  if (stride != 1 || in != width * expansion)
    downsample =
        register_module("downsample", nn::Sequential(convolution(in, width * expansion, 1, stride), nn::BatchNorm2d(width * expansion)));
}

torch::Tensor BottleneckImpl::forward(const torch::Tensor& x) {
  torch::Tensor y = bn1(conv1(x)).relu_();
  y = bn2(conv2(y)).relu_();
  y = bn3(conv3(y));
  return y.add_(downsample ? downsample->forward(x) : x).relu_();
}

ResNet50Impl::ResNet50Impl(int64_t classes)
    : conv1(register_module("conv1", nn::Conv2d(nn::Conv2dOptions(3, 64, 7).stride(2).padding(3).bias(false)))),
      bn1(register_module("bn1", nn::BatchNorm2d(64))),
      fc(register_module("fc", nn::Linear(512 * expansion, classes))) {
  constexpr int64_t blocks[] = {3, 4, 6, 3};
  int64_t in = 64;
  for (int64_t i = 0; i < 4; ++i) {
    const int64_t width = int64_t{64} << i;
    stages.push_back(register_module("layer" + std::to_string(i + 1), stage(in, width, blocks[i], i == 0 ? 1 : 2)));
    in = width * expansion;
  }
}

torch::Tensor ResNet50Impl::forward(torch::Tensor x) {
  x = torch::max_pool2d(bn1(conv1(x)).relu_(), 3, 2, 1);
  for (nn::Sequential& s : stages) x = s->forward(x);
  return fc(x.mean({2, 3}));
}

void ResNet50Impl::set_mode(const std::string& mode) {
  train(mode != "inf");
  if (mode != "half" && mode != "head") return;
  freeze(*conv1);
  freeze(*bn1);
  for (size_t i = 0; i < stages.size(); ++i)
    for (size_t j = 0; j < stages[i]->size(); ++j)
      if (mode == "head" || i < 2 || (i == 2 && j < 3)) freeze(*stages[i]->ptr(j));
}
