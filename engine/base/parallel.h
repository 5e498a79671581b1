// The one place where dura uses threads for arithmetic. Work is cut by shape, never by the number of threads,
// so every result is bit-equal for any number of threads.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

namespace dura {

// Runs task(0) ... task(tasks-1), each once, in any order, on up to num_threads() threads, and returns when all are done.
// A call from inside a task runs in line. The first exception of a task is rethrown here; the rest of the tasks may be skipped.
void parallel_for(int64_t tasks, const std::function<void(int64_t)>& task);

// Cuts [0, count) into pieces of at most `grain` and runs body(begin, end) on each.
void parallel_ranges(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

// Which of the running loop's threads the caller is: 0 ... num_threads()-1, and 0 outside of a loop. For scratch memory only: a result must
// not depend on it.
int worker_index();

// While alive, the loops of this thread run in line: for a thread beside the computation (a data loader), which must neither take the
// pool away from it nor wait for it.
class InlineLoops {
 public:
  InlineLoops();
  ~InlineLoops();
  InlineLoops(const InlineLoops&) = delete;
  InlineLoops& operator=(const InlineLoops&) = delete;

 private:
  bool outer_;
};

// Jobs that a thread of its own does beside the computation, one after the other in the order in which they were given. Their loops run in
// line.
class Background {
 public:
  Background();
  ~Background();  // waits for the job at hand and drops the rest
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  void add(std::function<void()> job);
  // Returns when all jobs are done. After one that threw, the others are dropped, and its exception is rethrown here.
  void wait();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// At least 1. The default is DURA_THREADS where it is set, else the number of processors this process may run on.
int num_threads();
void set_num_threads(int threads);

}  // namespace dura
