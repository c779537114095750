#include "drivers/posix/posix_resolver.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
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

// A question's state of the system's resolver, with the servers of resolv.conf or the one that is given.
class ResolverState {
 public:
  explicit ResolverState(const std::optional<IpEndpoint>& name_server) : ready_(res_ninit(&state_) == 0) {
    if (!ready_ || !name_server) return;
    state_.nscount = 1;
    state_.nsaddr_list[0] = {};
    state_.nsaddr_list[0].sin_family = AF_INET;
    state_.nsaddr_list[0].sin_port = htons(name_server->port);
    std::copy_n(name_server->address.begin(), 4, reinterpret_cast<uint8_t*>(&state_.nsaddr_list[0].sin_addr));
  }
  ~ResolverState() {
    if (ready_) res_nclose(&state_);
  }
  ResolverState(const ResolverState&) = delete;
  ResolverState& operator=(const ResolverState&) = delete;

  Result<Bytes> query(const std::string& name) {
    if (!ready_) return fail(Code::io, "the system's resolver is not there");
    Bytes answer(kResolverAnswerMax);
    const int size = res_nquery(&state_, name.c_str(), ns_c_in, ns_t_txt, answer.data(), kResolverAnswerMax);
    if (size < 0) {
      const bool none = state_.res_h_errno == HOST_NOT_FOUND || state_.res_h_errno == NO_DATA;
      if (none) return fail(Code::not_found, "there is no such name, or it has no TXT record");
      return fail(Code::timeout, "no name server answered");
    }
    answer.resize(std::min(static_cast<size_t>(size), answer.size()));
    return answer;
  }

 private:
  struct __res_state state_ {};
  const bool ready_;
};

// The strings of a TXT record, each behind its length (RFC 1035 section 3.3.14), as one text.
std::string text_of(ByteView record) {
  std::string out;
  while (!record.empty()) {
    const size_t size = std::min<size_t>(record[0], record.size() - 1);
    out += to_string(record.subspan(1, size));
    record = record.subspan(1 + size);
  }
  return out;
}

Result<std::vector<std::string>> look_up_texts(const std::string& name, const std::optional<IpEndpoint>& name_server) {
  ResolverState state(name_server);
  SEREUS_ASSIGN(const Bytes answer, state.query(name));
  ns_msg message;
  if (ns_initparse(answer.data(), static_cast<int>(answer.size()), &message) != 0) {
    return fail(Code::malformed, "the name server's answer cannot be read");
  }
  std::vector<std::string> out;
  for (int i = 0; i < ns_msg_count(message, ns_s_an) && out.size() < kResolverTextsMax; ++i) {
    ns_rr record;
    if (ns_parserr(&message, ns_s_an, i, &record) != 0) break;
    if (ns_rr_type(record) != ns_t_txt) continue;  // an alias on the way
    out.push_back(text_of(ByteView(ns_rr_rdata(record), ns_rr_rdlen(record))));
  }
  return out;
}

}  // namespace

PosixResolver::PosixResolver(std::function<void()> wake, std::optional<IpEndpoint> name_server)
    : state_(std::make_shared<State>()) {
  state_->wake = std::move(wake);
  state_->name_server = name_server;
}

PosixResolver::~PosixResolver() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->wake = nullptr;
  state_->questions.clear();
}

Result<Resolver::QueryId> PosixResolver::resolve(std::string_view name, NameFamily family) { return ask(name, family); }

Result<Resolver::QueryId> PosixResolver::resolve_texts(std::string_view name) { return ask(name, std::nullopt); }

Result<Resolver::QueryId> PosixResolver::ask(std::string_view name, std::optional<NameFamily> family) {
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
    Answer answer{question.query, std::vector<IpEndpoint>(), {}};
    if (question.family) {
      answer.addresses = look_up(question.name, *question.family);
    } else if (auto texts = look_up_texts(question.name, state->name_server); texts.ok()) {
      answer.texts = std::move(*texts);
    } else {
      answer.addresses = texts.error();
    }
    lock.lock();
    if (!state->wanted.contains(question.query)) continue;
    state->answers.push_back(std::move(answer));
    if (state->wake) state->wake();  // under the lock, so that it does not outlive the resolver
  }
  state->running = false;
}

}  // namespace sereus::posix
