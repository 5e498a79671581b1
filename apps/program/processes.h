// A job that several processes do together, where mpirun, srun or the like started them: rank 0 writes and speaks.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "apps/program/program.h"
#include "engine/comm/communicator.h"

namespace dura {

// Calls `job` with the communicator of this process: alone(), unless it was started as one of several. The log and the standard output of
// all ranks but the first are silent meanwhile. An error of any rank is printed once, with rank and host, and ends all of them with its
// exit code; the other ranks need not know of it.
int run_on_all(const Program& program, const std::function<int(Communicator&)>& job);

// What all ranks of a program must have alike, whatever it does: version, device, kernels, every setting but those that change no result,
// and the SHA-256 of the manifest and of the files (an empty name is none).
std::map<std::string, std::string> facts_of(const Program& program, const std::string& manifest_sha256,
                                            const std::vector<std::string>& files = {});

// Throws Error unless all ranks have the same facts (what is computed, from what, by which version and kernels): names the first rank that
// differs, its host, the fact and both of its values.
void require_agreement(Communicator& ranks, const std::map<std::string, std::string>& facts);

}  // namespace dura
