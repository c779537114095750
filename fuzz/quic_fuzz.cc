// QUIC hosts: datagrams of a stranger, at a listener and in the place of a server's answers; and frames of a peer whose handshake
// was in order, sealed with its keys. The host never faults, and works for others afterwards.
#include <cstdint>

#include "core/base/assert.h"
#include "core/net/limits.h"
#include "tests/support/quic_attacker.h"

using namespace sereus;
using namespace sereus::net;
using namespace sereus::test;

namespace {

const IpEndpoint kServer = NetWorld::address(0, 4001);
const IpEndpoint kStranger = NetWorld::address(9, 5555);

// The input as parts: two bytes of length, and so many bytes.
template <typename Use>
void each_part(ByteView input, Use use) {
  for (size_t n = 0; input.size() >= 2 && n < 64; ++n) {
    const size_t size = std::min<size_t>(input[0] * 256u + input[1], input.size() - 2);
    use(input.subspan(2, size));
    input = input.subspan(2 + size);
  }
}

void take_everything(NetWorld& world) {
  Bytes buffer(4096);
  world.on_event = [buffer](NetWorld::Node& node, const HostEvent& event) mutable {
    if (const auto* readable = std::get_if<StreamReadable>(&event)) {
      for (;;) {
        const auto got = node.host->read(readable->stream, buffer);
        if (!got.ok() || got->size == 0) break;
        (void)node.host->write(readable->stream, ByteView(buffer).first(got->size));
      }
    }
  };
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const uint8_t mode = data[0] % 4;
  const ByteView input(data + 1, size - 1);
  NetWorld world(1);
  NetWorld::Node& server = world.add();
  server.host->set_protocols({"/echo"});
  SEREUS_ASSERT(!world.listen(server).empty());
  take_everything(world);
  if (mode == 0) {  // a stranger's datagrams
    each_part(input, [&](ByteView part) {
      world.inject(kStranger, kServer, part);
      world.run(1000);
    });
  } else if (mode == 1) {  // in the place of an answer
    NetWorld::Node& client = world.add();
    SEREUS_ASSERT(client.host->dial("/ip4/10.0.0.9/udp/4001/quic-v1", server.host->peer_id()).ok());
    world.run(1000);
    each_part(input, [&](ByteView part) {
      for (const auto& [socket, local] : client.sockets) world.inject(NetWorld::address(8, 4001), local, part);
      world.run(1000);
    });
  } else {  // a peer's frames, before its handshake is over, and after
    QuicAttacker attacker(world, kStranger, kServer);
    if (mode == 2) {
      attacker.begin();
      each_part(input, [&](ByteView part) {
        if (part.size() <= 1100) attacker.send_initial(part);
        world.run(1000);
      });
    } else if (attacker.connect()) {
      each_part(input, [&](ByteView part) {
        if (part.size() <= 1300) attacker.send_frames(part);
        world.run(1000);
      });
    }
    world.run(kMicrosPerSecond);
    world.trace = {};
  }
  NetWorld::Node& honest = world.add();
  SEREUS_ASSERT(honest.host->dial("/ip4/10.0.0.1/udp/4001/quic-v1", server.host->peer_id()).ok());
  SEREUS_ASSERT(world.run(5 * kMicrosPerSecond, [&] { return find_event<Connected>(honest) != nullptr; }));
  return 0;
}
