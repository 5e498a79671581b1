// What is drawn into pictures, and pictures put together: outlines, crosses, captions, rows and sheets.
#pragma once
#include <string>
#include <vector>

#include "data/image/color_map.h"
#include "data/image/image.h"

namespace dura {

// Colours the border of the mask's object (on_border). Image RGB, mask of the same size.
void draw_outline(Image& image, const Image& mask, Color color);

// A white cross with a black edge around the pixel: where a map is highest, also for eyes that cannot tell its colours apart.
void draw_cross(Image& image, const Pixel& at);

// Pictures beside each other, aligned at the top, `gap` pixels apart, on white; gray ones become RGB.
Image beside(const std::vector<Image>& images, int64_t gap = 4);
// The picture below a line of text on white; what is wider than the picture is cut off.
Image with_caption(const Image& image, const std::string& text);
// Below as many lines as the text needs, broken at spaces.
Image with_whole_caption(const Image& image, const std::string& text);
// Pictures in rows of `columns`, all given the size of the largest, on white.
Image sheet(const std::vector<Image>& images, int64_t columns, int64_t gap = 6);

}  // namespace dura
