// Identity: requests that carry secrets.
#include <cstddef>

#include "core/capi/c_call.h"

using namespace sereus;
using namespace sereus::capi;
using node::RequestKind;

namespace {

constexpr size_t kOptionsSizeMin = offsetof(sereus_identity_options, passphrase) + sizeof(sereus_bytes);
constexpr const char* kDeviceNameDefault = "device";

Code copy_options(const sereus_identity_options* from, Bytes* name, Bytes* passphrase) {
  sereus_identity_options options = SEREUS_INIT(sereus_identity_options);
  if (from != nullptr) {
    const Code code = copy_struct(from, kOptionsSizeMin, &options);
    if (code != Code::ok) return code;
  }
  Code code = copy_text(options.name, kTextSizeMax, Presence::optional, name);
  if (code != Code::ok) return code;
  if (name->empty()) *name = to_bytes(std::string_view(kDeviceNameDefault));
  return copy_bytes(options.passphrase, kPassphraseSizeMax, passphrase);
}

}  // namespace

sereus_status sereus_identity_create(sereus_node* node, const sereus_identity_options* options, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::identity_create);
  SEREUS_CHECK(copy_options(options, &guard.request.x, &guard.request.y));
  return submit(*handle, guard, op);
}

sereus_status sereus_identity_backup(sereus_node* node, sereus_bytes passphrase, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::identity_backup);
  if (passphrase.size == 0) return SEREUS_E_INVALID;
  SEREUS_CHECK(copy_bytes(passphrase, kPassphraseSizeMax, &guard.request.x));
  return submit(*handle, guard, op);
}

sereus_status sereus_identity_restore(sereus_node* node, sereus_bytes backup, sereus_bytes passphrase,
                                      const sereus_identity_options* options, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::identity_restore);
  if (backup.size == 0 || passphrase.size == 0) return SEREUS_E_INVALID;
  SEREUS_CHECK(copy_bytes(backup, kBackupSizeMax, &guard.request.x));
  SEREUS_CHECK(copy_bytes(passphrase, kPassphraseSizeMax, &guard.request.y));
  SEREUS_CHECK(copy_options(options, &guard.request.z, &guard.request.w));
  return submit(*handle, guard, op);
}

sereus_status sereus_passphrase_change(sereus_node* node, sereus_bytes from, sereus_bytes to, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::passphrase_change);
  SEREUS_CHECK(copy_bytes(from, kPassphraseSizeMax, &guard.request.x));
  SEREUS_CHECK(copy_bytes(to, kPassphraseSizeMax, &guard.request.y));
  return submit(*handle, guard, op);
}

sereus_status sereus_erase(sereus_node* node, const char* confirm, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::erase);
  SEREUS_CHECK(copy_text(confirm, kTextSizeMax, Presence::required, &guard.request.x));
  return submit(*handle, guard, op);
}

sereus_status sereus_set_online(sereus_node* node, int online, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::set_online);
  guard.request.a = online != 0 ? 1 : 0;
  return submit(*handle, guard, op);
}
