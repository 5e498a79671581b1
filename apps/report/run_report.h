// The page about one run: everything that its programs left in its folder, from the data to where the network looked.
#pragma once
#include <filesystem>

#include "apps/report/html.h"

namespace dura {

// From the folder `run`: config.toml, run.json, history.csv, evaluation_<split>.json, heat_maps/: what is there goes in. `preparation`:
// prepare.json of dura-prepare; empty: run/prepare.json.
void write_run_report(const std::filesystem::path& file, const std::filesystem::path& run, const std::filesystem::path& preparation);

// The parts of that page, each made from what one program left in the run's folder. A part whose file is not there is left out; a file that
// is there and damaged is an Error that names it.
void add_data(HtmlPage& page, const std::filesystem::path& file);         // prepare.json of dura-prepare
void add_training(HtmlPage& page, const std::filesystem::path& history);  // history.csv of dura-train
void add_evaluation(HtmlPage& page, const std::filesystem::path& file);   // evaluation_<split>.json of dura-evaluate
void add_heat_maps(HtmlPage& page, const std::filesystem::path& folder);  // heat_maps.json, heat_maps.csv and pictures of dura-gradcam

}  // namespace dura
