#include "data/set/folder_scan.h"

#include <algorithm>
#include <filesystem>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura {
namespace {

namespace fs = std::filesystem;

bool is_picture(const fs::path& path) {
  const std::string extension = lower_case(path.extension().string());
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

std::string split_of_folder(const std::string& name) {
  const std::string key = lower_case(name);
  if (key == "train" || key == "training") return "train";
  if (key == "val" || key == "valid" || key == "validation") return "val";
  if (key == "test" || key == "testing") return "test";
  return "";
}

// The mask of images/CLASS/NAME.jpg: masks/CLASS/NAME.png, or .jpg; empty where there is none.
std::string mask_of(const fs::path& root, const fs::path& slice) {
  fs::path mask = "masks" / slice.lexically_relative("images");
  for (const fs::path& candidate : {fs::path(mask).replace_extension(".png"), mask})
    if (fs::is_regular_file(root / candidate)) return candidate.generic_string();
  return "";
}

FolderScan scan(const std::string& folder) {
  const fs::path root(folder);
  DURA_CHECK(fs::exists(root), folder, ": there is no such folder");
  DURA_CHECK(fs::is_directory(root), folder, ": this is a file, a folder was expected");
  const bool has_images = fs::is_directory(root / "images");
  FolderScan found;
  const fs::path start = has_images ? root / "images" : root;
  for (auto it = fs::recursive_directory_iterator(start); it != fs::recursive_directory_iterator(); ++it) {
    if (it->path().filename().string().front() == '.') {
      if (it->is_directory()) it.disable_recursion_pending();
      continue;
    }
    if (it->is_directory()) continue;
    const fs::path inside = it->path().lexically_relative(start);
    std::vector<std::string> folders;
    for (const fs::path& part : inside.parent_path()) folders.push_back(part.string());
    ManifestRow row;
    if (!folders.empty()) row.split = split_of_folder(folders.front());
    if (!row.split.empty()) folders.erase(folders.begin());
    // A picture beside the class folders has no class: a logo, a screenshot.
    if (!is_picture(it->path()) || folders.empty()) {
      ++found.other_files;
      continue;
    }
    row.label = folders.front();
    row.file = it->path().lexically_relative(root).generic_string();
    if (has_images) row.mask = mask_of(root, row.file);
    found.manifest.rows.push_back(std::move(row));
  }
  DURA_CHECK(!found.manifest.rows.empty(), folder, ": no PNG or JPEG files in a folder per class were found (", found.other_files,
             " other files). Expected for example ", folder, "/meningioma/1.png and ", folder, "/glioma/1.png.");
  std::sort(found.manifest.rows.begin(), found.manifest.rows.end(),
            [](const ManifestRow& a, const ManifestRow& b) { return a.file < b.file; });
  found.manifest.name = folder;
  found.manifest.columns = {"file", "label"};  // format_manifest adds split and mask where they have values
  return found;
}

}  // namespace

FolderScan scan_folder(const std::string& folder) {
  try {
    return scan(folder);
  } catch (const fs::filesystem_error& e) {
    fail(folder, ": the folder cannot be read: ", e.what());
  }
}

}  // namespace dura
