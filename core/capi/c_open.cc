// Opening, connecting, closing, giving up, suspending.
#include <cstddef>
#include <cstring>
#include <utility>

#include "core/capi/c_call.h"
#include "core/capi/host_settings.h"
#include "core/capi/local_backend.h"
#include "core/capi/remote_backend.h"
#include "core/crypto/secret.h"

using namespace sereus;
using namespace sereus::capi;

namespace {

constexpr uint32_t kFlags = SEREUS_OPEN_OFFLINE | SEREUS_OPEN_CALLER_DRIVEN | SEREUS_OPEN_FSYNC_EACH |
                            SEREUS_OPEN_KDF_INTERACTIVE | SEREUS_OPEN_VERIFY_EACH | SEREUS_OPEN_EXISTING;
constexpr size_t kConfigSizeMin = offsetof(sereus_config, operations_max) + sizeof(uint32_t);
constexpr const char* kListenDefault[] = {"/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/udp/0/quic-v1"};

Error wrong(const char* what) { return fail(Code::invalid, std::string("sereus_config: ") + what); }

Status copy_path(const char* from, Presence presence, const char* what, std::string* to) {
  Bytes text;
  const Code code = copy_text(from, kTextSizeMax, presence, &text);
  if (code != Code::ok) return fail(code, std::string("sereus_config: ") + what);
  *to = to_string(ByteView(text));
  return {};
}

Status copy_listen(const sereus_config& config, std::vector<std::string>* to) {
  if (config.listen == nullptr) {
    if (config.listen_count != 0) return wrong("listen_count without listen");
    to->assign(std::begin(kListenDefault), std::end(kListenDefault));
    return {};
  }
  if (config.listen_count > kListenMax) return fail(Code::too_large, "sereus_config: too many addresses to listen on");
  for (size_t i = 0; i < config.listen_count; ++i) {
    std::string address;
    SEREUS_TRY(
        copy_path(config.listen[i], Presence::required, "an address to listen on is missing or no text", &address));
    to->push_back(std::move(address));
  }
  return {};
}

// Everything but the passphrase, so that no failure leaves a copy of it behind.
Result<LocalConfig> copy_config(const sereus_config& config) {
  LocalConfig out;
  SEREUS_TRY(copy_path(config.data_folder, Presence::optional, "data_folder is too long or not UTF-8",
                       &out.system.data_folder));
  // NULL asks for a node in memory; "" is somebody's mistake.
  if (config.data_folder != nullptr && out.system.data_folder.empty()) return wrong("data_folder is empty");
  if (config.data_folder == nullptr && (config.flags & SEREUS_OPEN_EXISTING) != 0) {
    return wrong("a node in memory does not exist before it is opened");
  }
  SEREUS_TRY(copy_path(config.control_socket, Presence::optional, "control_socket is too long or not UTF-8",
                       &out.control_socket));
  if ((config.flags & ~kFlags) != 0) return fail(Code::unsupported, "sereus_config: flags of a newer version");
  if (config.log_level > SEREUS_LOG_TRACE) return wrong("unknown log_level");
  if (config.event_queue_max > kEventQueueMax) return wrong("event_queue_max is too large");
  if (config.operations_max > kOperationsMax) return wrong("operations_max is too large");
  SEREUS_TRY(copy_listen(config, &out.node.listen));
  out.system.create = (config.flags & SEREUS_OPEN_EXISTING) == 0;
  out.system.caller_driven = (config.flags & SEREUS_OPEN_CALLER_DRIVEN) != 0;
  out.node.online = (config.flags & SEREUS_OPEN_OFFLINE) == 0;
  out.node.fsync_each = (config.flags & SEREUS_OPEN_FSYNC_EACH) != 0;
  out.node.kdf_interactive = (config.flags & SEREUS_OPEN_KDF_INTERACTIVE) != 0;
  out.node.verify_every_signature = (config.flags & SEREUS_OPEN_VERIFY_EACH) != 0;
  out.node.build_wall_s = kBuildWallSeconds;
  out.limits.events_max = config.event_queue_max == 0 ? kEventQueueDefault : config.event_queue_max;
  out.limits.operations_max = config.operations_max == 0 ? kOperationsDefault : config.operations_max;
  SEREUS_ASSIGN(out.node.host, copy_host_settings(config.host));
  out.log_level = config.log_level == 0 ? LogLevel::warn : static_cast<LogLevel>(config.log_level);
  if (config.log != nullptr) {
    out.log = [log = config.log, user = config.log_user](uint32_t level, const char* room, const char* message) {
      log(user, level, room, message);
    };
  }
  return out;
}

sereus_node* make_handle(std::unique_ptr<NodeBackend> backend) {
  return register_node(std::make_shared<NodeHandle>(std::move(backend), platform()));
}

Status open(const sereus_config* given, sereus_node** out) {
  if (given == nullptr) return fail(Code::invalid, "no sereus_config");
  sereus_config config = SEREUS_INIT(sereus_config);
  const Code copied = copy_struct(given, kConfigSizeMin, &config);
  if (copied != Code::ok) return fail(copied, "sereus_config: `size` is not that of a known version");
  SEREUS_ASSIGN(LocalConfig local, copy_config(config));
  const Code code = copy_bytes(config.passphrase, kPassphraseSizeMax, &local.node.passphrase);
  if (code != Code::ok) return fail(code, "sereus_config: the passphrase is too long, or has no bytes");
  SEREUS_ASSIGN(auto backend, LocalBackend::open(platform(), node::Node::open, std::move(local)));
  *out = make_handle(std::move(backend));
  return {};
}

void tell_failure(const sereus_config* config, const Error& error, char* detail, size_t detail_size) {
  const std::string text = error.detail.empty() ? std::string(code_meaning(error.code)) : error.detail;
  if (detail != nullptr && detail_size != 0) {
    const size_t size = std::min(text.size(), detail_size - 1);
    std::memcpy(detail, text.data(), size);
    detail[size] = '\0';
  }
  sereus_config known = SEREUS_INIT(sereus_config);
  if (config == nullptr || copy_struct(config, kConfigSizeMin, &known) != Code::ok) return;
  if (known.log != nullptr) known.log(known.log_user, SEREUS_LOG_ERROR, "capi", text.c_str());
}

}  // namespace

sereus_status sereus_open(const sereus_config* config, sereus_node** out) {
  return sereus_open_detailed(config, out, nullptr, 0);
}

sereus_status sereus_open_detailed(const sereus_config* config, sereus_node** out, char* detail, size_t detail_size) {
  if (detail != nullptr && detail_size != 0) detail[0] = '\0';
  if (out == nullptr) return SEREUS_E_INVALID;
  *out = nullptr;
  const Status status = open(config, out);
  if (!status.ok()) tell_failure(config, status.error(), detail, detail_size);
  return to_status(status.code());
}

sereus_status sereus_connect(const char* control_socket, sereus_node** out) {
  if (out == nullptr) return SEREUS_E_INVALID;
  *out = nullptr;
  Bytes path;
  SEREUS_CHECK(copy_text(control_socket, kTextSizeMax, Presence::required, &path));
  auto backend =
      RemoteBackend::connect(platform(), to_string(ByteView(path)), {kEventQueueDefault, kOperationsDefault});
  if (!backend.ok()) return to_status(backend.code());
  *out = make_handle(std::move(*backend));
  return SEREUS_OK;
}

sereus_status sereus_close(sereus_node* node) {
  SEREUS_NODE_OR_RETURN(handle, node);
  return to_status(handle->backend->close());
}

void sereus_unref(sereus_node* node) {
  std::shared_ptr<NodeHandle> handle = take_node(node);
  if (!handle) return;
  // From here on the embedder hears nothing more; what its callbacks point at may go.
  handle->delivery.abandon();
  handle->backend->events().on_wake(nullptr);
  handle->backend->silence();
  (void)handle->backend->close();  // closed already: as well
  platform().run_in_background([handle = std::move(handle)]() mutable {
    handle->backend->finish();
    handle->delivery.finish();
    handle.reset();
  });
}

sereus_status sereus_suspend(sereus_node* node, uint32_t deadline_ms) {
  SEREUS_NODE_OR_RETURN(handle, node);
  return to_status(handle->backend->suspend(deadline_ms));
}

sereus_status sereus_resume(sereus_node* node) {
  SEREUS_NODE_OR_RETURN(handle, node);
  return to_status(handle->backend->resume());
}
