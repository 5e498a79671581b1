// What a sweep over learning rates showed, as files.
#pragma once
#include <filesystem>
#include <string>

#include "apps/training/lr_finder.h"

namespace dura {

// lr_finder.csv (step,learning_rate,loss,smoothed_loss), lr_finder.json and lr_finder.html, a page that needs nothing else. `phase`: what
// was free to learn.
void write_lr_finder(const std::filesystem::path& folder, const std::string& phase, const LrSweep& sweep);
// One or two sentences.
std::string lr_finder_text(const LrSweep& sweep);

}  // namespace dura
