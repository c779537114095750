// Both ends of a connection over real sockets on the loopback interface, each a whole host with its Swarm: what the benchmarks of
// the network are made of.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/net/swarm.h"
#include "drivers/posix/posix_hosts.h"
#include "drivers/posix/posix_random.h"
#include "drivers/posix/posix_thread.h"

namespace sereus::bench {

inline constexpr char kQuicListen[] = "/ip4/127.0.0.1/udp/0/quic-v1";

struct SideSettings {
  std::string listen;  // a multiaddr; empty: it only dials
  net::QuicSettings quic;
  net::TcpSettings tcp;
  net::SwarmSettings swarm;
};

// Without the limits that a benchmark would run into: all of its connections come from one address and one peer.
SideSettings side_settings(std::string listen);

// A host on its own sockets, and what happens to it. The thread that calls turn() is the host's.
class Side {
 public:
  explicit Side(const SideSettings& settings);
  virtual ~Side() = default;

  net::Swarm& host() { return *swarm_; }
  // Where others reach it; any thread.
  const std::string& address() const { return address_; }
  const net::PeerId& peer() const { return peer_; }
  void wake() { loop_->wake(); }
  // Waits for something to do, at most until `latest`, and does it.
  void turn(uint64_t latest_us = kNever);

 protected:
  // After calls of the host from outside turn(): the next one does not wait.
  void hurry() { deadline_ = 0; }
  virtual void on_event(const net::HostEvent& event) = 0;
  virtual void on_notice(const net::SwarmNotice& /*notice*/) {}

 private:
  posix::PosixRandom random_;
  std::unique_ptr<posix::PosixLoop> loop_;
  posix::PosixHosts hosts_;
  std::unique_ptr<crypto::KeyPair> device_;
  std::unique_ptr<net::Swarm> swarm_;
  std::string address_;
  net::PeerId peer_;
  uint64_t deadline_ = 0;
};

// On a thread of its own: reads whatever comes, and sends so many bytes on a stream of the other protocol.
class Server final : public Side {
 public:
  // `told` is woken when a stream has been read to its end.
  Server(const SideSettings& settings, Side* told, uint64_t down = 0);
  ~Server() override;
  bool stream_ended() const { return ended_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t connections() const { return connections_; }

 private:
  void on_event(const net::HostEvent& event) override;
  void read(net::StreamId stream);
  void send();

  Side* const told_;
  net::StreamId sending_ = 0;
  uint64_t left_;
  Bytes chunk_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> ended_{false};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> connections_{0};
  std::unique_ptr<posix::PosixThread> thread_;
};

// On the caller's thread. Each of these returns when it is done.
class Client final : public Side {
 public:
  explicit Client(const SideSettings& settings);

  void connect(const Side& server);
  // Seconds from the open stream to the end of `bytes`: sent and read by the server, or sent by the server and read.
  double up(const Server& server, uint64_t bytes);
  double down(uint64_t bytes);
  // Microseconds of each round trip of libp2p's ping.
  std::vector<double> pings(uint64_t count);

 private:
  void on_event(const net::HostEvent& event) override;
  void on_notice(const net::SwarmNotice& notice) override;
  void open(const char* protocol);
  void send();
  void read();

  net::ConnectionId connection_ = 0;
  net::StreamId stream_ = 0;
  bool opened_ = false;
  bool finished_ = false;  // the server's end was read
  bool ponged_ = false;
  uint64_t left_ = 0;
  uint64_t received_ = 0;
  Bytes chunk_;
};

// Connects, disconnects, and connects again.
class Dialer final : public Side {
 public:
  Dialer(const SideSettings& settings, std::string address, net::PeerId other)
      : Side(settings), other_address_(std::move(address)), other_(std::move(other)) {}
  Dialer(const SideSettings& settings, const Side& other) : Dialer(settings, other.address(), other.peer()) {}
  // Makes so many connections. `keep`: they stay.
  void run(uint64_t count, size_t at_once, bool keep = false);

 private:
  void on_event(const net::HostEvent& event) override;
  void dial();

  const std::string other_address_;
  const net::PeerId other_;
  bool keep_ = false;
  uint64_t wanted_ = 0;
  uint64_t dialed_ = 0;
  uint64_t connected_ = 0;
};

}  // namespace sereus::bench
