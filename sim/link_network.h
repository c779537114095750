// A network of byte streams: what the Links port stands on in the simulator, as TCP gives it. Bytes come in order, in
// pieces of drawn sizes and after drawn times; a window bounds what is under way, so who does not read stops the sender.
//
// A cut holds bytes back until the path heals, and is silent: only the layers above can notice it. break_links() is the
// other kind, a middlebox that sends resets. A machine that lost power is silent too; once it is up again it answers what
// still comes for its old links with a reset. For a process that stands still its system goes on: it accepts, acknowledges and
// holds what the window lets through.
//
// NAT boxes let connections out, and in to ports that they forward. A link that a box has forgotten is dead in both directions:
// what is sent on it is answered with a reset or not at all.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "core/ports/links.h"
#include "sim/chronicle.h"
#include "sim/scheduler.h"
#include "sim/sim_random.h"
#include "sim/topology.h"
#include "sim/trace.h"

namespace sereus::sim {

// What happens to byte streams. Rates are out of a million.
struct LinkConditions {
  uint32_t partial_writes = 0;  // calls of write() that take fewer bytes than there is room for
  uint32_t partial_reads = 0;   // calls of read() that give fewer bytes than there are
  uint32_t refused = 0;         // connections that the listener's system turns away
  uint32_t broken = 0;          // pieces on whose way a middlebox resets the link
  uint64_t delay_min_us = 200;
  uint64_t delay_max_us = 5'000;
  size_t piece_max = 30'000;   // bytes that arrive together
  size_t window = 256 * 1024;  // per direction: bytes that are written and not yet read

  static LinkConditions draw(SimRandom& random);
};

struct LinkStats {
  uint64_t connected = 0;
  uint64_t refused = 0;
  uint64_t broken = 0;  // links that were reset or timed out
  uint64_t bytes = 0;   // delivered
  uint64_t partial_writes = 0;
  uint64_t partial_reads = 0;
  uint64_t held = 0;       // times that something waited for a cut to heal
  uint64_t forgotten = 0;  // pieces that a NAT box did not know
};

class LinkNetwork {
 public:
  static constexpr uint64_t kConnectTimeoutUs = 20'000'000;
  static constexpr uint64_t kRetransmitMinUs = 200'000;  // RFC 6298 has 1 s; systems use less
  static constexpr uint64_t kRetransmitMaxUs = 10'000'000;
  static constexpr uint64_t kGiveUpUs = 120'000'000;  // without an acknowledgement

  LinkNetwork(Scheduler& scheduler, Topology& topology, SimRandom random)
      : scheduler_(scheduler), topology_(topology), random_(std::move(random)) {}
  LinkNetwork(const LinkNetwork&) = delete;
  LinkNetwork& operator=(const LinkNetwork&) = delete;

  // A machine's links, which tell `events` what happens and call `wake` afterwards. They go with the answer: in order when
  // the machine has power then, silently when it has not. It must not outlive the network.
  std::unique_ptr<Links> attach(size_t machine, LinkEvents& events, std::function<void()> wake);

  void set_conditions(const LinkConditions& conditions) { conditions_ = conditions; }
  // Resets every link between the two, on both ends.
  void break_links(size_t a, size_t b);

  // Sees all bytes as they are written.
  void set_tap(std::function<void(ByteView)> tap) { tap_ = std::move(tap); }
  // Null: nothing is recorded.
  void set_chronicle(Chronicle* chronicle) { chronicle_ = chronicle; }

  size_t links() const { return links_.size(); }
  const LinkStats& stats() const { return stats_; }
  // Over all bytes that were written and read, with their times.
  uint64_t trace() const { return trace_.value(); }

 private:
  class Port;
  enum class Stage : uint8_t { connecting, open, gone };
  struct Piece {
    uint64_t at_us = 0;
    Bytes data;
    bool end = false;
    uint64_t sent_us = 0;
  };
  // What one end receives.
  struct Lane {
    std::deque<Piece> pieces;  // under way
    bool moving = false;       // a delivery is scheduled
    uint64_t last_us = 0;
    uint64_t retry_us = kRetransmitMinUs;
    uint64_t held_since_us = 0;  // 0: not held
    Bytes arrived;
    size_t read_at = 0;
    size_t window_used = 0;  // written and not read
    bool end_sent = false;
    bool end_arrived = false;
    bool readable_due = true;  // what arrives next is told
    bool orphaned = false;     // its sender lost power: nobody sends again what did not get through
  };
  struct End {
    Port* port = nullptr;
    size_t machine = 0;
    Stage stage = Stage::connecting;
    IpEndpoint local;
    bool writable_due = false;
  };
  struct Passage {  // through the box in front of an end
    const NatBox* box = nullptr;
    uint64_t generation = 0;
  };
  struct Link {
    End end[2];    // 0 dialed
    Lane lane[2];  // lane[i] brings to end[i]
    Passage passage[2];
    uint64_t used_us = 0;  // something went through
  };
  // Whom a connection to an address gets to.
  struct Goal {
    std::optional<size_t> machine;  // none: nobody answers
    std::optional<ListenerId> listener;
    bool resets = false;  // a box in front of it turns it away
  };
  struct Listener {
    Port* port = nullptr;
    size_t machine = 0;
    IpEndpoint local;
  };
  struct Place {  // one end of a link that exists
    uint64_t number = 0;
    Link* link = nullptr;
    int side = 0;
    End& mine() const { return link->end[side]; }
    End& theirs() const { return link->end[1 - side]; }
    Lane& incoming() const { return link->lane[side]; }
    Lane& outgoing() const { return link->lane[1 - side]; }
  };

  static LinkId id_of(uint64_t number, int side) { return number * 2 + static_cast<uint64_t>(side); }
  std::optional<Place> find(LinkId id);
  uint64_t delay() { return random_.between(conditions_.delay_min_us, conditions_.delay_max_us); }
  uint64_t delay(const Place& to) { return delay() + topology_.extra_us(to.theirs().machine, to.mine().machine); }
  bool happens(uint32_t per_million) { return per_million != 0 && random_.below(1'000'000) < per_million; }

  Result<Links::Listening> listen(Port& port, size_t machine, const IpEndpoint& local);
  std::optional<ListenerId> listener_at(size_t machine, const IpEndpoint& local) const;
  Goal goal_of(size_t from, const IpEndpoint& remote) const;
  LinkId connect(Port& port, size_t machine, const IpEndpoint& remote);
  void try_connect(LinkId id, const IpEndpoint& remote, uint64_t begun_us, uint64_t retry_us);
  void accept(const Place& place, ListenerId listener, const IpEndpoint& remote);
  IpEndpoint pass_boxes(Link& link);
  size_t write(LinkId id, ByteView data);
  Links::ReadResult read(LinkId id, ByteSpan out);
  void finish(LinkId id);
  void close(LinkId id);
  void forget(Port& port);

  void send(uint64_t number, int to, Piece piece);
  void schedule(uint64_t number, int to, uint64_t at_us);
  void move(uint64_t number, int to);
  bool forgotten(const Link& link) const;
  bool held(uint64_t number, int to);
  void tell_readable(LinkId id);
  void tell_writable(LinkId id);
  void reset(LinkId id, Code code, std::string_view why, uint64_t delay_us);
  void end(LinkId id, Code code, const std::string& why, bool from_afar);
  void erase_if_over(uint64_t number);
  // Calls `told` with the end's owner, unless the end is gone by then, and wakes its machine.
  void tell(LinkId id, uint64_t delay_us, std::function<void(LinkEvents&)> told);
  void tell_now(LinkId id, const std::function<void(LinkEvents&)>& told);

  Scheduler& scheduler_;
  Topology& topology_;
  SimRandom random_;
  LinkConditions conditions_;
  std::map<uint64_t, Link> links_;
  std::map<ListenerId, Listener> listeners_;
  uint64_t last_ = 0;
  std::function<void(ByteView)> tap_;
  Chronicle* chronicle_ = nullptr;
  LinkStats stats_;
  Trace trace_;
};

}  // namespace sereus::sim
