// The parts of the page about a run, each made from what one program left in the run's folder. A part whose file is not there is left out;
// a file that is there and damaged is an Error that names it.
#pragma once
#include <filesystem>

#include "apps/report/html.h"

namespace dura {

void add_data(HtmlPage& page, const std::filesystem::path& file);         // prepare.json of dura-prepare
void add_training(HtmlPage& page, const std::filesystem::path& history);  // history.csv of dura-train
void add_evaluation(HtmlPage& page, const std::filesystem::path& file);   // evaluation_<split>.json of dura-evaluate
void add_heat_maps(HtmlPage& page, const std::filesystem::path& folder);  // heat_maps.json, heat_maps.csv and pictures of dura-gradcam

}  // namespace dura
