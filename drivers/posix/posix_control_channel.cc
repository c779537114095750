#include "drivers/posix/posix_control_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "core/crypto/secret.h"
#include "drivers/posix/unix_socket.h"

namespace sereus::posix {
namespace {

constexpr size_t kReadBytes = 64 << 10;

}  // namespace

Result<std::unique_ptr<PosixControlChannel>> PosixControlChannel::connect(const std::string& path, size_t unsent_max,
                                                                          Events events) {
  SEREUS_ASSIGN(const int fd, connect_unix(path));
  fcntl(fd, F_SETFL, O_NONBLOCK);
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) {
    const int error = errno;
    ::close(fd);
    return fail(Code::io, std::string("cannot make an eventfd: ") + std::strerror(error));
  }
  std::unique_ptr<PosixControlChannel> channel(new PosixControlChannel(fd, wake, unsent_max, std::move(events)));
  SEREUS_ASSIGN(channel->thread_, PosixThread::start("sereus-control", [raw = channel.get()] { raw->run(); }));
  return channel;
}

PosixControlChannel::~PosixControlChannel() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.reset();
  ::close(wake_);
  ::close(fd_);
  for (Bytes& frame : unsent_) crypto::wipe(frame);
}

void PosixControlChannel::wake() {
  const uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);
}

Status PosixControlChannel::send(Bytes frame) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Code refused = over_ || ending_ || stopping_                                      ? Code::closed
                         : unsent_bytes_ != 0 && unsent_bytes_ + frame.size() > unsent_max_ ? Code::again
                                                                                            : Code::ok;
    if (refused != Code::ok) {
      crypto::wipe(frame);
      return fail(refused);
    }
    unsent_bytes_ += frame.size();
    unsent_.push_back(std::move(frame));
  }
  wake();
  return {};
}

void PosixControlChannel::end() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  wake();
}

void PosixControlChannel::run() {
  while (exchange()) {
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    over_ = true;
  }
  ::shutdown(fd_, SHUT_RDWR);
  events_.disconnected();
}

// Waits for one thing to do and does it; false at the end.
bool PosixControlChannel::exchange() {
  bool wants_write = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_ || (ending_ && unsent_.empty())) return false;
    wants_write = !unsent_.empty();
  }
  struct pollfd wait[2]{};
  wait[0].fd = fd_;
  wait[0].events = static_cast<short>(POLLIN | (wants_write ? POLLOUT : 0));
  wait[1].fd = wake_;
  wait[1].events = POLLIN;
  if (::poll(wait, 2, -1) < 0) return errno == EINTR;
  if ((wait[1].revents & POLLIN) != 0) {
    uint64_t ignored = 0;
    (void)!::read(wake_, &ignored, sizeof ignored);
  }
  if ((wait[0].revents & POLLOUT) != 0) send_some();  // a failure shows when reading
  if ((wait[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
    uint8_t bytes[kReadBytes];
    const ssize_t size = ::recv(fd_, bytes, sizeof bytes, 0);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) return false;
    if (size > 0) events_.received(ByteView(bytes, static_cast<size_t>(size)));
  }
  return true;
}

bool PosixControlChannel::send_some() {
  const std::lock_guard<std::mutex> lock(mutex_);
  while (!unsent_.empty()) {
    Bytes& front = unsent_.front();
    const ssize_t size = ::send(fd_, front.data() + sent_, front.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0) return false;
    sent_ += static_cast<size_t>(size);
    if (sent_ < front.size()) continue;
    crypto::wipe(front);  // it may carry a passphrase
    unsent_bytes_ -= front.size();
    unsent_.pop_front();
    sent_ = 0;
  }
  return true;
}

}  // namespace sereus::posix
