// wolfSSL over memory: a session reads what it is given and writes into a buffer, during a call only. What TLS channels of all kinds
// share.
#pragma once

#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"

struct WOLFSSL;

namespace sereus::net {

// Stays where it was attached: wolfSSL points to it.
class WolfsslMemory {
 public:
  // For the length of a call: where wolfSSL writes. Outside of one nothing is sent.
  class Output {
   public:
    Output(WolfsslMemory& memory, Bytes& out) : memory_(memory) { memory.output_ = &out; }
    ~Output() { memory_.output_ = nullptr; }
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

   private:
    WolfsslMemory& memory_;
  };

  WolfsslMemory() = default;
  WolfsslMemory(const WolfsslMemory&) = delete;
  WolfsslMemory& operator=(const WolfsslMemory&) = delete;

  void attach(WOLFSSL* ssl);
  // From here on nothing is sent, although the call goes on: the session is about to be freed.
  void end_output() { output_ = nullptr; }
  // What wolfSSL reads, borrowed until it was taken or the call is over.
  ByteView input;
  // Seals all of `plain` into the output. wolfSSL's error code, or 0.
  int write(WOLFSSL* ssl, ByteView plain);

 private:
  static int on_receive(WOLFSSL* ssl, char* buffer, int size, void* user);
  static int on_send(WOLFSSL* ssl, char* buffer, int size, void* user);

  Bytes* output_ = nullptr;
};

// What any record layer may fail with: bad_signature (a record that does not authenticate), no_memory, and protocol with wolfSSL's
// words for the rest.
Error wolfssl_record_error(int code);
// What failed on what is ours and known to be good: there was no memory, or it is a defect.
Error wolfssl_own_error(int code, std::string_view what);
// wolfSSL's process-wide tables are made; reference counted inside and never released. False: there is no memory for them now.
bool wolfssl_ready();

}  // namespace sereus::net
