// Wrong calls of NCCL.
#include <nccl.h>

#include "tests/support/simulated_ranks.h"
#include "engine/cuda/card/shared_library.h"
#include "tests/engine/cuda/card/stand_in/wrong_calls.h"

namespace dura::cuda::stand_in {

using Catch::Contains;

void wrong_calls_of_nccl() {
  const SharedLibrary library("libnccl.so.2", {});
  const auto f = [&]<class F>(F*, const char* name) { return library.function<F>(name); };
#define DURA_FUNCTION(name) const auto name##_ = f(static_cast<decltype(&name)>(nullptr), #name)
  DURA_FUNCTION(ncclGetUniqueId);
  DURA_FUNCTION(ncclCommInitRankConfig);
  DURA_FUNCTION(ncclCommAbort);
  DURA_FUNCTION(ncclCommFinalize);
  DURA_FUNCTION(ncclCommDestroy);
  DURA_FUNCTION(ncclCommGetAsyncError);
  DURA_FUNCTION(ncclGroupStart);
  DURA_FUNCTION(ncclGroupEnd);
  DURA_FUNCTION(ncclSend);
  DURA_FUNCTION(ncclRecv);
  DURA_FUNCTION(ncclAllReduce);
#undef DURA_FUNCTION
  SimulatedRanks two(2, {.timeout_s = 5});
  ranks() = &two.rank(0);
  ncclUniqueId id{};
  ncclGetUniqueId_(&id);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  ncclComm_t link = nullptr;
  const auto join = [&](int size, ncclConfig_t* with) { return complaint([&] { ncclCommInitRankConfig_(&link, size, id, 0, with); }); };
  CHECK_THAT(join(2, &config), Contains("calls would block"));
  config.blocking = 0;
  CHECK_THAT(join(2, nullptr), Contains("not the initial configuration"));
  CHECK_THAT(join(3, &config), Contains("not the ranks of the test"));
  REQUIRE(join(2, &config).empty());

  std::vector<float> values(4);
  ncclResult_t error = ncclSuccess;
  const auto send = [&](size_t count, int peer) {
    return complaint([&] { ncclSend_(values.data(), count, ncclFloat, peer, link, nullptr); });
  };
  const auto add = [&](const float* from, ncclRedOp_t operation) {
    return complaint([&] { ncclAllReduce_(from, values.data(), 4, ncclFloat, operation, link, nullptr); });
  };
  CHECK_THAT(send(4, 1), Contains("outside of a group"));
  CHECK_THAT(complaint([&] { ncclGroupEnd_(); }), Contains("no group has begun"));
  ncclGroupStart_();
  CHECK_THAT(send(0, 1), Contains("not an exchange that dura has: ncclSend"));
  CHECK_THAT(send(4, 0), Contains("not an exchange"));  // with itself
  CHECK_THAT(complaint([&] { ncclRecv_(nullptr, 4, ncclFloat, 1, link, nullptr); }), Contains("not an exchange that dura has: ncclRecv"));
  ncclGroupEnd_();
  CHECK_THAT(add(values.data(), ncclProd), Contains("not a sum that dura has"));
  CHECK_THAT(add(values.data() + 1, ncclSum), Contains("not a sum that dura has"));
  CHECK_THAT(complaint([&] { ncclCommDestroy_(link); }), Contains("waits for the other ranks without a limit"));
  CHECK_THAT(add(values.data(), ncclSum), Contains("a link is used after its end"));
  CHECK_THAT(complaint([&] { ncclCommGetAsyncError_(link, &error); }), Contains("asked for errors after its end"));
  CHECK_THAT(complaint([&] { ncclCommAbort_(link); }), Contains("no such link"));

  REQUIRE(join(2, &config).empty());
  nccl_questions() = -1;
  CHECK(add(values.data(), ncclSum).empty());
  CHECK_THAT(add(values.data(), ncclSum), Contains("while another is in progress"));
  nccl_questions() = 0;
  ncclCommAbort_(link);
  REQUIRE(join(2, &config).empty());
  ranks() = nullptr;
  CHECK_THAT(complaint([&] { ncclCommFinalize_(link); }), Contains("there are no other ranks"));
  ncclCommAbort_(link);
}

}  // namespace dura::cuda::stand_in
