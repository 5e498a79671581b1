#include "models/network/import.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "engine/base/file.h"
#include "engine/base/text.h"
#include "models/network/conv_bias.h"

namespace dura {
namespace {

constexpr int depths[] = {18, 34, 50, 101};
constexpr std::string_view first_block = "layer1.0.conv1.weight";  // every depth has it, and nothing else does
constexpr size_t most_lines = 60;                                  // of a kind, in a message

bool is_counter(std::string_view name) { return name.ends_with("num_batches_tracked"); }
std::string without(const std::string& name, std::string_view end) { return name.substr(0, name.size() - end.size()); }

bool is_backbone(std::string_view name) {
  const std::string_view root = name.substr(0, name.find('.'));
  return root == "conv1" || root == "bn1" || root == "layer1" || root == "layer2" || root == "layer3" || root == "layer4";
}

// Levenshtein's: the fewest characters to insert, remove or replace.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// The one of `names` that is spelt most like `name`; the first of equals, empty of none. Long names are not compared to their ends: they
// come from a file that may be hostile.
std::string nearest(const std::string& name, const std::vector<std::string>& names) {
  std::string best;
  size_t least = std::string::npos;
  for (const std::string& candidate : names)
    if (const size_t d = edit_distance(std::string_view(name).substr(0, 200), candidate.substr(0, 200)); d < least)
      least = d, best = candidate;
  return best;
}

// Whether the text is UTF-8: model files hold no other.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i++]);
    if (first < 0x80) continue;
    if (first < 0xC2 || first > 0xF4) return false;
    for (size_t more = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3; more > 0; --more)
      if (i == text.size() || (static_cast<unsigned char>(text[i++]) & 0xC0) != 0x80) return false;
  }
  return true;
}

void check_classes(const std::vector<std::string>& classes) {
  if (classes.size() < 2)
    fail_usage("a classifier has at least two classes, ", classes.size(), " are named. Name all, in the order of the outputs.");
  std::map<std::string_view, size_t> places;
  for (size_t i = 0; i < classes.size(); ++i) {
    const std::string& name = classes[i];
    if (name.empty() || name.find('\n') != std::string::npos || !is_utf8(name))
      fail_usage("class ", i, " is called ", quote(name), "; a name is a line of UTF-8 text that is not empty.");
    if (const auto [at, fresh] = places.emplace(name, i); !fresh)
      fail_usage("classes ", at->second, " and ", i, " are both called ", quote(name), ". Give each a name of its own.");
  }
}

// The tensors of one network in a file, under torchvision's names.
class Network {
 public:
  Network(const StateDict& state, const std::string& wanted_prefix, const std::string& file) : state_(state), file_(file) {
    prefix_ = find_prefix(wanted_prefix);
    find_head();
    for (const StateDict::Entry& e : state.entries()) {
      if (is_counter(e.name)) continue;
      if (const std::string name = plain_name(e.name); name.empty())
        left_out_.push_back(e.name);
      else if (!arrays_.emplace(name, e.array).second)
        fail(file, ": the tensor ", quote(e.name), " would be ", quote(name), ", and there is another one of that name.");
    }
    folded_ = fold_conv_biases(arrays_);
  }

  const std::map<std::string, Array>& arrays() const { return arrays_; }
  const Array* find(const std::string& name) const {
    const auto found = arrays_.find(name);
    return found == arrays_.end() ? nullptr : &found->second;
  }
  const std::string& prefix() const { return prefix_; }
  const std::string& head() const { return head_; }
  const std::vector<std::string>& folded() const { return folded_; }
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  std::string find_prefix(const std::string& wanted) const {
    std::vector<std::string> prefixes, names;
    for (const StateDict::Entry& e : state_.entries()) {
      names.push_back(e.name);
      if (!e.name.ends_with(first_block)) continue;
      const std::string prefix = without(e.name, first_block);
      if (prefix.empty() || prefix.ends_with('.')) prefixes.push_back(prefix);
    }
    DURA_CHECK(!prefixes.empty(), file_, ": none of its ", names.size(), " tensors is called ", first_block,
               ", with or without a prefix; the nearest is ", quote(nearest(std::string(first_block), names)),
               ". Expected is a ResNet under torchvision's names.");
    if (std::find(prefixes.begin(), prefixes.end(), wanted) != prefixes.end() && (prefixes.size() == 1 || !wanted.empty())) return wanted;
    std::vector<std::string> quoted;
    for (const std::string& p : prefixes) quoted.push_back(quote(p));
    if (!wanted.empty())
      fail_usage(file_, ": holds no network behind the prefix ", quote(wanted), ". There is one behind ", first_few(quoted, ", ", 12), ".");
    if (prefixes.size() > 1)
      fail_usage(file_, ": holds ", prefixes.size(), " networks, behind the prefixes ", first_few(quoted, ", ", 12),
                 ". Choose one with --prefix.");
    return prefixes.front();
  }

  bool in_backbone(const std::string& name) const {
    return name.starts_with(prefix_) && is_backbone(std::string_view(name).substr(prefix_.size()));
  }

  // The dense layer lies beside the backbone or further out: searched from the backbone's own prefix outwards, a name at a time.
  void find_head() {
    for (scope_ = prefix_;; scope_ = scope_.size() < 2 ? "" : scope_.substr(0, scope_.rfind('.', scope_.size() - 2) + 1)) {
      std::vector<std::string> dense;
      for (const StateDict::Entry& e : state_.entries())
        if (e.name.starts_with(scope_) && e.name.ends_with(".weight") && e.array.dimensions().size() == 2 && !in_backbone(e.name))
          dense.push_back(without(e.name, ".weight"));
      DURA_CHECK(dense.size() <= 1, file_, ": has ", dense.size(), " dense layers behind the backbone, ", first_few(dense, ", ", 12),
                 "; dura's classifier has one, from the pooled features to the classes.");
      if (dense.size() == 1) {
        head_ = dense.front();
        return;
      }
      if (scope_.empty()) break;
    }
    scope_ = prefix_;  // no dense layer anywhere: it will be named as missing
  }

  // As torchvision calls it; empty for what does not belong to the network.
  std::string plain_name(const std::string& name) const {
    if (in_backbone(name)) return name.substr(prefix_.size());
    if (!head_.empty() && name.starts_with(head_ + ".")) return "fc" + name.substr(head_.size());
    return name.starts_with(scope_) ? name.substr(scope_.size()) : "";
  }

  const StateDict& state_;
  const std::string& file_;
  std::string prefix_, scope_, head_;  // scope: what stands in front of everything that must have a place in the network
  std::map<std::string, Array> arrays_;
  std::vector<std::string> folded_, left_out_;
};

// A line for each tensor that does not fit a depth.
struct Fit {
  int depth = 0;
  std::vector<std::string> missing, unexpected, wrong;
  size_t misfits() const { return missing.size() + unexpected.size() + wrong.size(); }
};

ClassifierOptions classifier_options(int depth, const ImportOptions& o, const TensorOptions& tensors) {
  return {.backbone = {.depth = depth, .variant = o.conventions.variant, .stem_pool = o.conventions.stem_pool, .tensors = tensors},
          .classes = o.classes,
          .input = o.conventions.input,
          .dropout = 0};
}

Fit fit_of(const Network& network, int depth, const ImportOptions& o) {
  Classifier model(classifier_options(depth, o, {.device = Device::meta}));
  Fit fit{.depth = depth, .missing = {}, .unexpected = {}, .wrong = {}};
  std::set<std::string> known;
  std::vector<std::string> all;
  std::map<Dimensions, std::vector<std::string>> missing_of_shape;
  for (const ExpectedArray& expected : expected_arrays(model)) {
    known.insert(expected.name);
    all.push_back(expected.name);
    const Array* array = network.find(expected.name);
    if (!array) {
      fit.missing.push_back(concat(expected.name, " ", describe(expected.dimensions)));
      missing_of_shape[expected.dimensions].push_back(expected.name);
    } else if (array->dimensions() != expected.dimensions || !is_floating(array->type())) {
      fit.wrong.push_back(concat(expected.name, ": ", element_name(array->type()), " ", describe(array->dimensions()), " in the file, ",
                                 describe(expected.dimensions), " in the network"));
    }
  }
  for (const auto& [name, array] : network.arrays()) {
    if (known.contains(name)) continue;
    // A slip in a name leaves a hole of the same shape; such a one is meant before all others.
    const auto holes = missing_of_shape.find(array.dimensions());
    std::string line = concat(quote(name), " ", describe(array.dimensions()));
    if (fit.unexpected.size() < most_lines)  // the others are only counted
      line += "; the nearest known name is " + nearest(name, holes == missing_of_shape.end() ? all : holes->second);
    fit.unexpected.push_back(line);
  }
  return fit;
}

std::string lines(const char* what, const std::vector<std::string>& all) {
  std::string text;
  for (size_t i = 0; i < std::min(all.size(), most_lines); ++i) text += concat("\n  ", what, " ", all[i]);
  if (all.size() > most_lines) text += concat("\n  ", what, " ... and ", all.size() - most_lines, " more");
  return text;
}

Fit best_fit(const Network& network, const ImportOptions& o) {
  if (o.depth != 0) return fit_of(network, o.depth, o);
  std::optional<Fit> best;
  for (const int depth : depths)
    if (Fit fit = fit_of(network, depth, o); !best || fit.misfits() < best->misfits()) best = std::move(fit);
  return std::move(*best);
}

}  // namespace

ImportedModel import_model(const StateDict& state, const ImportOptions& options, const std::string& file) {
  check_classes(options.classes);
  const Network network(state, options.prefix, file);
  const Array* dense = network.find("fc.weight");
  if (dense && dense->dimensions().size() == 2 && dense->dimensions()[0] != std::ssize(options.classes))
    fail_usage(file, ": its dense layer ", quote(network.head()), " has ", dense->dimensions()[0], " outputs, ", options.classes.size(),
               " classes are named. Name one for each output, in their order.");
  const Fit fit = best_fit(network, options);
  DURA_CHECK(fit.misfits() == 0, file, " does not fit a ResNet-", fit.depth, " with ", options.classes.size(), " classes",
             options.depth == 0 ? ", the depth that it fits best:" : ":", lines("missing    ", fit.missing),
             lines("unexpected ", fit.unexpected), lines("wrong shape", fit.wrong),
             "\nExpected are the tensors of torchvision's ResNet-18, 34, 50 or 101 and one dense layer.");
  StateDict plain;
  for (const auto& [name, array] : network.arrays()) plain.add(name, array);
  ImportedModel imported{.model = std::make_unique<Classifier>(classifier_options(fit.depth, options, {}), Initialise::no),
                         .prefix = network.prefix(),
                         .head = network.head(),
                         .folded = network.folded(),
                         .left_out = network.left_out()};
  load_state(*imported.model, plain, Strict::yes, file);
  return imported;
}

std::vector<std::string> read_class_names(const std::filesystem::path& file) {
  std::string text = read_text_file(file, uint64_t{16} << 20);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // the mark that editors on Windows write
  std::vector<std::string> names;
  for (const std::string& line : split_at(text, '\n')) names.push_back(trimmed(line.ends_with('\r') ? without(line, "\r") : line));
  while (!names.empty() && names.back().empty()) names.pop_back();
  DURA_CHECK(!names.empty(), file.string(), ": names no classes. Expected is one name a line.");
  for (size_t i = 0; i < names.size(); ++i)
    DURA_CHECK(!names[i].empty(), file.string(), ": line ", i + 1, " is empty. Expected is one name a line, in the order of the outputs.");
  return names;
}

}  // namespace dura
