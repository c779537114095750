// Result<T>: a value or an Error. There are no exceptions in the core; a failure that is not looked at does not
// compile ([[nodiscard]]).
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "core/base/assert.h"
#include "core/base/error.h"

namespace sereus {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}      // NOLINT(google-explicit-constructor): returns read naturally
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }

  T& value() & {
    SEREUS_ASSERT(ok());
    return *value_;
  }
  const T& value() const& {
    SEREUS_ASSERT(ok());
    return *value_;
  }
  T&& value() && {
    SEREUS_ASSERT(ok());
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    SEREUS_ASSERT(!ok());
    return error_;
  }
  Code code() const { return ok() ? Code::ok : error_.code; }

 private:
  std::optional<T> value_;
  Error error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), failed_(true) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !failed_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    SEREUS_ASSERT(failed_);
    return error_;
  }
  Code code() const { return failed_ ? error_.code : Code::ok; }

 private:
  Error error_;
  bool failed_ = false;
};

using Status = Result<void>;

inline Error fail(Code code, std::string detail = {}) { return Error{code, std::move(detail)}; }

}  // namespace sereus

#define SEREUS_CONCAT_(a, b) a##b
#define SEREUS_CONCAT(a, b) SEREUS_CONCAT_(a, b)

// Returns the error of `expr` from the enclosing function when it failed. Nests: a lambda inside `expr` may use it too.
#define SEREUS_TRY(expr) SEREUS_TRY_(SEREUS_CONCAT(sereus_status_, __LINE__), expr)
#define SEREUS_TRY_(name, expr)                                               \
  do {                                                                        \
    if (auto name = (expr); !name.ok()) return ::sereus::Error(name.error()); \
  } while (false)

// `SEREUS_ASSIGN(auto x, f());` binds the value, or returns the error.
#define SEREUS_ASSIGN(lhs, expr) SEREUS_ASSIGN_(SEREUS_CONCAT(sereus_result_, __LINE__), lhs, expr)
#define SEREUS_ASSIGN_(name, lhs, expr)                 \
  auto name = (expr);                                   \
  if (!name.ok()) return ::sereus::Error(name.error()); \
  lhs = std::move(name).value()
