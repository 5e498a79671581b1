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
    statistics_.in_use += bytes;
    statistics_.peak = std::max(statistics_.peak, statistics_.in_use);
    ++statistics_.allocations;
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

size_t MetaBackend::conv_workspace(const ConvGeometry& g, DType dtype, const ConvForm& form) {
  return workspace_ ? *workspace_ : device_backend(target_).conv_workspace(g, dtype, form);
}

BatchNormSpace MetaBackend::batch_norm_space(const Shape& x, DType dtype, const BatchNormForm& form) {
  if (!workspace_) return device_backend(target_).batch_norm_space(x, dtype, form);
  return {.mask = form.relu ? relu_mask_bytes(x) : 0, .forward_workspace = *workspace_, .backward_workspace = *workspace_};
}

void MetaBackend::call(const char* kernel, const Tensor& output, int64_t macs, const ConvGeometry& g, const ConvForm& form,
                       const BatchNormForm& batch_norm) {
  if (!DryRun::active(device_)) return;  // a model on the meta device outside of a dry run: nobody listens
  calls_.push_back({kernel, Label::current(), output.shape(), output.dtype(), g, form, batch_norm, macs});
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
