#include "drivers/posix/posix_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "drivers/posix/descriptor.h"

namespace sereus::posix {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kFolderMode = 0700;
constexpr int kTreeDepthMax = 32;  // remove_tree: deeper than any folder of ours; bounds recursion and descriptors
constexpr size_t kPathMax = 1024;

// strerror_r comes in two shapes.
[[maybe_unused]] std::string error_text(int /*status*/, const char* buffer) { return buffer; }
[[maybe_unused]] std::string error_text(const char* text, const char* /*buffer*/) { return text; }

Code code_of(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return Code::no_space;
    case ENOENT:
    case ENOTDIR:
      return Code::not_found;
    case EEXIST:
      return Code::exists;
    case ENOMEM:
      return Code::no_memory;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
      return Code::invalid;
    default:
      return Code::io;
  }
}

Error system_error(std::string_view action, std::string_view path, int error) {
  std::array<char, 256> buffer{};
  std::string detail = "cannot ";
  detail.append(action).append(" ").append(path.empty() ? "the data folder" : path).append(": ");
  switch (error) {
    case EMFILE:
      detail += "this process has too many files open (see ulimit -n)";
      break;
    case ENFILE:
      detail += "the system has too many files open";
      break;
    case EROFS:
      detail += "the file system is read-only";
      break;
    case ELOOP:
      detail += "it is a symbolic link, which is not followed inside the data folder";
      break;
    case EDQUOT:
      detail += "the disk quota is used up";
      break;
    default:
      detail += error_text(::strerror_r(error, buffer.data(), buffer.size()), buffer.data());
  }
  return fail(code_of(error), std::move(detail));
}

// Refuses what would leave the data folder; gives the path as a C string. "" is the data folder itself.
Result<std::string> checked(std::string_view path) {
  if (path.size() > kPathMax) return fail(Code::invalid, "path too long");
  if (path.empty() || path == ".") return std::string(".");
  size_t start = 0;
  while (start <= path.size()) {
    const size_t slash = std::min(path.find('/', start), path.size());
    const std::string_view part = path.substr(start, slash - start);
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos) {
      return fail(Code::invalid, "not a path inside the data folder: " + std::string(path));
    }
    start = slash + 1;
  }
  return std::string(path);
}

int open_retrying(int folder, const char* path, int flags, mode_t mode = 0) {
  int fd = -1;
  do {
    fd = ::openat(folder, path, flags | O_CLOEXEC | O_NOFOLLOW, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

// Content and what is needed to read it back.
int sync_data(int fd) {
  int result = -1;
  do {
#if defined(__APPLE__)
    result = ::fcntl(fd, F_FULLFSYNC);
    if (result < 0 && errno != EINTR) result = ::fsync(fd);
#else
    result = ::fdatasync(fd);
#endif
  } while (result < 0 && errno == EINTR);
  return result;
}

bool offset_fits(uint64_t offset, size_t size) {
  return offset <= static_cast<uint64_t>(INT64_MAX) && size <= static_cast<uint64_t>(INT64_MAX) - offset;
}

class PosixFile : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Result<size_t> read_at(uint64_t offset, ByteSpan out) override {
    if (!offset_fits(offset, out.size())) return fail(Code::invalid, "offset out of range");
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = ::pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (got < 0) {
        if (errno == EINTR) continue;
        return system_error("read", path_, errno);
      }
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  Status write_at(uint64_t offset, ByteView data) override {
    if (!offset_fits(offset, data.size())) return fail(Code::invalid, "offset out of range");
    size_t done = 0;
    while (done < data.size()) {
      const ssize_t put =
          ::pwrite(fd_.get(), data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
      if (put < 0) {
        if (errno == EINTR) continue;
        return system_error("write", path_, errno);
      }
      done += static_cast<size_t>(put);
    }
    return {};
  }

  Status truncate(uint64_t size) override {
    if (!offset_fits(size, 0)) return fail(Code::invalid, "size out of range");
    int result = -1;
    do {
      result = ::ftruncate(fd_.get(), static_cast<off_t>(size));
    } while (result < 0 && errno == EINTR);
    if (result < 0) return system_error("resize", path_, errno);
    return {};
  }

  Result<uint64_t> size() override {
    struct stat info {};
    if (::fstat(fd_.get(), &info) < 0) return system_error("read the size of", path_, errno);
    return static_cast<uint64_t>(info.st_size);
  }

  Status sync() override {
    if (sync_data(fd_.get()) < 0) return system_error("make durable", path_, errno);
    return {};
  }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixLock : public FileLock {
 public:
  explicit PosixLock(int fd) : fd_(fd) {}
  ~PosixLock() override { static_cast<void>(::ftruncate(fd_.get(), 0) == 0); }

 private:
  Descriptor fd_;  // closing it releases the lock
};

// The number that the holder of a lock wrote; 0 when there is none.
int64_t holder_of(int fd) {
  std::array<char, 24> text{};
  const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  int64_t pid = 0;
  if (size > 0 && std::from_chars(text.data(), text.data() + size, pid).ec != std::errc{}) return 0;
  return pid;
}

// Names in the open folder `fd`, which it takes over; without "." and "..", unsorted.

Result<std::vector<std::string>> names_in(int fd, std::string_view path) {
  DIR* folder = ::fdopendir(fd);
  if (folder == nullptr) {
    const int error = errno;
    ::close(fd);
    return system_error("list", path, error);
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  const int error = errno;
  ::closedir(folder);
  if (error != 0) return system_error("list", path, error);
  return names;
}

Status remove_below(int parent, const char* name, int depth) {
  if (depth > kTreeDepthMax) return fail(Code::too_large, "folders nested too deep to remove");
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return system_error("remove", name, errno);
  const Descriptor folder(open_retrying(parent, name, O_RDONLY | O_DIRECTORY));
  if (folder.get() < 0) return system_error("remove", name, errno);
  // A second descriptor, because listing takes it over.
  const int listing = open_retrying(folder.get(), ".", O_RDONLY | O_DIRECTORY);
  if (listing < 0) return system_error("list", name, errno);
  SEREUS_ASSIGN(const std::vector<std::string> names, names_in(listing, name));
  for (const std::string& child : names) SEREUS_TRY(remove_below(folder.get(), child.c_str(), depth + 1));
  if (::unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT) return system_error("remove", name, errno);
  return {};
}

}  // namespace

Result<std::unique_ptr<PosixFiles>> PosixFiles::open(const std::string& root, bool create) {
  if (create && ::mkdir(root.c_str(), kFolderMode) < 0 && errno != EEXIST) {
    return system_error("make", root, errno);
  }
  // The root itself may be a link: the person who names it means what it points to.
  const int fd = ::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error("open", root, errno);
  return std::unique_ptr<PosixFiles>(new PosixFiles(fd));
}

PosixFiles::~PosixFiles() { ::close(root_); }

Result<std::unique_ptr<File>> PosixFiles::open(std::string_view path, OpenMode mode) {
  SEREUS_ASSIGN(std::string name, checked(path));
  int flags = O_RDONLY;
  if (mode != OpenMode::read) flags = O_RDWR;
  if (mode == OpenMode::read_write_create) flags |= O_CREAT;
  if (mode == OpenMode::create_new) flags |= O_CREAT | O_EXCL;
  Descriptor fd(open_retrying(root_, name.c_str(), flags, kFileMode));
  if (fd.get() < 0) return system_error("open", path, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) < 0) return system_error("open", path, errno);
  if (!S_ISREG(info.st_mode)) return fail(Code::invalid, "cannot open " + name + ": not a regular file");
  return std::unique_ptr<File>(std::make_unique<PosixFile>(fd.release(), std::move(name)));
}

bool PosixFiles::exists(std::string_view path) {
  const auto name = checked(path);
  struct stat info {};
  return name.ok() && ::fstatat(root_, name->c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

Status PosixFiles::remove(std::string_view path) {
  SEREUS_ASSIGN(const std::string name, checked(path));
  if (::unlinkat(root_, name.c_str(), 0) < 0 && errno != ENOENT) return system_error("remove", path, errno);
  return {};
}

Status PosixFiles::remove_tree(std::string_view path) {
  SEREUS_ASSIGN(const std::string name, checked(path));
  if (name == ".") return fail(Code::invalid, "the data folder itself is not removed");
  return remove_below(root_, name.c_str(), 0);
}

Status PosixFiles::rename(std::string_view from, std::string_view to) {
  SEREUS_ASSIGN(const std::string old_name, checked(from));
  SEREUS_ASSIGN(const std::string new_name, checked(to));
  if (::renameat(root_, old_name.c_str(), root_, new_name.c_str()) < 0) return system_error("rename", from, errno);
  return {};
}

Status PosixFiles::make_folder(std::string_view path) {
  SEREUS_ASSIGN(const std::string name, checked(path));
  for (size_t end = name.find('/');; end = name.find('/', end + 1)) {
    const std::string part = name.substr(0, end);
    if (::mkdirat(root_, part.c_str(), kFolderMode) < 0) {
      if (errno != EEXIST) return system_error("make folder", part, errno);
      struct stat info {};
      if (::fstatat(root_, part.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0)
        return system_error("make folder", part, errno);
      if (!S_ISDIR(info.st_mode)) return fail(Code::exists, "cannot make folder " + part + ": a file has that name");
    }
    if (end == std::string::npos) return {};
  }
}

Status PosixFiles::sync_folder(std::string_view path) {
  SEREUS_ASSIGN(const std::string name, checked(path));
  const Descriptor folder(open_retrying(root_, name.c_str(), O_RDONLY | O_DIRECTORY));
  if (folder.get() < 0) return system_error("open folder", path, errno);
  int result = -1;
  do {
    result = ::fsync(folder.get());
  } while (result < 0 && errno == EINTR);
  if (result < 0) return system_error("make durable folder", path, errno);
  return {};
}

Result<std::vector<std::string>> PosixFiles::list(std::string_view path) {
  SEREUS_ASSIGN(const std::string name, checked(path));
  const int fd = open_retrying(root_, name.c_str(), O_RDONLY | O_DIRECTORY);
  if (fd < 0) return system_error("list", path, errno);
  SEREUS_ASSIGN(std::vector<std::string> names, names_in(fd, path));
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::unique_ptr<FileLock>> PosixFiles::lock(std::string_view path) {
  SEREUS_ASSIGN(const std::string name, checked(path));
  Descriptor fd(open_retrying(root_, name.c_str(), O_RDWR | O_CREAT, kFileMode));
  if (fd.get() < 0) return system_error("open", path, errno);
  int result = -1;
  do {
    result = ::flock(fd.get(), LOCK_EX | LOCK_NB);
  } while (result < 0 && errno == EINTR);
  if (result < 0) {
    if (errno != EWOULDBLOCK) return system_error("lock", path, errno);
    const int64_t pid = holder_of(fd.get());
    if (pid == ::getpid()) return fail(Code::busy, "this process already has this data folder open");
    if (pid == 0) return fail(Code::busy, "another process has this data folder open");
    return fail(Code::busy, "another process (pid " + std::to_string(pid) + ") has this data folder open");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) < 0 || ::pwrite(fd.get(), pid.data(), pid.size(), 0) < 0) {
    // The lock holds all the same; only the message of the next one will not name us (full disk, most likely).
  }
  return std::unique_ptr<FileLock>(std::make_unique<PosixLock>(fd.release()));
}

uint64_t PosixFiles::fingerprint(std::string_view path) {
  const auto name = checked(path);
  struct stat info {};
  if (!name.ok() || ::fstatat(root_, name->c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return 0;
  const uint64_t device = static_cast<uint64_t>(info.st_dev);
  const uint64_t print = (device << 48 | device >> 16) ^ static_cast<uint64_t>(info.st_ino);
  return print == 0 ? 1 : print;
}

Result<uint64_t> PosixFiles::free_bytes() {
  struct statvfs info {};
  if (::fstatvfs(root_, &info) < 0) return system_error("read the free space of", "", errno);
  return static_cast<uint64_t>(info.f_bavail) * static_cast<uint64_t>(info.f_frsize);
}

}  // namespace sereus::posix
