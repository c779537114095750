// Channels one on another, the one next to the link first. A stage is started when the one below it is established; bytes go
// through all of them. Empty, it passes bytes as they are.
#pragma once

#include <memory>
#include <vector>

#include "core/net/channel.h"

namespace sereus::net {

class ChannelStack final : public Channel {
 public:
  explicit ChannelStack(std::vector<std::unique_ptr<Channel>> stages) : stages_(std::move(stages)) {}

  bool empty() const { return stages_.empty(); }

  Status start(Bytes& out) override;
  Status feed(ByteView in, Bytes& out, Bytes& plain) override;
  Status seal(ByteView plain, Bytes& out) override;
  void finish(Bytes& out) override;
  // Established when all stages are; ended when one is.
  State state() const override;
  size_t buffered() const override;

 private:
  Status start_ready(Bytes& out);
  Status seal_below(size_t stage, Bytes sent, Bytes& out);

  std::vector<std::unique_ptr<Channel>> stages_;
  size_t started_ = 0;
};

}  // namespace sereus::net
