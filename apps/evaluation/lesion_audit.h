// Does the network look at the lesion, or does only its map? One table: how well maps of several kinds point at the lesion, also those that
// no guide can have trained, and what becomes of the answer where the lesion is taken out of the slice. Means with intervals over patients,
// and differences from another network on the same slices.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/metrics/significance.h"
#include "apps/program/data_options.h"
#include "models/explain/explanation.h"
#include "models/network/model_file.h"

namespace dura {

// What is measured of each slice, in the order of AuditedSlice::values.
struct AuditMeasure {
  std::string key, name;  // "gradcam_layer4_hit", "Grad-CAM at layer4: peak in the lesion"
};
const std::vector<AuditMeasure>& audit_measures();

struct AuditedSlice {
  std::string file, unit;      // unit: its patient, or what stands for it (bootstrap_units)
  std::vector<double> values;  // NaN where there was nothing to measure
};

struct AuditOptions {
  int64_t pictures = 0;  // so many slices with a lesion, evenly spread; 0: all
  int64_t batch = 16;
  // How all maps lie over the slice (occlusion's cells have places of their own); their methods, stages and class are the audit's.
  ExplainOptions maps = {};
  Communicator* ranks = &alone();  // processes that share the slices; each gets all of them
};

// Slices whose manifest names no mask, or an empty one, are passed over.
std::vector<AuditedSlice> audit_lesions(Classifier& model, const Dataset& dataset, const Manifest& manifest, const AuditOptions& options);

struct LesionAudit {
  std::vector<AuditedSlice> slices;
  std::vector<Score> means;        // by measure, over the slices where it is a number
  std::vector<Score> differences;  // from the other network, slice by slice; empty without one
  int64_t units = 0;               // patients

  const Score& mean(const std::string& key) const;
  bool map_points() const;      // Grad-CAM's peak lies in the lesion more often than a random point of the brain
  bool network_needs() const;   // the answer falls further without the lesion than without an equal area elsewhere
  std::string verdict() const;  // a sentence; it says "looks at the lesion" only where both hold
};

// Of a split, with each network's own preprocessing; `against`: the other network's file, or empty.
LesionAudit audit_split(const ModelFile& file, const std::string& against, const DataSplits& data, const DataOptions& data_options,
                        Split split, const AuditOptions& options);

// `other`: of another network on the same slices, or empty. UsageError where the slices are not the same.
LesionAudit summarise_audit(std::vector<AuditedSlice> slices, const std::vector<AuditedSlice>& other, const BootstrapOptions& options = {});

std::string audit_text(const LesionAudit& audit);
std::string audit_csv(const LesionAudit& audit);   // a row for each slice
std::string audit_json(const LesionAudit& audit);  // "dura lesion audit 1"
// lesion_audit.csv and lesion_audit.json in the folder.
void write_audit(const std::filesystem::path& folder, const LesionAudit& audit);

}  // namespace dura
