// The narrow interface between the CUDA backend and a device: memory, copies, streams, events, capture and replay, kernels, convolution
// graphs, matrix products. Two implementations: the card's (CUDA runtime, cuDNN, cublasLt) and the simulated one (sim/), which executes
// everything on the CPU and is stricter than a card. Nothing above this line knows which one it has.
//
// Order: work is asynchronous and runs in the order of its stream; between streams only events order it. Host memory given to a copy to the
// device must stay as it is until the copy is done, pinned or not: CUDA may read either late.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/comm/communicator.h"
#include "engine/cuda/graph.h"
#include "engine/core/device.h"
#include "engine/core/memory.h"

namespace dura::cuda {

// The CUDA runtime's numbers: those that the simulated device uses.
enum class Status : int {
  memory_allocation = 2,
  launch_failure = 719,
  illegal_address = 700,
  misaligned_address = 716,
  invalid_value = 1,
  capture_unsupported = 900,  // what a capturing stream forbids: allocation, synchronising, unpinned copies
  capture_invalidated = 901,  // an earlier error has ended this capture
  capture_unmatched = 903,
  capture_unjoined = 904,   // the capture ends while a stream that it forked to was not joined again
  capture_isolation = 905,  // a dependency on work outside of the capture
  capture_implicit = 906,   // the legacy stream would wait for the capturing one
  captured_event = 907,     // an event of a capture was waited for from outside
};
const char* status_name(Status status);  // "cudaErrorStreamCaptureUnsupported"

class DriverError : public Error {
 public:
  DriverError(Status status, const std::string& message)
      : Error(concat(message, " (CUDA error ", static_cast<int>(status), ", ", status_name(status), ")")), status_(status) {}
  Status status() const { return status_; }

 private:
  Status status_;
};

struct Stream {
  int id = 0;
};
// CUDA's default stream, which waits for every other stream; the backend never uses it.
constexpr Stream legacy_stream{0};
struct Event {
  int id = -1;
};
struct CapturedWork {
  int id = -1;
};

// A kernel and one set of arguments. Made by launch() in kernel.h alone.
struct KernelLaunch {
  const char* name = "";
  int64_t blocks = 1;
  int threads = 1;
  bool barriers = false;                   // the kernel has __syncthreads or shuffles
  const void* function = nullptr;          // card: what cudaLaunchKernel takes
  void** arguments = nullptr;              // card: addresses of the arguments
  std::function<void()> thread = {};       // simulated: what one thread does
  std::vector<const void*> pointers = {};  // simulated: the arguments that are addresses, for checks
};

// Defined by a test's stand-in for CUDA's runtime alone, which learns here what nvcc's code tells the real one: how a kernel gets its
// arguments from their addresses.
void know_kernel(const void* function, const std::function<KernelLaunch(void** arguments)>& unpack);

// c (m,n) = a (m,k) b (k,n) [+ bias (n)] [+ c], row after row, all of one dtype; sums in f32. A transposed factor is stored as (k,m) or
// (n,k).
struct Product {
  int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false, accumulate = false;
  DType dtype = DType::f32;
  const void* a = nullptr;
  const void* b = nullptr;
  const void* bias = nullptr;
  void* c = nullptr;
};

// The devices of several processes (ranks), which send to each other without the host's memory. Calls queue work; every rank queues the
// same in the same order.
class DeviceLink {
 public:
  virtual ~DeviceLink() = default;
  // One rank sends to another while it receives from the same; f32 elements, as many as either expects.
  virtual void exchange(int64_t rank, const float* send, int64_t send_count, float* receive, int64_t receive_count, Stream stream) = 0;
  // The sum over ranks, in place, in whatever order the library adds.
  virtual void all_reduce(float* values, int64_t count, Stream stream) = 0;
  // Returns when all of that is done. Error that says so where a rank is lost, or does not answer in the communicator's time.
  virtual void wait() = 0;
};

class Driver : public BlockWatcher {
 public:
  virtual Device device() const = 0;
  virtual size_t memory_bytes() = 0;  // that this process can have in all

  // ---- memory; not while a stream captures ----
  virtual void* allocate(size_t bytes) = 0;  // null when the device is full
  virtual void release(void* memory) = 0;
  virtual void* allocate_pinned(size_t bytes) = 0;  // host memory that copies may read later; null when the system gives no more
  virtual void release_pinned(void* memory) = 0;
  // A device that does not check how memory is used need not know which tensor lives where.
  void begins(void*, size_t /*bytes*/, size_t /*capacity*/, const std::string& /*what*/, bool /*container*/) override {}
  void ends(void*) override {}

  // ---- streams and events ----
  virtual Stream create_stream() = 0;
  virtual Event create_event() = 0;
  virtual void record(Event event, Stream stream) = 0;  // done when all earlier work of the stream is
  virtual void wait(Stream stream, Event event) = 0;    // later work of the stream waits for the last record before this call
  virtual void synchronize(Stream stream) = 0;          // the host waits
  virtual void synchronize(Event event) = 0;

  // ---- copies ----
  virtual void copy_to_device(void* device, const void* host, size_t bytes, Stream stream) = 0;
  virtual void copy_to_host(void* host, const void* device, size_t bytes, Stream stream) = 0;  // unpinned: returns when done
  virtual void copy_on_device(void* to, const void* from, size_t bytes, Stream stream) = 0;

  // ---- capture: work put into the stream is kept instead of run, and run as a whole by replay ----
  virtual void begin_capture(Stream stream) = 0;
  virtual CapturedWork end_capture(Stream stream) = 0;
  virtual void replay(CapturedWork work, Stream stream) = 0;
  virtual void release(CapturedWork work) = 0;

  // ---- arithmetic ----
  virtual void launch(const KernelLaunch& kernel, Stream stream) = 0;
  // Whether there is a way to compute the graph here; said once in the log where there is none. The first question about a graph may
  // compile code for seconds, so all are asked while a step is planned, never inside a capture.
  virtual bool supports(const Graph& graph) = 0;
  virtual size_t workspace_bytes(const Graph& graph) = 0;  // of a graph that is supported
  // `addresses` of the graph's tensors that are not virtual, in their order.
  virtual void run(const Graph& graph, const std::vector<void*>& addresses, void* workspace, Stream stream) = 0;
  // False, and nothing is queued, where the device's library has no way to compute it.
  virtual bool product(const Product& product, Stream stream) = 0;
  // Whether graphs of several operations are known to compute what their description says. Where not, the backend compares each pattern
  // with its own kernels, once for each engine.
  virtual bool fusion_is_proven() const { return true; }
  // The number of the engine that computes a graph that is supported, and whether that engine, with the same settings, computes another.
  virtual int64_t engine(const Graph& /*graph*/) { return 0; }
  virtual bool lend_engine(const Graph& /*graph*/, const Graph& /*to*/) { return true; }
  // Whether factors of f32 products and convolutions may be rounded to TF32; at first not.
  virtual void allow_tf32(bool allowed) = 0;
  // Links this process's device with those of the other ranks, who all call it; null for all where that is not possible for one of them,
  // with the reason in the log of rank 0.
  virtual std::unique_ptr<DeviceLink> link(Communicator& ranks) = 0;
  // These graphs will be asked about: a driver may get ready for them side by side.
  virtual void make_ready(const std::vector<Graph>& /*graphs*/) {}
};

}  // namespace dura::cuda
