// Addresses that stand in the DNS (libp2p specs, addressing; multiformats/multiaddr, "dnsaddr"): /dnsaddr/NAME is every address
// that a TXT record of _dnsaddr.NAME gives as "dnsaddr=/...". These may be of several peers, and may be dnsaddr themselves. What
// follows the name, as in /dnsaddr/NAME/p2p/PEER, is the end that addresses have to have.
//
//   resolve()                      begins a look-up
//   take(answer, now)              for every answer of the resolver; false for those of others
//   step(now)                      its deadline joins the others
//   next_outcome()                 after either
//
// Nothing here is signed: an address says where to try, the handshake proves who is there. Thread rule: the node's thread.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/net/limits.h"
#include "core/net/multiaddr.h"
#include "core/ports/resolver.h"

namespace sereus::net {

// Whether the address begins with a name that only dnsaddr explains.
bool is_dnsaddr(const Multiaddr& address);

class Dnsaddr {
 public:
  // `resolver` may be null, and outlives it.
  explicit Dnsaddr(Resolver* resolver) : resolver_(resolver) {}

  // Answered once by next_outcome(), unless cancelled. Code::invalid: no dnsaddr; Code::unsupported: names cannot be looked up
  // here; Code::again: too many are being looked up.
  Result<uint64_t> resolve(const Multiaddr& address, uint64_t deadline_us);
  void cancel(uint64_t lookup);

  struct Outcome {
    uint64_t lookup = 0;
    // None twice, in the order of the answers; never empty. Code::not_found: the DNS knows none that ends as asked for, or only
    // such as cannot be read; Code::timeout and others: why the names could not be looked up.
    Result<std::vector<Multiaddr>> addresses = std::vector<Multiaddr>();
  };
  bool take(const Resolver::Answer& answer);
  uint64_t step(const Times& now);
  std::optional<Outcome> next_outcome();

 private:
  struct Question {
    size_t depth = 0;
    std::vector<Multiaddr::Part> end;  // what its addresses have to end in
  };
  struct Lookup {
    std::map<Resolver::QueryId, Question> questions;
    std::set<Multiaddr> asked;  // a ring of names is walked once
    std::vector<Multiaddr> found;
    std::optional<Error> error;  // of the first name that could not be looked up
    uint64_t deadline_us = kNever;
  };

  Status ask(uint64_t id, Lookup& lookup, const Multiaddr& address, size_t depth);
  void take_text(uint64_t id, Lookup& lookup, const Question& question, const std::string& text);
  void finish(uint64_t id, Lookup& lookup);

  Resolver* const resolver_;
  std::map<uint64_t, Lookup> lookups_;
  std::map<Resolver::QueryId, uint64_t> by_query_;
  uint64_t last_ = 0;
  std::deque<Outcome> outcomes_;
};

}  // namespace sereus::net
