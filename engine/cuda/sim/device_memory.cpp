#include "engine/cuda/sim/device_memory.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "engine/base/numbers.h"
#include "engine/cuda/driver.h"

namespace dura::cuda::sim {
namespace {

constexpr int guard_byte = 0xA5;
constexpr int poison_byte = 0xFF;  // all ones is a NaN in f64, f32, f16 and bf16, and -1 in integers
constexpr size_t page = 4096;
constexpr size_t huge_page = size_t{2} << 20;

const DeviceMemory* watched = nullptr;  // the newest; earlier ones are linked behind it
const char* running = nullptr;
struct sigaction earlier_action;

void say(const char* text) {
  if (write(STDERR_FILENO, text, strlen(text)) < 0) _exit(1);
}

// The access cannot be undone, so the program ends as it would have, but with a name. (Reading the tables here is safe enough: the fault
// was raised by an ordinary load or store, not inside of the tables' own code.)
void on_fault(int number, siginfo_t* information, void*) {
  const void* address = information->si_addr;
  const DeviceMemory* memory = watched;
  while (memory && !memory->contains(address)) memory = memory->earlier();
  if (memory) {
    const std::shared_ptr<LiveTensor> tensor = memory->find(address);
    say("dura: error: ");
    if (running) {
      say("the kernel ");
      say(running);
      say(" of the simulated device reached memory that was never allocated.\n");
    } else {
      say("the host touched device memory: ");
      say(tensor ? tensor->what.c_str() : "no living tensor");
      say(". Copy it with download() first.\n");
    }
  }
  sigaction(SIGSEGV, &earlier_action, nullptr);
  if (number != SIGSEGV) _exit(1);
}

// Again and again, because others (a test framework) put their own handlers in place for a while.
void watch_faults() {
  struct sigaction now = {};
  sigaction(SIGSEGV, nullptr, &now);
  if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault) return;
  earlier_action = now;
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
}

bool all_equal(const char* begin, const char* end, int value) {
  return std::all_of(begin, end, [value](char c) { return static_cast<unsigned char>(c) == value; });
}

}  // namespace

DeviceMemory::DeviceMemory() {
  void* range = mmap(nullptr, size + huge_page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED)
    fail("the simulated device needs ", size >> 30, " GiB of addresses, which this system refuses. Raise `ulimit -v`.");
  mapped_ = static_cast<char*>(range);
  base_ = reinterpret_cast<char*>(round_up(reinterpret_cast<uintptr_t>(range), huge_page));
  // Protection changes with every synchronisation: 512 times fewer pages make that cheap. Without huge pages it still works.
  madvise(base_, size, MADV_HUGEPAGE);
  earlier_ = watched;
  watched = this;
  watch_faults();
}

DeviceMemory::~DeviceMemory() {
  watched = earlier_;
  munmap(mapped_, size + huge_page);
}

void* DeviceMemory::allocate(size_t bytes) {
  watch_faults();
  if (bytes > limit_ || in_use_ > limit_ - bytes) return nullptr;
  const size_t whole = round_up(bytes + 2 * guard, page);
  char* begin = nullptr;
  const auto gap = std::find_if(gaps_.begin(), gaps_.end(), [&](const auto& g) { return g.second >= whole; });
  if (gap != gaps_.end()) {
    begin = gap->first;
    if (gap->second > whole) gaps_[begin + whole] = gap->second - whole;
    gaps_.erase(gap);
  } else {
    if (used_ + whole > size) return nullptr;
    begin = base_ + used_;
    used_ += whole;
    if (open_) protect(PROT_READ | PROT_WRITE);
  }
  allocations_[begin] = {whole, bytes};
  in_use_ += bytes;
  const bool was_open = open_;
  if (!was_open) open();
  memset(begin, guard_byte, guard);
  memset(begin + guard + bytes, guard_byte, whole - guard - bytes);
  if (!was_open) close();
  return begin + guard;
}

DeviceMemory::Allocations::const_iterator DeviceMemory::allocation_of(const void* address) const {
  auto found = allocations_.upper_bound(const_cast<char*>(static_cast<const char*>(address)));
  if (found == allocations_.begin()) return allocations_.end();
  --found;
  return address < found->first + found->second.whole ? found : allocations_.end();
}

bool DeviceMemory::allocated(const void* address) const { return allocation_of(address) != allocations_.end(); }

void DeviceMemory::release(void* memory) {
  char* begin = static_cast<char*>(memory) - guard;
  const auto found = allocations_.find(begin);
  if (found == allocations_.end()) throw DriverError(Status::invalid_value, "release of device memory that was not allocated");
  in_use_ -= found->second.bytes;
  auto [gap, inserted] = gaps_.emplace(begin, found->second.whole);
  allocations_.erase(found);
  // Neighbours become one gap.
  const auto next = std::next(gap);
  if (next != gaps_.end() && gap->first + gap->second == next->first) gap->second += next->second, gaps_.erase(next);
  if (gap != gaps_.begin()) {
    const auto before = std::prev(gap);
    if (before->first + before->second == gap->first) before->second += gap->second, gaps_.erase(gap);
  }
}

std::shared_ptr<LiveTensor> DeviceMemory::begin_tensor(void* data, size_t bytes, size_t capacity, const std::string& what, bool container) {
  auto tensor = std::make_shared<LiveTensor>(LiveTensor{static_cast<char*>(data), bytes, capacity, what, container});
  auto& table = container ? containers_ : tensors_;
  // Only neighbours can overlap.
  const auto next = table.lower_bound(tensor->data);
  const auto check = [&](const LiveTensor& other) {
    if (tensor->data < other.data + other.capacity && other.data < tensor->data + tensor->capacity)
      throw DriverError(Status::invalid_value, concat("two living tensors were given the same device memory: ", other.what, " (",
                                                      other.bytes, " bytes) and ", what, " (", bytes, " bytes)"));
  };
  if (next != table.end()) check(*next->second);
  if (next != table.begin()) check(*std::prev(next)->second);
  table[tensor->data] = tensor;
  return tensor;
}

void DeviceMemory::end_tensor(void* data) {
  if (!tensors_.erase(static_cast<char*>(data))) containers_.erase(static_cast<char*>(data));
}

std::shared_ptr<LiveTensor> DeviceMemory::find(const void* address) const {
  for (const auto* table : {&tensors_, &containers_}) {
    auto found = table->upper_bound(const_cast<char*>(static_cast<const char*>(address)));
    if (found == table->begin()) continue;
    --found;
    if (address < found->first + found->second->capacity) return found->second;
  }
  return nullptr;
}

void DeviceMemory::protect(int access) {
  const size_t bytes = round_up(used_, huge_page);
  if (bytes > 0 && mprotect(base_, bytes, access) != 0) fail("the protection of the simulated device's memory cannot be changed");
}
void DeviceMemory::open() {
  protect(PROT_READ | PROT_WRITE);
  open_ = true;
}
void DeviceMemory::close() {
  protect(PROT_NONE);
  open_ = false;
}

void DeviceMemory::poison(const LiveTensor& t) {
  memset(t.data, poison_byte, t.bytes);
  memset(t.data + t.bytes, guard_byte, t.capacity - t.bytes);
}

std::string DeviceMemory::damage(const LiveTensor& t) const {
  if (!t.container && !all_equal(t.data + t.bytes, t.data + t.capacity, guard_byte)) return "wrote behind the end of " + t.what;
  const auto allocation = allocation_of(t.data);
  if (allocation == allocations_.end()) return "";
  const char* begin = allocation->first;
  const auto [whole, bytes] = allocation->second;
  if (!all_equal(begin, begin + guard, guard_byte)) return "wrote in front of the memory of " + t.what;
  if (!all_equal(begin + guard + bytes, begin + whole, guard_byte)) return "wrote behind the memory of " + t.what;
  return "";
}

void DeviceMemory::set_running(const char* name) { running = name; }

}  // namespace dura::cuda::sim
