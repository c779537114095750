// A connection to a daemon: the same operations over its control socket (docs/formats/control.md).
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/capi/backend.h"
#include "core/capi/control_codec.h"
#include "core/capi/platform.h"

namespace sereus::capi {

class RemoteBackend final : public NodeBackend {
 public:
  static Result<std::unique_ptr<RemoteBackend>> connect(Platform& platform, const std::string& path,
                                                        const EventQueue::Limits& limits);
  ~RemoteBackend() override;

  Code submit(node::Request request, uint64_t* op) override;
  Code cancel(uint64_t op) override;
  Result<node::Rows> query(const node::Query& query) override;
  Code close() override;
  Code suspend(uint32_t) override { return Code::unsupported; }
  Code resume() override { return Code::unsupported; }
  void finish() override;

 private:
  enum class Life : uint8_t { greeting, running, closing, ended };
  struct Waiting {  // a read whose answer is on its way
    bool done = false;
    bool begun = false;
    Code status = Code::ok;
    std::string detail;
    node::Rows rows;
  };

  explicit RemoteBackend(const EventQueue::Limits& limits);
  Status greet(const EventQueue::Limits& limits);
  Status send(const ControlMessage& message);
  Code life_code();

  // The channel's thread.
  void received(ByteView bytes);
  bool handle(ControlMessage message);
  void handle_rows(ControlMessage& message);
  void disconnected();

  std::unique_ptr<ControlChannel> channel_;
  Bytes in_;  // the channel's thread

  std::mutex mutex_;
  std::condition_variable changed_;
  Life life_ = Life::greeting;
  std::optional<Error> refusal_;  // what the daemon said before it hung up
  uint64_t last_query_ = 0;
  std::map<uint64_t, std::shared_ptr<Waiting>> queries_;
};

}  // namespace sereus::capi
