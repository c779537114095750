// Hosts, connections and streams of the application.
#include <cstddef>

#include "core/capi/c_call.h"
#include "core/capi/host_settings.h"
#include "core/crypto/secret.h"

using namespace sereus;
using namespace sereus::capi;
using node::QueryKind;
using node::RequestKind;

namespace {

static_assert(kStreamWriteMax == SEREUS_STREAM_WRITE_MAX);

constexpr size_t kHostConfigSizeMin = offsetof(sereus_host_config, listen_count) + sizeof(size_t);
constexpr uint32_t kWriteFlags = SEREUS_STREAM_FINISH;

// Without a text; 0 names nothing.
sereus_status submit_for(sereus_node* node, RequestKind kind, sereus_id named, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  if (named == 0) return SEREUS_E_NOT_FOUND;
  RequestGuard guard(kind);
  guard.request.store = named;
  return submit(*handle, guard, op);
}

Code copy_lines(const char* const* lines, size_t count, Bytes* to) {
  if (lines == nullptr) return count == 0 ? Code::ok : Code::invalid;
  if (count > kListenMax) return Code::too_large;
  for (size_t i = 0; i < count; ++i) {
    Bytes line;
    const Code code = copy_text(lines[i], kTextSizeMax, Presence::required, &line);
    if (code != Code::ok) return code;
    if (!to->empty()) to->push_back('\n');
    append(*to, line);
  }
  return Code::ok;
}

Code copy_settings(const sereus_host_settings* from, Bytes* to) {
  const Result<node::HostSettings> settings = copy_host_settings(from);
  if (!settings.ok()) return settings.code();
  *to = node::encode_host_settings(*settings);
  return Code::ok;
}

}  // namespace

sereus_status sereus_host_create(sereus_node* node, const sereus_host_config* from, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  sereus_host_config config = SEREUS_INIT(sereus_host_config);
  if (from != nullptr) SEREUS_CHECK(copy_struct(from, kHostConfigSizeMin, &config));
  if (config.seed.size != 0 && config.seed.size != crypto::kSeedSize) return SEREUS_E_INVALID;
  RequestGuard guard(RequestKind::host_create);
  SEREUS_CHECK(copy_bytes(config.seed, crypto::kSeedSize, &guard.request.x));
  SEREUS_CHECK(copy_lines(config.listen, config.listen_count, &guard.request.y));
  SEREUS_CHECK(copy_settings(config.settings, &guard.request.w));
  return submit(*handle, guard, op);
}

sereus_status sereus_host_configure(sereus_node* node, sereus_id host, const sereus_host_settings* settings,
                                    sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::host_configure);
  guard.request.store = host;
  SEREUS_CHECK(copy_settings(settings, &guard.request.w));
  return submit(*handle, guard, op);
}

sereus_status sereus_peer_protect(sereus_node* node, sereus_id host, const char* peer, const char* tag, int on,
                                  sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::peer_protect);
  guard.request.store = host;
  guard.request.a = on != 0 ? 1 : 0;
  SEREUS_CHECK(copy_text(peer, kTextSizeMax, Presence::required, &guard.request.x));
  SEREUS_CHECK(copy_text(tag, kTextSizeMax, Presence::required, &guard.request.y));
  return submit(*handle, guard, op);
}

sereus_status sereus_network_changed(sereus_node* node, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::network_changed);
  return submit(*handle, guard, op);
}

sereus_status sereus_host_close(sereus_node* node, sereus_id host, sereus_id* op) {
  return submit_for(node, RequestKind::host_close, host, op);
}

sereus_status sereus_host_listen(sereus_node* node, sereus_id host, const char* address, sereus_id* op) {
  return submit_text(node, RequestKind::host_listen, host, address, kTextSizeMax, op);
}

sereus_status sereus_protocol_add(sereus_node* node, sereus_id host, const char* protocol, sereus_id* op) {
  return submit_text(node, RequestKind::protocol_add, host, protocol, kTextSizeMax, op);
}

sereus_status sereus_protocol_remove(sereus_node* node, sereus_id host, const char* protocol, sereus_id* op) {
  return submit_text(node, RequestKind::protocol_remove, host, protocol, kTextSizeMax, op);
}

sereus_status sereus_dial(sereus_node* node, sereus_id host, const char* peer, const char* addresses, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::dial);
  guard.request.store = host;
  SEREUS_CHECK(copy_text(peer, kTextSizeMax, Presence::optional, &guard.request.x));
  SEREUS_CHECK(copy_text(addresses, kAddressesSizeMax, Presence::optional, &guard.request.y));
  if (guard.request.x.empty() && guard.request.y.empty()) return SEREUS_E_INVALID;
  return submit(*handle, guard, op);
}

sereus_status sereus_disconnect(sereus_node* node, sereus_id connection, sereus_id* op) {
  return submit_for(node, RequestKind::disconnect, connection, op);
}

sereus_status sereus_ping(sereus_node* node, sereus_id connection, sereus_id* op) {
  return submit_for(node, RequestKind::ping, connection, op);
}

sereus_status sereus_identify(sereus_node* node, sereus_id connection, sereus_id* op) {
  return submit_for(node, RequestKind::identify, connection, op);
}

sereus_status sereus_stream_open(sereus_node* node, sereus_id connection, const char* protocol, sereus_id* op) {
  return submit_text(node, RequestKind::stream_open, connection, protocol, kTextSizeMax, op);
}

sereus_status sereus_stream_write(sereus_node* node, sereus_id stream, sereus_bytes data, uint32_t flags,
                                  sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  if (stream == 0) return SEREUS_E_NOT_FOUND;
  if ((flags & ~kWriteFlags) != 0) return SEREUS_E_UNSUPPORTED;
  RequestGuard guard(RequestKind::stream_write);
  guard.request.store = stream;
  guard.request.a = (flags & SEREUS_STREAM_FINISH) != 0 ? 1 : 0;
  SEREUS_CHECK(copy_bytes(data, kStreamWriteMax, &guard.request.x));
  return submit(*handle, guard, op);
}

sereus_status sereus_stream_read(sereus_node* node, sereus_id stream, uint32_t size_max, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  if (stream == 0) return SEREUS_E_NOT_FOUND;
  RequestGuard guard(RequestKind::stream_read);
  guard.request.store = stream;
  guard.request.a = size_max;
  return submit(*handle, guard, op);
}

sereus_status sereus_stream_reset(sereus_node* node, sereus_id stream, sereus_id* op) {
  return submit_for(node, RequestKind::stream_reset, stream, op);
}

sereus_status sereus_hosts(sereus_node* node, sereus_rows** out) { return read_all(node, QueryKind::hosts, out); }
sereus_status sereus_connections(sereus_node* node, sereus_rows** out) {
  return read_all(node, QueryKind::connections, out);
}
