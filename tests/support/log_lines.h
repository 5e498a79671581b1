// What the library says while a test lives.
#pragma once
#include <string>
#include <vector>

#include "engine/base/log.h"

namespace dura::test {

class LogLines {
 public:
  LogLines() : earlier_(log_sink()) {
    log_sink() = [this](LogLevel, const std::string& line) { lines.push_back(line); };
  }
  ~LogLines() { log_sink() = earlier_; }
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;
  std::vector<std::string> lines;

 private:
  LogSink earlier_;
};

}  // namespace dura::test
