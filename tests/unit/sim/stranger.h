// A peer that is no node of ours: it has keys and a host, and sends whatever a test wants.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/crypto/certificate.h"
#include "core/node/schema/join_generated.h"
#include "core/store/sync_frame.h"
#include "sim/world.h"
#include "tests/unit/store/store_test_base.h"

namespace sereus::sim {

// What came back on a stream.
struct Answer {
  Bytes bytes;
  bool finished = false;  // in order
  bool reset = false;
  friend bool operator==(const Answer&, const Answer&) = default;
};

struct JoinAnswer {
  Code code = Code::internal;
  Bytes root;
  uint32_t role = 0;
};

class Stranger {
 public:
  Stranger(World& world, uint64_t number)
      : keys(1000 + number), world_(world), host_(world.network.stream.make_host(100 + number, peer(), [] {})) {
    host_->set_protocols({"/sereus/sync/1.0.0", "/sereus/join/1.0.0"});
  }

  // True when the connection stands.
  bool connect(const std::string& address, std::string_view peer_id) {
    const auto to = net::PeerId::parse(peer_id);
    const auto dial = to ? host_->dial(address, *to) : Result<uint64_t>(fail(Code::invalid));
    if (!dial.ok()) return false;
    return world_.run_until([&] { return poll() && connection_ != 0; }, 30'000'000);
  }
  bool connected() {
    poll();
    return connection_ != 0;
  }
  net::StreamId open(std::string_view protocol) {
    const auto stream = host_->open_stream(connection_, protocol);
    return stream.ok() ? *stream : 0;
  }
  void send(net::StreamId stream, ByteView bytes) {
    const auto written = host_->write(stream, bytes);
    EXPECT_TRUE(written.ok() && *written == bytes.size());
  }
  // Sends all of it on a new stream and waits for the end of it, or until `patience_us` went by.
  Answer exchange(std::string_view protocol, ByteView bytes, uint64_t patience_us = 2'000'000) {
    const net::StreamId stream = open(protocol);
    if (stream == 0) return {};
    send(stream, bytes);
    return await(stream, patience_us);
  }
  // The end of what comes on a stream.
  Answer await(net::StreamId stream, uint64_t patience_us = 2'000'000) {
    world_.run_until(
        [&] {
          poll();
          return answers_[stream].finished || answers_[stream].reset;
        },
        patience_us);
    const Answer answer = answers_[stream];
    host_->reset(stream);
    return answer;
  }
  // Takes what happened; true always, so that it can stand in a condition.
  bool poll() {
    while (const auto event = host_->next_event()) {
      if (const auto* connected = std::get_if<net::Connected>(&*event)) connection_ = connected->connection;
      if (const auto* gone = std::get_if<net::Disconnected>(&*event); gone && gone->connection == connection_) {
        connection_ = 0;
      }
      if (const auto* opened = std::get_if<net::StreamOpened>(&*event); opened && opened->incoming) {
        incoming_.push_back({opened->stream, opened->protocol});
      }
      if (const auto* readable = std::get_if<net::StreamReadable>(&*event)) read(readable->stream);
      if (const auto* closed = std::get_if<net::StreamClosed>(&*event)) answers_[closed->stream].reset = true;
    }
    return true;
  }

  Bytes device_certificate() const { return certificate_for(keys.device.device_key()); }
  Bytes certificate_for(const DeviceKey& device) const {
    crypto::DeviceCertificate certificate;
    certificate.party = keys.party.party_key();
    certificate.device = device;
    certificate.serial = 1;
    return crypto::issue_certificate(keys.party, certificate);
  }
  net::PeerId peer() const { return net::PeerId::from_device_key(keys.device.device_key()); }
  net::Host& host() { return *host_; }
  net::ConnectionId connection() const { return connection_; }
  // Streams the other side opened.
  struct Incoming {
    net::StreamId stream = 0;
    std::string protocol;
  };
  std::vector<Incoming>& incoming() { return incoming_; }
  Answer& answer(net::StreamId stream) { return answers_[stream]; }

  const store::Writer keys;

 private:
  void read(net::StreamId stream) {
    Bytes chunk(16 * 1024);
    while (true) {
      const auto read = host_->read(stream, chunk);
      if (!read.ok()) return;
      Answer& answer = answers_[stream];
      append(answer.bytes, ByteView(chunk).first(read->size));
      answer.finished = answer.finished || read->finished;
      if (read->size == 0 || read->finished) return;
    }
  }

  World& world_;
  std::unique_ptr<net::Host> host_;
  net::ConnectionId connection_ = 0;
  std::vector<Incoming> incoming_;
  std::map<net::StreamId, Answer> answers_;
};

// ---- Frames of joining ----------------------------------------------------------------------------------------------

inline Bytes join_request(ByteView token, ByteView certificate, std::string_view name = "stranger",
                          uint16_t version = 1) {
  flatbuffers::FlatBufferBuilder builder;
  const auto wire_token = builder.CreateVector(token.data(), token.size());
  const auto wire_certificate = builder.CreateVector(certificate.data(), certificate.size());
  const auto wire_name = builder.CreateString(name.data(), name.size());
  const std::vector<flatbuffers::Offset<flatbuffers::String>> addresses{
      builder.CreateString("/ip4/10.0.0.77/udp/4001/quic-v1")};
  const auto wire_addresses = builder.CreateVector(addresses);
  builder.Finish(
      node::wire::CreateJoinRequest(builder, version, wire_token, wire_certificate, wire_name, wire_addresses));
  Bytes out;
  store::append_frame(out, store::FrameType::join_request, ByteView(builder.GetBufferPointer(), builder.GetSize()));
  return out;
}

inline Bytes join_response(Code code, ByteView root, uint32_t role) {
  flatbuffers::FlatBufferBuilder builder;
  const auto wire_root = builder.CreateVector(root.data(), root.size());
  builder.Finish(node::wire::CreateJoinResponse(builder, static_cast<int32_t>(code), wire_root, role));
  Bytes out;
  store::append_frame(out, store::FrameType::join_response, ByteView(builder.GetBufferPointer(), builder.GetSize()));
  return out;
}

// The one frame of an answer, which must be whole and nothing more.
inline JoinAnswer parse_join_answer(const Answer& answer) {
  JoinAnswer parsed;
  store::FrameReader reader;
  reader.feed(answer.bytes);
  const auto frame = reader.next();
  EXPECT_TRUE(frame.ok() && frame->has_value() && answer.finished);
  if (!frame.ok() || !frame->has_value()) return parsed;
  EXPECT_EQ((*frame)->type, store::FrameType::join_response);
  EXPECT_EQ(reader.buffered(), 0u);
  const auto* response = flatbuffers::GetRoot<node::wire::JoinResponse>((*frame)->payload.data());
  parsed.code = static_cast<Code>(response->code());
  if (response->root() != nullptr) parsed.root.assign(response->root()->begin(), response->root()->end());
  parsed.role = response->role();
  return parsed;
}

}  // namespace sereus::sim
