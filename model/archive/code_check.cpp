#include "model/archive/code_check.h"

#include <exception>
#include <memory>
#include <optional>

#include <torch/csrc/jit/frontend/lexer.h>
#include <torch/csrc/jit/frontend/parser.h>
#include <torch/csrc/jit/frontend/tree_views.h>

#include "model/archive/torch_errors.h"

namespace vlaserve {
namespace {

using namespace torch::jit;

constexpr int kMaxNesting = 100;
constexpr int kMaxOperators = 1000;  // of one statement: each may be one level of recursion

struct Finding {
  std::string what;
  size_t line = 0;
};

size_t LineOf(const SourceRange& range) {
  return range.source()->lineno_for_offset(range.start()) + 1;
}

// What can be said from the tokens, which LibTorch's lexer yields without recursion.
std::optional<Finding> ScanTokens(const std::shared_ptr<Source>& source) {
  Lexer lexer(source);
  int brackets = 0;
  int indents = 0;
  int operators = 0;
  std::string before;         // text of the last token
  std::string before_before;  // and of the one before it
  for (; lexer.cur().kind != TK_EOF; lexer.next()) {
    const Token& token = lexer.cur();
    const auto found = [&](const std::string& what) { return Finding{what, LineOf(token.range)}; };
    switch (token.kind) {
      case '(':
      case '[':
      case '{':
        ++brackets;
        break;
      case ')':
      case ']':
      case '}':
        --brackets;
        break;
      case TK_INDENT:
        ++indents;
        operators = 0;
        break;
      case TK_DEDENT:
        --indents;
        operators = 0;
        break;
      case TK_NEWLINE:
        operators = 0;
        break;
      case TK_IDENT:
      case TK_NUMBER:
      case TK_STRINGLITERAL:
      case ',':
        break;
      default:
        ++operators;
    }
    if (brackets > kMaxNesting || indents > kMaxNesting || operators > kMaxOperators) {
      return found("the code is nested too deeply");
    }
    const std::string text = token.text();
    if (text == "__setstate__" || text == "__getstate__") {
      return found("the code has " + text + ", which LibTorch would run while loading; refused");
    }
    if (text == "classes" && before == "." && before_before == "torch") {
      return found("the code uses a C++ custom class (torch.classes); refused");
    }
    before_before = std::move(before);
    before = text;
  }
  return std::nullopt;
}

bool IsLiteral(const Expr& expression) {
  switch (expression.kind()) {
    case TK_CONST:
    case TK_STRINGLITERAL:
    case TK_TRUE:
    case TK_FALSE:
    case TK_NONE:
      return true;
    case TK_UNARY_MINUS:
      return IsLiteral(Expr(expression.tree()->trees().at(0)));
    case TK_VAR: {
      const std::string name = Var(expression).name().name();
      return name == "inf" || name == "nan";
    }
    case '.': {
      const Select select(expression);
      return select.value().kind() == TK_VAR && Var(select.value()).name().name() == "CONSTANTS";
    }
    case TK_LIST_LITERAL:
    case TK_TUPLE_LITERAL: {
      for (const TreeRef& item : expression.tree()->trees().at(0)->trees()) {
        if (!IsLiteral(Expr(item))) return false;
      }
      return true;
    }
    default:
      return false;
  }
}

std::optional<Finding> ScanDefaults(const Def& function) {
  for (const Param& parameter : function.decl().params()) {
    if (parameter.defaultValue().present() && !IsLiteral(parameter.defaultValue().get())) {
      return Finding{"the default value of parameter " + parameter.ident().name() + " of " +
                         function.name().name() +
                         " is an expression, which LibTorch would "
                         "evaluate while loading; refused",
                     LineOf(parameter.range())};
    }
  }
  return std::nullopt;
}

std::optional<Finding> ScanClass(const ClassDef& definition) {
  const bool fields = definition.superclass().present() &&
                      definition.superclass().get().kind() == TK_VAR &&
                      Var(definition.superclass().get()).name().name() == "NamedTuple";
  for (const Stmt& statement : definition.body()) {
    if (statement.kind() == TK_DEF) {
      if (auto finding = ScanDefaults(Def(statement))) return finding;
    } else if (fields && statement.kind() == TK_ASSIGN) {
      const Assign field(statement);
      if (field.rhs().present() && !IsLiteral(field.rhs().get())) {
        return Finding{"the default value of a field of " + definition.name().name() +
                           " is an expression, which LibTorch would evaluate while loading; "
                           "refused",
                       LineOf(statement.range())};
      }
    }
  }
  return std::nullopt;
}

// Reads a file as LibTorch's importer does: an optional version, imports, classes and functions.
std::optional<Finding> ScanDefinitions(const std::shared_ptr<Source>& source) {
  Parser parser(source);
  Lexer& lexer = parser.lexer();
  if (lexer.cur().kind == TK_IDENT && lexer.cur().text() == "op_version_set") {
    lexer.next();
    lexer.expect('=');
    lexer.expect(TK_NUMBER);
    lexer.expect(TK_NEWLINE);
  }
  while (lexer.cur().kind != TK_EOF) {
    if (lexer.nextIf(TK_IMPORT)) {
      while (lexer.cur().kind != TK_NEWLINE && lexer.cur().kind != TK_EOF) lexer.next();
      lexer.expect(TK_NEWLINE);
    } else if (lexer.cur().kind == TK_CLASS_DEF) {
      if (auto finding = ScanClass(ClassDef(parser.parseClass()))) return finding;
    } else if (lexer.cur().kind == TK_DEF) {
      if (auto finding = ScanDefaults(Def(parser.parseFunction(/*is_method=*/false)))) {
        return finding;
      }
    } else {
      return Finding{"expected a class or a function", LineOf(lexer.cur().range)};
    }
  }
  return std::nullopt;
}

}  // namespace

Status CheckCode(const std::string& path, const std::string& import_path,
                 const std::string& source) {
  const std::string where = path + ": code of " + import_path;
  try {
    const auto text = std::make_shared<Source>(source, import_path);
    std::optional<Finding> finding = ScanTokens(text);
    if (!finding.has_value()) finding = ScanDefinitions(text);
    if (!finding.has_value()) return Status::Ok();
    return {StatusCode::kUnreadable,
            where + ", line " + std::to_string(finding->line) + ": " + finding->what};
  } catch (const std::exception& error) {
    return TorchFailure(StatusCode::kUnreadable, where, error);
  }
}

}  // namespace vlaserve
