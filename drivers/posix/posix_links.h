// The Links port over TCP sockets.
//
// Thread rule: the loop's thread; listen() and connect() also before the loop runs.
#pragma once

#include <map>

#include "core/ports/links.h"
#include "drivers/posix/posix_loop.h"

namespace sereus::posix {

class PosixLinks : public Links {
 public:
  // Both outlive it.
  PosixLinks(PosixLoop& loop, LinkEvents& events) : loop_(loop), events_(events) {}
  ~PosixLinks() override;  // closes everything
  PosixLinks(const PosixLinks&) = delete;
  PosixLinks& operator=(const PosixLinks&) = delete;

  Result<Listening> listen(const IpEndpoint& local) override;
  void stop_listening(ListenerId listener) override;
  Result<LinkId> connect(const IpEndpoint& remote) override;
  size_t write(LinkId link, ByteView data) override;
  ReadResult read(LinkId link, ByteSpan out) override;
  void finish(LinkId link) override;
  void close(LinkId link) override;

 private:
  enum class Stage : uint8_t { connecting, open };
  struct Link {
    int fd = -1;
    Stage stage = Stage::connecting;
    bool wants_read = true;    // on_readable() is due when something arrives
    bool wants_write = false;  // on_writable() is due when there is room
    bool watched = true;
    bool ended = false;  // the peer's end was read
  };
  struct Listener {
    int fd = -1;
    bool paused = false;  // out of descriptors: until a link is closed
  };

  Result<LinkId> add(int fd, Stage stage);
  void accept(ListenerId listener);
  void ready(LinkId link, PosixLoop::Ready what);
  void connected(LinkId link, int fd);
  void watch_again(Link& link);
  void broke(LinkId link, const Error& reason);
  void resume_listeners();

  PosixLoop& loop_;
  LinkEvents& events_;
  uint64_t last_ = 0;
  std::map<LinkId, Link> links_;
  std::map<ListenerId, Listener> listeners_;
};

}  // namespace sereus::posix
