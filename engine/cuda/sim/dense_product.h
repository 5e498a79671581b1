// The interpreter's arithmetic: matrix products of doubles, in a fixed order of additions.
#pragma once
#include <algorithm>
#include <cstdint>

namespace dura::cuda::sim {

// A matrix whose element (i,j) is at data[i*row + j*column].
struct MatrixView {
  const double* data;
  int64_t row, column;
};

// c (m,n) += a (m,k) b (k,n); b and c are dense.
inline void add_product(int64_t m, int64_t n, int64_t k, MatrixView a, const double* b, double* c) {
  constexpr int64_t rows = 4, columns = 4;  // of sums that stay in registers
  for (int64_t j = 0; j < n; j += columns)
    for (int64_t i = 0; i < m; i += rows) {
      const int64_t height = std::min(rows, m - i), width = std::min(columns, n - j);
      if (height == rows && width == columns) {
        double sum[rows][columns] = {};
        for (int64_t p = 0; p < k; ++p) {
          const double* right = b + p * n + j;
          const double* left = a.data + i * a.row + p * a.column;
          for (int64_t y = 0; y < rows; ++y)
            for (int64_t x = 0; x < columns; ++x) sum[y][x] += left[y * a.row] * right[x];
        }
        for (int64_t y = 0; y < rows; ++y)
          for (int64_t x = 0; x < columns; ++x) c[(i + y) * n + j + x] += sum[y][x];
        continue;
      }
      for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x) {
          double sum = 0;
          for (int64_t p = 0; p < k; ++p) sum += a.data[(i + y) * a.row + p * a.column] * b[p * n + j + x];
          c[(i + y) * n + j + x] += sum;
        }
    }
}

}  // namespace dura::cuda::sim
