#include "model/archive/load_module.h"

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <torch/script.h>

#include "model/archive/operator_check.h"
#include "tests/model/archive/script_modules.h"
#include "tests/model/archive/zip_files.h"
#include "tests/support/catch.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

Result<torch::jit::Module> Load(const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(const ArchiveRecords records,
                            ArchiveRecords::Open(PosixFileSystem(), path));
  VLASERVE_ASSIGN_OR_RETURN(torch::jit::Module module, LoadModule(records));
  VLASERVE_RETURN_IF_ERROR(CheckOperators(module, path));
  return module;
}

std::string Failure(const std::string& path) {
  const auto module = Load(path);
  REQUIRE_FALSE(module.ok());
  CHECK(module.status().code() == StatusCode::kUnreadable);
  CHECK_THAT(module.status().message(), ContainsText(path));
  return module.status().message();
}

// Kilobytes of memory that belong to this process alone.
int64_t AnonymousKilobytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  int64_t value = -1;
  while (status >> word) {
    if (word == "RssAnon:") status >> value;
  }
  return value;
}

TEST_CASE("load: tensors of every kind come back equal") {
  const TempDir dir;
  std::map<std::string, at::Tensor> tensors;
  for (const auto type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong, at::kInt,
                          at::kShort, at::kChar, at::kByte, at::kBool}) {
    tensors[std::string("t_") + c10::toString(type)] = torch::arange(-3, 9).to(type).view({3, 4});
  }
  tensors["scalar"] = torch::tensor(2.5);
  tensors["empty"] = torch::zeros({0, 3});
  tensors["transposed"] = torch::randn({3, 4}).t();
  tensors["part"] = torch::randn({8, 8}).narrow(0, 2, 3).narrow(1, 1, 4);
  tensors["strided"] = torch::randn({4, 6}).slice(1, 0, 6, 2);
  const std::string path =
      SaveScript(dir.File("m.pt"), "def forward(self, x: Tensor):\n    return x * 2\n", tensors);

  auto module = Load(path);
  REQUIRE(module.ok());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    const at::Tensor loaded = module->attr(name).toTensor();
    CHECK(loaded.scalar_type() == tensor.scalar_type());
    CHECK(loaded.strides() == tensor.strides());
    CHECK(torch::equal(loaded, tensor));
  }
  CHECK(torch::equal(module->forward({torch::ones({2})}).toTensor(), torch::full({2}, 2.0)));
}

TEST_CASE("load: tied tensors share their memory again") {
  const TempDir dir;
  const at::Tensor weight = torch::randn({4, 4});
  const auto module =
      Load(SaveScript(dir.File("m.pt"), "def forward(self, x: Tensor):\n    return self.a + x\n",
                      {{"a", weight}, {"b", weight}, {"row", weight[2]}}));
  REQUIRE(module.ok());
  const at::Tensor a = module->attr("a").toTensor();
  for (const char* name : {"b", "row"}) {
    CHECK(a.storage().unsafeGetStorageImpl() ==
          module->attr(name).toTensor().storage().unsafeGetStorageImpl());
  }
  CHECK(a.const_data_ptr() == module->attr("b").toTensor().const_data_ptr());
}

TEST_CASE("load: constants, attributes, submodules and free calls work") {
  const TempDir dir;
  torch::jit::Module child("__torch__.Child");
  child.register_parameter("w", torch::full({2}, 3.0), false);
  child.define("def forward(self, x: Tensor):\n    return x * self.w\n");
  torch::jit::Module module("__torch__.M");
  module.register_module("child", child);
  module.register_attribute("sizes", c10::ListType::ofInts(), std::vector<int64_t>{4, 5});
  c10::Dict<std::string, at::Tensor> table;
  table.insert("k", torch::full({2}, 10.0));
  module.register_attribute(
      "table", c10::DictType::create(c10::StringType::get(), c10::TensorType::get()), table);
  module.define(
      "def forward(self, x: Tensor, scale: float = 0.5):\n"
      "    y = self.child.forward(x) + torch.tensor([1., 2.]) + self.sizes[1]\n"
      "    for i in range(2):\n"
      "        y = y * scale\n"
      "    return y + self.table['k']\n");
  module.save(dir.File("m.pt"));
  const at::Tensor expected = module.forward({torch::ones({2})}).toTensor();

  auto loaded = Load(dir.File("m.pt"));
  REQUIRE(loaded.ok());
  CHECK(torch::equal(loaded->forward({torch::ones({2})}).toTensor(), expected));
  CHECK(torch::equal(expected, torch::tensor({12.25, 12.5})));
}

TEST_CASE("load: a frozen module works") {
  const TempDir dir;
  torch::jit::Module module("__torch__.M");
  module.register_parameter("w", torch::randn({8, 8}), false);
  module.define("def forward(self, x: Tensor):\n    return torch.linear(x, self.w)\n");
  module.eval();
  const at::Tensor expected = module.forward({torch::ones({1, 8})}).toTensor();
  torch::jit::freeze(module).save(dir.File("m.pt"));
  auto loaded = Load(dir.File("m.pt"));
  REQUIRE(loaded.ok());
  CHECK(torch::equal(loaded->forward({torch::ones({1, 8})}).toTensor(), expected));
}

TEST_CASE("load: 200 MB of weights are not copied") {
  const TempDir dir;
  std::string path;
  double expected = 0;
  {
    std::map<std::string, at::Tensor> tensors;
    for (int i = 0; i < 20; ++i) {
      tensors[std::string("w") + std::to_string(i)] = torch::full({2500, 1000}, i + 1.0);
    }
    path = SaveScript(dir.File("m.pt"), "def forward(self, x: Tensor):\n    return x\n", tensors);
    expected = tensors["w7"].to(torch::kDouble).sum().item<double>();
  }
  const int64_t before = AnonymousKilobytes();
  REQUIRE(before > 0);
  const auto module = Load(path);
  REQUIRE(module.ok());
  const at::Tensor w7 = module->attr("w7").toTensor();
  CHECK(w7.sum(torch::kDouble).item<double>() == expected);
  CHECK(AnonymousKilobytes() - before < 30'000);
}

TEST_CASE("load: the mapping lives as long as a tensor") {
  const TempDir dir;
  at::Tensor weight;
  {
    const auto module =
        Load(SaveScript(dir.File("m.pt"), "def forward(self, x: Tensor):\n    return x\n",
                        {{"w", torch::full({100}, 2.0)}}));
    REQUIRE(module.ok());
    weight = module->attr("w").toTensor();
  }
  CHECK(weight.sum().item<double>() == 200.0);
}

TEST_CASE("load: __setstate__ is refused and not run") {
  const TempDir dir;
  const std::string path = SaveScript(dir.File("m.pt"),
                                      "def __getstate__(self):\n    return self.w\n"
                                      "def __setstate__(self, state: Tensor) -> None:\n"
                                      "    print('ran')\n    self.w = state\n"
                                      "def forward(self, x: Tensor):\n    return x\n",
                                      {{"w", torch::ones({2})}});
  CHECK_THAT(Failure(path), ContainsText("code of __torch__, line "));
  // Each of the two alone.
  const std::string code = RecordContent(path, "code/__torch__.py");
  for (const std::string name : {"__getstate__", "__setstate__"}) {
    std::string changed = code;
    changed.replace(changed.find(name), name.size(), "another");
    CHECK_THAT(Failure(dir.Write("c.pt", ChangeRecords(path, {{"code/__torch__.py", changed}}))),
               ContainsText("code of __torch__, line ") &&
                   ContainsText(name == "__getstate__" ? "__setstate__" : "__getstate__"));
  }
}

TEST_CASE("load: forbidden operators are refused with their method") {
  const TempDir dir;
  const auto failure = [&](const std::string& body) {
    return Failure(SaveScript(dir.File("m.pt"),
                              "def helper(self, x: Tensor):\n" + body +
                                  "\ndef forward(self, x: Tensor):\n    return self.helper(x)\n",
                              {{"w", torch::ones({4})}}));
  };
  for (const auto& [body, name] : std::map<std::string, std::string>{
           {"    return x + torch.from_file('/etc/passwd', False, 4)", "aten::from_file"},
           {"    torch.save(x, '/tmp/x')\n    return x", "aten::save"},
           {"    print(x)\n    return x", "prim::Print"},
           {"    return torch.as_strided(x, [1000000], [1])", "aten::as_strided"},
           {"    return x.resize_([1000])", "aten::resize_"},
           {"    return x.set_(x)", "aten::set_"},
           {"    return x + torch.rand([4])", "aten::rand"},
           {"    if bool(x.sum() > 0):\n        x = torch.bernoulli(x)\n    return x",
            "aten::bernoulli"},
           {"    self.w = x\n    return x", "prim::SetAttr"}}) {
    INFO(body);
    const std::string message = failure(body);
    CHECK_THAT(message, ContainsText(" " + name + ","));
    CHECK_THAT(message, ContainsText("method __torch__.M.helper"));
  }
}

TEST_CASE("load: writing into weights is refused however it is hidden") {
  const TempDir dir;
  const auto path = [&](const std::string& body) {
    return SaveScript(dir.File("m.pt"),
                      "def touch(self, t: Tensor):\n    t.add_(1.0)\n    return t\n"
                      "def forward(self, x: Tensor):\n" +
                          body,
                      {{"w", torch::ones({4})}});
  };
  for (const char* body : {"    self.w.add_(1.0)\n    return x\n",
                           "    v = self.w.view(2, 2)\n    v[0].mul_(2.0)\n    return x\n",
                           "    l = [x, self.w]\n    l[1].zero_()\n    return x\n",
                           "    t = (self.w, x)\n    a, b = t\n    a.copy_(x)\n    return x\n",
                           "    w = self.w\n    for i in range(2):\n        w.add_(1.0)\n"
                           "    return x\n",
                           "    w = x\n    if bool(x.sum() > 0):\n        w = self.w\n"
                           "    w.fill_(0.0)\n    return x\n",
                           "    w = x\n    for i in range(3):\n        w.add_(1.0)\n"
                           "        w = self.w\n    return x\n",
                           "    l = [x]\n    l.append(self.w)\n    l[1].add_(1.0)\n    return x\n",
                           "    return self.touch(self.w)\n"}) {
    INFO(body);
    CHECK_THAT(Failure(path(body)), ContainsText("into a parameter, buffer or constant"));
  }
  for (const char* body : {"    return self.touch(x)\n",
                           "    y = self.w + x\n    y.add_(1.0)\n"
                           "    return y\n",
                           "    y = self.w.clone()\n    y[0].copy_(x[0])\n    return y\n"}) {
    INFO(body);
    auto module = Load(path(body));
    REQUIRE(module.ok());
    CHECK(module->forward({torch::ones({4})}).isTensor());
  }
}

TEST_CASE("load: operators that may return their input do not hide a write") {
  const TempDir dir;
  // Their schemas promise new memory (dropout …), or lists and dicts hand out what was put in.
  for (const char* hidden :
       {"torch.dropout(self.w, 0.0, False)", "torch.feature_dropout(self.w, 0.0, False)",
        "self.w.type_as(self.w)", "torch.atleast_1d(self.w)", "torch.atleast_2d(self.w)",
        "torch.atleast_3d(self.w)", "torch.broadcast_tensors([self.w])[0]",
        "torch.meshgrid([self.w])[0]", "torch.einsum('i->i', [self.w])",
        "torch.movedim(self.w, 0, 0)", "self.w.to(torch.ones([1]))", "self.w.contiguous()",
        "self.w.reshape([4])", "self.w.expand_as(x)", "{'k': self.w}['k']", "([x] + [self.w])[1]",
        "list([self.w])[0]", "self.extended(x)", "self.nested(x)"}) {
    INFO(hidden);
    const std::string path =
        SaveScript(dir.File("m.pt"),
                   std::string("def fill(self, l: List[Tensor]):\n    l.extend([self.w])\n"
                               "def extended(self, x: Tensor):\n    l = [x]\n    self.fill(l)\n"
                               "    return l[1]\n"
                               "def nested(self, x: Tensor):\n    l = [[x]]\n"
                               "    l[0].append(self.w)\n    return l[0][1]\n"
                               "def forward(self, x: Tensor):\n    y = ") +
                       hidden + "\n    y.add_(1.0)\n    return y\n",
                   {{"w", torch::ones({4})}});
    CHECK_THAT(Failure(path), ContainsText("writes with aten::add_ into a parameter"));
  }
  // What is computed from weights is new memory.
  for (const char* fresh :
       {"torch.linear(x, self.m)", "self.w * x", "torch.relu(self.w)", "torch.matmul(self.m, x)",
        "torch.cat([self.w, x])", "torch.softmax(self.w, 0)", "torch.layer_norm(x, [4], self.w)"}) {
    INFO(fresh);
    CHECK(Load(SaveScript(dir.File("m.pt"),
                          std::string("def forward(self, x: Tensor):\n    y = ") + fresh +
                              "\n    return y.add_(1.0)\n",
                          {{"w", torch::ones({4})}, {"m", torch::ones({4, 4})}}))
              .ok());
  }
  for (const char* normalize : {"batch_norm", "instance_norm"}) {
    INFO(normalize);
    CHECK_THAT(Failure(SaveScript(dir.File("m.pt"),
                                  std::string("def forward(self, x: Tensor):\n    return torch.") +
                                      normalize +
                                      "(x, None, None, self.w, self.w, True, 0.1, 1e-5, False)\n",
                                  {{"w", torch::ones({4})}})),
               ContainsText(std::string("aten::") + normalize + ","));
  }
}

TEST_CASE("load: a cast that would make the interpreter reach outside of an object is refused") {
  const TempDir dir;
  torch::jit::Module child("__torch__.Child");
  child.register_attribute("n", c10::IntType::get(), int64_t{1});
  child.define("def forward(self, x: Tensor):\n    return x + self.n\n");
  torch::jit::Module module("__torch__.M");
  module.register_module("child", child);
  module.register_parameter("w", torch::ones({2}), false);
  module.define(
      "def forward(self, x: Tensor, o: Optional[Tensor]):\n"
      "    if o is not None:\n        x = x + o\n"
      "    return x + 5\n");
  module.save(dir.File("m.pt"));
  REQUIRE(Load(dir.File("m.pt")).ok());
  const std::string code = RecordContent(dir.File("m.pt"), "code/__torch__.py");
  CHECK_THAT(code, ContainsText("unchecked_cast(Tensor, o)"));
  const auto path = [&](const std::string& expression) {
    std::string changed = code;
    const std::string from = "o0 = unchecked_cast(Tensor, o)";
    REQUIRE(changed.find(from) != std::string::npos);
    changed.replace(changed.find(from), from.size(), "o0 = " + expression);
    return dir.Write("c.pt", ChangeRecords(dir.File("m.pt"), {{"code/__torch__.py", changed}}));
  };
  for (const char* expression :
       {"(unchecked_cast(__torch__.M, self.child)).w", "unchecked_cast(int, x)",
        "(unchecked_cast(Tuple[Tensor, Tensor, Tensor], (x, x)))[2]",
        "(unchecked_cast(List[Tensor], [1, 2]))[0]"}) {
    INFO(expression);
    CHECK_THAT(Failure(path(expression)), ContainsText("unchecked; only an Optional"));
  }
}

TEST_CASE("load: code that would be evaluated on import is refused") {
  const TempDir dir;
  const std::string path =
      SaveScript(dir.File("m.pt"), "def forward(self, x: Tensor, n: int = 1):\n    return x + n\n");
  const std::string code = RecordContent(path, "code/__torch__.py");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = code;
    REQUIRE(changed.find(from) != std::string::npos);
    changed.replace(changed.find(from), from.size(), to);
    return dir.Write("changed.pt", ChangeRecords(path, {{"code/__torch__.py", changed}}));
  };
  CHECK(Load(with("n: int=1", "n: int=-2")).ok());
  CHECK_THAT(Failure(with("n: int=1", "n: int=len(torch.from_file(\"/etc/passwd\", False, 4))")),
             ContainsText("default value of parameter n of forward"));
  CHECK_THAT(Failure(with("class M(Module):",
                          "class N(NamedTuple):\n  a : int = ops.aten.len([1])\nclass M(Module):")),
             ContainsText("default value of a field of N"));
  CHECK_THAT(Failure(with("x: Tensor,", "x: __torch__.torch.classes.quantized.Conv2d,")),
             ContainsText("C++ custom class"));
  CHECK_THAT(Failure(with("x: Tensor,", "x: __torch__.torch . classes.quantized.Conv2d,")),
             ContainsText("C++ custom class"));
  CHECK_THAT(
      Failure(with("return torch", std::string("return ") + std::string(5000, '(') + "torch")),
      ContainsText("nested too deeply"));
  CHECK_THAT(
      Failure(with("return torch", std::string("return ") + std::string(50000, '-') + "torch")),
      ContainsText("nested too deeply"));
}

TEST_CASE("load: functions that multiply when they are inlined are refused") {
  const TempDir dir;
  std::string methods = "def f0(self, x: Tensor):\n    return x + 1\n";
  for (int i = 1; i < 40; ++i) {
    const std::string call = std::string("self.f") + std::to_string(i - 1);
    methods += std::string("def f") + std::to_string(i) + "(self, x: Tensor):\n    return " + call +
               "(" + call + "(x))\n";
  }
  torch::jit::Module module("__torch__.M");
  module.define(methods);
  module.save(dir.File("m.pt"));
  CHECK_THAT(Failure(dir.File("m.pt")), ContainsText("inlines to a million"));
}

TEST_CASE("load: an attribute of another type than its class declares is refused") {
  const TempDir dir;
  torch::jit::Module module("__torch__.M");
  module.register_attribute("n", c10::ListType::ofInts(), std::vector<int64_t>{1, 2});
  module.define("def forward(self, x: Tensor):\n    return x\n");
  module.save(dir.File("m.pt"));
  REQUIRE(Load(dir.File("m.pt")).ok());
  std::string code = RecordContent(dir.File("m.pt"), "code/__torch__.py");
  const std::string declared = "n : List[int]";
  for (const char* other : {"n : List[str]", "n : Tensor", "n : int", "n : Dict[str, int]"}) {
    std::string changed = code;
    REQUIRE(changed.find(declared) != std::string::npos);
    changed.replace(changed.find(declared), declared.size(), other);
    CHECK_THAT(Failure(dir.Write(
                   "c.pt", ChangeRecords(dir.File("m.pt"), {{"code/__torch__.py", changed}}))),
               ContainsText(std::string("attribute n of __torch__.M is no ") + (other + 4)));
  }
}

TEST_CASE("load: records that are missing or too short for their tensors are refused") {
  const TempDir dir;
  const std::string path =
      SaveScript(dir.File("m.pt"), "def forward(self, x: Tensor):\n    return x + self.w\n",
                 {{"w", torch::ones({6})}});
  CHECK_THAT(Failure(dir.Write("c.pt", ChangeRecords(path, {{"data/0", std::nullopt}}))),
             ContainsText("no record data/0"));
  CHECK_THAT(Failure(dir.Write("c.pt", ChangeRecords(path, {{"data/0", std::string(20, 'x')}}))),
             ContainsText("has 20 bytes; data.pkl expects 24"));
  const auto big = Load(dir.Write("c.pt", ChangeRecords(path, {{"byteorder", "big"}})));
  CHECK(big.status().code() == StatusCode::kUnsupported);
  CHECK_THAT(big.status().message(), ContainsText("big-endian"));
}

TEST_CASE("load: changed pickles and code with right CRCs never crash") {
  const TempDir dir;
  const std::string path =
      SaveScript(dir.File("m.pt"),
                 "def forward(self, x: Tensor):\n    return torch.linear(x, self.w) + "
                 "torch.tensor([1., 2.])\n",
                 {{"w", torch::ones({2, 3})}, {"b", torch::ones({4}).to(torch::kLong)}});
  size_t refused = 0;
  size_t tried = 0;
  for (const char* record : {"data.pkl", "constants.pkl", "code/__torch__.py"}) {
    const std::string content = RecordContent(path, record);
    for (size_t at = 0; at < content.size(); ++at) {
      for (const int mask : {0x01, 0x04, 0x20, 0x80}) {
        std::string changed = content;
        changed[at] = static_cast<char>(changed[at] ^ mask);
        const std::string file = dir.Write("c.pt", ChangeRecords(path, {{record, changed}}));
        ++tried;
        const auto module = Load(file);
        if (module.ok()) continue;
        ++refused;
        CHECK_FALSE(module.status().message().empty());
      }
    }
  }
  CHECK(tried > 1500);
  CHECK(refused > tried / 2);
}

}  // namespace
}  // namespace vlaserve
