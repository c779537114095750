#include <algorithm>

#include "core/codec/utf8.h"
#include "core/codec/wire_table.h"
#include "core/crypto/certificate.h"
#include "core/net/multiaddr.h"
#include "core/node/node_impl.h"
#include "core/node/schema/join_generated.h"

namespace sereus::node {
namespace {

constexpr uint32_t kPeerJoined = 3;
constexpr size_t kReadChunk = 8 * 1024;

template <typename Vector>
ByteView view_of(const Vector* vector) {
  return vector == nullptr ? ByteView() : ByteView(vector->data(), vector->size());
}

}  // namespace

// ---- The joining side -------------------------------------------------------------------------------------------------

void NodeImpl::join(OpRef ref, Request& request) {
  Result<Invite> invite = invite_from_text(as_text(request.x));
  if (!invite.ok()) return context_.complete(ref, invite.error());
  if (invite->issuer == own_device())
    return refuse(ref, Code::invalid, "this invite is your own; give it to somebody else");
  // An expiry before this version was made comes from a clock that is wrong. The issuer judges it by the same clock.
  const bool judged_here = !context_.clock_suspect && invite->expires_wall_s >= config_.build_wall_s;
  if (judged_here && invite->expires_wall_s < wall_seconds(context_.now)) {
    return refuse(ref, Code::expired, "this invite has expired; ask for a new one");
  }
  if (!host_) return refuse(ref, Code::unreachable, "this node is offline; go online to join");
  const auto [found, added] = joins_.try_emplace(ref);
  JoinOp& op = found->second;
  op.ref = ref;
  op.invite = std::move(*invite);
  op.deadline = context_.now.mono_us + kJoinUs;
  context_.begin(ref, [this, ref] {
    joins_.erase(ref);
    refuse(ref, Code::cancelled, "cancelled");
  });
  const auto peer = peers_.find(op.invite.issuer);
  if (peer != peers_.end() && peer->second.connection != 0) return join_connected(op, peer->second.connection);
  join_dial(op);
}

void NodeImpl::join_dial(JoinOp& op) {
  op.deadline = 0;  // joins_step answers a failure: nothing is erased while somebody iterates
  if (op.invite.addresses.empty()) {
    op.problem = "the invite names no address; its issuer was offline when it was made";
    return;
  }
  const Result<uint64_t> dial = host_->dial(net::PeerId::from_device_key(op.invite.issuer), op.invite.addresses);
  if (!dial.ok()) {
    op.problem = dial.error().detail;
    return;
  }
  op.dial = *dial;
  op.deadline = context_.now.mono_us + kJoinUs;
}

void NodeImpl::join_connected(JoinOp& op, net::ConnectionId connection) {
  op.dial = 0;
  op.connection = connection;
  if (!op.asked) join_ask(op);
}

void NodeImpl::join_ask(JoinOp& op) {
  const Result<net::StreamId> stream = host_->open_stream(op.connection, kJoinProtocol);
  if (!stream.ok()) {
    op.problem = stream.error().detail;
    op.deadline = 0;
    return;
  }
  op.asked = true;
  op.stream = *stream;
  flatbuffers::FlatBufferBuilder builder(1024);
  std::vector<flatbuffers::Offset<flatbuffers::String>> addresses;
  for (const std::string& address : host_->listen_addresses()) {
    if (addresses.size() < kPeerAddressesMax) addresses.push_back(builder.CreateString(address));
  }
  const auto token = builder.CreateVector(op.invite.token.data(), op.invite.token.size());
  const Bytes& certificate = keystore_->device_certificate();
  const auto device_certificate = builder.CreateVector(certificate.data(), certificate.size());
  const auto name = builder.CreateString(name_);
  const auto list = builder.CreateVector(addresses);
  builder.Finish(wire::CreateJoinRequest(builder, kJoinVersion, token, device_certificate, name, list));
  EarlyStream early;
  early.connection = op.connection;
  early.device = op.invite.issuer;
  early.protocol = kJoinProtocol;
  store::append_frame(early.output, store::FrameType::join_request,
                      ByteView(builder.GetBufferPointer(), builder.GetSize()));
  const auto [added, fresh] = early_.emplace(*stream, std::move(early));
  pump_early(*stream, added->second);
}

void NodeImpl::on_join_response(JoinOp& op, ByteView payload) {
  const auto* response = verified_table<wire::JoinResponse>(payload);
  op.stream = 0;
  op.problem = "the issuer answered something that is no answer";
  if (response == nullptr) {
    op.deadline = 0;
    return;
  }
  const auto root = StoreId::from(view_of(response->root()));
  if (response->code() != 0 || !root) {
    const auto code = static_cast<Code>(response->code());
    op.refused = code == Code::expired ? Code::expired : Code::denied;
    op.deadline = 0;
    return;
  }
  StoreSlot* here = slot_of(*root);
  if (here != nullptr && !here->is_root()) {
    op.problem = "the issuer named a store that is not a root store";
    op.deadline = 0;
    return;
  }
  op.root = *root;
  op.problem = "the root store did not arrive in time";
  op.deadline = context_.now.mono_us + kJoinUs;
  const DeviceKey issuer = op.invite.issuer;
  introductions_.insert({*root, issuer});
  context_.run(
      JobQueue::writer, [db = db_, i = Introduction{*root, issuer}] { (void)db->put_introduction(i); }, [] {});
  for (const std::string& address : op.invite.addresses) remember_address(issuer, address);
  if (const auto connection = connections_.find(op.connection); connection != connections_.end()) {
    remember_address(issuer, connection->second.address);
    Peer& peer = peer_of(issuer);
    if (peer.connection == 0) peer.connection = op.connection;
  }
  if (here != nullptr) {
    op.root_here = true;
    return ensure_sessions(issuer, peer_of(issuer));  // of an earlier attempt that did not get this far
  }
  LocalStore local;
  local.id = *root;
  local.root = *root;
  local.name = "root";
  if (materialising_.contains(*root)) return;
  materialise(local, [this, ref = op.ref](const Status& made) {
    const auto found = joins_.find(ref);
    if (found == joins_.end()) return;
    found->second.root_here = made.ok();
    if (!made.ok()) {
      found->second.problem = made.error().detail;
      found->second.deadline = 0;
    }
  });
}

// True when the operation is over and was answered.
bool NodeImpl::join_step(JoinOp& op) {
  if (op.refused != Code::ok) {
    refuse(op.ref, op.refused,
           op.refused == Code::expired ? "this invite has expired; ask for a new one"
                                       : "the issuer does not accept this invite: it is unknown, used, revoked, or for "
                                         "another device");
    return true;
  }
  if (op.root) {
    StoreSlot* slot = slot_of(*op.root);
    const Session* session = session_of(op.invite.issuer, *op.root);
    const bool in_step = session != nullptr && session->was_synced;
    if (slot != nullptr && slot->usable() && slot->is_root() && in_step && slot->root_state()->may_sync(own_device())) {
      Event event;
      event.store = slot->handle();
      publish();
      context_.complete(op.ref, std::move(event));
      return true;
    }
  }
  if (context_.now.mono_us < op.deadline) return false;
  refuse(op.ref, op.root ? Code::timeout : Code::unreachable,
         op.problem.empty() ? "the issuer of the invite did not answer; it must be up to redeem it" : op.problem);
  return true;
}

void NodeImpl::joins_step() {
  for (auto op = joins_.begin(); op != joins_.end();) {
    op = join_step(op->second) ? joins_.erase(op) : std::next(op);
  }
}

// ---- Streams before they have a purpose ---------------------------------------------------------------------------------

void NodeImpl::pump_early(net::StreamId stream, EarlyStream& early) {
  while (!early.output.empty()) {
    const Result<size_t> written = host_->write(stream, early.output);
    if (!written.ok()) return drop_stream(stream);
    if (*written == 0) break;
    early.output.erase(early.output.begin(), early.output.begin() + static_cast<ptrdiff_t>(*written));
  }
  if (early.answered) {
    if (early.output.empty()) {
      host_->finish(stream);
      early_.erase(stream);
    }
    return;
  }
  Bytes chunk(kReadChunk);
  while (true) {
    const Result<net::Host::ReadResult> read = host_->read(stream, chunk);
    if (!read.ok()) return drop_stream(stream);
    if (early.asked) {
      // Behind the one request only the stream's end may come.
      if (read->size > 0) drop_stream(stream);
      return;
    }
    early.frames.feed(ByteView(chunk).first(read->size));
    Result<std::optional<store::Frame>> frame = early.frames.next();
    if (!frame.ok()) return drop_stream(stream);
    if (frame->has_value()) return on_early_frame(stream, **frame);
    if (read->finished) return drop_stream(stream);
    if (read->size == 0) return;
  }
}

void NodeImpl::on_early_frame(net::StreamId stream, const store::Frame& frame) {
  EarlyStream& early = early_.at(stream);
  if (early.protocol == store::kSyncProtocol) return accept_session(stream, early, frame);
  const auto op = std::find_if(joins_.begin(), joins_.end(), [&](const auto& j) { return j.second.stream == stream; });
  if (op == joins_.end()) {
    if (frame.type != store::FrameType::join_request || early.frames.buffered() > 0) return drop_stream(stream);
    early.asked = true;
    return on_join_request(stream, early, frame.payload);
  }
  // Anything but a response is none, and ends the join as such.
  on_join_response(op->second, frame.type == store::FrameType::join_response ? ByteView(frame.payload) : ByteView());
  host_->finish(stream);
  early_.erase(stream);
}

// ---- The issuing side -----------------------------------------------------------------------------------------------------

const Member* NodeImpl::member_in(const StoreId& root, const DeviceKey& device) {
  const StoreSlot* slot = slot_of(root);
  return slot == nullptr || !slot->usable() || !slot->is_root() ? nullptr : slot->root_state()->member(device);
}

Code NodeImpl::check_join(const DeviceKey& device, ByteView token, StoredInvite** invite) {
  InviteToken given{};
  if (token.size() != given.size()) return Code::malformed;
  std::copy(token.begin(), token.end(), given.begin());
  const auto found = invites_.find(invite_token_hash(given));
  if (found == invites_.end() || found->second.revoked) return Code::denied;
  StoredInvite& stored = found->second;
  *invite = &stored;
  const bool repeated = std::find(stored.redeemed.begin(), stored.redeemed.end(), device) != stored.redeemed.end();
  if (stored.expires_wall_s < wall_seconds(context_.now)) return Code::expired;
  if (!stored.peer.empty() && net::PeerId::from_device_key(device).to_string() != stored.peer) return Code::denied;
  if (!repeated && stored.uses_left == 0) return Code::denied;
  // Repeating is for an answer that was lost, not for coming back after a removal: that takes a new invite.
  const Member* member = member_in(stored.root, device);
  if (repeated && member != nullptr && member->removed) return Code::denied;
  return Code::ok;
}

void NodeImpl::on_join_request(net::StreamId stream, EarlyStream& early, ByteView payload) {
  const auto* request = verified_table<wire::JoinRequest>(payload);
  if (request == nullptr) return drop_stream(stream);
  if (request->version() != kJoinVersion) return answer_join(stream, Code::unsupported, nullptr, 0);
  const CheckDate date =
      context_.clock_suspect ? CheckDate() : CheckDate(static_cast<uint64_t>(wall_seconds(context_.now)));
  const auto certificate = verify_device_certificate(view_of(request->device_certificate()), date);
  // The certificate must be for the device that the handshake proved.
  if (!certificate.ok() || certificate->device != early.device) return answer_join(stream, Code::denied, nullptr, 0);
  StoredInvite* invite = nullptr;
  const Code allowed = check_join(early.device, view_of(request->token()), &invite);
  if (allowed != Code::ok) {
    context_.log(LogLevel::info, "a join by " + brief(early.device.view()) + " was refused");
    return answer_join(stream, allowed, nullptr, 0);
  }
  std::string name = request->name() == nullptr ? std::string() : request->name()->str();
  if (name.size() > kNameSizeMax || !valid_utf8(as_bytes(name))) name.clear();
  if (request->addresses() != nullptr) {
    size_t taken = 0;
    for (const flatbuffers::String* text : *request->addresses()) {
      const auto address = net::Multiaddr::parse(text->string_view());
      if (++taken > kPeerAddressesMax) break;
      if (address.ok() && address->dialable()) remember_address(early.device, address->to_string());
    }
  }
  admit(stream, early.device, certificate->party, name, *invite);
}

// The use is spent durably before the root store says yes; a device whose answer was lost may ask again.
void NodeImpl::admit(net::StreamId stream, const DeviceKey& device, const PartyKey& party, const std::string& name,
                     StoredInvite& invite) {
  StoreSlot* root = slot_of(invite.root);
  if (root == nullptr || !root->usable() || !root->root_state()->is_admin(own_device())) {
    return answer_join(stream, Code::denied, nullptr, 0);
  }
  if (std::find(invite.redeemed.begin(), invite.redeemed.end(), device) != invite.redeemed.end()) {
    // Its answer was lost, the entry was not: nothing more to write.
    const Member* member = root->root_state()->member(device);
    if (member != nullptr && member->active) {
      return answer_join(stream, Code::ok, &invite.root, static_cast<uint32_t>(member->role));
    }
  } else {
    invite.uses_left -= 1;
    if (invite.redeemed.size() >= kRedeemedPerInviteMax) invite.redeemed.erase(invite.redeemed.begin());
    invite.redeemed.push_back(device);
    save_invite(invite);
  }
  publish_due_ = true;
  store::Transaction transaction;
  const auto role = static_cast<Role>(invite.role);
  transaction.ops.push_back(root_put(node_key(device, "status"), "active"));
  transaction.ops.push_back(root_put(node_key(device, "role"), role_name(role)));
  transaction.ops.push_back(root_put(node_key(device, "party"), party.hex()));
  transaction.ops.push_back(root_put(node_key(device, "name"), name));
  transaction.ops.push_back(root_put(node_key(device, "added_at"), std::to_string(wall_ms(context_.now))));
  root->write(std::nullopt, std::move(transaction),
              [this, stream, device, id = invite.root, role](const Result<store::Written>& written) {
                if (!written.ok()) return answer_join(stream, Code::internal, nullptr, 0);
                // A stranger became a peer: its connection counts as the peer's from now on.
                Peer& peer = peer_of(device);
                for (const auto& [connection, state] : connections_) {
                  if (state.device == device && peer.connection == 0) peer.connection = connection;
                }
                publish();
                emit_peer(kPeerJoined, device, "", 0);
                answer_join(stream, Code::ok, &id, static_cast<uint32_t>(role));
                ensure_sessions(device, peer);
              });
  root->start_work();
}

void NodeImpl::answer_join(net::StreamId stream, Code code, const StoreId* root, uint32_t role) {
  const auto found = early_.find(stream);
  if (found == early_.end() || !host_) return;
  flatbuffers::FlatBufferBuilder builder(128);
  const auto id = root == nullptr ? flatbuffers::Offset<flatbuffers::Vector<uint8_t>>()
                                  : builder.CreateVector(root->bytes.data(), root->bytes.size());
  builder.Finish(wire::CreateJoinResponse(builder, static_cast<int32_t>(code), id, role));
  store::append_frame(found->second.output, store::FrameType::join_response,
                      ByteView(builder.GetBufferPointer(), builder.GetSize()));
  found->second.answered = true;
  pump_early(stream, found->second);
}

}  // namespace sereus::node
