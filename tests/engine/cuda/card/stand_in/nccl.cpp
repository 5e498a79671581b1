// Stands in for libnccl: the functions that engine/cuda/card calls, with the communicator of a test for the other ranks (stand_in::ranks).
// What is sent lies on the simulated device and moves when the stream comes to it.
#include <nccl.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <set>
#include <span>
#include <vector>

#include "tests/engine/cuda/card/stand_in/stand_in.h"

using namespace dura;
using namespace dura::cuda;
using stand_in::alive;
using stand_in::complain;
using stand_in::injected;

struct ncclComm {
  int ranks, rank;
  // What goes on in the background: so many questions from its end (negative: it has none), and what it does then.
  int64_t questions = 0;
  std::function<ncclResult_t()> work = {};
  bool finalized = false;
};

namespace {

constexpr char magic[] = "the number of a stand-in's link";
std::set<const void*> living;  // never freed, so that no address is used again

// What a group has gathered for one rank.
struct Exchange {
  ncclComm_t all;
  int peer;
  const float* send = nullptr;
  float* receive = nullptr;
  size_t send_count = 0, receive_count = 0;
  cudaStream_t stream = nullptr;
};
int depth = 0;
std::vector<Exchange> group;

std::span<float> floats(const float* p, size_t count) { return {const_cast<float*>(p), count}; }

bool usable(ncclComm_t all) {
  if (living.count(all) == 0) return complain<"NCCL: a link is used after its end">();
  if (all->questions != 0) return complain<"NCCL: a call while another is in progress">();
  return stand_in::ranks() || complain<"NCCL: there are no other ranks">();
}

// As a link that does not block: the work is done when it was asked for often enough.
ncclResult_t begin(ncclComm_t all, std::function<ncclResult_t()> work) {
  if (stand_in::nccl_questions() == 0) return work();
  all->questions = stand_in::nccl_questions(), all->work = std::move(work);
  return ncclInProgress;
}

// A part of an exchange; `take` enters it.
template <class F>
ncclResult_t part(const char* call, const void* values, size_t count, ncclDataType_t type, int peer, ncclComm_t all, cudaStream_t stream,
                  F&& take) {
  if (!usable(all)) return ncclInvalidArgument;
  if (depth == 0) return complain<"NCCL: an exchange outside of a group would wait for itself">(), ncclInvalidUsage;
  if (!values || count == 0 || type != ncclFloat || peer < 0 || peer >= all->ranks || peer == all->rank)
    return complain<"NCCL: not an exchange that dura has">(concat(": ", call)), ncclInvalidArgument;
  if (injected(call)) return ncclSystemError;
  auto found = std::find_if(group.begin(), group.end(), [&](const Exchange& e) { return e.peer == peer; });
  if (found == group.end()) found = group.insert(group.end(), Exchange{.all = all, .peer = peer});
  take(*found);
  found->stream = stream;
  return ncclSuccess;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = 22809;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t error) { return error == ncclRemoteError ? "remote process exited" : "unhandled error"; }
const char* ncclGetLastError(ncclComm_t) { return "as a test wants it"; }
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (injected("ncclGetUniqueId")) return ncclSystemError;
  std::memcpy(id->internal, magic, sizeof magic);
  return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t* all, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  const Communicator* others = stand_in::ranks();
  if (!others || ranks != others->size() || rank != others->rank() || std::memcmp(id.internal, magic, sizeof magic) != 0)
    return complain<"ncclCommInitRankConfig: not the ranks of the test, or not their number">(), ncclInvalidArgument;
  if (!config || config->magic != 0xcafebeef || config->blocking != 0)
    return complain<"ncclCommInitRankConfig: not the initial configuration, or calls would block">(), ncclInvalidArgument;
  if (injected("ncclCommInitRankConfig")) return ncclSystemError;
  *all = new ncclComm{ranks, rank};
  living.insert(*all);
  ++alive()["NCCL link"];
  return begin(*all, [] { return ncclSuccess; });
}
ncclResult_t ncclCommAbort(ncclComm_t all) {
  if (living.erase(all) == 0) return complain<"NCCL: there is no such link (any more)">(), ncclInvalidArgument;
  --alive()["NCCL link"];
  return ncclSuccess;
}
ncclResult_t ncclCommFinalize(ncclComm_t all) {
  if (!usable(all)) return ncclInvalidArgument;
  if (injected("ncclCommFinalize")) return ncclSystemError;
  all->finalized = true;
  return begin(all, [] { return ncclSuccess; });
}
ncclResult_t ncclCommDestroy(ncclComm_t all) {
  if (usable(all) && !all->finalized) complain<"NCCL: to destroy a link waits for the other ranks without a limit">();
  return ncclCommAbort(all);
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t all, ncclResult_t* error) {
  if (living.count(all) == 0) return complain<"NCCL: a link is asked for errors after its end">(), ncclInvalidArgument;
  if (injected("ncclCommGetAsyncError")) return ncclSystemError;
  if (all->questions < 0 || (all->questions > 0 && --all->questions > 0)) return *error = ncclInProgress, ncclSuccess;
  if (all->work) return *error = std::exchange(all->work, nullptr)(), ncclSuccess;
  *error = static_cast<ncclResult_t>(stand_in::nccl_late_error());
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  if (injected("ncclGroupStart")) return ncclSystemError;
  ++depth;
  return ncclSuccess;
}
ncclResult_t ncclSend(const void* values, size_t count, ncclDataType_t type, int peer, ncclComm_t all, cudaStream_t stream) {
  return part("ncclSend", values, count, type, peer, all, stream,
              [&](Exchange& e) { e.send = static_cast<const float*>(values), e.send_count = count; });
}
ncclResult_t ncclRecv(void* values, size_t count, ncclDataType_t type, int peer, ncclComm_t all, cudaStream_t stream) {
  return part("ncclRecv", values, count, type, peer, all, stream,
              [&](Exchange& e) { e.receive = static_cast<float*>(values), e.receive_count = count; });
}
ncclResult_t ncclGroupEnd() {
  if (depth == 0) return complain<"NCCL: no group has begun">(), ncclInvalidUsage;
  if (--depth > 0) return ncclSuccess;
  std::vector<Exchange> all = std::exchange(group, {});
  if (injected("ncclGroupEnd")) return ncclSystemError;
  if (all.empty()) return ncclSuccess;
  return begin(all[0].all, [all] {
    try {
      for (const Exchange& e : all)
        stand_in::device().push("NCCL's exchange", {{e.send, e.send_count * sizeof(float)}, {e.receive, e.receive_count * sizeof(float)}},
                                stand_in::stream_of(e.stream), [e, ranks = stand_in::ranks()] {
                                  if (living.count(e.all) == 0) return;  // what an abort ends
                                  ranks->exchange(e.peer, std::as_bytes(floats(e.send, e.send_count)),
                                                  std::as_writable_bytes(floats(e.receive, e.receive_count)));
                                });
    } catch (const Error& e) {
      return stand_in::keep_complaint(concat("NCCL: ", e.what())), ncclInvalidArgument;
    }
    return ncclSuccess;
  });
}
ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type, ncclRedOp_t operation, ncclComm_t all,
                           cudaStream_t stream) {
  if (!usable(all)) return ncclInvalidArgument;
  if (from != to || count == 0 || type != ncclFloat || operation != ncclSum)
    return complain<"ncclAllReduce: not a sum that dura has">(), ncclInvalidArgument;
  if (injected("ncclAllReduce")) return ncclSystemError;
  return begin(all, [to, count, all, stream] {
    try {
      stand_in::device().push("NCCL's sum", {{to, count * sizeof(float)}}, stand_in::stream_of(stream),
                              [to, count, all, ranks = stand_in::ranks()] {
                                if (living.count(all) > 0) ranks->all_reduce(floats(static_cast<float*>(to), count));
                              });
    } catch (const Error& e) {
      return stand_in::keep_complaint(concat("NCCL: ", e.what())), ncclInvalidArgument;
    }
    return ncclSuccess;
  });
}

}  // extern "C"
