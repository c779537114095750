// ngtcp2's callbacks: C functions that find the connection and call it. None of them calls back into ngtcp2's packet
// functions, as ngtcp2 demands.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include <cstdint>

namespace sereus::net {

class QuicConnection;
struct QuicStream;

struct QuicCallbacks {
  static ngtcp2_callbacks table();

 private:
  static int crypto_data(ngtcp2_conn* conn, ngtcp2_encryption_level level, uint64_t offset, const uint8_t* data,
                         size_t size, void* user_data);
  static int handshake_completed(ngtcp2_conn* conn, void* user_data);
  static int handshake_confirmed(ngtcp2_conn* conn, void* user_data);
  static int stream_data(ngtcp2_conn* conn, uint32_t flags, int64_t id, uint64_t offset, const uint8_t* data,
                         size_t size, void* user_data, void* stream);
  static int stream_acked(ngtcp2_conn* conn, int64_t id, uint64_t offset, uint64_t size, void* user_data, void* stream);
  static int stream_open(ngtcp2_conn* conn, int64_t id, void* user_data);
  static int stream_close(ngtcp2_conn* conn, uint32_t flags, int64_t id, uint64_t error, void* user_data, void* stream);
  static int stream_reset(ngtcp2_conn* conn, int64_t id, uint64_t final_size, uint64_t error, void* user_data,
                          void* stream);
  static int stop_sending(ngtcp2_conn* conn, int64_t id, uint64_t error, void* user_data, void* stream);
  static int window_grown(ngtcp2_conn* conn, int64_t id, uint64_t limit, void* user_data, void* stream);
  static int new_cid(ngtcp2_conn* conn, ngtcp2_cid* cid, uint8_t* token, void* user_data);
  static int remove_cid(ngtcp2_conn* conn, const ngtcp2_cid* cid, void* user_data);
  static void peer_cid(ngtcp2_connection_id_status_type status, const uint8_t* token, void* user_data);
  static void stateless_reset(void* user_data);
  static void path_challenge(uint8_t* data, void* user_data);
};

}  // namespace sereus::net
