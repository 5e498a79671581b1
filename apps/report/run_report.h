// The page about one run: everything that its programs left in its folder, from the data to where the network looked.
#pragma once
#include <filesystem>

namespace dura {

struct RunReport {
  std::filesystem::path run;          // config.toml, run.json, history.csv, evaluation_<split>.json, heat_maps/: what is there goes in
  std::filesystem::path preparation;  // prepare.json of dura-prepare; empty: run/prepare.json
};

void write_run_report(const std::filesystem::path& file, const RunReport& report);

}  // namespace dura
