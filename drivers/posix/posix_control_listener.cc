#include "drivers/posix/posix_control_listener.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <utility>

namespace sereus::posix {
namespace {

constexpr size_t kReadBytes = 64 << 10;  // from one client in a turn: the others and the network come next
constexpr int kAcceptsPerTurn = 16;
std::atomic<uint32_t> g_last_client{0};

}  // namespace

Result<std::unique_ptr<PosixControlListener>> PosixControlListener::make(PosixLoop& loop, const std::string& path,
                                                                         ListenerEvents events) {
  SEREUS_ASSIGN(const int fd, listen_unix(path));
  std::unique_ptr<PosixControlListener> listener(new PosixControlListener(loop, fd, name_of(path), std::move(events)));
  SEREUS_TRY(loop.watch(fd, true, false, [raw = listener.get()](PosixLoop::Ready) { raw->accept(); }));
  return listener;
}

PosixControlListener::~PosixControlListener() {
  while (!clients_.empty()) disconnect(clients_.begin()->first);
  loop_.forget(fd_);
  remove_name(name_);
  ::close(fd_);
}

void PosixControlListener::accept() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    if (!same_user(fd)) {
      ::close(fd);
      continue;
    }
    const uint32_t id = ++g_last_client;
    const Status watched = loop_.watch(fd, true, false, [this, id](PosixLoop::Ready what) { ready(id, what); });
    if (!watched.ok()) {
      ::close(fd);
      continue;
    }
    clients_.emplace(id, Client{fd, true, false});
    events_.connected(id);
  }
}

void PosixControlListener::ready(uint32_t id, PosixLoop::Ready what) {
  auto at = clients_.find(id);
  if (at == clients_.end()) return;
  if (what.writable && at->second.wants_write) {
    at->second.wants_write = false;
    watch_again(at->second);
    events_.writable(id);
    at = clients_.find(id);
    if (at == clients_.end()) return;
  }
  if (!what.failed && (!what.readable || !at->second.reading)) return;
  uint8_t bytes[kReadBytes];
  const ssize_t size = ::recv(at->second.fd, bytes, sizeof bytes, 0);
  if (size > 0) {
    events_.received(id, ByteView(bytes, static_cast<size_t>(size)));
    return;
  }
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  disconnect(id);
  events_.disconnected(id);
}

size_t PosixControlListener::write(uint32_t id, ByteView bytes) {
  const auto at = clients_.find(id);
  if (at == clients_.end()) return bytes.size();
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t size =
        ::send(at->second.fd, bytes.data() + written, bytes.size() - written, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno != EAGAIN) return bytes.size();  // it is gone; reading tells
    if (size < 0) break;
    written += static_cast<size_t>(size);
  }
  const bool wants_write = written < bytes.size();
  if (wants_write != at->second.wants_write) {
    at->second.wants_write = wants_write;
    watch_again(at->second);
  }
  return written;
}

void PosixControlListener::read_from(uint32_t id, bool on) {
  const auto at = clients_.find(id);
  if (at == clients_.end() || at->second.reading == on) return;
  at->second.reading = on;
  watch_again(at->second);
}

void PosixControlListener::disconnect(uint32_t id) {
  const auto at = clients_.find(id);
  if (at == clients_.end()) return;
  loop_.forget(at->second.fd);
  ::close(at->second.fd);
  clients_.erase(at);
}

}  // namespace sereus::posix
