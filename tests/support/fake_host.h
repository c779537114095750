// A Host that notes what it is asked and tells what the test lets it tell.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/net/host.h"

namespace sereus::test {

class FakeHost final : public net::Host {
 public:
  explicit FakeHost(net::PeerId own = {}) : own_(std::move(own)) {}

  net::PeerId peer_id() const override { return own_; }
  Status listen(std::string_view) override { return {}; }
  std::vector<std::string> listen_addresses() const override { return addresses; }
  void set_protocols(std::vector<std::string> given) override { protocols = std::move(given); }
  Result<uint64_t> dial(std::string_view address, const net::PeerId&) override {
    dialed.emplace_back(address);
    dials_[std::string(address)] = ++last_;
    return last_;
  }
  void cancel_dial(uint64_t dial) override { cancelled.push_back(dial); }
  void disconnect(net::ConnectionId connection, Code reason) override {
    disconnected.emplace_back(connection, reason);
    events.emplace_back(net::Disconnected{connection, Error{reason, {}}});
  }
  Result<net::StreamId> open_stream(net::ConnectionId connection, std::string_view protocol) override {
    opened.emplace_back(connection, protocol);
    return ++last_;
  }
  Result<size_t> write(net::StreamId, ByteView data) override { return data.size(); }
  Result<ReadResult> read(net::StreamId, ByteSpan) override { return ReadResult{0, true}; }
  void finish(net::StreamId) override {}
  void reset(net::StreamId stream) override { were_reset.push_back(stream); }
  uint64_t step(const Times&) override { return kNever; }
  std::optional<net::HostEvent> next_event() override {
    if (events.empty()) return std::nullopt;
    net::HostEvent event = std::move(events.front());
    events.pop_front();
    return event;
  }
  net::HostStats stats() const override { return {}; }
  void close(const Times&) override {}

  // The latest dial of an address.
  uint64_t dial_of(std::string_view address) const { return dials_.at(std::string(address)); }

  std::vector<std::string> addresses;
  std::vector<std::string> protocols;
  std::vector<std::string> dialed;
  std::vector<uint64_t> cancelled;
  std::vector<std::pair<net::ConnectionId, Code>> disconnected;
  std::vector<std::pair<net::ConnectionId, std::string>> opened;
  std::vector<net::StreamId> were_reset;
  std::deque<net::HostEvent> events;

 private:
  net::PeerId own_;
  std::map<std::string, uint64_t> dials_;
  uint64_t last_ = 0;
};

}  // namespace sereus::test
