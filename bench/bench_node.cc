#include "bench/bench_node.h"

#include <chrono>
#include <utility>
#include <variant>

#include "bench/support.h"
#include "drivers/posix/posix_times.h"

namespace sereus::bench {
namespace {

constexpr size_t kRoom = 4096;  // as the C interface's queue; this one is always drained
// Changes are told by events; this only bounds how long one that was told before the wait began goes unseen.
constexpr auto kLookAgain = std::chrono::milliseconds(10);

}  // namespace

BenchNode::BenchNode(const std::string& folder, bool verify_every_signature)
    : files_(must(posix::PosixFiles::open(folder, true))),
      loop_(must(posix::PosixLoop::make())),
      jobs_([this] { loop_->wake(); }),
      hosts_(*loop_, random_, nullptr) {
  node::NodePorts ports;
  ports.files = files_.get();
  ports.random = &random_;
  ports.jobs = &jobs_;
  ports.hosts = &hosts_;
  ports.events = this;
  node::NodeConfig config;
  config.listen = {"/ip4/127.0.0.1/udp/0/quic-v1"};
  config.kdf_interactive = true;
  config.verify_every_signature = verify_every_signature;
  node_ = must(node::Node::open(ports, std::move(config), posix::now()));
  view_ = node_->view();
  thread_ = must(posix::PosixThread::start("bench-node", [this] { run(); }));
  node::Request identity;
  identity.kind = node::RequestKind::identity_create;
  ask(std::move(identity));
}

BenchNode::~BenchNode() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
  }
  loop_->wake();
  thread_.reset();
}

void BenchNode::run() {
  uint64_t deadline = 0;
  bool close_told = false;
  while (!node_->closed()) {
    loop_->wait(deadline);
    jobs_.complete();
    std::deque<node::Request> requests;
    bool closing = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      requests.swap(requests_);
      closing = closing_;
    }
    const Times now = posix::now();
    for (node::Request& request : requests) node_->submit(std::move(request), now);
    if (closing && !std::exchange(close_told, true)) node_->close(now);
    deadline = node_->step(now);
  }
}

uint64_t BenchNode::submit(node::Request request) {
  uint64_t operation = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    operation = request.op = ++last_operation_;
    requests_.push_back(std::move(request));
  }
  loop_->wake();
  return operation;
}

node::Event BenchNode::await(uint64_t operation) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    while (!answers_.empty() && answers_.front().op < operation) answers_.pop_front();
    for (const node::Event& answer : answers_) {
      if (answer.op == operation) return answer;
    }
    changed_.wait(lock);
  }
}

void BenchNode::await_answers(uint64_t count) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return answered_ >= count; });
}

node::StoreRow BenchNode::store(const std::string& name) {
  node::Query query;
  query.kind = node::QueryKind::stores;
  const node::Rows rows = must(view_->query(query));
  if (const auto* stores = std::get_if<std::vector<node::StoreRow>>(&rows)) {
    for (const node::StoreRow& row : *stores) {
      if (row.name == name) return row;
    }
  }
  return {};
}

void BenchNode::await_replica(const node::StoreRow& whole) {
  uint64_t seen = 0;
  while (true) {
    const node::StoreRow row = store(whole.name);
    if (row.stats.entries == whole.stats.entries && row.stats.digest == whole.stats.digest) return;
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, kLookAgain, [&] { return told_ != seen; });
    seen = told_;
  }
}

size_t BenchNode::room(uint32_t) { return kRoom; }

void BenchNode::emit(node::Event event) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++told_;
  if (event.kind == node::EventKind::done) {
    if (event.status != Code::ok) die(fail(event.status, event.detail));
    ++answered_;
    answers_.push_back(std::move(event));
    // Puts are only counted.
    while (answers_.size() > kRoom) answers_.pop_front();
  }
  changed_.notify_all();
}

}  // namespace sereus::bench
