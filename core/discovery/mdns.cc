#include "core/discovery/mdns.h"

#include <algorithm>
#include <utility>

#include "core/crypto/hash.h"
#include "core/discovery/address_facts.h"

namespace sereus::discovery {
namespace {

constexpr std::string_view kTextPrefix = "dnsaddr=";
constexpr size_t kTextMax = 255;  // of a string in a TXT record
constexpr size_t kNameSize = 32;  // libp2p specs, discovery/mdns: 32 characters or more

std::string draw_name(Random& random) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string out;
  for (size_t i = 0; i < kNameSize; ++i) out += kLetters[random.below(kLetters.size())];
  return out;
}

bool is_relayed(const net::Multiaddr& address) {
  return std::any_of(address.parts().begin(), address.parts().end(),
                     [](const net::Multiaddr::Part& part) { return part.code == net::AddrCode::p2p_circuit; });
}

}  // namespace

std::string mdns_service_of(std::string_view network) {
  if (network.empty()) return "_p2p._udp.local";
  const Hash hash = crypto::sha256(as_bytes(network));
  // RFC 6763 section 7.2: 15 characters at most.
  std::string out = "_p2p-";
  out += hash.hex().substr(0, 8);
  out += "._udp.local";
  return out;
}

Mdns::Mdns(net::Swarm& swarm, Multicast& multicast, Random& random, AddressBook& book, MdnsSettings settings)
    : swarm_(swarm),
      multicast_(multicast),
      random_(random),
      book_(book),
      settings_(std::move(settings)),
      name_(draw_name(random) + "." + settings_.service) {}

void Mdns::on_notice(const net::SwarmNotice& notice, const Times& now) {
  const bool fresh =
      std::holds_alternative<net::NetworkChanged>(notice) || std::holds_alternative<net::ListenChanged>(notice);
  if (!fresh) return;
  seen_.clear();
  ask_at_us_ = now.mono_us;
  ask_delay_us_ = kMdnsFirstUs;
  answer_at_us_ = std::min(answer_at_us_, now.mono_us + kMdnsAnswerUsMax);
}

uint64_t Mdns::step(const Times& now) {
  bool more = true;
  for (size_t i = 0; i < kMdnsPacketsPerStep && more; ++i) {
    const auto packet = multicast_.next_packet();
    more = packet.has_value();
    if (packet) take(*packet, now);
  }
  if (now.mono_us >= ask_at_us_) ask(now);
  if (now.mono_us >= answer_at_us_) answer(now);
  return more ? now.mono_us : std::min(ask_at_us_, answer_at_us_);
}

std::optional<MdnsFound> Mdns::next_event() {
  if (events_.empty()) return std::nullopt;
  MdnsFound event = std::move(events_.front());
  events_.pop_front();
  return event;
}

// --- asking and answering ---

void Mdns::ask(const Times& now) {
  DnsMessage message;
  message.questions.push_back({settings_.service, DnsType::ptr});
  multicast_.send(encode_dns(message));
  const uint64_t half_us = ask_delay_us_ / 2;
  ask_at_us_ = now.mono_us + half_us + random_.below(half_us + 1);
  ask_delay_us_ = std::min(2 * ask_delay_us_, std::max(settings_.interval_us, kMdnsFirstUs));
}

std::vector<std::string> Mdns::own_texts() const {
  std::vector<std::string> out;
  for (const std::string& text : swarm_.listen_addresses()) {
    const auto address = net::Multiaddr::parse(text);
    if (!address.ok() || is_relayed(*address)) continue;
    if (facts_of(address->to_bytes()).scope == net::AddressScope::loopback && !settings_.loopback) continue;
    std::string line(kTextPrefix);
    line += address->with_peer_id(swarm_.peer_id()).to_string();
    if (line.size() <= kTextMax && out.size() < kMdnsAddressesMax) out.push_back(std::move(line));
  }
  return out;
}

void Mdns::answer(const Times& now) {
  answer_at_us_ = kNever;
  std::vector<std::string> texts = own_texts();
  if (texts.empty()) return;
  answered_ = true;
  answered_us_ = now.mono_us;
  DnsMessage message;
  message.response = true;
  message.records.push_back({settings_.service, DnsType::ptr, kMdnsTtlS, name_, {}});
  message.records.push_back({name_, DnsType::txt, kMdnsTtlS, {}, std::move(texts)});
  multicast_.send(encode_dns(message));
}

// --- what comes ---

void Mdns::take(const Multicast::Packet& packet, const Times& now) {
  const auto message = parse_dns(packet.data);
  if (!message.ok()) return;  // the port is everybody's
  if (message->response) return take_records(message->records, now);
  const bool asked = std::any_of(message->questions.begin(), message->questions.end(), [this](const DnsQuestion& q) {
    return q.name == settings_.service && (q.type == DnsType::ptr || q.type == DnsType::any);
  });
  if (!asked || answer_at_us_ != kNever) return;
  const uint64_t wait_us = kMdnsAnswerUsMin + random_.below(kMdnsAnswerUsMax - kMdnsAnswerUsMin + 1);
  answer_at_us_ = now.mono_us + wait_us;
  if (answered_) answer_at_us_ = std::max(answer_at_us_, answered_us_ + kMdnsAnswersUs);
}

void Mdns::take_records(const std::vector<DnsRecord>& records, const Times& now) {
  Addresses found;
  for (const DnsRecord& record : records) {
    const bool ours = record.type == DnsType::txt && record.ttl_s > 0 && record.name != name_ &&
                      record.name.size() > settings_.service.size() && record.name.ends_with("." + settings_.service);
    if (!ours) continue;
    for (const std::string& text : record.texts) add_found(text, found);
  }
  for (auto& [peer, addresses] : found) {
    std::vector<Bytes> raw;
    raw.reserve(addresses.size());
    for (const net::Multiaddr& address : addresses) raw.push_back(address.to_bytes());
    // All that is heard here counts as from one source, which fills its share of the book and no more.
    book_.add(peer, raw, AddressSource::heard, swarm_.peer_id(), now.mono_us);
    if (seen_.size() >= kMdnsPeersMax && !seen_.contains(peer)) seen_.clear();
    Seen& seen = seen_[peer];
    const bool again = seen.addresses == addresses && now.mono_us < seen.told_us + settings_.interval_us;
    if (again) continue;
    seen.addresses = addresses;
    seen.told_us = now.mono_us;
    events_.push_back({peer, std::move(addresses)});
    if (events_.size() > kMdnsPeersMax) events_.pop_front();
  }
}

void Mdns::add_found(std::string_view text, Addresses& found) const {
  if (!text.starts_with(kTextPrefix)) return;
  const auto address = net::Multiaddr::parse(text.substr(kTextPrefix.size()));
  if (!address.ok() || !address->peer_id() || is_relayed(*address) || !address->dialable()) return;
  const net::PeerId peer = *address->peer_id();
  if (peer == swarm_.peer_id()) return;
  if (!found.contains(peer) && found.size() >= kMdnsPeersPacketMax) return;
  std::vector<net::Multiaddr>& addresses = found[peer];
  net::Multiaddr bare = address->without_peer_id();
  const bool known = std::find(addresses.begin(), addresses.end(), bare) != addresses.end();
  if (!known && addresses.size() < kMdnsAddressesMax) addresses.push_back(std::move(bare));
}

}  // namespace sereus::discovery
