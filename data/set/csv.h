// Comma-separated values as in RFC 4180: fields may be quoted, quoted fields may hold commas, line breaks and doubled quotes.
// A byte order mark and CR LF line ends are accepted, empty lines are passed over; LF and UTF-8 without a mark are written.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dura {

struct CsvRow {
  std::vector<std::string> fields;  // as many as the header has
  int64_t line = 0;                 // where it begins in the file, from 1
};

// Reads a table row by row, for those that are too large to be held twice. Errors name the file and the line: no header, a quote that never
// closes, text after a closing quote, a row with more or fewer fields than the header, bytes that are no text.
class CsvReader {
 public:
  // Both must outlive the reader; `name` is the file's, for errors.
  CsvReader(std::string_view text, const std::string& name);

  const std::vector<std::string>& header() const { return header_; }
  bool next(CsvRow& row);  // false at the end of the text

 private:
  bool read(CsvRow& row);
  bool at_end_of_line() const;
  void skip_line_end();
  std::string plain_field();
  std::string quoted_field();

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  int64_t line_ = 1;
  std::vector<std::string> header_;
};

struct CsvTable {
  std::string name;  // the file's, for messages
  std::vector<std::string> header;
  std::vector<CsvRow> rows;

  std::optional<size_t> find(std::string_view column) const;
  size_t column(std::string_view column, std::string_view advice) const;  // Error with the advice where there is none
};

// The whole of it, with the reader's errors.
CsvTable parse_csv(std::string_view text, const std::string& name);
CsvTable read_csv(const std::filesystem::path& file);  // at most 256 MiB

// One line with its line break; quotes only where a field needs them.
std::string format_csv_row(const std::vector<std::string>& fields);

}  // namespace dura
