// The hash-generated weights are the same bits as those that torchvision was given: without this, no golden value means anything.
#include "tests/support/catch.h"
#include "tests/support/folders.h"

#include <map>

#include "tests/support/golden_file.h"

using namespace dura;
using namespace dura::golden;

namespace {
const std::vector<GoldenCase>& cases() {
  static const std::vector<GoldenCase> all = read_golden(source_folder() + "/tests/golden/golden.txt");
  return all;
}
}  // namespace

TEST_CASE("hash weights and images have the checksums that the golden values were made with", "[golden]") {
  REQUIRE(cases().size() == 7);
  std::map<std::pair<int64_t, int64_t>, uint64_t> known;  // several cases share a network
  for (const GoldenCase& c : cases()) {
    INFO(c.name);
    const int depth = static_cast<int>(c.integer("depth"));
    uint64_t& sum = known[{depth, c.integer("classes")}];
    if (sum == 0)
      for (const NamedShape& t : resnet_tensors(depth, c.integer("classes")))
        sum += formula::mix64(hash_name(t.name) ^ checksum(hash_tensor(t, depth)));
    CHECK(sum == c.checksum("weights_checksum"));
    CHECK(checksum(hash_images(static_cast<uint64_t>(c.integer("seed")), c.integer("batch"), c.integer("size"))) ==
          c.checksum("images_checksum"));
  }
}

TEST_CASE("hash weights are exact in f32", "[golden]") {
  for (const NamedShape& t : resnet_tensors(18, 5)) {
    if (t.numel() > 100000) continue;
    for (double v : hash_tensor(t, 18)) REQUIRE(static_cast<double>(static_cast<float>(v)) == v);
  }
}

TEST_CASE("a digest notices one element that is scaled or dropped, and a transposed tensor", "[golden]") {
  const NamedShape shape{"layer1.0.conv1.weight", {64, 64, 1, 1}};
  const std::vector<double> values = hash_tensor(shape, 50);
  const Digest right = digest(shape.name, values);
  const auto differs = [&](const std::vector<double>& wrong) { return difference(digest(shape.name, wrong), right, wrong.size()) > 1e-8; };
  CHECK_FALSE(differs(values));
  for (size_t i : {size_t{0}, size_t{17}, values.size() - 1}) {
    std::vector<double> wrong = values;
    wrong[i] *= 1.01;
    CHECK(differs(wrong));
    wrong[i] = 0;
    CHECK(differs(wrong));
  }
  std::vector<double> transposed(values.size());
  for (size_t i = 0; i < 64; ++i)
    for (size_t j = 0; j < 64; ++j) transposed[j * 64 + i] = values[i * 64 + j];
  CHECK(differs(transposed));
}
