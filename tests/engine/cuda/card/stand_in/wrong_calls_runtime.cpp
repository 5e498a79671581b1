// Wrong calls of CUDA's runtime.
#include <vector>

#include "tests/engine/cuda/card/stand_in/wrong_calls.h"

namespace dura::cuda::stand_in {
namespace {

using Catch::Contains;

void kernel_of_nobody() {}
void kernel_of_this_test() {}

cudaEvent_t new_event(unsigned flags) {
  cudaEvent_t event = nullptr;
  cudaEventCreateWithFlags(&event, flags);
  return event;
}

// What a stream that captures forbids: the capture ends without a graph.
void while_capturing(const Convolution& c) {
  const auto captured = [&](const std::function<void()>& call) {
    cudaStreamBeginCapture(c.stream, cudaStreamCaptureModeGlobal);
    const std::string found = complaint(call);
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamEndCapture(c.stream, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(graph == nullptr);
    return found;
  };
  const cudaEvent_t event = new_event(cudaEventDisableTiming);
  void* memory = nullptr;
  std::vector<char> host(64);
  for (const std::function<void()>& call : std::initializer_list<std::function<void()>>{
           [&] { cudaMalloc(&memory, 64); }, [&] { cudaStreamSynchronize(c.stream); }, [&] { cudaStreamQuery(nullptr); },
           [&] { cudaEventSynchronize(event); }, [&] { cudaEventQuery(event); }})
    CHECK_THAT(captured(call), Contains("cudaErrorStreamCaptureUnsupported"));
  CHECK_THAT(captured([&] { cudaMemcpyAsync(c.x, host.data(), 64, cudaMemcpyHostToDevice, c.stream); }), Contains("unpinned memory"));
  cudaEventDestroy(event);
  CHECK_THAT(complaint([&] { cudaStreamBeginCapture(c.stream, cudaStreamCaptureModeRelaxed); }), Contains("other threads may disturb"));
  cudaGraph_t graph = nullptr;
  CHECK_THAT(complaint([&] { cudaStreamEndCapture(c.stream, &graph); }), Contains("no capture has begun"));
}

void after_the_end(Convolution& c) {
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  cudaStreamDestroy(stream);
  CHECK_THAT(complaint([&] { cudaStreamSynchronize(stream); }), Contains("a stream is used after its end"));
  CHECK_THAT(complaint([&] { cudaStreamDestroy(stream); }), Contains("a stream ends twice"));
  const cudaEvent_t event = new_event(cudaEventDisableTiming);
  cudaEventDestroy(event);
  CHECK_THAT(complaint([&] { cudaEventRecord(event, c.stream); }), Contains("an event is used after its end"));
  CHECK_THAT(complaint([&] { cudaEventDestroy(event); }), Contains("an event ends twice"));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr, another = nullptr;
  cudaStreamBeginCapture(c.stream, cudaStreamCaptureModeGlobal);
  cudaMemcpyAsync(c.x, c.w, 64, cudaMemcpyDeviceToDevice, c.stream);
  cudaStreamEndCapture(c.stream, &graph);
  cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  CHECK_THAT(complaint([&] { cudaGraphInstantiate(&another, graph, 0); }), Contains("a graph is used after its end"));
  CHECK_THAT(complaint([&] { cudaGraphDestroy(graph); }), Contains("a graph ends twice"));
  cudaGraphExecDestroy(executable);
  CHECK_THAT(complaint([&] { cudaGraphLaunch(executable, c.stream); }), Contains("an executable graph is used after its end"));
  CHECK_THAT(complaint([&] { cudaGraphExecDestroy(executable); }), Contains("an executable graph ends twice"));
  CHECK_THAT(complaint([&] { cudaFree(c.workspace), cudaFree(c.workspace); }), Contains("memory is freed that is not allocated"));
  c.workspace = nullptr;
  void* pinned = nullptr;
  cudaMallocHost(&pinned, 64);
  CHECK_THAT(complaint([&] { cudaFreeHost(pinned), cudaFreeHost(pinned); }), Contains("pinned memory is freed"));
}

void times(const Convolution& c) {
  const cudaEvent_t begin = new_event(cudaEventDefault), end = new_event(cudaEventDefault), plain = new_event(cudaEventDisableTiming);
  float ms = 0;
  const auto asked = [&](cudaEvent_t from, cudaEvent_t to) { return complaint([&] { cudaEventElapsedTime(&ms, from, to); }); };
  CHECK_THAT(asked(begin, end), Contains("never recorded"));
  for (const cudaEvent_t e : {begin, end, plain}) cudaEventRecord(e, c.stream);
  CHECK_THAT(asked(begin, end), Contains("before anybody waited"));
  CHECK_THAT(asked(plain, end), Contains("keeps none"));
  cudaEventSynchronize(end);
  CHECK(asked(begin, end).empty());
  for (const cudaEvent_t e : {begin, end, plain}) cudaEventDestroy(e);
}

}  // namespace

void wrong_calls_of_runtime() {
  Convolution c;
  while_capturing(c);
  times(c);
  CHECK_THAT(complaint([&] { cudaMemcpyAsync(static_cast<char*>(c.x) + 255, c.w, 2, cudaMemcpyDeviceToDevice, c.stream); }),
             Contains("reach behind the end"));
  cudaStream_t stream = nullptr;
  CHECK_THAT(complaint([&] { cudaStreamCreateWithFlags(&stream, cudaStreamDefault); }), Contains("waits for the legacy stream"));
  CHECK_THAT(complaint([] { cudaSetDevice(1); }), Contains("there is one device"));
  const auto* nobody = reinterpret_cast<const void*>(&kernel_of_nobody);
  const auto* ours = reinterpret_cast<const void*>(&kernel_of_this_test);
  CHECK_THAT(complaint([&] { cudaLaunchKernel(nobody, 1, 1, nullptr, 0, c.stream); }), Contains("no such kernel"));
  know_kernel(ours, [](void**) { return KernelLaunch{.thread = [] {}}; });
  CHECK_THAT(complaint([&] { cudaLaunchKernel(ours, 1, 1, nullptr, 16, c.stream); }), Contains("a grid that dura has none of"));
  CHECK_THAT(complaint([&] { cudaLaunchKernel(ours, dim3(1, 2), 1, nullptr, 0, c.stream); }), Contains("a grid that dura has none of"));
  after_the_end(c);
}

}  // namespace dura::cuda::stand_in
