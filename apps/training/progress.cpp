#include "apps/training/progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "engine/log.h"

namespace dura {

Progress::Progress(std::string title, int64_t total)
    : title_(std::move(title)), total_(total), terminal_(isatty(STDERR_FILENO) == 1), start_(std::chrono::steady_clock::now()), last_(start_) {}

Progress::~Progress() {
  if (terminal_ && width_ > 0) std::fprintf(stderr, "\r%*s\r", static_cast<int>(width_), "");
}

double Progress::seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

std::string Progress::duration(double seconds) {
  const auto s = static_cast<long long>(seconds + 0.5);
  char text[48];
  if (s < 60)
    std::snprintf(text, sizeof text, "%lld s", s);
  else if (s < 3600)
    std::snprintf(text, sizeof text, "%lld min %02lld s", s / 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%lld h %02lld min", s / 3600, s / 60 % 60);
  return text;
}

void Progress::update(int64_t done, const std::string& detail) {
  const auto now = std::chrono::steady_clock::now();
  const double since = std::chrono::duration<double>(now - last_).count();
  if (done < total_ && since < (terminal_ ? 0.2 : 30.0)) return;
  if (done >= total_ && !terminal_) return;  // the epoch's own line follows
  last_ = now;
  const double rate = static_cast<double>(done) / std::max(seconds(), 1e-9);
  char numbers[96];
  std::snprintf(numbers, sizeof numbers, "  %lld/%lld  %.1f images/s  %s left  ", static_cast<long long>(done), static_cast<long long>(total_), rate,
                duration(static_cast<double>(total_ - done) / std::max(rate, 1e-9)).c_str());
  const std::string line = title_ + numbers + detail;
  if (!terminal_) return log_info(line);
  std::fprintf(stderr, "\r%-*s", static_cast<int>(width_), line.c_str());
  std::fflush(stderr);
  width_ = line.size();
}

}  // namespace dura
