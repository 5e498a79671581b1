// Where a run is: one line that is rewritten on a terminal (standard error), plain lines at most every half minute in a log.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "engine/log.h"

namespace dura {

// One at a time. On a terminal, lines of the log that come while it lives stand above its own.
class Progress {
 public:
  // `title` begins each line; `total` images will be counted.
  Progress(std::string title, int64_t total);
  ~Progress();  // clears the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  // `done` images so far, and what else to say ("loss 0.312  precision ..."); what does not fit on the terminal's line is cut.
  void update(int64_t done, const std::string& detail = "");
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
