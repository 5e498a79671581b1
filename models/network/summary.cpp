#include "models/network/summary.h"

#include <iomanip>
#include <sstream>

#include "engine/plan/meta_backend.h"

namespace dura {

Summary summarise(const ClassifierOptions& options, int64_t height, int64_t width) {
  ClassifierOptions meta = options;
  meta.backbone.tensors.device = Device::meta;
  Classifier model(meta);
  Summary s;
  DryRun dry(Device::meta);
  model(Tensor::empty({1, height, width, 3}, meta.backbone.tensors.compute, Device::meta));

  for (const KernelCall& call : dry.calls()) {
    if (call.macs == 0 && call.kernel != "max_pool_forward" && call.kernel != "global_mean_forward") continue;
    s.rows.push_back({call.label, call.output, 0, call.macs});
    s.macs += call.macs;
  }
  for (const Parameter* p : model.parameters()) {
    // "layer1.0.bn1.weight" counts for the row of its convolution: bn1 -> conv1, downsample.1 -> downsample.0
    std::string owner = p->name().substr(0, p->name().rfind('.'));
    if (const size_t at = owner.rfind("bn"); at != std::string::npos) owner.replace(at, 2, "conv");
    if (const size_t at = owner.rfind("downsample.1"); at != std::string::npos) owner.replace(at, 12, "downsample.0");
    for (SummaryRow& row : s.rows)
      if (row.name == owner) row.parameters += p->shape().numel();
    s.parameters += p->shape().numel();
  }
  return s;
}

std::string Summary::text() const {
  std::ostringstream out;
  out << std::left << std::setw(24) << "layer" << std::setw(20) << "output" << std::right << std::setw(14) << "parameters" << std::setw(12)
      << "MMAC" << '\n';
  for (const SummaryRow& r : rows)
    out << std::left << std::setw(24) << r.name << std::setw(20) << concat(r.output) << std::right << std::setw(14) << r.parameters
        << std::setw(12) << std::fixed << std::setprecision(2) << static_cast<double>(r.macs) / 1e6 << '\n';
  out << "total: " << parameters << " parameters, " << std::setprecision(3) << static_cast<double>(macs) / 1e9 << " GMAC for one image\n";
  return out.str();
}

}  // namespace dura
