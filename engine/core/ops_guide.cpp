// Guidance: a loss on where the network looks.
#include "engine/core/ops.h"
#include "engine/core/trace.h"

namespace dura {

CamEnergy cam_energy(const Var& features, const Var& weight, const Tensor& logits, const Tensor& labels, const Tensor& lesion,
                     double strength) {
  const DType dtype = features.value().dtype();
  DURA_CHECK(features.shape().rank() == 4, "cam_energy: the features have shape ", features.shape(), ", expected (N,H,W,C)");
  const int64_t N = features.shape()[0], C = features.shape()[3];
  DURA_CHECK(weight.shape().rank() == 2 && weight.shape()[0] >= 2 && weight.shape()[1] == C && weight.value().dtype() == dtype,
             "cam_energy: the dense weight is ", describe(weight.value()), ", expected ", dtype_name(dtype), " (K,", C,
             ") with at least two classes K");
  const int64_t K = weight.shape()[0];
  DURA_CHECK(logits.defined() && logits.shape() == Shape({N, K}) && logits.dtype() == dtype, "cam_energy: the logits are ",
             describe(logits), ", expected ", dtype_name(dtype), " (", N, ",", K, ")");
  DURA_CHECK(labels.defined() && labels.dtype() == DType::i32 && labels.shape() == Shape{N}, "cam_energy: labels are ", describe(labels),
             ", expected i32 (", N, ")");
  const Shape cells{N, features.shape()[1], features.shape()[2]};
  DURA_CHECK(lesion.defined() && lesion.dtype() == DType::u8 && lesion.shape() == cells, "cam_energy: the lesion is ", describe(lesion),
             ", expected u8 ", cells, ": one element for each cell of the features");
  DURA_CHECK(strength > 0, "cam_energy: the strength is ", strength, ", it must be positive. Leave the op out where it is 0.");
  OpTrace trace("forward", "cam_energy");
  const Device device = features.value().device();
  const CamEnergyInputs in{features.value(), weight.value(), labels, lesion};
  const CamEnergyRows rows{Tensor::empty({N}, DType::i32, device, "strongest other classes"),
                           Tensor::empty(cells, stat_dtype(dtype), device, "maps of the margin"),
                           Tensor::empty({N, 2}, DType::f64, device, "sums of the maps")};
  const Tensor loss = Tensor::empty({1}, stat_dtype(dtype), device, "loss of the guide");
  backend(device).cam_energy_forward(in, logits, strength, rows, loss);
  Var result = record(trace, loss, {&features, &weight}, [&] {
    return [in, rows, strength, dfeatures = features.gradient(), dweight = weight.gradient()](const Tensor& dloss) {
      backend(dloss.device()).cam_energy_backward(in, rows, strength, dloss, target_of(dfeatures), target_of(dweight));
    };
  });
  return {std::move(result), rows.sums};
}

}  // namespace dura
