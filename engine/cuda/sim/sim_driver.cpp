#include "engine/cuda/sim/sim_driver.h"

#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "engine/base/text.h"
#include "engine/cuda/sim/block_runner.h"
#include "engine/cuda/sim/interpreter.h"

namespace dura::cuda::sim {
namespace {

// The whole number up to `most` in an environment variable; `otherwise` where it is not set.
uint64_t whole_number(const char* variable, uint64_t most, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  if (!text) return otherwise;
  const std::optional<uint64_t> value = parse_number<uint64_t>(text);
  if (!value || *value > most) fail_usage(variable, " is '", text, "'. It must be a whole number up to ", most, ".");
  return *value;
}

}  // namespace

SimDriver::SimDriver() : work_([this] { memory_.open(); }, [this] { memory_.close(); }) {
  work_.set_seed(whole_number("DURA_SIM_SEED", UINT64_MAX, 0));
  memory_.set_limit(whole_number("DURA_SIM_MEMORY", memory_.limit() >> 20, memory_.limit() >> 20) << 20);
}

void* SimDriver::allocate(size_t bytes) {
  work_.forbid_while_capturing("allocation");
  return memory_.allocate(bytes);
}
void SimDriver::release(void* memory) {
  work_.forbid_while_capturing("release of memory");
  // As cudaFree: everything that may still use the memory is done before it goes.
  if (first_stream_ >= 0) work_.synchronize(Stream{first_stream_});
  memory_.release(memory);
}

void* SimDriver::allocate_pinned(size_t bytes) {
  work_.forbid_while_capturing("allocation of pinned memory");
  char* memory = static_cast<char*>(std::malloc(bytes));
  if (memory) pinned_[memory] = bytes;
  return memory;
}
void SimDriver::release_pinned(void* memory) {
  pinned_.erase(static_cast<const char*>(memory));
  std::free(memory);
}
bool SimDriver::pinned(const void* host, size_t bytes) const {
  auto found = pinned_.upper_bound(static_cast<const char*>(host));
  if (found == pinned_.begin()) return false;
  --found;
  return static_cast<const char*>(host) + bytes <= found->first + found->second;
}

Stream SimDriver::create_stream() {
  const Stream s = work_.create_stream();
  if (first_stream_ < 0) first_stream_ = s.id;
  return s;
}

void SimDriver::begins(void* data, size_t bytes, size_t capacity, const std::string& what, bool container) {
  const std::shared_ptr<LiveTensor> tensor = memory_.begin_tensor(data, bytes, capacity, what, container);
  // Tensors of an arena overwrite what a container was filled with, so it stays as it is.
  if (container || first_stream_ < 0) return;
  work_.push(Stream{first_stream_}, {"poison", [tensor] { DeviceMemory::poison(*tensor); }});
}
void SimDriver::ends(void* data) { memory_.end_tensor(data); }

void SimDriver::push(const std::string& name, const std::vector<Given>& given, Stream stream, std::function<void()> run) {
  std::vector<std::shared_ptr<LiveTensor>> tensors;
  for (const Given& g : given) {
    if (!g.address) continue;
    const std::shared_ptr<LiveTensor> tensor = memory_.contains(g.address) ? memory_.find(g.address) : nullptr;
    if (!tensor)
      throw DriverError(Status::illegal_address, concat(name, " was given an address that is in no living tensor of the device",
                                                        memory_.contains(g.address) ? "" : "; it is the host's"));
    if (static_cast<const char*>(g.address) + g.bytes > tensor->data + tensor->bytes)
      throw DriverError(Status::illegal_address, concat(name, ": ", g.bytes, " bytes reach behind the end of ", tensor->what));
    tensors.push_back(tensor);
  }
  work_.push(stream, {name, [this, name, tensors = std::move(tensors), run = std::move(run)] {
                        for (const auto& t : tensors)
                          if (!memory_.allocated(t->data))
                            throw DriverError(Status::illegal_address,
                                              concat(name, ": the memory of ", t->what, " was released before it ran"));
                        DeviceMemory::set_running(name.c_str());
                        run();
                        DeviceMemory::set_running(nullptr);
                        for (const auto& t : tensors)
                          if (const std::string damage = memory_.damage(*t); !damage.empty())
                            throw DriverError(Status::illegal_address, concat(name, " ", damage));
                      }});
}

void SimDriver::copy_to_device(void* device, const void* host, size_t bytes, Stream stream) {
  if (bytes == 0) return;
  if (!pinned(host, bytes) && work_.capturing(stream)) work_.forbid_while_capturing("a copy from unpinned memory");
  push("copy to the device", {{device, bytes}}, stream, [=] { std::memcpy(device, host, bytes); });
}

void SimDriver::copy_to_host(void* host, const void* device, size_t bytes, Stream stream) {
  if (bytes == 0) return;
  const bool later = pinned(host, bytes);
  if (!later && work_.capturing(stream)) work_.forbid_while_capturing("a copy to unpinned memory");
  push("copy to the host", {{device, bytes}}, stream, [=] { std::memcpy(host, device, bytes); });
  if (!later) work_.synchronize(stream);
}

void SimDriver::copy_on_device(void* to, const void* from, size_t bytes, Stream stream) {
  push("copy on the device", {{to, bytes}, {from, bytes}}, stream, [=] { std::memmove(to, from, bytes); });
}

void SimDriver::launch(const KernelLaunch& kernel, Stream stream) {
  // What a card answers to a launch beyond its limits.
  if (kernel.blocks < 1 || kernel.blocks > 0x7fffffff || kernel.threads < 1 || kernel.threads > 1024)
    throw DriverError(Status::invalid_value,
                      concat("kernel ", kernel.name, ": ", kernel.blocks, " blocks of ", kernel.threads, " threads cannot be launched"));
  std::vector<Given> given;
  for (const void* p : kernel.pointers) given.push_back({p});
  push(kernel.name, given, stream, [this, kernel] { run_blocks(kernel, work_.next_seed()); });
}

void SimDriver::run(const Graph& asked, const std::vector<void*>& addresses, void* workspace, Stream stream) {
  check_graph(asked);
  DURA_CHECK(supports(asked), "graph ", asked.name, " was run, which this device does not support");
  if (graph_watcher_) graph_watcher_(asked);
  Graph graph = asked;
  graph.tf32 = tf32_ && multiplies_f32(asked);
  if (misreading_) misreading_(graph);
  std::vector<Given> given;
  std::vector<void*> of_tensor(graph.tensors.size(), nullptr);
  for (size_t i = 0; i < graph.tensors.size(); ++i) {
    const GraphTensor& t = graph.tensors[i];
    if (t.is_virtual) continue;
    DURA_CHECK(given.size() < addresses.size() && addresses[given.size()], "graph ", graph.name, ": the tensor ", t.name,
               " has no address");
    of_tensor[i] = addresses[given.size()];
    given.push_back({of_tensor[i], t.bytes()});
  }
  DURA_CHECK(given.size() == addresses.size(), "graph ", graph.name, ": ", addresses.size(), " addresses for ", given.size(), " tensors");
  const size_t space = workspace_bytes(graph);
  DURA_CHECK(workspace, "graph ", graph.name, ": no workspace was given, ", space, " bytes are needed");
  constexpr uintptr_t alignment = 256;  // NVIDIA's libraries want it
  DURA_CHECK(reinterpret_cast<uintptr_t>(workspace) % alignment == 0, "graph ", graph.name, ": the workspace begins at ", workspace,
             ", which is not a multiple of ", alignment, " bytes");
  given.push_back({workspace, space});
  push(graph.name, given, stream, [graph, of_tensor, workspace, space] {
    interpret(graph, of_tensor);
    std::memset(workspace, 0xff, space);  // nothing that lies there outlives a call
  });
}

bool SimDriver::product(const Product& p, Stream stream) {
  if (unsupported_products_ && unsupported_products_(p)) return false;
  const size_t size = dtype_size(p.dtype);
  const auto bytes = [size](int64_t rows, int64_t columns) { return static_cast<size_t>(rows * columns) * size; };
  push("matrix product", {{p.a, bytes(p.m, p.k)}, {p.b, bytes(p.k, p.n)}, {p.bias, p.bias ? bytes(1, p.n) : 0}, {p.c, bytes(p.m, p.n)}},
       stream, [p, tf32 = tf32_ && p.dtype == DType::f32] { multiply(p, tf32); });
  return true;
}

namespace {

// Through the communicator, at once: a message that waits in a stream could be overtaken by one of the host's to the same rank.
class SimLink final : public DeviceLink {
 public:
  SimLink(SimDriver& driver, Communicator& ranks) : driver_(driver), ranks_(ranks) {}
  void exchange(int64_t rank, const float* send, int64_t send_count, float* receive, int64_t receive_count, Stream stream) override {
    const auto bytes = [](int64_t count) { return static_cast<size_t>(count) * sizeof(float); };
    driver_.push(concat("exchange with ", ranks_.name_of(rank)), {{send, bytes(send_count)}, {receive, bytes(receive_count)}}, stream,
                 [=, this] {
                   ranks_.exchange(rank, std::as_bytes(std::span(send, static_cast<size_t>(send_count))),
                                   std::as_writable_bytes(std::span(receive, static_cast<size_t>(receive_count))));
                 });
    driver_.synchronize(stream);
  }
  void all_reduce(float* values, int64_t count, Stream stream) override {
    driver_.push("sum over ranks", {{values, static_cast<size_t>(count) * sizeof(float)}}, stream,
                 [=, this] { ranks_.all_reduce(std::span(values, static_cast<size_t>(count))); });
    driver_.synchronize(stream);
  }
  void wait() override {}

 private:
  SimDriver& driver_;
  Communicator& ranks_;
};

}  // namespace

std::unique_ptr<DeviceLink> SimDriver::link(Communicator& ranks) { return std::make_unique<SimLink>(*this, ranks); }

SimDriver& sim_driver() {
  // Never destroyed: tensors with static lifetime may outlive main().
  static auto* driver = new SimDriver();
  return *driver;
}

}  // namespace dura::cuda::sim
