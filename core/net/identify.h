// identify and identify/push (libp2p specs, identify): what a host says about itself. Codec and reading machine; the
// streams are host_services.h's. docs/formats/transport.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/net/delimited.h"
#include "core/net/limits.h"
#include "core/net/multiaddr.h"
#include "core/net/peer_record.h"
#include "core/net/public_key.h"

namespace sereus::net {

inline constexpr std::string_view kIdentifyProtocol = "/ipfs/id/1.0.0";
inline constexpr std::string_view kIdentifyPushProtocol = "/ipfs/id/push/1.0.0";

// Every field may be missing; in a push that means "as before".
struct Identify {
  std::optional<PublicKey> public_key;
  std::vector<Multiaddr> listen_addresses;
  std::vector<std::string> protocols;
  std::optional<Multiaddr> observed;  // whence the receiver of the message seems to come
  std::optional<std::string> protocol_version;
  std::optional<std::string> agent_version;
  Bytes signed_peer_record;  // an envelope, not looked into; empty when there is none
  // Addresses, protocol names and texts that were there and are not fit for use. They are left out, so that one of them does
  // not cost the rest.
  size_t skipped = 0;
};

// The message without its length. Code::too_large over kIdentifyBytesMax.
Result<Bytes> encode_identify(const Identify& message);
// `message` may be several behind each other, which by protobuf's rules is their union. Errors: malformed, too_large,
// unsupported (key types).
Result<Identify> decode_identify(ByteView message);

// Takes over what `update` has.
void apply_push(Identify& known, Identify update);

// What a connected peer said, checked against who it proved to be.
struct IdentifiedPeer {
  Identify said;
  std::optional<PeerRecord> record;
  Error record_error{Code::ok, {}};  // why there is no record although one was sent

  // The specification wants the signed ones to be used where there are any.
  const std::vector<Multiaddr>& addresses() const { return record ? record->addresses : said.listen_addresses; }
};

// Code::denied when the message has another peer's key. A record that does not verify, or is another peer's, is left out:
// the other fields are no worse for it.
Result<IdentifiedPeer> verify_identify(Identify message, const PeerId& peer);

// Reads the messages of one stream, to its end.
class IdentifyReader {
 public:
  // After an error the stream is to be reset.
  Status feed(ByteView in);
  // At the end of the stream. Code::malformed inside a message, or when there was none.
  Result<Identify> finish() const;

 private:
  DelimitedReader reader_{kIdentifyBytesMax};
  size_t messages_ = 0;
  Bytes all_;  // the messages, joined; at most kIdentifyTotalMax
};

}  // namespace sereus::net
