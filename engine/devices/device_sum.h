// Sums over ranks of what lies in the memory of their devices, without the host's: the tree of Communicator::all_reduce, element by
// element, with the same bytes.
#pragma once
#include <cstdint>
#include <memory>

#include "engine/comm/communicator.h"
#include "engine/core/tensor.h"

namespace dura {

namespace cuda {
class DeviceLink;
class Driver;
}  // namespace cuda

class DeviceSum {
 public:
  // Of arrays with so many f32 elements, on this device, of all ranks, who all call it. Not `exact`: in the order that is fastest, so the
  // bytes depend on the number of ranks. Null where devices are not linked (Driver::link), and where the host can read their memory.
  static std::unique_ptr<DeviceSum> of(Device device, Communicator& ranks, int64_t elements, bool exact);
  ~DeviceSum();

  // Queues the sum, in place, behind what makes the array, and returns; but first waits for the sum before. Error where a rank is lost.
  void add(const Tensor& values);
  // Returns when the last sum is done. What waits for the device without it would wait for a lost rank forever.
  void wait();
  // What this rank sends for a sum; for one that is not exact as many bytes as are needed at least.
  int64_t bytes() const;

 private:
  DeviceSum(Device device, Communicator& ranks, int64_t elements, bool exact, std::unique_ptr<cuda::DeviceLink> link);

  Communicator& ranks_;
  bool exact_;
  int64_t elements_;
  Tensor of_partner_;
  std::unique_ptr<cuda::DeviceLink> link_;
};

}  // namespace dura
