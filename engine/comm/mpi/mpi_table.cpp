#include "engine/comm/mpi/mpi_table.h"

#include <mpi.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace {

std::string message;
struct Move {
  std::vector<MPI_Request> sends, receives;
};
std::map<int64_t, Move> moves;  // under way
int64_t next_move = 0;

const char* result(int code) {
  if (code == MPI_SUCCESS) return nullptr;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  message.assign(text, static_cast<size_t>(length));
  return message.c_str();
}

const char* start(int64_t* rank, int64_t* size) {
  int provided = 0, r = 0, s = 1;
  // One thread at a time calls MPI, and not always the same.
  if (const char* error = result(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided))) return error;
  if (provided < MPI_THREAD_SERIALIZED) return "this MPI was built without threads (MPI_THREAD_SERIALIZED)";
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &r);
  MPI_Comm_size(MPI_COMM_WORLD, &s);
  *rank = r, *size = s;
  return nullptr;
}

// MPI counts with int.
constexpr size_t piece = size_t{1} << 26;

const char* begin_move(int64_t to, const void* send, size_t send_bytes, int64_t from, void* receive, size_t receive_bytes, int64_t* move) {
  *move = next_move++;
  auto& [sends, receives] = moves[*move];
  for (size_t at = 0; at < receive_bytes; at += piece) {
    receives.push_back(MPI_REQUEST_NULL);
    if (const char* error = result(MPI_Irecv(static_cast<char*>(receive) + at, static_cast<int>(std::min(piece, receive_bytes - at)),
                                             MPI_BYTE, static_cast<int>(from), 0, MPI_COMM_WORLD, &receives.back())))
      return error;
  }
  for (size_t at = 0; at < send_bytes; at += piece) {
    sends.push_back(MPI_REQUEST_NULL);
    if (const char* error = result(MPI_Isend(static_cast<const char*>(send) + at, static_cast<int>(std::min(piece, send_bytes - at)),
                                             MPI_BYTE, static_cast<int>(to), 0, MPI_COMM_WORLD, &sends.back())))
      return error;
  }
  return nullptr;
}

const char* look(int64_t move, bool* sent, bool* received) {
  auto& [sends, receives] = moves[move];
  int all_sent = 0, all_received = 0;
  if (const char* error = result(MPI_Testall(static_cast<int>(sends.size()), sends.data(), &all_sent, MPI_STATUSES_IGNORE))) return error;
  if (const char* error = result(MPI_Testall(static_cast<int>(receives.size()), receives.data(), &all_received, MPI_STATUSES_IGNORE)))
    return error;
  *sent = all_sent != 0, *received = all_received != 0;
  if (*sent && *received) moves.erase(move);
  return nullptr;
}

constexpr int post_tag = 1;

const char* post(int64_t to, char letter) {
  // Small messages are on their way when this returns: nobody waits for them.
  static std::map<char, char> letters;
  char& lasting = letters[letter] = letter;
  MPI_Request request = MPI_REQUEST_NULL;
  if (const char* error = result(MPI_Isend(&lasting, 1, MPI_CHAR, static_cast<int>(to), post_tag, MPI_COMM_WORLD, &request))) return error;
  return result(MPI_Request_free(&request));
}

const char* next_post(int64_t* from, char* letter) {
  *letter = 0;
  int found = 0;
  MPI_Status status;
  if (const char* error = result(MPI_Iprobe(MPI_ANY_SOURCE, post_tag, MPI_COMM_WORLD, &found, &status))) return error;
  if (!found) return nullptr;
  *from = status.MPI_SOURCE;
  return result(MPI_Recv(letter, 1, MPI_CHAR, status.MPI_SOURCE, post_tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
}

const char* finish() { return result(MPI_Finalize()); }
void abort_all(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

}  // namespace

extern "C" __attribute__((visibility("default"))) const DuraMpi* dura_mpi_table() {
  static const DuraMpi table = {dura_mpi_version, start, begin_move, look, post, next_post, finish, abort_all};
  return &table;
}
