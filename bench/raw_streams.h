// The limits of byte streams without Sereus: TCP over the loopback interface with blocking calls, and wolfSSL's TLS 1.3 on it.
#pragma once

#include <cstdint>
#include <vector>

namespace sereus::bench {

// Bytes a second that a thread received from another, 64 KiB a call.
double raw_tcp(uint64_t bytes);

// The same through TLS 1.3 with the cipher suite that TCP connections prefer here, in its largest records.
double raw_tls(uint64_t bytes);

// Microseconds of each round trip of 32 bytes between two threads.
std::vector<double> raw_pings(uint64_t count);

}  // namespace sereus::bench
