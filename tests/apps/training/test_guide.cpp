// Guided training: the evidence goes where it is told, on every device, and validation says where it is.
#include "tests/support/catch.h"

#include <cmath>

#include "apps/training/guide.h"
#include "apps/training/train_step.h"
#include "data/set/csv.h"
#include "layers/module.h"
#include "models/explain/explanation.h"
#include "tests/support/cuda_under_test.h"
#include "tests/support/program_output.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

constexpr int64_t rows = 4;

struct Form {
  Device device = Device::cpu;
  DType compute = DType::f32;
  int first_stage = 4;  // 4: layer4 and the head are trained; 5: the head alone, on cached features
  double strength = 2;
  int64_t lanes = 1;
  bool capture = true;
  bool lesions = true;
};

// Steps behind features that stay the same; the lesion is one cell of four.
struct Guided {
  explicit Guided(const Form& form)
      : model({.backbone = {.depth = 18, .tensors = {.compute = form.compute, .device = form.device}},
               .classes = {"a", "b"},
               .dropout = 0,
               .seed = 3}),
        adam(prepared(model, form).parameters(), {.lr = 1e-3}, {.enabled = form.compute == DType::f16, .initial_scale = 1024}),
        step(model, adam, {.class_weights = {}, .cross_entropy = {}, .guide = form.strength, .lesions = {.rows = 2, .columns = 2}},
             features_shape(form).of_batch(rows / form.lanes),
             {.first_stage = form.first_stage, .lanes = form.lanes, .capture = form.capture}) {
    std::vector<double> values(static_cast<size_t>(features_shape(form).numel()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>((i * 2654435761u >> 7) % 97) / 97;
    features = upload_from_double(features_shape(form), values, form.compute, form.device);
    batch.images = Tensor::zeros({rows, 1, 1, 3}, DType::u8, Device::cpu);  // only how many there are counts here
    batch.samples = batch.pictures = {0, 1, 2, 3};
    batch.labels = Tensor::of<int32_t>({rows}, {0, 0, 0, 1});
    batch.row_keys = Tensor::zeros({rows, 2}, DType::i32, Device::cpu);
    batch.lesion = Tensor::zeros({rows, 2, 2}, DType::u8, Device::cpu);
    batch.rows = rows;
    for (int64_t n = 0; n < 3 && form.lesions; ++n) batch.lesion.data<uint8_t>()[4 * n + n] = 1;  // the last row has none
  }
  static Classifier& prepared(Classifier& model, const Form& form) {
    model.freeze_backbone();
    if (form.first_stage == 4) model.unfreeze("layer4");
    model.set_training(true);
    // The head begins with some evidence for class 0 everywhere, so that every row with a lesion counts.
    std::vector<float> weights(1024);
    for (size_t c = 0; c < 512; ++c) weights[c] = 0.01f + 0.001f * static_cast<float>(c % 7);
    model.head().weight.assign(Tensor::of<float>({2, 512}, weights));
    return model;
  }
  static Shape features_shape(const Form& form) { return form.first_stage == 4 ? Shape{rows, 4, 4, 256} : Shape{rows, 2, 2, 512}; }
  TrainSums next() {
    step.reset_sums();
    step.run(batch, [&](const Tensor& images, const std::vector<int64_t>& samples) {
      return features.slice(samples[0] * (features.numel() / rows), features.shape().of_batch(images.shape()[0]));
    });
    return step.read_sums();
  }
  std::vector<double> losses(int count) {
    std::vector<double> all;
    for (int i = 0; i < count; ++i) all.push_back(next().guide_loss());
    return all;
  }

  Classifier model;
  Adam adam;
  TrainStep step;
  Batch batch;
  Tensor features;
};

}  // namespace

TEST_CASE("a guide brings the evidence into the lesion, by layer4 and head or by the head alone", "[training][guide]") {
  for (const int stage : {4, 5}) {
    CAPTURE(stage);
    Guided guided({.first_stage = stage}), free({.first_stage = stage, .strength = 0});
    const TrainSums first = guided.next();
    CHECK(first.guided == 3);
    CHECK((first.outside > 0 && first.outside < 3));
    const double last = guided.losses(60).back();
    CHECK(last < 0.5 * first.guide_loss());
    // Without a guide nothing is measured, and the head is another one.
    const TrainSums without = free.next();
    CHECK(without.guided == 0);
    CHECK(std::isnan(without.guide_loss()));
    CHECK(without.loss == first.loss);
  }
}

TEST_CASE("rows without a lesion are trained as without a guide, bit for bit", "[training][guide]") {
  for (const int stage : {4, 5}) {
    Guided guided({.first_stage = stage, .lesions = false}), free({.first_stage = stage, .strength = 0});
    for (int i = 0; i < 3; ++i) {
      CHECK(guided.next().guided == 0);
      free.next();
    }
    const std::vector<Parameter*> a = guided.model.parameters(), b = free.model.parameters();
    for (size_t i = 0; i < a.size(); ++i) {
      CAPTURE(a[i]->name());
      CHECK(download_as_double(a[i]->master()) == download_as_double(b[i]->master()));
    }
  }
}

TEST_CASE("a guided batch in lanes is the batch as a whole, although one lane has more lesions than the other", "[training][guide]") {
  for (const int stage : {4, 5}) {
    CAPTURE(stage);
    Guided whole({.first_stage = stage}), lanes({.first_stage = stage, .lanes = 2});
    for (int i = 0; i < 4; ++i) {
      const TrainSums a = whole.next(), b = lanes.next();
      CHECK((a.guided == 3 && b.guided == 3));
      CHECK(b.guide_loss() == Approx(a.guide_loss()).epsilon(2e-3));
      CHECK(b.weighted_loss == Approx(a.weighted_loss).epsilon(2e-3));
      if (i == 0) CHECK(b.guide_loss() == Approx(a.guide_loss()).epsilon(1e-6));
    }
  }
}

TEST_CASE("a guided step on the simulated CUDA device follows the CPU's, captured or not, in f32 and in 16 bits",
          "[training][guide][cuda-sim]") {
  const Device there = cuda_under_test();
  for (const int stage : {4, 5}) {
    CAPTURE(stage);
    const int steps = stage == 4 ? 2 : 5;  // convolutions take their time there
    const std::vector<double> host = Guided({.first_stage = stage}).losses(steps),
                              device = Guided({.device = there, .first_stage = stage}).losses(steps);
    for (size_t i = 0; i < host.size(); ++i) CHECK(device[i] == Approx(host[i]).epsilon(1e-4));
    CHECK(Guided({.device = there, .first_stage = stage, .capture = false}).losses(steps) == device);
  }
  const std::vector<double> exact = Guided({.first_stage = 5}).losses(5);
  for (const DType compute : {DType::f16, DType::bf16})
    for (const Device where : {Device::cpu, there}) {
      CAPTURE(dtype_name(compute), device_name(where));
      const std::vector<double> stored = Guided({.device = where, .compute = compute, .first_stage = 5}).losses(5);
      for (size_t i = 0; i < exact.size(); ++i) CHECK(std::abs(stored[i] - exact[i]) < 0.03);
    }
}

TEST_CASE("the maps of validation are scored as dura-gradcam scores them", "[training][guide]") {
  const TextureData data({}, 2);
  const ClassNames classes({"rare", "usual"});
  const Manifest manifest = read_manifest(data.manifest());
  const Dataset dataset(manifest, rows_by_split(manifest)[Split::train], classes, Preprocessing({resize_step(96, 96)}),
                        {.folder = data.path()});
  CHECK(count_lesions(dataset) == 12);
  Classifier model({.backbone = {.depth = 18}, .classes = classes.names(), .seed = 7});
  for (const bool by_receptive_field : {false, true}) {
    model.set_training(true);  // it is what a phase of training has
    MapWatch watch(model, dataset, {.strength = 1, .by_receptive_field = by_receptive_field});
    MapScore sum;
    Loader loader(dataset, {.batch_size = 5, .policies = {}, .items = {}});
    for (loader.start_epoch(0); loader.next();) {
      const Batch& batch = loader.batch();
      {
        const NoGradScope no_grad(model);
        watch.add(batch, model.backbone().run(model.normalize(batch.images)).value());
      }
      model.set_training(false);
      const std::vector<Explanation> explained = explain(model, batch.images, {.by_receptive_field = by_receptive_field});
      model.set_training(true);
      for (int64_t n = 0; n < batch.rows; ++n)
        if (const Image mask = dataset.mask(batch.samples[static_cast<size_t>(n)]); !mask.empty())
          sum += score_map(explained[static_cast<size_t>(n)].map, mask, mask);
    }
    CHECK(model.training());
    CHECK(watch.hit_rate() == sum.pointing / 12);
    CHECK(watch.energy() == Approx(sum.energy / 12).epsilon(1e-12));
    CHECK(watch.energy() > 0);
  }
  const MapWatch none(model, dataset, {});
  CHECK(std::isnan(none.hit_rate()));
}

TEST_CASE("dura-train --guide writes its loss and the maps' scores, and says what it needs", "[apps][train][guide]") {
  const TextureData data({}, 2), without;
  const TemporaryFolder out;
  const std::string weights = write_initial_model(out / "weights.safetensors");
  const auto training = [&](const std::string& folder, const std::string& run, const std::vector<std::string>& more) {
    return run_program("dura-train", joined({"--data", folder, "--out", out / run, "--weights", weights, "--depth", "18", "--size", "64",
                                             "--batch", "8", "--phase1-epochs", "1", "--phase2-epochs", "1", "--unfreeze", "layer4"},
                                            more));
  };
  const ProgramRun guided = training(
      data.path(), "guided", {"--guide", "2", "--monitor", "val_hit", "--guide-phases", "both", "--guide-cells", "receptive-fields"});
  CAPTURE(guided.output);
  REQUIRE(guided.code == 0);
  CHECK_THAT(guided.output, Contains("guide: 12 of 24 training images and 4 of 8 validation images have a lesion's mask"));
  CHECK_THAT(guided.output, Contains("  guide 0.") && Contains("val hit ") && Contains("restored (val_hit"));
  const CsvTable history = table_of(out / "guided/history.csv");
  REQUIRE(history.rows.size() == 2);
  for (size_t epoch = 0; epoch < 2; ++epoch)
    for (const char* column : {"guide_loss", "val_hit", "val_energy"}) {
      const double value = std::stod(cell(history, epoch, column));
      CHECK((value >= 0 && value <= 1));
    }
  must_run("dura-report", {"--run", out / "guided"});
  CHECK_THAT(read_text_file(out / "guided/report.html", 1 << 22), Contains("where the network looks"));

  REQUIRE(training(data.path(), "free", {}).code == 0);
  CHECK_THAT(read_text_file(out / "free/history.csv", 1 << 20), !Contains("val_hit"));
  struct Refused {
    std::string folder;
    std::vector<std::string> options, says;
  };
  for (const Refused& r : {Refused{without.path(), {"--guide", "1"}, {"--guide needs masks", "column `mask`"}},
                           Refused{data.path(), {"--monitor", "val_hit"}, {"--monitor val_hit needs --guide"}},
                           Refused{data.path(), {"--guide", "-1"}, {"--guide", "-1"}},
                           Refused{data.path(), {"--guide", "1", "--guide-share", "1"}, {"--guide-share", "0.99"}}}) {
    const ProgramRun run = training(r.folder, "refused", r.options);
    CHECK(run.code == 2);
    for (const std::string& part : r.says) CHECK_THAT(run.output, Contains(part));
  }
}
