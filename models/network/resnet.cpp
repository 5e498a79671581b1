#include "models/network/resnet.h"

#include <algorithm>
#include <array>

#include "engine/base/numbers.h"
#include "engine/base/parallel.h"
#include "engine/core/trace.h"
#include "engine/plan/meta_backend.h"

namespace dura {
namespace {

struct Architecture {
  int depth;
  bool bottleneck;
  std::array<int, 4> blocks;
};
constexpr Architecture architectures[] = {
    {18, false, {2, 2, 2, 2}}, {34, false, {3, 4, 6, 3}}, {50, true, {3, 4, 6, 3}}, {101, true, {3, 4, 23, 3}}};

const Architecture& architecture(int depth) {
  for (const Architecture& a : architectures)
    if (a.depth == depth) return a;
  fail_usage("there is no ResNet-", depth, ". Use 18, 34, 50 or 101.");
}

}  // namespace

ResidualBlock::ResidualBlock(const std::string& name, bool bottleneck, int64_t C, int64_t width, int64_t stride, const ResNetOptions& o)
    : Module(name), out_channels_(bottleneck ? 4 * width : width) {
  const auto unit = [&](int i, int64_t from, int64_t to, int64_t kernel, int64_t s) {
    const std::string n = std::to_string(i);
    convs_.push_back(std::make_unique<ConvBn>(join("conv" + n), join("bn" + n), from, to, kernel,
                                              ConvOptions{.stride = s, .padding = kernel / 2}, o.tensors));
  };
  if (bottleneck) {
    const bool first_strides = o.variant == ResNetVariant::v1;
    unit(1, C, width, 1, first_strides ? stride : 1);
    unit(2, width, width, 3, first_strides ? 1 : stride);
    unit(3, width, out_channels_, 1, 1);
  } else {
    unit(1, C, width, 3, stride);
    unit(2, width, width, 3, 1);
  }
  if (stride != 1 || C != out_channels_)
    shortcut_ = std::make_unique<ConvBn>(join("downsample.0"), join("downsample.1"), C, out_channels_, 1,
                                         ConvOptions{.stride = stride, .padding = 0}, o.tensors);
  for (auto& c : convs_) add(c->conv), add(c->bn);
  if (shortcut_) add(shortcut_->conv), add(shortcut_->bn);
}

Var ResidualBlock::operator()(const Var& x) {
  const Var residual = shortcut_ ? (*shortcut_)(x, {}, false) : x;
  Var y = (*convs_.front())(x);
  for (size_t i = 1; i + 1 < convs_.size(); ++i) y = (*convs_[i])(y);
  return (*convs_.back())(y, residual);
}

std::vector<ConvBn*> ResidualBlock::units() {
  std::vector<ConvBn*> all;
  for (size_t i = 0; i + 1 < convs_.size(); ++i) all.push_back(convs_[i].get());
  if (shortcut_) all.push_back(shortcut_.get());
  all.push_back(convs_.back().get());
  return all;
}

ResNet::ResNet(const ResNetOptions& o)
    : Module(""), options_(o), stem_("conv1", "bn1", 3, 64, 7, ConvOptions{.stride = 2, .padding = 3}, o.tensors) {
  const Architecture& a = architecture(o.depth);
  add(stem_.conv);
  add(stem_.bn);
  int64_t channels = 64;
  for (int stage = 1; stage <= 4; ++stage)
    for (int i = 0; i < a.blocks[static_cast<size_t>(stage - 1)]; ++i) {
      const std::string name = concat("layer", stage, ".", i);
      blocks_.push_back(
          std::make_unique<ResidualBlock>(name, a.bottleneck, channels, int64_t{64} << (stage - 1), stage > 1 && i == 0 ? 2 : 1, o));
      block_stage_.push_back(stage);
      channels = blocks_.back()->out_channels();
      add(*blocks_.back());
    }
}

Var ResNet::run(const Var& x, int first_stage, int last_stage) {
  DURA_CHECK(first_stage >= 0 && last_stage < stages && first_stage <= last_stage + 1, "ResNet::run: stages ", first_stage, " to ",
             last_stage, " of 0 to 4");
  DURA_CHECK(first_stage > 0 || (x.shape().rank() == 4 && x.shape()[3] == 3), "ResNet: the images have shape ", x.shape(),
             ", expected (N,H,W,3)");
  const int grouped = first_stage == 0 && !x.needs_grad() && runs_in_groups(x.value()) ? last_constant_stage(last_stage) : -1;
  if (grouped < 0) return run_stages(x, first_stage, last_stage);
  return run_stages(run_in_groups(x.value(), grouped), grouped + 1, last_stage);
}

// Of images that are large: what layers write of small ones is in cache anyway, and whether Winograd's algorithm is taken (from 32 tiles of
// 4x4 outputs on) must not depend on the images beside one.
bool ResNet::runs_in_groups(const Tensor& x) const {
  // Of layer2, the last stage that groups run. Whole tiles alone: how its size is rounded depends on the stem's pooling.
  constexpr int64_t fewest_tiles = 32, tile = 4, stride = 8;
  const int64_t tiles = (x.shape()[1] / (stride * tile)) * (x.shape()[2] / (stride * tile));
  return x.device() == Device::cpu && tiles >= fewest_tiles && x.numel() > 0 && (trace_groups_ || !tracing());
}

// The last stage up to which images do not see each other and nothing is recorded, of those with outputs that are worth it; -1: none.
int ResNet::last_constant_stage(int last_stage) {
  constexpr int last_large = 2;
  int last = std::min(last_stage, last_large);
  for (ConvBn* unit : units()) {
    const bool gradient = unit->conv.weight.var().needs_grad() || unit->bn.gamma.var().needs_grad() || unit->bn.beta.var().needs_grad();
    if (gradient || unit->bn.uses_batch_statistics()) last = std::min(last, stage_of(*unit) - 1);
  }
  return last;
}

// A few images at a time, so that what one layer writes is still in the last-level cache when the next one reads it.
Tensor ResNet::run_in_groups(const Tensor& x, int last_stage) {
  constexpr int64_t group_bytes = int64_t{4} << 20;
  const int64_t N = x.shape()[0], stem_elements = x.shape()[1] * x.shape()[2] * 16;  // of an image; layer1 of ResNet-50 has as many
  // Work for all threads: one image has enough for two.
  const int64_t fitting = group_bytes / (stem_elements * static_cast<int64_t>(dtype_size(x.dtype())));
  const int64_t group = std::max<int64_t>(ceil_div(num_threads(), 2), fitting);
  Tensor all;
  for (int64_t first = 0; first < N; first += group) {
    const int64_t count = std::min(group, N - first);
    const Tensor part = run_stages(x.slice(first * (x.numel() / N), x.shape().of_batch(count)), 0, last_stage).value();
    if (count == N) return part;
    if (!all.defined()) all = Tensor::empty(part.shape().of_batch(N), part.dtype(), part.device(), "the groups' features");
    backend(x.device()).copy(part, all.slice(first * (part.numel() / count), part.shape()));
  }
  return all;
}

Var ResNet::run_stages(const Var& x, int first_stage, int last_stage) {
  Var y = x;
  if (first_stage == 0) {
    const bool padded = options_.stem_pool == StemPool::padded;
    y = stem_(y);
    const Label label("maxpool");
    y = max_pool2d(y, {.kernel = 3, .stride = 2, .padding = padded ? 1 : 0, .ceil_mode = !padded});
  }
  for (size_t i = 0; i < blocks_.size(); ++i)
    if (block_stage_[i] >= first_stage && block_stage_[i] <= last_stage) y = (*blocks_[i])(y);
  return y;
}

ResNet::CellPixels ResNet::cell_pixels(int stage) const {
  // An odd kernel with padding kernel/2 and stride s is centred on place i*s. The unpadded pooling is centred on 2i+1 of the stem's
  // convolution, whose places are 2 pixels apart.
  return {options_.stem_pool == StemPool::padded ? 0 : 2, int64_t{4} << std::max(0, stage - 1)};
}

int ResNet::stage_by_name(const std::string& name) {
  constexpr const char* names[] = {"stem", "layer1", "layer2", "layer3", "layer4"};
  for (int i = 0; i < stages; ++i)
    if (name == names[i]) return i;
  fail_usage("there is no stage '", name, "'. Use stem, layer1, layer2, layer3 or layer4.");
}

int ResNet::stage_of(const ConvBn& unit) {
  const std::string& name = unit.conv.name();
  return name.starts_with("layer") ? name[5] - '0' : 0;
}

Shape ResNet::output_shape(const Shape& x, int stage) {
  const TensorOptions& t = options_.tensors;
  const DryRun dry(t.device);
  const NoGradScope no_grad(*this);
  return run_stages(Tensor::empty(x, t.compute, t.device), 0, stage).shape();
}

int64_t ResNet::channels() const { return blocks_.back()->out_channels(); }

std::vector<ConvBn*> ResNet::units() {
  std::vector<ConvBn*> all = {&stem_};
  for (auto& b : blocks_)
    for (ConvBn* u : b->units()) all.push_back(u);
  return all;
}

void ResNet::initialise(uint64_t seed) {
  for (ConvBn* u : units()) {
    initialise_kaiming(u->conv.weight, seed);
    u->bn.reset();
  }
}

}  // namespace dura
