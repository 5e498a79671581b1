// What a user sees while training: on a terminal (a pseudo-terminal here) and in a log.
#include "tests/support/catch.h"

#include <fcntl.h>
#include <pty.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "apps/training/progress.h"
#include "engine/base/check.h"
#include "tests/support/log_lines.h"

using namespace dura;
using test::LogLines;

namespace {

// Standard error goes to a terminal of this many columns while alive.
class Terminal {
 public:
  explicit Terminal(unsigned short columns) {
    winsize size{};
    size.ws_row = 24;
    size.ws_col = columns;
    int terminal = -1;
    DURA_CHECK(openpty(&reader_, &terminal, nullptr, nullptr, &size) == 0, "no pseudo-terminal");
    fcntl(reader_, F_SETFL, O_NONBLOCK);
    earlier_ = dup(STDERR_FILENO);
    dup2(terminal, STDERR_FILENO);
    close(terminal);
  }
  ~Terminal() {
    restore();
    close(reader_);
  }
  // Everything written so far; standard error is the earlier one again, so that a failing test can speak.
  std::string restore() {
    char part[4096];
    for (ssize_t n; (n = read(reader_, part, sizeof part)) > 0;) text_.append(part, static_cast<size_t>(n));
    if (earlier_ >= 0) {
      dup2(earlier_, STDERR_FILENO);
      close(earlier_);
      earlier_ = -1;
    }
    return text_;
  }

 private:
  int reader_ = -1, earlier_ = -1;
  std::string text_;
};

}  // namespace

TEST_CASE("durations are short and round", "[training]") {
  CHECK(Progress::duration(0.2) == "0 s");
  CHECK(Progress::duration(59.4) == "59 s");
  CHECK(Progress::duration(130) == "2 min 10 s");
  CHECK(Progress::duration(3600 + 5 * 60 + 20) == "1 h 05 min");
}

TEST_CASE("on a terminal progress is one line that fits and makes room for the log", "[training]") {
  const LogLines log;
  Terminal terminal(40);
  {
    Progress progress("phase1 epoch 1/3", 64);
    progress.update(64, [] { return "Ménin precision 0.912 recall 0.880 and much more than fits on a line of this terminal"; });
    log_info("a word in between");
  }
  const std::string shown = terminal.restore();
  const std::string title = "\rphase1 epoch 1/3  64/64";
  REQUIRE(shown.compare(0, title.size(), title) == 0);
  CHECK(shown.find('\n') == std::string::npos);
  const size_t erase = shown.find("\x1b[K");
  REQUIRE(erase != std::string::npos);
  CHECK(erase - 1 == 39);                          // one column less than the terminal has
  CHECK(shown.substr(erase) == "\x1b[K\r\x1b[K");  // cleared once, for the log line; nothing left to clear at the end
  CHECK(log.lines == std::vector<std::string>{"a word in between"});
  log_info("after");
  CHECK(log.lines.size() == 2);
}

TEST_CASE("in a log progress does not flood, and what it would say is not worked out", "[training]") {
  const LogLines log;
  int asked = 0;
  const int earlier = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);
  dup2(nowhere, STDERR_FILENO);
  {
    Progress progress("features", 1000);
    for (int64_t i = 1; i <= 1000; ++i) progress.update(i, [&] { return concat("asked ", ++asked); });
  }
  dup2(earlier, STDERR_FILENO);
  close(earlier);
  close(nowhere);
  CHECK(log.lines.empty());  // done within the first half minute
  CHECK(asked == 0);
}
