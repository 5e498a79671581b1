#include "models/onnx/proto_message.h"

#include <bit>
#include <iterator>

#include "engine/base/text.h"

namespace dura::onnx {
namespace {

constexpr int kind_varint = 0, kind_length = 2, kind_fixed32 = 5;

}  // namespace

void ProtoMessage::append(std::string_view bytes) {
  if (pieces_.empty() || !pieces_.back().borrowed.empty()) pieces_.emplace_back();
  pieces_.back().own += bytes;
}

// Seven bits a byte, the lowest first; the eighth bit says that more follow.
void ProtoMessage::varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7f) | 0x80);
  bytes += static_cast<char>(value);
  append(bytes);
}

void ProtoMessage::tag(int field, int kind) { varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(kind)); }

ProtoMessage& ProtoMessage::integer(int field, int64_t value) {
  tag(field, kind_varint);
  varint(static_cast<uint64_t>(value));  // a negative number takes ten bytes
  return *this;
}

ProtoMessage& ProtoMessage::real(int field, float value) {
  tag(field, kind_fixed32);
  std::string bytes;
  for (uint32_t bits = std::bit_cast<uint32_t>(value), i = 0; i < 4; ++i, bits >>= 8) bytes += static_cast<char>(bits & 0xff);
  append(bytes);
  return *this;
}

ProtoMessage& ProtoMessage::text(int field, std::string_view value) {
  tag(field, kind_length);
  varint(value.size());
  append(value);
  return *this;
}

ProtoMessage& ProtoMessage::borrow(int field, std::span<const uint8_t> bytes) {
  tag(field, kind_length);
  varint(bytes.size());
  if (!bytes.empty()) pieces_.push_back({.own = {}, .borrowed = bytes});
  return *this;
}

ProtoMessage& ProtoMessage::message(int field, ProtoMessage inner) {
  tag(field, kind_length);
  varint(inner.size());
  std::move(inner.pieces_.begin(), inner.pieces_.end(), std::back_inserter(pieces_));
  return *this;
}

uint64_t ProtoMessage::size() const {
  uint64_t bytes = 0;
  for (const Piece& piece : pieces_) bytes += piece.own.size() + piece.borrowed.size();
  return bytes;
}

void ProtoMessage::write(AtomicFile& file) const {
  for (const Piece& piece : pieces_) {
    file.write(piece.own);
    file.write(piece.borrowed);
  }
}

}  // namespace dura::onnx
