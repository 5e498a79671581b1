#include "data/set/checked_pictures.h"

#include <sys/stat.h>

#include "data/image/codec.h"
#include "data/set/csv.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"

namespace dura {
namespace {

constexpr uint64_t max_bytes = uint64_t{4} << 30;  // some 20 million pictures

const std::vector<std::string>& columns() {
  static const std::vector<std::string> names = {"file", "bytes", "modified", "sha256", "height", "width", "channels", "error"};
  return names;
}

CheckedPicture picture_of(CsvRow& row, const std::string& name) {
  std::vector<std::string>& f = row.fields;
  const auto number = [&](size_t column) {
    const std::optional<int64_t> value = parse_number<int64_t>(f[column]);
    DURA_CHECK(value, name, " line ", row.line, ": ", columns()[column], " is '", f[column], "', expected a whole number");
    return *value;
  };
  CheckedPicture p{
      .bytes = static_cast<uint64_t>(number(1)), .modified = number(2), .height = number(4), .width = number(5), .channels = number(6)};
  const bool possible = !f[7].empty() || (p.height > 0 && p.width > 0 && (p.channels == 1 || p.channels == 3));
  DURA_CHECK(possible, name, " line ", row.line, ": a good picture of ", p.height, "x", p.width, "x", p.channels, " is impossible");
  p.file = std::move(f[0]), p.sha256 = std::move(f[3]), p.error = std::move(f[7]);
  return p;
}

template <class Pictures>
std::string formatted(const Pictures& pictures) {
  std::string text = format_csv_row(columns());
  for (const CheckedPicture& p : pictures)
    text += format_csv_row({p.file, std::to_string(p.bytes), std::to_string(p.modified), p.sha256, std::to_string(p.height),
                            std::to_string(p.width), std::to_string(p.channels), p.error});
  return text;
}

// One after the other, so that a table of millions is not held twice.
template <class Take>
void read_rows(const std::string& text, const std::string& name, const Take& take) {
  CsvReader reader(text, name);
  DURA_CHECK(reader.header() == columns(), name, ": the columns are ", joined(reader.header(), ","), ", expected ", joined(columns(), ","));
  for (CsvRow row; reader.next(row);) take(picture_of(row, name));
}

}  // namespace

std::string format_checked(const std::vector<CheckedPicture>& pictures) { return formatted(pictures); }

std::vector<CheckedPicture> parse_checked(const std::string& text, const std::string& name) {
  std::vector<CheckedPicture> pictures;
  read_rows(text, name, [&](CheckedPicture&& p) { pictures.push_back(std::move(p)); });
  return pictures;
}

CheckedPictures::CheckedPictures(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return;
  try {
    read_rows(read_text_file(file, max_bytes), file.string(), [&](CheckedPicture&& p) { remember(p); });
  } catch (const Error& e) {
    *this = {};
    log_warning("what is remembered of pictures cannot be used, all are checked again: ", e.what());
  }
}

const CheckedPicture* CheckedPictures::find(const std::string& file) const {
  const auto found = index_.find(file);
  return found == index_.end() ? nullptr : found->second;
}

bool CheckedPictures::remember(const CheckedPicture& picture) {
  const auto known = index_.find(picture.file);
  if (known == index_.end()) {
    CheckedPicture& kept = pictures_.emplace_back(picture);
    index_.emplace(kept.file, &kept);
    return true;
  }
  CheckedPicture& kept = *known->second;
  if (kept == picture) return false;
  index_.erase(known);  // it looks at the letters of the name, which may move
  kept = picture;
  index_.emplace(kept.file, &kept);
  return true;
}

bool CheckedPictures::add(const std::vector<CheckedPicture>& pictures) {
  bool changed = false;
  for (const CheckedPicture& p : pictures) changed = remember(p) || changed;
  return changed;
}

void CheckedPictures::write(const std::filesystem::path& file) const {
  try {
    write_file_atomically(file, formatted(pictures_));
  } catch (const Error& e) {
    log_info("which pictures are good cannot be remembered, so the next program checks them again (--checked names another place): ",
             e.what());
  }
}

PictureCheck check_picture(const std::filesystem::path& folder, const std::string& file, const CheckedPicture* known) {
  const std::string path = (folder / file).string();
  PictureCheck check{.picture = {.file = file}, .decoded = {}};
  CheckedPicture& p = check.picture;
  if (known && !known->error.empty()) known = nullptr;
  try {
    struct stat status = {};
    if (stat(path.c_str(), &status) == 0) {
      p.bytes = static_cast<uint64_t>(status.st_size);
      p.modified = int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
    }
    const auto take_over = [&] {
      p.sha256 = known->sha256, p.height = known->height, p.width = known->width, p.channels = known->channels;
    };
    if (known && known->bytes == p.bytes && known->modified == p.modified) {
      take_over();
      return check;
    }
    const std::vector<uint8_t> bytes = read_file(path, DecodeOptions{}.max_file_bytes);
    p.sha256 = sha256_hex(bytes);
    if (known && known->sha256 == p.sha256) {
      take_over();
      return check;
    }
    check.decoded = decode_image(bytes, path);
    p.height = check.decoded.height, p.width = check.decoded.width;
    p.channels = one_channel_if_gray(check.decoded).channels;
  } catch (const Error& e) {
    p.error = e.what();
  }
  return check;
}

}  // namespace dura
