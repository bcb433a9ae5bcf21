#include "model/archive/pickle_globals.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace vlaserve {
namespace {

constexpr int kMaxTagBrackets = 16;

constexpr std::array<std::pair<std::string_view, int64_t>, 12> kElementBytes = {{
    {"Bool", 1},
    {"Byte", 1},
    {"Char", 1},
    {"Short", 2},
    {"Int", 4},
    {"Long", 8},
    {"Half", 2},
    {"BFloat16", 2},
    {"Float", 4},
    {"Double", 8},
    {"ComplexFloat", 8},
    {"ComplexDouble", 16},
}};

constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kFunctions = {{
    {"torch._utils", "_rebuild_tensor_v2"},
    {"torch.jit._pickle", "build_intlist"},
    {"torch.jit._pickle", "build_tensorlist"},
    {"torch.jit._pickle", "build_doublelist"},
    {"torch.jit._pickle", "build_boollist"},
    {"torch.jit._pickle", "restore_type_tag"},
    {"collections", "OrderedDict"},
    {"torch", "device"},
    {"builtins", "complex"},
}};

bool NameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Dotted identifiers: LibTorch parses the name as an expression.
bool QualifiedName(std::string_view name) {
  char before = '.';
  for (const char c : name) {
    if (c == '.' ? before == '.' : !NameCharacter(c)) return false;
    before = c;
  }
  return before != '.';
}

}  // namespace

PickleGlobal ClassifyPickleGlobal(std::string_view module, std::string_view name) {
  constexpr std::string_view kStorage = "Storage";
  if (module == "torch" && name.ends_with(kStorage) &&
      PickleElementBytes(name.substr(0, name.size() - kStorage.size())) > 0) {
    return PickleGlobal::kStorageType;
  }
  if (std::find(kFunctions.begin(), kFunctions.end(), std::pair(module, name)) !=
      kFunctions.end()) {
    return PickleGlobal::kFunction;
  }
  const bool own = module == "__torch__" || module.starts_with("__torch__.");
  if (!own || !QualifiedName(module) || !QualifiedName(name)) return PickleGlobal::kRefused;
  const std::string full = std::string(module) + "." + std::string(name) + ".";
  return full.starts_with("__torch__.torch.classes.") ? PickleGlobal::kCustomClass
                                                      : PickleGlobal::kClass;
}

int64_t PickleElementBytes(std::string_view dtype) {
  for (const auto& [name, bytes] : kElementBytes) {
    if (name == dtype) return bytes;
  }
  return 0;
}

bool IsPlainTypeTag(std::string_view tag) {
  int open = 0;
  int deepest = 0;
  for (const char c : tag) {
    open += c == '[' ? 1 : c == ']' ? -1 : 0;
    deepest = std::max(deepest, open);
    if (open < 0 ||
        !(NameCharacter(c) || c == '.' || c == ',' || c == ' ' || c == '[' || c == ']')) {
      return false;
    }
  }
  return open == 0 && deepest <= kMaxTagBrackets && tag.find("classes") == std::string_view::npos;
}

}  // namespace vlaserve
