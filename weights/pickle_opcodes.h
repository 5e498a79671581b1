// The operations of Python's pickle language under the names that its pickletools module gives them: those that a state dict needs, and
// those that are only named where they are refused.
#pragma once
#include <cstdint>
#include <string>

#include "engine/base/text.h"

namespace dura::pickle {

enum Opcode : uint8_t {
  MARK = '(',
  EMPTY_TUPLE = ')',
  STOP = '.',
  BINFLOAT = 'G',
  BININT = 'J',
  BININT1 = 'K',
  BININT2 = 'M',
  NONE = 'N',
  BINPERSID = 'Q',
  REDUCE = 'R',
  SHORT_BINSTRING = 'U',
  BINUNICODE = 'X',
  EMPTY_LIST = ']',
  APPEND = 'a',
  BUILD = 'b',
  GLOBAL = 'c',
  APPENDS = 'e',
  BINGET = 'h',
  LONG_BINGET = 'j',
  BINPUT = 'q',
  LONG_BINPUT = 'r',
  SETITEM = 's',
  TUPLE = 't',
  SETITEMS = 'u',
  EMPTY_DICT = '}',
  PROTO = 0x80,
  NEWOBJ = 0x81,
  TUPLE1 = 0x85,
  TUPLE2 = 0x86,
  TUPLE3 = 0x87,
  NEWTRUE = 0x88,
  NEWFALSE = 0x89,
  LONG1 = 0x8a,
  EMPTY_SET = 0x8f
};

struct RefusedOpcode {
  uint8_t opcode;
  const char* name;
};
inline constexpr RefusedOpcode refused_opcodes[] = {{'I', "INT"},
                                                    {'L', "LONG"},
                                                    {'F', "FLOAT"},
                                                    {'S', "STRING"},
                                                    {'T', "BINSTRING"},
                                                    {'V', "UNICODE"},
                                                    {'P', "PERSID"},
                                                    {'i', "INST"},
                                                    {'o', "OBJ"},
                                                    {'d', "DICT"},
                                                    {'l', "LIST"},
                                                    {'0', "POP"},
                                                    {'1', "POP_MARK"},
                                                    {'2', "DUP"},
                                                    {'g', "GET"},
                                                    {'p', "PUT"},
                                                    {'B', "BINBYTES"},
                                                    {'C', "SHORT_BINBYTES"},
                                                    {0x82, "EXT1"},
                                                    {0x83, "EXT2"},
                                                    {0x84, "EXT4"},
                                                    {0x8b, "LONG4"},
                                                    {0x8c, "SHORT_BINUNICODE"},
                                                    {0x8d, "BINUNICODE8"},
                                                    {0x90, "ADDITEMS"},
                                                    {0x91, "FROZENSET"},
                                                    {0x92, "NEWOBJ_EX"},
                                                    {0x93, "STACK_GLOBAL"},
                                                    {0x94, "MEMOIZE"},
                                                    {0x95, "FRAME"}};

inline std::string refused_name(uint8_t opcode) {
  for (const RefusedOpcode& refused : refused_opcodes)
    if (refused.opcode == opcode) return refused.name;
  return "0x" + hex_digits(opcode);
}

}  // namespace dura::pickle
