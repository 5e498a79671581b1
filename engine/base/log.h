// The only way the library speaks: a program installs a sink. Without one, messages are dropped.
#pragma once
#include <functional>
#include <string>

#include "engine/base/check.h"

namespace dura {

enum class LogLevel { info, warning };
using LogSink = std::function<void(LogLevel, const std::string&)>;

inline LogSink& log_sink() {
  static LogSink sink;
  return sink;
}

template <class... Parts>
void log_info(const Parts&... parts) {
  if (log_sink()) log_sink()(LogLevel::info, concat(parts...));
}
template <class... Parts>
void log_warning(const Parts&... parts) {
  if (log_sink()) log_sink()(LogLevel::warning, concat(parts...));
}

}  // namespace dura
