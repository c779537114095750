// The node. One class, its parts by file:
//   node.cc           opening, the step, closing, suspending
//   node_requests.cc  requests and what each wants of its arguments
//   node_identity.cc  create, back up, restore, passphrase, erase
//   node_stores.cc    stores: create, materialise what the root declares, archive, drop
//   node_peers.cc     who is who: invites, removal, the peer table
//   node_network.cc   the own host: dialing, connections, streams
//   app_hosts.h       what the application does with this host and others
//   node_join.cc      redeeming invites, both sides
//   node_sync.cc      sync sessions and sync operations
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/node/app_hosts.h"
#include "core/node/context.h"
#include "core/node/invite.h"
#include "core/node/limits.h"
#include "core/node/node_db.h"
#include "core/node/store_slot.h"

namespace sereus::node {

inline constexpr char kJoinProtocol[] = "/sereus/join/1.0.0";
inline constexpr uint16_t kJoinVersion = 1;

// A peer we know of: a member of one of our roots, or somebody we have an address of.
struct Peer {
  KnownPeer known;
  net::ConnectionId connection = 0;
  uint64_t dialing = 0;  // the host's dial id, 0 when none is under way
  uint64_t dial_at = 0;  // monotonic; not before
  uint64_t dial_delay_us = kDialBackoffUsMin;
  uint64_t failures = 0;
  std::string problem;  // of the last failure
  std::map<StoreId, net::StreamId> sessions;
  struct Retry {
    uint64_t at = 0;
    uint64_t delay_us = kSessionRetryUsMin;
  };
  std::map<StoreId, Retry> retries;  // stores whose sync stream was refused
};

struct Connection {
  net::PeerId peer;
  DeviceKey device;
  std::string address;
  bool incoming = false;
  uint64_t since = 0;  // monotonic
};

struct Session {
  uint64_t id = 0;  // unique within the node, as stream ids are not over hosts
  DeviceKey device;
  net::ConnectionId connection = 0;
  StoreId store;
  store::SyncSession machine;
  bool was_synced = false;  // was equal at least once
  bool is_synced = false;
  uint64_t told_at = 0;  // when SYNCED was last told
};

// A stream before its first frame told what it is for, or one of the join protocol.
struct EarlyStream {
  net::ConnectionId connection = 0;
  DeviceKey device;
  std::string protocol;
  store::FrameReader frames{kJoinFrameSizeMax};
  Bytes output;
  bool asked = false;     // its one request is being dealt with
  bool answered = false;  // an answer is being written
};

struct JoinOp {
  OpRef ref;
  Invite invite;
  uint64_t dial = 0;
  net::ConnectionId connection = 0;
  net::StreamId stream = 0;
  bool asked = false;
  std::optional<StoreId> root;  // admitted; the root store is being fetched
  bool root_here = false;       // its replica exists
  Code refused = Code::ok;      // the issuer said no
  uint64_t deadline = 0;
  std::string problem;
};

struct SyncOp {
  OpRef ref;
  std::optional<StoreId> store;
  // What is waited for: peers being reached, then an answer from each session.
  std::map<DeviceKey, uint64_t> dialing;  // and its failures when the operation began
  std::set<DeviceKey> reached;
  std::map<std::pair<DeviceKey, StoreId>, uint32_t> asked;  // the question's number
  std::set<std::pair<DeviceKey, StoreId>> answered;
  bool refused = false;  // a peer refuses a session, again and again
  std::string problem;
  uint64_t progress_at = 0;    // monotonic time of the last progress
  uint64_t progress_seen = 0;  // entries moved by then
  uint64_t received_before = 0;
  uint64_t sent_before = 0;
};

class NodeImpl final : public Node, public StoreSlotOwner {
 public:
  NodeImpl(const NodePorts& ports, NodeConfig config, const Times& now);
  ~NodeImpl() override;
  Status open_folder();

  void submit(Request request, const Times& now) override;
  bool cancel(uint32_t origin, uint64_t op, const Times& now) override;
  void forget_origin(uint32_t origin, const Times& now) override;
  void close(const Times& now) override;
  bool closed() const override { return stage_ == Stage::closed; }
  uint64_t step(const Times& now) override;
  std::shared_ptr<View> view() override { return view_; }

 private:
  enum class Stage : uint8_t { running, suspending, suspended, closing, closed };

  // node.cc
  void set_now(const Times& now);
  void check_clock(const Times& now);
  void shut_down(std::function<void()> then);
  void close_stores();
  void publish();
  uint64_t next_deadline() const;
  void suspend(OpRef ref);
  Status reopen_folder();
  void resume(OpRef ref);
  void finish_close();
  void answer_all(Code code, std::string_view detail);

  // node_requests.cc
  void dispatch(OpRef ref, Request& request);
  bool dispatch_identity(OpRef ref, Request& request);
  void dispatch_store(OpRef ref, Request& request);
  void dispatch_peer(OpRef ref, Request& request);
  void refuse(OpRef ref, Code code, std::string detail);
  // The usable store a request names, or a refusal.
  StoreSlot* wanted_store(OpRef ref, uint64_t handle);

  // node_identity.cc
  Status open_identity(ByteView passphrase);
  Status adopt_identity(Keystore keystore, std::string_view name);
  void identity_create(OpRef ref, Request& request);
  void identity_backup(OpRef ref, Request& request);
  void identity_restore(OpRef ref, Request& request);
  void passphrase_change(OpRef ref, Request& request);
  void erase(OpRef ref, Request& request);
  void erase_files(OpRef ref);
  KeystoreOptions keystore_options() const;
  Bytes encode_attachment() const;
  void adopt_attachment(ByteView attachment);
  DeviceKey own_device() const { return keystore_->device().device_key(); }

  // node_stores.cc
  Status open_local_store(const LocalStore& local);
  StoreSlot& add_slot(const LocalStore& local);
  void materialise(const LocalStore& local, std::function<void(const Status&)> then);
  void reconcile_root(StoreSlot& root);
  void reconcile_later(const Error& why);
  void reconcile_due();
  void reconcile_roots();
  void archive(StoreSlot& slot);
  StoreSlot* slot_of(const StoreId& id);
  StoreSlot* slot_of_handle(uint64_t handle);
  StoreSlot* root_of(const StoreSlot& slot) { return slot_of(slot.root()); }
  StoreSlot* own_root();
  void with_root(uint64_t handle, std::function<void(Result<StoreSlot*>)> then);
  void found_root();
  void make_own_root(const NodeDb::FoundingNonce& nonce);
  void write_genesis(const StoreId& id, const NodeDb::FoundingNonce& nonce);
  void root_founded(const Result<StoreSlot*>& root);
  void store_create(OpRef ref, Request& request);
  void declare_store(OpRef ref, StoreSlot& root, const std::string& name);
  void store_delete(OpRef ref, StoreSlot& slot);
  void store_drop(OpRef ref, Request& request);
  void store_write(OpRef ref, StoreSlot& slot, Request& request);
  void store_verify(OpRef ref, StoreSlot& slot);
  void end_barred_sessions(const StoreSlot& root);
  void save_store(const LocalStore& local);
  void emit_store(uint32_t what, StoreSlot& slot);
  void store_moved(StoreSlot& slot, const std::vector<store::AuthorTip>& tips) override;
  void store_ingested(StoreSlot& slot, uint64_t session, size_t payload_bytes, uint32_t entries,
                      const Status& outcome) override;

  // node_peers.cc
  void invite_create(OpRef ref, Request& request);
  void issue_invite(OpRef ref, StoreSlot& root, const Request& request);
  void invite_revoke(OpRef ref, Request& request);
  void peer_remove(OpRef ref, Request& request);
  void remove_from(OpRef ref, StoreSlot& root, const DeviceKey& device, std::shared_ptr<size_t> left);
  void peer_add_address(OpRef ref, Request& request);
  void remember_address(const DeviceKey& device, const std::string& address);
  Peer& peer_of(const DeviceKey& device);
  const Member* member_of(const DeviceKey& device) const;
  std::string peer_name(const DeviceKey& device) const;
  bool belongs(const DeviceKey& device) const;  // to any root of ours
  bool may_sync(const DeviceKey& device, const StoreSlot& slot) const;
  void emit_peer(uint32_t what, const DeviceKey& device, const std::string& address, uint64_t store);
  std::vector<PeerRow> peer_rows() const;
  std::vector<InviteRow> invite_rows() const;
  void save_invite(const StoredInvite& invite);
  void save_peer(const KnownPeer& peer);
  void drop_spent_invites();

  // node_network.cc
  Status go_online();
  Status listen_on(const std::string& address);
  void go_offline(Code why = Code::closed);
  void network_changed();
  bool drain_host();  // true when something had happened
  void on_connected(const net::Connected& event);
  void on_disconnected(const net::Disconnected& event);
  void on_notice(const net::SwarmNotice& notice);
  void on_reached(const net::Reached& notice);
  void on_unreached(const net::Unreached& notice);
  void on_stream_opened(const net::StreamOpened& event);
  void on_stream_closed(const net::StreamClosed& event);
  void pump_stream(net::StreamId stream);
  void drop_stream(net::StreamId stream);
  void dial_due();
  void dial_peer(const DeviceKey& device, Peer& peer);
  void dial_failed(const DeviceKey& device, Peer& peer, const Error& error);
  void disconnect_strangers();
  bool is_stranger(net::ConnectionId id, const Connection& connection) const;
  void disconnect_peer(const DeviceKey& device);
  bool keep_new_connection(const Connection& old, const Connection& fresh) const;
  void drop_connection(net::ConnectionId connection);
  void close_connection(net::ConnectionId connection, Code reason);

  // node_join.cc
  void join(OpRef ref, Request& request);
  bool join_step(JoinOp& op);
  void join_dial(JoinOp& op);
  void join_ask(JoinOp& op);
  void join_connected(JoinOp& op, net::ConnectionId connection);
  void on_join_response(JoinOp& op, ByteView payload);
  void pump_early(net::StreamId stream, EarlyStream& early);
  void on_early_frame(net::StreamId stream, const store::Frame& frame);
  void on_join_request(net::StreamId stream, EarlyStream& early, ByteView payload);
  Code check_join(const DeviceKey& device, ByteView token, StoredInvite** invite);
  const Member* member_in(const StoreId& root, const DeviceKey& device);
  void admit(net::StreamId stream, const DeviceKey& device, const PartyKey& party, const std::string& name,
             StoredInvite& invite);
  void answer_join(net::StreamId stream, Code code, const StoreId* root, uint32_t role);
  void joins_step();

  // node_sync.cc
  void ensure_sessions(const DeviceKey& device, Peer& peer);
  void open_session(const DeviceKey& device, Peer& peer, StoreSlot& slot);
  void accept_session(net::StreamId stream, const EarlyStream& early, const store::Frame& frame);
  void pump_session(net::StreamId stream);
  void write_session(net::StreamId stream, Session& session);
  void read_for_session(net::StreamId stream, Session& session);
  void take_ranges(Session& session);
  Session* session_of(const DeviceKey& device, const StoreId& store);
  void end_session(net::StreamId stream, bool retry);
  void note_synced(Session& session);
  void sessions_step();
  void emit_progress(const Session& session);
  void sync(OpRef ref, Request& request);
  bool sync_step(SyncOp& op);
  bool sync_done_with(SyncOp& op, const DeviceKey& device);
  void syncs_step();
  void end_sync(SyncOp& op, Code code, std::string detail);

  NodeContext context_;
  NodeConfig config_;
  std::shared_ptr<View> view_;
  Stage stage_ = Stage::running;
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<storage::Vfs> vfs_;
  std::shared_ptr<NodeDb> db_;  // writer queue, once the node runs
  std::optional<Keystore> keystore_;
  bool keystore_busy_ = false;  // a job uses it
  bool protected_ = false;      // it has a passphrase
  bool has_stores_ = false;     // when the folder was opened: without a keystore, its keys are lost
  std::string name_;
  bool online_wanted_ = false;
  std::map<std::string, uint16_t> ports_;  // by listen address with port 0: the one it had last

  uint64_t last_handle_ = 0;
  std::map<StoreId, uint64_t> numbers_;  // every store's handle since this process began
  std::map<uint64_t, std::unique_ptr<StoreSlot>> slots_;
  std::map<StoreId, uint64_t> handles_;
  std::set<StoreId> materialising_;
  uint64_t reconcile_at_ = kNever;  // a declared store could not be made: monotonic time of the next attempt
  uint64_t reconcile_delay_us_ = kReconcileUsMin;
  bool founding_root_ = false;
  std::vector<std::function<void(Result<StoreSlot*>)>> waiting_for_root_;

  std::map<Hash, StoredInvite> invites_;
  std::map<DeviceKey, Peer> peers_;
  std::set<std::pair<StoreId, DeviceKey>> introductions_;

  AppHosts app_hosts_;
  std::unique_ptr<net::Swarm> host_;
  std::map<net::ConnectionId, Connection> connections_;
  std::map<net::StreamId, std::unique_ptr<Session>> sessions_;
  std::map<uint64_t, net::StreamId> session_streams_;  // by Session::id
  uint64_t last_session_ = 0;
  std::map<net::StreamId, EarlyStream> early_;
  std::map<OpRef, JoinOp> joins_;
  std::map<OpRef, SyncOp> syncs_;

  uint64_t host_deadline_ = kNever;
  uint64_t entries_received_ = 0;
  uint64_t entries_sent_ = 0;
  uint64_t bytes_sent_before_ = 0;  // of hosts that are gone
  uint64_t bytes_received_before_ = 0;
  uint64_t published_bytes_ = 0;
  bool publish_due_ = true;
  uint64_t publish_at_ = kNever;  // statistics are refreshed now and then
  std::optional<Times> last_times_;
  size_t closing_slots_ = 0;
  bool databases_closed_ = false;  // of a shut-down; the last jobs may still run
  std::function<void()> shut_down_then_;
};

}  // namespace sereus::node
