#include "core/net/service_set.h"

#include <algorithm>
#include <utility>

namespace sereus::net {
namespace {

constexpr size_t kRoundsPerStep = 4;  // of the swarm and what it told; more wait for the next step

}  // namespace

void ServiceSet::add(SwarmService& service) {
  services_.push_back(&service);
  tell_protocols();
}

void ServiceSet::remove(SwarmService& service) {
  std::erase(services_, &service);
  tell_protocols();
}

void ServiceSet::set_protocols(std::vector<std::string> protocols) {
  protocols_ = std::move(protocols);
  tell_protocols();
}

void ServiceSet::tell_protocols() {
  std::vector<std::string> all = protocols_;
  for (const SwarmService* service : services_) {
    for (std::string& protocol : service->protocols()) all.push_back(std::move(protocol));
  }
  if (all == told_) return;
  told_ = all;
  swarm_.set_protocols(std::move(all));
}

bool ServiceSet::pump(const Times& now) {
  bool happened = false;
  while (events_.size() < kSwarmEventsMax) {
    auto event = swarm_.next_event();
    if (!event) break;
    happened = true;
    const bool taken = std::any_of(services_.begin(), services_.end(),
                                   [&](SwarmService* service) { return service->on_event(*event, now); });
    if (!taken) events_.push_back(std::move(*event));
  }
  while (notices_.size() < kSwarmEventsMax) {
    auto notice = swarm_.next_notice();
    if (!notice) break;
    happened = true;
    for (SwarmService* service : services_) service->on_notice(*notice, now);
    notices_.push_back(std::move(*notice));
  }
  return happened;
}

uint64_t ServiceSet::step(const Times& now) {
  uint64_t next = kNever;
  for (size_t round = 0; round < kRoundsPerStep; ++round) {
    next = swarm_.step(now);
    const bool happened = pump(now);
    for (SwarmService* service : services_) next = std::min(next, service->step(now));
    tell_protocols();
    if (!happened && round > 0) return next;
  }
  return now.mono_us;
}

std::optional<HostEvent> ServiceSet::next_event() {
  if (events_.empty()) return std::nullopt;
  HostEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::optional<SwarmNotice> ServiceSet::next_notice() {
  if (notices_.empty()) return std::nullopt;
  SwarmNotice notice = std::move(notices_.front());
  notices_.pop_front();
  return notice;
}

}  // namespace sereus::net
