// Processes that do the wrong thing, for a test: each waits for what the next one is to send, and none sends. Started by mpirun, with the
// path of libdura_mpi and the seconds after which a silent rank is given up.
#include <cstdlib>
#include <iostream>
#include <span>

#include "engine/base/check.h"
#include "engine/comm/mpi.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::unique_ptr<dura::Communicator> ranks = dura::open_mpi({argv[1]}, std::atof(argv[2]));
  try {
    std::byte letter{};
    ranks->exchange((ranks->rank() + 1) % ranks->size(), {}, std::span(&letter, 1));
  } catch (const dura::Error& e) {
    std::cerr << dura::concat("rank_cycle: error: ", e.what(), "\n") << std::flush;
    ranks->end_all(1);
    return 1;
  }
  return 0;
}
