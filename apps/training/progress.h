// Where a run is: one line that is rewritten on a terminal, plain lines at most every half minute in a log.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace dura {

class Progress {
 public:
  // `title` begins each line; `total` images will be counted.
  Progress(std::string title, int64_t total);
  ~Progress();  // clears the line
  // `done` images so far, and what else to say ("loss 0.312  precision ...").
  void update(int64_t done, const std::string& detail = "");
  double seconds() const;

  // "3 s", "2 min 10 s", "1 h 05 min"
  static std::string duration(double seconds);

 private:
  std::string title_;
  int64_t total_;
  bool terminal_;
  size_t width_ = 0;  // of the line on the terminal
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace dura
