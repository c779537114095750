// What the benchmarks share: clocks, giving up, folders, and the entries they write.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/crypto/sign.h"
#include "core/store/kv_store.h"

namespace sereus::bench {

inline constexpr size_t kKeySize = 20;
inline constexpr size_t kValueSize = 100;

// Which clock now_s() reads: time that passes, or the processor time of the calling thread.
void measure_cpu_time(bool on);
double now_s();

// A benchmark that cannot go on says why and ends the process.
[[noreturn]] void die(const Error& error);
inline void must(const Status& status) {
  if (!status.ok()) die(status.error());
}
template <typename T>
T must(Result<T> result) {
  if (!result.ok()) die(result.error());
  return std::move(result).value();
}

// The value that `share` (0 to 1) of the values do not exceed.
double percentile(std::vector<double> values, double share);

void remove_folder(const std::string& path);

crypto::KeyPair key_of(uint64_t number);

// Put number `number`: a key in no order, and a value that does not repeat.
store::WriteOp make_put(uint64_t number);

}  // namespace sereus::bench
