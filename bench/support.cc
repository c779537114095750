#include "bench/support.h"

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "drivers/posix/posix_files.h"

namespace sereus::bench {
namespace {

clockid_t measured_clock = CLOCK_MONOTONIC;

}  // namespace

void measure_cpu_time(bool on) { measured_clock = on ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC; }

double now_s() {
  timespec time{};
  clock_gettime(measured_clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void die(const Error& error) {
  std::fprintf(stderr, "sereus-bench: %s\n",
               error.detail.empty() ? std::string(code_meaning(error.code)).c_str() : error.detail.c_str());
  std::exit(1);
}

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
  return values[std::clamp<size_t>(rank, 1, values.size()) - 1];
}

void remove_folder(const std::string& path) {
  auto files = must(posix::PosixFiles::open(path, false));
  for (const std::string& name : must(files->list(""))) must(files->remove_tree(name));
  files.reset();
  std::remove(path.c_str());
}

crypto::KeyPair key_of(uint64_t number) {
  crypto::SecretBytes<32> seed;
  store_le(seed.data(), number);
  return crypto::KeyPair::from_seed(seed);
}

store::WriteOp make_put(uint64_t number) {
  store::WriteOp op;
  op.key.resize(kKeySize);
  op.value.resize(kValueSize);
  uint64_t state = number * 0x9e3779b97f4a7c15u + 1;
  for (uint8_t& byte : op.key) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<uint8_t>('a' + (state >> 33) % 26);
  }
  for (size_t i = 0; i < kValueSize; i += 4) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    store_le(op.value.data() + i, static_cast<uint32_t>(state >> 32));
  }
  return op;
}

}  // namespace sereus::bench
