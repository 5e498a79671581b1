#include "data/set/csv.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/file.h"

namespace dura {

CsvReader::CsvReader(std::string_view text, const std::string& name) : text_(text), name_(name) {
  DURA_CHECK(text.find('\0') == std::string_view::npos, name,
             ": this is no text file (it holds zero bytes). A manifest is a CSV file in UTF-8.");
  if (text_.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;
  CsvRow row;
  DURA_CHECK(read(row), name, ": the file is empty, a line with the names of the columns was expected");
  header_ = std::move(row.fields);
}

bool CsvReader::next(CsvRow& row) {
  if (!read(row)) return false;
  DURA_CHECK(row.fields.size() == header_.size(), name_, " line ", row.line, ": ", row.fields.size(), " fields, the header has ",
             header_.size());
  return true;
}

bool CsvReader::read(CsvRow& row) {
  while (at_end_of_line() && at_ < text_.size()) skip_line_end();
  if (at_ >= text_.size()) return false;
  row.line = line_;
  row.fields.clear();
  for (;;) {
    row.fields.push_back(text_[at_] == '"' ? quoted_field() : plain_field());
    if (at_end_of_line()) break;
    ++at_;  // the comma
    if (at_ >= text_.size() || at_end_of_line()) {
      row.fields.emplace_back();
      break;
    }
  }
  skip_line_end();
  return true;
}

bool CsvReader::at_end_of_line() const {
  return at_ >= text_.size() || text_[at_] == '\n' || (text_[at_] == '\r' && (at_ + 1 >= text_.size() || text_[at_ + 1] == '\n'));
}

void CsvReader::skip_line_end() {
  if (at_ < text_.size() && text_[at_] == '\r') ++at_;
  if (at_ < text_.size() && text_[at_] == '\n') ++at_;
  ++line_;
}

std::string CsvReader::plain_field() {
  const size_t begin = at_;
  while (!at_end_of_line() && text_[at_] != ',') ++at_;
  return std::string(text_.substr(begin, at_ - begin));
}

std::string CsvReader::quoted_field() {
  const int64_t begin = line_;
  std::string field;
  for (++at_;; ++at_) {
    DURA_CHECK(at_ < text_.size(), name_, " line ", begin, ": a quoted field is never closed. A quote inside of one is written twice.");
    if (text_[at_] == '"') {
      if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') break;
      ++at_;
    }
    if (text_[at_] == '\n') ++line_;
    field += text_[at_];
  }
  ++at_;
  DURA_CHECK(at_end_of_line() || text_[at_] == ',', name_, " line ", line_, ": there is text after the closing quote of a field");
  return field;
}

CsvTable parse_csv(std::string_view text, const std::string& name) {
  CsvReader reader(text, name);
  CsvTable table{.name = name, .header = reader.header(), .rows = {}};
  for (CsvRow row; reader.next(row);) table.rows.push_back(row);
  return table;
}

CsvTable read_csv(const std::filesystem::path& file) { return parse_csv(read_text_file(file, uint64_t{256} << 20), file.string()); }

std::optional<size_t> CsvTable::find(std::string_view column) const {
  const auto it = std::find(header.begin(), header.end(), column);
  return it == header.end() ? std::nullopt : std::optional(static_cast<size_t>(it - header.begin()));
}

size_t CsvTable::column(std::string_view column, std::string_view advice) const {
  const std::optional<size_t> found = find(column);
  DURA_CHECK(found, name, " has no column '", column, "'. ", advice);
  return *found;
}

std::string format_csv_row(const std::vector<std::string>& fields) {
  std::string line;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i) line += ',';
    // A row that is one empty field would be an empty line, and a mark in front of a file's first field that of the file: readers pass over
    // both.
    const bool quoted = fields[i].find_first_of(",\"\r\n") != std::string::npos || (fields.size() == 1 && fields[i].empty()) ||
                        fields[i].starts_with("\xEF\xBB\xBF");
    if (!quoted) {
      line += fields[i];
      continue;
    }
    line += '"';
    for (char c : fields[i]) line += c == '"' ? "\"\"" : std::string(1, c);
    line += '"';
  }
  return line + '\n';
}

}  // namespace dura
