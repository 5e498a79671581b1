// engine/cuda/card on stand-ins for CUDA's runtime, cuDNN and cublasLt: what it computes, how it chooses engines, what it says where a call
// fails, and that it leaves nothing behind.
#include "tests/support/catch.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cmath>

#include "engine/cuda/card/card_driver.h"
#include "engine/devices/cuda_devices.h"
#include "engine/devices/self_test.h"
#include "tests/engine/cuda/card/stand_in/faultless.h"
#include "tests/engine/cuda/card/stand_in/stand_in.h"
#include "tests/engine/op_harness.h"
#include "tests/support/log_lines.h"
#include "tests/support/small_training.h"
#include "tests/support/temporary_folder.h"

using namespace dura;
using namespace dura::optest;
using cuda::Graph;
using cuda::GraphNode;
using test::LogLines;
using test::SmallTraining;
namespace stand_in = cuda::stand_in;

TEST_CASE("the card's libraries are opened when they are first needed, in the folders that DURA_CUDA_LIBRARIES names", "[.][card-lazy]") {
  const auto open = [](const char* name) {
    void* handle = dlopen((std::string(DURA_STAND_IN_FOLDER "/") + name).c_str(), RTLD_NOW | RTLD_NOLOAD);
    if (handle) dlclose(handle);
    return handle != nullptr;
  };
  const std::string cublas = concat("libcublasLt.so.", CUDART_VERSION / 1000);
  CHECK_FALSE(open("libcudnn.so.9"));
  CHECK_FALSE(open(cublas.c_str()));
  CHECK(cuda::card_missing().empty());
  CHECK_FALSE(open("libcudnn.so.9"));
  CHECK(cuda::why_no_card().empty());
  CHECK(open("libcudnn.so.9"));
  CHECK(open(cublas.c_str()));
}

TEST_CASE("the card passes the self test", "[card]") {
  const stand_in::Faultless faultless;
  CHECK(cuda::self_test(Device::cuda).empty());
}

TEST_CASE("the card passes the op table", "[card][ops]") {
  const stand_in::Faultless faultless;
  std::vector<Column> columns;
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) columns.push_back({.device = Device::cuda, .dtype = dtype});
  for (const OpCase& c : op_cases())
    for (const std::string& f : check_columns(c, columns)) FAIL_CHECK(f);
}

TEST_CASE("ResNet-18 trains on the card as on the simulated device, in any order that streams may take", "[card]") {
  const stand_in::Faultless faultless;
  for (const DType dtype : {DType::f32, DType::f16}) {
    CAPTURE(dtype_name(dtype));
    SmallTraining card(Device::cuda, dtype, 3), simulated(Device::cuda_sim, dtype, 3);
    double first = 0;
    for (uint64_t i = 0; i < 4; ++i) {
      card.step(), simulated.step();
      stand_in::device().set_seed(i);
      if (i == 0) first = card.loss();
    }
    stand_in::device().set_seed(0);
    CHECK(card.replays());
    CHECK(card.loss() < first);
    const std::vector<double> of_card = card.everything(), of_simulated = simulated.everything();
    CHECK((of_card == of_simulated));  // a failure would print millions of numbers otherwise
  }
}

TEST_CASE("of the engines that cuDNN offers the card takes the first that is exact, fits, and can be made", "[card]") {
  const stand_in::Faultless faultless;
  stand_in::engines().clear();
  const ConvGeometry g{.N = 1, .H = 4, .W = 4, .C = 8, .K = 8, .R = 1, .S = 1, .P = 4, .Q = 4};
  const auto engine = [&](DType dtype) {
    const auto tensor = [&](const Shape& s) { return Tensor::zeros(s, dtype, Device::cuda); };
    const auto bytes = static_cast<int64_t>(backend(Device::cuda).conv_workspace(g, dtype, {}));
    backend(Device::cuda)
        .conv_forward(g, tensor({1, 4, 4, 8}), {tensor({8, 1, 1, 8})}, {}, Tensor::zeros({bytes}, DType::u8, Device::cuda),
                      tensor({1, 4, 4, 8}));
    const auto taken = stand_in::engines().begin()->second;
    stand_in::engines().clear();
    return taken;
  };
  CHECK(engine(DType::f16) == 4);
  CHECK(engine(DType::f32) == 5);  // 4 rounds factors to TF32
  backend(Device::cuda).allow_tf32(true);
  CHECK(engine(DType::f32) == 4);
  backend(Device::cuda).allow_tf32(false);
  CHECK(engine(DType::f32) == 5);
}

TEST_CASE("graphs without an engine are computed in parts, products without an algorithm by a kernel of ours, each said once", "[card]") {
  const stand_in::Faultless faultless;
  const LogLines said;
  stand_in::unsupported_graph() = [](const Graph& g) {
    return g.nodes.size() > 1 || g.nodes[0].operation == cuda::Operation::batch_norm_training;
  };
  stand_in::unsupported_product() = [](const cuda::Product& p) { return p.dtype == DType::f16 && p.n == 5; };
  SmallTraining five(Device::cuda, DType::f16, 5);
  const double first = (five.step(), five.loss());
  for (int i = 0; i < 5; ++i) five.step();
  CHECK(five.replays());
  CHECK(five.loss() < first);
  int products = 0;
  for (const std::string& line : said.lines) products += line.find("cublasLt has no algorithm for the product f16") != std::string::npos;
  CHECK(products == 1);
  CHECK(std::set<std::string>(said.lines.begin(), said.lines.end()).size() == said.lines.size());
  stand_in::unsupported_graph() = {}, stand_in::unsupported_product() = {};
}

TEST_CASE("a kernel that breaks the card is told with what was queued last, and is not read as a missing engine", "[card]") {
  stand_in::complaints().clear();
  const LogLines said;
  cuda::Driver& driver = cuda::driver_of(Device::cuda);
  // A copy to memory that was given back meanwhile.
  void* memory = nullptr;
  REQUIRE(cudaMalloc(&memory, 256) == cudaSuccess);
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  const Tensor x = Tensor::zeros({4}, DType::f32, Device::cuda);
  CHECK(cudaMemcpyAsync(static_cast<char*>(memory) + 512, memory, 8, cudaMemcpyDeviceToDevice, stream) == cudaErrorIllegalAddress);
  const Graph graph = cuda::conv_graph({.N = 3, .H = 4, .W = 4, .C = 8, .K = 8, .R = 1, .S = 1, .P = 4, .Q = 4}, DType::f16, {});
  CHECK_THROWS_WITH(driver.supports(graph),
                    Catch::Contains("700") && Catch::Contains("queued last: fill") && Catch::Contains("CUDA_LAUNCH_BLOCKING=1"));
  CHECK(said.lines.empty());
  CHECK_THROWS_WITH(to_array(x), Catch::Contains("queued last: fill"));
  stand_in::repair();
  CHECK(driver.supports(graph));
  cudaFree(memory), cudaStreamDestroy(stream);
  stand_in::complaints().clear();
}

TEST_CASE("the card keeps memory back for modules that load later", "[card]") {
  CHECK(cuda::driver_of(Device::cuda).memory_bytes() == stand_in::device().memory_bytes() - (size_t{1} << 30));
}

namespace {

// Everything that a driver does, small: graphs, products, kernels' capture and replay, copies. Returns what came out.
float driver_round() {
  const std::unique_ptr<cuda::Driver> driver = cuda::make_card_driver();
  const cuda::Stream stream = driver->create_stream(), other = driver->create_stream();
  const cuda::Event event = driver->create_event();
  const Graph graph = cuda::conv_graph({.N = 1, .H = 2, .W = 2, .C = 8, .K = 8, .R = 1, .S = 1, .P = 2, .Q = 2}, DType::f32, {});
  struct Memory {
    cuda::Driver& d;
    void* p;
    bool pinned;
    ~Memory() {
      if (p) pinned ? d.release_pinned(p) : d.release(p);
    }
  };
  const auto device_memory = [&](size_t bytes) { return Memory{*driver, driver->allocate(bytes), false}; };
  const Memory x = device_memory(128), w = device_memory(256), y = device_memory(128), workspace = device_memory(4096),
               host{*driver, driver->allocate_pinned(256), true};
  for (const Memory* m : {&x, &w, &y, &workspace, &host})
    if (!m->p) throw OutOfMemory("out of memory");
  std::fill_n(static_cast<float*>(host.p), 64, 0.5f);
  driver->copy_to_device(w.p, host.p, 256, stream);
  driver->copy_to_device(x.p, host.p, 128, stream);
  driver->record(event, stream);
  driver->wait(other, event);
  if (!driver->supports(graph)) throw Error("no engine");
  const size_t bytes = driver->workspace_bytes(graph);
  if (bytes > 4096) throw Error("a workspace of " + std::to_string(bytes));
  driver->run(graph, {x.p, w.p, y.p}, workspace.p, other);
  const cuda::Product product{.m = 4, .n = 8, .k = 8, .accumulate = true, .a = x.p, .b = w.p, .c = y.p};
  if (!driver->product(product, other)) throw Error("no algorithm");
  driver->synchronize(other);
  driver->begin_capture(stream);
  cuda::CapturedWork work;
  try {
    driver->copy_on_device(x.p, y.p, 128, stream);
    work = driver->end_capture(stream);
  } catch (...) {
    try {
      driver->end_capture(stream);
    } catch (const Error&) {
    }
    throw;
  }
  driver->replay(work, stream);
  driver->copy_to_host(host.p, x.p, 128, stream);
  driver->synchronize(stream);
  driver->release(work);
  return static_cast<float*>(host.p)[0];
}

std::map<std::string, int64_t> objects() {
  std::map<std::string, int64_t> all;
  for (const auto& [kind, count] : stand_in::alive())
    if (count != 0) all[kind] = count;
  return all;
}

}  // namespace

TEST_CASE("whichever call of CUDA fails, the driver says so in one message and leaves nothing behind", "[card]") {
  // With a plan that is made, and with one that another process kept.
  const bool kept = GENERATE(false, true);
  const TemporaryFolder folder;
  setenv("DURA_CUDA_PLANS", kept ? folder.path().c_str() : "off", 1);
  if (kept) driver_round();
  stand_in::complaints().clear();
  CHECK(cuda::why_no_card().empty());  // the libraries are open
  const std::map<std::string, int64_t> before = objects();
  stand_in::fail_at(0);
  CHECK(driver_round() == 4.0f);  // 8 * 0.5 * 0.5, twice
  const int64_t calls = stand_in::calls();
  CHECK(calls > (kept ? 100 : 300));
  CHECK(objects() == before);
  for (const std::string& c : stand_in::complaints()) FAIL_CHECK(c);
  int passed = 0;
  for (int64_t n = 1; n <= calls; ++n) {
    LogLines said;
    stand_in::fail_at(n);
    std::string message;
    try {
      if (driver_round() == 4.0f) ++passed;
    } catch (const Error& e) {
      message = e.what();
      CHECK_FALSE(message.empty());
    }
    const std::string failed = stand_in::failed();
    stand_in::fail_at(0), stand_in::repair(), cudaGetLastError();
    INFO("call " << n << ", " << failed << ": " << message);
    // What only releases may fail without a word, and the object is lost then; where a plan cannot be made, another engine is taken.
    const bool release = failed.find("Free") != std::string::npos || failed.find("Destroy") != std::string::npos;
    if (!release) CHECK(objects() == before);
    if (release) stand_in::alive() = before;
    CHECK(said.lines.size() <= (kept ? 2 : 1));  // a plan that was kept is of no use, and there is no other
  }
  CHECK(passed > 0);
  CHECK(passed < calls / 3 * 2);
  setenv("DURA_CUDA_PLANS", "off", 1);
  stand_in::complaints().clear();
}

TEST_CASE(
    "whichever call of CUDA fails in a step of training, it ends with one message or goes on, leaves nothing, and the next step works",
    "[card]") {
  const LogLines said;
  SmallTraining net(Device::cuda, DType::f16, 3);
  for (int i = 0; i < 3; ++i) net.step();
  REQUIRE(net.replays());
  stand_in::complaints().clear();
  // Eager, captured and replayed steps of a fresh CapturedStep have all kinds of calls.
  struct Outcome {
    std::string message, failed;
    int64_t calls;
  };
  const auto outcome_of = [](int64_t failing) {
    SmallTraining fresh(Device::cuda, DType::f16, 3);
    stand_in::fail_at(failing);
    std::string message;
    try {
      for (int i = 0; i < 4; ++i) fresh.step();
    } catch (const Error& e) {
      message = e.what();
    }
    const Outcome outcome{message, stand_in::failed(), stand_in::calls()};
    stand_in::fail_at(0), stand_in::repair(), cudaGetLastError();
    return outcome;
  };
  // The pool keeps freed memory for the next that asks; that is no leak.
  const auto left = [] {
    device_pool(Device::cuda)->reset_peak();
    return objects();
  };
  const Outcome good = outcome_of(0);
  CHECK(good.message.empty());
  CHECK(good.calls > 1000);
  const std::map<std::string, int64_t> before = left();
  const size_t in_use = device_pool(Device::cuda)->statistics().in_use;
  int ended = 0;
  for (int64_t n = 1; n < good.calls; n += good.calls / 11) {
    const auto [message, call, unused] = outcome_of(n);
    INFO("call " << n << ", " << call << ": " << message);
    ended += !message.empty();
    CHECK((message.empty() || message.find("CUDA") != std::string::npos || message.find("cuDNN") != std::string::npos ||
           message.find("cublasLt") != std::string::npos || message.find("out of memory") != std::string::npos));
    CHECK(device_pool(Device::cuda)->statistics().in_use == in_use);
    const bool release = call.find("Free") != std::string::npos || call.find("Destroy") != std::string::npos;
    const std::map<std::string, int64_t> after = left();
    if (!release) CHECK(after == before);
    if (release) stand_in::alive() = before;  // what a release that fails leaves is lost
  }
  CHECK(ended > 5);
  net.step();
  CHECK(std::isfinite(net.loss()));
  stand_in::complaints().clear();
}
