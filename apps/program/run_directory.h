// The folder of one run, and the settings that a run goes on with.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "apps/program/folder_lock.h"
#include "apps/program/program.h"

namespace dura {

// The folder of one run: configuration, provenance, history, checkpoints, model, report. Made and tried before any work is done, and of one
// process: while it lives the folder is locked, and the system takes the lock back when the process ends, however it ends.
class RunDirectory {
 public:
  // Makes the folder and proves that it can be written to. A folder that holds a run already is refused unless resuming (UsageError);
  // resuming what is not there begins a new run. A folder that another process uses is refused in any case, with its number (UsageError).
  RunDirectory(const std::filesystem::path& path, bool resume);
  void write(const std::string& name, const std::string& text) const;
  // run.json: the given facts, dura's version, the host's name of its processor, the number of threads.
  // `allowed_leaks`: what --allow-leak let pass, sentences.
  void write_provenance(const std::map<std::string, std::string>& facts, const std::vector<std::string>& allowed_leaks = {}) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  FolderLock lock_;
};

// The leaks that the run in this folder was trained with, as its run.json says; none where it has no such file. Throws Error where the file
// is no JSON.
std::vector<std::string> allowed_leaks_of_run(const std::filesystem::path& run);

// A run goes on with the settings that it began with, or it is another experiment.
// Compares two configurations (TOML, as Program::resolved_configuration writes them): UsageError that names every setting that differs and
// what it was. Left alone are those that change no number of an epoch (threads, trace, cache, patience, number of epochs unless the
// learning rate follows a cosine over them) and those that one of the two does not know. `saved_name` is the file of the saved one, for the
// message.
void require_same_settings(const std::string& saved, const std::string& current, const std::string& saved_name);
// The same for the run in this folder, where it has a configuration, and for this program.
void require_same_settings(const std::filesystem::path& run, const Program& program);

}  // namespace dura
