// dura-report: one page about a run, from what its programs left in its folder.
#include "apps/report/run_report.h"

#include "apps/program/program.h"
#include "engine/base/check.h"
#include "engine/base/log.h"

int main(int argc, char** argv) {
  using namespace dura;
  std::string run, preparation, out;
  Program program({.name = "dura-report",
                   .summary = "Makes one page about a run: data, training, scores, heat maps, limits, and how to run it again.",
                   .examples = {"dura-report --run run --prepare prepared/prepare.json"},
                   .computes = false});
  program.text("--run", run, "Run directory of dura-train; evaluation_<split>.json and heat_maps/ in it go in where they are there",
               {.required = true});
  program.text("--prepare", preparation, "prepare.json of dura-prepare (default: the one in the run directory)");
  program.text("--out", out, "The page (default: report.html in the run directory)");
  return program.run(argc, argv, [&] {
    namespace fs = std::filesystem;
    if (!fs::exists(fs::path(run) / "run.json"))
      fail_usage("--run ", run, ": there is no run.json. Name the folder that was dura-train's --out.");
    if (!preparation.empty() && !fs::exists(preparation)) fail_usage("--prepare ", preparation, ": there is no such file");
    const fs::path page = out.empty() ? fs::path(run) / "report.html" : fs::path(out);
    write_run_report(page, run, preparation);
    log_info("wrote ", page.string());
    return 0;
  });
}
