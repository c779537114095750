#include "drivers/posix/posix_links.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>

#include "drivers/posix/descriptor.h"
#include "drivers/posix/socket_address.h"

namespace sereus::posix {
namespace {

constexpr int kBacklog = 256;
constexpr int kAcceptsPerTurn = 16;  // links that are there already come next

Error system_failure(Code code, const char* what, int error) {
  return fail(code, std::string(what) + ": " + std::strerror(error));
}

void set_flag(int fd, int level, int name) {
  const int on = 1;
  (void)setsockopt(fd, level, name, &on, sizeof on);
}

int make_socket(const IpEndpoint& endpoint) {
  return ::socket(endpoint.is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

// The layers above gather what they write; waiting for more only adds a delay.
void set_link_options(int fd) { set_flag(fd, IPPROTO_TCP, TCP_NODELAY); }

IpEndpoint local_of(int fd) {
  SocketAddress address;
  address.size = sizeof address.storage;
  if (getsockname(fd, address.any(), &address.size) != 0) return {};
  return to_endpoint(&address.storage);
}

int pending_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

bool no_descriptors(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

}  // namespace

PosixLinks::~PosixLinks() {
  while (!links_.empty()) close(links_.begin()->first);
  while (!listeners_.empty()) stop_listening(listeners_.begin()->first);
}

// ---- Listening ------------------------------------------------------------------------------------------------------

Result<Links::Listening> PosixLinks::listen(const IpEndpoint& local) {
  Descriptor fd(make_socket(local));
  if (fd.get() < 0) return system_failure(Code::io, "cannot make a TCP socket", errno);
  set_flag(fd.get(), SOL_SOCKET,
           SO_REUSEADDR);  // links of an earlier process that are still winding down do not matter
  if (local.is_v6) set_flag(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  SocketAddress address = to_socket_address(local);
  if (::bind(fd.get(), address.any(), address.size) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    const int error = errno;
    return system_failure(error == EADDRINUSE ? Code::busy : Code::io,
                          ("cannot listen on TCP " + to_string(local)).c_str(), error);
  }
  const ListenerId id = ++last_;
  SEREUS_TRY(loop_.watch(fd.get(), true, false, [this, id](PosixLoop::Ready) { accept(id); }));
  const IpEndpoint bound = local_of(fd.get());
  listeners_[id].fd = fd.release();
  return Listening{id, bound};
}

void PosixLinks::stop_listening(ListenerId listener) {
  const auto at = listeners_.find(listener);
  if (at == listeners_.end()) return;
  loop_.forget(at->second.fd);
  ::close(at->second.fd);
  listeners_.erase(at);
}

void PosixLinks::accept(ListenerId listener) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    const auto at = listeners_.find(listener);
    if (at == listeners_.end()) return;  // stopped by the owner in between
    SocketAddress remote;
    remote.size = sizeof remote.storage;
    Descriptor fd(::accept4(at->second.fd, remote.any(), &remote.size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd.get() < 0) {
      // Asking again at once would spin: the connection stays in the backlog until there is a descriptor for it.
      if (no_descriptors(errno)) {
        at->second.paused = true;
        loop_.change(at->second.fd, false, false);
      }
      return;
    }
    set_link_options(fd.get());
    const IpEndpoint local = local_of(fd.get());
    const Result<LinkId> link = add(fd.get(), Stage::open);
    if (!link.ok()) continue;
    fd.release();
    events_.on_accepted(listener, *link, local, to_endpoint(&remote.storage));
  }
}

void PosixLinks::resume_listeners() {
  for (auto& [id, listener] : listeners_) {
    if (std::exchange(listener.paused, false)) loop_.change(listener.fd, true, false);
  }
}

// ---- Links ----------------------------------------------------------------------------------------------------------

Result<LinkId> PosixLinks::connect(const IpEndpoint& remote) {
  Descriptor fd(make_socket(remote));
  if (fd.get() < 0) return system_failure(Code::io, "cannot make a TCP socket", errno);
  set_link_options(fd.get());
  SocketAddress address = to_socket_address(remote);
  // Also when it is connected already: the loop says so, so that no event comes from inside a call.
  if (::connect(fd.get(), address.any(), address.size) != 0 && errno != EINPROGRESS && errno != EINTR) {
    return system_failure(Code::unreachable, ("cannot connect to " + to_string(remote)).c_str(), errno);
  }
  SEREUS_ASSIGN(const LinkId link, add(fd.get(), Stage::connecting));
  fd.release();
  return link;
}

// Takes the descriptor when it succeeds.
Result<LinkId> PosixLinks::add(int fd, Stage stage) {
  const LinkId id = ++last_;
  const bool open = stage == Stage::open;
  SEREUS_TRY(loop_.watch(fd, open, !open, [this, id](PosixLoop::Ready what) { ready(id, what); }));
  Link& link = links_[id];
  link.fd = fd;
  link.stage = stage;
  return id;
}

void PosixLinks::ready(LinkId id, PosixLoop::Ready what) {
  auto at = links_.find(id);
  if (at == links_.end()) return;
  if (at->second.stage == Stage::connecting) return connected(id, at->second.fd);
  if (what.failed) {
    if (const int error = pending_error(at->second.fd); error != 0) {
      return broke(id, system_failure(Code::io, "the connection broke", error));
    }
    // Both ends are shut and the rest may still be read. The system would tell that without pause.
    loop_.forget(at->second.fd);
    at->second.watched = false;
  }
  if (what.readable && std::exchange(at->second.wants_read, false)) {
    if (at->second.watched) watch_again(at->second);
    events_.on_readable(id);
    at = links_.find(id);
    if (at == links_.end()) return;
  }
  if (what.writable && std::exchange(at->second.wants_write, false)) {
    if (at->second.watched) watch_again(at->second);
    events_.on_writable(id);
  }
}

void PosixLinks::connected(LinkId id, int fd) {
  if (const int error = pending_error(fd); error != 0) {
    return broke(id, system_failure(Code::unreachable, "nobody answers", error));
  }
  Link& link = links_.at(id);
  link.stage = Stage::open;
  watch_again(link);
  events_.on_connected(id, local_of(fd));
}

void PosixLinks::watch_again(Link& link) { loop_.change(link.fd, link.wants_read, link.wants_write); }

void PosixLinks::broke(LinkId link, const Error& reason) {
  close(link);
  events_.on_closed(link, reason);
}

size_t PosixLinks::write(LinkId id, ByteView data) {
  const auto at = links_.find(id);
  if (at == links_.end() || at->second.stage != Stage::open) return 0;
  Link& link = at->second;
  size_t taken = 0;
  while (taken < data.size()) {
    const ssize_t sent = ::send(link.fd, data.data() + taken, data.size() - taken, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) break;  // full; or broken, which the loop reports
    taken += static_cast<size_t>(sent);
  }
  if (taken < data.size() && link.watched && !link.wants_write) {
    link.wants_write = true;
    watch_again(link);
  }
  return taken;
}

Links::ReadResult PosixLinks::read(LinkId id, ByteSpan out) {
  const auto at = links_.find(id);
  if (at == links_.end() || at->second.stage != Stage::open) return {};
  Link& link = at->second;
  ReadResult result;
  while (result.size < out.size() && !link.ended) {
    const ssize_t got = ::recv(link.fd, out.data() + result.size, out.size() - result.size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    if (got == 0) link.ended = true;
    result.size += static_cast<size_t>(got);
  }
  result.ended = link.ended;
  // After the end the system would say "readable" for ever.
  const bool wants_read = result.size < out.size() && !link.ended;
  if (wants_read != link.wants_read) {
    link.wants_read = wants_read;
    if (link.watched) watch_again(link);
  }
  return result;
}

void PosixLinks::finish(LinkId id) {
  const auto at = links_.find(id);
  if (at != links_.end()) (void)::shutdown(at->second.fd, SHUT_WR);
}

void PosixLinks::close(LinkId id) {
  const auto at = links_.find(id);
  if (at == links_.end()) return;
  if (at->second.watched) loop_.forget(at->second.fd);
  ::close(at->second.fd);
  links_.erase(at);
  resume_listeners();
}

}  // namespace sereus::posix
