// The pretext task: pictures of bright objects on a textured ground, to be told apart by the objects' border, filling and number. A
// backbone learns on it to see edges, rings and texture at the scale of lesions before it sees the first phantom head. No anatomy, no
// tumours, other seeds: what is learnt here is a different task. Invariant: everything is a pure function of (seed, index); classes are
// equally frequent up to one.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/image/image.h"
#include "data/set/manifest.h"

namespace dura {

struct PretextOptions {
  uint64_t seed = 0;
  int64_t images = 2400;
  int64_t size = 96;             // pixels along each side, 64..512
  double mm_per_pixel = 1.5625;  // objects are 18 to 50 mm wide, as lesions are
  double val_share = 0.1;
};

// Kind times number: disc (smooth, even), ring (smooth, hollow), ragged ring, patch (ragged, patchy); one or two of a kind.
const std::vector<std::string>& pretext_classes();

struct PretextPicture {
  Image image;
  int32_t label = 0;  // index into pretext_classes()
};

// Throws UsageError for values outside of what is stated above.
void check_options(const PretextOptions& options);

// index in [0, options.images). May be called from several threads.
PretextPicture make_pretext(const PretextOptions& options, int64_t index);

// Makes `directory` with images/ and manifest.csv (file, label, split, mm_per_pixel). Returns the manifest.
Manifest write_pretext(const PretextOptions& options, const std::string& directory);

}  // namespace dura
