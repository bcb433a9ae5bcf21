// One option: its table entry and the check of a value.
#include "server/config/option.h"

#include <set>
#include <string>

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)
using Json = nlohmann::json;

namespace {

const Option& Get(std::string_view key) {
  const Option* option = FindOption(key);
  REQUIRE(option != nullptr);
  return *option;
}

}  // namespace

TEST_CASE("every table entry is complete and its default passes its own check") {
  std::set<std::string_view> keys;
  std::set<std::string_view> groups;
  for (const OptionGroup& group : OptionGroups()) groups.insert(group.name);
  for (const Option& option : Options()) {
    INFO(option.key);
    CHECK(keys.insert(option.key).second);
    CHECK(groups.count(option.key.substr(0, option.key.find('.'))) == 1);
    CHECK(!option.help.empty());
    CHECK(option.apply != nullptr);
    if (option.default_value.is_null()) {
      CHECK(!option.when_unset.empty());
    } else {
      CHECK(CheckValue(option, option.default_value).ok());
    }
    if (option.type == OptionType::kString || option.type == OptionType::kStringList) {
      CHECK((option.values.empty() != option.form.empty()));
    }
    if (option.type == OptionType::kIntegerMap || option.type == OptionType::kSettingsMap) {
      CHECK(!option.form.empty());
    }
    if (option.type == OptionType::kInteger || option.type == OptionType::kNumber) {
      CHECK((option.minimum < option.maximum) != !option.integers.empty());
    }
  }
}

TEST_CASE("keys map to variables and JSON pointers") {
  CHECK(EnvironmentName("server.address") == "VLASERVE_SERVER_ADDRESS");
  CHECK(EnvironmentName("runtime.savings.step_table") == "VLASERVE_RUNTIME_SAVINGS_STEP_TABLE");
  CHECK(JsonPointer("runtime.savings.step_table") == "/runtime/savings/step_table");
  CHECK(FindOption("server") == nullptr);
  CHECK(FindOption("server.addres") == nullptr);
}

TEST_CASE("values of the wrong type or range say what was expected and found") {
  struct Case {
    std::string_view key;
    Json value;
    std::string message;
  };
  const Case cases[] = {
      {"server.queue_capacity", "16", "expected an integer from 1 to 4096, found string \"16\""},
      {"server.queue_capacity", 16.0, "expected an integer from 1 to 4096, found number 16.0"},
      {"server.queue_capacity", 0, "expected an integer from 1 to 4096, found number 0"},
      {"server.queue_capacity", 4097, "expected an integer from 1 to 4096, found number 4097"},
      {"server.queue_capacity", 18446744073709551615u,
       "expected an integer from 1 to 4096, found number 18446744073709551615"},
      {"server.queue_capacity", nullptr, "expected an integer from 1 to 4096, found null"},
      {"server.drain_seconds", -0.5, "expected a number from 0 to 600, found number -0.5"},
      {"server.drain_seconds", true, "expected a number from 0 to 600, found boolean true"},
      {"server.insecure", 1, "expected true or false, found number 1"},
      {"server.insecure", "true", "expected true or false, found string \"true\""},
      {"server.address", 50051, "expected HOST:PORT or [IPv6]:PORT, found number 50051"},
      {"server.address", Json::array({"a"}), "expected HOST:PORT or [IPv6]:PORT, found array"},
      {"log.level", "verbose", "expected debug, info, warning or error, found string \"verbose\""},
      {"runtime.compute_dtype", "FLOAT32",
       "expected float32 or bfloat16, found string \"FLOAT32\""},
      {"policy.archive", "", "expected a path, found string \"\""},
      {"policy.archive", Json::object(), "expected a path, found object"},
  };
  for (const Case& c : cases) {
    INFO(c.key << " = " << c.value.dump());
    const Status status = CheckValue(Get(c.key), c.value);
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK(status.field() == c.key);
    CHECK(status.message() == c.message);
  }
}

TEST_CASE("values of lists, maps and choices say what was expected and found") {
  struct Case {
    std::string_view key;
    Json value;
    std::string message;
  };
  const Case cases[] = {
      {"quant.transform.block", 48, "expected 16, 32, 64, 128 or 256, found number 48"},
      {"quant.select.scope", 1, "expected the beginning of a name, found number 1"},
      {"quant.compat_bugs", "row_rot_none",
       "expected a list of first_batch_calib, row_rot_none, sq_inverted, inplace_weight or "
       "wbits32_scale1, found string \"row_rot_none\""},
      {"quant.select.layers", Json::array({"a", 1}),
       "expected a list of names of linears, found entry number 1"},
      {"quant.select.per_layer_wbits", Json::array(),
       "expected an object of names of linears and weight bits, found array"},
      {"quant.select.per_layer_wbits", Json{{"a", 9}},
       "\"a\": expected an integer, 0, 2, 3, 4, 5, 6, 7, 8, 16 or 32, found number 9"},
      {"quant.sites", Json{{"a", 8}}, "\"a\": expected an object, found number 8"},
      {"quant.sites", Json{{"a", {{"weight.bits", "8"}}}},
       "\"a\": weight.bits: expected 0, 2, 3, 4, 5, 6, 7, 8, 16 or 32, found string \"8\""},
  };
  for (const Case& c : cases) {
    INFO(c.key << " = " << c.value.dump());
    const Status status = CheckValue(Get(c.key), c.value);
    CHECK(status.field() == c.key);
    CHECK(status.message() == c.message);
  }
  CHECK(CheckValue(Get("quant.sites"), Json{{"a", {{"engine", "int"}}}})
            .message()
            .starts_with("\"a\": unknown key \"engine\"; expected some of weight.bits, "));
  CHECK(!CheckValue(Get("quant.sites"), Json{{"a", {{"transform.smooth.file", "f"}}}}).ok());
  CHECK(CheckValue(Get("quant.sites"), Json{{"a", {{"act.group", 64}}}}).ok());
  CHECK(CheckValue(Get("quant.select.scope"), "").ok());
  CHECK(CheckValue(Get("quant.select.groups"), Json::array({"llm.attn"})).ok());
}

TEST_CASE("addresses and devices are checked for their form") {
  const Option& address = Get("server.address");
  for (const std::string good :
       {"127.0.0.1:50051", "localhost:0", "[::1]:65535", "0.0.0.0:1", "a-b.example:9999"}) {
    INFO(good);
    CHECK(CheckValue(address, good).ok());
  }
  for (const std::string bad : {"", ":50051", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                                "127.0.0.1:123456", "127.0.0.1:-1", "127.0.0.1:5 ", "::1:50051",
                                "[::1]", "http://h:1", "a b:1", "127.0.0.1:50051\n"}) {
    INFO(bad);
    CHECK(!CheckValue(address, bad).ok());
  }
  CHECK(!CheckValue(address, std::string(100'000, 'a') + ":1").ok());
  const Option& device = Get("runtime.device");
  for (const std::string good : {"cpu", "cuda", "cuda:0", "cuda:12"}) {
    CHECK(CheckValue(device, good).ok());
  }
  for (const std::string bad : {"gpu", "cuda:", "cuda:x", "cuda0", "CPU", "cpu:0", ""}) {
    INFO(bad);
    CHECK(!CheckValue(device, bad).ok());
  }
}

TEST_CASE("text of the environment and --set is read by the option's type") {
  CHECK(ParseValue(Get("server.queue_capacity"), "32").value() == 32);
  CHECK(ParseValue(Get("server.drain_seconds"), "2.5").value() == 2.5);
  CHECK(ParseValue(Get("server.insecure"), "true").value() == true);
  CHECK(ParseValue(Get("server.insecure"), "false").value() == false);
  CHECK(ParseValue(Get("policy.archive"), "true").value() == "true");
  CHECK(ParseValue(Get("policy.archive"), "a=b c").value() == "a=b c");
  CHECK(ParseValue(Get("quant.select.layers"), R"(["a"])").value() == Json::array({"a"}));
  CHECK(ParseValue(Get("quant.sites"), R"({"a": {"weight.bits": 8}})").value() ==
        Json{{"a", {{"weight.bits", 8}}}});

  struct Case {
    std::string_view key;
    std::string text;
  };
  for (const Case& c : {Case{"server.queue_capacity", "32x"}, Case{"server.queue_capacity", " 32"},
                        Case{"server.queue_capacity", "3e1"}, Case{"server.queue_capacity", ""},
                        Case{"server.queue_capacity", "99999999999999999999"},
                        Case{"server.drain_seconds", "nan"}, Case{"server.drain_seconds", "inf"},
                        Case{"server.insecure", "1"}, Case{"server.insecure", "True"},
                        Case{"server.insecure", "yes"}, Case{"server.address", "nowhere"},
                        Case{"quant.select.layers", "a,b"}, Case{"quant.sites", "{"}}) {
    INFO(c.key << "=" << c.text);
    const auto value = ParseValue(Get(c.key), c.text);
    REQUIRE(!value.ok());
    CHECK(value.status().code() == StatusCode::kInvalidArgument);
    CHECK(value.status().field() == c.key);
  }
}

TEST_CASE("a value that is not UTF-8 or very long is quoted in bounded, printable form") {
  const Status status = CheckValue(Get("log.level"), std::string(1000, '\xFF'));
  CHECK(!status.ok());
  CHECK(status.message().size() < 400);
  CHECK(status.message().find('\xFF') == std::string::npos);
}
