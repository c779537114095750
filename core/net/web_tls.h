// TLS as the web has it, around secure WebSocket: a server shows a certificate for its name, a client may check it. The
// libp2p peer is proved inside, whatever this layer says (docs/formats/transport.md).
//
// Thread rule: the node's thread.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/ports/files.h"
#include "core/ports/random.h"

struct WOLFSSL_CTX;

namespace sereus::net {

using WebTlsContext = std::shared_ptr<WOLFSSL_CTX>;

// What listeners of secure WebSocket show. Replaced at run time: connections keep what they began with.
class TlsServerCertificate {
 public:
  // `random` outlives this.
  explicit TlsServerCertificate(Random& random) : random_(random) {}

  // `chain`: certificates in PEM, the server's own first, then those that signed it. `key`: the first one's private key in
  // PEM, without passphrase. What was loaded before stays when this fails. Errors, whose texts say what is wrong: malformed,
  // too_large, invalid (the key is another certificate's).
  Status load(ByteView chain, ByteView key);
  // From files; further errors are those of `files`.
  Status load(Files& files, std::string_view chain_path, std::string_view key_path);

  bool loaded() const { return context_ != nullptr; }
  const WebTlsContext& context() const { return context_; }  // null before

 private:
  Random& random_;
  WebTlsContext context_;
};

// Who is trusted to sign the certificates of servers that are dialed.
class TlsTrust {
 public:
  // `anchors` gives certificates in PEM; it is asked once, at the first use.
  TlsTrust(std::function<Result<Bytes>()> anchors, Random& random) : anchors_(std::move(anchors)), random_(random) {}
  // Nobody is asked: whoever answers is let in. Enough where the peer inside is all that counts, and the connection then
  // shows to anyone on the path what it is.
  static std::shared_ptr<TlsTrust> in_everyone(Random& random);

  bool verifies() const { return anchors_ != nullptr; }
  // Errors: those of `anchors`, and malformed when there is no usable certificate; told again at every call.
  Result<WebTlsContext> context();

 private:
  Status load();

  std::function<Result<Bytes>()> anchors_;  // null: not checked
  Random& random_;
  WebTlsContext context_;
  Status loaded_;
  bool tried_ = false;
};

}  // namespace sereus::net
