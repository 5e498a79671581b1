#include "apps/report/run_report.h"

#include "apps/program/json_values.h"
#include "apps/report/html.h"
#include "apps/report/sections.h"
#include "engine/base/file.h"

namespace dura {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t max_text_bytes = uint64_t{16} << 20;

void add_provenance(HtmlPage& page, const fs::path& run) {
  page.section("What was run");
  if (fs::exists(run / "run.json")) {
    const std::string file = (run / "run.json").string();
    Table rows = {{"what", "value"}};
    try {
      const nlohmann::ordered_json facts = nlohmann::ordered_json::parse(read_text_file(file, max_text_bytes));
      for (const auto& [key, value] : facts.items()) rows.push_back({key, value.is_string() ? value.get<std::string>() : value.dump()});
    } catch (const nlohmann::json::exception& e) {
      fail(file, " is damaged: ", e.what());
    }
    page.table(rows);
  }
  if (fs::exists(run / "config.toml")) {
    page.paragraph(
        "The configuration, defaults included. To run it again: save it as config.toml, and dura-train --config config.toml --out "
        "ANOTHER_FOLDER.");
    page.preformatted(read_text_file(run / "config.toml", max_text_bytes));
  }
}

void add_limits(HtmlPage& page) {
  page.section("Limits");
  page.paragraph(
      "The network chooses between the classes that it was trained on, and nothing else: a picture without a tumour, of another kind, "
      "sequence, scanner or body part gets one of these "
      "names too. Figures hold for pictures like those of the test set. A heat map shows where evidence was found at the coarseness of a "
      "stage of the network; it is no segmentation, and a "
      "map that lies on the tumour does not prove that the answer is right.");
}

}  // namespace

void write_run_report(const fs::path& file, const fs::path& run, const fs::path& preparation) {
  HtmlPage page("dura: report of a run");
  page.note("This model is for teaching and research. It is not a medical device, and nothing here is a diagnosis.");
  for (const char* split : {"test", "val", "train"}) add_evaluation(page, run / concat("evaluation_", split, ".json"));
  add_heat_maps(page, run / "heat_maps");
  add_training(page, run / "history.csv");
  add_data(page, preparation.empty() ? run / "prepare.json" : preparation);
  add_limits(page);
  add_provenance(page, run);
  page.write(file);
}

}  // namespace dura
