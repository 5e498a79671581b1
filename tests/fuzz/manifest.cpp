// CSV files, and the manifests in them: what was read is written and read again as the same.
#include "data/set/csv.h"
#include "data/set/manifest.h"
#include "tests/fuzz/target.h"

using namespace dura;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  test::survive([&] {
    const CsvTable table = parse_csv(text, "m");
    std::string again = format_csv_row(table.header);
    for (const CsvRow& row : table.rows) again += format_csv_row(row.fields);
    const CsvTable same = parse_csv(again, "m");
    if (same.header != table.header || same.rows.size() != table.rows.size()) __builtin_trap();
    for (size_t i = 0; i < table.rows.size(); ++i)
      if (same.rows[i].fields != table.rows[i].fields) __builtin_trap();
  });
  return test::survive([&] {
    const Manifest manifest = parse_manifest(text, "m");
    const std::string again = format_manifest(manifest);
    if (format_manifest(parse_manifest(again, "m")) != again) __builtin_trap();
    const SplitRows splits = rows_by_split(manifest);
    find_leaks(manifest, splits);
    test::survive([&] { class_indices(manifest, splits[Split::train], ClassNames({"Menin=meningioma", "Glioma"}), true); });
  });
}
