// The simulated device: the Driver interface executed on the CPU, so that all of the CUDA backend runs, is tested and can be read about
// without a card. Stricter than a card: device memory cannot be touched by the host, new memory is NaN, writes beside a tensor are found,
// streams run in any permitted order, and what capture forbids fails with CUDA's error numbers. What it cannot show: cuDNN's own numerics,
// real scheduling of warps, speed.
#pragma once
#include <functional>
#include <map>
#include <memory>

#include "engine/cuda/driver.h"
#include "engine/cuda/sim/device_memory.h"
#include "engine/cuda/sim/work_queue.h"

namespace dura::cuda::sim {

class SimDriver final : public Driver {
 public:
  SimDriver();

  // Graphs that this device pretends to have no engine for; at first none.
  void set_unsupported(std::function<bool(const Graph&)> unsupported) { unsupported_ = std::move(unsupported); }
  // Products that it pretends to have no algorithm for; at first none.
  void set_unsupported_products(std::function<bool(const Product&)> unsupported) { unsupported_products_ = std::move(unsupported); }
  // What it does to graphs before it computes them, as a library with an error would: fusion is not proven then. At first nothing.
  void set_misreading(std::function<void(Graph&)> misreading) { misreading_ = std::move(misreading); }
  // Called with each graph that is put into a stream.
  void watch_graphs(std::function<void(const Graph&)> watcher) { graph_watcher_ = std::move(watcher); }
  // The device is full when so many bytes are allocated. DURA_SIM_MEMORY sets the first value, in MiB.
  void set_memory_bytes(size_t bytes) { memory_.set_limit(bytes); }

  // Which of the permitted orders of streams, blocks and threads is taken; 0 is the natural one. DURA_SIM_SEED sets the first.
  void set_seed(uint64_t seed) { work_.set_seed(seed); }

  Device device() const override { return Device::cuda_sim; }
  size_t memory_bytes() override { return memory_.limit(); }
  void* allocate(size_t bytes) override;
  void release(void* memory) override;
  void* allocate_pinned(size_t bytes) override;
  void release_pinned(void* memory) override;
  void begins(void* data, size_t bytes, size_t capacity, const std::string& what, bool container) override;
  void ends(void* data) override;
  Stream create_stream() override;
  Event create_event() override { return work_.create_event(); }
  void record(Event event, Stream stream) override { work_.record(event, stream); }
  void wait(Stream stream, Event event) override { work_.wait(stream, event); }
  void synchronize(Stream stream) override { work_.synchronize(stream); }
  void synchronize(Event event) override { work_.synchronize(event); }
  void copy_to_device(void* device, const void* host, size_t bytes, Stream stream) override;
  void copy_to_host(void* host, const void* device, size_t bytes, Stream stream) override;
  void copy_on_device(void* to, const void* from, size_t bytes, Stream stream) override;
  void begin_capture(Stream stream) override { work_.begin_capture(stream); }
  CapturedWork end_capture(Stream stream) override { return work_.end_capture(stream); }
  void replay(CapturedWork work, Stream stream) override { work_.replay(work, stream); }
  void release(CapturedWork work) override { work_.release(work); }
  void launch(const KernelLaunch& kernel, Stream stream) override;
  bool supports(const Graph& graph) override { return !unsupported_ || !unsupported_(graph); }
  // Cards want some, so each graph does here, and overwrites it.
  size_t workspace_bytes(const Graph&) override { return 320; }
  void run(const Graph& graph, const std::vector<void*>& addresses, void* workspace, Stream stream) override;
  bool product(const Product& product, Stream stream) override;
  bool fusion_is_proven() const override { return !misreading_; }

  // Device addresses that a piece of work was given: each must lie in a living tensor, with `bytes` bytes from there where that is known.
  struct Given {
    const void* address;
    size_t bytes = 0;
  };
  // Puts work into a stream; `run` may touch device memory.
  void push(const std::string& name, const std::vector<Given>& given, Stream stream, std::function<void()> run);
  void allow_tf32(bool allowed) override { tf32_ = allowed; }
  std::unique_ptr<DeviceLink> link(Communicator& ranks) override;

 private:
  bool pinned(const void* host, size_t bytes) const;

  DeviceMemory memory_;
  WorkQueue work_;
  std::map<const char*, size_t> pinned_;
  std::function<bool(const Graph&)> unsupported_;
  std::function<bool(const Product&)> unsupported_products_;
  std::function<void(Graph&)> misreading_;
  std::function<void(const Graph&)> graph_watcher_;
  bool tf32_ = false;
  int first_stream_ = -1;  // where new memory is poisoned: memory is handed out in the order of the first stream that was made
};

// The one of this process; what `Device::cuda_sim` runs on.
SimDriver& sim_driver();

}  // namespace dura::cuda::sim
