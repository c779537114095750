#include "core/node/app_hosts.h"

#include <algorithm>
#include <utility>

#include "core/node/text_lines.h"

namespace sereus::node {

AppHosts::AppHosts(AppHost::Node node)
    : node_(std::move(node)), context_(node_.context), own_(std::make_unique<AppHost>(node_, 0)) {}

AppHost* AppHosts::host_of(const Request& request) {
  switch (request.kind) {
    case RequestKind::host_listen:
    case RequestKind::protocol_add:
    case RequestKind::protocol_remove:
    case RequestKind::dial:
    case RequestKind::host_configure:
    case RequestKind::peer_protect: {
      if (request.store == 0) return own_.get();
      const auto found = others_.find(request.store);
      return found == others_.end() ? nullptr : found->second.app.get();
    }
    default:
      break;
  }
  for (auto& [number, slot] : others_) {
    if (slot.app->owns(request.store)) return slot.app.get();
  }
  return own_->owns(request.store) ? own_.get() : nullptr;
}

void AppHosts::submit(OpRef ref, Request& request) {
  if (request.kind == RequestKind::host_create) {
    create(ref, request);
    return crypto::wipe(request.x);  // the seed, however it ended
  }
  if (request.kind == RequestKind::host_close) return close(ref, request.store);
  AppHost* host = host_of(request);
  if (host == nullptr) {
    return context_.complete(ref,
                             fail(Code::not_found, "there is no such host, connection or stream; it may have ended"));
  }
  host->submit(ref, request);
}

void AppHosts::create(OpRef ref, Request& request) {
  if (others_.size() >= kHostsMax) return context_.complete(ref, fail(Code::again, "there are too many hosts"));
  if (!online_) return context_.complete(ref, fail(Code::unreachable, "the node is offline"));
  Slot slot;
  if (request.x.empty()) {
    context_.ports.random->fill(slot.seed.span());
  } else if (request.x.size() == crypto::kSeedSize) {
    std::copy(request.x.begin(), request.x.end(), slot.seed.data());
  } else {
    return context_.complete(ref, fail(Code::invalid, "the seed of a host has 32 bytes"));
  }
  Result<HostSettings> settings = decode_host_settings(request.w);
  if (!settings.ok()) return context_.complete(ref, settings.error());
  slot.device = crypto::KeyPair::from_seed(slot.seed);
  slot.origin = ref.origin;
  const uint64_t number = node_.next_number();
  slot.app = std::make_unique<AppHost>(node_, number);
  slot.app->set_settings(std::move(*settings));
  // In its place before it is opened: the host keeps a reference to the key.
  Slot& placed = others_.emplace(number, std::move(slot)).first->second;
  if (const Status opened = open(placed, split_lines(to_string(ByteView(request.y)))); !opened.ok()) {
    others_.erase(number);
    return context_.complete(ref, opened);
  }
  node_.publish();
  Event done;
  done.host = number;
  const std::string peer = placed.swarm->peer_id().to_string();
  done.data = to_bytes(as_bytes(peer));
  context_.complete(ref, std::move(done));
}

Status AppHosts::open(Slot& slot, const std::vector<std::string>& listen) {
  SEREUS_TRY(check_host_settings(slot.app->settings()));
  SEREUS_ASSIGN(net::SwarmParts parts, context_.ports.hosts->make_host(slot.seed, slot.app->settings()));
  slot.swarm = std::make_unique<net::Swarm>(std::move(parts), *slot.device, *context_.ports.random,
                                            *swarm_settings(slot.app->settings()));
  slot.swarm->set_clock_suspect(context_.clock_suspect);
  slot.app->attach(*slot.swarm, {});
  for (const std::string& address : listen) {
    const Status status = slot.app->listen_on(address);
    if (status.ok()) continue;
    slot.app->detach(Code::closed);
    slot.swarm.reset();
    return fail(status.code(), "cannot listen on " + address + ": " + status.error().detail);
  }
  slot.app->tell_listening();
  return {};
}

void AppHosts::close(OpRef ref, uint64_t number) {
  const auto found = others_.find(number);
  if (found == others_.end()) return context_.complete(ref, fail(Code::not_found, "there is no such host"));
  close_slot(found->second);
  others_.erase(found);
  node_.publish();
  context_.complete(ref, Status());
}

void AppHosts::close_slot(Slot& slot) {
  slot.app->detach(Code::closed);
  if (slot.swarm) slot.swarm->close(context_.now);
}

void AppHosts::forget_origin(uint32_t origin) {
  own_->forget_origin(origin);
  for (auto& [number, slot] : others_) slot.app->forget_origin(origin);
  for (auto it = others_.begin(); it != others_.end();) {
    if (it->second.origin != origin) {
      ++it;
      continue;
    }
    close_slot(it->second);
    it = others_.erase(it);
  }
}

void AppHosts::set_clock_suspect(bool suspect) {
  for (auto& [number, slot] : others_) {
    if (slot.swarm) slot.swarm->set_clock_suspect(suspect);
  }
}

void AppHosts::go_online() {
  online_ = true;
  for (auto& [number, slot] : others_) {
    if (slot.swarm) continue;
    if (const Status opened = open(slot, {}); !opened.ok()) context_.log(LogLevel::warn, opened.error().detail);
  }
}

void AppHosts::go_offline(Code why) {
  online_ = false;
  for (auto& [number, slot] : others_) {
    if (!slot.swarm) continue;
    slot.app->detach(why);
    slot.swarm->close(context_.now);
    slot.swarm.reset();
  }
}

bool AppHosts::drain(Slot& slot) {
  bool happened = false;
  while (const auto event = slot.swarm->next_event()) {
    happened = true;
    slot.app->on_event(*event);
  }
  while (const auto notice = slot.swarm->next_notice()) {
    happened = true;
    slot.app->on_notice(*notice);
  }
  return happened;
}

void AppHosts::network_changed() {
  for (auto& [number, slot] : others_) {
    if (slot.swarm) slot.swarm->network_changed(context_.now);
  }
}

uint64_t AppHosts::step() {
  uint64_t next = kNever;
  for (auto& [number, slot] : others_) {
    if (!slot.swarm) continue;
    (void)drain(slot);
    slot.swarm->step(context_.now);
    (void)drain(slot);
    // What was asked for by the last events goes out now.
    next = std::min(next, slot.swarm->step(context_.now));
    if (drain(slot)) next = context_.now.mono_us;  // what they brought is for the next step
  }
  return next;
}

std::vector<HostRow> AppHosts::host_rows() const {
  std::vector<HostRow> out;
  if (own_->attached()) out.push_back(own_->row());
  for (const auto& [number, slot] : others_) {
    out.push_back(slot.app->row());
    out.back().peer = net::PeerId::from_device_key(slot.device->device_key()).to_string();
  }
  return out;
}

}  // namespace sereus::node
