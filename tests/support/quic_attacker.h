// A QUIC client that breaks the rules. ngtcp2 and the core's TLS make its handshake, so that the server believes it; from
// then on its packets are put together here, with any frames in them, and sealed with the connection's own keys.
#pragma once

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <wolfssl/ssl.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "core/net/quic_path.h"
#include "core/net/quic_tls.h"
#include "core/net/wolfssl_scope.h"
#include "tests/support/net_world.h"

namespace sereus::test {

// Variable-length integer (RFC 9000 section 16).
inline void put_varint(Bytes& out, uint64_t value) {
  const size_t log = value < (1u << 6) ? 0 : value < (1u << 14) ? 1 : value < (1u << 30) ? 2 : 3;
  const size_t size = size_t{1} << log;
  for (size_t i = 0; i < size; ++i) out.push_back(static_cast<uint8_t>(value >> (8 * (size - 1 - i))));
  out[out.size() - size] |= static_cast<uint8_t>(log << 6);
}

class QuicAttacker {
 public:
  struct Options {
    // Behind the encoded transport parameters.
    Bytes more_parameters;
    // Changes what is encoded.
    std::function<void(ngtcp2_transport_params&)> parameters;
  };

  // Takes over the world's trace.
  QuicAttacker(NetWorld& world, const IpEndpoint& own, const IpEndpoint& server, Options options = {})
      : world_(world), own_(own), server_(server), options_(std::move(options)), random_(99), path_(own, server) {
    world_.trace = [this](const NetWorld::Datagram& datagram) {
      if (datagram.from != server_) return;
      ++answers;
      answer_bytes += datagram.data.size();
      if (datagram.to == own_ && reading_) inbox_.push_back(datagram.data);
    };
    const net::WolfsslScope scope(random_, world_.now().wall_us);
    const crypto::KeyPair device = NetWorld::key(200);
    context_ = net::make_quic_tls_context(net::make_tls_identity(device, random_).value()).value();
    make_connection();
  }
  ~QuicAttacker() {
    world_.trace = {};
    const net::WolfsslScope scope(random_, world_.now().wall_us);
    for (ngtcp2_conn* conn : {conn_, unheard_conn_}) ngtcp2_conn_del(conn);
  }
  QuicAttacker(const QuicAttacker&) = delete;
  QuicAttacker& operator=(const QuicAttacker&) = delete;

  // Makes the first flight without sending it: then send_initial() has its keys.
  void begin() { (void)write(); }

  // The handshake, in order. False when the server does not agree.
  bool connect(uint64_t for_us = 5 * kMicrosPerSecond) {
    reading_ = true;
    const uint64_t until = world_.now_us + for_us;
    while (world_.now_us < until && !failed_ && !(keys_of(false) && ngtcp2_conn_get_handshake_completed(conn_) != 0)) {
      exchange();
    }
    for (int i = 0; i < 20 && !failed_; ++i) exchange();  // until the server has confirmed
    reading_ = false;
    inbox_.clear();
    return !failed_ && ngtcp2_conn_get_handshake_completed(conn_) != 0;
  }

  // A packet of the connection with these frames, padded to look like any other.
  void send_frames(ByteView frames, const IpEndpoint* from = nullptr) {
    const ngtcp2_cid* to = ngtcp2_conn_get_dcid(conn_);
    Bytes header{0x43};  // short, four bytes of packet number
    append(header, ByteView(to->data, to->datalen));
    seal(short_, std::move(header), frames, from);
  }
  // An Initial, in a datagram of 1200 bytes.
  void send_initial(ByteView frames) {
    const ngtcp2_cid* to = ngtcp2_conn_get_client_initial_dcid(conn_);
    Bytes header{0xc3, 0, 0, 0, 1, static_cast<uint8_t>(to->datalen)};
    append(header, ByteView(to->data, to->datalen));
    header.push_back(static_cast<uint8_t>(source_.datalen));
    append(header, ByteView(source_.data, source_.datalen));
    header.push_back(0);  // no token
    Bytes padded = to_bytes(frames);
    const size_t overhead = header.size() + 2 + 4 + kTagSize;
    if (padded.size() + overhead < 1200) padded.resize(1200 - overhead, 0);
    header.push_back(static_cast<uint8_t>(0x40 | ((4 + padded.size() + kTagSize) >> 8)));
    header.push_back(static_cast<uint8_t>(4 + padded.size() + kTagSize));
    seal(initial_, std::move(header), padded, nullptr);
  }

  uint64_t answers = 0;
  uint64_t answer_bytes = 0;
  uint64_t sent_bytes = 0;

 private:
  static constexpr size_t kTagSize = 16;
  static constexpr size_t kIvSize = 12;
  static constexpr size_t kPayloadMin = 64;

  struct Keys {
    bool known = false;
    ngtcp2_crypto_aead aead{};
    ngtcp2_crypto_aead_ctx context{};
    ngtcp2_crypto_cipher hp{};
    ngtcp2_crypto_cipher_ctx hp_context{};
    uint8_t iv[kIvSize] = {};
  };

  bool keys_of(bool initial) const { return (initial ? initial_ : short_).known; }

  // ngtcp2 hands the keys to these callbacks without saying whose they are.
  static QuicAttacker*& current() {
    static QuicAttacker* attacker = nullptr;
    return attacker;
  }
  struct Current {
    explicit Current(QuicAttacker& attacker) { current() = &attacker; }
    ~Current() { current() = nullptr; }
  };

  static int encrypt(uint8_t* out, const ngtcp2_crypto_aead* aead, const ngtcp2_crypto_aead_ctx* context,
                     const uint8_t* plain, size_t size, const uint8_t* nonce, size_t nonce_size, const uint8_t* header,
                     size_t header_size) {
    QuicAttacker& self = *current();
    const bool is_short = (header[0] & 0x80) == 0;
    self.latest_ = is_short ? &self.short_ : (header[0] & 0x30) == 0 ? &self.initial_ : nullptr;
    if (self.latest_ != nullptr) {
      Keys& keys = *self.latest_;
      keys.aead = *aead;
      keys.context = *context;
      std::copy_n(nonce, kIvSize, keys.iv);
      // The nonce is the initialization vector and the packet number (RFC 9001 section 5.3).
      const size_t number_size = (header[0] & 3u) + 1;
      for (size_t i = 0; i < number_size; ++i) keys.iv[kIvSize - 1 - i] ^= header[header_size - 1 - i];
    }
    return ngtcp2_crypto_encrypt_cb(out, aead, context, plain, size, nonce, nonce_size, header, header_size);
  }
  static int hp_mask(uint8_t* out, const ngtcp2_crypto_cipher* hp, const ngtcp2_crypto_cipher_ctx* context,
                     const uint8_t* sample) {
    // Right behind encrypt() it is that packet's; else one of a packet that is read.
    if (Keys* keys = std::exchange(current()->latest_, nullptr)) {
      keys->hp = *hp;
      keys->hp_context = *context;
      keys->known = true;
    }
    return ngtcp2_crypto_hp_mask_cb(out, hp, context, sample);
  }
  static int client_initial(ngtcp2_conn* conn, void* user_data) {
    auto& self = *static_cast<QuicAttacker*>(user_data);
    if (self.options_.more_parameters.empty()) return ngtcp2_crypto_client_initial_cb(conn, user_data);
    // The library's callback installs the keys and then lets TLS speak with the parameters as they should be. A session
    // that nobody hears takes that part.
    ngtcp2_conn_set_tls_native_handle(conn, self.unheard_tls_->native());
    if (ngtcp2_crypto_client_initial_cb(conn, user_data) != 0) return NGTCP2_ERR_CALLBACK_FAILURE;
    ngtcp2_conn_set_tls_native_handle(conn, self.tls_->native());
    uint8_t encoded[512];
    const ngtcp2_ssize size = ngtcp2_conn_encode_local_transport_params(conn, encoded, sizeof encoded);
    if (size < 0) return NGTCP2_ERR_CALLBACK_FAILURE;
    Bytes parameters(encoded, encoded + size);
    append(parameters, self.options_.more_parameters);
    if (wolfSSL_set_quic_transport_params(self.tls_->native(), parameters.data(), parameters.size()) !=
            WOLFSSL_SUCCESS ||
        ngtcp2_crypto_read_write_crypto_data(conn, NGTCP2_ENCRYPTION_LEVEL_INITIAL, nullptr, 0) != 0) {
      return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
  }

  ngtcp2_callbacks callbacks() {
    ngtcp2_callbacks out{};
    out.client_initial = client_initial;
    out.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    out.encrypt = encrypt;
    out.decrypt = ngtcp2_crypto_decrypt_cb;
    out.hp_mask = hp_mask;
    out.recv_retry = ngtcp2_crypto_recv_retry_cb;
    out.update_key = ngtcp2_crypto_update_key_cb;
    out.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    out.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    out.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    out.rand = [](uint8_t* data, size_t size, const ngtcp2_rand_ctx* context) {
      static_cast<Random*>(context->native_handle)->fill(ByteSpan(data, size));
    };
#if NGTCP2_VERSION_NUM >= 0x011600
    out.get_new_connection_id2 = [](ngtcp2_conn*, ngtcp2_cid* cid, ngtcp2_stateless_reset_token* token, size_t size,
                                    void* user_data) {
      return static_cast<QuicAttacker*>(user_data)->draw_cid(*cid, token->data, size);
    };
    out.get_path_challenge_data2 = [](ngtcp2_conn*, ngtcp2_path_challenge_data* data, void*) {
      std::fill_n(data->data, NGTCP2_PATH_CHALLENGE_DATALEN, uint8_t{7});
      return 0;
    };
#else
    out.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* cid, uint8_t* token, size_t size, void* user_data) {
      return static_cast<QuicAttacker*>(user_data)->draw_cid(*cid, token, size);
    };
    out.get_path_challenge_data = [](ngtcp2_conn*, uint8_t* data, void*) {
      std::fill_n(data, NGTCP2_PATH_CHALLENGE_DATALEN, uint8_t{7});
      return 0;
    };
#endif
    return out;
  }

  int draw_cid(ngtcp2_cid& cid, uint8_t* token, size_t size) {
    cid.datalen = size;
    random_.fill(ByteSpan(cid.data, size));
    random_.fill(ByteSpan(token, NGTCP2_STATELESS_RESET_TOKENLEN));
    return 0;
  }

  void make_connection() {
    ngtcp2_settings settings;
    ngtcp2_settings_default(&settings);
    settings.initial_ts = world_.now_us * 1000;
    settings.rand_ctx.native_handle = static_cast<Random*>(&random_);
    ngtcp2_transport_params params;
    ngtcp2_transport_params_default(&params);
    params.initial_max_data = params.initial_max_stream_data_bidi_local = params.initial_max_stream_data_bidi_remote =
        1 << 20;
    params.initial_max_streams_bidi = 100;
    if (options_.parameters) options_.parameters(params);
    ngtcp2_cid destination{};
    destination.datalen = 18;
    random_.fill(ByteSpan(destination.data, destination.datalen));
    source_.datalen = 8;
    random_.fill(ByteSpan(source_.data, source_.datalen));
    const ngtcp2_callbacks table = callbacks();
    times_ = world_.now();
    const auto make = [&](ngtcp2_conn** conn) {
      (void)ngtcp2_conn_client_new(conn, &destination, &source_, &path_.get(), NGTCP2_PROTO_VER_V1, &table, &settings,
                                   &params, nullptr, this);
      return net::TlsSession::create(*context_, false, conn, &times_, true, std::nullopt).value();
    };
    tls_ = make(&conn_);
    unheard_tls_ = make(&unheard_conn_);
    ngtcp2_conn_set_tls_native_handle(conn_, tls_->native());
  }

  std::vector<Bytes> write() {
    const net::WolfsslScope scope(random_, world_.now().wall_us);
    const Current here(*this);
    std::vector<Bytes> out;
    while (out.size() < 100) {
      Bytes packet(1400);
      ngtcp2_path_storage path;
      ngtcp2_path_storage_zero(&path);
      ngtcp2_pkt_info info{};
      const ngtcp2_ssize size =
          ngtcp2_conn_write_pkt(conn_, &path.path, &info, packet.data(), packet.size(), world_.now_us * 1000);
      failed_ = failed_ || size < 0;
      if (size <= 0) break;
      packet.resize(static_cast<size_t>(size));
      out.push_back(std::move(packet));
    }
    return out;
  }

  void exchange() {
    times_ = world_.now();
    for (const Bytes& packet : write()) world_.inject(own_, server_, packet);
    world_.run(1000);
    const net::WolfsslScope scope(random_, world_.now().wall_us);
    const Current here(*this);
    for (; !inbox_.empty(); inbox_.pop_front()) {
      const ngtcp2_pkt_info info{};
      failed_ = failed_ || ngtcp2_conn_read_pkt(conn_, &path_.get(), &info, inbox_.front().data(),
                                                inbox_.front().size(), world_.now_us * 1000) != 0;
    }
    if (ngtcp2_conn_get_expiry(conn_) <= world_.now_us * 1000) {
      failed_ = failed_ || ngtcp2_conn_handle_expiry(conn_, world_.now_us * 1000) != 0;
    }
  }

  // Encrypts and protects as RFC 9001 sections 5.3 and 5.4 say; `header` is without the packet number.
  void seal(const Keys& keys, Bytes header, ByteView frames, const IpEndpoint* from) {
    const net::WolfsslScope scope(random_, world_.now().wall_us);
    Bytes plain = to_bytes(frames);
    if (plain.size() < kPayloadMin) plain.resize(kPayloadMin, 0);
    const size_t number_at = header.size();
    header.resize(number_at + 4);
    store_be<uint32_t>(header.data() + number_at, ++number_);
    uint8_t nonce[kIvSize];
    std::copy_n(keys.iv, kIvSize, nonce);
    for (size_t i = 0; i < 4; ++i) nonce[kIvSize - 1 - i] ^= header[number_at + 3 - i];
    Bytes packet = header;
    packet.resize(header.size() + plain.size() + kTagSize);
    (void)ngtcp2_crypto_encrypt(packet.data() + header.size(), &keys.aead, &keys.context, plain.data(), plain.size(),
                                nonce, kIvSize, header.data(), header.size());
    uint8_t mask[16];
    (void)ngtcp2_crypto_hp_mask(mask, &keys.hp, &keys.hp_context, packet.data() + number_at + 4);
    packet[0] ^= mask[0] & ((packet[0] & 0x80) != 0 ? 0x0f : 0x1f);
    for (size_t i = 0; i < 4; ++i) packet[number_at + i] ^= mask[1 + i];
    sent_bytes += packet.size();
    world_.inject(from == nullptr ? own_ : *from, server_, packet);
  }

  NetWorld& world_;
  IpEndpoint own_;
  IpEndpoint server_;
  Options options_;
  SeededRandom random_;
  net::QuicPath path_;
  Times times_;
  std::unique_ptr<net::TlsContext> context_;
  ngtcp2_conn* conn_ = nullptr;
  std::unique_ptr<net::TlsSession> tls_;
  ngtcp2_conn* unheard_conn_ = nullptr;
  std::unique_ptr<net::TlsSession> unheard_tls_;
  ngtcp2_cid source_{};
  Keys initial_;
  Keys short_;
  Keys* latest_ = nullptr;
  uint32_t number_ = 1000;  // above all that ngtcp2 used
  bool reading_ = false;
  bool failed_ = false;
  std::deque<Bytes> inbox_;
};

}  // namespace sereus::test
