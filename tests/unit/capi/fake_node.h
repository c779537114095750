// A node without stores and peers: it answers requests at once, or keeps them, and its watches count up for ever.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "core/capi/local_backend.h"
#include "core/node/node.h"

namespace sereus::capi {

// What the test sees of it, from any thread.
struct FakeState {
  std::atomic<bool> keep{false};  // requests get no DONE until they are cancelled or the node closes
  std::atomic<bool> destroyed{false};
  std::atomic<int> submitted{0};
  std::atomic<int> forgotten{0};
  std::atomic<uint64_t> changes{0};  // emitted, for all watches
  std::atomic<int> job_ms{0};        // each answer waits for a job of this length
};

class FakeNode final : public node::Node {
 public:
  FakeNode(const node::NodePorts& ports, FakeState& state)
      : ports_(ports), state_(state), view_(std::make_shared<node::View>()) {
    node::View::State published;
    published.info.name = "fake";
    view_->publish(std::move(published));
  }
  ~FakeNode() override { state_.destroyed = true; }

  static NodeOpener opener(FakeState& state) {
    return [&state](const node::NodePorts& ports, node::NodeConfig, const Times&) {
      return Result<std::unique_ptr<node::Node>>(std::unique_ptr<node::Node>(new FakeNode(ports, state)));
    };
  }

  void submit(node::Request request, const Times&) override {
    ++state_.submitted;
    const Key key{request.origin, request.op};
    pending_.insert(key);
    if (request.kind == node::RequestKind::store_watch) {
      watches_[key] = 0;
    } else if (!state_.keep) {
      if (state_.job_ms == 0) return finish(key, Code::ok);
      ports_.jobs->submit(
          JobQueue::writer, [ms = state_.job_ms.load()] { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); },
          [this, key] { finish(key, Code::ok); });
    }
  }
  bool cancel(uint32_t origin, uint64_t op, const Times&) override {
    if (pending_.count({origin, op}) == 0) return false;
    finish({origin, op}, Code::cancelled);
    return true;
  }
  void forget_origin(uint32_t origin, const Times&) override {
    ++state_.forgotten;
    std::erase_if(watches_, [origin](const auto& watch) { return watch.first.first == origin; });
    std::erase_if(pending_, [origin](const Key& key) { return key.first == origin; });
  }
  void close(const Times&) override {
    while (!pending_.empty()) finish(*pending_.begin(), Code::cancelled);
    node::Event event;
    event.kind = node::EventKind::closed;
    ports_.events->emit(std::move(event));
    closed_ = true;
  }
  bool closed() const override { return closed_; }
  uint64_t step(const Times&) override {
    for (auto& [key, next] : watches_) {
      for (size_t room = ports_.events->room(key.first); room != 0; --room) {
        node::Event event;
        event.kind = node::EventKind::store_change;
        event.origin = key.first;
        event.op = key.second;
        event.sequence = ++next;
        ports_.events->emit(std::move(event));
        ++state_.changes;
      }
    }
    return kNever;
  }
  std::shared_ptr<node::View> view() override { return view_; }

 private:
  using Key = std::pair<uint32_t, uint64_t>;
  void finish(Key key, Code status) {
    if (pending_.erase(key) == 0) return;
    watches_.erase(key);
    node::Event event;
    event.origin = key.first;
    event.op = key.second;
    event.status = status;
    ports_.events->emit(std::move(event));
  }

  const node::NodePorts ports_;
  FakeState& state_;
  std::shared_ptr<node::View> view_;
  std::set<Key> pending_;
  std::map<Key, uint64_t> watches_;
  bool closed_ = false;
};

}  // namespace sereus::capi
