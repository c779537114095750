#include "core/net/wolfssl_memory.h"

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>

namespace sereus::net {

void WolfsslMemory::attach(WOLFSSL* ssl) {
  wolfSSL_SSLSetIORecv(ssl, on_receive);
  wolfSSL_SSLSetIOSend(ssl, on_send);
  wolfSSL_SetIOReadCtx(ssl, this);
  wolfSSL_SetIOWriteCtx(ssl, this);
}

int WolfsslMemory::on_receive(WOLFSSL* /*ssl*/, char* buffer, int size, void* user) {
  auto* memory = static_cast<WolfsslMemory*>(user);
  if (memory->input.empty()) return WOLFSSL_CBIO_ERR_WANT_READ;
  const size_t count = std::min(static_cast<size_t>(size), memory->input.size());
  std::memcpy(buffer, memory->input.data(), count);
  memory->input = memory->input.subspan(count);
  return static_cast<int>(count);
}

int WolfsslMemory::on_send(WOLFSSL* /*ssl*/, char* buffer, int size, void* user) {
  auto* memory = static_cast<WolfsslMemory*>(user);
  // Nothing is sent outside of a call; wolfSSL_free() would try if it were owed something.
  if (memory->output_ == nullptr) return WOLFSSL_CBIO_ERR_GENERAL;
  append(*memory->output_, ByteView(reinterpret_cast<const uint8_t*>(buffer), static_cast<size_t>(size)));
  return size;
}

int WolfsslMemory::write(WOLFSSL* ssl, ByteView plain) {
  while (!plain.empty()) {
    const int taken = wolfSSL_write(ssl, plain.data(), static_cast<int>(std::min<size_t>(plain.size(), INT32_MAX)));
    if (taken <= 0) return wolfSSL_get_error(ssl, taken);
    plain = plain.subspan(static_cast<size_t>(taken));
  }
  return 0;
}

Error wolfssl_record_error(int code) {
  switch (code) {
    case VERIFY_MAC_ERROR:
    case DECRYPT_ERROR:
    case AES_GCM_AUTH_E:
    case MAC_CMP_FAILED_E:
      return fail(Code::bad_signature, "TLS: a record does not authenticate");
    case MEMORY_E:
      return fail(Code::no_memory, "no memory for the connection");
    default: {
      std::array<char, WOLFSSL_MAX_ERROR_SZ> text{};
      wolfSSL_ERR_error_string_n(static_cast<unsigned long>(code), text.data(), text.size());
      return fail(Code::protocol, "TLS: " + std::string(text.data()));
    }
  }
}

Error wolfssl_own_error(int code, std::string_view what) {
  if (code == MEMORY_E) return fail(Code::no_memory, "no memory: " + std::string(what));
  return fail(Code::internal, std::string(what));
}

bool wolfssl_ready() {
  static std::atomic<bool> ready = false;
  // Two at once do no harm.
  if (!ready) ready = wolfSSL_Init() == WOLFSSL_SUCCESS;
  return ready;
}

}  // namespace sereus::net
