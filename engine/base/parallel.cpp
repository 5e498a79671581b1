#include "engine/base/parallel.h"

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/numbers.h"
#include "engine/base/text.h"

namespace dura {
namespace {

// A hint to the processor that this thread only waits.
inline void pause_a_moment() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// Threads that are started while it lives take no signals: a program's handlers run on the program's own threads, also where dura is a
// library in it.
class NoSignals {
 public:
  NoSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~NoSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;

 private:
  sigset_t before_;
};

// Threads wait for a job number to change; a job is one parallel_for. Each thread has a share of neighbouring tasks: those of one layer
// write what the same tasks of the next one read, which is then in this core's own cache (beside it, another core's is far away, most of
// all where cores share no last level). Who is done with its own share helps with the others', so a slow core takes fewer. A worker joins a
// job only while it is open, and the caller waits only for those that joined: where another process has the core of a worker, the loop ends
// without it.
class ThreadPool {
 public:
  explicit ThreadPool(int threads) : shares_(static_cast<size_t>(threads)) {
    const NoSignals scope;
    try {
      workers_.reserve(static_cast<size_t>(threads) - 1);
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { index = i, work(); });
    } catch (...) {  // the system gives no more threads, or no memory
      stop();
      throw;
    }
  }
  ~ThreadPool() { stop(); }
  int size() const { return static_cast<int>(workers_.size()) + 1; }

  void run(int64_t tasks, const std::function<void(int64_t)>& task) {
    {
      std::lock_guard lock(mutex_);
      task_ = &task;
      for (int64_t i = 0; i < size(); ++i) {
        Share& share = shares_[static_cast<size_t>(i)];
        share.next.store(i * tasks / size());
        share.end = (i + 1) * tasks / size();
      }
      error_ = nullptr;
      open_ = true;
      job_.fetch_add(1);
    }
    wake_.notify_all();
    take_tasks();
    {
      std::lock_guard lock(mutex_);
      open_ = false;
    }
    // The last tasks end within microseconds of each other: spin a little before giving the core away.
    for (int spin = 0; joined_.load(std::memory_order_acquire) != 0; ++spin) {
      if (spin < 1000) {
        pause_a_moment();
      } else {
        std::this_thread::yield();
      }
    }
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      job_.fetch_add(1);
    }
    wake_.notify_all();
    for (std::thread& w : workers_) w.join();
  }
  void take_tasks() {
    inside = true;
    const size_t count = shares_.size();
    for (size_t k = 0; k < count; ++k) {
      Share& share = shares_[(static_cast<size_t>(index) + k) % count];
      for (int64_t i; share.next.load(std::memory_order_relaxed) < share.end && (i = share.next.fetch_add(1)) < share.end;) {
        try {
          (*task_)(i);
        } catch (...) {
          std::lock_guard lock(mutex_);
          if (!error_) error_ = std::current_exception();
          for (Share& rest : shares_) rest.next.store(rest.end);
        }
      }
    }
    inside = false;
  }
  void work() {
    for (uint64_t seen = 0;;) {
      // The next job usually follows within some 10 us; sleeping and waking costs as much.
      for (int spin = 0; spin < 1000 && job_.load(std::memory_order_acquire) == seen; ++spin) pause_a_moment();
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return job_.load() != seen; });
        seen = job_.load();
        if (stop_) return;
        if (!open_) continue;  // came too late
        joined_.fetch_add(1);
      }
      take_tasks();
      joined_.fetch_sub(1, std::memory_order_release);
    }
  }

 public:
  static thread_local bool inside;  // true while this thread runs a task: nested loops run in line
  static thread_local int index;

 private:
  struct alignas(64) Share {  // a cache line of its own
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  std::vector<Share> shares_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> job_{0};
  std::atomic<int> joined_{0};  // workers inside the job
  const std::function<void(int64_t)>* task_ = nullptr;
  std::exception_ptr error_;
  bool open_ = false;
  bool stop_ = false;
};

thread_local bool ThreadPool::inside = false;
thread_local int ThreadPool::index = 0;  // only a pool's own threads have another

int default_threads() {
  if (const char* text = std::getenv("DURA_THREADS")) {
    const int n = parse_number<int>(text).value_or(0);
    if (n < 1 || n > 1024) fail_usage("DURA_THREADS is '", text, "'. It must be a number from 1 to 1024.");
    return n;
  }
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

std::mutex pool_mutex;  // one parallel loop at a time: a second caller (a loader thread) runs its own loop in line

std::atomic<int> pool_size{0};  // 0: no pool yet

std::unique_ptr<ThreadPool>& pool() {
  static std::unique_ptr<ThreadPool> p = std::make_unique<ThreadPool>(default_threads());
  pool_size.store(p->size());
  return p;
}

}  // namespace

void parallel_for(int64_t tasks, const std::function<void(int64_t)>& task) {
  if (tasks <= 0) return;
  if (tasks > 1 && !ThreadPool::inside) {
    std::unique_lock lock(pool_mutex, std::try_to_lock);
    if (lock.owns_lock() && pool()->size() > 1) return pool()->run(tasks, task);
  }
  for (int64_t i = 0; i < tasks; ++i) task(i);
}

void parallel_ranges(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  DURA_CHECK(grain > 0, "parallel_ranges: the grain must be positive, got ", grain);
  parallel_for(ceil_div(count, grain), [&](int64_t i) { body(i * grain, std::min(count, (i + 1) * grain)); });
}

int worker_index() { return ThreadPool::index; }

InlineLoops::InlineLoops() : outer_(ThreadPool::inside) { ThreadPool::inside = true; }
InlineLoops::~InlineLoops() { ThreadPool::inside = outer_; }

int num_threads() {
  // Without the lock where possible: a running loop holds it, and its tasks may ask.
  if (const int size = pool_size.load()) return size;
  std::lock_guard lock(pool_mutex);
  return pool()->size();
}

void set_num_threads(int threads) {
  if (threads < 1) fail_usage("the number of threads must be at least 1, got ", threads);
  std::lock_guard lock(pool_mutex);
  if (pool()->size() != threads) pool() = std::make_unique<ThreadPool>(threads);
  pool_size.store(threads);
}

// Everything is guarded by the mutex.
struct Background::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> jobs;  // the first is at work
  std::exception_ptr error;
  bool stop = false;
  std::thread thread;

  void work() {
    const InlineLoops in_line;
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return stop || !jobs.empty(); });
      if (stop) return;
      const std::function<void()> job = jobs.front();
      lock.unlock();
      std::exception_ptr failure;
      try {
        job();
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (failure) {
        error = failure;
        jobs.clear();
      } else if (!jobs.empty()) {
        jobs.pop_front();
      }
      changed.notify_all();
    }
  }
};

Background::Background() : state_(std::make_unique<State>()) {
  const NoSignals scope;
  state_->thread = std::thread([this] { state_->work(); });
}

Background::~Background() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

void Background::add(std::function<void()> job) {
  {
    std::lock_guard lock(state_->mutex);
    if (state_->error) return;
    state_->jobs.push_back(std::move(job));
  }
  state_->changed.notify_all();
}

void Background::wait() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [&] { return state_->jobs.empty(); });
  if (state_->error) std::rethrow_exception(std::exchange(state_->error, nullptr));
}

}  // namespace dura
