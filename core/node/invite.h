// An invite: what one person hands another so that a device may join (docs/formats/invite.md). One line of text:
//
//   "sereus1" base32( CBOR array [1, issuer device key(32), token(16), expires_s, role, [multiaddr text...]]  || check(4) )
//
// check is the first four bytes of H(the CBOR): a mistyped invite is noticed before anybody is dialed. The token is a
// secret: who has it may join until it is used up, expired or revoked. It names no store. Only its issuer redeems it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/base/result.h"

namespace sereus::node {

inline constexpr size_t kInviteTextSizeMax = 2048;  // fits a QR code of a size a phone reads
inline constexpr size_t kInviteAddressesMax = 8;
inline constexpr uint32_t kInviteExpiresSDefault = 24 * 3600;
inline constexpr uint32_t kInviteUsesMax = 1'000'000;

using InviteToken = std::array<uint8_t, 16>;

struct Invite {
  DeviceKey issuer;
  InviteToken token{};
  int64_t expires_wall_s = 0;
  uint32_t role = 0;
  std::vector<std::string> addresses;  // multiaddrs of the issuer, without /p2p
};

std::string invite_to_text(const Invite& invite);
// Code::malformed with what is wrong in a person's words; Code::too_new for another version.
Result<Invite> invite_from_text(std::string_view text);

// What the issuer keeps of a token, and what names an invite in lists: H("sereus invite 1" 0x00 token).
Hash invite_token_hash(const InviteToken& token);

}  // namespace sereus::node
