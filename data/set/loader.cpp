#include "data/set/loader.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

#include "data/image/preprocess.h"
#include "engine/base/numbers.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"

namespace dura {
namespace {

std::vector<int64_t> members_of(const Dataset& dataset, int32_t label) {
  std::vector<int64_t> samples;
  for (int64_t i = 0; i < dataset.size(); ++i)
    if (dataset.sample(i).label == label) samples.push_back(i);
  return samples;
}

// Versions 1, 2, ... of the samples in turn, until with version 0, which is there already, they are `target`.
void add_versions(std::vector<LoaderItem>& items, const std::vector<int64_t>& samples, int64_t target) {
  const int64_t count = static_cast<int64_t>(samples.size());
  for (int64_t k = count; count > 0 && k < target; ++k)
    items.push_back({samples[static_cast<size_t>(k % count)], static_cast<uint32_t>(k / count)});
}

void store_words(uint64_t key, int32_t* words) {
  const uint32_t halves[2] = {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  std::memcpy(words, halves, sizeof halves);
}

// Makes batches; has no state that changes, so any thread may ask it.
class BatchMaker {
 public:
  BatchMaker(const Dataset& dataset, LoaderOptions options) : dataset_(dataset), options_(std::move(options)) {
    if (options_.batch_size < 1) fail_usage("the batch size is ", options_.batch_size, ", it must be at least 1");
    if (options_.workers < 0 || options_.workers > 256)
      fail_usage("the number of loader threads is ", options_.workers, ", it must be from 0 to 256");
    if (options_.repeat < 0) fail_usage("augmentations repeat after ", options_.repeat, " epochs; 0 (never) or more is expected");
    if (options_.prefetch < 1) fail_usage("the number of batches prepared ahead is ", options_.prefetch, ", it must be at least 1");
    if (!options_.policies.empty() && options_.policies.size() != dataset.class_counts().size())
      fail_usage(options_.policies.size(), " augmentation policies for ", dataset.class_counts().size(), " classes");
    DURA_CHECK(options_.parts >= 1 && options_.part >= 0 && options_.part < options_.parts && options_.batch_size % options_.parts == 0,
               "loader: part ", options_.part, " of ", options_.parts, " of a batch of ", options_.batch_size);
    for (const AugmentPolicy& policy : options_.policies) policy.check("augmentation");
    if (options_.items.empty()) options_.items = each_once(dataset);
    for (const LoaderItem& item : options_.items) {
      DURA_CHECK(item.sample >= 0 && item.sample < dataset.size(), "loader: item ", item.sample, " of a data set of ", dataset.size());
      versions_ = std::max(versions_, int64_t{item.variant} + 1);
    }
    DURA_CHECK(batches() > 0, "a training batch needs ", options_.batch_size, " slices and there are ", options_.items.size(),
               ". Make the batch smaller.");
  }

  const LoaderOptions& options() const { return options_; }
  int64_t items() const { return static_cast<int64_t>(options_.items.size()); }
  int64_t batches() const { return options_.training ? items() / options_.batch_size : ceil_div(items(), options_.batch_size); }

  std::vector<LoaderItem> order(int64_t epoch) const {
    std::vector<LoaderItem> order = options_.items;
    if (options_.training) Random(random_key(options_.seed, "shuffle"), static_cast<uint64_t>(epoch)).shuffle(order);
    return order;
  }

  Batch make(const std::vector<LoaderItem>& order, int64_t epoch, int64_t index) const {
    const int64_t size = options_.batch_size, first = index * size;
    Batch batch;
    batch.labels = Tensor::zeros(Shape({size}), DType::i32, Device::cpu, "batch of labels");
    batch.row_keys = Tensor::zeros(Shape({size, 2}), DType::i32, Device::cpu, "batch of row keys");
    const LesionGrid& lesions = options_.lesions;
    batch.rows = std::min(size, items() - first);
    batch.samples.assign(static_cast<size_t>(size), -1);
    batch.pictures = batch.samples;
    batch.variants.assign(static_cast<size_t>(size), 0);
    batch.augmentations.assign(static_cast<size_t>(size), {});
    batch.epoch = epoch;
    batch.index = index;
    const int64_t with_image = size / options_.parts;
    batch.first_image = options_.part * with_image;
    if (lesions.rows > 0)
      batch.lesion = Tensor::zeros({with_image, lesions.rows, lesions.columns}, DType::u8, Device::cpu, "batch of lesions");
    std::vector<Image> images(static_cast<size_t>(with_image),
                              Image(dataset_.height(), dataset_.width(), 1));  // black where none is wanted
    const bool raw = options_.raw_from >= 0;
    for (int64_t k = 0; k < batch.rows; ++k) {
      fill_row(batch, k, order[static_cast<size_t>(first + k)]);
      const int64_t i = k - batch.first_image;
      if (i < 0 || i >= with_image) continue;
      const int64_t sample = batch.samples[static_cast<size_t>(k)];
      if (!raw)
        images[static_cast<size_t>(i)] = augmented(dataset_.image(sample), batch.augmentations[static_cast<size_t>(k)]);
      else if (sample >= options_.raw_from)
        images[static_cast<size_t>(i)] = dataset_.image(sample);
      if (batch.lesion.defined()) fill_lesion(batch, k);
    }
    if (!raw || options_.raw_from < dataset_.size()) batch.images = rgb_batch(images);
    return batch;
  }

 private:
  // Everything of row k but its image and lesion.
  void fill_row(Batch& batch, int64_t k, const LoaderItem& item) const {
    const Sample& sample = dataset_.sample(item.sample);
    // Outside of training the epoch does not enter: an evaluation sees the same versions every time.
    const bool of_training = options_.training || options_.pictures_of_training;
    const int64_t epoch = of_training ? batch.epoch : 0, round = options_.repeat > 0 ? epoch % options_.repeat : epoch;
    const uint64_t key = make_row_key(sample.key, static_cast<uint64_t>(epoch), item.variant);
    const auto row = static_cast<size_t>(k);
    Augmentation a;
    batch.pictures[row] = item.sample;
    const AugmentPolicy policy = options_.policies.empty() ? AugmentPolicy{} : options_.policies[static_cast<size_t>(sample.label)];
    if (!policy.changes_nothing() && (of_training || item.variant > 0)) {
      const uint64_t drawn_by = make_row_key(sample.key, static_cast<uint64_t>(round), item.variant);
      a = draw_augmentation(policy, options_.seed, drawn_by, dataset_.height(), dataset_.width());
      batch.pictures[row] += dataset_.size() * (1 + item.variant + versions_ * round);
    }
    batch.labels.data<int32_t>()[k] = sample.label;
    store_words(key, batch.row_keys.data<int32_t>() + 2 * k);
    batch.samples[row] = item.sample;
    batch.variants[row] = item.variant;
    batch.augmentations[row] = a;
  }

  void fill_lesion(Batch& batch, int64_t k) const {
    const int64_t sample = batch.samples[static_cast<size_t>(k)];
    if (dataset_.sample(sample).mask.empty()) return;
    const Image mask = warp_mask(dataset_.mask(sample), batch.augmentations[static_cast<size_t>(k)]);
    const std::vector<uint8_t> cells = lesion_cells(mask, options_.lesions);
    std::copy(cells.begin(), cells.end(), batch.lesion.data<uint8_t>() + (k - batch.first_image) * std::ssize(cells));
  }

  const Dataset& dataset_;
  LoaderOptions options_;
  int64_t versions_ = 1;  // of a sample, at most
};

}  // namespace

int default_loader_workers() { return std::clamp(num_threads() / 2, 2, 16); }

// Everything below `mutex` is guarded by it. Threads take batch numbers in order, at most `prefetch` ahead of what was delivered; a batch
// of an epoch that was left meanwhile is thrown away (`generation`).
struct Loader::State {
  State(const Dataset& dataset, LoaderOptions options) : maker(dataset, std::move(options)) {
    try {
      for (int i = 0; i < maker.options().workers; ++i) threads.emplace_back([this] { work(); });
    } catch (const std::system_error& e) {
      join();
      fail("the loader could not start ", maker.options().workers, " threads: ", e.what(), ". Use fewer.");
    }
  }
  ~State() { join(); }

  void join() {
    {
      std::lock_guard lock(mutex);
      stop = true;
    }
    wake_workers.notify_all();
    for (std::thread& t : threads) t.join();
  }

  struct Result {
    Batch batch;
    std::exception_ptr error;
  };

  Result make(const std::vector<LoaderItem>& items, int64_t of_epoch, int64_t index) const {
    try {
      return {maker.make(items, of_epoch, index), nullptr};
    } catch (...) {
      return {{}, std::current_exception()};
    }
  }

  void work() {
    const InlineLoops in_line;
    std::unique_lock lock(mutex);
    for (;;) {
      wake_workers.wait(
          lock, [&] { return stop || (order && to_prepare < maker.batches() && to_prepare < to_deliver + maker.options().prefetch); });
      if (stop) return;
      const int64_t index = to_prepare++, of_epoch = epoch;
      const uint64_t of_generation = generation;
      const std::shared_ptr<const std::vector<LoaderItem>> items = order;
      lock.unlock();
      Result result = make(*items, of_epoch, index);
      lock.lock();
      if (of_generation != generation) continue;
      ready.emplace(index, std::move(result));
      wake_consumer.notify_all();
    }
  }

  const BatchMaker maker;
  Batch current;
  bool has_current = false;

  std::mutex mutex;
  std::condition_variable wake_workers, wake_consumer;
  bool stop = false;
  uint64_t generation = 0;
  int64_t epoch = 0, to_prepare = 0, to_deliver = 0;
  std::shared_ptr<const std::vector<LoaderItem>> order;  // of the epoch; null before the first
  std::map<int64_t, Result> ready;
  std::vector<std::thread> threads;  // last: started when everything else is there
};

Loader::Loader(const Dataset& dataset, LoaderOptions options) : state_(std::make_unique<State>(dataset, std::move(options))) {}
Loader::~Loader() = default;

int64_t Loader::batches_per_epoch() const { return state_->maker.batches(); }
int64_t Loader::rows_per_epoch() const { return std::min(state_->maker.items(), batches_per_epoch() * state_->maker.options().batch_size); }

void Loader::start_epoch(int64_t epoch, int64_t first) {
  DURA_CHECK(epoch >= 0 && first >= 0 && first <= batches_per_epoch(), "loader: batch ", first, " of epoch ", epoch,
             " was asked for, an epoch has ", batches_per_epoch());
  auto order = std::make_shared<const std::vector<LoaderItem>>(state_->maker.order(epoch));
  {
    std::lock_guard lock(state_->mutex);
    ++state_->generation;
    state_->epoch = epoch;
    state_->to_prepare = state_->to_deliver = first;
    state_->order = std::move(order);
    state_->ready.clear();
    state_->has_current = false;
  }
  state_->wake_workers.notify_all();
}

bool Loader::next() {
  State& s = *state_;
  s.has_current = false;
  std::unique_lock lock(s.mutex);
  DURA_CHECK(s.order, "loader: next() before start_epoch()");
  if (s.to_deliver >= s.maker.batches()) return false;
  State::Result result;
  if (s.threads.empty()) {
    result = s.make(*s.order, s.epoch, s.to_deliver);
  } else {
    s.wake_consumer.wait(lock, [&] { return s.ready.count(s.to_deliver) > 0; });
    result = std::move(s.ready.extract(s.to_deliver).mapped());
  }
  ++s.to_deliver;
  lock.unlock();
  s.wake_workers.notify_all();
  if (result.error) std::rethrow_exception(result.error);
  s.current = std::move(result.batch);
  s.has_current = true;
  return true;
}

const Batch& Loader::batch() const {
  DURA_CHECK(state_->has_current, "loader: batch() without a successful next()");
  return state_->current;
}

std::vector<LoaderItem> each_once(const Dataset& dataset) {
  std::vector<LoaderItem> items;
  for (int64_t i = 0; i < dataset.size(); ++i) items.push_back({i, 0});
  return items;
}

std::vector<LoaderItem> balanced_items(const Dataset& dataset) {
  const std::vector<int64_t>& counts = dataset.class_counts();
  std::vector<LoaderItem> items = each_once(dataset);
  for (size_t c = 0; c < counts.size(); ++c)
    add_versions(items, members_of(dataset, static_cast<int32_t>(c)), *std::max_element(counts.begin(), counts.end()));
  return items;
}

std::vector<LoaderItem> oversampled_items(const Dataset& dataset, int32_t label, double share, uint64_t seed) {
  DURA_CHECK(label >= 0 && static_cast<size_t>(label) < dataset.class_counts().size(), "oversampling: there is no class ", label);
  if (!(share >= 0 && share < 1)) fail_usage("oversampling: a share of ", share, " of an epoch, it must be from 0 to below 1");
  std::vector<int64_t> members = members_of(dataset, label);
  const auto others = static_cast<double>(dataset.size() - static_cast<int64_t>(members.size()));
  // Where the last round is not whole, chance decides whose turn it is, not the order of the table, which may be that of patients.
  Random(random_key(seed, "oversampling")).shuffle(members);
  std::vector<LoaderItem> items = each_once(dataset);
  add_versions(items, members, std::llround(others * share / (1 - share)));
  return items;
}

}  // namespace dura
