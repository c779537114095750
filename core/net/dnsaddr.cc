#include "core/net/dnsaddr.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace sereus::net {
namespace {

constexpr std::string_view kPrefix = "dnsaddr=";

bool ends_in(const Multiaddr& address, const std::vector<Multiaddr::Part>& end) {
  const auto& parts = address.parts();
  return parts.size() >= end.size() && std::equal(end.rbegin(), end.rend(), parts.rbegin());
}

}  // namespace

bool is_dnsaddr(const Multiaddr& address) {
  return !address.empty() && address.parts().front().code == AddrCode::dnsaddr;
}

Result<uint64_t> Dnsaddr::resolve(const Multiaddr& address, uint64_t deadline_us) {
  if (!is_dnsaddr(address)) return fail(Code::invalid, address.to_string() + " is no /dnsaddr");
  if (resolver_ == nullptr) return fail(Code::unsupported, "names cannot be looked up here");
  if (lookups_.size() >= kDnsaddrLookupsMax) return fail(Code::again, "too many names are being looked up");
  const uint64_t id = ++last_;
  Lookup& lookup = lookups_[id];
  lookup.deadline_us = deadline_us;
  if (Status asked = ask(id, lookup, address, 0); !asked.ok()) {
    lookups_.erase(id);
    return asked.error();
  }
  return id;
}

Status Dnsaddr::ask(uint64_t id, Lookup& lookup, const Multiaddr& address, size_t depth) {
  if (depth > kDnsaddrDepthMax || lookup.asked.size() >= kDnsaddrNamesMax) {
    return fail(Code::too_large, "the names refer to too many others");
  }
  if (!lookup.asked.insert(address).second) return {};
  const auto& parts = address.parts();
  const std::string name = "_dnsaddr." + to_string(ByteView(parts.front().value));
  SEREUS_ASSIGN(const Resolver::QueryId query, resolver_->resolve_texts(name));
  lookup.questions[query] = {depth, {parts.begin() + 1, parts.end()}};
  by_query_[query] = id;
  return {};
}

void Dnsaddr::cancel(uint64_t id) {
  const auto found = lookups_.find(id);
  if (found == lookups_.end()) return;
  for (const auto& [query, question] : found->second.questions) {
    by_query_.erase(query);
    resolver_->cancel(query);
  }
  lookups_.erase(found);
}

bool Dnsaddr::take(const Resolver::Answer& answer) {
  const auto asked = by_query_.find(answer.query);
  if (asked == by_query_.end()) return false;
  const uint64_t id = asked->second;
  by_query_.erase(asked);
  Lookup& lookup = lookups_.at(id);
  const Question question = std::move(lookup.questions.extract(answer.query).mapped());
  if (!answer.addresses.ok()) {
    if (!lookup.error) lookup.error = answer.addresses.error();
  } else {
    for (const std::string& text : answer.texts) take_text(id, lookup, question, text);
  }
  if (lookup.questions.empty()) finish(id, lookup);
  return true;
}

void Dnsaddr::take_text(uint64_t id, Lookup& lookup, const Question& question, const std::string& text) {
  if (!text.starts_with(kPrefix)) return;  // somebody else's record
  const auto address = Multiaddr::parse(std::string_view(text).substr(kPrefix.size()));
  // An address of a kind that is newer than we are hides no other.
  if (!address.ok() || !ends_in(*address, question.end)) return;
  if (is_dnsaddr(*address)) {
    const Status asked = ask(id, lookup, *address, question.depth + 1);
    if (!asked.ok() && !lookup.error) lookup.error = asked.error();
    return;
  }
  const bool known = std::find(lookup.found.begin(), lookup.found.end(), *address) != lookup.found.end();
  if (!known && lookup.found.size() < kDnsaddrAddressesMax) lookup.found.push_back(*address);
}

uint64_t Dnsaddr::step(const Times& now) {
  uint64_t next = kNever;
  std::vector<uint64_t> late;
  for (const auto& [id, lookup] : lookups_) {
    if (lookup.deadline_us <= now.mono_us) {
      late.push_back(id);
    } else {
      next = std::min(next, lookup.deadline_us);
    }
  }
  for (const uint64_t id : late) {
    Lookup& lookup = lookups_.at(id);
    lookup.error = fail(Code::timeout, "the name was not resolved in time");
    finish(id, lookup);  // with what is there by now
  }
  return next;
}

void Dnsaddr::finish(uint64_t id, Lookup& lookup) {
  Outcome outcome{id, std::move(lookup.found)};
  if (outcome.addresses->empty()) {
    outcome.addresses = lookup.error.value_or(fail(Code::not_found, "the DNS has no such address under the name"));
  }
  cancel(id);
  outcomes_.push_back(std::move(outcome));
}

std::optional<Dnsaddr::Outcome> Dnsaddr::next_outcome() {
  if (outcomes_.empty()) return std::nullopt;
  Outcome outcome = std::move(outcomes_.front());
  outcomes_.pop_front();
  return outcome;
}

}  // namespace sereus::net
