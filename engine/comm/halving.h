// The order in which a sum over ranks is made: halves are exchanged, then quarters, ..., and put together again on the way back
// (R. Rabenseifner, "Optimization of collective reduction operations", 2004). So ranks build one binary tree, ((0+1)+(2+3))+..., in which
// each rank adds and sends 2(P-1)/P of the array for P ranks, wherever its elements lie.
#pragma once
#include <cstdint>
#include <vector>

namespace dura {

// In each round a rank and its partner hold the sums of two neighbouring blocks of ranks over the same piece of the array.
struct HalvingRound {
  int64_t partner = 0;
  bool lower = false;  // of the two, this rank has the smaller number: it keeps the first half, and its block stands on the left of the sum
  int64_t keep = 0, keep_count = 0;  // where the half begins that this rank adds up, and its elements
  int64_t give = 0, give_count = 0;  // the half that its partner adds up
};

// The rounds of one of `ranks`, a power of two, for an array of so many elements. On the way back they come in the other order: what was
// kept is sent, and what was given is received.
inline std::vector<HalvingRound> halving_rounds(int64_t rank, int64_t ranks, int64_t elements) {
  std::vector<HalvingRound> rounds;
  int64_t begin = 0, count = elements;
  for (int64_t distance = 1; distance < ranks; distance *= 2) {
    const int64_t first = (count + 1) / 2;
    HalvingRound r{.partner = rank ^ distance, .lower = (rank & distance) == 0};
    if (r.lower)
      r.keep = begin, r.keep_count = first, r.give = begin + first, r.give_count = count - first;
    else
      r.give = begin, r.give_count = first, r.keep = begin + first, r.keep_count = count - first;
    rounds.push_back(r);
    begin = r.keep, count = r.keep_count;
  }
  return rounds;
}

// What a rank sends in both ways together.
inline int64_t halving_bytes(const std::vector<HalvingRound>& rounds, int64_t element_size) {
  int64_t elements = 0;
  for (const HalvingRound& r : rounds) elements += r.give_count + r.keep_count;
  return elements * element_size;
}

}  // namespace dura
