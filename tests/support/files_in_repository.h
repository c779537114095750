// Reading test data: the project's own vectors, and conformance data from outside.
#pragma once

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace sereus::test {

inline std::optional<std::string> read_text_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// `source_dir` is SEREUS_SOURCE_DIR. Nothing when this machine does not have it.
inline std::optional<std::string> read_conformance_file(const std::string& source_dir, const std::string& name) {
  const char* folder = std::getenv("SEREUS_CONFORMANCE_DIR");
  return read_text_file((folder != nullptr ? std::string(folder) : source_dir + "/../shared/conformance") + "/" + name);
}

}  // namespace sereus::test
