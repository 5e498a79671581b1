// Which pictures could be decoded when they were last read, and how large they are. Before its first epoch a run must know both of every
// picture: the list of samples, the order of an epoch and the numbers of each class follow from it. So that this costs a decoding of each
// picture once, and not at every start, it is remembered in a file. Invariant: what is remembered only saves time. A picture whose file has
// changed, or that could not be decoded, is looked at again.
#pragma once
#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/image/image.h"

namespace dura {

struct CheckedPicture {
  std::string file = {};                        // relative to the data folder
  uint64_t bytes = 0;                           // of the file
  int64_t modified = 0;                         // the file, in nanoseconds since 1970
  std::string sha256 = {};                      // of the file
  int64_t height = 0, width = 0, channels = 0;  // channels: 1 where it is gray, however it is stored
  std::string error = {};                       // not empty: it cannot be used, and height, width and channels say nothing

  bool operator==(const CheckedPicture&) const = default;
};

// A row for each, as CSV: file,bytes,modified,sha256,height,width,channels,error.
std::string format_checked(const std::vector<CheckedPicture>& pictures);
std::vector<CheckedPicture> parse_checked(const std::string& text, const std::string& name);  // Error naming the line that makes no sense

class CheckedPictures {
 public:
  CheckedPictures() = default;
  CheckedPictures(CheckedPictures&&) = default;
  CheckedPictures& operator=(CheckedPictures&&) = default;
  // What the file says; nothing where there is no such file, and with a warning where it is damaged.
  explicit CheckedPictures(const std::filesystem::path& file);

  const CheckedPicture* find(const std::string& file) const;  // null: not remembered
  // Remembers these, in place of what was known of the same files. False where all of it was known.
  bool add(const std::vector<CheckedPicture>& pictures);
  // Beside, synced, renamed. A place that cannot be written is told through the log: nothing depends on it.
  void write(const std::filesystem::path& file) const;

 private:
  bool remember(const CheckedPicture& picture);  // false where it was known

  // Each stays where it is, so that its name need not be held a second time.
  std::deque<CheckedPicture> pictures_;
  std::unordered_map<std::string_view, CheckedPicture*> index_;
};

// A picture as it is now. `known`: what is remembered of it, or null. Where the file has the size and time that are remembered, it is not
// read; where its contents have the remembered sum, it is not decoded: then `decoded` is empty. What is wrong with it is in
// `picture.error`.
struct PictureCheck {
  CheckedPicture picture;
  Image decoded;
};
PictureCheck check_picture(const std::filesystem::path& folder, const std::string& file, const CheckedPicture* known = nullptr);

}  // namespace dura
