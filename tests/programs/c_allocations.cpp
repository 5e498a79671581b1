// The C interface where memory ends: the n-th allocation of a session fails, for many n. Each function must give an error or the right
// answer, everything must be given back, and the next session must work. Counted are operator new, and by -Wl,--wrap all that this
// program's objects ask of C's functions: malloc, realloc, calloc, aligned_alloc, posix_memalign.
//   usage: c_allocations STEP PICTURE.JPG     tries every n up to 64, and from there on every STEP-th
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <new>

#include "tests/programs/c_model.h"

namespace {

std::atomic<int64_t> until_failure{-1};  // allocations that still succeed; below 0: all
std::atomic<int64_t> made{0}, alive{0};

bool fails_now() {
  ++made;
  return until_failure.load() >= 0 && until_failure.fetch_sub(1) == 0;
}

void* counted(void* p) {
  if (p) ++alive;
  return p;
}

extern "C" {
void* __real_malloc(size_t bytes);
void* __real_realloc(void* p, size_t bytes);
void* __real_aligned_alloc(size_t alignment, size_t bytes);
void* __real_calloc(size_t count, size_t bytes);
int __real_posix_memalign(void** p, size_t alignment, size_t bytes);
void __real_free(void* p);
void* __wrap_malloc(size_t bytes) { return fails_now() ? nullptr : counted(__real_malloc(bytes)); }
void* __wrap_realloc(void* p, size_t bytes) {
  if (fails_now()) return nullptr;
  return p ? __real_realloc(p, bytes) : counted(__real_realloc(p, bytes));
}
void* __wrap_aligned_alloc(size_t alignment, size_t bytes) {
  return fails_now() ? nullptr : counted(__real_aligned_alloc(alignment, bytes));
}
void* __wrap_calloc(size_t count, size_t bytes) { return fails_now() ? nullptr : counted(__real_calloc(count, bytes)); }
int __wrap_posix_memalign(void** p, size_t alignment, size_t bytes) {
  if (fails_now()) return ENOMEM;
  const int error = __real_posix_memalign(p, alignment, bytes);
  if (error == 0) counted(*p);
  return error;
}
void __wrap_free(void* p) {
  if (p) --alive;
  __real_free(p);
}
}

void* allocate(size_t bytes, size_t alignment) {
  if (fails_now()) return nullptr;
  void* p = alignment <= alignof(std::max_align_t) ? __real_malloc(bytes + !bytes)
                                                   : __real_aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
  return counted(p);
}
void* allocate_or_throw(size_t bytes, size_t alignment = 1) {
  if (void* p = allocate(bytes, alignment)) return p;
  throw std::bad_alloc();
}
void release(void* p) { __wrap_free(p); }

}  // namespace

void* operator new(size_t n) { return allocate_or_throw(n); }
void* operator new[](size_t n) { return allocate_or_throw(n); }
void* operator new(size_t n, std::align_val_t a) { return allocate_or_throw(n, static_cast<size_t>(a)); }
void* operator new[](size_t n, std::align_val_t a) { return allocate_or_throw(n, static_cast<size_t>(a)); }
void* operator new(size_t n, const std::nothrow_t&) noexcept { return allocate(n, 1); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return allocate(n, 1); }
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, size_t) noexcept { release(p); }
void operator delete[](void* p, size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { release(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { release(p); }

namespace {

using namespace dura;

struct Outcome {
  int errors = 0;
  int wrong = 0;
};

struct Expected {
  std::vector<double> predicted, explained, of_photograph;
};

// Notes what a function said: the right answer, or an error with its message.
void judge(const dura_call* call, dura_status status, const std::vector<double>& expected, Outcome& outcome) {
  if (status != DURA_OK) {
    ++outcome.errors;
    outcome.wrong += dura_message(call)[0] == '\0' || dura_answer_count(call) != 0;
  } else if (!expected.empty()) {
    outcome.wrong += dura_answer_count(call) == 0;
    for (size_t i = 0; i < dura_answer_count(call); ++i) {
      const double* p = dura_probabilities(call, i);
      outcome.wrong += !p || !std::equal(expected.begin(), expected.begin() + 3, p);
    }
    int32_t width = 0, height = 0;
    if (const float* map = dura_map(call, &width, &height))
      outcome.wrong += std::ssize(expected) != 3 + width * height || !std::equal(expected.begin() + 3, expected.end(), map);
  }
}

// Every way in and out. Pixels come twice: filters are kept from the second time on.
struct Session {
  const test::CModel& material;
  std::string model_file, picture_file;
  std::vector<uint8_t> jpeg;
  Expected expected = {};

  Outcome run(bool from_file) const {
    Outcome outcome;
    dura_call* call = dura_call_new();
    if (!call) return {.errors = 1};
    dura_options options = {};
    options.size = sizeof options, options.batch = 2;
    dura_model* model = from_file ? dura_open_file(call, model_file.c_str(), &options)
                                  : dura_open_memory(call, material.bytes.data(), material.bytes.size(), &options);
    judge(call, dura_call_status(call), {}, outcome);
    if (model) {
      const dura_picture encoded = material.encoded(), pixels = material.in_memory();
      dura_picture file = {}, photograph = {};
      file.size = photograph.size = sizeof(dura_picture);
      file.file = picture_file.c_str(), photograph.encoded = jpeg.data(), photograph.encoded_size = jpeg.size();
      for (const dura_picture* picture : {&encoded, &pixels, &pixels, static_cast<const dura_picture*>(&file)})
        judge(call, dura_predict(call, model, picture, 1), expected.predicted, outcome);
      judge(call, dura_predict(call, model, &photograph, 1), expected.of_photograph, outcome);
      const dura_picture three[] = {pixels, encoded, file};
      judge(call, dura_predict(call, model, three, 3), expected.predicted, outcome);
      dura_explain_options overlay = {};
      overlay.size = sizeof overlay, overlay.overlay = DURA_OVERLAY_LAYER;
      judge(call, dura_explain(call, model, &pixels, nullptr), expected.explained, outcome);
      judge(call, dura_explain(call, model, &file, &overlay), expected.explained, outcome);
    } else {
      outcome.wrong += dura_call_status(call) == DURA_OK;
    }
    dura_close(model);
    dura_call_free(call);
    return outcome;
  }
  void find_right_answers() {
    dura_call* call = dura_call_new();
    dura_model* model = dura_open_memory(call, material.bytes.data(), material.bytes.size(), nullptr);
    const dura_picture pixels = material.in_memory();
    if (dura_predict(call, model, &pixels, 1) == DURA_OK) expected.predicted = test::answered(call);
    if (dura_explain(call, model, &pixels, nullptr) == DURA_OK) expected.explained = test::answered(call);
    dura_picture photograph = {};
    photograph.size = sizeof photograph, photograph.encoded = jpeg.data(), photograph.encoded_size = jpeg.size();
    if (dura_predict(call, model, &photograph, 1) == DURA_OK) expected.of_photograph = test::answered(call);
    dura_close(model);
    dura_call_free(call);
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: c_allocations STEP PICTURE.JPG\n", stderr), 2;
  const int64_t step = std::max(1, std::atoi(argv[1]));
  const test::CModel material;
  const TemporaryFolder folder;
  write_file_atomically(folder / "model.safetensors", material.bytes);
  write_file_atomically(folder / "picture.png", material.png);
  Session session{.material = material,
                  .model_file = folder / "model.safetensors",
                  .picture_file = folder / "picture.png",
                  .jpeg = read_file(argv[2], 1 << 20)};
  session.find_right_answers();
  int64_t bad = 0;
  for (const bool from_file : {false, true}) {
    made = 0;
    const Outcome undisturbed = session.run(from_file);
    const int64_t allocations = made, kept = alive;
    if (undisturbed.errors + undisturbed.wrong > 0 || session.expected.explained.size() < 4 || allocations < 1000)
      return std::fprintf(stderr, "a session without failures went wrong (%lld allocations)\n", static_cast<long long>(allocations)), 1;
    int64_t tried = 0, failed = 0;
    for (int64_t n = 0; n < allocations; n += n < 64 ? 1 : step) {
      until_failure = n;
      const Outcome outcome = session.run(from_file);
      until_failure = -1;
      ++tried;
      failed += outcome.errors > 0;
      const int64_t lost = alive - kept;
      if (outcome.wrong == 0 && lost == 0) continue;
      ++bad;
      std::fprintf(stderr, "allocation %lld failed: %d wrong answers, %lld blocks lost\n", static_cast<long long>(n), outcome.wrong,
                   static_cast<long long>(lost));
    }
    bad += failed == 0;
    std::printf(
        "%s: %lld allocations in a session; %lld of them failed, %lld times with an error, %lld times with a right answer all the same\n",
        from_file ? "a model's file" : "a model's bytes", static_cast<long long>(allocations), static_cast<long long>(tried),
        static_cast<long long>(failed), static_cast<long long>(tried - failed));
  }
  std::printf("%lld bad\n", static_cast<long long>(bad));
  return bad > 0;
}
