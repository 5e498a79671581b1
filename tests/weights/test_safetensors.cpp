#include <unistd.h>

#include "tests/support/catch.h"
#include <cmath>
#include <limits>

#include "tests/support/weight_files.h"
#include "weights/safetensors.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

StateDict parse(const std::string& header, const std::string& data = "") {
  return parse_safetensors(shared(safetensors_text(header, data)), "w.safetensors");
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

StateDict every_type() {
  StateDict state;
  state.add("flag", Array::of<uint8_t>({3}, ElementType::boolean, {1, 0, 1}));
  state.add("half", Array::of<uint16_t>({2}, ElementType::f16, {0x3c00, 0xc000}));
  state.add("brain", Array::of<uint16_t>({1, 2}, ElementType::bf16, {0x3f80, 0xc000}));
  state.add("float", Array::of<float>({2, 2}, ElementType::f32, {1.5f, -0.0f, std::numeric_limits<float>::infinity(), 3e-45f}));
  state.add("count", scalar(-7));
  state.add("double", Array::of<double>({1}, ElementType::f64, {0.1}));
  state.add("byte", Array::of<uint8_t>({1}, ElementType::u8, {255}));
  state.add("int", Array::of<int32_t>({1}, ElementType::i32, {-1}));
  state.add("none", Array::of<float>({0, 5}, ElementType::f32, {}));
  state.metadata() = {{"b", "line\nbreak and \"quotes\""}, {"a", "\xc3\xa4"}};
  return state;
}

}  // namespace

TEST_CASE("safetensors: what is written is read back bit by bit", "[weights]") {
  const StateDict state = every_type();
  const std::vector<uint8_t> bytes = safetensors_bytes(state);
  const StateDict read = parse_safetensors(shared(bytes), "w");
  REQUIRE(read.size() == state.size());
  CHECK(read.metadata() == state.metadata());
  for (const StateDict::Entry& e : state.entries()) CHECK(bit_equal(read.at(e.name), e.array));
  CHECK(safetensors_bytes(read) == bytes);
  CHECK(safetensors_bytes(every_type()) == bytes);
  uint64_t header;
  std::memcpy(&header, bytes.data(), 8);
  CHECK(header % 8 == 0);  // with the larger elements first, every element is aligned
  CHECK(read.entries().front().name == "count");

  const std::filesystem::path path = std::filesystem::temp_directory_path() / concat("dura-safetensors-", ::getpid());
  write_safetensors(path, state);
  CHECK(read_file(path, 1 << 20) == bytes);
  CHECK(safetensors_bytes(read_safetensors(path)) == bytes);
  std::filesystem::remove(path);
}

TEST_CASE("safetensors: files of Python's library are read, with their values", "[weights]") {
  const StateDict types = read_safetensors(golden("types.safetensors"));
  CHECK(types.metadata() == std::map<std::string, std::string>{{"golden", "types"}});
  CHECK(types.at("long").type() == ElementType::i64);
  CHECK(types.at("scalar").dimensions().empty());
  CHECK(types.at("scalar").value(0) == 42);
  CHECK(types.at("empty").dimensions() == Dimensions{0, 3});
  CHECK(types.at("double").value(0) == 0.1);
  CHECK(types.at("double").value(2) == 5e-324);
  CHECK(types.at("bool").value(1) == 0);
  CHECK(types.at("byte").value(1) == 200);
  CHECK(types.at("int").value(0) == -2147483648.0);
  for (int i = 0; i < 5; ++i) CHECK(types.at("half").value(i) == (3 * i - 40) * 0.25);
  for (int i = 0; i < 9; ++i) CHECK(types.at("bfloat16").value(i) == (3 * i - 40) * 0.25);
  for (int i = 0; i < 24; ++i) CHECK(types.at("float").value(i) == (3 * i - 40) * 0.25);
}

TEST_CASE("safetensors: each broken rule of the format has its own message", "[weights]") {
  const std::string good = entry("t", "F32", "[2]", "[0,8]"), data(8, 'x');
  CHECK(parse("{" + good + "}", data).size() == 1);
  CHECK(parse("{" + good + "}   ", data).size() == 1);  // padding is allowed
  CHECK(parse("{}").size() == 0);
  CHECK(parse("{\"__metadata__\":{}}").size() == 0);
  CHECK(parse("{" + entry("t", "F32", "[]", "[0,4]") + "," + entry("e", "U8", "[0]", "[4,4]") + "}", "abcd").size() == 2);

  const auto raw = [](const std::string& text) { return parse_safetensors(shared(text), "w.safetensors"); };
  CHECK_THROWS_WITH(raw(""), Contains("w.safetensors: has 0 bytes"));
  CHECK_THROWS_WITH(raw("1234567"), Contains("has 7 bytes"));
  CHECK_THROWS_WITH(raw(little_endian(uint64_t{100'000'001})), Contains("at most 100000000 are allowed"));
  CHECK_THROWS_WITH(raw(little_endian(std::numeric_limits<uint64_t>::max()) + "{}"), Contains("at most 100000000 are allowed"));
  CHECK_THROWS_WITH(raw(little_endian(uint64_t{3}) + "{}"), Contains("header of 3 bytes, only 2 follow") && Contains("truncated"));
  CHECK_THROWS_WITH(parse(""), Contains("does not begin with '{'"));
  CHECK_THROWS_WITH(parse(" {}"), Contains("does not begin with '{'"));
  CHECK_THROWS_WITH(parse(std::string("{}\0{", 4)), Contains("zero byte"));
  CHECK_THROWS_WITH(parse("{\"a\""), Contains("not valid UTF-8 JSON at its byte"));
  CHECK_THROWS_WITH(parse("{} x"), Contains("not valid UTF-8 JSON"));
  CHECK_THROWS_WITH(parse("{\"\xff\":{}}"), Contains("not valid UTF-8 JSON"));
  CHECK_THROWS_WITH(parse("{/* no */}"), Contains("not valid UTF-8 JSON"));
  CHECK_THROWS_WITH(parse("{" + good + "," + good + "}", data), Contains("names 't' twice"));
  CHECK_THROWS_WITH(parse("{\"__metadata__\":{},\"__metadata__\":{}}"), Contains("names '__metadata__' twice"));
  CHECK_THROWS_WITH(parse("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}"), Contains("metadata key 'k' exists twice"));
  CHECK_THROWS_WITH(parse("{\"__metadata__\":{\"k\":1}}"), Contains("metadata of 'k' is a number, only texts"));
  CHECK_THROWS_WITH(parse("{\"__metadata__\":{\"k\":{}}}"), Contains("metadata of 'k' is an object, only texts"));
  CHECK_THROWS_WITH(parse("{\"__metadata__\":\"k\"}"), Contains("a text under '__metadata__'"));
  CHECK_THROWS_WITH(parse("{\"t\":[1]}"), Contains("an array under 't'"));
  CHECK_THROWS_WITH(parse("{\"t\":null}"), Contains("a null under 't'"));
  CHECK_THROWS_WITH(parse("{\"t\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}"), Contains("has the field 'dtype' twice"));
  CHECK_THROWS_WITH(parse("{\"t\":{\"strides\":[1]}}"), Contains("unknown field 'strides'"));
  CHECK_THROWS_WITH(parse("{\"t\":{\"shape\":[2],\"data_offsets\":[0,8]}}", data), Contains("tensor 't' has no dtype"));
  CHECK_THROWS_WITH(parse("{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", data), Contains("tensor 't' has no shape"));
  CHECK_THROWS_WITH(parse("{\"t\":{\"dtype\":\"F32\",\"shape\":[2]}}", data), Contains("tensor 't' has no data_offsets"));
  CHECK_THROWS_WITH(parse("{\"t\":{\"dtype\":5}}"), Contains("the dtype of tensor 't' is a number"));
  for (const char* type : {"F4", "F6_E2M3", "F8_E4M3", "C64", "I16", "I8", "U16", "U32", "U64", "f32", ""})
    CHECK_THROWS_WITH(parse("{" + entry("t", type, "[2]", "[0,8]") + "}", data),
                      Contains(concat("elements of type '", type, "'")) && Contains("Convert it to F32"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "[-2]", "[0,8]") + "}", data), Contains("shape of tensor 't' holds a negative number"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "[2.0]", "[0,8]") + "}", data),
                    Contains("shape of tensor 't' holds a number that is not whole"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "[18446744073709551616]", "[0,8]") + "}", data), Contains("not whole or too large"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "[9223372036854775808]", "[0,8]") + "}", data),
                    Contains("dimension of 9223372036854775808"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "[[2]]", "[0,8]") + "}", data), Contains("shape of tensor 't' holds an array"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "2", "[0,8]") + "}", data),
                    Contains("shape of tensor 't' holds a number, expected a list"));
  std::string long_shape = "[1";
  for (int i = 0; i < 32; ++i) long_shape += ",1";
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", long_shape + "]", "[0,4]") + "}", "abcd"), Contains("more than 32 dimensions"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "[2]", "[8]") + "}", data), Contains("has 1 data_offsets, expected two"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "[2]", "[0,4,8]") + "}", data), Contains("more than two data_offsets"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "[2]", "[-8,0]") + "}", data),
                    Contains("data_offsets of tensor 't' hold a negative number"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "[2]", "[8,0]") + "}", data), Contains("end at 0, before they begin at 8"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "[4294967296,4294967296]", "[0,0]") + "}"),
                    Contains("more elements than can be counted"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "[0,4294967296,4294967296]", "[0,0]") + "}"),
                    Contains("more elements than can be counted"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F64", "[1152921504606846976]", "[0,0]") + "}"), Contains("more elements than can be counted"));
  CHECK_THROWS_WITH(parse("{" + entry("t", "F32", "[3]", "[0,8]") + "}", data),
                    Contains("F32 (3) needs 12 bytes, its data_offsets give 8"));
  CHECK_THROWS_WITH(parse("{" + good + "," + entry("u", "F32", "[2]", "[4,12]") + "}", data + "1234"),
                    Contains("'u' begin at 4, inside the tensor before it"));
  CHECK_THROWS_WITH(parse("{" + good + "," + entry("u", "F32", "[2]", "[0,8]") + "}", data), Contains("Overlapping tensors"));
  CHECK_THROWS_WITH(parse("{" + good + "," + entry("u", "F32", "[1]", "[12,16]") + "}", data + data),
                    Contains("Unused bytes between tensors"));
  CHECK_THROWS_WITH(parse("{" + entry("u", "F32", "[1]", "[4,8]") + "}", data), Contains("Unused bytes between tensors"));
  CHECK_THROWS_WITH(parse("{" + good + "}", "1234567"), Contains("end at 8, the file has only 7 bytes of data") && Contains("truncated"));
  CHECK_THROWS_WITH(parse("{" + good + "}", data + "!"), Contains("1 bytes follow the last tensor"));
}

TEST_CASE("safetensors: a header that nests deeply or names control characters is harmless", "[weights]") {
  CHECK_THROWS_AS(parse("{\"t\":" + std::string(1'000'000, '[')), Error);
  CHECK_THROWS_AS(parse("{\"__metadata__\":{\"k\":" + std::string(1'000'000, '[')), Error);
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "{\"a\":";
  CHECK_THROWS_AS(parse(deep), Error);
  CHECK_THROWS_WITH(parse("{\"\\u001b[2J\":3}"), Contains("'\\x1b[2J'"));
  CHECK_THROWS_WITH(parse("{\"" + std::string(1'000'000, 'n') + "\":3}"), Contains("nnn...'"));
}

TEST_CASE("safetensors: NaN and infinity are found where asked for", "[weights]") {
  StateDict state;
  state.add("count", scalar(1));
  state.add("fine", Array::of<float>({2}, ElementType::f32, {1, 2}));
  CHECK_NOTHROW(require_finite(state, "w"));
  StateDict nan = state, infinite = state;
  nan.add("bad", Array::of<uint16_t>({2}, ElementType::f16, {0x3c00, 0x7e00}));
  CHECK_THROWS_WITH(require_finite(nan, "w"), Contains("tensor 'bad' holds nan at element 1"));
  infinite.add("bad", Array::of<double>({1, 1}, ElementType::f64, {-std::numeric_limits<double>::infinity()}));
  CHECK_THROWS_WITH(require_finite(infinite, "w"), Contains("tensor 'bad' holds -inf at element 0"));
}

TEST_CASE("safetensors: what cannot be stored is refused", "[weights]") {
  StateDict reserved, broken;
  reserved.add("__metadata__", scalar(1));
  CHECK_THROWS_WITH(safetensors_bytes(reserved), Contains("cannot be named"));
  broken.add("\xff", scalar(1));
  CHECK_THROWS_WITH(safetensors_bytes(broken), Contains("not UTF-8"));
  StateDict twice;
  twice.add("a", scalar(1));
  CHECK_THROWS_WITH(twice.add("a", scalar(2)), Contains("tensor 'a' exists twice"));
  CHECK_THROWS_AS(Array({2}, ElementType::f32, {}, nullptr), Error);
}

TEST_CASE("arrays become tensors, converted where that is possible", "[weights]") {
  const StateDict types = read_safetensors(golden("types.safetensors"));
  const Tensor same = types.at("float").to_tensor(DType::f32, "float");
  CHECK(same.shape() == Shape{2, 3, 2, 2});
  CHECK(bit_equal(Array::share(same), types.at("float")));
  const Tensor shared_bytes = Tensor::of<float>({1}, {1.0f});
  const Array view = Array::share(shared_bytes);
  shared_bytes.data<float>()[0] = 2.0f;
  CHECK(view.value(0) == 2.0);
  CHECK(types.at("half").to_tensor(DType::f32, "half").data<float>()[4] == -7.0f);
  CHECK(types.at("float").to_tensor(DType::f64, "float").data<double>()[1] == -9.25);
  CHECK(types.at("double").to_tensor(DType::f32, "double").data<float>()[0] == 0.1f);
  CHECK(types.at("bfloat16").to_tensor(DType::f16, "b").data<f16>()[0].bits == 0xc900);  // -10
  CHECK(types.at("half").to_tensor(DType::bf16, "b").data<bf16>()[0].bits == 0xc120);
  CHECK(types.at("bool").to_tensor(DType::u8, "bool").data<uint8_t>()[2] == 1);
  CHECK(types.at("byte").to_tensor(DType::i32, "byte").data<int32_t>()[2] == 255);
  CHECK_THROWS_WITH(types.at("int").to_tensor(DType::u8, "int"), Contains("does not fit into u8"));
  CHECK_THROWS_WITH(types.at("long").to_tensor(DType::i32, "long"), Contains("i64 elements, which do not convert to i32"));
  CHECK_THROWS_WITH(types.at("float").to_tensor(DType::u8, "float"), Contains("do not convert"));
  CHECK_THROWS_WITH(Array::of<uint8_t>({1, 1, 1, 1, 1}, ElementType::u8, {1}).to_tensor(DType::u8, "five"),
                    Contains("five: has 5 dimensions"));
}

TEST_CASE("statistics of an array leave out what is not finite", "[weights]") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const ArrayStatistics s = statistics(Array::of<float>({6}, ElementType::f32, {nan, 3, -1, inf, -inf, 4}));
  CHECK(s.min == -1);
  CHECK(s.max == 4);
  CHECK(s.mean == 2);
  CHECK(s.finite == 3);
  CHECK(s.nans == 1);
  CHECK(s.infinities == 2);
  CHECK(statistics(Array()).finite == 0);
}
