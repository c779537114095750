// A network of datagrams: what the Datagrams port stands on in the simulator. Datagrams take their time, and are lost,
// doubled, overtaken, spoiled or cut short; large ones vanish at a small MTU, and a slow path drops what its queue does not
// take. Everything is drawn from the network's own randomness.
//
// What a machine behind a NAT box sends comes from the box, and what it is sent the box lets in or not. A machine without one
// is behind a router that forwards the ports it listens on: rebind() gives its flows other addresses, as a router that was
// restarted does, and those who talk to it hear it from elsewhere from then on.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "core/ports/datagram.h"
#include "sim/chronicle.h"
#include "sim/scheduler.h"
#include "sim/sim_random.h"
#include "sim/topology.h"
#include "sim/trace.h"

namespace sereus::sim {

// What happens to datagrams on their way. Rates are out of a million.
struct DatagramConditions {
  uint32_t lost = 0;
  uint32_t duplicated = 0;
  uint32_t reordered = 0;  // take up to reorder_us longer, and those behind overtake them
  uint32_t corrupted = 0;  // some bits are turned
  uint32_t truncated = 0;
  uint32_t marked = 0;   // those with an ECN-capable transport, as congested
  uint32_t refused = 0;  // calls of send(): the socket is full, and writable a little later
  uint64_t delay_min_us = 200;
  uint64_t delay_max_us = 5'000;
  uint64_t reorder_us = 20'000;
  size_t mtu = 65'527;              // of payloads; larger ones vanish without a word
  uint64_t bytes_per_s = 0;         // 0: no limit
  size_t queue_bytes = 256 * 1024;  // in front of the limit; what does not fit is dropped

  static DatagramConditions draw(SimRandom& random);
};

struct DatagramStats {
  uint64_t sent = 0;  // by send() or inject()
  uint64_t delivered = 0;
  uint64_t lost = 0;
  uint64_t duplicated = 0;
  uint64_t reordered = 0;
  uint64_t corrupted = 0;
  uint64_t truncated = 0;
  uint64_t marked = 0;
  uint64_t too_large = 0;
  uint64_t queue_full = 0;
  uint64_t cut = 0;
  uint64_t unreachable = 0;  // nobody there: unknown address, no power, no socket
  uint64_t filtered = 0;     // by a NAT box
  uint64_t unread = 0;       // the process stood still, and its socket was full
};

class DatagramNetwork {
 public:
  static constexpr uint64_t kBindingUs = 30'000'000;  // a NAT forgets flows that are silent for as long
  static constexpr size_t kFlowsMax = 4'096;
  // What waits for a process that stands still: Linux' default buffer, with what it counts beside the bytes.
  static constexpr size_t kSocketBuffer = 212'992;
  static constexpr size_t kBufferOverhead = 512;

  // What a machine's sockets are told; never from inside a call of Datagrams.
  struct Events {
    std::function<void(SocketId, const IpEndpoint& local, const IpEndpoint& remote, Ecn, ByteView)> received;
    std::function<void(SocketId)> writable;
    std::function<void(SocketId, const IpEndpoint& remote)> unreachable;
  };
  struct Datagram {
    IpEndpoint from;
    IpEndpoint to;
    Ecn ecn = Ecn::not_ect;
    Bytes data;
  };

  DatagramNetwork(Scheduler& scheduler, Topology& topology, SimRandom random)
      : scheduler_(scheduler), topology_(topology), random_(std::move(random)) {}
  DatagramNetwork(const DatagramNetwork&) = delete;
  DatagramNetwork& operator=(const DatagramNetwork&) = delete;

  // A machine's sockets; they are closed with the answer, which must not outlive the network.
  std::unique_ptr<Datagrams> attach(size_t machine, Events events);

  void set_conditions(const DatagramConditions& conditions) { conditions_ = conditions; }
  // Of one direction of one path.
  void set_conditions(size_t from, size_t to, const DatagramConditions& conditions) {
    on_path_[{from, to}] = conditions;
  }
  // The flows that this machine began come from other ports from now on, and from another address if it moved. What is
  // sent to the old ones is lost. Flows that others began stay. A NAT box in front of the machine is the one that does it
  // then, for all that are behind it, and for their links as well.
  void rebind(size_t machine, bool moved);

  // Puts a datagram on the wire at `to`'s doorstep as if `from` had sent it; for those who lie about where they are.
  void inject(const IpEndpoint& from, const IpEndpoint& to, ByteView data, Ecn ecn = Ecn::not_ect);
  // Sees every datagram as it is sent, with the address that the world sees.
  void set_tap(std::function<void(const Datagram&)> tap) { tap_ = std::move(tap); }
  // Null: nothing is recorded.
  void set_chronicle(Chronicle* chronicle) { chronicle_ = chronicle; }

  const DatagramStats& stats() const { return stats_; }
  // Over all datagrams that were sent and delivered, with their times.
  uint64_t trace() const { return trace_.value(); }

 private:
  class Port;
  struct Socket {
    Port* port = nullptr;
    size_t machine = 0;
    IpEndpoint local;
    bool blocked = false;
    size_t held = 0;  // bytes that wait for the process
  };
  struct Flow {
    bool begun_here = false;
    uint64_t heard_us = 0;              // when something came in through `outside`, or it was given
    std::optional<IpEndpoint> outside;  // none: as seen from inside
    uint64_t used_us = 0;
  };
  struct Path {
    uint64_t free_us = 0;  // when the slow path has sent all it holds
    uint64_t last_us = 0;  // arrival of the latest datagram that was not held up
  };

  Result<Datagrams::Bound> bind(Port& port, size_t machine, const IpEndpoint& local);
  bool send(SocketId socket, const IpEndpoint& to, Ecn ecn, ByteView data, size_t segment_size);
  void close(SocketId socket) { sockets_.erase(socket); }
  std::optional<SocketId> socket_at(size_t machine, const IpEndpoint& local) const;
  const DatagramConditions& conditions(size_t from, size_t to) const;
  bool happens(uint32_t per_million) { return per_million != 0 && random_.below(1'000'000) < per_million; }
  IpEndpoint source_of(SocketId id, const Socket& socket, const IpEndpoint& to);
  Flow& flow(SocketId socket, const IpEndpoint& remote, bool begun_here);
  void transmit(size_t from_machine, SocketId from_socket, Datagram datagram);
  std::optional<uint64_t> pass_queue(Path& path, const DatagramConditions& conditions, Datagram& datagram);
  void spoil(const DatagramConditions& conditions, Datagram& datagram);
  struct Receiver {
    std::optional<size_t> machine;
    std::optional<SocketId> socket;
    bool silent = false;  // what is not taken is not answered
  };
  Receiver receiver_of(const Datagram& datagram);
  bool deliver(size_t from_machine, SocketId from_socket, const Datagram& datagram);
  void hand_over(SocketId socket, const Datagram& datagram);
  void tell(SocketId socket, const std::function<void(const Events&)>& what);
  void tell_unreachable(SocketId socket, const IpEndpoint& remote, size_t from_machine);
  std::optional<size_t> owner_of(const IpEndpoint& address) const;
  std::optional<size_t> target_of(size_t from_machine, const IpEndpoint& address) const;
  void note(size_t from, size_t to, const Datagram& datagram, uint64_t sent_us, bool arrived);

  Scheduler& scheduler_;
  Topology& topology_;
  SimRandom random_;
  DatagramConditions conditions_;
  std::map<std::pair<size_t, size_t>, DatagramConditions> on_path_;
  std::map<SocketId, Socket> sockets_;
  std::map<std::pair<SocketId, IpEndpoint>, Flow> flows_;
  std::map<IpEndpoint, SocketId> outside_;  // addresses drawn by rebind()
  std::map<std::pair<size_t, size_t>, Path> paths_;
  SocketId last_socket_ = 0;
  std::function<void(const Datagram&)> tap_;
  Chronicle* chronicle_ = nullptr;
  DatagramStats stats_;
  Trace trace_;
};

}  // namespace sereus::sim
