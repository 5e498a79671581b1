#include "engine/core/trace.h"

#include <cstdio>
#include <utility>
#include <vector>

#include "engine/core/backend.h"
#include "engine/core/formula.h"

namespace dura {
namespace {

thread_local const std::string* current_label = nullptr;
const std::string no_label;

TraceSink& sink() {
  static TraceSink s;
  return s;
}

double number(f16 v) { return double{formula::from_f16(v)}; }
double number(bf16 v) { return double{formula::from_bf16(v)}; }
template <class T>
double number(T v) {
  return static_cast<double>(v);
}

double mean_of(const std::vector<char>& bytes, DType dtype) {
  return with_type(dtype, [&]<class T>(T) {
    const T* data = reinterpret_cast<const T*>(bytes.data());
    const size_t count = bytes.size() / sizeof(T);
    double sum = 0;
    for (size_t i = 0; i < count; ++i) sum += number(data[i]);
    return count ? sum / static_cast<double>(count) : 0;
  });
}

}  // namespace

Label::Label(std::string name) : name_(std::move(name)), outer_(current_label) { current_label = &name_; }
Label::~Label() { current_label = outer_; }
const std::string& Label::current() { return current_label ? *current_label : no_label; }

void set_trace_sink(TraceSink s) { sink() = std::move(s); }
bool tracing() { return static_cast<bool>(sink()); }

std::string trace_line(const OpRecord& r) {
  std::vector<char> bytes(r.result.bytes());
  backend(r.result.device()).download(r.result, bytes.data());
  uint64_t hash = 0xcbf29ce484222325ull;
  for (char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  char numbers[96];
  std::snprintf(numbers, sizeof numbers, " ms=%.3f mean=%.9e checksum=%016llx", r.milliseconds, mean_of(bytes, r.result.dtype()),
                static_cast<unsigned long long>(hash));
  return concat(r.direction, " ", r.op, " ", r.label.empty() ? "-" : r.label, " ", dtype_name(r.result.dtype()), " ", r.result.shape(),
                numbers);
}

void OpTrace::record(const Tensor& result) {
  if (!result.defined() || !result.raw()) return;  // on `meta` there are no bytes to report
  // While planning only what outlives the step has bytes.
  if (&backend(result.device()) != &device_backend(result.device())) return;
  if (result.device() != Device::cpu && result.numel() > 0) {
    // A CUDA device works on behind the caller's back; reading one element waits for it.
    double element = 0;
    backend(result.device()).download(result.slice(0, {1}), &element);
  }
  if (milliseconds_ < 0) milliseconds_ = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
  sink()({direction_, op_, Label::current(), result, milliseconds_});
}

}  // namespace dura
