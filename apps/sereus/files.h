// Reading and writing whole files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace cli {

// The whole content of a file ("-": standard input); throws, also when there are more than `size_max` bytes.
std::string read_file(const std::string& path, uint64_t size_max);
// A new file that only its owner can read; refuses an existing one unless `force`. Throws; durable when it returns.
void write_private_file(const std::string& path, std::string_view content, bool force);
// Puts a file in the place of another in one step.
void replace_private_file(const std::filesystem::path& path, std::string_view content);
// Writes all of it to a file descriptor; false sets errno.
bool write_all(int fd, std::string_view content);
// Reads until the end or until there is more than `size_max`; false sets errno (EFBIG for the latter).
bool read_all(int fd, uint64_t size_max, std::string* content);

}  // namespace cli
