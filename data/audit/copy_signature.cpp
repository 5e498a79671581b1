#include "data/audit/copy_signature.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>

#include "engine/base/check.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"
#include "engine/core/backend.h"

namespace dura {
namespace {

constexpr int64_t side = Fingerprint::fine_size, samples = 64;
constexpr int64_t made_up = 1024;  // copies
constexpr auto numbers = static_cast<size_t>(CopySignatures::size);
using Row = std::array<double, numbers>;

// Bilinear; 0 beyond the edges.
double value_at(const std::vector<float>& square, double y, double x) {
  const auto at = [&](int64_t r, int64_t c) -> double {
    return r < 0 || c < 0 || r >= side || c >= side ? 0 : square[static_cast<size_t>(r * side + c)];
  };
  const double top = std::floor(y), left = std::floor(x), dy = y - top, dx = x - left;
  const auto r = static_cast<int64_t>(top), c = static_cast<int64_t>(left);
  return (at(r, c) * (1 - dx) + at(r, c + 1) * dx) * (1 - dy) + (at(r + 1, c) * (1 - dx) + at(r + 1, c + 1) * dx) * dy;
}

struct Turn {
  std::array<std::array<double, samples>, CopySignatures::orders> cos, sin;
  Turn() {
    for (size_t m = 0; m < cos.size(); ++m)
      for (size_t s = 0; s < cos[m].size(); ++s) {
        const double angle = 2 * std::numbers::pi * static_cast<double>(m * s) / static_cast<double>(samples);
        cos[m][s] = std::cos(angle), sin[m][s] = std::sin(angle);
      }
  }
};

Row signature_of(const Fingerprint& fingerprint) {
  static const Turn turn;
  const std::vector<float> contrast = fingerprint.fine();
  double sum = 0, row = 0, column = 0;
  for (int64_t i = 0; i < side * side; ++i) {
    const double weight = std::abs(static_cast<double>(contrast[static_cast<size_t>(i)]));
    sum += weight, row += weight * static_cast<double>(i / side), column += weight * static_cast<double>(i % side);
  }
  const double centre_row = sum > 0 ? row / sum : 0, centre_column = sum > 0 ? column / sum : 0;
  Row result{};
  for (int64_t k = 0; k < CopySignatures::rings; ++k) {
    // From two pixels out to nearly the edge; a ring's weight is that of its length.
    const double radius = 2 + 19.5 * static_cast<double>(k) / static_cast<double>(CopySignatures::rings - 1);
    std::array<double, samples> along;
    for (size_t s = 0; s < along.size(); ++s)
      along[s] = std::sqrt(radius) * value_at(contrast, centre_row + radius * turn.sin[1][s], centre_column + radius * turn.cos[1][s]);
    for (size_t m = 0; m < turn.cos.size(); ++m) {
      double real = 0, imaginary = 0;
      for (size_t s = 0; s < along.size(); ++s) real += along[s] * turn.cos[m][s], imaginary += along[s] * turn.sin[m][s];
      result[static_cast<size_t>(k) * turn.cos.size() + m] = m == 0 ? real : std::hypot(real, imaginary);
    }
  }
  return result;
}

// As far from its original as the comparison of all pairs still finds one: rotated, shifted, brightened.
Fingerprint made_up_copy(const Fingerprint& original, uint64_t number) {
  Random random(random_key(0, "made-up copies"), number);
  const auto within = [&](double most) { return most * (2 * random.uniform() - 1); };
  Placement placement;
  placement.degrees = within(9), placement.rows = within(0.03), placement.columns = within(0.03);
  const double gain = 1 + within(0.3), offset = within(10), gamma = std::pow(1.25, within(1));
  const std::vector<float> pixels(original.fine_pixels.begin(), original.fine_pixels.end()), placed = moved(pixels, side, placement);
  Fingerprint copy;
  for (size_t i = 0; i < placed.size(); ++i)
    copy.fine_pixels[i] = static_cast<uint8_t>(
        std::clamp(std::lround(255 * std::pow(static_cast<double>(placed[i]) / 255, gamma) * gain + offset), 0L, 255L));
  return copy;
}

// The lower triangle L of W = L L^T (Cholesky), W what the made-up copies move by; row-major.
std::vector<double> triangle_of_moves(const std::vector<Fingerprint>& fingerprints, const std::vector<Row>& signatures) {
  std::vector<Row> moves(static_cast<size_t>(made_up));
  parallel_for(made_up, [&](int64_t k) {
    const size_t i = static_cast<size_t>(k) * fingerprints.size() / static_cast<size_t>(made_up);
    Row& move = moves[static_cast<size_t>(k)] = signature_of(made_up_copy(fingerprints[i], static_cast<uint64_t>(k)));
    for (size_t j = 0; j < move.size(); ++j) move[j] -= signatures[i][j];
  });
  std::vector<double> w(numbers * numbers), triangle(w.size());
  double trace = 0;
  for (const Row& move : moves)
    for (size_t a = 0; a < numbers; ++a)
      for (size_t b = 0; b <= a; ++b) w[a * numbers + b] += move[a] * move[b] / static_cast<double>(made_up);
  for (size_t a = 0; a < numbers; ++a) trace += w[a * numbers + a];
  // Pictures without contrast do not move; a little on the diagonal keeps the triangle from dividing by nothing.
  for (size_t a = 0; a < numbers; ++a) w[a * numbers + a] += 1e-4 * trace / static_cast<double>(numbers) + 1e-12;
  for (size_t a = 0; a < numbers; ++a)
    for (size_t b = 0; b <= a; ++b) {
      double rest = w[a * numbers + b];
      for (size_t k = 0; k < b; ++k) rest -= triangle[a * numbers + k] * triangle[b * numbers + k];
      triangle[a * numbers + b] = a == b ? std::sqrt(std::max(rest, 1e-12)) : rest / triangle[b * numbers + b];
    }
  return triangle;
}

}  // namespace

CopySignatures::CopySignatures(const std::vector<Fingerprint>& fingerprints) : rows_(fingerprints.size()), squares_(fingerprints.size()) {
  std::vector<Row> signatures(fingerprints.size());
  const auto count = static_cast<int64_t>(fingerprints.size());
  parallel_for(count, [&](int64_t i) { signatures[static_cast<size_t>(i)] = signature_of(fingerprints[static_cast<size_t>(i)]); });
  if (count == 0) return;
  const std::vector<double> triangle = triangle_of_moves(fingerprints, signatures);
  parallel_for(count, [&](int64_t i) {
    const Row& from = signatures[static_cast<size_t>(i)];
    Row to;  // L^-1 times it
    for (size_t a = 0; a < numbers; ++a) {
      double rest = from[a];
      for (size_t k = 0; k < a; ++k) rest -= triangle[a * numbers + k] * to[k];
      to[a] = rest / triangle[a * numbers + a];
    }
    rows_[static_cast<size_t>(i)].assign(to.begin(), to.end());
    for (const double v : to) squares_[static_cast<size_t>(i)] += static_cast<float>(v * v);
  });
}

double CopySignatures::distance(int64_t i, int64_t j) const {
  double squares = 0;
  for (size_t k = 0; k < numbers; ++k) {
    const double d = static_cast<double>(rows_[static_cast<size_t>(i)][k]) - rows_[static_cast<size_t>(j)][k];
    squares += d * d;
  }
  return std::sqrt(squares);
}

void CopySignatures::for_close(const SharedWork& shared,
                               const std::function<void(int64_t i, const std::vector<int64_t>& close)>& use) const {
  std::map<int64_t, std::vector<int64_t>> close;  // of the rows of a block
  const auto pass_on = [&] {
    for (const auto& [i, all] : close) use(i, all);
    close.clear();
  };
  int64_t first_of_block = -1;
  for_alike_rows(rows_, rows_, shared, [&](int64_t i, int64_t first_j, std::span<const float> products) {
    if (i / alike_block != first_of_block) pass_on(), first_of_block = i / alike_block;
    const float most = squares_[static_cast<size_t>(i)] - static_cast<float>(limit * limit);
    for (size_t k = 0; k < products.size(); ++k)
      if (2 * products[k] >= most + squares_[static_cast<size_t>(first_j) + k]) close[i].push_back(first_j + static_cast<int64_t>(k));
  });
  pass_on();
}

}  // namespace dura
