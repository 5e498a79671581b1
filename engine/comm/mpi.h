// Processes that MPI started (mpirun, srun, ...), as ranks. MPI itself is opened at run time from the shared object libdura_mpi, and only
// here: nothing needs it that is not started by it.
#pragma once
#include <filesystem>
#include <memory>
#include <vector>

#include "engine/comm/communicator.h"

namespace dura {

// Whether whoever started this process says, in the environment, that it is one of several: Open MPI, MPICH, Intel MPI, or Slurm with PMI.
bool started_by_mpi();

// This process's number in the job, as the environment says; 0 where nobody does. Known before the others are joined.
int64_t rank_in_job();
// Its number among those of its machine, as whoever started it says in the environment; 0 where nobody does. A program that a rank starts,
// which is none itself, is told the rank's by this variable (process.cpp of apps/program): so it takes the rank's card.
constexpr const char* rank_on_machine_variable = "DURA_RANK_ON_MACHINE";
int64_t rank_on_machine();

// Joins the others; once in a process. The library is the first of `candidates` that exists. A rank that does not answer for `timeout_s`
// seconds is given up. Error where there is no library or MPI does not start.
std::unique_ptr<Communicator> open_mpi(const std::vector<std::filesystem::path>& candidates, double timeout_s);

}  // namespace dura
