#include "engine/plan/meta_backend.h"

#include "engine/core/trace.h"

namespace dura {
namespace {

thread_local DryRun* innermost = nullptr;
Device kernels_of(Device device) { return device == Device::meta ? Device::cpu : device; }

class MetaPool : public MemorySource {
 public:
  Block allocate(size_t bytes, const std::string&) override {
    bytes = rounded_to_block(bytes);
    statistics_.count(bytes);
    return {nullptr, bytes, 0};
  }
  void release(const Block& block) override { statistics_.in_use -= block.bytes; }
  MemoryStatistics statistics() const override { return statistics_; }
  void reset_peak() override { statistics_.peak = statistics_.in_use; }

 private:
  MemoryStatistics statistics_;
};

}  // namespace

std::shared_ptr<MemorySource> MetaBackend::memory() {
  static auto* pool = new std::shared_ptr<MemorySource>(std::make_shared<MetaPool>());  // never destroyed: see CpuBackend::memory
  return *pool;
}

void MetaBackend::download(const Tensor& x, void*) {
  fail("the values of ", describe(x),
       " were asked for while planning. A step must not read device memory from the host; read metrics after it.");
}

size_t MetaBackend::conv_workspace(const ConvGeometry& g, DType dtype, const ConvKey& key) {
  return workspace_ ? *workspace_ : device_backend(target_).conv_workspace(g, dtype, key);
}

BatchNormSpace MetaBackend::batch_norm_space(const Shape& x, DType dtype, const BatchNormOptions& options) {
  if (!workspace_) return device_backend(target_).batch_norm_space(x, dtype, options);
  return {.mask = device_backend(target_).largest_batch_norm_mask(x, options),
          .forward_workspace = *workspace_,
          .backward_workspace = *workspace_};
}

void MetaBackend::write_down(KernelCall made, const Tensor& output) {
  if (!DryRun::active(device_)) return;  // a model on the meta device outside of a dry run: nobody listens
  made.label = Label::current();
  made.output = output.shape();
  made.dtype = output.dtype();
  calls_.push_back(std::move(made));
}

ConvGeometry MetaBackend::dense_geometry(const Tensor& x, const Tensor& w) {
  if (!w.defined()) return {};
  return {.N = x.shape()[0], .H = 1, .W = 1, .C = w.shape()[1], .K = w.shape()[0], .R = 1, .S = 1, .P = 1, .Q = 1};
}

DryRun::DryRun(Device device, std::optional<size_t> workspace)
    : backend_(device, kernels_of(device), workspace),
      recorder_(std::make_shared<LifetimeRecorder>()),
      scope_(device, recorder_),
      outer_(innermost) {
  innermost = this;
}
DryRun::~DryRun() { innermost = outer_; }

Backend* DryRun::active(Device device) {
  for (DryRun* d = innermost; d; d = d->outer_)
    if (d->backend_.device() == device) return &d->backend_;
  return nullptr;
}

}  // namespace dura
