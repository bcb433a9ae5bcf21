#include "model/archive/pickle_check.h"

#include <string>

#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

// Pieces of pickles, as torch/csrc/jit/serialization/pickler.cpp writes them.
std::string Pickle(const std::string& body) { return "\x80\x02" + body + "."; }
std::string Text(const std::string& text) {
  std::string pickle = "X";
  pickle += static_cast<char>(text.size());
  pickle += std::string(3, '\0');
  return pickle + text;
}
std::string Int(int value) { return std::string("K") + static_cast<char>(value); }
std::string Global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
std::string Ints(std::initializer_list<int> values) {
  std::string tuple = "(";
  for (const int value : values) tuple += Int(value);
  return tuple + "t";
}
std::string Storage(const std::string& type, int elements) {
  return std::string("(") + Text("storage") + Global("torch", type) + Text("0") + Text("cpu") +
         Int(elements) + "tQ";
}
std::string Tensor(const std::string& storage, int offset, std::initializer_list<int> sizes,
                   std::initializer_list<int> strides) {
  return Global("torch._utils", "_rebuild_tensor_v2") + "(" + storage + Int(offset) + Ints(sizes) +
         Ints(strides) + "\x89" + Global("collections", "OrderedDict") + ")R" + "tR";
}
std::string Object(const std::string& name, const std::string& items) {
  return Global("__torch__", name) + ")\x81}(" + items + "ub";
}

std::string Failure(const std::string& pickle) {
  const auto summary = CheckPickle(pickle, "test.pt: record data.pkl");
  REQUIRE_FALSE(summary.ok());
  CHECK(summary.status().code() == StatusCode::kUnreadable);
  CHECK_THAT(summary.status().message(), ContainsText("test.pt: record data.pkl: byte "));
  return summary.status().message();
}

std::string ModuleWithTensor() {
  return Pickle(Object("M", Text("w") + Tensor(Storage("FloatStorage", 12), 0, {3, 4}, {4, 1})));
}

TEST_CASE("pickle: a module with a tensor is understood") {
  const auto summary = CheckPickle(ModuleWithTensor(), "test");
  REQUIRE(summary.ok());
  CHECK(summary->is_object);
  REQUIRE(summary->storages.contains("0"));
  CHECK(summary->storages.at("0").dtype == "Float");
  CHECK(summary->storages.at("0").elements == 12);
  CHECK(summary->storages.at("0").element_bytes == 4);
}

TEST_CASE("pickle: one cut anywhere is refused") {
  const std::string whole = ModuleWithTensor();
  for (size_t size = 0; size < whole.size(); ++size) {
    INFO("cut to " << size);
    CHECK_FALSE(CheckPickle(whole.substr(0, size), "test").ok());
  }
}

TEST_CASE("pickle: any byte may be anything without harm") {
  const std::string whole = ModuleWithTensor();
  size_t refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = whole;
      changed[at] = static_cast<char>(value);
      refused += CheckPickle(changed, "test").ok() ? 0 : 1;
    }
  }
  CHECK(refused > whole.size() * 200);
}

TEST_CASE("pickle: functions of Python are refused by name") {
  CHECK_THAT(Failure(Pickle(Global("os", "system") + Text("true") + "\x85R")),
             ContainsText("os.system"));
  CHECK_THAT(Failure(Pickle(Global("builtins", "eval") + Text("1") + "\x85R")),
             ContainsText("builtins.eval"));
  CHECK_THAT(Failure(Pickle(Global("torch._utils", "_rebuild_qtensor"))),
             ContainsText("_rebuild_qtensor"));
  CHECK_THAT(Failure(Pickle(Global("torch._utils", "_rebuild_sparse_tensor"))),
             ContainsText("_rebuild_sparse_tensor"));
}

TEST_CASE("pickle: custom classes are refused") {
  CHECK_THAT(Failure(Pickle(Object("torch.classes.x.Y", ""))), ContainsText("custom class"));
  CHECK_THAT(Failure(Pickle(Global("__torch__.torch.classes.x", "Y") + ")\x81})b")),
             ContainsText("custom class"));
}

TEST_CASE("pickle: class names that are no names are refused") {
  for (const char* name : {"M[int]", "M()", "a..b", "", "M N", ".M", "M."}) {
    INFO(name);
    CHECK_THAT(Failure(Pickle(Object(name, ""))), ContainsText("refused"));
  }
}

TEST_CASE("pickle: a state that needs __setstate__ is refused") {
  CHECK_THAT(Failure(Pickle(Global("__torch__", "M") + ")\x81" + Ints({1, 2}) + "b")),
             ContainsText("__setstate__"));
}

TEST_CASE("pickle: tensors outside of their storage are refused") {
  const auto tensor = [](int offset, std::initializer_list<int> sizes,
                         std::initializer_list<int> strides) {
    return Pickle(
        Object("M", Text("w") + Tensor(Storage("FloatStorage", 12), offset, sizes, strides)));
  };
  CHECK(CheckPickle(tensor(0, {12}, {1}), "").ok());
  CHECK(CheckPickle(tensor(11, {}, {}), "").ok());
  CHECK(CheckPickle(tensor(12, {0, 3}, {3, 1}), "").ok());
  CHECK(CheckPickle(tensor(0, {4, 3}, {1, 4}), "").ok());
  for (const std::string& pickle :
       {tensor(1, {12}, {1}), tensor(12, {}, {}), tensor(0, {13}, {1}), tensor(0, {4, 3}, {4, 1}),
        tensor(13, {0}, {1}), tensor(0, {3}, {1, 1}), tensor(0, {2}, {12})}) {
    CHECK_THAT(Failure(pickle), ContainsText("outside of its storage 0 of 12 elements"));
  }
}

TEST_CASE("pickle: sizes that overflow are refused") {
  const std::string huge = std::string("\x8a\x08") + std::string(7, '\xff') + "\x7f";
  const auto tensor = [&](const std::string& sizes, const std::string& strides) {
    return Pickle(Object("M", Text("w") + Global("torch._utils", "_rebuild_tensor_v2") + "(" +
                                  Storage("FloatStorage", 12) + Int(0) + sizes + strides + "\x89" +
                                  Global("collections", "OrderedDict") + ")RtR"));
  };
  CHECK_THAT(Failure(tensor(std::string("(") + huge + huge + "t", Ints({0, 0}))),
             ContainsText("outside"));
  CHECK_THAT(Failure(tensor(std::string("(") + Int(2) + Int(2) + "t",
                            std::string("(") + huge + huge + "t")),
             ContainsText("outside"));
  const std::string storage = std::string("(") + Text("storage") +
                              Global("torch", "DoubleStorage") + Text("0") + Text("cpu") + huge +
                              "tQ";
  CHECK_THAT(Failure(Pickle(Object("M", Text("w") + storage))), ContainsText("storage 0 has"));
}

TEST_CASE("pickle: one storage with two types is refused") {
  const std::string both = Text("a") + Tensor(Storage("FloatStorage", 4), 0, {4}, {1}) + Text("b") +
                           Tensor(Storage("LongStorage", 4), 0, {4}, {1});
  CHECK_THAT(Failure(Pickle(Object("M", both))), ContainsText("storage 0 has two types"));
}

TEST_CASE("pickle: memo entries must count up") {
  CHECK_THAT(Failure(Pickle("]r\xff\xff\xff\x7f")), ContainsText("memo entry"));
  CHECK_THAT(Failure(Pickle("h\x05")), ContainsText("memo entry 5 is not set"));
}

TEST_CASE("pickle: a container that would contain itself is refused") {
  CHECK_THAT(Failure(Pickle(std::string("]q\0", 3) + std::string("h\0", 2) + "N" + "a")),
             ContainsText("after it was finished"));
  // Through a tuple, and appended to the list itself rather than to what the memo gives.
  CHECK_THAT(Failure(Pickle(std::string("]q\0", 3) + std::string("h\0", 2) + "\x85" + "a")),
             ContainsText("after it was finished"));
}

TEST_CASE("pickle: nesting and sharing are bounded") {
  CHECK_THAT(Failure(Pickle(std::string("N") + std::string(300, '\x85'))),
             ContainsText("nested deeper"));
  // Each tuple holds the one before twice.
  std::string doubling = "N";
  for (char id = 0; id < 40; ++id) {
    doubling += std::string("q") + id + "h" + id + "\x86";
  }
  CHECK_THAT(Failure(Pickle(doubling)), ContainsText("shared too many times"));
}

TEST_CASE("pickle: opcodes that TorchScript does not write are refused") {
  for (const char opcode : {'i', 'o', 'P', 'V', 'I', 'L', '0', '1', '2', '\x82', '\x93', '\x94'}) {
    CHECK_FALSE(CheckPickle(Pickle(std::string("N") + opcode), "test").ok());
  }
  CHECK_THAT(Failure(Pickle("V1\n")), ContainsText("opcode 0x56"));
  CHECK_THAT(Failure("\x80\x03N."), ContainsText("protocol 2"));
  CHECK_THAT(Failure(Pickle("N.")), ContainsText("bytes follow"));
  CHECK_THAT(Failure(Pickle("N")), ContainsText("neither a module nor a tuple"));
}

}  // namespace
}  // namespace vlaserve
