#include "core/net/quic_callbacks.h"

#include <ngtcp2/ngtcp2_crypto.h>

#include "core/net/quic_connection.h"

namespace sereus::net {
namespace {

constexpr uint8_t kUnexpectedMessage = 10;  // TLS alert (RFC 8446 6.2)

QuicConnection& of(void* user_data) { return *static_cast<QuicConnection*>(user_data); }

void fill_random(uint8_t* out, size_t size, const ngtcp2_rand_ctx* context) {
  static_cast<Random*>(context->native_handle)->fill(ByteSpan(out, size));
}

}  // namespace

int QuicCallbacks::crypto_data(ngtcp2_conn* conn, ngtcp2_encryption_level level, uint64_t offset, const uint8_t* data,
                               size_t size, void* user_data) {
  // After the handshake a server sends nothing but session tickets (RFC 9001 sections 4.4 and 6 forbid the rest). We never
  // resume, since a resumed session would not prove the peer's key, and wolfSSL refuses rustls' tickets for their long
  // nonces: they are not looked at.
  if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT && ngtcp2_conn_is_server(conn) == 0) return 0;
  if (of(user_data).tls_ == nullptr) {
    ngtcp2_conn_set_tls_alert(conn, kUnexpectedMessage);
    return NGTCP2_ERR_CRYPTO;
  }
  return ngtcp2_crypto_recv_crypto_data_cb(conn, level, offset, data, size, user_data);
}

int QuicCallbacks::handshake_completed(ngtcp2_conn* /*conn*/, void* user_data) {
  QuicConnection& connection = of(user_data);
  if (const Status status = connection.on_handshake_completed(); !status) {
    connection.callback_error_ = status.error();
    return NGTCP2_ERR_CALLBACK_FAILURE;
  }
  return 0;
}

int QuicCallbacks::handshake_confirmed(ngtcp2_conn* /*conn*/, void* user_data) {
  of(user_data).tls_finished_ = true;
  return 0;
}

int QuicCallbacks::stream_data(ngtcp2_conn* /*conn*/, uint32_t flags, int64_t /*id*/, uint64_t /*offset*/,
                               const uint8_t* data, size_t size, void* user_data, void* stream) {
  if (stream != nullptr) {
    of(user_data).on_stream_data(*static_cast<QuicStream*>(stream), ByteView(data, size),
                                 (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
  }
  return 0;
}

int QuicCallbacks::stream_acked(ngtcp2_conn* /*conn*/, int64_t /*id*/, uint64_t /*offset*/, uint64_t size,
                                void* user_data, void* stream) {
  if (stream != nullptr) of(user_data).on_stream_acked(*static_cast<QuicStream*>(stream), static_cast<size_t>(size));
  return 0;
}

int QuicCallbacks::stream_open(ngtcp2_conn* /*conn*/, int64_t id, void* user_data) {
  of(user_data).on_stream_open(id);
  return 0;
}

int QuicCallbacks::stream_close(ngtcp2_conn* /*conn*/, uint32_t /*flags*/, int64_t /*id*/, uint64_t /*error*/,
                                void* user_data, void* stream) {
  if (stream != nullptr) of(user_data).on_stream_closed(*static_cast<QuicStream*>(stream));
  return 0;
}

int QuicCallbacks::stream_reset(ngtcp2_conn* /*conn*/, int64_t /*id*/, uint64_t /*final_size*/, uint64_t /*error*/,
                                void* user_data, void* stream) {
  if (stream != nullptr) of(user_data).on_stream_reset(*static_cast<QuicStream*>(stream));
  return 0;
}

int QuicCallbacks::stop_sending(ngtcp2_conn* /*conn*/, int64_t /*id*/, uint64_t /*error*/, void* user_data,
                                void* stream) {
  if (stream != nullptr) of(user_data).on_stop_sending(*static_cast<QuicStream*>(stream));
  return 0;
}

int QuicCallbacks::window_grown(ngtcp2_conn* /*conn*/, int64_t /*id*/, uint64_t /*limit*/, void* user_data,
                                void* stream) {
  if (stream != nullptr) of(user_data).enqueue(*static_cast<QuicStream*>(stream));
  return 0;
}

int QuicCallbacks::new_cid(ngtcp2_conn* /*conn*/, ngtcp2_cid* cid, uint8_t* token, void* user_data) {
  QuicConnection& connection = of(user_data);
  *cid = connection.draw_cid();
  connection.reset_token(*cid, token);
  connection.add_cid(*cid);
  return 0;
}

int QuicCallbacks::remove_cid(ngtcp2_conn* /*conn*/, const ngtcp2_cid* cid, void* user_data) {
  of(user_data).remove_cid(*cid);
  return 0;
}

void QuicCallbacks::peer_cid(ngtcp2_connection_id_status_type status, const uint8_t* token, void* user_data) {
  if (token == nullptr) return;
  QuicConnection& connection = of(user_data);
  const Cid key = connection.core_.hidden_token(ByteView(token, NGTCP2_STATELESS_RESET_TOKENLEN));
  if (status == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE) {
    connection.core_.reset_tokens.emplace(key, connection.id_);
    connection.reset_tokens_.push_back(key);
  } else if (std::erase(connection.reset_tokens_, key) > 0) {
    connection.core_.reset_tokens.erase(key);
  }
}

void QuicCallbacks::stateless_reset(void* user_data) { of(user_data).stateless_reset_ = true; }

void QuicCallbacks::path_challenge(uint8_t* data, void* user_data) {
  of(user_data).core_.random.fill(ByteSpan(data, NGTCP2_PATH_CHALLENGE_DATALEN));
}

ngtcp2_callbacks QuicCallbacks::table() {
  ngtcp2_callbacks out{};
  // Cryptography is libngtcp2_crypto_wolfssl's.
  out.client_initial = ngtcp2_crypto_client_initial_cb;
  out.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
  out.recv_crypto_data = crypto_data;
  out.encrypt = ngtcp2_crypto_encrypt_cb;
  out.decrypt = ngtcp2_crypto_decrypt_cb;
  out.hp_mask = ngtcp2_crypto_hp_mask_cb;
  out.recv_retry = ngtcp2_crypto_recv_retry_cb;
  out.update_key = ngtcp2_crypto_update_key_cb;
  out.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
  out.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
  out.version_negotiation = ngtcp2_crypto_version_negotiation_cb;

  out.rand = fill_random;
  out.handshake_completed = handshake_completed;
  out.handshake_confirmed = handshake_confirmed;
  out.recv_stream_data = stream_data;
  out.acked_stream_data_offset = stream_acked;
  out.stream_open = stream_open;
  out.stream_close = stream_close;
  out.stream_reset = stream_reset;
  out.extend_max_stream_data = window_grown;
  out.remove_connection_id = remove_cid;
#if NGTCP2_VERSION_NUM >= 0x011600
  out.get_new_connection_id2 = [](ngtcp2_conn* conn, ngtcp2_cid* cid, ngtcp2_stateless_reset_token* token, size_t,
                                  void* user_data) { return new_cid(conn, cid, token->data, user_data); };
  out.get_path_challenge_data2 = [](ngtcp2_conn*, ngtcp2_path_challenge_data* data, void* user_data) {
    path_challenge(data->data, user_data);
    return 0;
  };
  out.dcid_status2 = [](ngtcp2_conn*, ngtcp2_connection_id_status_type status, uint64_t, const ngtcp2_cid*,
                        const ngtcp2_stateless_reset_token* token, void* user_data) {
    peer_cid(status, token == nullptr ? nullptr : token->data, user_data);
    return 0;
  };
  out.recv_stateless_reset2 = [](ngtcp2_conn*, const ngtcp2_pkt_stateless_reset2*, void* user_data) {
    stateless_reset(user_data);
    return 0;
  };
#else
  out.get_new_connection_id = [](ngtcp2_conn* conn, ngtcp2_cid* cid, uint8_t* token, size_t, void* user_data) {
    return new_cid(conn, cid, token, user_data);
  };
  out.get_path_challenge_data = [](ngtcp2_conn*, uint8_t* data, void* user_data) {
    path_challenge(data, user_data);
    return 0;
  };
  out.dcid_status = [](ngtcp2_conn*, ngtcp2_connection_id_status_type status, uint64_t, const ngtcp2_cid*,
                       const uint8_t* token, void* user_data) {
    peer_cid(status, token, user_data);
    return 0;
  };
  out.recv_stateless_reset = [](ngtcp2_conn*, const ngtcp2_pkt_stateless_reset*, void* user_data) {
    stateless_reset(user_data);
    return 0;
  };
#endif
#if NGTCP2_VERSION_NUM >= 0x011800
  out.recv_stop_sending = stop_sending;
#else
  (void)stop_sending;  // older libraries answer STOP_SENDING themselves; we notice at the next write
#endif
  return out;
}

}  // namespace sereus::net
