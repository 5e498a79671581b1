// The folder of one run: configuration, provenance, history, checkpoints, model, report. Made and tried before any work is done.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace dura {

class RunDirectory {
 public:
  // Makes the folder and proves that it can be written to. A folder that holds a run already is refused unless resuming (UsageError);
  // resuming what is not there begins a new run.
  RunDirectory(const std::filesystem::path& path, bool resume);
  void write(const std::string& name, const std::string& text) const;
  // run.json: the given facts, dura's version, the host's name of its processor, the number of threads.
  // `allowed_leaks`: what --allow-leak let pass, sentences.
  void write_provenance(const std::map<std::string, std::string>& facts, const std::vector<std::string>& allowed_leaks = {}) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The leaks that the run in this folder was trained with, as its run.json says; none where it has no such file. Throws Error where the file
// is no JSON.
std::vector<std::string> allowed_leaks_of_run(const std::filesystem::path& run);

}  // namespace dura
