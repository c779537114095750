// The test protocols of libp2p as the commands use them: /echo/1.0.0 sends back what comes, to the end; /perf/1.0.0 (libp2p specs,
// perf) takes a number of 8 bytes and an upload, then sends so many bytes.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "apps/sereus/net_peer.h"

namespace cli {

// The serving side of both.
class NetServices {
 public:
  explicit NetServices(NetPeer& peer) : peer_(peer) {}
  void serve();
  // True when it was about one of their streams.
  bool on_event(const sereus_event* event);

 private:
  struct Stream {
    bool perf = false;
    std::string head;  // of perf: the first 8 bytes
    uint64_t left = 0;
    size_t writing = 0;
    bool reading = false;
    bool end_read = false;
    bool finished = false;
  };
  void pump(sereus_id id);
  void on_read(sereus_id id, const sereus_done& done);
  void pump_perf(sereus_id id, Stream& stream);
  void write(sereus_id id, Stream& stream, std::string_view data, bool finish);

  NetPeer& peer_;
  std::map<sereus_id, Stream> streams_;
};

// Sends bytes with a pattern and compares what comes back. Throws for a byte that differs.
class EchoClient {
 public:
  EchoClient(NetPeer& peer, sereus_id stream, uint64_t total, uint32_t salt)
      : peer_(peer), stream_(stream), total_(total), salt_(salt) {}
  void start();
  void on_event(const sereus_event* event);
  bool done() const { return ended_; }
  uint64_t received() const { return received_; }

 private:
  void send();
  void receive();

  NetPeer& peer_;
  const sereus_id stream_;
  const uint64_t total_;
  const uint32_t salt_;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  size_t writing_ = 0;
  bool finished_ = false;
  bool ended_ = false;
};

class PerfClient {
 public:
  struct Result {
    double up_seconds = 0;
    double down_seconds = 0;
  };
  PerfClient(NetPeer& peer, sereus_id stream, uint64_t up, uint64_t down)
      : peer_(peer), stream_(stream), up_(up), down_(down) {}
  // Waits for all of it; `progress` is told how many bytes have moved.
  Result run(const std::function<void(uint64_t moved)>& progress);

 private:
  using Clock = std::chrono::steady_clock;
  void send();
  void receive();

  NetPeer& peer_;
  const sereus_id stream_;
  const uint64_t up_;
  const uint64_t down_;
  std::string block_;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  size_t writing_ = 0;
  bool finished_ = false;
  bool ended_ = false;
  Clock::time_point first_byte_;
};

}  // namespace cli
