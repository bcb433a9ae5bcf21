// Errors as values for everything below server/.
//
// A function that can fail returns Status (no value) or Result<T> (a value or the reason why there
// is none). Both are [[nodiscard]]. The message is written for the person who has to act on it: it
// names the file, field, layer or byte, what was found and what was expected. Exceptions of
// third-party libraries are turned into a Status where the library is called.
//
// Thread-safety: plain values; distinct objects may be used from distinct threads.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace vlaserve {

// What kind of failure it is; the process maps it to an exit code (DESIGN: 2 usage or config,
// 3 unreadable input, 5 device …) and the server to a gRPC code.
enum class StatusCode {
  kOk,
  kInvalidArgument,     // the caller's input is wrong: a request field, an option, a settings value
  kFailedPrecondition,  // the input is well formed but cannot be used with this policy or build
  kNotFound,            // a file or an entry does not exist
  kUnreadable,          // a file exists and is damaged, truncated, foreign or not permitted
  kUnsupported,         // a format or feature that is recognised and deliberately not handled
  kIo,                  // the operating system failed: disk full, permission, I/O error
  kResourceExhausted,   // a limit of ours was hit
  kCancelled,           // the caller went away
  kDeadlineExceeded,    // the caller's time is up
  kUnavailable,         // not ready or shutting down
  kDevice,              // the compute device is missing or failed
  kInternal,            // a bug or a numerical failure on our side
};

// The code's stable lower-case name, "invalid_argument" for instance.
std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {
    assert(code != StatusCode::kOk);
  }
  // `field` names the offending input field in the words of its format, for instance
  // "images[wrist_image].data" or "runtime.threads"; it becomes a gRPC field violation.
  Status(StatusCode code, std::string field, std::string message)
      : code_(code), message_(std::move(message)), field_(std::move(field)) {
    assert(code != StatusCode::kOk);
  }

  static Status Ok() { return {}; }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& field() const { return field_; }

  // The same failure with `context` and ": " in front of the message ("policy.pt: …").
  Status WithContext(std::string_view context) const;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
  std::string field_;
};

// A T, or the Status that says why there is none. Implicit from both, so that a function can
// `return value;` and `return Status(…);`.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<1>, std::move(value)) {}
  Result(Status status) : state_(std::in_place_index<0>, std::move(status)) {
    assert(!std::get<0>(state_).ok());
  }

  bool ok() const { return state_.index() == 1; }
  // Ok() when there is a value.
  Status status() const { return ok() ? Status::Ok() : std::get<0>(state_); }

  // Precondition of the accessors: ok().
  T& value() & { return std::get<1>(state_); }
  const T& value() const& { return std::get<1>(state_); }
  T&& value() && { return std::get<1>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<Status, T> state_;
};

}  // namespace vlaserve

// Leaves the enclosing function with the failure of `expr` (a Status).
#define VLASERVE_RETURN_IF_ERROR(expr)                   \
  do {                                                   \
    ::vlaserve::Status vlaserve_status_ = (expr);        \
    if (!vlaserve_status_.ok()) return vlaserve_status_; \
  } while (false)

#define VLASERVE_CONCAT_INNER_(a, b) a##b
#define VLASERVE_CONCAT_(a, b) VLASERVE_CONCAT_INNER_(a, b)
// VLASERVE_ASSIGN_OR_RETURN(auto x, F()): x = *F(), or leave the enclosing function with its
// failure.
#define VLASERVE_ASSIGN_OR_RETURN(lhs, expr) \
  VLASERVE_ASSIGN_OR_RETURN_IMPL_(VLASERVE_CONCAT_(vlaserve_result_, __LINE__), lhs, expr)
#define VLASERVE_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr) \
  auto result = (expr);                                    \
  if (!result.ok()) return result.status();                \
  lhs = std::move(result).value()
