// Serves a control socket on the node's loop: bytes from and to programs of the same user.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/base/bytes.h"
#include "drivers/posix/posix_loop.h"
#include "drivers/posix/unix_socket.h"

namespace sereus::posix {

// Clients are numbered from 1 and never again, in the process.
struct ListenerEvents {
  std::function<void(uint32_t client)> connected;
  std::function<void(uint32_t client, ByteView bytes)> received;
  std::function<void(uint32_t client)> writable;
  std::function<void(uint32_t client)> disconnected;
};

// Thread rule: the loop's thread; made before the loop runs or on it.
class PosixControlListener {
 public:
  static Result<std::unique_ptr<PosixControlListener>> make(PosixLoop& loop, const std::string& path,
                                                            ListenerEvents events);
  ~PosixControlListener();

  size_t write(uint32_t client, ByteView bytes);
  void read_from(uint32_t client, bool on);
  void disconnect(uint32_t client);

 private:
  struct Client {
    int fd = -1;
    bool reading = true;
    bool wants_write = false;
  };
  PosixControlListener(PosixLoop& loop, int fd, UnixName name, ListenerEvents events)
      : loop_(loop), fd_(fd), name_(std::move(name)), events_(std::move(events)) {}
  void accept();
  void ready(uint32_t id, PosixLoop::Ready ready);
  void watch_again(const Client& client) { loop_.change(client.fd, client.reading, client.wants_write); }

  PosixLoop& loop_;
  const int fd_;
  const UnixName name_;
  const ListenerEvents events_;
  std::map<uint32_t, Client> clients_;
};

}  // namespace sereus::posix
