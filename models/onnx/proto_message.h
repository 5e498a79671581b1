// Protocol buffers, as far as writing ONNX needs them: a message is its fields one after another, each a number that holds field and kind,
// and a value (protobuf.dev/programming-guides/encoding). Fields are written in the order of the calls; no schema is checked here.
// Invariant: large contents are borrowed, not copied. Whoever lends bytes keeps them unchanged until the message has been written.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/file.h"

namespace dura::onnx {

class ProtoMessage {
 public:
  ProtoMessage& integer(int field, int64_t value);  // int32, int64 or an enum
  ProtoMessage& real(int field, float value);
  ProtoMessage& text(int field, std::string_view value);
  ProtoMessage& borrow(int field, std::span<const uint8_t> bytes);  // bytes
  ProtoMessage& message(int field, ProtoMessage inner);

  uint64_t size() const;  // bytes
  void write(AtomicFile& file) const;

 private:
  void varint(uint64_t value);
  void tag(int field, int kind);
  void append(std::string_view bytes);

  // The message is the concatenation of these: own bytes, or borrowed ones.
  struct Piece {
    std::string own;
    std::span<const uint8_t> borrowed = {};
  };
  std::vector<Piece> pieces_;
};

}  // namespace dura::onnx
