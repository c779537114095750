#include "apps/sereus/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "apps/sereus/failure.h"
#include "apps/sereus/text.h"

namespace cli {

bool write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t size = ::write(fd, content.data(), content.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    content.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

bool read_all(int fd, uint64_t size_max, std::string* content) {
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    if (size == 0) return true;
    content->append(buffer.data(), static_cast<size_t>(size));
    if (content->size() > size_max) {
      errno = EFBIG;
      return false;
    }
  }
}

std::string read_file(const std::string& path, uint64_t size_max) {
  const bool standard = path == "-";
  const std::string name = standard ? "standard input" : "'" + printable(path) + "'";
  const int fd = standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw errno_failure("read " + name, errno);
  std::string content;
  const bool whole = read_all(fd, size_max, &content);
  const int error = errno;
  if (!standard) ::close(fd);
  if (whole) return content;
  if (error == EFBIG) {
    throw Failure(name + " has more than " + human_size(size_max), "give a smaller file",
                  sereus_status_name(SEREUS_E_TOO_LARGE));
  }
  throw errno_failure("read " + name, error);
}

void write_private_file(const std::string& path, std::string_view content, bool force) {
  const std::string name = "'" + printable(path) + "'";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL), 0600);
  if (fd < 0 && errno == EEXIST)
    throw Failure(name + " exists already", "name another file, or overwrite it with --force");
  if (fd < 0) throw errno_failure("make " + name, errno);
  const bool written = ::fchmod(fd, 0600) == 0 && write_all(fd, content) && (::fsync(fd) == 0 || errno == EINVAL);
  const int error = errno;
  ::close(fd);
  if (!written) {
    if (!force) ::unlink(path.c_str());
    throw errno_failure("write " + name, error);
  }
}

void replace_private_file(const std::filesystem::path& path, std::string_view content) {
  const std::string temporary = path.string() + ".new";
  write_private_file(temporary, content, true);
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    throw errno_failure("write '" + printable(path.string()) + "'", errno);
}

}  // namespace cli
