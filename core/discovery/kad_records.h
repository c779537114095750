// What values the DHT takes: each key says by its first part how its value proves itself (docs/formats/kad.md). A value that nobody can
// check is not stored and not believed, so who stores poison needs the key that signs it.
//
//   /pk/<PeerID multihash>        a public key (protobuf), which the PeerID is a hash of
//   /sereus/peer/<multihash>      a signed peer record (RFC 0003 envelope) of that peer; it lives at the place of the peer's id
//   /sereus/rec/<32 bytes>        a signed record: the key is the hash of public key and name, the rest is in the value
//
// Others only by a validator that the application registers for the first part of its keys.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/base/result.h"
#include "core/crypto/sign.h"
#include "core/discovery/kad_id.h"
#include "core/net/peer_id.h"

namespace sereus::discovery {

// Pure functions of their arguments.
class KadValidator {
 public:
  virtual ~KadValidator() = default;
  // Whether `value` may stand under `key`, now.
  virtual Status validate(ByteView key, ByteView value, int64_t wall_us) const = 0;
  // Whether `value` takes the place of `known`; both are valid. Never true in both directions.
  virtual bool supersedes(ByteView key, ByteView value, ByteView known) const = 0;
};

// --- Signed records -------------------------------------------------------------------------------------------------

struct SignedRecord {
  std::array<uint8_t, 32> public_key{};  // Ed25519
  std::string name;                      // UTF-8, at most kKadRecordNameMax bytes: what the record is for
  uint64_t seq = 0;                      // the higher one is the later one
  uint64_t expires_s = 0;                // since 1970, UTC
  Bytes payload;
};
Bytes signed_record_key(ByteView public_key, std::string_view name);
// Code::too_large when it would not be accepted.
Result<Bytes> seal_signed_record(const crypto::KeyPair& key, std::string_view name, uint64_t seq, uint64_t expires_s,
                                 ByteView payload);
// Verifies the signature. Errors: malformed, bad_signature, too_large.
Result<SignedRecord> open_signed_record(ByteView value);

// --- Keys -------------------------------------------------------------------------------------------------------------

Bytes public_key_key(const net::PeerId& peer);
Bytes peer_record_key(const net::PeerId& peer);
// The peer of a key "/sereus/peer/...".
std::optional<net::PeerId> peer_of_record_key(ByteView key);
// Where a key lives: its sha256, and for peer records that of the peer's id, which is where FIND_NODE looks.
KadId place_of_key(ByteView key);

class KadValidators {
 public:
  KadValidators();
  // `validator` outlives this. `name` without slashes. Code::exists for those that are there.
  Status add(std::string_view name, const KadValidator& validator);
  // Code::unsupported for a type of keys that nobody registered; else the validator's.
  Status validate(ByteView key, ByteView value, int64_t wall_us) const;
  bool supersedes(ByteView key, ByteView value, ByteView known) const;

 private:
  const KadValidator* of(ByteView key) const;
  std::map<std::string, const KadValidator*, std::less<>> validators_;
};

}  // namespace sereus::discovery
