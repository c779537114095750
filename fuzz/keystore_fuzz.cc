// Keystore and backup files. The checksum is mended first, as somebody would who can write the disk: otherwise nothing
// but the checksum would be tried. Argon2 parameters out of bounds must be refused, so no input takes long.
#include <cstdint>

#include "core/crypto/hash.h"
#include "core/crypto/keystore.h"
#include "tests/support/memory_files.h"
#include "tests/support/test_random.h"

using namespace sereus;

namespace {

Bytes with_checksum(ByteView input) {
  Bytes file = to_bytes(input);
  const Hash checksum = hash_in_context("sereus sealed file checksum 1", file);
  append(file, checksum.view());
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 8192) return 0;
  const Bytes file = with_checksum(ByteView(data, size));
  KeystoreOptions options;
  options.kdf = Argon2Params::weak_for_tests();
  options.floor = Argon2Floor::tests;
  test::MemoryFiles files;
  test::TestRandom random;
  files.put("keystore", file);
  const auto info = Keystore::describe(files, options);
  // Costly but allowed parameters are not run: that is the unit tests' work.
  const bool cheap =
      !info.ok() || !info->has_passphrase || info->kdf.mem_kib <= 64 || info->kdf.mem_kib > kArgon2MemKibMax;
  if (cheap) {
    auto keystore = Keystore::open(files, as_bytes("open sesame"), options);
    SEREUS_ASSERT(!keystore.ok() || info.ok());
    if (keystore.ok())
      SEREUS_ASSERT(keystore->set_extra(random, "fuzz", Bytes{1}).ok() || keystore->extra_names().size() == 64);
  }
  const auto backup = describe_sealed_file("sereus backup", file);
  if (backup.ok() && backup->kdf.mem_kib <= 64) {
    test::MemoryFiles elsewhere;
    (void)Keystore::import_backup(elsewhere, random, file, as_bytes("backup words"), {}, nullptr, options).ok();
  }
  return 0;
}
