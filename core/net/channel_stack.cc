#include "core/net/channel_stack.h"

#include <utility>

namespace sereus::net {

Status ChannelStack::start(Bytes& out) { return start_ready(out); }

// Starts every stage whose turn it is.
Status ChannelStack::start_ready(Bytes& out) {
  while (started_ < stages_.size()) {
    if (started_ > 0 && stages_[started_ - 1]->state() != State::established) return {};
    const size_t stage = started_++;
    Bytes sent;
    SEREUS_TRY(stages_[stage]->start(sent));
    SEREUS_TRY(seal_below(stage, std::move(sent), out));
  }
  return {};
}

// `sent` is what `stage` wants to send: the stages below it wrap it.
Status ChannelStack::seal_below(size_t stage, Bytes sent, Bytes& out) {
  while (stage > 0 && !sent.empty()) {
    Bytes wrapped;
    SEREUS_TRY(stages_[--stage]->seal(sent, wrapped));
    sent = std::move(wrapped);
  }
  append(out, sent);
  return {};
}

Status ChannelStack::feed(ByteView in, Bytes& out, Bytes& plain) {
  Bytes carried = to_bytes(in);
  for (size_t stage = 0; stage < stages_.size(); ++stage) {
    Bytes answer;
    Bytes inner;
    Status fed = stages_[stage]->feed(carried, answer, inner);
    // What says why goes out after an error, too; that it cannot be wrapped any more is no news then.
    Status answered = seal_below(stage, std::move(answer), out);
    if (!fed.ok()) return fed;
    if (!answered.ok()) return answered;
    SEREUS_TRY(start_ready(out));
    carried = std::move(inner);
    if (carried.empty()) return {};
    if (stage + 1 == started_ && started_ < stages_.size()) {
      return fail(Code::protocol, "bytes for a stage before the one below it was established");
    }
  }
  append(plain, carried);
  return {};
}

Status ChannelStack::seal(ByteView plain, Bytes& out) {
  if (state() != State::established) return fail(Code::again, "the connection's stages are not established");
  return seal_below(stages_.size(), to_bytes(plain), out);
}

void ChannelStack::finish(Bytes& out) {
  for (size_t stage = started_; stage-- > 0;) {
    Bytes goodbye;
    stages_[stage]->finish(goodbye);
    if (!seal_below(stage, std::move(goodbye), out).ok()) return;
  }
}

Channel::State ChannelStack::state() const {
  State out = State::established;
  for (const auto& stage : stages_) {
    if (stage->state() == State::failed) return State::failed;
    if (stage->state() == State::ended) out = State::ended;
    if (stage->state() == State::handshaking && out == State::established) out = State::handshaking;
  }
  return out;
}

size_t ChannelStack::buffered() const {
  size_t out = 0;
  for (const auto& stage : stages_) out += stage->buffered();
  return out;
}

}  // namespace sereus::net
