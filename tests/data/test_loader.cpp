#include "tests/support/catch.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "data/set/loader.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"
#include "tests/support/ranks.h"
#include "tests/support/slices.h"

using namespace dura;
using test::Slices;

namespace {

const ClassNames classes({"Menin", "Glioma"});
const std::vector<AugmentPolicy> policies = {strong_augmentation(), light_augmentation()};

// Everything that a run can see of a batch, as one number.
uint64_t fingerprint(const Batch& batch) {
  uint64_t h = formula::mix64(static_cast<uint64_t>(batch.rows));
  const auto add = [&](const void* data, size_t bytes) { h = formula::mix64(h ^ hash_name({static_cast<const char*>(data), bytes})); };
  for (const Tensor& t : {batch.images, batch.labels, batch.row_keys}) add(t.raw(), t.bytes());
  add(batch.samples.data(), batch.samples.size() * sizeof(int64_t));
  for (const Augmentation& a : batch.augmentations) add(&a, sizeof a);
  return h;
}

std::vector<uint64_t> epoch_fingerprints(Loader& loader, int64_t epoch, int64_t first = 0) {
  std::vector<uint64_t> prints;
  for (loader.start_epoch(epoch, first); loader.next();) prints.push_back(fingerprint(loader.batch()));
  return prints;
}

}  // namespace

TEST_CASE("batches are the same with any number of loader threads", "[data][loader]") {
  const Slices slices(41);
  const Dataset dataset = slices.dataset();
  std::vector<std::vector<uint64_t>> runs;
  for (int workers : {0, 1, 8}) {
    Loader loader(dataset, {.batch_size = 4, .training = true, .seed = 5, .workers = workers, .policies = policies});
    std::vector<uint64_t> prints = epoch_fingerprints(loader, 0);
    for (uint64_t print : epoch_fingerprints(loader, 1)) prints.push_back(print);
    CHECK(prints.size() == 20);
    CHECK(std::set<uint64_t>(prints.begin(), prints.end()).size() == 20);
    runs.push_back(prints);
  }
  CHECK(runs[0] == runs[1]);
  CHECK(runs[0] == runs[2]);
}

TEST_CASE("batches are the same with and without a cache, and for any number of compute threads", "[data][loader]") {
  const Slices slices(22);
  const int before = num_threads();
  std::vector<std::vector<uint64_t>> runs;
  for (const auto& [bytes, threads] : {std::pair<uint64_t, int>{1 << 30, 1}, {0, 4}, {9000, 2}}) {
    set_num_threads(threads);
    const Dataset dataset = slices.dataset({.cache_bytes = bytes});
    CHECK(dataset.cached_bytes() <= bytes);
    CHECK(dataset.cached_images() == (bytes == 0 ? 0 : bytes == 9000 ? 12 : 22));  // slices of 1200 and 400 bytes in turn, until none fits
    Loader loader(dataset, {.batch_size = 4, .training = true, .seed = 5, .policies = policies});
    runs.push_back(epoch_fingerprints(loader, 2));
  }
  set_num_threads(before);
  CHECK(runs[0] == runs[1]);
  CHECK(runs[0] == runs[2]);
}

TEST_CASE("starting at any epoch and batch gives the batches of an uninterrupted run", "[data][loader]") {
  const Slices slices(30);
  const Dataset dataset = slices.dataset();
  const LoaderOptions options{.batch_size = 4, .training = true, .seed = 8, .workers = 3, .policies = policies};
  Loader whole(dataset, options), resumed(dataset, options);
  const std::vector<uint64_t> first = epoch_fingerprints(whole, 0), second = epoch_fingerprints(whole, 1);
  CHECK(epoch_fingerprints(resumed, 1, 3) == std::vector<uint64_t>(second.begin() + 3, second.end()));
  CHECK(epoch_fingerprints(resumed, 0, 7).empty());
  // Left in the middle of an epoch, with batches in preparation.
  resumed.start_epoch(5);
  REQUIRE(resumed.next());
  CHECK(epoch_fingerprints(resumed, 0) == first);
  CHECK(first != second);
}

TEST_CASE("a training epoch shows every slice once, shuffled, and drops the short last batch", "[data][loader]") {
  const Slices slices(30);
  const Dataset dataset = slices.dataset();
  Loader loader(dataset, {.batch_size = 4, .training = true, .seed = 1});
  CHECK(loader.batches_per_epoch() == 7);
  CHECK(loader.rows_per_epoch() == 28);
  std::vector<int64_t> seen[2];
  for (int64_t epoch : {0, 1})
    for (loader.start_epoch(epoch); loader.next();) {
      const Batch& batch = loader.batch();
      CHECK(batch.rows == 4);
      CHECK(batch.images.shape() == Shape({4, 20, 20, 3}));
      for (int64_t k = 0; k < 4; ++k) {
        const int64_t i = batch.samples[static_cast<size_t>(k)];
        seen[epoch].push_back(i);
        const Sample& sample = dataset.sample(i);
        const uint64_t key = make_row_key(sample.key, static_cast<uint64_t>(epoch), 0);
        const int32_t* words = batch.row_keys.data<int32_t>() + 2 * k;
        REQUIRE(batch.labels.data<int32_t>()[k] == sample.label);
        REQUIRE(formula::join_words(words[0], words[1]) == key);
        const Image expected = to_rgb(dataset.image(i));
        REQUIRE(std::memcmp(batch.images.data<uint8_t>() + k * 1200, expected.pixels.data(), 1200) == 0);
      }
    }
  CHECK(std::set<int64_t>(seen[0].begin(), seen[0].end()).size() == 28);
  CHECK(seen[0] != seen[1]);
  CHECK(!std::is_sorted(seen[0].begin(), seen[0].end()));
}

TEST_CASE("evaluation keeps the order and pads the last batch", "[data][loader]") {
  const Slices slices(10);
  const Dataset dataset = slices.dataset();
  Loader loader(dataset, {.batch_size = 4, .seed = 1, .workers = 2, .policies = policies});
  CHECK(loader.batches_per_epoch() == 3);
  CHECK(loader.rows_per_epoch() == 10);
  std::vector<int64_t> order;
  Batch last;
  for (loader.start_epoch(0); loader.next();) {
    last = loader.batch();
    order.insert(order.end(), loader.batch().samples.begin(), loader.batch().samples.end());
    CHECK(loader.batch().rows == (loader.batch().index == 2 ? 2 : 4));
    for (const Augmentation& a : loader.batch().augmentations) CHECK(a == Augmentation{});
  }
  CHECK(order == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -1});
  const uint8_t* images = last.images.data<uint8_t>();
  CHECK(std::all_of(images + 2 * 1200, images + 4 * 1200, [](uint8_t v) { return v == 0; }));
  CHECK(!loader.next());
  CHECK(epoch_fingerprints(loader, 0).size() == 3);
}

TEST_CASE("the balanced set adds augmented versions of the smaller class, the same every time", "[data][loader]") {
  const Slices slices(18);  // 5 Menin, 13 Glioma
  const Dataset dataset = slices.dataset();
  CHECK(dataset.class_counts() == std::vector<int64_t>{5, 13});
  const std::vector<LoaderItem> items = balanced_items(dataset);
  CHECK(items.size() == 26);
  Loader loader(dataset, {.batch_size = 26, .seed = 1, .policies = policies, .items = items});
  loader.start_epoch(0);
  REQUIRE(loader.next());
  const Batch first = loader.batch();
  std::map<int32_t, int> counts;
  std::set<std::pair<int64_t, uint32_t>> distinct;
  for (size_t k = 0; k < 26; ++k) {
    ++counts[first.labels.data<int32_t>()[k]];
    distinct.emplace(first.samples[k], first.variants[k]);
    CHECK((first.augmentations[k] == Augmentation{}) == (first.variants[k] == 0));
  }
  CHECK(counts == std::map<int32_t, int>{{0, 13}, {1, 13}});
  CHECK(distinct.size() == 26);
  loader.start_epoch(4);
  REQUIRE(loader.next());
  Batch later = loader.batch();
  CHECK(fingerprint(first) == fingerprint(later));
}

TEST_CASE("oversampling lists the rare class again until it has its share, with other versions each time", "[data][loader]") {
  const Slices slices(30);  // 8 Menin, 22 Glioma
  const Dataset dataset = slices.dataset();
  CHECK(dataset.class_counts() == std::vector<int64_t>{8, 22});
  const auto listed = [&](double share, uint64_t seed) {
    std::map<int64_t, std::set<uint32_t>> versions;
    for (const LoaderItem& item : oversampled_items(dataset, 0, share, seed)) REQUIRE(versions[item.sample].insert(item.variant).second);
    return versions;
  };
  const auto count = [&](const std::map<int64_t, std::set<uint32_t>>& versions, int32_t label) {
    size_t sum = 0;
    for (const auto& [sample, of_sample] : versions) sum += dataset.sample(sample).label == label ? of_sample.size() : 0;
    return sum;
  };
  const auto half = listed(0.5, 1);
  CHECK((half.size() == 30 && count(half, 0) == 22 && count(half, 1) == 22));
  for (const auto& [sample, versions] : half) {
    const size_t n = versions.size();
    CHECK((dataset.sample(sample).label == 1 ? n == 1 : n == 2 || n == 3));  // 22 = 8 + 8 + 6
    CHECK((*versions.begin() == 0 && *versions.rbegin() == n - 1));
  }
  CHECK(listed(0.5, 1) == half);
  CHECK(listed(0.5, 2) != half);           // others have the third version
  CHECK(count(listed(0.75, 1), 0) == 66);  // 66 of 88
  for (double less : {0.0, 0.1, 8.0 / 30}) CHECK(oversampled_items(dataset, 0, less, 1).size() == 30);
  for (double wrong : {-0.1, 1.0, std::nan("")}) CHECK_THROWS_AS(oversampled_items(dataset, 0, wrong, 1), UsageError);
  CHECK_THROWS_WITH(oversampled_items(dataset, 2, 0.5, 1), Catch::Contains("no class 2"));
}

TEST_CASE("an oversampled epoch shows every listed version, augmented each its own way, with any number of threads", "[data][loader]") {
  const Slices slices(30);
  const Dataset dataset = slices.dataset();
  const std::vector<LoaderItem> items = oversampled_items(dataset, 0, 0.5, 3);
  std::vector<std::vector<uint64_t>> runs;
  for (int workers : {0, 1, 8}) {
    Loader loader(dataset, {.batch_size = 4, .training = true, .seed = 5, .workers = workers, .policies = policies, .items = items});
    CHECK(loader.rows_per_epoch() == 44);
    runs.push_back(epoch_fingerprints(loader, 0));
    for (uint64_t print : epoch_fingerprints(loader, 1, 6)) runs.back().push_back(print);  // as a resumed run asks for them
  }
  CHECK(runs[0] == runs[1]);
  CHECK(runs[0] == runs[2]);

  Loader loader(dataset, {.batch_size = 4, .training = true, .seed = 5, .policies = policies, .items = items});
  std::map<int32_t, int> labels;
  std::set<uint64_t> keys;
  std::map<int64_t, std::set<std::array<float, 6>>> looks;
  for (loader.start_epoch(0); loader.next();)
    for (size_t k = 0; k < 4; ++k) {
      const Batch& batch = loader.batch();
      const int32_t* words = batch.row_keys.data<int32_t>() + 2 * k;
      ++labels[batch.labels.data<int32_t>()[k]];
      keys.insert(formula::join_words(words[0], words[1]));
      looks[batch.samples[k]].insert(batch.augmentations[k].matrix);
    }
  CHECK(labels == std::map<int32_t, int>{{0, 22}, {1, 22}});
  CHECK(keys.size() == 44);  // dropout draws by them, too
  for (const auto& [sample, of_sample] : looks)
    CHECK(of_sample.size() == (dataset.sample(sample).label == 1 ? 1 : of_sample.size() == 3 ? 3 : 2));
}

TEST_CASE("where augmentations repeat, pictures of the same number have the same pixels, and random keys go on", "[data][loader]") {
  const Slices slices(12);
  const Dataset dataset = slices.dataset();
  std::map<int64_t, std::vector<uint8_t>> pixels;
  std::set<uint64_t> keys;
  const auto look = [&](Loader& loader, int64_t epoch) {
    for (loader.start_epoch(epoch); loader.next();)
      for (int64_t k = 0; k < loader.batch().rows; ++k) {
        const Batch& batch = loader.batch();
        const int64_t side = dataset.height();
        const Tensor image = batch.images.slice(k * side * side * 3, {side, side, 3});
        const std::vector<uint8_t> found(image.data<uint8_t>(), image.data<uint8_t>() + image.numel());
        CHECK(pixels.emplace(batch.pictures[static_cast<size_t>(k)], found).first->second == found);
        const int32_t* words = batch.row_keys.data<int32_t>() + 2 * k;
        keys.insert(formula::join_words(words[0], words[1]));
      }
  };
  const std::vector<LoaderItem> items = oversampled_items(dataset, 0, 0.5, 3);  // 18 in an epoch
  Loader training(dataset, {.batch_size = 3, .training = true, .repeat = 2, .seed = 5, .policies = policies, .items = items});
  for (int64_t epoch = 0; epoch < 4; ++epoch) look(training, epoch);
  CHECK(pixels.size() == 2 * 18);
  CHECK(keys.size() == 4 * 18);
  Loader ordered(dataset, {.batch_size = 4, .repeat = 2, .pictures_of_training = true, .seed = 5, .policies = policies, .items = items});
  for (int64_t epoch = 0; epoch < 2; ++epoch) look(ordered, epoch);
  CHECK(pixels.size() == 2 * 18);  // those that training had
  CHECK_THROWS_AS(Loader(dataset, {.batch_size = 3, .repeat = -1}), UsageError);
}

TEST_CASE("bad images are named, counted and left out, and too many stop the run", "[data][loader]") {
  const Slices slices(40);
  std::vector<std::string> warnings;
  log_sink() = [&](LogLevel, const std::string& text) { warnings.push_back(text); };
  slices.folder.write("s3.png", "");
  slices.folder.write("s8.png", std::string("\x89PNG\r\n\x1a\n", 8));
  std::filesystem::remove(slices.folder / "s11.png");
  slices.folder.write("s12.png", "no picture");
  const Dataset dataset = slices.dataset({.allowed_bad_share = 0.1});
  log_sink() = nullptr;
  CHECK(dataset.size() == 36);
  REQUIRE(dataset.bad_images().size() == 4);
  CHECK(dataset.bad_images()[0].file == "s3.png");
  CHECK_THAT(dataset.bad_images()[0].reason, Catch::Contains("0 bytes"));
  CHECK_THAT(dataset.bad_images()[1].reason, Catch::Contains("s8.png") && Catch::Contains("cut off"));
  CHECK_THAT(dataset.bad_images()[2].reason, Catch::Contains("s11.png"));
  CHECK_THAT(dataset.bad_images()[3].reason, Catch::Contains("not a PNG or JPEG"));
  CHECK(warnings.size() == 4);
  CHECK(std::none_of(slices.rows.begin(), slices.rows.begin() + 36, [&](int64_t i) { return dataset.sample(i).file == "s8.png"; }));
  CHECK_THROWS_WITH(slices.dataset(), Catch::Contains("4 of 40 images are bad") && Catch::Contains("s3.png"));

  Loader loader(dataset, {.batch_size = 4, .training = true, .policies = policies});
  CHECK(epoch_fingerprints(loader, 0).size() == 9);
}

TEST_CASE("what is remembered of pictures saves decoding them and changes nothing else", "[data][loader]") {
  const Slices slices(40);
  slices.folder.write("s3.png", "no picture");
  const std::filesystem::path record = slices.folder / "checked.csv";
  log_sink() = [](LogLevel, const std::string&) {};
  const auto open = [&](const std::filesystem::path& checked) {
    return slices.dataset({.allowed_bad_share = 0.1, .cache_bytes = 9000, .checked = checked});
  };
  const auto batches = [](const Dataset& dataset) {
    Loader loader(dataset, {.batch_size = 4, .training = true, .seed = 5, .policies = policies});
    return epoch_fingerprints(loader, 2);
  };
  const Dataset plain = open({}), first = open(record);
  const std::vector<uint64_t> expected = batches(plain);
  CHECK(plain.cached_images() == first.cached_images());
  const std::string text = read_text_file(record, 1 << 20);
  CHECK(parse_checked(text, "text").size() == 40);

  const Dataset second = open(record);
  CHECK(second.cached_images() == 0);  // nothing was decoded
  CHECK(second.bad_images().at(0).reason == plain.bad_images().at(0).reason);
  CHECK(second.class_counts() == plain.class_counts());
  CHECK(batches(second) == expected);
  CHECK(second.cached_bytes() <= second.cache_limit());
  CHECK(second.cache_limit() <= 9000);
  CHECK(read_text_file(record, 1 << 20) == text);

  // Another time, the same contents: found by their sum. A repaired file and a damaged one are noticed.
  std::filesystem::last_write_time(slices.folder / "s4.png", std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  CHECK(open(record).cached_images() == 0);
  std::filesystem::copy_file(slices.folder / "s4.png", slices.folder / "s3.png", std::filesystem::copy_options::overwrite_existing);
  CHECK(open(record).bad_images().empty());
  slices.folder.write("s5.png", "");
  CHECK(open(record).bad_images().at(0).file == "s5.png");

  // A record that is none is passed over.
  slices.folder.write("checked.csv", "file,bytes\ns1.png,12\n");
  CHECK(open(record).size() == 39);
  log_sink() = nullptr;
}

TEST_CASE("processes check and keep a part each and find the same data set", "[data][loader]") {
  const Slices slices(41);
  slices.folder.write("s30.png", "no picture");
  log_sink() = [](LogLevel, const std::string&) {};
  const Dataset alone = slices.dataset({.allowed_bad_share = 0.1});
  std::vector<int64_t> kept(3), same(3);
  std::vector<std::string> bad(3);
  const std::vector<std::string> errors = test::on_ranks(3, {}, [&](Communicator& ranks) {
    const Dataset own = slices.dataset({.allowed_bad_share = 0.1, .shared = ranks.work()});
    const auto r = static_cast<size_t>(ranks.rank());
    kept[r] = own.cached_images();
    bad[r] = own.bad_images().at(0).reason;
    for (int64_t i = 0; i < own.size(); ++i) same[r] += own.image(i) == alone.image(i) && own.sample(i).file == alone.sample(i).file;
  });
  CHECK(errors == std::vector<std::string>(3));
  CHECK(kept == std::vector<int64_t>{13, 14, 13});  // of 41, one is bad
  CHECK(same == std::vector<int64_t>(3, 40));
  CHECK(bad == std::vector<std::string>(3, alone.bad_images().at(0).reason));
  log_sink() = nullptr;
}

TEST_CASE("a data set of one class, of no rows or of unequal slices is refused", "[data][loader]") {
  const Slices slices(8);
  Slices one_class(3);
  one_class.rows = {1, 2};
  CHECK_THROWS_WITH(one_class.dataset({.require_all_classes = true}), Catch::Contains("no row of class Menin"));
  CHECK(one_class.dataset().size() == 2);
  one_class.rows.clear();
  CHECK_THROWS_WITH(one_class.dataset(), Catch::Contains("no rows"));
  write_png(slices.folder / "s5.png", test::picture(30, 30, 3));
  CHECK_THROWS_WITH(Dataset(slices.manifest, slices.rows, classes, Preprocessing(), {.folder = slices.folder.path()}),
                    Catch::Contains("s5.png: 30x30"));
}

TEST_CASE("masks are resized as their slices are and must have the same extents", "[data][loader]") {
  Slices slices(4);
  Image mask(24, 24, 1);
  for (int64_t r = 6; r < 18; ++r)
    for (int64_t c = 0; c < 12; ++c) mask.at(r, c) = 255;
  write_png(slices.folder / "m0.png", mask);
  write_png(slices.folder / "m1.png", Image(12, 12, 1));
  slices.manifest.rows[0].mask = "m0.png";
  slices.manifest.rows[0].mm_per_pixel = 0.5;
  slices.manifest.rows[1].mask = "m1.png";
  slices.manifest.rows[2].mask = "missing.png";
  const Dataset dataset = slices.dataset({}, 12);
  const Image resized = dataset.mask(0);
  CHECK((resized.height == 12 && std::count(resized.pixels.begin(), resized.pixels.end(), 255) == 36));
  CHECK((resized.at(3, 0) == 255 && resized.at(2, 0) == 0 && resized.at(8, 5) == 255 && resized.at(8, 6) == 0));
  CHECK_THROWS_WITH(dataset.mask(1), Catch::Contains("12x12") && Catch::Contains("24x24"));
  CHECK_THROWS_WITH(dataset.mask(2), Catch::Contains("missing.png"));
  CHECK(dataset.mask(3).empty());
  CHECK(dataset.lesion(0).pixels == 144);  // as stored, not as resized
  CHECK(dataset.lesion(0).area_mm2 == 36);
  CHECK(dataset.lesion(3).pixels == 0);
}

TEST_CASE("what goes wrong in a loader thread is thrown by next(), at its batch", "[data][loader]") {
  const Slices slices(16);
  const Dataset dataset = slices.dataset({.cache_bytes = 0});
  std::filesystem::remove(slices.folder / "s9.png");
  Loader loader(dataset, {.batch_size = 4, .workers = 3});
  for (int round = 0; round < 2; ++round) {
    loader.start_epoch(0);
    CHECK(loader.next());
    CHECK(loader.next());
    CHECK_THROWS_WITH(loader.next(), Catch::Contains("s9.png"));
    CHECK_THROWS(loader.batch());
    CHECK(loader.next());
    CHECK(loader.batch().samples.front() == 12);
    CHECK(!loader.next());
  }
}

TEST_CASE("a loader can be stopped at any moment", "[data][loader]") {
  const Slices slices(40);
  const Dataset dataset = slices.dataset({.cache_bytes = 0});
  for (int stop = 0; stop < 40; ++stop) {
    Loader loader(dataset, {.batch_size = 2, .training = true, .workers = 1 + stop % 4, .prefetch = 1 + stop % 6, .policies = policies});
    if (stop % 8 == 0) continue;
    loader.start_epoch(0);
    for (int k = 0; k < stop % 8 - 1; ++k) REQUIRE(loader.next());
  }
}

TEST_CASE("a loader has half as many threads as the program, and two batches ahead for each", "[data][loader]") {
  const int before = num_threads();
  for (const auto& [threads, workers] : {std::pair{1, 2}, {2, 2}, {4, 2}, {6, 3}, {16, 8}, {64, 16}}) {
    set_num_threads(threads);
    CHECK(LoaderOptions{}.workers == workers);
    CHECK(LoaderOptions{}.prefetch == 2 * workers);
  }
  set_num_threads(before);
}

TEST_CASE("nonsense loader options are refused", "[data][loader]") {
  const Slices slices(6);
  const Dataset dataset = slices.dataset();
  CHECK_THROWS_AS(Loader(dataset, {.batch_size = 0}), UsageError);
  CHECK_THROWS_AS(Loader(dataset, {.workers = -1}), UsageError);
  CHECK_THROWS_AS(Loader(dataset, {.prefetch = 0}), UsageError);
  CHECK_THROWS_AS(Loader(dataset, {.policies = {light_augmentation()}}), UsageError);
  CHECK_THROWS_WITH(Loader(dataset, {.batch_size = 7, .training = true}), Catch::Contains("Make the batch smaller"));
  CHECK_THROWS_WITH(Loader(dataset, {.items = {{6, 0}}}), Catch::Contains("item 6"));
  Loader loader(dataset, {.batch_size = 4});
  CHECK_THROWS_WITH(loader.next(), Catch::Contains("before start_epoch"));
  CHECK_THROWS_WITH(loader.start_epoch(0, 3), Catch::Contains("batch 3"));
}

TEST_CASE("loops of a thread beside the computation run in line", "[parallel]") {
  const int before = num_threads();
  set_num_threads(4);
  {
    const InlineLoops in_line;
    std::mutex mutex;
    std::vector<int64_t> order;
    std::set<std::thread::id> threads;
    parallel_for(20, [&](int64_t i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // long enough for the pool's threads to take their share, if it were used
      const std::lock_guard lock(mutex);
      order.push_back(i);
      threads.insert(std::this_thread::get_id());
    });
    CHECK(std::is_sorted(order.begin(), order.end()));
    CHECK(order.size() == 20);
    CHECK(threads == std::set<std::thread::id>{std::this_thread::get_id()});
  }
  std::atomic<int64_t> sum = 0;
  parallel_for(100, [&](int64_t i) { sum += i; });
  CHECK(sum == 4950);
  set_num_threads(before);
}
