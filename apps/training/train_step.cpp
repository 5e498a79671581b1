#include "apps/training/train_step.h"

#include <algorithm>
#include <numeric>

#include "engine/core/tensor.h"

namespace dura {

TrainStep::TrainStep(Classifier& model, Adam& adam, const LossOptions& loss, const Shape& input, const TrainStepOptions& options)
    : model_(model),
      adam_(adam),
      loss_options_(loss),
      options_(options),
      own_lanes_(options.lanes / options.ranks->size()),
      first_lane_(options.ranks->rank() * own_lanes_) {
  DURA_CHECK(options.lanes % options.ranks->size() == 0, "train step: ", options.lanes, " lanes for ", options.ranks->size(), " processes");
  const TensorOptions& t = model.options().backbone.tensors;
  const auto K = static_cast<int64_t>(model.classes().size());
  DURA_CHECK(loss.class_weights.empty() || static_cast<int64_t>(loss.class_weights.size()) == K,
             "class weights: ", loss.class_weights.size(), " for ", K, " classes");
  in_.input = options.first_stage == 0 ? Tensor::zeros(input, DType::u8, t.device, "images")
                                       : Tensor::zeros(input, t.compute, t.device, "features");
  const int64_t rows = input[0];
  of_rows_ = Tensor::zeros({rows * 3}, DType::i32, t.device, "labels and row keys");
  in_.labels = of_rows_.slice(0, {rows});
  in_.row_keys = of_rows_.slice(rows, {rows, 2});
  if (!loss.class_weights.empty())
    class_weights_ = upload_from_double({K}, loss.class_weights, stat_dtype(t.compute), t.device, "class weights");
  const bool guided = loss.guide > 0;
  if (guided) in_.lesion = Tensor::zeros({rows, loss.lesions.rows, loss.lesions.columns}, DType::u8, t.device, "lesions");
  sums_ = Tensor::zeros({2 + K * K + (guided ? 2 : 0)}, DType::f64, t.device, "metric sums");  // the guide's behind the others
  if (options.lanes > 1) {
    tree_ = std::make_unique<GradientTree>(adam.arena(), own_lanes_);
    if (options.ranks->size() > 1 && options.bucket_bytes > 0 && host_readable(t.device))
      exchange_ = std::make_unique<GradientExchange>(adam.arena(), *tree_, *options.ranks, options.bucket_bytes);
    if (options.device_sums != DeviceSums::host)
      device_sum_ = DeviceSum::of(t.device, *options.ranks, tree_->sum().numel(), options.device_sums == DeviceSums::exact);
    for (Share* s : {&share_, &guided_share_}) {
      s->state = Tensor::zeros({StepState::slots}, DType::f64, t.device, "share of a lane");
      s->write(1.0 / static_cast<double>(options.lanes));
    }
    for (int64_t i = 0; i < own_lanes_; ++i) lane_sums_.push_back(Tensor::zeros(sums_.shape(), DType::f64, t.device, "metric sums"));
    for (ConvBn* u : model.backbone().units())
      for (const Tensor& statistic : {u->bn.running_mean, u->bn.running_variance})
        if (u->bn.keeps_batch_statistics()) running_.push_back({&u->bn, statistic, Tensor::like(statistic, "statistics of lane 0")});
  }
  const auto body_of_batch = [this](int64_t n) {
    body({of_batch(in_.input, n), of_batch(in_.labels, n), of_batch(in_.row_keys, n),
          in_.lesion.defined() ? of_batch(in_.lesion, n) : Tensor()});
  };
  std::vector<ConvBn*> front = frozen_front(model.backbone().units());
  std::erase_if(front, [&](const ConvBn* u) { return ResNet::stage_of(*u) < options.first_stage; });
  frozen_ = std::make_unique<FoldedUnits>(front);
  step_ = std::make_unique<CapturedStep>(
      t.device, [this] { body(in_); },
      CapturedStepOptions{.name = options.lanes > 1 ? "a lane" : "a step",
                          .capture = options.capture,
                          .batch = rows,
                          .body_of_batch = body_of_batch,
                          .after_replay = [this] { tell_changes(); }});
}

// What a body changes: parameters, but with lanes not before all lanes are added, and statistics.
void TrainStep::tell_changes() {
  if (!tree_)
    for (const ParameterArena::Group& g : adam_.arena().groups())
      for (Parameter* p : g.parameters) p->values_changed();
  for (ConvBn* u : model_.backbone().units())
    if (u->bn.uses_batch_statistics()) u->bn.buffers_changed();
}

// With lanes, each part times the lane's share of it.
Var TrainStep::loss_of(const Inputs& in, Outcome& outcome) {
  const Tensor x = options_.first_stage == 0 ? model_.normalize(in.input) : in.input;
  const Var features = model_.backbone().run(x, options_.first_stage);
  const Var logits = model_.classify(features, in.row_keys);
  const CrossEntropy ce = cross_entropy(logits, in.labels, class_weights_, loss_options_.cross_entropy);
  const Var loss = tree_ ? scale_loss(ce.loss, share_.state) : ce.loss;
  outcome = {ce.probabilities, loss.value(), {}};
  if (loss_options_.guide == 0) return loss;
  const CamEnergy energy = cam_energy(features, model_.head().weight.var(), logits.value(), in.labels, in.lesion, loss_options_.guide);
  outcome.map_sums = energy.sums;
  return add(loss, tree_ ? scale_loss(energy.loss, guided_share_.state) : energy.loss);
}

void TrainStep::body(const Inputs& in) {
  Outcome outcome;
  const FoldedUnits::Use folded(*frozen_);
  if (!tree_) {
    adam_.minimise([&] { return loss_of(in, outcome); });
  } else {
    // Of one lane. Its filters are new ones to the device, as in a step without lanes: it keeps no packed copies of what Adam will change.
    for (const ParameterArena::Group& g : adam_.arena().groups())
      for (Parameter* p : g.parameters) p->values_changed();
    std::function<void(const Gradient&)> finished;
    if (exchanging_) finished = [this](const Gradient& g) { exchange_->finished(g); };
    adam_.gather([&] { return loss_of(in, outcome); }, finished);
  }
  Backend& b = backend(in.input.device());
  b.add_metrics(outcome.probabilities, in.labels, outcome.loss, sums_);
  if (outcome.map_sums.defined()) b.add_cam_energy(outcome.map_sums, sums_.slice(sums_.numel() - 2, {2}));
}

void TrainStep::run(const Batch& batch, const FeatureSource& features, DevicePictures* pictures) {
  const Shape& lane = in_.input.shape();
  const int64_t own_rows = lane[0] * own_lanes_;
  const bool has_images = batch.images.defined() && batch.images.shape()[0] == own_rows &&
                          (options_.first_stage > 0 || batch.images.shape() == lane.of_batch(own_rows));
  DURA_CHECK(batch.labels.numel() == lane[0] * options_.lanes && batch.first_image == lane[0] * first_lane_ &&
                 (has_images || (pictures && !batch.images.defined())),
             "train step: images ", describe(batch.images), " and labels ", batch.labels.shape(), ", planned for ", own_lanes_, " of ",
             options_.lanes, " x ", describe(in_.input));
  DURA_CHECK(options_.first_stage == 0 || std::ssize(batch.pictures) == batch.labels.numel(), "train step: ", batch.pictures.size(),
             " picture numbers for ", batch.labels.numel(), " rows");
  images_ += own_rows;
  if (tree_)
    run_lanes(batch, features, pictures);
  else
    run_lane(batch, 0, features, pictures);
}

void TrainStep::run_lane(const Batch& batch, int64_t first_row, const FeatureSource& features, DevicePictures* pictures) {
  const int64_t rows = in_.labels.numel();
  const auto part = [&](const Tensor& t, int64_t first) { return t.slice(first * (t.numel() / t.shape()[0]), t.shape().of_batch(rows)); };
  Backend& b = backend(in_.input.device());
  Tensor input = pictures ? Tensor() : part(batch.images, first_row - batch.first_image);
  if (options_.first_stage > 0) {
    const auto first = batch.pictures.begin() + first_row;
    input = features(input, {first, first + rows});
    DURA_CHECK(input.shape() == in_.input.shape(), "train step: features of ", describe(input), ", planned for ", describe(in_.input));
  }
  // Images first: they can travel while the step before this one runs, and what comes after waits for the same slots.
  if (pictures)
    pictures->make(batch, first_row, in_.input);
  else if (options_.first_stage == 0)
    b.upload(input.raw(), in_.input);
  // In one, as a device has two slots: the fifth upload of a step would wait for all of the step before it (engine/cuda/staging.h).
  const Tensor labels = part(batch.labels, first_row), keys = part(batch.row_keys, first_row);
  std::vector<int32_t> of_rows(labels.data<int32_t>(), labels.data<int32_t>() + labels.numel());
  of_rows.insert(of_rows.end(), keys.data<int32_t>(), keys.data<int32_t>() + keys.numel());
  b.upload(of_rows.data(), of_rows_);
  if (in_.lesion.defined()) {
    const Tensor lesion = batch.lesion.defined() ? part(batch.lesion, first_row - batch.first_image) : Tensor();
    DURA_CHECK(lesion.defined() && lesion.shape() == in_.lesion.shape(), "train step: lesions are ", describe(lesion), ", planned for ",
               describe(in_.lesion));
    b.upload(lesion.raw(), in_.lesion);
  }
  if (options_.first_stage > 0) b.copy(input, in_.input);
  frozen_->refresh();
  step_->run();
}

void TrainStep::run_lanes(const Batch& batch, const FeatureSource& features, DevicePictures* pictures) {
  if (device_sum_) device_sum_->wait();  // uploads would wait behind it, for a lost rank without end
  Backend& b = backend(in_.input.device());
  const std::vector<double> guided = in_.lesion.defined() ? guided_shares(batch) : std::vector<double>();
  for (int64_t own = 0; own < own_lanes_; ++own) {
    const int64_t lane = first_lane_ + own;
    const Tensor& sums = lane_sums_[static_cast<size_t>(own)];
    share_.write(share_of_lane(batch, lane));
    if (in_.lesion.defined()) guided_share_.write(guided[static_cast<size_t>(lane)]);
    b.copy(sums, sums_);
    const bool in_buckets = exchange_ && tree_->is_last_lane();
    if (in_buckets) {
      step_->prepare();  // its dry run has no gradients
      exchanging_ = true;
    }
    run_lane(batch, lane * in_.labels.numel(), features, pictures);
    exchanging_ = false;
    b.copy(sums_, sums);
    if (!in_buckets) tree_->add_lane();
    if (own == 0)  // of rank 0 this is lane 0, whose statistics all get in the end (share_statistics)
      for (const RunningStatistics& r : running_) b.copy(r.tensor, r.of_lane_0);
  }
  for (const RunningStatistics& r : running_) {
    b.copy(r.of_lane_0, r.tensor);
    r.owner->buffers_changed();
  }
  add_over_ranks();
  adam_.step(tree_->sum_of_groups());
}

// The last levels of the tree.
void TrainStep::add_over_ranks() {
  if (options_.ranks->size() == 1) return;
  if (exchange_) return exchange_->finish();
  const Tensor& sum = tree_->sum();
  if (device_sum_) return device_sum_->add(sum);
  const Tensor host = host_readable(sum.device()) ? sum : host_copy(sum, "sum of gradients");
  all_reduce(*options_.ranks, host);
  if (!host.same_bytes(sum)) backend(sum.device()).upload(host.raw(), sum);
}

int64_t TrainStep::bytes_per_step() const {
  const Communicator& ranks = *options_.ranks;
  if (ranks.size() == 1) return 0;
  const int64_t shares = in_.lesion.defined() ? ranks.all_reduce_bytes(options_.lanes, sizeof(double)) : 0;
  if (device_sum_) return shares + device_sum_->bytes();
  const auto element = static_cast<int64_t>(dtype_size(tree_->sum().dtype()));
  return shares + (exchange_ ? exchange_->bytes_per_step() : ranks.all_reduce_bytes(tree_->sum().numel(), element));
}

void TrainStep::share_statistics() {
  if (options_.ranks->size() == 1) return;
  if (device_sum_) device_sum_->wait();
  for (const RunningStatistics& r : running_) {
    const Tensor host = host_copy(r.tensor);
    options_.ranks->broadcast(std::as_writable_bytes(std::span(static_cast<char*>(host.raw()), host.bytes())));
    backend(r.tensor.device()).upload(host.raw(), r.tensor);
    r.owner->buffers_changed();
  }
}

void TrainStep::Share::write(double share) {
  if (share == written) return;
  std::vector<double> values(StepState::slots, 0.0);
  values[StepState::loss_scale] = written = share;
  backend(state.device()).upload(values.data(), state);
}

// The loss of the batch is the sum over lanes of share * loss of the lane. A lane's loss is divided by its rows, or by the weights of its
// rows, the batch's by all of them.
double TrainStep::share_of_lane(const Batch& batch, int64_t lane) const {
  const std::vector<double>& weights = loss_options_.class_weights;
  if (loss_options_.cross_entropy.norm == ClassWeightNorm::sum_over_batch || weights.empty())
    return 1.0 / static_cast<double>(options_.lanes);
  const int64_t rows = in_.labels.numel();
  const int32_t* labels = batch.labels.data<int32_t>();
  double own = 0, all = 0;
  for (int64_t n = 0; n < rows * options_.lanes; ++n) {
    const double w = weights[static_cast<size_t>(labels[n])];
    all += w;
    if (n / rows == lane) own += w;
  }
  return own / all;
}

// By lane. The guide's loss is a mean over rows with a lesion: the batch's is that of lanes by how many they have. (A row whose map shows
// nothing does not count and cannot be known beforehand; it is a rounding of this share.) A process knows the lesions of its own lanes.
std::vector<double> TrainStep::guided_shares(const Batch& batch) const {
  const int64_t rows = in_.labels.numel(), cells = in_.lesion.numel() / rows;
  DURA_CHECK(batch.lesion.defined() && batch.lesion.numel() == rows * own_lanes_ * cells, "train step: lesions of ", describe(batch.lesion),
             " for ", own_lanes_, " lanes of ", describe(in_.lesion));
  const uint8_t* lesion = batch.lesion.data<uint8_t>();
  std::vector<double> shares(static_cast<size_t>(options_.lanes));
  for (int64_t n = 0; n < rows * own_lanes_; ++n)
    shares[static_cast<size_t>(first_lane_ + n / rows)] +=
        std::any_of(lesion + n * cells, lesion + (n + 1) * cells, [](uint8_t v) { return v != 0; });
  options_.ranks->all_reduce(std::span(shares));
  const double all = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& s : shares) s = all > 0 ? s / all : 0;
  return shares;
}

// Lanes are added in the same tree as their gradients; each entered its loss times its share, for as many rows as it has.
std::vector<double> TrainStep::added_sums() const {
  if (device_sum_) device_sum_->wait();
  std::vector<std::vector<double>> of_lanes;
  for (const Tensor& t : tree_ ? lane_sums_ : std::vector{sums_}) {
    of_lanes.emplace_back(static_cast<size_t>(t.numel()));
    backend(t.device()).download(t, of_lanes.back().data());
  }
  for (size_t step = 1; step < of_lanes.size(); step *= 2)
    for (size_t i = 0; i < of_lanes.size(); i += 2 * step)
      for (size_t k = 0; k < of_lanes[i].size(); ++k) of_lanes[i][k] += of_lanes[i + step][k];
  return of_lanes.front();
}

TrainSums TrainStep::sums_of(const std::vector<double>& added, int64_t images) const {
  TrainSums s{.images = images, .weighted_loss = added[0] * static_cast<double>(options_.lanes), .loss = added[1], .confusion = {}};
  const size_t guided = in_.lesion.defined() ? 2 : 0;
  for (size_t i = 2; i < added.size() - guided; ++i) s.confusion.push_back(static_cast<int64_t>(added[i]));
  if (guided > 0) s.outside = added[added.size() - 2], s.guided = added.back();
  return s;
}

TrainSums TrainStep::read_sums() const { return sums_of(added_sums(), images_); }

TrainSums TrainStep::read_sums_of_all() const {
  std::vector<double> added = added_sums();
  options_.ranks->all_reduce(std::span(added));
  return sums_of(added, images_ * options_.ranks->size());
}

void TrainStep::reset_sums() {
  Backend& b = backend(sums_.device());
  b.fill(sums_, 0);
  for (const Tensor& t : lane_sums_) b.fill(t, 0);
  images_ = 0;
}

}  // namespace dura
