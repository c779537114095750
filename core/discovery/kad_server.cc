// The server's half of kad_node.h: what others are told, and what is kept for them.
#include <algorithm>

#include "core/discovery/address_facts.h"
#include "core/discovery/kad_node.h"

namespace sereus::discovery {

// What may be said of a peer to somebody at `remote`; nothing without an address.
std::optional<KadPeer> KadNode::tell(const net::PeerId& peer, ByteView remote, bool with_record,
                                     const Times& now) const {
  KadPeer out;
  out.id = peer;
  const std::vector<Bytes> known = peer == own_ ? self_.addresses() : book_.addresses(peer, now.mono_us);
  out.addresses = usable(known, remote, kKadAddressesTold);
  if (out.addresses.empty()) return std::nullopt;
  if (connected_.contains(peer)) out.link = KadLink::connected;
  if (with_record) {
    out.signed_record = peer == own_ ? self_.signed_record(now) : sereus::to_bytes(book_.record(peer, now.mono_us));
  }
  return out;
}

// libp2p specs, kad-dht, FIND_NODE: the k closest that we know. Of the very peer that is asked for, what we know from wherever, also
// when it is no server: that is how clients are found.
std::vector<KadPeer> KadNode::closest_for(const net::PeerId& from, ByteView remote, ByteView key,
                                          const Times& now) const {
  std::vector<KadPeer> out;
  const auto target = net::PeerId::from_multihash(key);
  if (target && *target != from) {
    if (auto told = tell(*target, remote, true, now)) out.push_back(std::move(*told));
  }
  for (const TablePeer& peer : table_.closest(place_of_key(key), settings_.k + 1, false)) {
    if (out.size() >= settings_.k) break;
    if (peer.peer == from || (target && peer.peer == *target)) continue;
    if (auto told = tell(peer.peer, remote, false, now)) out.push_back(std::move(*told));
  }
  return out;
}

Result<std::optional<KadMessage>> KadNode::serve(const net::PeerId& from, ByteView remote, const KadMessage& request,
                                                 const Times& now) {
  auto answer = answer_request(from, remote, request, now);
  if (!settings_.trace) return answer;
  KadTrace event;
  event.what = answer.ok() ? KadTrace::What::served : KadTrace::What::refused;
  event.peer = from;
  event.type = request.type;
  event.key = request.key;
  if (!answer.ok()) {
    event.error = answer.error();
  } else if (*answer) {
    event.closer = (*answer)->closer.size();
    event.providers = (*answer)->providers.size();
    event.record = (*answer)->record.has_value();
  }
  trace(std::move(event));
  return answer;
}

Result<std::optional<KadMessage>> KadNode::answer_request(const net::PeerId& from, ByteView remote,
                                                          const KadMessage& request, const Times& now) {
  if (!settings_.server) return fail(Code::unsupported, "dht: not a server");
  // A peer's own record, over a connection that proved its id. One that is wrong is left alone, as the question is not.
  if (!request.sender_record.empty()) (void)book_.add_record(from, request.sender_record, now.mono_us).ok();
  KadMessage answer;
  answer.type = request.type;
  Status status;
  if (request.key.empty() && request.type != KadType::ping) return fail(Code::protocol, "dht: a request without a key");
  switch (request.type) {
    case KadType::find_node:
      answer.closer = closest_for(from, remote, request.key, now);
      break;
    case KadType::get_value:
      answer.key = request.key;
      answer_value(request, answer, now);
      answer.closer = closest_for(from, remote, request.key, now);
      break;
    case KadType::get_providers:
      answer.key = request.key;
      for (const net::PeerId& peer : providers_.get(request.key, kKadProvidersTold, now.mono_us)) {
        if (auto told = tell(peer, remote, true, now)) answer.providers.push_back(std::move(*told));
      }
      answer.closer = closest_for(from, remote, request.key, now);
      break;
    case KadType::put_value:
      SEREUS_TRY(take_put(from, remote, request, now));
      answer.key = request.key;
      answer.record = request.record;
      break;
    case KadType::add_provider:
      SEREUS_TRY(take_provider(from, remote, request, now));
      return std::optional<KadMessage>();
    case KadType::ping:
      break;
  }
  return std::optional<KadMessage>(std::move(answer));
}

void KadNode::answer_value(const KadMessage& request, KadMessage& answer, const Times& now) const {
  if (const auto peer = peer_of_record_key(request.key)) {
    const ByteView record = book_.record(*peer, now.mono_us);
    if (!record.empty()) answer.record = KadRecord{request.key, sereus::to_bytes(record), rfc3339(now.wall_us)};
    return;
  }
  if (const ValueStore::Value* value = values_.get(request.key, now.mono_us)) {
    answer.record = KadRecord{value->key, value->value, rfc3339(value->received_wall_us)};
  }
}

Status KadNode::take_put(const net::PeerId& from, ByteView remote, const KadMessage& request, const Times& now) {
  if (!request.record || request.record->key != request.key) {
    return fail(Code::protocol, "dht: a value under another key than it is put");
  }
  const Bytes& value = request.record->value;
  // Its own check knows what it has verified before.
  if (const auto peer = peer_of_record_key(request.key)) {
    const Status added = book_.add_record(*peer, value, now.mono_us);
    return added.code() == Code::exists ? Status() : added;
  }
  const ValueStore::Value* known = values_.get(request.key, now.mono_us);
  if (known == nullptr || known->value != value) {
    SEREUS_TRY(validators_.validate(request.key, value, now.wall_us));
    if (known != nullptr && !validators_.supersedes(request.key, value, known->value)) {
      return fail(Code::exists, "dht: a better value is here");
    }
  }
  return values_.put({request.key, value, now.wall_us, now.mono_us + settings_.stores.value_life_us,
                      Bringer{from, subnet_of(remote)}});
}

// A peer can say of itself only that it provides: its id is the connection's.
Status KadNode::take_provider(const net::PeerId& from, ByteView remote, const KadMessage& request, const Times& now) {
  const auto self = std::find_if(request.providers.begin(), request.providers.end(),
                                 [&from](const KadPeer& p) { return p.id == from; });
  if (self == request.providers.end()) return fail(Code::denied, "dht: a provider record of somebody else");
  SEREUS_TRY(providers_.add(request.key, {from, subnet_of(remote)}, now.mono_us));
  if (!self->signed_record.empty() && book_.add_record(from, self->signed_record, now.mono_us).ok()) return {};
  book_.add(from, usable(self->addresses, remote, kBookAddressesMax), AddressSource::told, {}, now.mono_us);
  return {};
}

}  // namespace sereus::discovery
