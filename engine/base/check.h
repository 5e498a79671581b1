// Errors of the library. Every message names what was found, what was expected and what to do next.
// The library never exits and never prints: a program turns UsageError into exit code 2 and any other Error into exit code 1.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace dura {

// Something failed: a file, a shape, a device. Exit code 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The caller asked for something that cannot be: a bad option, a contradictory configuration. Exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

// Joins its arguments with operator<<.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(concat(parts...));
}

template <class... Parts>
[[noreturn]] void fail_usage(const Parts&... parts) {
  throw UsageError(concat(parts...));
}

}  // namespace dura

// Throws dura::Error with the joined message when the condition does not hold. Always on: a wrong shape must never become a wrong number.
#define DURA_CHECK(condition, ...)               \
  do {                                           \
    if (!(condition)) ::dura::fail(__VA_ARGS__); \
  } while (false)
