// What the C ABI needs of a system, so that core/capi itself is free of it: the POSIX driver is one platform
// (posix_platform.cc), the browser another, and tests bring their own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/base/bytes.h"
#include "core/base/log.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/node/node.h"
#include "core/ports/files.h"
#include "core/ports/jobs.h"
#include "core/ports/random.h"

namespace sereus::capi {

// Ends when its function returns; destroying it waits for that.
class Thread {
 public:
  virtual ~Thread() = default;
};

// What a node's loop runs. All on the loop's thread.
struct LoopBody {
  std::function<uint64_t(const Times&)> turn;  // after input, a wake or the deadline; returns the next deadline
  std::function<bool()> finished;              // then the loop ends
};

// The serving side of the control socket: bytes from and to clients, numbered from 1 and never again. Callbacks and
// methods on the loop's thread.
struct ControlEvents {
  std::function<void(uint32_t client)> connected;
  std::function<void(uint32_t client, ByteView bytes)> received;
  std::function<void(uint32_t client)> writable;      // write() took less than given before
  std::function<void(uint32_t client)> disconnected;  // not after disconnect()
};
class ControlTransport {
 public:
  virtual ~ControlTransport() = default;                      // disconnects all and removes the socket's name
  virtual size_t write(uint32_t client, ByteView bytes) = 0;  // returns how many were taken
  virtual void read_from(uint32_t client, bool on) = 0;       // off: the client's writes stop
  virtual void disconnect(uint32_t client) = 0;
};

// The client's side. Callbacks on a thread of the channel's.
struct ChannelEvents {
  std::function<void(ByteView bytes)> received;
  std::function<void()> disconnected;  // once, the last callback
};
class ControlChannel {
 public:
  virtual ~ControlChannel() = default;  // ends the connection and waits for the thread; not from a callback
  // Any thread; does not block. Code::again: too much is unsent, Code::closed. The bytes are wiped when they were sent.
  virtual Status send(Bytes frame) = 0;
  // Any thread: disconnects once what is to be sent was sent.
  virtual void end() = 0;
};

// What one node in this process stands on.
class NodeSystem {
 public:
  virtual ~NodeSystem() = default;
  virtual Files& files() = 0;
  virtual Random& random() = 0;
  virtual Jobs& jobs() = 0;
  virtual node::HostFactory& hosts() = 0;
  virtual Times now() = 0;  // any thread

  // Runs `body` on a thread of the node's own. Not for caller-driven systems.
  virtual Status start(LoopBody body) = 0;
  // Any thread: a turn soon.
  virtual void wake() = 0;
  // Caller-driven systems, one thread at a time: takes input that is there, runs jobs and turns until nothing is left to
  // do at `now`, without blocking. Returns the next deadline.
  virtual uint64_t run_once(const LoopBody& body, const Times& now) = 0;
  // Loop thread: no job is under way, and the done() of each was run.
  virtual bool jobs_idle() = 0;
  // Waits for the node's threads to end; the body must be finished or about to. Not on the loop thread.
  virtual void stop() = 0;
  // Before start(), or on the loop thread.
  virtual Result<std::unique_ptr<ControlTransport>> serve_control(const std::string& path, ControlEvents events) = 0;
};

struct SystemConfig {
  std::string data_folder;  // empty: files in memory
  bool create = true;       // the data folder, when it is missing
  bool caller_driven = false;
  Logger* logger = nullptr;  // outlives the system; may be null
};

class Platform {
 public:
  virtual ~Platform() = default;
  virtual Result<std::unique_ptr<NodeSystem>> make_system(const SystemConfig& config) = 0;
  virtual Result<std::unique_ptr<ControlChannel>> connect_control(const std::string& path, ChannelEvents events) = 0;
  virtual Result<std::unique_ptr<Thread>> start_thread(const char* name, std::function<void()> run) = 0;
  // Runs something that may block (taking a node down) without keeping the caller. What still runs at exit() is given a
  // few seconds.
  virtual void run_in_background(std::function<void()> run) = 0;
};

// The platform of this build. Lives as long as the process.
Platform& platform();

}  // namespace sereus::capi
