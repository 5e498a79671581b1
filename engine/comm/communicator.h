// Processes (ranks) that compute one thing together. A form of communicator only moves bytes between two ranks; what is built on that is
// here, and is the same for every form: sums in one fixed order, broadcast, gather, barrier. With one rank none of them does anything.
//
// The invariant: every rank calls the same functions in the same order with arguments of the same size, or all of them end with an error.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/shared_work.h"

namespace dura {

// A message that is waited for while something else is done.
class Arrival {
 public:
  virtual ~Arrival() = default;
  // Whether it is here, and its bytes are where they were wanted. Error where its sender is lost: it has given no sign of life for
  // timeout_s(). A rank gives one where it looks itself, whoever it waits for.
  virtual bool here() = 0;
};

class Communicator {
 public:
  Communicator() = default;
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int64_t rank() const { return 0; }
  virtual int64_t size() const { return 1; }
  bool is_first() const { return rank() == 0; }
  // For messages: "rank 1 on node7"; without the host before introduce() was called.
  std::string name_of(int64_t rank) const;
  std::string own_name() const { return name_of(rank()); }
  // Tells all ranks each other's hosts.
  void introduce(const std::string& host);
  int64_t ranks_on_own_host() const;
  // Has all ranks ended with `code`, without waiting for anybody: for errors that the others do not know of. The caller ends itself where
  // this returns, as it does for one that is alone; nothing more can be sent.
  virtual void end_all(int) {}

  // How long a rank may take to answer before it is given up.
  virtual double timeout_s() const { return 0; }
  // A thread of this process may be sending meanwhile: what is under way ends with an error soon, and nothing more can be sent.
  void give_up() { given_up_ = true; }
  bool given_up() const { return given_up_; }

  // Sums over all ranks, element by element, the same bytes on each: ((0+1)+(2+3))+((4+5)+(6+7)), where the ranks are a power of two. So
  // the trees of neighbouring ranks' own sums (gradient_tree.h) grow together into one. See halving.h.
  void all_reduce(std::span<float> values);
  void all_reduce(std::span<double> values);
  // What a rank sends in an all_reduce of so many elements.
  int64_t all_reduce_bytes(int64_t elements, int64_t element_size) const;
  // The largest value over all ranks.
  double largest(double value);
  // Overwrites everybody's bytes with those of rank 0.
  void broadcast(std::span<std::byte> bytes);
  std::string broadcast(const std::string& text);  // of any length, which only rank 0 needs to know
  // Everybody's bytes, which may differ in size, by rank, on every rank.
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> own);
  std::vector<std::string> gather(const std::string& own);
  // Returns when all ranks are here.
  void barrier() { largest(0); }

  // One rank to another, outside of what all do together: a short message, and one of that size that is to come. The bytes must stay until
  // it is here.
  void send(int64_t to, std::span<const std::byte> bytes) { transfer(to, bytes, 0, {}); }
  // Both at once between two ranks; the sizes are known to both.
  void exchange(int64_t other, std::span<const std::byte> send, std::span<std::byte> receive) { transfer(other, send, other, receive); }
  virtual std::unique_ptr<Arrival> expect(int64_t from, std::span<std::byte> bytes);
  // Work that the ranks share, a part each.
  SharedWork work();

  int64_t bytes_sent() const { return bytes_sent_; }  // by this rank so far

 protected:
  // Sends bytes to one rank while it receives bytes from another (or the same); the sizes are known to both sides, and 0 bytes are not
  // sent at all. Error that names the rank where it does not answer or is lost.
  virtual void move(int64_t to, std::span<const std::byte> send, int64_t from, std::span<std::byte> receive);

 private:
  void transfer(int64_t to, std::span<const std::byte> send, int64_t from, std::span<std::byte> receive);
  template <class T>
  void reduce(std::span<T> values);

  std::vector<std::string> hosts_;
  int64_t bytes_sent_ = 0;
  std::atomic<bool> given_up_ = false;
};

// The one of a process that is alone.
Communicator& alone();

}  // namespace dura
