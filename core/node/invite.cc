#include "core/node/invite.h"

#include "core/codec/cbor.h"
#include "core/codec/multibase.h"
#include "core/crypto/hash.h"

namespace sereus::node {
namespace {

constexpr std::string_view kPrefix = "sereus1";
constexpr size_t kCheckSize = 4;
constexpr uint64_t kVersion = 1;

Result<Invite> parse(ByteView body) {
  CborReader reader(body);
  uint64_t fields = 0;
  uint64_t version = 0;
  if (!reader.get_array(fields) || !reader.get_uint(version)) return reader.error();
  if (version != kVersion)
    return fail(Code::too_new, "this invite was made by a newer version of Sereus; update first");
  Invite invite;
  uint64_t expires = 0;
  uint64_t role = 0;
  uint64_t addresses = 0;
  if (fields != 6 || !reader.get_fixed(invite.issuer.bytes) || !reader.get_fixed(invite.token) ||
      !reader.get_uint(expires) || !reader.get_uint(role) || !reader.get_array(addresses) ||
      addresses > kInviteAddressesMax || expires > INT64_MAX || role > 255) {
    return fail(Code::malformed, "this invite is damaged; copy it again");
  }
  invite.expires_wall_s = static_cast<int64_t>(expires);
  invite.role = static_cast<uint32_t>(role);
  for (uint64_t i = 0; i < addresses; ++i) {
    std::string_view address;
    if (!reader.get_text(address)) return reader.error();
    invite.addresses.emplace_back(address);
  }
  SEREUS_TRY(reader.expect_end());
  return invite;
}

}  // namespace

std::string invite_to_text(const Invite& invite) {
  Bytes body;
  CborWriter writer(body);
  writer.array(6);
  writer.uint(kVersion);
  writer.bytes(invite.issuer.view());
  writer.bytes(invite.token);
  writer.uint(static_cast<uint64_t>(invite.expires_wall_s));
  writer.uint(invite.role);
  writer.array(invite.addresses.size());
  for (const std::string& address : invite.addresses) writer.text(address);
  writer.finish();
  const Hash check = blake2b_256(body);
  append(body, check.view().first(kCheckSize));
  return std::string(kPrefix) + codec::base32_encode(body);
}

Result<Invite> invite_from_text(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (text.size() > kInviteTextSizeMax || !text.starts_with(kPrefix)) {
    return fail(Code::malformed, "this is not an invite; an invite is one line that begins with sereus1");
  }
  const auto bytes = codec::base32_decode(text.substr(kPrefix.size()));
  if (!bytes || bytes->size() <= kCheckSize) return fail(Code::malformed, "this invite is damaged; copy it again");
  const ByteView body = ByteView(*bytes).first(bytes->size() - kCheckSize);
  const Hash check = blake2b_256(body);
  if (!equal(check.view().first(kCheckSize), ByteView(*bytes).last(kCheckSize))) {
    return fail(Code::malformed, "this invite was copied incompletely or mistyped; copy it again");
  }
  return parse(body);
}

Hash invite_token_hash(const InviteToken& token) { return hash_in_context("sereus invite 1", token); }

}  // namespace sereus::node
