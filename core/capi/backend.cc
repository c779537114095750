#include "core/capi/backend.h"

#include "core/crypto/secret.h"

namespace sereus::capi {

size_t argument_bytes(const node::Request& request) {
  size_t bytes = request.x.size() + request.y.size() + request.z.size() + request.w.size();
  for (const store::WriteOp& op : request.writes) bytes += op.key.size() + op.value.size();
  return bytes;
}

void wipe_arguments(node::Request& request) {
  for (Bytes* bytes : {&request.x, &request.y, &request.z, &request.w}) {
    crypto::wipe(*bytes);
    bytes->clear();
  }
}

}  // namespace sereus::capi
