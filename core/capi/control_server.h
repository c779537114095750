// The daemon's side of the control socket, without the socket: frames from clients become requests and queries of the
// node, its events and results become frames. docs/formats/control.md is the protocol.
//
// A client is a consumer with an event queue of its own, so nothing of one client waits for another. Its bounds: the
// queue and its DONEs as for an embedder, kOperationBytesMax of requests and kControlQueriesMax queries under way, then
// its socket is not read; a malformed frame ends that client only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/base/log.h"
#include "core/base/time.h"
#include "core/capi/control_codec.h"
#include "core/capi/event_queue.h"
#include "core/capi/platform.h"
#include "core/node/event.h"
#include "core/node/request.h"
#include "core/node/rows.h"

namespace sereus::capi {

// What the server needs of the node. All on the loop's thread.
class ControlHost {
 public:
  virtual ~ControlHost() = default;
  // Code::ok: a DONE for (request.origin, request.op) will come.
  virtual Code submit_from_client(node::Request request, const Times& now) = 0;
  virtual void cancel_from_client(uint32_t client, uint64_t op, const Times& now) = 0;
  virtual void forget_client(uint32_t client, const Times& now) = 0;
  // `done` runs later, once.
  virtual void query_from_client(node::Query query, std::function<void(Result<node::Rows>)> done) = 0;
};

// Thread rule: the loop's thread.
class ControlServer {
 public:
  ControlServer(ControlHost& host, std::string library_version, Logger* logger)
      : host_(host), version_(std::move(library_version)), logger_(logger) {}
  ~ControlServer();

  // Callbacks for the transport; they only store bytes.
  ControlEvents events();
  void attach(std::unique_ptr<ControlTransport> transport) { transport_ = std::move(transport); }
  // Disconnects all clients and removes the socket.
  void detach(const Times& now);
  bool attached() const { return transport_ != nullptr; }

  // Handles what clients sent.
  void process(const Times& now);
  // Encodes events and results, and gives them to the sockets. True when it wants to go on soon.
  bool flush(const Times& now);

  size_t room(uint32_t client);
  // To one client, or to all for kAllOrigins.
  void emit(const node::Event& event);
  bool has_queries() const { return queries_ != 0; }

 private:
  struct Reply {  // the answer to a query, sent in parts
    uint64_t id = 0;
    bool ready = false;
    Result<node::Rows> rows = fail(Code::internal);
    size_t next_row = 0;
  };
  struct Client {
    Bytes in;
    size_t in_at = 0;  // consumed
    Bytes out;
    size_t out_at = 0;                   // written
    std::unique_ptr<EventQueue> events;  // null until the hello was accepted
    std::deque<std::shared_ptr<Reply>> replies;
    bool reading = true;
    bool closing = false;  // the client asked for the end: CLOSED follows its last DONE
    bool ended = false;    // disconnect once `out` is written
    bool gone = false;     // its connection is over
  };
  using Clients = std::map<uint32_t, std::unique_ptr<Client>>;

  void process_client(uint32_t id, Client& client, const Times& now);
  bool blocked(const Client& client) const;
  void handle(uint32_t id, Client& client, ByteView frame, const Times& now);
  void handle_hello(Client& client, ControlMessage& message);
  void handle_request(uint32_t id, Client& client, ControlMessage& message, const Times& now);
  void handle_query(Client& client, ControlMessage& message);
  void handle_close(uint32_t id, Client& client, const Times& now);
  void refuse(Client& client, Code code, const std::string& detail);
  void fill(Client& client);
  bool write_out(uint32_t id, Client& client);
  void drop(Clients::iterator at, const Times& now);

  ControlHost& host_;
  const std::string version_;
  Logger* logger_;
  std::unique_ptr<ControlTransport> transport_;
  Clients clients_;
  size_t queries_ = 0;  // under way, for all clients
};

}  // namespace sereus::capi
