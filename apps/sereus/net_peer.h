// A libp2p host without a data folder, for the commands that try out a network: a node in memory with one host.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "apps/sereus/host_options.h"
#include "apps/sereus/session.h"

namespace cli {

inline constexpr char kEchoProtocol[] = "/echo/1.0.0";
inline constexpr char kPerfProtocol[] = "/perf/1.0.0";

class NetPeer {
 public:
  using Answer = std::function<void(const sereus_done& done)>;
  using OnEvent = std::function<void(const sereus_event* event)>;

  // `listen` may be empty: it only dials. Throws.
  NetPeer(Session& session, const HostOptions& options, const std::vector<std::string>& listen);

  const std::string& peer() const { return peer_; }
  std::vector<std::string> addresses();
  sereus_id host() const { return host_; }
  sereus_node* node() const { return client_.node(); }

  struct Connection {
    sereus_id id = 0;
    std::string peer;
  };
  // These wait, and throw. Events meanwhile go to their receivers.
  Connection dial(const std::string& address);
  sereus_id open_stream(sereus_id connection, const std::string& protocol);
  void serve(const std::string& protocol);
  Done run(const std::string& doing, const Client::Submit& submit);

  // Submits; the answer comes in a turn().
  void start(const std::string& doing, const Client::Submit& submit, Answer answer);
  void read(sereus_id stream, Answer answer);
  void write(sereus_id stream, std::string_view data, bool finish, Answer answer);
  // Everything but answers.
  void on_event(OnEvent handler) { on_event_ = std::move(handler); }
  // Waits for something to happen, at most `timeout_ms`. Throws when the time is over or the person gave up.
  void turn(uint32_t timeout_ms = 100);

 private:
  void take(const sereus_event* event);

  Client client_;
  OnEvent on_event_;
  std::map<sereus_id, Answer> answers_;
  sereus_id host_ = 0;
  std::string peer_;
};

}  // namespace cli
