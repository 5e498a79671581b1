#include "engine/devices/device_sum.h"

#include <utility>

#include "engine/base/log.h"
#include "engine/comm/halving.h"
#include "engine/core/backend.h"
#include "engine/cuda/driver.h"
#include "engine/devices/cuda_devices.h"

namespace dura {
namespace {

float* address(const Tensor& f32) { return f32.numel() == 0 ? nullptr : static_cast<float*>(f32.raw()); }

}  // namespace

std::unique_ptr<DeviceSum> DeviceSum::of(Device device, Communicator& ranks, int64_t elements, bool exact) {
  if (ranks.size() == 1 || host_readable(device)) return nullptr;
  std::unique_ptr<cuda::DeviceLink> link = cuda::driver_of(device).link(ranks);
  if (!link) return nullptr;
  if (!exact && ranks.is_first()) log_info("gradients are added in any order: the bytes of this run depend on the number of processes");
  return std::unique_ptr<DeviceSum>(new DeviceSum(device, ranks, elements, exact, std::move(link)));
}

DeviceSum::DeviceSum(Device device, Communicator& ranks, int64_t elements, bool exact, std::unique_ptr<cuda::DeviceLink> link)
    : ranks_(ranks), exact_(exact), elements_(elements), link_(std::move(link)) {
  if (exact) of_partner_ = Tensor::zeros({(elements + 1) / 2}, DType::f32, device, "a partner's sum of gradients");
}
DeviceSum::~DeviceSum() = default;

void DeviceSum::add(const Tensor& values) {
  DURA_CHECK(values.numel() == elements_ && values.dtype() == DType::f32, "sum over ranks: ", describe(values), ", planned for ", elements_,
             " elements of f32");
  link_->wait();
  const cuda::Stream stream = cuda::compute_stream(values.device());
  if (!exact_) return link_->all_reduce(address(values), elements_, stream);
  const std::vector<HalvingRound> rounds = halving_rounds(ranks_.rank(), ranks_.size(), elements_);
  Backend& b = backend(values.device());
  const auto piece = [&](int64_t begin, int64_t count) { return values.slice(begin, Shape{count}); };
  const auto exchange = [&](int64_t rank, const Tensor& send, const Tensor& receive) {
    link_->exchange(rank, address(send), send.numel(), address(receive), receive.numel(), stream);
  };
  for (const HalvingRound& r : rounds) {
    const Tensor keep = piece(r.keep, r.keep_count), add = of_partner_.slice(0, Shape{r.keep_count});
    exchange(r.partner, piece(r.give, r.give_count), add);
    if (r.keep_count == 0) continue;
    r.lower ? b.add(keep, add, keep) : b.add(add, keep, keep);
  }
  for (auto r = rounds.rbegin(); r != rounds.rend(); ++r)
    exchange(r->partner, piece(r->keep, r->keep_count), piece(r->give, r->give_count));
}

void DeviceSum::wait() { link_->wait(); }

int64_t DeviceSum::bytes() const { return ranks_.all_reduce_bytes(elements_, sizeof(float)); }

}  // namespace dura
