// What is derived from one row of the op table (op_cases.cpp). A row says how to build an op, what reference.h says it means, and how far
// its inputs stay from a kink; the harness makes of it forward and backward against the reference, central differences, accumulation, and
// every column (device, dtype, kernel set) against f64. A check returns what it found wrong: mutation rows must find something, all others
// nothing.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/core/ops.h"
#include "engine/base/random.h"
#include "tests/engine/reference.h"

namespace dura::optest {

using reference::Array;

// Where a row runs. Another device is another column.
struct Column {
  Device device = Device::cpu;
  DType dtype = DType::f64;
  std::string kernels = {};  // CPU: the kernel set; empty: whatever is in use
  bool winograd = false;     // CPU: fast forms of 3x3 convolutions allowed
  std::string name() const;
  // The values on this device, in the column's dtype, or in the [stat] dtype that belongs to it.
  Tensor tensor(const Array& values) const { return upload(values, dtype); }
  Tensor stat_tensor(const Array& values) const { return upload(values, stat_dtype(dtype)); }

 private:
  Tensor upload(const Array& values, DType type) const;
};

// While alive, the CPU's f32 kernels are those of a column.
class KernelChoice {
 public:
  explicit KernelChoice(const Column& column);
  ~KernelChoice();
  KernelChoice(const KernelChoice&) = delete;
  KernelChoice& operator=(const KernelChoice&) = delete;

 private:
  std::string before_;
  bool exact_before_;
};

// f64 first; then every combination that this build and processor can run.
std::vector<Column> columns();
// Columns that could exist but cannot run here, with the reason.
std::map<std::string, std::string> missing_columns();

Array to_array(const Tensor& t);

enum class Accuracy {
  pointwise,
  product
};  // the two rows of tolerances: element by element, or a normalised mean square (sums of many terms)

struct Input {
  std::string name;
  Shape shape;
  bool stat = false;                               // gamma, beta: in the [stat] dtype
  std::function<void(Random&, Array&)> fill = {};  // default: standard normal
};

struct OpCase {
  std::string name;  // op and what is special about this row
  Accuracy accuracy;
  std::vector<Input> inputs;
  std::function<Var(const std::vector<Var>&, const Column&)> build;
  // By reference.h. Null in rows that are too large for naive loops: they compare columns only.
  std::function<Array(const std::vector<Array>&)> forward;
  std::function<std::vector<Array>(const std::vector<Array>&, const Array& dy)> backward;
  // Distance of the nearest decision (ReLU, maximum) from flipping. Null: the op is smooth.
  std::function<double(const std::vector<Array>&)> kink_distance = {};
  // What the mean square limit of 16-bit types is multiplied by: an op that stores something in 16 bits in between rounds more than once.
  double roundings = 1;
};

const std::vector<OpCase>& op_cases();
// Every convolution of ResNet-50 at 224x224 (both stride variants), batch 1.
const std::vector<OpCase>& resnet_shapes();

struct Run {
  Array y;
  std::vector<Array> gradients;  // of each input
};

// A drawn row: inputs far enough from kinks, and a random cotangent. The values are exact in `rounded_to`.
struct Drawn {
  std::vector<Array> inputs;
  Array cotangent;
  double kink_distance;  // infinite where the op is smooth
};
Drawn draw(const OpCase& c, DType rounded_to);

// Forward and backward; `uses` times the same op on the same inputs, summed.
Run run(const OpCase& c, const Column& column, const Drawn& drawn, int uses = 1);

// ---- checks: each returns what is wrong, empty where nothing is
// --------------------------------------------------------------------------------

using Failures = std::vector<std::string>;

Failures check_against_reference(const OpCase& c);                   // f64 forward and backward, rtol 1e-12
Failures check_central_differences(const OpCase& c);                 // f64, relative 1e-6
Failures check_accumulation(const OpCase& c, const Column& column);  // a second use adds its gradient
// Forward and backward of each column against f64 on the same rounded inputs; counts what ran and what was skipped.
Failures check_columns(const OpCase& c, const std::vector<Column>& which);

// "" or what is wrong, with the tolerances of docs/numerics.md.
std::string compare(const Array& found, const Array& expected, Accuracy accuracy, const Column& column, double roundings = 1);

// ---- the count at the end of the run
// ---------------------------------------------------------------------------------------------------------

struct Count {
  int run = 0;
  std::map<std::string, int> skipped;  // by reason
};
std::map<std::string, Count>& counts();  // by kind of check

}  // namespace dura::optest
