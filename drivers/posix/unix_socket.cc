#include "drivers/posix/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "drivers/posix/descriptor.h"

namespace sereus::posix {
namespace {

constexpr int kBacklog = 64;
constexpr int kConnectSeconds = 10;

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string file_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// An address for a path of any length: a long one is named through a descriptor of its folder, which only Linux offers.
class UnixAddress {
 public:
  Status set(const std::string& path) {
    std::string name = path;
    if (name.size() >= sizeof address_.sun_path) {
      folder_ = ::open(folder_of(path).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
      if (folder_ < 0) return fail(Code::not_found, "no folder for the control socket " + path);
      name = "/proc/self/fd/" + std::to_string(folder_) + "/" + file_of(path);
    }
    if (name.size() >= sizeof address_.sun_path) {
      return fail(Code::invalid, "the file name of the control socket is too long (at most 80 bytes): " + path);
    }
    address_.sun_family = AF_UNIX;
    std::memcpy(address_.sun_path, name.c_str(), name.size() + 1);
    return {};
  }
  ~UnixAddress() {
    if (folder_ >= 0) ::close(folder_);
  }
  UnixAddress() = default;
  UnixAddress(const UnixAddress&) = delete;
  UnixAddress& operator=(const UnixAddress&) = delete;
  const struct sockaddr* any() const { return reinterpret_cast<const struct sockaddr*>(&address_); }
  socklen_t size() const { return sizeof address_; }

 private:
  struct sockaddr_un address_ {};
  int folder_ = -1;
};

int make_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); }

Error system_error(Code code, const std::string& what, int error) {
  return fail(code, what + ": " + std::strerror(error));
}

// Ok when `path` is free or a stale socket.
Status check_free(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return {};  // bind() tells what else may be wrong
  if (!S_ISSOCK(info.st_mode))
    return fail(Code::exists, "the control socket's place is taken by something else: " + path);
  const auto connected = connect_unix(path);
  if (connected.ok()) {
    ::close(*connected);
    return fail(Code::busy, "another daemon serves the control socket " + path);
  }
  if (connected.code() == Code::denied) return connected.error();
  return {};
}

}  // namespace

bool same_user(int fd) {
#if defined(SO_PEERCRED)
  struct ucred peer {};
  socklen_t size = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
#else
  uid_t user = 0;
  gid_t group = 0;
  return getpeereid(fd, &user, &group) == 0 && user == geteuid();
#endif
}

Result<int> connect_unix(const std::string& path) {
  UnixAddress address;
  SEREUS_TRY(address.set(path));
  Descriptor fd(make_socket());
  if (fd.get() < 0) return system_error(Code::io, "cannot make a socket", errno);
  struct timeval timeout {};
  timeout.tv_sec = kConnectSeconds;
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (::connect(fd.get(), address.any(), address.size()) != 0) {
    const int error = errno;
    if (error == EACCES || error == EPERM) {
      return fail(Code::denied, "the control socket " + path + " belongs to another user");
    }
    return system_error(Code::unreachable, "no daemon serves the control socket " + path, error);
  }
  if (!same_user(fd.get())) return fail(Code::denied, "another user's process serves the control socket " + path);
  return fd.release();
}

Result<int> listen_unix(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  SEREUS_TRY(check_free(path));
  // Made beside its place and moved there when it listens, so that nobody ever connects to one that does not.
  const std::string early = path + "." + std::to_string(getpid()) + "-" + std::to_string(++counter);
  UnixAddress address;
  SEREUS_TRY(address.set(early));
  Descriptor fd(make_socket());
  if (fd.get() < 0) return system_error(Code::io, "cannot make a socket", errno);
  ::unlink(early.c_str());  // of a process that had our number and died here
  if (::bind(fd.get(), address.any(), address.size()) != 0) {
    const int error = errno;
    return system_error(error == ENOENT   ? Code::not_found
                        : error == EACCES ? Code::denied
                                          : Code::io,
                        "cannot make the control socket " + path, error);
  }
  const bool made = chmod(early.c_str(), S_IRUSR | S_IWUSR) == 0 && ::listen(fd.get(), kBacklog) == 0 &&
                    ::rename(early.c_str(), path.c_str()) == 0;
  if (!made) {
    const int error = errno;
    ::unlink(early.c_str());
    return system_error(Code::io, "cannot make the control socket " + path, error);
  }
  fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return fd.release();
}

UnixName name_of(const std::string& path) {
  struct stat info {};
  UnixName name{path, 0, 0};
  if (lstat(path.c_str(), &info) == 0) {
    name.device = static_cast<uint64_t>(info.st_dev);
    name.inode = static_cast<uint64_t>(info.st_ino);
  }
  return name;
}

void remove_name(const UnixName& name) {
  const UnixName there = name_of(name.path);
  if (there.inode != 0 && there.inode == name.inode && there.device == name.device) ::unlink(name.path.c_str());
}

}  // namespace sereus::posix
