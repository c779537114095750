// A plain ustar archive of small files in memory (POSIX.1-1988): what `tar tf` and every archive program read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cli {

class TarFile {
 public:
  // `name`: relative, at most 99 bytes. `content`: below 8 GiB.
  void add(std::string_view name, std::string_view content, uint64_t wall_s);
  // The archive with its end; nothing may be added afterwards.
  std::string finish();

 private:
  std::string data_;
};

}  // namespace cli
