#include "apps/sereus/tar_file.h"

#include <array>
#include <cstdio>
#include <cstring>

namespace cli {
namespace {

constexpr size_t kBlock = 512;

// Octal digits and a NUL, as every numeric field of the header wants it.
void put_octal(char* field, size_t size, uint64_t value) {
  for (size_t i = size - 1; i-- > 0; value >>= 3) field[i] = static_cast<char>('0' + (value & 7));
  field[size - 1] = '\0';
}

}  // namespace

void TarFile::add(std::string_view name, std::string_view content, uint64_t wall_s) {
  std::array<char, kBlock> header{};
  std::memcpy(header.data(), name.data(), std::min<size_t>(name.size(), 99));
  put_octal(&header[100], 8, 0600);
  put_octal(&header[108], 8, 0);
  put_octal(&header[116], 8, 0);
  put_octal(&header[124], 12, content.size());
  put_octal(&header[136], 12, wall_s);
  std::memset(&header[148], ' ', 8);  // the checksum counts itself as spaces
  header[156] = '0';
  std::memcpy(&header[257], "ustar\00000", 8);
  uint64_t sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put_octal(&header[148], 7, sum);
  data_.append(header.data(), header.size());
  data_.append(content);
  data_.append((kBlock - content.size() % kBlock) % kBlock, '\0');
}

std::string TarFile::finish() {
  data_.append(2 * kBlock, '\0');
  return std::move(data_);
}

}  // namespace cli
