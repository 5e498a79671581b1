#include "tests/support/catch.h"

#include "tests/support/weight_files.h"
#include "weights/pickle.h"
#include "weights/pth.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

StateDict parse(const std::string& text) { return parse_pth(shared(text), "w.pth"); }
void run_pickle(const std::string& operations) {
  const std::string text = pickled(operations);
  read_pickle({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, "w.pth");
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("pth: files of the real torch.save hold the values that Python says", "[weights]") {
  const char* const pairs[][2] = {
      {"types.pth", "types.safetensors"},        {"types_legacy.pth", "types.safetensors"},    {"views.pth", "views.safetensors"},
      {"views_legacy.pth", "views.safetensors"}, {"module.pth", "module.safetensors"},         {"module_legacy.pth", "module.safetensors"},
      {"nested.pth", "nested.safetensors"},      {"parameters.pth", "parameters.safetensors"}, {"grouped.pth", "grouped.safetensors"}};
  for (const auto& [file, values] : pairs) {
    INFO(file);
    const StateDict read = read_weights(golden(file)), expected = read_weights(golden(values));
    REQUIRE(read.size() == expected.size());
    for (const StateDict::Entry& entry : expected.entries()) {
      INFO(entry.name);
      CHECK(bit_equal(read.at(entry.name), entry.array));
    }
  }
}

TEST_CASE("pth: the order of a state dict is kept", "[weights]") {
  const StateDict state = read_weights(golden("module.pth"));
  std::vector<std::string> names;
  for (const StateDict::Entry& entry : state.entries()) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{"conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var",
                                          "bn1.num_batches_tracked", "fc.weight", "fc.bias"});
  CHECK(state.at("bn1.num_batches_tracked").type() == ElementType::i64);
}

TEST_CASE("pth: foreign objects are refused by name and never run", "[weights]") {
  CHECK_THROWS_WITH(read_weights(golden("foreign.pth")),
                    Contains("foreign.pth") && Contains("the Python object 'posix.system', which dura refuses"));
  CHECK_THROWS_WITH(read_weights(golden("foreign_legacy.pth")), Contains("the Python object 'posix.system'"));
  CHECK_THROWS_WITH(read_weights(golden("whole_module.pth")), Contains("BatchNorm2d") && Contains("torch.save(model.state_dict(), path)"));
  CHECK_THROWS_WITH(read_weights(golden("complex.pth")), Contains("ComplexFloatStorage"));
  CHECK_THROWS_WITH(read_weights(golden("short.pth")), Contains("tensor 'weight' holds 8-bit signed or 16-bit integers"));
  CHECK_THROWS_WITH(read_weights(golden("no_tensors.pth")), Contains("does not hold a dict of tensors"));
  for (const char* name : {"os\nsystem", "builtins\neval", "builtins\ngetattr", "torch\nload",
                           "torch._utils\n_rebuild_tensor_v2.__globals__", "collections\nOrderedDict.fromkeys", "torch\n", "\n"})
    CHECK_THROWS_WITH(run_pickle(std::string("c") + name + "\n"), Contains("the Python object '"));
}

TEST_CASE("pth: other formats are told apart by their contents", "[weights]") {
  CHECK_THROWS_WITH(parse(""), Contains("w.pth: is empty"));
  CHECK_THROWS_WITH(parse("hello"), Contains("not a file of torch.save"));
  CHECK_THROWS_WITH(parse(std::string(257, '\0') + "ustar"), Contains("is a tar file"));
  CHECK_THROWS_WITH(parse(zip_text({{"word/document.xml", "x"}})), Contains("zip file but not one of torch.save"));
  CHECK_THROWS_WITH(parse(zip_text({{"a/data.pkl", pickled("}")}, {"b/data.pkl", pickled("}")}})),
                    Contains("two state dicts, in 'a' and 'b'"));
  CHECK_THROWS_WITH(parse(zip_text({{"a/data.pkl", pickled("}")}, {"a/constants.pkl", "x"}})), Contains("TorchScript"));
  CHECK_THROWS_WITH(parse(zip_text({{"a/data.pkl", pickled("}")}, {"a/byteorder", "big"}})), Contains("byte order 'big'"));
  CHECK_THROWS_WITH(parse(zip_text({{"a/data.pkl", pickled("}") + "more"}})), Contains("4 bytes follow the end of data.pkl"));
  CHECK_THROWS_WITH(parse(pickled("K\x01")), Contains("was not written by torch.save"));
}

TEST_CASE("pth: a zip container is checked before it is used", "[weights]") {
  const std::string good = golden_text("module.pth");
  CHECK(parse(good).size() == 8);
  for (size_t length : {size_t{4}, size_t{30}, good.size() / 2, good.size() - 1})
    CHECK_THROWS_WITH(parse(good.substr(0, length)), Contains("truncated"));
  CHECK_THROWS_WITH(parse(good + "x"), Contains("has no end record"));
  std::string crc = good;
  crc[0x580] = static_cast<char>(crc[0x580] + 1);  // inside a storage
  CHECK_THROWS_WITH(parse(crc), Contains("does not have the CRC-32"));

  const std::string plain = pth_text(one_tensor(tensor_op(storage_op("FloatStorage", "0", 4), 0, {4}, {1})));
  CHECK(parse(plain).at("w").dimensions() == Dimensions{4});
  const std::string central = "PK\x01\x02";
  const size_t header = plain.find(central), end = plain.rfind("PK\x05\x06");
  const auto changed = [&](size_t at, uint32_t value, size_t bytes = 2) {
    std::string text = plain;
    return text.replace(at, bytes, little_endian(value).substr(0, bytes));
  };
  CHECK_THROWS_WITH(parse(changed(header + 10, 8)), Contains("'x/data.pkl' is compressed (method 8)"));
  CHECK_THROWS_WITH(parse(changed(header + 8, 1)), Contains("'x/data.pkl' is encrypted"));
  CHECK_THROWS_WITH(parse(changed(header + 20, 3, 4)), Contains("stored but has two sizes"));
  CHECK_THROWS_WITH(parse(changed(header + 16, 3, 4)), Contains("local header that contradicts the directory"));
  CHECK_THROWS_WITH(parse(changed(8, 8)), Contains("local header that contradicts the directory"));
  CHECK_THROWS_WITH(parse(changed(30, 'y', 1)), Contains("local header that contradicts the directory"));
  CHECK_THROWS_WITH(parse(changed(header + 42, 5, 4)), Contains("there is no header at byte 5"));
  CHECK_THROWS_WITH(parse(changed(header + 42, 0x7fffffff, 4)), Contains("lies outside of the file"));
  CHECK_THROWS_WITH(parse(changed(header, 0, 4)), Contains("zip directory is damaged"));
  CHECK_THROWS_WITH(parse(changed(header + 34, 1)), Contains("another part of the container"));
  CHECK_THROWS_WITH(parse(changed(end + 4, 1)), Contains("one part of a zip container of several files"));
  CHECK_THROWS_WITH(parse(changed(end + 8, 3 | 3 << 16, 4)), Contains("more than its 3 entries"));
  CHECK_THROWS_WITH(parse(changed(end + 8, 9999 | 9999u << 16, 4)), Contains("more than its directory can hold"));
  CHECK_THROWS_WITH(parse(changed(end + 12, 5, 4)), Contains("does not end where the end record begins"));
  CHECK_THROWS_WITH(parse(zip_text({{"x/data.pkl", pickled("}")}, {"x/data.pkl", pickled("}")}})), Contains("'x/data.pkl' exists twice"));
  CHECK_THROWS_WITH(parse(zip_text({{"", "x"}})), Contains("has the name ''"));
  // Two directory entries with one local header: the contents would be counted twice.
  const std::string pair = zip_text({{"x/data/0", "aaaa"}, {"x/data/0", "aaaa"}});
  const size_t second = pair.rfind(central);
  CHECK_THROWS_WITH(parse(std::string(pair).replace(second + 42, 4, 4, '\0')), Contains("overlaps the entry before it"));
}

TEST_CASE("pth: tensors must lie inside their storage", "[weights]") {
  const auto one = [](const std::string& storage, int64_t offset, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
    return parse(pth_text(one_tensor(tensor_op(storage, offset, sizes, strides)), std::string(16, 'a')));
  };
  const std::string four = storage_op("FloatStorage", "0", 4);
  CHECK(one(four, 1, {3}, {1}).at("w").numel() == 3);
  CHECK(one(four, 0, {2, 4}, {0, 1}).at("w").numel() == 8);
  CHECK(one(four, 3, {1}, {INT64_MAX}).at("w").numel() == 1);
  CHECK(one(four, 0, {2, 1}, {3, INT64_MAX}).at("w").numel() == 2);
  CHECK(one(four, 99, {0, 7}, {5, 5}).at("w").numel() == 0);
  CHECK_THROWS_WITH(one(four, 2, {3}, {1}), Contains("'w' of shape (3) with strides (1) and offset 2 reaches outside of its storage of 4"));
  CHECK_THROWS_WITH(one(four, 0, {2}, {4}), Contains("reaches outside"));
  CHECK_THROWS_WITH(one(four, INT64_MAX, {2}, {1}), Contains("reaches outside"));
  CHECK_THROWS_WITH(one(four, 0, {3}, {INT64_MAX}), Contains("reaches outside"));
  CHECK_THROWS_WITH(one(four, 0, {3, 3}, {INT64_MAX / 2, INT64_MAX / 2}), Contains("reaches outside"));
  CHECK_THROWS_WITH(one(four, 0, {INT64_MAX, INT64_MAX}, {0, 0}), Contains("more elements than can be counted"));
  CHECK_THROWS_WITH(one(four, 0, {INT64_MAX, 0, 4}, {0, 0, 0}), Contains("more elements than can be counted"));
  CHECK_THROWS_WITH(one(four, 0, {1'000'000'000'000}, {0}), Contains("take more than 4 times the"));
  CHECK_THROWS_WITH(one(four, -1, {1}, {1}), Contains("arguments of the wrong kind"));
  CHECK_THROWS_WITH(one(four, 0, {-1}, {1}), Contains("arguments of the wrong kind"));
  CHECK_THROWS_WITH(one(four, 1, {2}, {-1}), Contains("arguments of the wrong kind"));
  CHECK_THROWS_WITH(one(four, 0, {2}, {1, 1}), Contains("arguments of the wrong kind"));
  CHECK_THROWS_WITH(one(four, 0, std::vector<int64_t>(33, 1), std::vector<int64_t>(33, 1)), Contains("33 dimensions"));
  CHECK_THROWS_WITH(one(storage_op("FloatStorage", "1", 4), 0, {4}, {1}), Contains("storage '1' of tensor 'w' is missing"));
  CHECK_THROWS_WITH(one(storage_op("FloatStorage", "0", 5), 0, {4}, {1}), Contains("has 16 bytes, expected 5 f32 elements"));
  CHECK_THROWS_WITH(one(storage_op("DoubleStorage", "0", 4), 0, {4}, {1}), Contains("has 16 bytes, expected 4 f64 elements"));
  CHECK_THROWS_WITH(one(storage_op("FloatStorage", "0", -1), 0, {4}, {1}), Contains("a storage without a key and a number"));
  CHECK_THROWS_WITH(one(storage_op("FloatStorage", "../0", 4), 0, {4}, {1}), Contains("storage '../0' of tensor 'w' is missing"));
}

TEST_CASE("pth: every limit of the pickle reader holds", "[weights]") {
  CHECK_NOTHROW(run_pickle("}"));
  CHECK_THROWS_WITH(read_pickle({}, "w.pth"), Contains("cut off by the end"));
  CHECK_THROWS_WITH(parse(pth_text("}.")), Contains("no PROTO at the beginning"));
  CHECK_THROWS_WITH(parse(pth_text("\x80\x04}.")), Contains("pickle protocol 4 where protocol 2 was expected"));
  CHECK_THROWS_WITH(run_pickle("\x80\x02}"), Contains("pickle protocol 2 where"));
  CHECK_THROWS_WITH(parse(pth_text("\x80\x02}")), Contains("cut off by the end"));
  CHECK_THROWS_WITH(run_pickle(""), Contains("STOP with 0 values left"));
  CHECK_THROWS_WITH(run_pickle("NN"), Contains("STOP with 2 values left"));
  CHECK_THROWS_WITH(run_pickle("N("), Contains("STOP with"));
  std::string many;
  for (int i = 0; i < 1'000'001; ++i) many += "N";
  CHECK_THROWS_WITH(run_pickle(many), Contains("more than 1000000 operations"));
  CHECK_THROWS_WITH(run_pickle(std::string(65, '(')), Contains("MARKs nested deeper than 64"));
  std::string deep = "N";
  for (int i = 0; i < 65; ++i) deep += "\x85";
  CHECK_THROWS_WITH(run_pickle(deep), Contains("containers nested deeper than 64"));
  CHECK_NOTHROW(run_pickle("]q" + std::string(1, '\0') + "h" + std::string(1, '\0') + "a"));
  CHECK_THROWS_WITH(run_pickle(text_op(std::string(4097, 'a'))), Contains("a text of 4097 bytes"));
  CHECK_THROWS_WITH(run_pickle("X\xff\xff\xff\xff"), Contains("a text of 4294967295 bytes"));
  CHECK_THROWS_WITH(run_pickle("c" + std::string(5000, 'a')), Contains("a name without an end"));
  CHECK_THROWS_WITH(run_pickle("Nr" + little_endian(uint32_t{1'000'000})), Contains("memo number 1000000, at most 999999"));
  CHECK_THROWS_WITH(run_pickle("h\x07"), Contains("memo number 7, which was never stored"));
  CHECK_THROWS_WITH(run_pickle("q\x07"), Contains("needs a value where there is none"));
  CHECK_THROWS_WITH(run_pickle("N(\x85"), Contains("needs a value where there is none"));
  CHECK_THROWS_WITH(run_pickle("Nt"), Contains("needs a MARK where there is none"));
  CHECK_THROWS_WITH(run_pickle("NNa"), Contains("an APPEND to something that is not a list"));
  CHECK_THROWS_WITH(run_pickle("NNNs"), Contains("a SETITEM of something that is not a dict"));
  CHECK_THROWS_WITH(run_pickle("}(Nu"), Contains("a key that has no value"));
  CHECK_THROWS_WITH(run_pickle("N}b"), Contains("a BUILD of something that is not a dict"));
  CHECK_THROWS_WITH(run_pickle("N)R"), Contains("a REDUCE of something that is not a known function"));
  CHECK_THROWS_WITH(run_pickle(global_op("collections", "OrderedDict") + "]R"), Contains("a REDUCE without a tuple"));
  CHECK_THROWS_WITH(run_pickle(global_op("collections", "OrderedDict") + "N\x85\x81"), Contains("OrderedDict that is made with arguments"));
  CHECK_THROWS_WITH(run_pickle(global_op("torch", "FloatStorage") + ")R"), Contains("a REDUCE of a storage type"));
  CHECK_THROWS_WITH(run_pickle(global_op("torch._utils", "_rebuild_tensor_v2") + ")R"), Contains("a tensor made of 0 arguments"));
  CHECK_THROWS_WITH(run_pickle(global_op("torch._utils", "_rebuild_parameter") + "N\x85R"),
                    Contains("a parameter that is not made of a tensor"));
  CHECK_THROWS_WITH(run_pickle("NQ"), Contains("a reference to something that is not a storage"));
  CHECK_THROWS_WITH(run_pickle(std::string("\x8a\x11") + std::string(17, 'a')), Contains("a number of 17 bytes"));
  for (const auto& [opcode, name] : std::vector<std::pair<std::string, std::string>>{
           {"i", "INST"}, {"o", "OBJ"}, {"\x93", "STACK_GLOBAL"}, {"\x82", "EXT1"}, {"\x90", "ADDITEMS"}, {"0", "POP"}, {"\xff", "0xff"}})
    CHECK_THROWS_WITH(run_pickle(opcode), Contains("the operation " + name + ", which a state dict does not need"));
}

TEST_CASE("pth: values that contain each other cost no more than their size", "[weights]") {
  const std::string key = text_op("a"), zero(1, '\0');
  CHECK_THROWS_WITH(parse(pth_text(pickled("}q" + zero + "(" + key + "h" + zero + "u"))), Contains("nested deeper than 16"));
  // Each of twelve dicts holds the one before eight times: 8^12 paths in a kilobyte.
  std::string bomb = "}(" + key + "}q" + zero;
  for (char level = 1; level <= 12; ++level) {
    bomb += text_op(std::string(1, static_cast<char>('a' + level))) + "}(";
    for (char copy = 0; copy < 8; ++copy)
      bomb += text_op(std::string(1, static_cast<char>('a' + copy))) + "h" + std::string(1, static_cast<char>(level - 1));
    bomb += "uq" + std::string(1, level);
  }
  CHECK_THROWS_WITH(parse(pth_text(pickled(bomb + "u"))), Contains("contain each other too often"));
  // A list that holds itself is no state dict, and no trap either.
  CHECK_THROWS_WITH(parse(pth_text(pickled("]q" + zero + "h" + zero + "a"))), Contains("does not hold a dict of tensors"));
}

TEST_CASE("pth: a legacy file is checked like a zip", "[weights]") {
  const std::string good = golden_text("module_legacy.pth");
  CHECK(parse(good).size() == 8);
  CHECK_THROWS_WITH(parse(good.substr(0, good.size() - 1)), Contains("are cut off") && Contains("truncated"));
  CHECK_THROWS_WITH(parse(good.substr(0, 300)), Contains("cut off by the end of the data"));
  CHECK_THROWS_WITH(parse(good + "x"), Contains("1 bytes follow the last storage"));
  CHECK_THROWS_WITH(parse(replaced(good, "M\xe9\x03.", "M\xe8\x03.")), Contains("another torch.save protocol than 1001"));
  CHECK_THROWS_WITH(parse(replaced(good, "little_endianq\x02\x88", "little_endianq\x02\x89")), Contains("little-endian machine"));
  CHECK_THROWS_WITH(parse(replaced(good, "K\x6c", "K\x6d")), Contains("has 108 elements, its tensors expect 109"));
  CHECK_THROWS_WITH(parse(replaced(good, "K\x6c", "K\x6b")), Contains("has 108 elements, its tensors expect 107"));
  CHECK_THROWS_WITH(parse(replaced(good, "K\x6c", "M\xff\xff")), Contains("of 65535 elements is larger than the file"));
  CHECK_THROWS_WITH(parse(replaced(good, "little_endian", "little_endiaN")), Contains("little-endian machine"));
}
