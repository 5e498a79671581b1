#include "engine/comm/mpi/mpi_table.h"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <string>

namespace {

std::string message;

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

// One direction of a move, cut into pieces of which a few are under way. MPI asks the receiver before it sends a long message, and Open
// MPI's answer waits behind the bytes that the receiver itself is sending: two long messages towards each other would take turns on a link
// that could carry both at once.
class Pieces {
 public:
  using Start = const char* (*)(std::byte* bytes, int count, int other, MPI_Request* request);
  Pieces(Start start, int64_t other, std::byte* bytes, size_t count)
      : start_(start), other_(static_cast<int>(other)), next_(bytes), left_(count) {
    requests_.fill(MPI_REQUEST_NULL);
  }

  // Starts what can be started. `ended`: all have arrived, or MPI needs the bytes no more.
  const char* look(bool* ended) {
    *ended = true;
    for (MPI_Request& request : requests_) {
      int done = 0;
      if (const char* error = result(MPI_Test(&request, &done, MPI_STATUS_IGNORE))) return error;
      if (done && left_ > 0) {
        const size_t count = std::min(left_, piece);
        if (const char* error = start_(next_, static_cast<int>(count), other_, &request)) return error;
        next_ += count, left_ -= count;
        done = 0;
      }
      *ended = *ended && done;
    }
    return nullptr;
  }

 private:
  // Over TCP, Open MPI sends up to 64 KiB (with its own header) without asking.
  static constexpr size_t piece = 60 << 10, under_way = 16;
  Start start_;
  int other_;
  std::byte* next_;
  size_t left_;
  std::array<MPI_Request, under_way> requests_;
};

const char* start_send(std::byte* bytes, int count, int to, MPI_Request* request) {
  return result(MPI_Isend(bytes, count, MPI_BYTE, to, 0, MPI_COMM_WORLD, request));
}
const char* start_receive(std::byte* bytes, int count, int from, MPI_Request* request) {
  return result(MPI_Irecv(bytes, count, MPI_BYTE, from, 0, MPI_COMM_WORLD, request));
}

struct Move {
  Pieces receive, send;
};
std::map<int64_t, Move> moves;  // under way

const char* look(int64_t number, bool* sent, bool* received) {
  Move& move = moves.at(number);
  // Receiving first: what has a place to go to is not kept by MPI in memory of its own.
  if (const char* error = move.receive.look(received)) return error;
  if (const char* error = move.send.look(sent)) return error;
  if (*sent && *received) moves.erase(number);
  return nullptr;
}

const char* begin_move(int64_t to, const void* send, size_t send_bytes, int64_t from, void* receive, size_t receive_bytes,
                       int64_t* number) {
  static int64_t next_number = 0;
  *number = next_number++;
  auto* unchanged = static_cast<std::byte*>(const_cast<void*>(send));
  moves.emplace(*number, Move{.receive = Pieces(start_receive, from, static_cast<std::byte*>(receive), receive_bytes),
                              .send = Pieces(start_send, to, unchanged, send_bytes)});
  Move& move = moves.at(*number);
  bool ignored = false;
  if (const char* error = move.receive.look(&ignored)) return error;
  return move.send.look(&ignored);
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
