#include "drivers/posix/posix_resolver.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "drivers/posix/posix_thread.h"
#include "drivers/posix/socket_address.h"

namespace sereus::posix {
namespace {

int family_of(NameFamily family) {
  if (family == NameFamily::v4) return AF_INET;
  return family == NameFamily::v6 ? AF_INET6 : AF_UNSPEC;
}

Error error_of(int code) {
  switch (code) {
    case EAI_NONAME:
#ifdef EAI_NODATA
    case EAI_NODATA:
#endif
#ifdef EAI_ADDRFAMILY
    case EAI_ADDRFAMILY:
#endif
      return fail(Code::not_found, "there is no such name, or it has no address");
    case EAI_AGAIN:
      return fail(Code::timeout, "no name server answered");
    case EAI_MEMORY:
      return fail(Code::no_memory, "no memory to look the name up");
    default:
      return fail(Code::io, std::string("the name cannot be looked up: ") + gai_strerror(code));
  }
}

Result<std::vector<IpEndpoint>> look_up(const std::string& name, NameFamily family) {
  struct addrinfo hints {};
  hints.ai_family = family_of(family);
  hints.ai_socktype = SOCK_STREAM;  // or each address comes once for each kind of socket
  struct addrinfo* list = nullptr;
  if (const int code = getaddrinfo(name.c_str(), nullptr, &hints, &list); code != 0) return error_of(code);
  std::vector<IpEndpoint> out;
  for (const struct addrinfo* at = list; at != nullptr && out.size() < kResolverAddressesMax; at = at->ai_next) {
    if (at->ai_family != AF_INET && at->ai_family != AF_INET6) continue;
    IpEndpoint endpoint = to_endpoint(at->ai_addr);
    endpoint.port = 0;
    if (std::find(out.begin(), out.end(), endpoint) == out.end()) out.push_back(endpoint);
  }
  freeaddrinfo(list);
  if (out.empty()) return error_of(EAI_NONAME);
  return out;
}

}  // namespace

PosixResolver::PosixResolver(std::function<void()> wake) : state_(std::make_shared<State>()) {
  state_->wake = std::move(wake);
}

PosixResolver::~PosixResolver() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->wake = nullptr;
  state_->questions.clear();
}

Result<Resolver::QueryId> PosixResolver::resolve(std::string_view name, NameFamily family) {
  bool start = false;
  {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    if (state_->wanted.size() >= kResolverQueriesMax) {
      return fail(Code::again, "too many names are being looked up");
    }
    state_->wanted.insert(++last_);
    state_->questions.push_back({last_, std::string(name), family});
    start = !std::exchange(state_->running, true);
  }
  if (start) run_in_background([state = state_] { run(state); });
  return last_;
}

void PosixResolver::cancel(QueryId query) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->wanted.erase(query);
  std::erase_if(state_->questions, [query](const Question& q) { return q.query == query; });
  std::erase_if(state_->answers, [query](const Answer& a) { return a.query == query; });
}

std::optional<Resolver::Answer> PosixResolver::next_answer() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  if (state_->answers.empty()) return std::nullopt;
  Answer answer = std::move(state_->answers.front());
  state_->answers.pop_front();
  state_->wanted.erase(answer.query);
  return answer;
}

void PosixResolver::run(const std::shared_ptr<State>& state) {
  std::unique_lock<std::mutex> lock(state->mutex);
  while (!state->questions.empty()) {
    const Question question = std::move(state->questions.front());
    state->questions.pop_front();
    lock.unlock();
    Result<std::vector<IpEndpoint>> addresses = look_up(question.name, question.family);
    lock.lock();
    if (!state->wanted.contains(question.query)) continue;
    state->answers.push_back({question.query, std::move(addresses)});
    if (state->wake) state->wake();  // under the lock, so that it does not outlive the resolver
  }
  state->running = false;
}

}  // namespace sereus::posix
