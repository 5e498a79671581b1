// The functions of CUDA's runtime that engine/cuda/card calls, on the simulated device. Error numbers are the runtime's own, which the
// simulated device uses too.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>

#include "tests/engine/cuda/card/stand_in/stand_in.h"

using dura::concat;
using dura::cuda::DriverError;
using dura::cuda::Status;
namespace stand_in = dura::cuda::stand_in;

struct CUstream_st {
  dura::cuda::Stream stream;
};
struct CUevent_st {
  dura::cuda::Event event;
  bool timed = false, waited_for = false;
  double recorded_ms = -1;  // on the card's clock; negative: never
};
struct CUgraph_st {
  dura::cuda::CapturedWork work;
};
struct CUgraphExec_st {
  dura::cuda::CapturedWork work;
};

namespace {

// Before main: the card's side is asked for its libraries by folder, and tests run on it.
const bool environment = [] {
  setenv("DURA_CUDA_LIBRARIES", DURA_STAND_IN_FOLDER, 1);
  setenv("DURA_TEST_DEVICE", "cuda", 1);
  setenv("DURA_CUDA_PLANS", "off", 1);  // no test depends on an earlier one
  return true;
}();

struct Runtime {
  std::set<const void*> streams, events, graphs, executables, pinned, memory;
  std::map<const void*, std::function<dura::cuda::KernelLaunch(void**)>> kernels;
  cudaError_t last = cudaSuccess, sticky = cudaSuccess;
  bool capturing = false;
  int64_t calls = 0, fail_at = 0;
  std::string failed;
};
Runtime& runtime() {
  static auto* r = new Runtime;
  return *r;
}

bool is_sticky(cudaError_t error) {
  return error == cudaErrorIllegalAddress || error == cudaErrorLaunchFailure || error == cudaErrorMisalignedAddress;
}

cudaError_t remember(cudaError_t error) {
  if (error == cudaSuccess || error == cudaErrorNotReady) return error;
  if (is_sticky(error)) runtime().sticky = error;
  return runtime().last = error;
}

// One call of the API.
template <class F>
cudaError_t attempt(const char* name, F&& body) {
  if (runtime().sticky != cudaSuccess) return remember(runtime().sticky);
  try {
    body();
    return cudaSuccess;
  } catch (const DriverError& e) {
    stand_in::keep_complaint(concat(name, ": ", e.what()));
    return remember(static_cast<cudaError_t>(e.status()));
  } catch (const dura::Error& e) {
    stand_in::keep_complaint(concat(name, ": ", e.what()));
    return remember(cudaErrorInvalidValue);
  }
}

template <class F>
cudaError_t call(const char* name, cudaError_t injected_error, F&& body) {
  return stand_in::injected(name) ? remember(injected_error) : attempt(name, body);
}

template <class T>
T* made(std::set<const void*>& all, const char* kind, T value) {
  T* object = new T(value);
  all.insert(object);
  ++stand_in::alive()[kind];
  return object;
}
// Never freed: an address that is used again would hide a use after the end.
template <stand_in::Name check>
void ended(std::set<const void*>& all, const char* kind, const void* object) {
  if (all.erase(object) == 0) stand_in::refuse<check>();
  --stand_in::alive()[kind];
}
template <stand_in::Name check, class T>
T& living(const std::set<const void*>& all, T* object) {
  if (all.count(object) == 0) stand_in::refuse<check>();
  return *object;
}
CUevent_st& living_event(cudaEvent_t event) { return living<"an event is used after its end">(runtime().events, event); }

// As releases of memory do: whatever may still use it is done.
void wait_for_all() {
  for (const void* s : runtime().streams) stand_in::device().synchronize(static_cast<const CUstream_st*>(s)->stream);
}

// As the simulated device says it: only there a capture is ended by it.
template <stand_in::Name check>
void forbid_while_capturing() {
  if (!runtime().capturing) return;
  stand_in::note<check>();
  stand_in::device().allocate(64);
}

}  // namespace

// ---- for tests and the libraries ----

namespace dura::cuda::stand_in {

sim::SimDriver& device() {
  static auto* driver = [] {
    auto* d = new sim::SimDriver;
    d->set_memory_bytes(size_t{8} << 30);
    d->create_stream();  // the first, on which new memory is filled with NaN
    return d;
  }();
  return *driver;
}
std::vector<std::string>& complaints() {
  static std::vector<std::string> all;
  return all;
}
bool keep_complaint(const std::string& what) {
  complaints().push_back(what);
  return false;
}
std::set<std::string>& checks() {
  static std::set<std::string> names;
  return names;
}
std::set<std::string>& caught() {
  static std::set<std::string> names;
  return names;
}
bool injected(const char* name) {
  Runtime& r = runtime();
  if (++r.calls != r.fail_at) return false;
  r.failed = name;
  return true;
}
void fail_at(int64_t n) { runtime().calls = 0, runtime().fail_at = n, runtime().failed.clear(); }
int64_t calls() { return runtime().calls; }
const std::string& failed() { return runtime().failed; }
std::map<std::string, int64_t>& alive() {
  static std::map<std::string, int64_t> counts;
  return counts;
}
Stream stream_of(const void* handle) {
  if (!handle) return legacy_stream;
  return living<"a stream is used after its end">(runtime().streams, static_cast<const CUstream_st*>(handle)).stream;
}
void repair() { runtime().sticky = runtime().last = cudaSuccess; }
std::function<bool(const Product&)>& unsupported_product() {
  static std::function<bool(const Product&)> f;
  return f;
}
std::function<bool(const Graph&)>& unsupported_graph() {
  static std::function<bool(const Graph&)> f;
  return f;
}
std::function<bool(const Graph&, int64_t)>& refusing_engine() {
  static std::function<bool(const Graph&, int64_t)> f;
  return f;
}
std::function<void(Graph&, int64_t)>& misreading_engine() {
  static std::function<void(Graph&, int64_t)> f;
  return f;
}
PlanCosts& plan_costs() {
  static PlanCosts costs;
  return costs;
}
int& compile_ms() {
  static int ms = 0;
  return ms;
}
double& card_ms() {
  static double ms = 0;
  return ms;
}
Communicator*& ranks() {
  static Communicator* all = nullptr;
  return all;
}
int& nccl_late_error() {
  static int error = 0;
  return error;
}
int64_t& nccl_questions() {
  static int64_t count = 0;
  return count;
}
int64_t& event_stalls() {
  static int64_t looks = 0;
  return looks;
}
std::string& card_uuid() {
  static std::string uuid(16, 'u');
  return uuid;
}
std::map<std::string, int64_t>& engines() {
  static std::map<std::string, int64_t> all;
  return all;
}

}  // namespace dura::cuda::stand_in

void dura::cuda::know_kernel(const void* function, const std::function<KernelLaunch(void**)>& unpack) {
  runtime().kernels.try_emplace(function, unpack);
}

// ---- the API ----

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  return call("cudaGetDeviceCount", cudaErrorNoDevice, [&] { *count = 1; });
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  return call("cudaGetDeviceProperties", cudaErrorInvalidDevice, [&] {
    *properties = {};
    std::strcpy(properties->name, "stand-in");
    properties->major = 9;
    stand_in::card_uuid().copy(properties->uuid.bytes, sizeof(properties->uuid.bytes));
  });
}
cudaError_t cudaSetDevice(int device) {
  return call("cudaSetDevice", cudaErrorInvalidDevice, [&] {
    if (device != 0) stand_in::refuse<"there is one device">();
  });
}
cudaError_t cudaDriverGetVersion(int* version) {
  return call("cudaDriverGetVersion", cudaErrorUnknown, [&] { *version = 13000; });
}
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
  return call("cudaMemGetInfo", cudaErrorUnknown, [&] { *free_bytes = *total = stand_in::device().memory_bytes(); });
}
const char* cudaGetErrorString(cudaError_t error) { return dura::cuda::status_name(static_cast<Status>(error)); }
cudaError_t cudaGetLastError() {
  const cudaError_t last = runtime().last;
  runtime().last = runtime().sticky;
  return last;
}
cudaError_t cudaPeekAtLastError() { return runtime().last; }

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  return call("cudaMalloc", cudaErrorMemoryAllocation, [&] {
    *memory = stand_in::device().allocate(bytes);
    if (!*memory) throw DriverError(Status::memory_allocation, "the device is full");
    stand_in::device().begins(*memory, bytes, bytes, "memory of cudaMalloc", false);
    stand_in::device().synchronize(dura::cuda::Stream{1});
    runtime().memory.insert(*memory);
    ++stand_in::alive()["allocation"];
  });
}
cudaError_t cudaFree(void* memory) {
  if (!memory) return cudaSuccess;
  return call("cudaFree", cudaErrorUnknown, [&] {
    wait_for_all();
    ended<"memory is freed that is not allocated (any more)">(runtime().memory, "allocation", memory);
    stand_in::device().ends(memory);
    stand_in::device().release(memory);
  });
}
cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  return call("cudaMallocHost", cudaErrorMemoryAllocation, [&] {
    *memory = stand_in::device().allocate_pinned(bytes);
    if (!*memory) throw DriverError(Status::memory_allocation, "the host is full");
    runtime().pinned.insert(*memory);
    ++stand_in::alive()["pinned memory"];
  });
}
cudaError_t cudaFreeHost(void* memory) {
  return call("cudaFreeHost", cudaErrorUnknown, [&] {
    wait_for_all();
    ended<"pinned memory is freed that is not allocated (any more)">(runtime().pinned, "pinned memory", memory);
    stand_in::device().release_pinned(memory);
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return call("cudaStreamCreateWithFlags", cudaErrorUnknown, [&] {
    if (flags != cudaStreamNonBlocking) stand_in::refuse<"a stream that waits for the legacy stream">();
    *stream = made(runtime().streams, "stream", CUstream_st{stand_in::device().create_stream()});
  });
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return call("cudaStreamDestroy", cudaErrorUnknown, [&] { ended<"a stream ends twice">(runtime().streams, "stream", stream); });
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return call("cudaStreamSynchronize", cudaErrorUnknown, [&] {
    forbid_while_capturing<"a stream is waited for while one captures">();
    stand_in::device().synchronize(stand_in::stream_of(stream));
  });
}
// Nothing runs before somebody waits, so what was queued is not known to be done.
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const cudaError_t error = call("cudaStreamQuery", cudaErrorUnknown, [&] {
    forbid_while_capturing<"a stream is asked while one captures">();
    stand_in::stream_of(stream);
  });
  return error == cudaSuccess ? cudaErrorNotReady : error;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return call("cudaStreamWaitEvent", cudaErrorUnknown,
              [&] { stand_in::device().wait(stand_in::stream_of(stream), living_event(event).event); });
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return call("cudaEventCreateWithFlags", cudaErrorUnknown, [&] {
    *event = made(runtime().events, "event", CUevent_st{stand_in::device().create_event(), (flags & cudaEventDisableTiming) == 0});
  });
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call("cudaEventDestroy", cudaErrorUnknown, [&] { ended<"an event ends twice">(runtime().events, "event", event); });
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call("cudaEventRecord", cudaErrorUnknown, [&] {
    stand_in::device().record(living_event(event).event, stand_in::stream_of(stream));
    event->recorded_ms = stand_in::card_ms(), event->waited_for = false;
  });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call("cudaEventSynchronize", cudaErrorUnknown, [&] {
    forbid_while_capturing<"an event is waited for while a stream captures">();
    stand_in::device().synchronize(living_event(event).event);
    event->waited_for = true;
  });
}
// Waits, as nothing runs before somebody does.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (int64_t& stalls = stand_in::event_stalls(); stalls != 0) {
    if (stalls > 0) --stalls;
    return cudaErrorNotReady;
  }
  return call("cudaEventQuery", cudaErrorUnknown, [&] {
    forbid_while_capturing<"an event is asked while a stream captures">();
    stand_in::device().synchronize(living_event(event).event);
  });
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t begin, cudaEvent_t end) {
  return call("cudaEventElapsedTime", cudaErrorUnknown, [&] {
    for (const CUevent_st* e : {&living_event(begin), &living_event(end)}) {
      if (!e->timed) stand_in::refuse<"the time of an event that keeps none">();
      if (e->recorded_ms < 0) stand_in::refuse<"the time of an event that was never recorded">();
    }
    if (!end->waited_for) stand_in::refuse<"the time is read before anybody waited for the event">();
    *ms = static_cast<float>(end->recorded_ms - begin->recorded_ms);
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return call("cudaMemcpyAsync", cudaErrorUnknown, [&] {
    dura::cuda::sim::SimDriver& d = stand_in::device();
    const dura::cuda::Stream s = stand_in::stream_of(stream);
    if (kind == cudaMemcpyHostToDevice)
      d.copy_to_device(to, from, bytes, s);
    else if (kind == cudaMemcpyDeviceToHost)
      d.copy_to_host(to, from, bytes, s);
    else
      d.copy_on_device(to, from, bytes, s);
  });
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  return call("cudaMemsetAsync", cudaErrorUnknown, [&] {
    stand_in::device().push("memset", {{memory, bytes}}, stand_in::stream_of(stream), [=] { std::memset(memory, value, bytes); });
  });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return call("cudaStreamBeginCapture", cudaErrorUnknown, [&] {
    if (mode != cudaStreamCaptureModeGlobal) stand_in::refuse<"a capture that other threads may disturb">();
    stand_in::device().begin_capture(stand_in::stream_of(stream));
    runtime().capturing = true;
  });
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  const bool captured = runtime().capturing;
  runtime().capturing = false;
  const bool fails = stand_in::injected("cudaStreamEndCapture");  // the capture ends all the same
  return attempt("cudaStreamEndCapture", [&] {
    if (!captured) {
      stand_in::note<"no capture has begun">();
      throw DriverError(Status::capture_unmatched, "no capture has begun");
    }
    const dura::cuda::CapturedWork work = stand_in::device().end_capture(stand_in::stream_of(stream));
    if (fails) throw DriverError(Status::capture_invalidated, "as a test wants it");
    *graph = made(runtime().graphs, "graph", CUgraph_st{work});
  });
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  return call("cudaGraphInstantiate", cudaErrorUnknown, [&] {
    *executable = made(runtime().executables, "executable graph",
                       CUgraphExec_st{living<"a graph is used after its end">(runtime().graphs, graph).work});
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call("cudaGraphDestroy", cudaErrorUnknown, [&] { ended<"a graph ends twice">(runtime().graphs, "graph", graph); });
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return call("cudaGraphLaunch", cudaErrorUnknown, [&] {
    const CUgraphExec_st& e = living<"an executable graph is used after its end">(runtime().executables, executable);
    stand_in::device().replay(e.work, stand_in::stream_of(stream));
  });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return call("cudaGraphExecDestroy", cudaErrorUnknown, [&] {
    ended<"an executable graph ends twice">(runtime().executables, "executable graph", executable);
    stand_in::device().release(executable->work);
  });
}

cudaError_t cudaLaunchKernel(const void* function, dim3 blocks, dim3 threads, void** arguments, size_t shared, cudaStream_t stream) {
  return call("cudaLaunchKernel", cudaErrorLaunchOutOfResources, [&] {
    const auto kernel = runtime().kernels.find(function);
    if (kernel == runtime().kernels.end()) stand_in::refuse<"no such kernel">();
    if (shared != 0 || blocks.y * blocks.z * threads.y * threads.z != 1) stand_in::refuse<"a grid that dura has none of">();
    dura::cuda::KernelLaunch launch = kernel->second(arguments);
    launch.blocks = blocks.x, launch.threads = static_cast<int>(threads.x);
    stand_in::device().launch(launch, stand_in::stream_of(stream));
  });
}

}  // extern "C"
