#include "engine/cuda/card/card_driver.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/cuda/card/card_plans.h"
#include "engine/cuda/card/cublas_product.h"
#include "engine/cuda/card/cuda_check.h"
#include "engine/cuda/card/cudnn_library.h"
#include "engine/cuda/card/nccl_link.h"

namespace dura::cuda {
namespace {

class CardDriver final : public Driver {
 public:
  CardDriver() {
    use_card();
    size_t total = 0;
    check(cudaMemGetInfo(&memory_bytes_, &total), "CUDA, asking for free memory");
    memory_bytes_ -= std::min(memory_bytes_ / 2, kept_back);
    product_workspace_ = allocate(product_workspace_bytes);
    DURA_CHECK(product_workspace_, "the card has no ", product_workspace_bytes, " bytes free for products; another program fills it");
  }
  ~CardDriver() override {
    for (cudaGraphExec_t w : captured_)
      if (w) cudaGraphExecDestroy(w);
    for (cudaEvent_t e : events_) cudaEventDestroy(e);
    for (cudaStream_t s : streams_)
      if (s) cudaStreamDestroy(s);
    cudaFree(product_workspace_);
  }

  Device device() const override { return Device::cuda; }
  size_t memory_bytes() override { return memory_bytes_; }

  // ---- memory ----
  void* allocate(size_t bytes) override {
    void* memory = nullptr;
    return is_full(cudaMalloc(&memory, bytes), bytes, " bytes") ? nullptr : memory;
  }
  // What releases is called by destructors, and can only fail of earlier work: then a call that waited for that work has said so, and an
  // exception from here would end the program before anybody could read it.
  void release(void* memory) override { cudaFree(memory); }
  void* allocate_pinned(size_t bytes) override {
    void* memory = nullptr;
    return is_full(cudaMallocHost(&memory, bytes), bytes, " bytes of pinned host memory") ? nullptr : memory;
  }
  void release_pinned(void* memory) override { cudaFreeHost(memory); }

  // ---- streams and events ----
  Stream create_stream() override {
    cudaStream_t s = nullptr;
    check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "CUDA, new stream");
    streams_.push_back(s);
    return {static_cast<int>(streams_.size()) - 1};
  }
  Event create_event() override {
    cudaEvent_t e = nullptr;
    check(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "CUDA, new event");
    events_.push_back(e);
    return {static_cast<int>(events_.size()) - 1};
  }
  void record(Event e, Stream s) override { check(cudaEventRecord(event(e), stream(s)), "CUDA, recording an event"); }
  void wait(Stream s, Event e) override { check(cudaStreamWaitEvent(stream(s), event(e), 0), "CUDA, waiting for an event"); }
  void synchronize(Stream s) override { check(cudaStreamSynchronize(stream(s)), "CUDA, waiting for a stream"); }
  void synchronize(Event e) override { check(cudaEventSynchronize(event(e)), "CUDA, waiting for an event"); }

  // ---- copies ----
  void copy_to_device(void* device, const void* host, size_t bytes, Stream s) override {
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream(s)), concat("CUDA, copying ", bytes, " bytes to the card"));
  }
  void copy_to_host(void* host, const void* device, size_t bytes, Stream s) override {
    check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream(s)), concat("CUDA, copying ", bytes, " bytes from the card"));
  }
  void copy_on_device(void* to, const void* from, size_t bytes, Stream s) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream(s)), concat("CUDA, copying ", bytes, " bytes on the card"));
  }

  // ---- capture ----
  void begin_capture(Stream s) override {
    check(cudaStreamBeginCapture(stream(s), cudaStreamCaptureModeGlobal), "CUDA, beginning a capture");
  }
  CapturedWork end_capture(Stream s) override {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream(s), &graph), "CUDA, ending a capture");
    cudaGraphExec_t executable = nullptr;
    const cudaError_t error = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    check(error, "CUDA, making captured work runnable");
    captured_.push_back(executable);
    return {static_cast<int>(captured_.size()) - 1};
  }
  void replay(CapturedWork w, Stream s) override {
    check(cudaGraphLaunch(work(w), stream(s)), "CUDA, replaying captured work");
    queued_last = "captured work";
  }
  void release(CapturedWork w) override {
    cudaGraphExecDestroy(work(w));
    captured_[static_cast<size_t>(w.id)] = nullptr;
  }

  // ---- arithmetic ----
  void launch(const KernelLaunch& k, Stream s) override {
    DURA_CHECK(k.blocks > 0 && k.blocks <= std::numeric_limits<int32_t>::max(), "kernel ", k.name, ": a grid of ", k.blocks, " blocks");
    check(cudaLaunchKernel(k.function, dim3(static_cast<unsigned>(k.blocks)), dim3(static_cast<unsigned>(k.threads)), k.arguments, 0,
                           stream(s)),
          concat("CUDA, kernel ", k.name));
    queued_last = k.name;
  }
  void make_ready(const std::vector<Graph>& graphs) override { plans_.make(graphs, tf32_); }
  bool supports(const Graph& graph) override { return plans_.find(graph, tf32_) != nullptr; }
  size_t workspace_bytes(const Graph& graph) override { return plan(graph).workspace_bytes(); }
  void run(const Graph& graph, const std::vector<void*>& addresses, void* workspace, Stream s) override {
    const CudnnPlan& p = plan(graph);
    try {
      const auto handle = static_cast<cudnnHandle_t>(p.handle());
      check_cudnn(cudnn().set_stream(handle, stream(s)), "cuDNN, choosing a stream");
      p.run(handle, addresses, workspace);
    } catch (const CudnnError&) {
      check_alive("at " + graph.name);
      throw;
    }
    queued_last = p.name().c_str();
  }
  bool product(const Product& p, Stream s) override {
    if (!products_.run(p, tf32_, product_workspace_, stream(s))) return false;
    queued_last = "a matrix product";
    return true;
  }
  bool fusion_is_proven() const override { return false; }
  int64_t engine(const Graph& graph) override { return plan(graph).choice().engine; }
  bool lend_engine(const Graph& graph, const Graph& to) override { return plans_.lend(plan(graph), to, tf32_); }
  void allow_tf32(bool allowed) override { tf32_ = allowed; }
  std::unique_ptr<DeviceLink> link(Communicator& ranks) override {
    return nccl_link(ranks, [this](Stream s) { return stream(s); });
  }

 private:
  static bool is_full(cudaError_t error, size_t bytes, const char* what) {
    if (error == cudaErrorMemoryAllocation) return cudaGetLastError(), true;
    check(error, concat("CUDA, allocating ", bytes, what));
    return false;
  }
  template <class T>
  static T& at(std::vector<T>& all, int id, const char* what) {
    DURA_CHECK(id >= 0 && static_cast<size_t>(id) < all.size(), "the CUDA driver was given ", what, " ", id, " of ", all.size());
    return all[static_cast<size_t>(id)];
  }
  cudaStream_t stream(Stream s) { return at(streams_, s.id, "stream"); }
  cudaEvent_t event(Event e) { return at(events_, e.id, "event"); }
  cudaGraphExec_t work(CapturedWork w) {
    cudaGraphExec_t executable = at(captured_, w.id, "captured work");
    DURA_CHECK(executable, "captured work ", w.id, " was released before");
    return executable;
  }

  const CudnnPlan& plan(const Graph& graph) {
    const CudnnPlan* p = plans_.find(graph, tf32_);
    DURA_CHECK(p, "cuDNN has no engine for ", graph.name, "; there is no other way to compute it on this card. Try another --precision.");
    return *p;
  }

  // For the modules that CUDA, cuDNN and cublasLt load when something first needs them.
  static constexpr size_t kept_back = size_t{1} << 30;
  size_t memory_bytes_ = 0;  // free when the driver was made, without that
  bool tf32_ = false;
  CardPlans plans_;
  CublasProducts products_;
  void* product_workspace_ = nullptr;
  std::vector<cudaStream_t> streams_ = {nullptr};  // number 0 is the legacy stream
  std::vector<cudaEvent_t> events_;
  std::vector<cudaGraphExec_t> captured_;
};

}  // namespace

std::string card_missing() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  cudaGetLastError();
  const auto because = [&](const char* why) { return concat("no CUDA card: ", why, " (error ", static_cast<int>(error), ")"); };
  if (error == cudaErrorInsufficientDriver) return because("there is no NVIDIA driver, or it is older than this program's CUDA");
  if (error == cudaErrorStubLibrary) return because("libcuda.so.1 is the toolkit's stub, not a driver");
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0))
    return because("the driver finds none; see nvidia-smi and CUDA_VISIBLE_DEVICES");
  if (error != cudaSuccess) return because(cudaGetErrorString(error));
  cudaDeviceProp properties{};
  if (const cudaError_t read = cudaGetDeviceProperties(&properties, card_number()); read != cudaSuccess)
    return concat("the CUDA card's properties cannot be read: ", cudaGetErrorString(read));
  if (properties.major < 8)
    return concat("the card ", properties.name, " has compute capability ", properties.major, ".", properties.minor,
                  ", dura needs 8.0 or more");
  return "";
}

std::string cudnn_missing() { return why_not(cudnn); }

std::string why_no_card() {
  for (const auto part : {card_missing, cudnn_missing, cublas_missing})
    if (const std::string missing = part(); !missing.empty()) return missing;
  return "";
}

std::unique_ptr<Driver> make_card_driver() {
  if (const std::string reason = why_no_card(); !reason.empty()) fail_usage("device cuda: ", reason, ". Use --device cpu.");
  return std::make_unique<CardDriver>();
}

}  // namespace dura::cuda
