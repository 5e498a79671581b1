// A manifest from folders: one folder per class, at any depth inside of which lie PNG and JPEG files.
#pragma once
#include <cstdint>
#include <string>

#include "data/set/manifest.h"

namespace dura {

struct FolderScan {
  Manifest manifest;        // rows in the order of their paths, bytewise
  int64_t other_files = 0;  // files that are no PNG or JPEG by their name
};

// Understood layouts, where CLASS is the label as the folder spells it:
//   DIR/CLASS/...            DIR/SPLIT/CLASS/...  (train or Training, val, valid or Validation, test or Testing)
//   DIR/images/CLASS/... with DIR/masks/CLASS/... : a mask has the path of its slice, with the extension png (or that of the slice)
// Hidden files and folders are passed over and links to folders are not followed. Throws where DIR is missing, is no folder, or holds no
// picture.
FolderScan scan_folder(const std::string& folder);

}  // namespace dura
