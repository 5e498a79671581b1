// What stands behind the handles of dura.h, and the border between C++ and C: guarded() turns every exception into a status and a message.
// Invariant: nothing is thrown beyond a function of dura.h, and noting an error takes no memory.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <new>
#include <string_view>
#include <vector>

#include "models/c/dura.h"
#include "models/predictor.h"

struct dura_call {
  dura_status status = DURA_OK;
  std::array<char, 4096> message{};

  size_t classes = 0;  // of the model that answered
  std::vector<int32_t> predicted = {};
  std::vector<double> probabilities = {};  // `classes` of each answer
  int32_t explained = -1;
  int32_t map_width = 0, map_height = 0, overlay_width = 0, overlay_height = 0;
  std::vector<float> map = {};
  std::vector<uint8_t> overlay = {};

  void forget() noexcept {
    status = DURA_OK, message[0] = '\0', explained = -1;
    predicted.clear(), probabilities.clear(), map.clear(), overlay.clear();
  }
  void fail(dura_status why, std::string_view text) noexcept {
    forget();
    status = why;
    const size_t length = std::min(text.size(), message.size() - 1);
    std::memcpy(message.data(), text.data(), length);
    message[length] = '\0';
  }
  void add(const dura::Answer& answer) {
    classes = answer.probabilities.size();
    predicted.push_back(answer.predicted);
    probabilities.insert(probabilities.end(), answer.probabilities.begin(), answer.probabilities.end());
  }
};

namespace dura::c {

// Runs body(kind) and notes how it ended. `kind` is what an Error means at this moment; the body sets it as it goes on.
template <class Body>
dura_status guarded(dura_call* call, const Body& body) noexcept {
  if (!call) return DURA_ERROR_USAGE;
  call->forget();
  dura_status kind = DURA_ERROR_USAGE;
  try {
    body(kind);
  } catch (const OutOfMemory& e) {
    call->fail(DURA_ERROR_MEMORY, e.what());
  } catch (const std::bad_alloc&) {
    call->fail(DURA_ERROR_MEMORY, "out of memory: the system gives no more. Close other programs, or use smaller pictures.");
  } catch (const Error& e) {
    call->fail(kind, e.what());
  } catch (const std::exception& e) {
    call->fail(DURA_ERROR_INTERNAL, e.what());
  } catch (...) {
    call->fail(DURA_ERROR_INTERNAL, "an unknown exception");
  }
  return call->status;
}

// A caller's struct as this version knows it: members that an older caller does not have are zero. Error: a newer caller's members that are
// not zero, or what is no size at all.
template <class Struct>
Struct known_part(const Struct* given, const char* name) {
  Struct known{};
  known.size = sizeof known;
  if (!given) return known;
  constexpr size_t most = 4096;
  // Structs of an array lie one behind the other, so that each must be a whole number of words.
  if (given->size < sizeof given->size || given->size > most || given->size % alignof(Struct) != 0)
    fail_usage(name, ".size is ", given->size, ", expected sizeof(", name, "), here ", sizeof known, ". Set it before anything else.");
  const char* bytes = reinterpret_cast<const char*>(given);
  if (std::any_of(bytes + std::min(given->size, sizeof known), bytes + given->size, [](char c) { return c != 0; }))
    fail_usage(name, " of ", given->size, " bytes asks for something that this version of the library does not know; it knows ",
               sizeof known, " bytes. Use a newer libdura, or set the rest to zero.");
  std::memcpy(&known, given, std::min(given->size, sizeof known));
  return known;
}

template <class T>
void require_handle(const T* handle, const char* name) {
  if (!handle) fail_usage(name, " is NULL");
}

}  // namespace dura::c
