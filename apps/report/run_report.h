// The page about one run: everything that its programs left in its folder, from the data to where the network looked.
#pragma once
#include <filesystem>

namespace dura {

// From the folder `run`: config.toml, run.json, history.csv, evaluation_<split>.json, heat_maps/: what is there goes in. `preparation`:
// prepare.json of dura-prepare; empty: run/prepare.json.
void write_run_report(const std::filesystem::path& file, const std::filesystem::path& run, const std::filesystem::path& preparation);

}  // namespace dura
