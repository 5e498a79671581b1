// The first two minutes on a card: what would be wrong with everything shows here (tests/gpu/gpu_check.sh runs it with cuDNN's fused graphs
// and without).
#include "tests/support/catch.h"

#include "engine/devices/self_test.h"
#include "tests/engine/op_harness.h"
#include "tests/support/cuda_under_test.h"
#include "tests/support/small_training.h"

using namespace dura;
using namespace dura::optest;
using test::cuda_under_test;
using test::SmallTraining;

TEST_CASE("smoke: a CUDA device computes a small step as the CPU does", "[cuda-sim][smoke]") {
  CHECK(cuda::self_test(cuda_under_test()).empty());
}

TEST_CASE("smoke: steps of ResNet-18 that are captured and replayed equal the same without capture, bit for bit", "[cuda-sim][smoke]") {
  SmallTraining captured(cuda_under_test(), DType::f16, 3), eager(cuda_under_test(), DType::f16, 3, false);
  const double first = (captured.step(), eager.step(), captured.loss());
  for (int i = 0; i < 4; ++i) captured.step(), eager.step();
  CHECK(captured.replays());
  CHECK_FALSE(eager.replays());
  CHECK(captured.loss() < first);
  CHECK(captured.everything() == eager.everything());
}

TEST_CASE("smoke: a dense layer with two classes in f16 is computed", "[cuda-sim][smoke]") {
  for (const OpCase& c : op_cases())
    if (c.name.rfind("linear", 0) == 0)
      for (const std::string& f : check_columns(c, {{.device = cuda_under_test(), .dtype = DType::f16}})) FAIL_CHECK(f);
  SmallTraining two(cuda_under_test(), DType::f16, 2);
  const double first = (two.step(), two.loss());
  for (int i = 0; i < 4; ++i) two.step();
  CHECK(two.loss() < first);
}
