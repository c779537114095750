// The Resolver port by getaddrinfo and res_nquery, which block: on a thread that is there as long as there are questions, one name
// after the other.
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
inline constexpr size_t kResolverTextsMax = 128;     // likewise; a list of bootstrap nodes has a few dozen
inline constexpr size_t kResolverAnswerMax =
    65535;  // bytes; a DNS message over TCP has no more (RFC 1035 section 4.2.2)

class PosixResolver final : public Resolver {
 public:
  // `wake` is called, on any thread, when an answer has come in. `name_server` (IPv4) is asked for TXT records in place of the
  // system's.
  explicit PosixResolver(std::function<void()> wake, std::optional<IpEndpoint> name_server = std::nullopt);
  // Does not wait for a question that is under way.
  ~PosixResolver() override;

  Result<QueryId> resolve(std::string_view name, NameFamily family) override;
  Result<QueryId> resolve_texts(std::string_view name) override;
  void cancel(QueryId query) override;
  std::optional<Answer> next_answer() override;

 private:
  struct Question {
    QueryId query = 0;
    std::string name;
    std::optional<NameFamily> family;  // none: TXT records
  };
  // Shared with the thread, which may outlive the resolver inside getaddrinfo.
  struct State {
    std::mutex mutex;
    std::function<void()> wake;  // empty once the resolver is gone
    std::optional<IpEndpoint> name_server;
    std::deque<Question> questions;
    std::deque<Answer> answers;
    std::set<QueryId> wanted;
    bool running = false;  // there is a thread
  };
  Result<QueryId> ask(std::string_view name, std::optional<NameFamily> family);
  static void run(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
  QueryId last_ = 0;
};

}  // namespace sereus::posix
