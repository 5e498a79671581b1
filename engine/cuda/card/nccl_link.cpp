#include "engine/cuda/card/nccl_link.h"

#include <time.h>

#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <type_traits>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/cuda/card/cuda_check.h"
#include "engine/cuda/card/shared_library.h"
#if __has_include(<nccl.h>)
#include <nccl.h>
#endif

namespace dura::cuda {

#if defined(NCCL_VERSION_CODE) && NCCL_VERSION_CODE >= 21400  // the first whose calls need not block
namespace {

struct NcclLibrary {
  SharedLibrary file{"libnccl.so.2", split_folders(DURA_NCCL_FOLDERS)};
  DURA_LIBRARY_FUNCTION(version, ncclGetVersion);
  DURA_LIBRARY_FUNCTION(error_string, ncclGetErrorString);
  DURA_LIBRARY_FUNCTION(last_error, ncclGetLastError);
  DURA_LIBRARY_FUNCTION(unique_id, ncclGetUniqueId);
  DURA_LIBRARY_FUNCTION(join, ncclCommInitRankConfig);
  DURA_LIBRARY_FUNCTION(finalize, ncclCommFinalize);
  DURA_LIBRARY_FUNCTION(destroy, ncclCommDestroy);
  DURA_LIBRARY_FUNCTION(abort, ncclCommAbort);
  DURA_LIBRARY_FUNCTION(async_error, ncclCommGetAsyncError);
  DURA_LIBRARY_FUNCTION(begin_group, ncclGroupStart);
  DURA_LIBRARY_FUNCTION(end_group, ncclGroupEnd);
  DURA_LIBRARY_FUNCTION(send, ncclSend);
  DURA_LIBRARY_FUNCTION(receive, ncclRecv);
  DURA_LIBRARY_FUNCTION(all_reduce, ncclAllReduce);
};
const NcclLibrary& nccl() {
  static const NcclLibrary library;
  return library;
}

std::string words(ncclResult_t error) {
  const char* more = nccl().last_error(nullptr);
  return concat(nccl().error_string(error), " (", static_cast<int>(error), ")", more && *more ? concat(": ", more) : "");
}

// While NCCL or a card works: looks in quick succession at first, then with pauses.
class Watch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }
  void pause() {
    if (++looks_ < 100) return;
    const timespec pause = {.tv_sec = 0, .tv_nsec = 20'000};
    nanosleep(&pause, nullptr);
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  int64_t looks_ = 0;
};

// What has become of a call that went on in the background.
ncclResult_t result_of(ncclComm_t all) {
  ncclResult_t result = ncclSuccess;
  const ncclResult_t asked = nccl().async_error(all, &result);
  return asked == ncclSuccess ? result : asked;
}

// Ends without the other ranks, unless they have all come to the end together.
struct Abort {
  void operator()(ncclComm_t all) const { nccl().abort(all); }
};
using Joined = std::unique_ptr<std::remove_pointer_t<ncclComm_t>, Abort>;

// Calls do not block: each returns at once, and what it has begun may still go on in the background.
class NcclLink final : public DeviceLink {
 public:
  NcclLink(Communicator& ranks, Joined all, std::function<cudaStream_t(Stream)> streams)
      : ranks_(ranks), all_(std::move(all)), streams_(std::move(streams)) {
    check(cudaEventCreateWithFlags(&done_, cudaEventDisableTiming), "CUDA, new event");
  }
  // Where an exception passes, the others may never answer, and to destroy a link waits for them without a limit: not before all have come
  // to its end.
  ~NcclLink() override {
    if (all_ && std::uncaught_exceptions() == 0) {
      ncclResult_t result = nccl().finalize(all_.get());
      for (Watch watch; result == ncclInProgress && watch.seconds() < ranks_.timeout_s() && !ranks_.given_up(); watch.pause())
        result = result_of(all_.get());
      if (result == ncclSuccess) nccl().destroy(all_.release());
    }
    cudaEventDestroy(done_);
  }

  void exchange(int64_t rank, const float* send, int64_t send_count, float* receive, int64_t receive_count, Stream stream) override {
    const cudaStream_t s = streams_(stream);
    const auto peer = static_cast<int>(rank);
    const ncclComm_t link = all();
    settle(nccl().begin_group(), "beginning an exchange");
    // The group is ended whatever became of its parts: it would swallow all later calls otherwise. Until then nothing is in progress.
    ncclResult_t error = ncclSuccess;
    const auto well = [&] { return error == ncclSuccess || error == ncclInProgress; };
    if (send_count > 0) error = nccl().send(send, static_cast<size_t>(send_count), ncclFloat, peer, link, s);
    if (receive_count > 0 && well()) error = nccl().receive(receive, static_cast<size_t>(receive_count), ncclFloat, peer, link, s);
    const ncclResult_t ended = nccl().end_group();
    const std::string what = "an exchange with " + ranks_.name_of(rank);
    peers_.insert(rank);
    if (!well()) settle(error, what);
    settle(ended, what);
    queued("an exchange by NCCL", s);
  }
  void all_reduce(float* values, int64_t count, Stream stream) override {
    const cudaStream_t s = streams_(stream);
    settle(nccl().all_reduce(values, values, static_cast<size_t>(count), ncclFloat, ncclSum, all(), s), "a sum over ranks");
    queued("a sum over ranks by NCCL", s);
  }

  void wait() override {
    for (Watch watch; waiting_; watch.pause()) {
      const cudaError_t state = cudaEventQuery(done_);
      if (state == cudaSuccess) {
        waiting_ = false;
        return;
      }
      if (state != cudaErrorNotReady) check(state, "CUDA, a sum over ranks");
      if (const ncclResult_t late = result_of(all()); late != ncclSuccess && late != ncclInProgress)
        lost(concat("NCCL lost another rank: ", words(late)));
      be_patient(watch, "a sum over the ranks' cards");
    }
  }

 private:
  ncclComm_t all() const {
    DURA_CHECK(all_, ranks_.own_name(), ": the link to the other ranks' cards was lost before");
    return all_.get();
  }
  // Returns when what a call has begun lies in the stream: before, nothing else may be put behind it.
  void settle(ncclResult_t result, const std::string& what) {
    for (Watch watch; result == ncclInProgress; watch.pause()) {
      be_patient(watch, what);
      result = result_of(all());
    }
    if (result != ncclSuccess) lost(concat("NCCL, ", what, ": ", words(result)));
  }
  void be_patient(const Watch& watch, const std::string& what) {
    if (ranks_.given_up()) lost("given up");
    if (watch.seconds() < ranks_.timeout_s()) return;
    std::vector<std::string> names;
    for (const int64_t rank : peers_) names.push_back(ranks_.name_of(rank));
    lost(concat(
        what, " was not done after ", ranks_.timeout_s(), " s. ",
        names.empty() ? "Another rank" : concat("This rank exchanges with ", joined(names, ", "), "; one of them, or one behind it,"),
        " hangs, or its machine cannot be reached. Go on with --resume, or give it longer (--comm-timeout)."));
  }
  // What NCCL's kernels still wait for would hold the stream forever.
  [[noreturn]] void lost(const std::string& message) {
    all_.reset();
    waiting_ = false;
    fail(ranks_.own_name(), ": ", message);
  }
  void queued(const char* what, cudaStream_t stream) {
    check(cudaEventRecord(done_, stream), "CUDA, recording an event");
    queued_last = what;
    waiting_ = true;
  }

  Communicator& ranks_;
  Joined all_;  // null once it is lost
  std::set<int64_t> peers_;
  std::function<cudaStream_t(Stream)> streams_;
  cudaEvent_t done_ = nullptr;
  bool waiting_ = false;
};

// This process's card, by a name that no other card has; where it cannot be linked, why (`reason`).
std::string own_card(std::string& reason) {
  reason = why_not(nccl);
  cudaDeviceProp properties{};
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, card_number()); error != cudaSuccess)
    reason = concat("the card's properties cannot be read: ", cudaGetErrorString(error));
  return {properties.uuid.bytes, sizeof(properties.uuid.bytes)};
}

// The first rank with a reason, and the reason; "" where nobody has one.
std::string first_reason(Communicator& ranks, const std::string& own) {
  const std::vector<std::string> all = ranks.gather(own);
  for (size_t r = 0; r < all.size(); ++r)
    if (!all[r].empty()) return concat(ranks.name_of(static_cast<int64_t>(r)), ": ", all[r]);
  return "";
}

// "" and the communicator, or why there is none, the same on all ranks.
std::string join(Communicator& ranks, Joined& all) {
  std::string reason;
  const std::string card = own_card(reason);
  if (const std::string first = first_reason(ranks, reason); !first.empty()) return first;
  std::map<std::string, int64_t> owner;
  const std::vector<std::string> cards = ranks.gather(card);
  for (size_t r = 0; r < cards.size(); ++r)
    if (const auto [found, is_new] = owner.emplace(cards[r], r); !is_new)
      return concat(ranks.name_of(found->second), " and ", ranks.name_of(static_cast<int64_t>(r)), " have the same card");
  ncclUniqueId id{};
  if (ranks.is_first())
    if (const ncclResult_t error = nccl().unique_id(&id); error != ncclSuccess) reason = "NCCL has no number for the link: " + words(error);
  if (const std::string first = first_reason(ranks, reason); !first.empty()) return first;
  ranks.broadcast(std::as_writable_bytes(std::span(&id, 1)));
  use_card();
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t made = nullptr;
  ncclResult_t result = nccl().join(&made, static_cast<int>(ranks.size()), id, static_cast<int>(ranks.rank()), &config);
  all.reset(made);
  // Half of the time: a rank on which NCCL does not start waits below for those that wait for it here.
  const double limit_s = ranks.timeout_s() / 2;
  Watch watch;
  for (; result == ncclInProgress && watch.seconds() < limit_s && !ranks.given_up(); watch.pause()) result = result_of(made);
  if (result == ncclInProgress)
    reason = concat("NCCL has not linked the cards in ", limit_s, " s");
  else if (result != ncclSuccess)
    reason = "NCCL does not start: " + words(result);
  if (!reason.empty()) all.reset();
  return first_reason(ranks, reason);
}

}  // namespace

std::unique_ptr<DeviceLink> nccl_link(Communicator& ranks, std::function<cudaStream_t(Stream)> streams) {
  Joined all;
  if (const std::string reason = join(ranks, all); !reason.empty()) {
    if (ranks.is_first()) log_warning("the processes' cards are not linked, gradients go through host memory: ", reason);
    return nullptr;
  }
  int version = 0;
  nccl().version(&version);
  if (ranks.is_first()) log_info(ranks.size(), " cards are linked by NCCL ", version / 10000, ".", version / 100 % 100, ".", version % 100);
  return std::make_unique<NcclLink>(ranks, std::move(all), std::move(streams));
}

#else

std::unique_ptr<DeviceLink> nccl_link(Communicator& ranks, std::function<cudaStream_t(Stream)>) {
  if (ranks.is_first())
    log_warning(
        "the processes' cards are not linked, gradients go through host memory: this build of dura has no NCCL (nccl.h of 2.14 or newer "
        "was "
        "missing)");
  return nullptr;
}

#endif

}  // namespace dura::cuda
