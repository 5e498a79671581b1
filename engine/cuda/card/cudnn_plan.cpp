#include "engine/cuda/card/cudnn_plan.h"

#include <algorithm>
#include <array>

#include "engine/cuda/card/cudnn_graph.h"

namespace dura::cuda {
namespace {

cudnnHandle_t as_handle(void* handle) { return static_cast<cudnnHandle_t>(handle); }

std::vector<CudnnDescriptor> heuristic_results(const CudnnGraph& graph, const PlanTarget& target, cudnnBackendHeurMode_t mode) {
  CudnnDescriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "heuristics");
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.descriptor());
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
  if (target.properties()) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.properties());
  heuristics.finalize();
  const int64_t count = heuristics.count(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR);
  std::vector<CudnnDescriptor> results;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (int64_t i = 0; i < count; ++i) raw.push_back(results.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "engine configuration").raw());
  // Fewer may be filled than were counted; the descriptors behind them stay empty.
  const int64_t filled = heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, raw.data());
  while (static_cast<int64_t>(results.size()) > filled) results.pop_back();
  return results;
}

// What an engine says of itself, whatever its settings.
EngineOffer read_engine(const CudnnDescriptor& engine) {
  EngineOffer offer;
  offer.choice.engine = engine.get_int64(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes{};
  const int64_t note_count = engine.get(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, notes.size(), notes.data());
  for (size_t i = 0; i < std::min(notes.size(), static_cast<size_t>(note_count)); ++i) {
    if (notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) offer.nondeterministic = true;
    if (notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE) offer.tensor_core = true;
    if (notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS || notes[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)
      offer.reduced_precision = true;
  }
  return offer;
}

EngineOffer read_offer(const CudnnDescriptor& configuration) {
  CudnnDescriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR, "engine");
  cudnnBackendDescriptor_t raw = engine.raw();
  configuration.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
  EngineOffer offer = read_engine(engine);

  // Asked for the number of knobs, cuDNN 9.19 says 0: room for all there can be is given instead.
  std::vector<CudnnDescriptor> knobs;
  std::vector<cudnnBackendDescriptor_t> knobs_raw;
  for (int i = 0; i < CUDNN_KNOB_TYPE_COUNTS; ++i)
    knobs_raw.push_back(knobs.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, "knob").raw());
  const int64_t knob_count =
      configuration.get(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, CUDNN_KNOB_TYPE_COUNTS, knobs_raw.data());
  for (size_t i = 0; i < std::min(knobs.size(), static_cast<size_t>(knob_count)); ++i) {
    const CudnnDescriptor& k = knobs[i];
    cudnnBackendKnobType_t type{};
    k.get(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type);
    offer.choice.knobs.emplace_back(type, k.get_int64(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
  }
  std::sort(offer.choice.knobs.begin(), offer.choice.knobs.end());
  offer.workspace = static_cast<size_t>(configuration.get_int64(CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE));
  return offer;
}

std::string read_text(const CudnnDescriptor& descriptor, cudnnBackendAttributeName_t attribute) {
  std::string text(static_cast<size_t>(descriptor.count(attribute, CUDNN_TYPE_CHAR)), ' ');
  text.resize(static_cast<size_t>(descriptor.get(attribute, CUDNN_TYPE_CHAR, static_cast<int64_t>(text.size()), text.data())));
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

// cuDNN's way to say "not this engine": an unsupported combination, or code that could not be compiled or, for a card, loaded. Anything
// else is a real failure that another engine would meet too. (Full memory is no CudnnError.)
bool is_refusal(cudnnStatus_t status, const PlanTarget& target) {
  const int category = CUDNN_STATUS_CATEGORY(static_cast<int>(status));
  return category == CUDNN_STATUS_NOT_SUPPORTED || category == CUDNN_STATUS_BAD_PARAM || category == CUDNN_STATUS_INTERNAL_ERROR ||
         (category == CUDNN_STATUS_EXECUTION_FAILED && target.handle());
}

}  // namespace

size_t cudnn_version() { return cudnn().version(); }
const std::string& cudnn_path() { return cudnn().file.path(); }

std::string card_properties() {
  CudnnDescriptor properties(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "device properties");
  properties.set(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, int32_t{0});
  properties.finalize();
  return read_text(properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
}

PlanTarget PlanTarget::of_handle(void* handle) {
  PlanTarget t;
  t.handle_ = handle;
  return t;
}

PlanTarget PlanTarget::of_description(const std::string& json) {
  PlanTarget t;
  t.properties_ = std::make_shared<CudnnDescriptor>(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "device properties");
  t.properties_->set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, static_cast<int64_t>(json.size()), json.data());
  t.properties_->finalize();
  return t;
}

std::vector<EngineOffer> offered_engines(const Graph& graph, const PlanTarget& target) {
  const CudnnGraph descriptors(graph, as_handle(target.handle()));
  std::vector<EngineOffer> offers;
  for (cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    for (const CudnnDescriptor& configuration : heuristic_results(descriptors, target, mode)) {
      const EngineOffer offer = read_offer(configuration);
      const auto same = [&](const EngineOffer& o) { return o.choice == offer.choice; };
      if (std::none_of(offers.begin(), offers.end(), same)) offers.push_back(offer);
    }
  }
  return offers;
}

std::string unfit(const EngineOffer& offer, const Graph& graph, size_t workspace_cap) {
  if (offer.nondeterministic) return "its results differ from run to run";
  if (offer.reduced_precision) return "it rounds inputs or partial sums to less than the graph says";
  const auto is_f32 = [](const GraphTensor& t) { return t.is_virtual || t.bits || t.dtype == DType::f32; };
  const bool f32 = std::all_of(graph.tensors.begin(), graph.tensors.end(), is_f32);
  if (offer.tensor_core && f32 && !graph.tf32) return "it rounds f32 factors to TF32, which this graph does not allow";
  if (offer.workspace > workspace_cap) return concat("it needs ", offer.workspace, " bytes of workspace");
  return "";
}

std::vector<CudnnPlan> CudnnPlan::candidates(const Graph& graph, const PlanTarget& target, size_t workspace_cap, size_t most,
                                             const PlanChoice* only) {
  std::vector<CudnnPlan> plans;
  std::string story;
  std::vector<EngineOffer> offers;
  try {
    offers = only ? std::vector<EngineOffer>{{.choice = *only}} : offered_engines(graph, target);
  } catch (const CudnnError& e) {
    if (!is_refusal(e.status(), target)) throw;
    story = concat("\n  ", e.what());
  }
  for (const EngineOffer& offer : offers) {
    if (plans.size() == most) break;
    std::string why = unfit(offer, graph, workspace_cap);
    if (why.empty()) {
      try {
        CudnnPlan plan(graph, target, offer.choice);
        if (plan.workspace_bytes() <= workspace_cap) {
          plans.push_back(std::move(plan));
          continue;
        }
        why = concat("it needs ", plan.workspace_bytes(), " bytes of workspace");
      } catch (const CudnnError& e) {
        if (!is_refusal(e.status(), target)) throw;
        why = e.what();
      }
    }
    story += concat("\n  ", describe(offer.choice), ": ", why);
  }
  if (!plans.empty()) return plans;
  throw NoEngine(concat("cuDNN has no engine for this graph with at most ", workspace_cap, " bytes of workspace:\n", describe(graph),
                        story.empty() ? "  none was offered" : "what was offered:" + story));
}

CudnnPlan::CudnnPlan(const Graph& graph, const PlanTarget& target, const PlanChoice& choice, const std::string& serialized)
    : graph_(std::make_unique<CudnnGraph>(graph, as_handle(target.handle()))),
      name_(graph.name),
      choice_(choice),
      handle_(target.handle()) {
  CudnnDescriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR, "engine");
  engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph_->descriptor());
  engine.set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, choice.engine);
  if (target.properties()) engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, *target.properties());
  engine.finalize();
  // A choice may come from a file.
  if (const std::string why = unfit(read_engine(engine), graph, plan_workspace_cap); !why.empty())
    throw NoEngine(concat(describe(choice), " is not for ", graph.name, ": ", why));
  std::vector<CudnnDescriptor> knobs;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const auto& [type, value] : choice.knobs) {
    CudnnDescriptor& knob = knobs.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, "knob");
    knob.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, static_cast<cudnnBackendKnobType_t>(type));
    knob.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, value);
    knob.finalize();
    raw.push_back(knob.raw());
  }
  CudnnDescriptor configuration(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "engine configuration");
  configuration.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  if (!raw.empty())
    configuration.set(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<int64_t>(raw.size()), raw.data());
  configuration.finalize();
  plan_ = std::make_unique<CudnnDescriptor>(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "plan");
  if (serialized.empty())
    plan_->set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
  else
    plan_->set(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, static_cast<int64_t>(serialized.size()), serialized.data());
  if (target.handle()) plan_->set(attribute_plan_handle, CUDNN_TYPE_HANDLE, as_handle(target.handle()));
  if (target.properties()) plan_->set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.properties());
  try {
    plan_->finalize();
  } catch (const CudnnError& e) {
    // 34 is cudaErrorStubLibrary.
    const bool stub = e.status() == CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER && std::string(e.what()).find("(34)") != std::string::npos;
    if (stub && !target.handle()) throw NoCardToLoad(e.what());
    throw;
  }
  workspace_ = static_cast<size_t>(plan_->get_int64(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE));
}

std::string CudnnPlan::serialized() const {
  try {
    return read_text(*plan_, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
  } catch (const CudnnError&) {
    return "";
  }
}

CudnnPlan::~CudnnPlan() = default;
CudnnPlan::CudnnPlan(CudnnPlan&&) noexcept = default;

void CudnnPlan::run(void* handle, const std::vector<void*>& addresses, void* workspace) const {
  std::vector<int64_t> numbers;
  std::vector<void*> pointers;
  graph_->bind(addresses, numbers, pointers);
  CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "variant pack");
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, numbers);
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, static_cast<int64_t>(pointers.size()), pointers.data());
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace);
  pack.finalize();
  check_cudnn(cudnn().execute(as_handle(handle), plan_->raw(), pack.raw()), concat("cuDNN, running ", describe(choice_)));
}

}  // namespace dura::cuda
