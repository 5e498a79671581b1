// Ctrl-C (SIGINT) and SIGTERM as a flag: a long job looks at it between two steps, saves what it has and ends. The second signal ends the
// process at once.
#pragma once

namespace dura {

// While alive, the first SIGINT or SIGTERM is only noted. One at a time; the earlier handlers come back when it ends.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  bool received() const { return signal() != 0; }
  int signal() const;  // its number, 0 while none came
  // What a program that stopped for it returns: 128 + the signal's number, as shells do.
  int exit_code() const { return 128 + signal(); }
};

}  // namespace dura
