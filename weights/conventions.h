// How a weight file wants to be used. Weights and preprocessing that do not belong together still give an answer, only a worse one: so the
// conventions are carried in the files that dura writes, looked up where the file is a published one, and always stated with their source.
// Their names stand here and nowhere else: in metadata, on command lines and in messages.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace dura {

class StateDict;

// What the weights were trained with. torch: RGB, (x/255 - mean)/deviation; caffe: BGR, x - mean, not scaled; keras: the same with another
// mean, that of Keras' preprocess_input for ResNet V1.
enum class InputConvention : uint8_t { torch, caffe, keras };
// Where a bottleneck block with stride 2 has it: in its first 1x1 convolution (V1, the original and Keras) or in its 3x3 (V1.5,
// torchvision).
enum class ResNetVariant : uint8_t { v1, v1_5 };
// The pooling of the stem: 3x3 stride 2 with padding 1 (torchvision), or without padding and with ceil mode (the original Caffe model).
enum class StemPool : uint8_t { padded, ceil };

struct WeightConventions {
  InputConvention input = InputConvention::torch;
  ResNetVariant variant = ResNetVariant::v1_5;
  StemPool stem_pool = StemPool::padded;
  std::string source = "";  // why, in words, for the log
  bool known = false;       // false: torchvision's conventions are an assumption, and `source` is a warning

  std::map<std::string, std::string> metadata() const;  // the entries that state them: dura.input, dura.variant, dura.stem_pool
  std::string text() const;                             // "input torch, variant v1_5, stem pooling padded (SOURCE)"
};

// As the three entries state them. Throws Error where one is missing or unknown. `file` names the source.
WeightConventions stated_conventions(const std::map<std::string, std::string>& metadata, const std::string& file);

// In this order: the metadata's statement; the file's SHA-256 among published ones; metadata that name Caffe or MSRA; else torchvision's.
// Throws Error where the dura.* entries are incomplete or unknown.
WeightConventions conventions_of(const StateDict& state, const std::string& file_sha256, const std::string& file);

// What a user says of them: a name as in the metadata, or auto for what is known of the file.
struct GivenConventions {
  std::string input = "auto", variant = "auto", stem_pool = "auto";

  // auto, then the names of an entry: dura.input, dura.variant or dura.stem_pool.
  static std::vector<std::string> choices(const std::string& key);

  bool any() const { return input != "auto" || variant != "auto" || stem_pool != "auto"; }
  bool all() const { return input != "auto" && variant != "auto" && stem_pool != "auto"; }
  // `found` with what is given in its place. UsageError for an unknown name.
  WeightConventions over(WeightConventions found) const;
};

}  // namespace dura
