// Contrast-limited adaptive histogram equalisation: a grey level map per tile of the picture, its slope limited, blended between tiles.
// K. Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV (1994); in every detail as OpenCV's createCLAHE does
// it for 8 bits, so that figures can be compared.
#pragma once
#include "data/image/image.h"

namespace dura {

struct ClaheOptions {
  double clip_limit = 2.0;           // times the mean count of a histogram bin; 0: no limit
  int64_t tiles_y = 8, tiles_x = 8;  // tiles down and across, 1 to 256
};

// Each channel by itself. UsageError for options outside of what is stated above.
Image clahe(const Image& image, const ClaheOptions& options = {});
void check_options(const ClaheOptions& options);

}  // namespace dura
