#include "apps/training/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "apps/program/text_table.h"

namespace dura {

namespace {

// Cuts text to at most `columns` characters; a character of UTF-8 is not divided.
std::string cut(std::string text, size_t columns) {
  size_t used = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool begins_character = (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    if (begins_character && used++ == columns) return text.substr(0, i);
  }
  return text;
}

size_t terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::string title, int64_t total)
    : title_(std::move(title)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      last_(start_) {
  if (!terminal_) return;
  outer_log_ = log_sink();
  if (!outer_log_) return;
  log_sink() = [this](LogLevel level, const std::string& line) {
    clear_line();
    outer_log_(level, line);
  };
}

Progress::~Progress() {
  clear_line();
  if (outer_log_) log_sink() = outer_log_;
}

void Progress::clear_line() {
  if (!line_shown_) return;
  std::fputs("\r\x1b[K", stderr);  // to the line's beginning; erase to its end
  std::fflush(stderr);
  line_shown_ = false;
}

double Progress::seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

std::string Progress::duration(double seconds) {
  const auto s = static_cast<long long>(seconds + 0.5);
  if (s < 60) return concat(s, " s");
  if (s < 3600) return printed("%lld min %02lld s", s / 60, s % 60);
  return printed("%lld h %02lld min", s / 3600, s / 60 % 60);
}

void Progress::update(int64_t done, const std::function<std::string()>& detail) {
  const auto now = std::chrono::steady_clock::now();
  const double since = std::chrono::duration<double>(now - last_).count();
  if (done < total_ && since < (terminal_ ? 0.2 : 30.0)) return;
  if (done >= total_ && !terminal_) return;  // the epoch's own line follows
  last_ = now;
  const std::string what = detail ? detail() : "";
  const double rate = static_cast<double>(done) / std::max(seconds(), 1e-9);
  const std::string line = concat(title_, "  ", done, "/", total_, "  ", fixed(rate, 1), " images/s  ",
                                  duration(static_cast<double>(total_ - done) / std::max(rate, 1e-9)), " left  ", what);
  if (!terminal_) return log_info(line);
  // One column stays free: a full line would move the cursor to the next one, and a wrapped one cannot be taken back.
  std::fprintf(stderr, "\r%s\x1b[K", cut(line, terminal_columns() - 1).c_str());
  std::fflush(stderr);
  line_shown_ = true;
}

}  // namespace dura
