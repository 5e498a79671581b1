#include "models/c/model.h"

#include "engine/base/file.h"
#include "engine/base/parallel.h"
#include "engine/devices/cuda_devices.h"
#include "models/c/handles.h"
#include "weights/safetensors.h"

namespace dura::c {
namespace {

std::mutex open_mutex;
int open_models = 0;

constexpr int32_t most_threads = 1024, most_batch = 4096;

struct OpenOptions {
  int threads = 0;
  PredictorOptions predictor;
};

template <class T>
T named(const char* name, const char* what, std::initializer_list<std::pair<const char*, T>> known) {
  if (!name) return known.begin()->second;
  std::string names;
  for (const auto& [text, value] : known) {
    if (std::strcmp(name, text) == 0) return value;
    names += concat(names.empty() ? "" : ", ", text);
  }
  fail_usage("dura_options.", what, " is '", name, "', expected one of ", names);
}

OpenOptions open_options(const dura_options* given, dura_status& kind) {
  const dura_options o = known_part(given, "dura_options");
  if (o.threads < 0 || o.threads > most_threads) fail_usage("dura_options.threads is ", o.threads, ", expected 0 to ", most_threads);
  if (o.batch < 0 || o.batch > most_batch) fail_usage("dura_options.batch is ", o.batch, ", expected 0 to ", most_batch);
  OpenOptions result;
  result.threads = o.threads;
  result.predictor.batch = std::max(1, o.batch);
  result.predictor.tensors.compute =
      named<DType>(o.precision, "precision", {{"f32", DType::f32}, {"bf16", DType::bf16}, {"f16", DType::f16}});
  // The simulated device is for programs: it takes over SIGSEGV and may end the process.
  result.predictor.tensors.device = named<Device>(o.device, "device", {{"cpu", Device::cpu}, {"cuda", Device::cuda}});
  if (const Device device = result.predictor.tensors.device; device != Device::cpu) {
    kind = DURA_ERROR_DEVICE;
    if (const std::string reason = cuda::why_not(device); !reason.empty())
      fail("dura_options.device is '", device_name(device), "': ", reason, ". Use cpu.");
  }
  return result;
}

}  // namespace

ThreadShare::ThreadShare(int threads) {
  const std::lock_guard lock(open_mutex);
  if (threads > 0 && threads != num_threads()) {
    if (open_models > 0)
      fail_usage("dura_options.threads is ", threads, ", but the models that are open share a pool of ", num_threads(),
                 " threads. Leave it 0, or close them first.");
    set_num_threads(threads);
  }
  ++open_models;
}

ThreadShare::~ThreadShare() {
  const std::lock_guard lock(open_mutex);
  if (--open_models == 0) device_pool(Device::cpu)->reset_peak();
}

}  // namespace dura::c

using namespace dura;

const char* dura_version(void) { return DURA_VERSION; }

dura_model* dura_open_file(dura_call* call, const char* path, const dura_options* options) {
  std::unique_ptr<dura_model> model;
  const dura_status status = c::guarded(call, [&](dura_status& kind) {
    c::require_handle(path, "the path of the model");
    const c::OpenOptions o = c::open_options(options, kind);
    kind = DURA_ERROR_USAGE;
    model = std::make_unique<dura_model>(o.threads);
    kind = DURA_ERROR_FILE;
    const FileBytes bytes = read_file_bytes(path, max_weight_file_bytes);
    kind = DURA_ERROR_MODEL;
    model->load(bytes.span(), path, o.predictor);
  });
  return status == DURA_OK ? model.release() : nullptr;
}

dura_model* dura_open_memory(dura_call* call, const void* bytes, size_t size, const dura_options* options) {
  std::unique_ptr<dura_model> model;
  const dura_status status = c::guarded(call, [&](dura_status& kind) {
    c::require_handle(bytes, "the address of the model's bytes");
    const c::OpenOptions o = c::open_options(options, kind);
    kind = DURA_ERROR_USAGE;
    model = std::make_unique<dura_model>(o.threads);
    kind = DURA_ERROR_MODEL;
    model->load({static_cast<const uint8_t*>(bytes), size}, "a model in memory", o.predictor);
  });
  return status == DURA_OK ? model.release() : nullptr;
}

void dura_close(dura_model* model) { delete model; }

size_t dura_class_count(const dura_model* model) { return model ? model->predictor->classes().size() : 0; }

const char* dura_class_name(const dura_model* model, size_t number) {
  return number < dura_class_count(model) ? model->predictor->classes()[number].c_str() : nullptr;
}
