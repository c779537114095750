// Texts, bytes and failures between Python and the C ABI.
#pragma once

#include <pybind11/pybind11.h>
#include <sereus.h>

#include <optional>
#include <string>
#include <string_view>

namespace py = pybind11;

inline py::bytes to_bytes(sereus_bytes bytes) { return {reinterpret_cast<const char*>(bytes.data), bytes.size}; }

// Names come from other people's devices: what is no UTF-8 is shown as U+FFFD.
inline py::str to_text(std::string_view text) {
  PyObject* const decoded = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
  if (decoded == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(decoded);
}

inline py::str to_text(const char* text) { return to_text(std::string_view(text == nullptr ? "" : text)); }

// Borrowed from a bytes object: it cannot change, and the caller of the function holds it.
inline sereus_bytes from_bytes(const py::bytes& bytes) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_AsStringAndSize(bytes.ptr(), &data, &size) != 0) throw py::error_already_set();
  return {reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(size)};
}

inline const char* or_null(const std::optional<std::string>& text) { return text ? text->c_str() : nullptr; }

[[noreturn]] inline void fail(sereus_status status, std::string_view detail = {}) {
  const py::object error = py::module_::import("sereus._errors").attr("error_of")(status, to_text(detail));
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  throw py::error_already_set();
}

inline void check(sereus_status status) {
  if (status != SEREUS_OK) fail(status);
}
