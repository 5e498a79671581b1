// What tests of the programs share: a run that must succeed, and the tables that programs write.
#pragma once
#include "tests/support/catch.h"

#include <string>
#include <vector>

#include "data/set/csv.h"
#include "engine/base/file.h"
#include "tests/support/run_program.h"

namespace dura::test {

inline ProgramRun must_run(const std::string& name, const std::vector<std::string>& arguments) {
  const ProgramRun run = run_program(name, arguments);
  INFO(name << ": " << run.output);
  REQUIRE(run.code == 0);
  return run;
}

inline CsvTable table_of(const std::string& file) { return parse_csv(read_text_file(file, 1 << 22), file); }

inline std::string cell(const CsvTable& table, size_t row, const std::string& column) {
  for (size_t c = 0; c < table.header.size(); ++c)
    if (table.header[c] == column) return table.rows.at(row).fields[c];
  fail("no column ", column);
}

}  // namespace dura::test
