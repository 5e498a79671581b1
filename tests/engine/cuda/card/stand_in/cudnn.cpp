// Stands in for libcudnn: the functions that engine/cuda/card calls. Heuristics offer engines of every kind, most of which dura must pass
// over; a graph is made a description again and computed by the interpreter of the simulated device.
#include <cudnn_graph.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "engine/base/text.h"
#include "engine/cuda/sim/interpreter.h"
#include "tests/engine/cuda/card/stand_in/cudnn_descriptor.h"
#include "tests/engine/cuda/card/stand_in/stand_in.h"

using namespace dura;
using namespace dura::cuda;
using namespace dura::cuda::stand_in;

struct cudnnContext {
  cudaStream_t stream = nullptr;
  bool has_stream = false;
};

namespace {

std::set<const cudnnContext*> handles;

// cuDNN may be called by several threads.
std::recursive_mutex mutex;
using Lock = std::lock_guard<std::recursive_mutex>;

// ---- engines ----

struct Engine {
  int64_t index;
  std::vector<cudnnBackendNumericalNote_t> notes;
  size_t workspace;
  std::vector<std::pair<int, int64_t>> knobs = {};
  bool completes = true;  // whether a plan of it can be made
  double ms = 1;          // that a run takes
};
// Best first, as heuristics give them; what only the fallback offers comes last.
const std::vector<Engine> engines_offered = {
    {0, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, 0},
    {1, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION}, 0},
    {2, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, size_t{1} << 30},
    {3, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, 64, {}, false},
    {4, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, 1000, {{2, 14}, {13, 32}}, true, 2},
};
const std::vector<Engine> fallback_engines = {{5, {}, 320}};

const Engine* engine_of(int64_t index) {
  for (const auto* list : {&engines_offered, &fallback_engines})
    for (const Engine& e : *list)
      if (e.index == index) return &e;
  return nullptr;
}

// ---- an operation graph as a description ----

std::optional<DType> type_of(cudnnDataType_t type) {
  if (type == CUDNN_DATA_FLOAT) return DType::f32;
  if (type == CUDNN_DATA_HALF) return DType::f16;
  if (type == CUDNN_DATA_BFLOAT16) return DType::bf16;
  if (type == CUDNN_DATA_BOOLEAN) return DType::u8;
  return std::nullopt;
}

// A graph, and the numbers of its tensors: of those with an address in the order of Graph::tensors, and of constants.
struct Translation {
  Graph graph;
  std::vector<int64_t> numbers;
  int64_t epsilon = -1, zero = -1;  // numbers of constants; -1: none
  int64_t alignment = 1;
};

class Translator {
 public:
  explicit Translator(const Contents& operation_graph) {
    for (const auto& op : operation_graph.children(CUDNN_ATTR_OPERATIONGRAPH_OPS)) collect(*op);
    for (const auto& [number, t] : tensors_) {
      index_[number] = out_.graph.add_tensor(tensor(number, *t));
      out_.numbers.push_back(number);
      out_.alignment = std::max(out_.alignment, t->one<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT));
    }
    for (const auto& op : operation_graph.children(CUDNN_ATTR_OPERATIONGRAPH_OPS)) out_.graph.nodes.push_back(node(*op));
    out_.graph.name = "a graph of cuDNN's";
    check_graph(out_.graph);
  }
  Translation take() { return std::move(out_); }

 private:
  static bool is_constant(const Contents& t) { return t.one<bool>(CUDNN_ATTR_TENSOR_IS_BY_VALUE); }
  void collect(const Contents& op) {
    for (const auto& [attribute, values] : op.attributes)
      for (const auto& child : values.descriptors) {
        if (child->type != CUDNN_BACKEND_TENSOR_DESCRIPTOR || is_constant(*child)) continue;
        const auto [known, added] = tensors_.try_emplace(child->one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID), child);
        if (!added && known->second != child) refuse<"two tensors of a graph have one number">(concat(": ", known->first));
      }
  }
  static GraphTensor tensor(int64_t number, const Contents& t) {
    const auto extents = t.list<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS), strides = t.list<int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
    const auto type = type_of(t.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE));
    if (extents.size() != 4 || strides.size() != 4 || !type) refuse<"a tensor is of no kind that dura has">(concat(": ", number));
    GraphTensor g{.name = concat("tensor ", number), .dtype = *type, .is_virtual = t.one<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL)};
    std::copy_n(extents.begin(), 4, g.extents.begin());
    std::copy_n(strides.begin(), 4, g.strides.begin());
    g.bits = *type == DType::u8;
    return g;
  }
  int at(const Contents& op, int attribute) const { return index_.at(op.child(attribute).one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID)); }
  static int64_t constant(const Contents& op, int attribute) {
    const Contents& t = op.child(attribute);
    if (!is_constant(t)) refuse<"a constant is no tensor that is passed by value">();
    return t.one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
  }
  GraphNode convolution(const Contents& op, Operation o, std::array<int, 6> attributes) const {
    const auto [mode, alpha, beta, input0, input1, output] = attributes;
    const Contents& m = op.child(mode);
    const auto list = [&](int attribute) { return m.list<int64_t>(attribute); };
    const auto padding = list(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS), stride = list(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
    if (m.one<int>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) != CUDNN_CROSS_CORRELATION || padding[0] != padding[1] ||
        padding != list(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS) || stride[0] != stride[1] ||
        list(CUDNN_ATTR_CONVOLUTION_DILATIONS) != std::vector<int64_t>({1, 1}) || op.one<float>(alpha) != 1)
      refuse<"not a convolution that dura has">();
    return {.operation = o,
            .inputs = {at(op, input0), at(op, input1)},
            .outputs = {at(op, output)},
            .stride = stride[0],
            .padding = padding[0],
            .accumulate = op.one<float>(beta) == 1};
  }
  GraphNode pointwise(const Contents& op) {
    constexpr int x = CUDNN_ATTR_OPERATION_POINTWISE_XDESC, b = CUDNN_ATTR_OPERATION_POINTWISE_BDESC;
    const auto kind = op.child(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR).one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
    GraphNode n{.inputs = {at(op, x)}, .outputs = {at(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC)}};
    if (kind == CUDNN_POINTWISE_RELU_FWD) {
      n.operation = Operation::relu;
    } else if (kind == CUDNN_POINTWISE_CMP_GT) {
      n.operation = Operation::greater_than_zero;
      out_.zero = constant(op, b);
    } else {
      if (kind != CUDNN_POINTWISE_ADD && kind != CUDNN_POINTWISE_MUL) refuse<"not a pointwise operation that dura has">();
      n.operation = kind == CUDNN_POINTWISE_ADD ? Operation::add : Operation::select;
      n.inputs.push_back(at(op, b));
    }
    return n;
  }
  GraphNode node(const Contents& op) {
    switch (op.type) {
      case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
        return convolution(op, Operation::conv_forward,
                           {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y});
      case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
        return convolution(op, Operation::conv_backward_data,
                           {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX});
      case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
        return convolution(op, Operation::conv_backward_filter,
                           {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW});
      case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        return pointwise(op);
      case CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR:
        if (op.one<int>(CUDNN_ATTR_OPERATION_NORM_FWD_MODE) != CUDNN_BATCH_NORM ||
            op.one<int>(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE) != CUDNN_NORM_FWD_TRAINING)
          refuse<"not a normalisation that dura has">();
        out_.epsilon = constant(op, CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC);
        return {.operation = Operation::batch_norm_training,
                .inputs = {at(op, CUDNN_ATTR_OPERATION_NORM_FWD_XDESC), at(op, CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC),
                           at(op, CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC)},
                .outputs = {at(op, CUDNN_ATTR_OPERATION_NORM_FWD_YDESC), at(op, CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC),
                            at(op, CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC)}};
      case CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR:
        return {.operation = Operation::batch_norm_backward,
                .inputs = {at(op, CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC), at(op, CUDNN_ATTR_OPERATION_NORM_BWD_XDESC),
                           at(op, CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC), at(op, CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC),
                           at(op, CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC)},
                .outputs = {at(op, CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC), at(op, CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC),
                            at(op, CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC)}};
      default:
        refuse<"not an operation that dura has">();
    }
  }

  Translation out_;
  std::map<int64_t, std::shared_ptr<const Contents>> tensors_;
  std::map<int64_t, int> index_;
};

// ---- heuristics and plans ----

// Makes an empty descriptor of the caller's what `contents` says.
bool fill(void* descriptor, const std::shared_ptr<Contents>& contents) {
  const std::shared_ptr<Contents> to = contents_of(descriptor);
  if (!to) return false;
  if (to->type != contents->type || to->finalized)
    return complain<"cuDNN: a result was asked for in a descriptor of another type, or a used one">();
  *to = *contents;
  return true;
}

std::shared_ptr<Contents> configuration(const Engine& e, const std::shared_ptr<const Contents>& graph) {
  const auto of_type = [](cudnnBackendDescriptorType_t type) {
    auto c = std::make_shared<Contents>();
    c->type = type, c->finalized = true;
    return c;
  };
  const auto engine = of_type(CUDNN_BACKEND_ENGINE_DESCRIPTOR), result = of_type(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  engine->attributes[CUDNN_ATTR_ENGINE_OPERATION_GRAPH].descriptors = {graph};
  engine->put(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, std::vector<int64_t>{e.index});
  engine->put(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, e.notes);
  result->attributes[CUDNN_ATTR_ENGINECFG_ENGINE].descriptors = {engine};
  for (const auto& [type, value] : e.knobs) {
    const auto knob = of_type(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    knob->put(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, std::vector<int>{type});
    knob->put(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, std::vector<int64_t>{value});
    result->attributes[CUDNN_ATTR_ENGINECFG_KNOB_CHOICES].descriptors.push_back(knob);
  }
  result->put(CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE, CUDNN_TYPE_INT64, std::vector<int64_t>{static_cast<int64_t>(e.workspace)});
  return result;
}

// Plans that were put into words: engine configurations. Words are the place in this list, and good in this process alone.
std::vector<std::shared_ptr<const Contents>> described;
constexpr std::string_view description = "a plan of the stand-in: ";

cudnnStatus_t finalize(Contents& c) {
  if (c.type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
    Translator(c).take();  // says what does not fit
  } else if (c.type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) {
    const auto& graph = c.children(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH).at(0);
    if (unsupported_graph() && unsupported_graph()(Translator(*graph).take().graph)) return CUDNN_STATUS_NOT_SUPPORTED;
    auto& results = c.attributes[CUDNN_ATTR_ENGINEHEUR_RESULTS].descriptors;
    ++plan_costs().heuristics;
    const bool fallback = c.one<int>(CUDNN_ATTR_ENGINEHEUR_MODE) == CUDNN_HEUR_MODE_FALLBACK;
    for (const Engine& e : fallback ? fallback_engines : engines_offered) results.push_back(configuration(e, graph));
  } else if (c.type == CUDNN_BACKEND_ENGINE_DESCRIPTOR) {
    const Engine* e = engine_of(c.one<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX));
    if (!e) return complain<"cuDNN: there is no such engine">(), CUDNN_STATUS_BAD_PARAM;
    c.put(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, e->notes);
  } else if (c.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    const bool has_words = c.has(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
    if (has_words == c.has(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG))
      return complain<"cuDNN: a plan is made of an engine or of words, one of the two">(), CUDNN_STATUS_BAD_PARAM;
    if (has_words) {
      const auto words = c.list<char>(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
      const std::string text(words.begin(), words.end());
      const auto place = text.rfind(description, 0) == 0 ? parse_number<size_t>(text.substr(description.size())) : std::nullopt;
      if (!place || *place >= described.size()) return CUDNN_STATUS_BAD_PARAM;
      c.attributes[CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG].descriptors = {described[*place]};
    }
    const Contents& chosen = c.child(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    const Contents& engine = chosen.child(CUDNN_ATTR_ENGINECFG_ENGINE);
    const Engine& e = *engine_of(engine.one<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX));
    const Contents& graph = engine.child(CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
    if (!e.completes || (refusing_engine() && refusing_engine()(Translator(graph).take().graph, e.index)))
      return CUDNN_STATUS_NOT_SUPPORTED;
    std::vector<std::pair<int, int64_t>> knobs;
    for (const auto& k : chosen.children(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES))
      knobs.emplace_back(k->one<int>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE), k->one<int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
    if (knobs != e.knobs) return complain<"cuDNN: a plan was made with other settings than were offered">(), CUDNN_STATUS_BAD_PARAM;
    c.put(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, std::vector<int64_t>{static_cast<int64_t>(e.workspace)});
    if (!has_words) {
      ++plan_costs().compiled;
      described.push_back(c.children(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG).at(0));
      const std::string words = concat(description, described.size() - 1);
      c.put(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, std::vector<char>(words.begin(), words.end()));
    }
  } else if (c.type == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR) {
    if (c.attributes[CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS].count != c.attributes[CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS].count)
      return complain<"cuDNN: a pack has not as many addresses as numbers">(), CUDNN_STATUS_BAD_PARAM;
  }
  return CUDNN_STATUS_SUCCESS;
}

// What `plan` computes with the addresses of `pack`, put into the stream.
cudnnStatus_t execute(const cudnnContext& handle, const Contents& plan, const Contents& pack) {
  if (!handle.has_stream) return complain<"cudnnBackendExecute: no stream was chosen">(), CUDNN_STATUS_BAD_PARAM;
  const Contents& engine = plan.child(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG).child(CUDNN_ATTR_ENGINECFG_ENGINE);
  const Engine& e = *engine_of(engine.one<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX));
  card_ms() += e.ms;
  Translation t = Translator(engine.child(CUDNN_ATTR_ENGINE_OPERATION_GRAPH)).take();
  std::map<int64_t, void*> address;
  const auto numbers = pack.list<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto pointers = pack.list<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  for (size_t i = 0; i < numbers.size(); ++i) address[numbers[i]] = pointers[i];
  std::vector<sim::SimDriver::Given> given;
  std::vector<void*> of_tensor(t.graph.tensors.size(), nullptr);
  size_t expected = (t.epsilon >= 0) + (t.zero >= 0);
  for (size_t i = 0; i < of_tensor.size(); ++i) {
    const GraphTensor& tensor = t.graph.tensors[i];
    if (tensor.is_virtual) continue;
    ++expected;
    of_tensor[i] = address[t.numbers[i]];
    if (!of_tensor[i]) return complain<"cudnnBackendExecute: a tensor has no address">(": " + tensor.name), CUDNN_STATUS_BAD_PARAM;
    if (reinterpret_cast<uintptr_t>(of_tensor[i]) % static_cast<uintptr_t>(t.alignment) != 0)
      return complain<"cudnnBackendExecute: a tensor is not aligned as promised">(": " + tensor.name), CUDNN_STATUS_BAD_PARAM;
    given.push_back({of_tensor[i], tensor.bytes()});
  }
  if (expected != numbers.size()) return complain<"cudnnBackendExecute: tensors that the graph does not have">(), CUDNN_STATUS_BAD_PARAM;
  // Constants are read now, from the host's memory.
  const auto constant = [&](int64_t number) { return *static_cast<const float*>(address.at(number)); };
  if (t.zero >= 0 && constant(t.zero) != 0)
    return complain<"cudnnBackendExecute: a mask compares with something else than zero">(), CUDNN_STATUS_BAD_PARAM;
  for (GraphNode& n : t.graph.nodes)
    if (n.operation == Operation::batch_norm_training) n.epsilon = static_cast<double>(constant(t.epsilon));
  void* workspace = pack.one<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  if (e.workspace > 0 && (!workspace || reinterpret_cast<uintptr_t>(workspace) % 256 != 0))
    return complain<"cudnnBackendExecute: the workspace is missing, or not aligned to 256 bytes">(), CUDNN_STATUS_BAD_PARAM;
  given.push_back({workspace, e.workspace});
  const bool tensor_cores = std::count(e.notes.begin(), e.notes.end(), CUDNN_NUMERICAL_NOTE_TENSOR_CORE) > 0;
  t.graph.tf32 = tensor_cores && multiplies_f32(t.graph);
  stand_in::engines()[describe(t.graph)] = e.index;
  if (misreading_engine()) misreading_engine()(t.graph, e.index);
  try {
    device().push("cudnnBackendExecute", given, stream_of(handle.stream), [graph = t.graph, of_tensor, workspace, bytes = e.workspace] {
      sim::interpret(graph, of_tensor);
      if (workspace) std::memset(workspace, 0xff, bytes);
    });
  } catch (const Error& error) {
    return keep_complaint(concat("cudnnBackendExecute: ", error.what())), CUDNN_STATUS_EXECUTION_FAILED;
  }
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

size_t cudnnGetVersion() { return CUDNN_VERSION; }
const char* cudnnGetErrorString(cudnnStatus_t status) {
  return status == CUDNN_STATUS_NOT_SUPPORTED ? "CUDNN_STATUS_NOT_SUPPORTED"
         : status == CUDNN_STATUS_BAD_PARAM   ? "CUDNN_STATUS_BAD_PARAM"
                                              : "CUDNN_STATUS_OTHER";
}
void cudnnGetLastErrorString(char* message, size_t size) {
  const Lock lock(mutex);
  const std::string text = complaints().empty() ? "" : complaints().back();
  if (size == 0) return;
  std::memcpy(message, text.c_str(), std::min(size - 1, text.size()));
  message[std::min(size - 1, text.size())] = '\0';
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  const Lock lock(mutex);
  if (injected("cudnnCreate")) return CUDNN_STATUS_NOT_INITIALIZED;
  *handle = new cudnnContext;
  handles.insert(*handle);
  ++alive()["cuDNN handle"];
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  const Lock lock(mutex);
  if (handles.erase(handle) == 0) return complain<"cuDNN: a handle ends twice">(), CUDNN_STATUS_BAD_PARAM;
  --alive()["cuDNN handle"];
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  const Lock lock(mutex);
  if (injected("cudnnSetStream")) return CUDNN_STATUS_EXECUTION_FAILED;
  if (handles.count(handle) == 0) return complain<"cuDNN: a handle is used after its end">(), CUDNN_STATUS_BAD_PARAM;
  handle->stream = stream, handle->has_stream = true;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* descriptor) {
  const Lock lock(mutex);
  if (injected("cudnnBackendCreateDescriptor")) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
  *descriptor = new_descriptor(type);
  return *descriptor ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  const Lock lock(mutex);
  return end_descriptor(descriptor) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t attribute,
                                       cudnnBackendAttributeType_t type, int64_t count, const void* values) {
  const Lock lock(mutex);
  if (injected("cudnnBackendSetAttribute")) return CUDNN_STATUS_BAD_PARAM;
  const std::shared_ptr<Contents> c = contents_of(descriptor);
  return c && set_values(*c, attribute, type, count, values) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  {
    std::unique_lock lock(mutex);
    const auto plan = compile_ms() > 0 ? contents_of(descriptor) : nullptr;
    if (plan && plan->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
      static int64_t now = 0;
      plan_costs().at_once = std::max(plan_costs().at_once, ++now);
      lock.unlock();
      std::this_thread::sleep_for(std::chrono::milliseconds(compile_ms()));
      lock.lock();
      --now;
    }
  }
  const Lock lock(mutex);
  if (injected("cudnnBackendFinalize")) return CUDNN_STATUS_INTERNAL_ERROR;
  const std::shared_ptr<Contents> c = contents_of(descriptor);
  if (!c || !complete(*c)) return CUDNN_STATUS_BAD_PARAM;
  try {
    const cudnnStatus_t status = finalize(*c);
    c->finalized = status == CUDNN_STATUS_SUCCESS;
    return status;
  } catch (const Error& e) {
    return keep_complaint(concat("cuDNN: ", e.what())), CUDNN_STATUS_BAD_PARAM;
  }
}
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor, cudnnBackendAttributeName_t attribute,
                                       cudnnBackendAttributeType_t type, int64_t wanted, int64_t* count, void* values) {
  const Lock lock(mutex);
  if (injected("cudnnBackendGetAttribute")) return CUDNN_STATUS_INTERNAL_ERROR;
  const std::shared_ptr<Contents> c = contents_of(descriptor);
  if (!c) return CUDNN_STATUS_BAD_PARAM;
  if (!c->finalized)
    return complain<"cuDNN: a descriptor is read before it is finalized">(concat(": ", int(attribute))), CUDNN_STATUS_NOT_INITIALIZED;
  if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    const auto& found = c->children(attribute);
    const auto there = static_cast<int64_t>(found.size());
    // As cuDNN 9.19 does: of results it counts one more than it fills, and it counts no knobs.
    *count = wanted > 0 ? std::min(wanted, there) : attribute == CUDNN_ATTR_ENGINEHEUR_RESULTS ? there + 1 : 0;
    for (int64_t i = 0; i < std::min(wanted, there); ++i)
      if (!fill(static_cast<void**>(values)[i], std::const_pointer_cast<Contents>(found[static_cast<size_t>(i)])))
        return CUDNN_STATUS_BAD_PARAM;
    return CUDNN_STATUS_SUCCESS;
  }
  const auto found = c->attributes.find(attribute);
  if (found == c->attributes.end() || found->second.type != type)
    return complain<"cuDNN: a descriptor has no such attribute that can be read">(concat(": ", int(attribute))), CUDNN_STATUS_BAD_PARAM;
  *count = found->second.count;
  std::memcpy(values, found->second.bytes.data(), size_of(type) * static_cast<size_t>(std::min(wanted, *count)));
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
  const Lock lock(mutex);
  if (injected("cudnnBackendExecute")) return CUDNN_STATUS_EXECUTION_FAILED;
  const std::shared_ptr<Contents> p = contents_of(plan), v = contents_of(pack);
  if (!p || !v || handles.count(handle) == 0 || !p->finalized || !v->finalized)
    return complain<"cudnnBackendExecute: a plan, pack or handle that cannot be used">(), CUDNN_STATUS_BAD_PARAM;
  return execute(*handle, *p, *v);
}

}  // extern "C"
