// LocalBackend, the control server and RemoteBackend over a fake node and the real platform.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "core/capi/limits.h"
#include "core/capi/remote_backend.h"
#include "tests/unit/capi/fake_node.h"

namespace sereus::capi {
namespace {

using node::Event;
using node::EventKind;
using node::Request;
using node::RequestKind;

Request request_of(RequestKind kind) {
  Request request;
  request.kind = kind;
  return request;
}

template <typename Condition>
bool eventually(const Condition& condition) {
  for (int i = 0; i < 4000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

class BackendTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sereus-backend-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    if (daemon_) {
      (void)daemon_->close();
      daemon_->finish();
      daemon_.reset();
    }
    (void)!system(("rm -rf " + folder_).c_str());
  }
  void open(EventQueue::Limits limits = {64, 64}) {
    LocalConfig config;
    config.system.data_folder = folder_ + "/data";
    config.limits = limits;
    config.control_socket = path();
    auto opened = LocalBackend::open(platform(), FakeNode::opener(state_), std::move(config));
    ASSERT_TRUE(opened.ok()) << opened.error().detail;
    daemon_ = std::move(*opened);
  }
  std::unique_ptr<RemoteBackend> connect(EventQueue::Limits limits = {64, 64}) {
    auto connected = RemoteBackend::connect(platform(), path(), limits);
    EXPECT_TRUE(connected.ok()) << connected.error().detail;
    return connected.ok() ? std::move(*connected) : nullptr;
  }
  static void end(std::unique_ptr<RemoteBackend> client) {
    (void)client->close();
    client->finish();
  }
  std::string path() const { return folder_ + "/control"; }

  FakeState state_;
  std::string folder_;
  std::unique_ptr<LocalBackend> daemon_;
};

std::optional<Event> take(NodeBackend& backend) {
  std::optional<Event> event;
  EXPECT_EQ(backend.events().wait(20000, event), Code::ok);
  return event;
}

TEST_F(BackendTest, AnswersLocalAndRemoteRequests) {
  open();
  auto client = connect();
  for (NodeBackend* backend : {static_cast<NodeBackend*>(daemon_.get()), static_cast<NodeBackend*>(client.get())}) {
    uint64_t op = 0;
    ASSERT_EQ(backend->submit(request_of(RequestKind::sync), &op), Code::ok);
    const auto event = take(*backend);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->kind, EventKind::done);
    EXPECT_EQ(event->op, op);
    EXPECT_EQ(event->origin, 0u);
  }
  const auto rows = client->query(node::Query{});
  ASSERT_TRUE(rows.ok());
  const auto& info = std::get<std::vector<node::InfoRow>>(*rows);
  ASSERT_EQ(info.size(), 1u);
  EXPECT_EQ(info[0].name, "fake");
  EXPECT_EQ(info[0].data_folder, folder_ + "/data");
  end(std::move(client));
  EXPECT_TRUE(eventually([this] { return state_.forgotten == 1; }));
}

// A client that does not drain holds up its own watch and nobody else; then it misses nothing.
TEST_F(BackendTest, AWatchWaitsForItsOwnClientOnly) {
  open();
  auto slow = connect({16, 16});
  auto quick = connect({16, 16});
  uint64_t watch = 0;
  ASSERT_EQ(slow->submit(request_of(RequestKind::store_watch), &watch), Code::ok);
  ASSERT_TRUE(eventually([this] { return state_.changes >= 12; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LE(state_.changes, 16u);
  for (int i = 0; i < 50; ++i) {  // the others go on
    uint64_t op = 0;
    ASSERT_EQ(quick->submit(request_of(RequestKind::sync), &op), Code::ok);
    EXPECT_EQ(take(*quick)->op, op);
    ASSERT_TRUE(slow->query(node::Query{}).ok()) << "reads of the slow one too";
  }
  for (uint64_t expected = 1; expected <= 5000; ++expected) {
    const auto event = take(*slow);
    ASSERT_TRUE(event);
    ASSERT_EQ(event->kind, EventKind::store_change) << expected;
    ASSERT_EQ(event->sequence, expected);
    EXPECT_EQ(event->op, watch);
  }
  end(std::move(slow));
  end(std::move(quick));
}

TEST_F(BackendTest, ALocalWatchGoesOnWhenThereIsRoom) {
  open({4, 4});
  uint64_t watch = 0;
  ASSERT_EQ(daemon_->submit(request_of(RequestKind::store_watch), &watch), Code::ok);
  for (uint64_t expected = 1; expected <= 2000; ++expected) {
    const auto event = take(*daemon_);
    ASSERT_TRUE(event);
    ASSERT_EQ(event->sequence, expected);
  }
}

TEST_F(BackendTest, RefusesWithAgainAndLosesNoDone) {
  state_.keep = true;
  open();
  auto client = connect({8, 4});
  uint64_t ops[4] = {};
  uint64_t more = 0;
  for (uint64_t& op : ops) ASSERT_EQ(client->submit(request_of(RequestKind::sync), &op), Code::ok);
  EXPECT_EQ(client->submit(request_of(RequestKind::sync), &more), Code::again);
  for (const uint64_t op : ops) ASSERT_EQ(client->cancel(op), Code::ok);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(take(*client)->status, Code::cancelled);
  EXPECT_EQ(client->cancel(ops[0]), Code::not_found);
  EXPECT_EQ(client->submit(request_of(RequestKind::sync), &more), Code::ok);
  end(std::move(client));
}

TEST_F(BackendTest, TheDaemonsEndAnswersItsClients) {
  state_.keep = true;
  open();
  auto client = connect();
  uint64_t op = 0;
  ASSERT_EQ(client->submit(request_of(RequestKind::sync), &op), Code::ok);
  ASSERT_TRUE(eventually([this] { return state_.submitted == 1; }));
  ASSERT_EQ(daemon_->close(), Code::ok);
  const auto event = take(*client);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->op, op);
  EXPECT_EQ(event->status, Code::cancelled);
  EXPECT_EQ(take(*client)->kind, EventKind::closed);
  EXPECT_EQ(client->submit(request_of(RequestKind::sync), &op), Code::closed);
  EXPECT_EQ(client->query(node::Query{}).code(), Code::closed);
  end(std::move(client));
  EXPECT_TRUE(eventually([this] { return state_.destroyed.load(); }));
  EXPECT_NE(access(path().c_str(), F_OK), 0);
}

TEST_F(BackendTest, ClosesOnlyWhenJobsHaveEnded) {
  state_.job_ms = 100;
  open();
  uint64_t op = 0;
  ASSERT_EQ(daemon_->submit(request_of(RequestKind::sync), &op), Code::ok);
  ASSERT_TRUE(eventually([this] { return state_.submitted == 1; }));
  ASSERT_EQ(daemon_->close(), Code::ok);
  EXPECT_EQ(daemon_->close(), Code::closed);
  EXPECT_EQ(take(*daemon_)->status, Code::cancelled);
  EXPECT_EQ(take(*daemon_)->kind, EventKind::closed);
  EXPECT_TRUE(state_.destroyed) << "CLOSED comes when everything is released";
}

TEST_F(BackendTest, SuspendsAndServesAgain) {
  open();
  auto client = connect();
  ASSERT_EQ(daemon_->suspend(1000), Code::ok);
  uint64_t op = 0;
  EXPECT_EQ(daemon_->submit(request_of(RequestKind::sync), &op), Code::suspended);
  EXPECT_EQ(daemon_->query(node::Query{}).code(), Code::suspended);
  EXPECT_EQ(take(*client)->kind, EventKind::closed);
  EXPECT_EQ(RemoteBackend::connect(platform(), path(), {8, 8}).code(), Code::unreachable);
  ASSERT_EQ(daemon_->resume(), Code::ok);
  ASSERT_TRUE(eventually([this] { return access(path().c_str(), F_OK) == 0; }));
  auto again = connect();
  ASSERT_EQ(again->submit(request_of(RequestKind::sync), &op), Code::ok);
  EXPECT_EQ(take(*again)->op, op);
  end(std::move(client));
  end(std::move(again));
}

TEST_F(BackendTest, SuspendGivesUpAtItsDeadline) {
  state_.keep = true;  // the request is never answered
  open();
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(daemon_->suspend(100), Code::timeout);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(100 + kSuspendGraceMs + 2000));
  state_.keep = false;
  EXPECT_EQ(daemon_->resume(), Code::ok);
}

TEST_F(BackendTest, ManyClientsComeAndGo) {
  open();
  std::vector<std::thread> threads;
  std::atomic<int> answered{0};
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([this, &answered] {
      for (int i = 0; i < 10; ++i) {
        auto client = connect();
        if (!client) return;
        for (int k = 0; k < 20; ++k) {
          uint64_t op = 0;
          if (client->submit(request_of(RequestKind::sync), &op) == Code::ok && take(*client)->op == op) ++answered;
        }
        if (i % 2 == 0) (void)client->close();
        if (i % 2 != 0) (void)client->query(node::Query{}).ok();
        (void)client->close();
        client->finish();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(answered, 8 * 10 * 20);
}

}  // namespace
}  // namespace sereus::capi
