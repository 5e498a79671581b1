#include "apps/program/stop_request.h"

#include <signal.h>
#include <unistd.h>

#include "engine/base/check.h"

namespace dura {

namespace {

volatile sig_atomic_t received_signal = 0;
bool installed = false;
struct sigaction earlier_interrupt, earlier_terminate;

void note_signal(int number) {
  if (received_signal != 0) _exit(128 + number);  // the user asked twice: no unwinding, a checkpoint on disk is never half written
  received_signal = number;
}

}  // namespace

StopRequest::StopRequest() {
  DURA_CHECK(!installed, "two StopRequest objects are alive; a program has one");
  installed = true;
  received_signal = 0;
  struct sigaction action = {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;  // reads and writes under way go on: the job stops at a step's end, not in a system call
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &earlier_interrupt);
  sigaction(SIGTERM, &action, &earlier_terminate);
}

StopRequest::~StopRequest() {
  sigaction(SIGINT, &earlier_interrupt, nullptr);
  sigaction(SIGTERM, &earlier_terminate, nullptr);
  installed = false;
}

int StopRequest::signal() const { return received_signal; }

}  // namespace dura
