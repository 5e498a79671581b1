// Programs that mpirun starts, and what their files must be.
#pragma once
#include "tests/support/catch.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/set/csv.h"
#include "engine/base/file.h"
#include "tests/support/run_program.h"
#include "tests/support/texture_data.h"

namespace dura::test {

// A machine that has fewer processors than there are processes will do, and so will root.
inline std::vector<std::string> mpirun_arguments(int64_t processes, const std::string& program, const std::vector<std::string>& arguments) {
  return joined({"--allow-run-as-root", "--oversubscribe", "-np", std::to_string(processes), build_folder() + "/apps/" + program},
                arguments);
}

// Alone without mpirun.
inline ProgramRun run_in_processes(int64_t processes, const std::string& program, const std::vector<std::string>& arguments) {
  return processes == 1 ? run_program(program, arguments) : run_found_program("mpirun", mpirun_arguments(processes, program, arguments));
}

inline std::string contents(const std::string& file) { return read_text_file(file, uint64_t{1} << 30); }

// A table without columns that differ from run to run.
inline std::vector<std::string> lasting_cells(const std::string& file) {
  const CsvTable table = parse_csv(contents(file), file);
  std::vector<std::string> kept;
  for (size_t c = 0; c < table.header.size(); ++c)
    if (table.header[c] != "seconds" && table.header[c] != "images_per_second" && table.header[c] != "peak_memory_mib")
      for (const CsvRow& row : table.rows) kept.push_back(table.header[c] + " " + row.fields[c]);
  return kept;
}

inline void check_same_files(const std::string& found, const std::string& expected, const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    CAPTURE(found, file);
    CHECK((contents(found + "/" + file) == contents(expected + "/" + file)));
  }
}

// All of a folder and those in it, by name.
inline std::map<std::string, std::string> files_of(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files[std::filesystem::relative(entry.path(), folder).string()] = contents(entry.path().string());
  return files;
}

inline void check_same_folder(const std::string& found, const std::string& expected) {
  const std::map<std::string, std::string> a = files_of(found), b = files_of(expected);
  CHECK(a.size() == b.size());
  for (const auto& [name, text] : b) {
    CAPTURE(name);
    REQUIRE(a.count(name) == 1);
    CHECK((a.at(name) == text));
  }
}

inline void check_said_once(const std::string& output, const std::string& line) {
  CAPTURE(output, line);
  CHECK(output.find(line) != std::string::npos);
  CHECK(output.find(line) == output.rfind(line));
}

}  // namespace dura::test
