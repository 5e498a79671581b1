#include "data/set/manifest.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <unordered_map>

#include "data/set/csv.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace dura {

namespace {

constexpr uint64_t max_manifest_bytes = uint64_t{1} << 30;  // millions of rows; more is the wrong file

// The columns that dura knows, in the order that new ones are added in; mm_per_pixel is the only one that is no text.
struct KnownColumn {
  std::string_view name;
  std::string ManifestRow::*text;
};
constexpr KnownColumn known_columns[] = {{"file", &ManifestRow::file},   {"label", &ManifestRow::label},     {"split", &ManifestRow::split},
                                         {"group", &ManifestRow::group}, {"patient", &ManifestRow::patient}, {"mask", &ManifestRow::mask},
                                         {"mm_per_pixel", nullptr}};

const KnownColumn* find_known(const std::string& column) {
  const auto* found = std::find_if(std::begin(known_columns), std::end(known_columns), [&](const auto& k) { return k.name == column; });
  return found == std::end(known_columns) ? nullptr : found;
}

// dura's name for each column of the file.
std::vector<std::string> rename_columns(std::vector<std::string> header, const std::vector<std::string>& rename, const std::string& name) {
  const std::vector<std::string> original = header;
  for (const std::string& entry : rename) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos) fail_usage("column '", entry, "': write OURS=THEIRS, for example label=class");
    const std::string ours = entry.substr(0, equals), theirs = entry.substr(equals + 1);
    if (!find_known(ours))
      fail_usage("column '", entry, "': dura has no column '", ours,
                 "', it knows file, label, split, group, patient, mask and mm_per_pixel");
    const auto it = std::find(original.begin(), original.end(), theirs);
    DURA_CHECK(it != original.end(), name, ": there is no column '", theirs, "' to be used as ", ours);
    header[static_cast<size_t>(it - original.begin())] = ours;
  }
  for (size_t i = 0; i < header.size(); ++i)
    for (size_t k = 0; k < i; ++k) DURA_CHECK(header[i] != header[k], name, ": two columns are called '", header[i], "'");
  for (const char* required : {"file", "label"})
    DURA_CHECK(std::find(header.begin(), header.end(), required) != header.end(), name, ": there is no column '", required,
               "' (found: ", format_csv_row(original).substr(0, 200),
               "). Columns are separated by commas; another name is given with --column ", required, "=NAME.");
  return header;
}

// Says where a field stands; called for errors only, since a manifest may have millions of them.
using Where = std::function<std::string()>;

// Whether the path is in its shortest form as it is: no part of it is empty or begins with a dot.
bool is_plain(const std::string& path) {
  bool part_begins = true;
  for (const char c : path) {
    if (part_begins && (c == '/' || c == '.')) return false;
    part_begins = c == '/';
  }
  return !part_begins;
}

// The path in its shortest form, "a/b.png" for "./a//b.png". Lexical only: a link inside of the data folder is the user's own doing.
std::string checked_path(const std::string& path, const Where& where) {
  if (is_plain(path)) return path;
  const std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  DURA_CHECK(!normal.is_absolute(), where(), ": '", path, "' is an absolute path. Paths are relative to the data folder.");
  DURA_CHECK(normal.begin() == normal.end() || *normal.begin() != "..", where(), ": '", path, "' leads outside of the data folder");
  return normal.generic_string();
}

double parse_mm_per_pixel(const std::string& text, const Where& where) {
  if (text.empty()) return 0;
  const double value = parse_number(text).value_or(0);
  DURA_CHECK(value > 0, where(), ": mm_per_pixel is '", text, "', expected a positive number or nothing");
  return value;
}

// When the rows are complete, and stay where they are: millions of names need not be held a second time.
void require_no_doubles(const Manifest& manifest) {
  std::unordered_map<std::string_view, int64_t> line_of_file(manifest.rows.size());
  for (const ManifestRow& row : manifest.rows) {
    const auto [first, is_new] = line_of_file.emplace(row.file, row.line);
    DURA_CHECK(is_new, manifest.name, " line ", row.line, ": '", row.file, "' is listed twice, first in line ", first->second);
  }
}

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

const char* split_name(Split split) {
  constexpr std::array<const char*, 3> names = {"train", "val", "test"};
  return names[static_cast<size_t>(split)];
}

std::optional<Split> parse_split(const std::string& name) {
  for (Split split : all_splits)
    if (name == split_name(split)) return split;
  return std::nullopt;
}

std::vector<std::string> Manifest::extra_columns() const {
  std::vector<std::string> extra;
  std::copy_if(columns.begin(), columns.end(), std::back_inserter(extra), [](const std::string& c) { return !find_known(c); });
  return extra;
}

std::string Manifest::value(const ManifestRow& row, const std::string& column) const {
  if (const KnownColumn* known = find_known(column))
    return known->text ? row.*known->text : row.mm_per_pixel > 0 ? shortest(row.mm_per_pixel) : "";
  const std::vector<std::string> extra = extra_columns();
  const auto it = std::find(extra.begin(), extra.end(), column);
  if (it == extra.end()) fail_usage(name, " has no column '", column, "'");
  return row.extra.at(static_cast<size_t>(it - extra.begin()));
}

void Manifest::set_extra_column(const std::string& column, const std::vector<std::string>& values) {
  DURA_CHECK(!find_known(column) && values.size() == rows.size(), name, ": column '", column, "' cannot be set with ", values.size(),
             " values for ", rows.size(), " rows");
  const std::vector<std::string> extra = extra_columns();
  const auto at = static_cast<size_t>(std::find(extra.begin(), extra.end(), column) - extra.begin());
  if (at == extra.size()) columns.push_back(column);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].extra.resize(std::max(rows[i].extra.size(), at + 1));
    rows[i].extra[at] = values[i];
  }
}

Manifest read_manifest(const std::string& path, const std::vector<std::string>& rename) {
  return parse_manifest(read_text_file(path, max_manifest_bytes), path, rename);
}

Manifest parse_manifest(const std::string& text, const std::string& name, const std::vector<std::string>& rename) {
  CsvReader reader(text, name);
  Manifest manifest{.name = name, .columns = rename_columns(reader.header(), rename, name), .rows = {}};
  std::vector<const KnownColumn*> known_at;
  for (const std::string& column : manifest.columns) known_at.push_back(find_known(column));
  for (CsvRow fields; reader.next(fields);) {
    const auto where = [&] { return concat(name, " line ", fields.line); };
    ManifestRow row;
    row.line = fields.line;
    for (size_t i = 0; i < fields.fields.size(); ++i) {
      const KnownColumn* known = known_at[i];
      if (!known)
        row.extra.push_back(std::move(fields.fields[i]));
      else if (known->text)
        row.*known->text = std::move(fields.fields[i]);
      else
        row.mm_per_pixel = parse_mm_per_pixel(fields.fields[i], where);
    }
    DURA_CHECK(!row.file.empty(), where(), ": the field `file` is empty");
    DURA_CHECK(!row.label.empty(), where(), ": the field `label` is empty");
    row.file = checked_path(row.file, where);
    if (!row.mask.empty()) row.mask = checked_path(row.mask, where);
    manifest.rows.push_back(std::move(row));
  }
  DURA_CHECK(!manifest.rows.empty(), name, ": there are no rows, only the names of the columns");
  require_no_doubles(manifest);
  return manifest;
}

std::string format_manifest(const Manifest& manifest) {
  std::vector<std::string> columns = manifest.columns;
  for (const KnownColumn& known : known_columns) {
    const std::string column(known.name);
    const auto has_value = [&](const ManifestRow& row) { return !manifest.value(row, column).empty(); };
    if (std::find(columns.begin(), columns.end(), column) == columns.end() &&
        std::any_of(manifest.rows.begin(), manifest.rows.end(), has_value))
      columns.push_back(column);
  }
  std::string text = format_csv_row(columns);
  std::vector<std::string> fields;
  for (const ManifestRow& row : manifest.rows) {
    fields.clear();
    size_t extra = 0;
    for (const std::string& column : columns) fields.push_back(find_known(column) ? manifest.value(row, column) : row.extra.at(extra++));
    text += format_csv_row(fields);
  }
  return text;
}

void write_manifest(const std::string& path, const Manifest& manifest) { write_file_atomically(path, format_manifest(manifest)); }

SplitRows rows_by_split(const Manifest& manifest) {
  SplitRows splits;
  for (size_t i = 0; i < manifest.rows.size(); ++i) {
    const std::string& value = manifest.rows[i].split;
    if (const std::optional<Split> split = parse_split(value))
      splits.rows[static_cast<size_t>(*split)].push_back(static_cast<int64_t>(i));
    else
      ++splits.left_out[value];
  }
  return splits;
}

std::vector<int32_t> class_indices(const Manifest& manifest, const std::vector<int64_t>& rows, const ClassNames& classes,
                                   bool require_all) {
  std::vector<int32_t> indices;
  std::vector<int64_t> counts(static_cast<size_t>(classes.size()), 0);
  const ManifestRow* unknown = nullptr;
  int64_t unknown_rows = 0;
  for (int64_t i : rows) {
    const ManifestRow& row = manifest.rows[static_cast<size_t>(i)];
    if (const std::optional<int32_t> index = classes.find(row.label)) {
      indices.push_back(*index);
      ++counts[static_cast<size_t>(*index)];
    } else {
      if (!unknown) unknown = &row;
      ++unknown_rows;
    }
  }
  if (unknown)
    fail(manifest.name, unknown->line ? concat(" line ", unknown->line) : "", ": label '", unknown->label, "' is not among the classes ",
         classes.list(), " (", unknown_rows, " such rows). Name it as an alias (CLASS=", unknown->label,
         "), or leave the rows out by another value in `split`.");
  for (size_t c = 0; require_all && c < counts.size(); ++c)
    DURA_CHECK(counts[c] > 0, manifest.name, ": no row of class ", classes[static_cast<int64_t>(c)], " among ", rows.size(),
               " rows; every one of the classes ", classes.list(), " is needed. Is its label spelt differently, or its folder missing?");
  return indices;
}

std::vector<std::string> find_leaks(const Manifest& manifest, const SplitRows& splits) {
  std::vector<std::string> leaks;
  for (const auto& [what, field] : {std::pair{"patient", &ManifestRow::patient}, std::pair{"group", &ManifestRow::group}}) {
    std::map<std::string, std::array<int64_t, 3>> slices;
    for (Split split : all_splits)
      for (int64_t i : splits[split]) {
        const std::string& who = manifest.rows[static_cast<size_t>(i)].*field;
        if (!who.empty()) ++slices[who][static_cast<size_t>(split)];
      }
    for (const auto& [who, counts] : slices) {
      if (std::count(counts.begin(), counts.end(), 0) >= 2) continue;
      std::vector<std::string> places;
      for (Split split : all_splits)
        if (const int64_t n = counts[static_cast<size_t>(split)]) places.push_back(concat(split_name(split), " (", n, ")"));
      leaks.push_back(concat(what, " ", who, " is in ", joined(places, ", ")));
    }
  }
  return leaks;
}

void check_no_leak(const Manifest& manifest, const SplitRows& splits) {
  const std::vector<std::string> leaks = find_leaks(manifest, splits);
  DURA_CHECK(leaks.empty(), manifest.name, ": ", leaks.size(), " patients or groups are in two splits: ", first_few(leaks, "; ", 3),
             ". Scores would be too good. Let dura-prepare split anew, or allow it explicitly with --allow-leak.");
}

FolderScan scan_folder(const std::string& folder) {
  try {
    return scan(folder);
  } catch (const fs::filesystem_error& e) {
    fail(folder, ": the folder cannot be read: ", e.what());
  }
}

}  // namespace dura
