// A whole node in this process, as the native driver runs it: a thread for the node, one for what it writes, one for
// what it verifies, real files and real sockets. Asked from the benchmark's thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/node/node.h"
#include "drivers/posix/posix_files.h"
#include "drivers/posix/posix_hosts.h"
#include "drivers/posix/posix_jobs.h"
#include "drivers/posix/posix_loop.h"
#include "drivers/posix/posix_random.h"
#include "drivers/posix/posix_thread.h"

namespace sereus::bench {

class BenchNode final : public node::EventSink {
 public:
  // With a fresh identity, listening on the loopback interface.
  BenchNode(const std::string& folder, bool verify_every_signature);
  ~BenchNode() override;  // closes it

  // Asks, and returns the number by which await() knows the answer.
  uint64_t submit(node::Request request);
  // Waits for the answer; anything but success ends the process.
  node::Event await(uint64_t operation);
  node::Event ask(node::Request request) { return await(submit(std::move(request))); }
  // Waits until so many operations were answered since the node was opened.
  void await_answers(uint64_t count);

  node::StoreRow store(const std::string& name);
  // Waits until there is a store of this name here that has as many entries as `whole` and its digest.
  void await_replica(const node::StoreRow& whole);

  // EventSink; the node's thread.
  size_t room(uint32_t origin) override;
  void emit(node::Event event) override;

 private:
  void run();

  std::unique_ptr<posix::PosixFiles> files_;
  std::unique_ptr<posix::PosixLoop> loop_;
  posix::PosixRandom random_;
  posix::PosixJobs jobs_;
  posix::PosixHosts hosts_;
  std::unique_ptr<node::Node> node_;
  std::shared_ptr<node::View> view_;

  std::mutex mutex_;  // the members below
  std::condition_variable changed_;
  std::deque<node::Request> requests_;
  std::deque<node::Event> answers_;  // to operations that somebody waits for by number
  uint64_t last_operation_ = 0;
  uint64_t answered_ = 0;
  uint64_t told_ = 0;  // events of any kind
  bool closing_ = false;

  std::unique_ptr<posix::PosixThread> thread_;  // ends before what it uses
};

}  // namespace sereus::bench
