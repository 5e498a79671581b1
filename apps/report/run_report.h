// The page about one run: what was run, how training went, how good the model is.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "apps/evaluation/evaluation.h"

namespace dura {

struct RunReport {
  std::filesystem::path run;  // its history.csv, config.toml and run.json go in where they are there
  std::string model_sha256, manifest, manifest_sha256;
  std::vector<BadImage> bad_images;
  std::vector<Evaluation> evaluations;
};

void write_run_report(const std::filesystem::path& file, const RunReport& report);

}  // namespace dura
