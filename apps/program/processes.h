// A job that several processes do together, where mpirun, srun or the like started them: rank 0 writes and speaks.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "engine/comm/communicator.h"

namespace dura {

// Calls `job` with the communicator of this process: alone(), unless it was started as one of several. The log of all ranks but the first
// is silent meanwhile. An error of any rank is printed once, with rank and host, and ends all of them with its exit code; the other ranks
// need not know of it. `program` begins messages ("dura-train").
int run_on_all(const std::string& program, double timeout_s, const std::function<int(Communicator&)>& job);

// Throws Error unless all ranks have the same facts (what is computed, from what, by which version and kernels): names the first rank that
// differs, its host, the fact and both of its values.
void require_agreement(Communicator& ranks, const std::map<std::string, std::string>& facts);

}  // namespace dura
