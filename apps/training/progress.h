// Where a run is: one line that is rewritten on a terminal (standard error), plain lines at most every half minute in a log.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "engine/base/log.h"

namespace dura {

// One at a time. On a terminal, lines of the log that come while it lives stand above its own.
class Progress {
 public:
  // `title` begins each line; `total` images will be counted.
  Progress(std::string title, int64_t total);
  ~Progress();  // clears the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  // `done` images so far. `detail` is asked what else to say ("loss 0.312  precision ...") only where a line is due, as the answer may
  // have to wait for a card. What does not fit on the terminal's line is cut.
  void update(int64_t done, const std::function<std::string()>& detail = {});
  double seconds() const;

  // "3 s", "2 min 10 s", "1 h 05 min"
  static std::string duration(double seconds);

 private:
  void clear_line();

  std::string title_;
  int64_t total_;
  bool terminal_, line_shown_ = false;
  LogSink outer_log_;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace dura
