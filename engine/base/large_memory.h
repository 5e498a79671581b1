// Memory for large things. From 4 MiB on it begins at a multiple of 2 MiB, and the system is asked for pages of that size: filling memory
// for the first time costs a page fault for each page, and with pages of 4 KiB these take longer than reading a model from the page cache.
// Where the system has no such pages, nothing is lost.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>

#include "engine/base/numbers.h"

namespace dura {

// At least `bytes` bytes at a multiple of `alignment`, a power of two up to 2 MiB; null where there is no memory. std::free gives it back.
inline void* allocate_large(size_t bytes, size_t alignment) {
  constexpr size_t page = size_t{2} << 20;
  if (bytes < 2 * page) return std::aligned_alloc(alignment, round_up(bytes, alignment));
  bytes = round_up(bytes, page);
  void* memory = std::aligned_alloc(page, bytes);
  if (memory) ::madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

}  // namespace dura
