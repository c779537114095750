// The Resolver port by getaddrinfo, which blocks: on a thread that is there as long as there are questions, one name after the other.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "core/ports/resolver.h"

namespace sereus::posix {

// Questions waiting or under way. The system's resolver gives up after some 30 s, so a queue that is longer has no use.
inline constexpr size_t kResolverQueriesMax = 64;
inline constexpr size_t kResolverAddressesMax = 16;  // of one answer

class PosixResolver final : public Resolver {
 public:
  // `wake` is called, on any thread, when an answer has come in.
  explicit PosixResolver(std::function<void()> wake);
  // Does not wait for a question that is under way.
  ~PosixResolver() override;

  Result<QueryId> resolve(std::string_view name, NameFamily family) override;
  void cancel(QueryId query) override;
  std::optional<Answer> next_answer() override;

 private:
  struct Question {
    QueryId query = 0;
    std::string name;
    NameFamily family{};
  };
  // Shared with the thread, which may outlive the resolver inside getaddrinfo.
  struct State {
    std::mutex mutex;
    std::function<void()> wake;  // empty once the resolver is gone
    std::deque<Question> questions;
    std::deque<Answer> answers;
    std::set<QueryId> wanted;
    bool running = false;  // there is a thread
  };
  static void run(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
  QueryId last_ = 0;
};

}  // namespace sereus::posix
