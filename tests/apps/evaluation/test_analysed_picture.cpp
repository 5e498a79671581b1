// What is gathered about each picture before errors are analysed.
#include "tests/support/catch.h"

#include <cmath>

#include "apps/evaluation/error_analysis.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;

TEST_CASE("pictures are analysed with their lesion's size, their patient and the manifest's further columns", "[evaluation]") {
  const TemporaryFolder folder;
  for (const char* name : {"a.png", "b.png", "c.png"}) write_picture(folder, name, texture(1, true, 40, 40));
  Image mask(40, 40, 1);
  for (int64_t r = 10; r < 20; ++r)
    for (int64_t c = 10; c < 20; ++c) mask.at(r, c) = 255;
  write_picture(folder, "mask.png", mask);
  folder.write("broken.png", std::string("no picture"));
  folder.write("manifest.csv",
               "file,label,split,patient,mask,mm_per_pixel,plane\n"
               "a.png,rare,test,P1,mask.png,0.5,ax\n"
               "b.png,rare,test,P1,broken.png,0.5,co\n"
               "c.png,usual,test,P2,,,ax\n");
  const Manifest manifest = read_manifest(folder / "manifest.csv");
  const Dataset dataset(manifest, {0, 1, 2}, ClassNames({"rare", "usual"}), Preprocessing({resize_step(32, 32)}),
                        {.folder = folder.path()});
  const Predictions predictions = {
      .classes = 2, .samples = {2, 0, 1}, .labels = {1, 0, 0}, .logits = {}, .probabilities = {0.9, 0.1, 0.6, 0.4, 0.2, 0.8}};
  const std::vector<AnalysedPicture> pictures = analysed_pictures(predictions, {}, dataset, manifest, {"P2", "P1", "P1"});
  REQUIRE(pictures.size() == 3);
  CHECK(pictures[0].file == "c.png");
  CHECK(pictures[0].diameter_mm == 0);  // no mask
  CHECK(pictures[0].label == 1);
  CHECK(pictures[0].decided == 0);
  CHECK(pictures[1].file == "a.png");
  CHECK(pictures[1].unit == "P1");
  CHECK(pictures[1].diameter_mm == Approx(2 * std::sqrt(100 * 0.25 / 3.14159265358979)));
  CHECK(pictures[1].probabilities == std::vector<double>{0.6, 0.4});
  CHECK(pictures[1].columns == std::vector<std::string>{"ax"});
  CHECK(pictures[1].features.mean_intensity > 50);
  CHECK(pictures[2].diameter_mm == 0);  // a mask that cannot be read is a warning, not the end
  CHECK(pictures[2].columns == std::vector<std::string>{"co"});
}
