#include "engine/comm/communicator.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/base/check.h"
#include "engine/comm/halving.h"

namespace dura {
namespace {

template <class T>
std::span<std::byte> bytes_of(std::span<T> values) {
  return std::as_writable_bytes(values);
}
std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

}  // namespace

std::string Communicator::name_of(int64_t rank) const {
  const std::string name = "rank " + std::to_string(rank);
  return hosts_.empty() ? name : name + " on " + hosts_.at(static_cast<size_t>(rank));
}

void Communicator::introduce(const std::string& host) { hosts_ = gather(host); }

int64_t Communicator::ranks_on_own_host() const {
  return hosts_.empty() ? 1 : std::count(hosts_.begin(), hosts_.end(), hosts_[static_cast<size_t>(rank())]);
}

void Communicator::move(int64_t, std::span<const std::byte>, int64_t, std::span<std::byte>) {
  fail("a process that is alone was to send something");
}

std::unique_ptr<Arrival> Communicator::expect(int64_t, std::span<std::byte>) { fail("a process that is alone was to receive something"); }

void Communicator::transfer(int64_t to, std::span<const std::byte> send, int64_t from, std::span<std::byte> receive) {
  if (send.empty() && receive.empty()) return;
  bytes_sent_ += std::ssize(send);
  move(to, send, from, receive);
}

template <class T>
void Communicator::reduce(std::span<T> values) {
  const int64_t ranks = size();
  DURA_CHECK(std::has_single_bit(static_cast<uint64_t>(ranks)), "sums over ", ranks, " processes: a power of two is expected");
  const std::vector<HalvingRound> rounds = halving_rounds(rank(), ranks, std::ssize(values));
  const auto piece = [&](int64_t begin, int64_t count) { return values.subspan(static_cast<size_t>(begin), static_cast<size_t>(count)); };
  std::vector<T> of_partner((values.size() + 1) / 2);
  for (const HalvingRound& r : rounds) {
    const std::span<T> keep = piece(r.keep, r.keep_count), add = std::span(of_partner).first(keep.size());
    exchange(r.partner, bytes_of(piece(r.give, r.give_count)), bytes_of(add));
    for (size_t i = 0; i < keep.size(); ++i) keep[i] = r.lower ? keep[i] + add[i] : add[i] + keep[i];
  }
  for (auto r = rounds.rbegin(); r != rounds.rend(); ++r)
    exchange(r->partner, bytes_of(piece(r->keep, r->keep_count)), bytes_of(piece(r->give, r->give_count)));
}

void Communicator::all_reduce(std::span<float> values) { reduce(values); }
void Communicator::all_reduce(std::span<double> values) { reduce(values); }

int64_t Communicator::all_reduce_bytes(int64_t elements, int64_t element_size) const {
  return halving_bytes(halving_rounds(rank(), size(), elements), element_size);
}

double Communicator::largest(double value) {
  for (int64_t distance = 1; distance < size(); distance *= 2) {
    // By rounds of "everybody to the next but distance": works for any number of ranks.
    const double own = value;
    double other = 0;
    transfer((rank() + distance) % size(), std::as_bytes(std::span(&own, 1)), (rank() + size() - distance) % size(),
             bytes_of(std::span(&other, 1)));
    value = std::max(value, other);
  }
  return value;
}

// Rank 0's bytes reach ranks 1, then 2 and 3, then 4 to 7, ...: each that has them sends them on.
void Communicator::broadcast(std::span<std::byte> bytes) {
  for (int64_t distance = 1; distance < size(); distance *= 2) {
    if (rank() < distance && rank() + distance < size()) transfer(rank() + distance, bytes, 0, {});
    if (rank() >= distance && rank() < 2 * distance) transfer(0, {}, rank() - distance, bytes);
  }
}

std::string Communicator::broadcast(const std::string& text) {
  uint64_t length = text.size();
  broadcast(bytes_of(std::span(&length, 1)));
  std::string all = is_first() ? text : std::string(length, '\0');
  broadcast(bytes_of(std::span(all)));
  return all;
}

// Around a ring: what a rank got from its neighbour before, it hands on to the other.
std::vector<std::vector<std::byte>> Communicator::gather(std::span<const std::byte> own) {
  std::vector<std::vector<std::byte>> all(static_cast<size_t>(size()));
  all[static_cast<size_t>(rank())].assign(own.begin(), own.end());
  const int64_t next = (rank() + 1) % size(), before = (rank() + size() - 1) % size();
  for (int64_t step = 0; step + 1 < size(); ++step) {
    const auto give = static_cast<size_t>((rank() + size() - step) % size()),
               take = static_cast<size_t>((rank() + 2 * size() - step - 1) % size());
    const uint64_t length = all[give].size();
    uint64_t coming = 0;
    transfer(next, std::as_bytes(std::span(&length, 1)), before, bytes_of(std::span(&coming, 1)));
    all[take].resize(coming);
    transfer(next, all[give], before, all[take]);
  }
  return all;
}

std::vector<std::string> Communicator::gather(const std::string& own) {
  std::vector<std::string> all;
  for (const std::vector<std::byte>& bytes : gather(bytes_of(own)))
    all.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return all;
}

SharedWork Communicator::work() {
  return {.part = rank(), .parts = size(), .gather = [this](const std::string& own) { return gather(own); }};
}

Communicator& alone() {
  static Communicator none;
  return none;
}

}  // namespace dura
