// A run goes on with the settings that it began with, or it is another experiment.
#pragma once
#include <filesystem>
#include <string>

#include "apps/program/program.h"

namespace dura {

// Compares two configurations (TOML, as Program::resolved_configuration writes them): UsageError that names every setting that differs and
// what it was. Left alone are those that change no number of an epoch (threads, trace, cache, patience, number of epochs unless the
// learning rate follows a cosine over them) and those that one of the two does not know. `saved_name` is the file of the saved one, for the
// message.
void require_same_settings(const std::string& saved, const std::string& current, const std::string& saved_name);
// The same for the run in this folder, where it has a configuration, and for this program.
void require_same_settings(const std::filesystem::path& run, const Program& program);

}  // namespace dura
