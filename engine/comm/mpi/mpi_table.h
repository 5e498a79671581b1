// What dura asks of MPI, as a table of C functions. The shared object libdura_mpi is the only thing that is linked with MPI; a program
// opens it when it was started as one of several processes (mpi.cpp), so that nothing else needs MPI to be there.
#pragma once
#include <cstddef>
#include <cstdint>

extern "C" {

struct DuraMpi {
  int64_t version;  // dura_mpi_version
  // Functions return null, or what went wrong, valid until the next call.
  const char* (*start)(int64_t* rank, int64_t* size);
  // Starts to send to one rank and to receive from another; either may have 0 bytes. `move` is its number, until look() finds both done.
  const char* (*begin_move)(int64_t to, const void* send, size_t send_bytes, int64_t from, void* receive, size_t receive_bytes,
                            int64_t* move);
  // Whether both are done, or of each alone.
  const char* (*look)(int64_t move, bool* sent, bool* received);
  // Beside the moves: a letter for one rank, and the next one that has come from any (0: none has).
  const char* (*post)(int64_t to, char letter);
  const char* (*next_post)(int64_t* from, char* letter);
  const char* (*finish)();
  void (*abort)(int code);
};

using DuraMpiTable = const DuraMpi* (*)();  // the symbol "dura_mpi_table"
}

constexpr int64_t dura_mpi_version = 3;
