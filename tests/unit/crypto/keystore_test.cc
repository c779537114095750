#include "core/crypto/keystore.h"

#include <gtest/gtest.h>

#include "core/codec/cbor.h"
#include "core/crypto/certificate.h"
#include "core/crypto/hash.h"
#include "tests/support/memory_files.h"
#include "tests/support/test_random.h"

namespace sereus::crypto {
namespace {

using test::MemoryFiles;
using test::TestRandom;
using test::Unsynced;

constexpr uint64_t kNow = 1'800'000'000;

KeystoreOptions weak_options() {
  KeystoreOptions options;
  options.kdf = Argon2Params::weak_for_tests();
  options.floor = Argon2Floor::tests;
  return options;
}

ByteView words(std::string_view text) { return as_bytes(text); }

struct Keystores : testing::Test {
  MemoryFiles files;
  TestRandom random{42};
  KeystoreOptions options = weak_options();
  StoreId store{{1, 2, 3}};

  Keystore made(std::string_view passphrase = "open sesame") {
    auto keystore = Keystore::create(files, random, words(passphrase), kNow, options);
    EXPECT_TRUE(keystore.ok()) << keystore.error().detail;
    return std::move(keystore).value();
  }
  Result<Keystore> opened(std::string_view passphrase = "open sesame") {
    return Keystore::open(files, words(passphrase), options);
  }
  Code open_code(const Bytes& file, std::string_view passphrase = "open sesame") {
    MemoryFiles other;
    other.put("keystore", file);
    return Keystore::open(other, words(passphrase), options).code();
  }
  Bytes file() const { return files.content("keystore").value_or(Bytes()); }
};

// The same identity, whatever else changed.
void expect_same_identity(const Keystore& a, const Keystore& b) {
  EXPECT_EQ(a.party_key(), b.party_key());
  EXPECT_EQ(a.device().public_key(), b.device().public_key());
  EXPECT_EQ(a.device_certificate(), b.device_certificate());
  EXPECT_EQ(a.created_at_s(), b.created_at_s());
}

TEST_F(Keystores, CreatedAndOpenedAgain) {
  const Keystore created = made();
  EXPECT_TRUE(created.has_passphrase());
  ASSERT_NE(created.party(), nullptr);
  EXPECT_EQ(created.party()->party_key(), created.party_key());
  EXPECT_EQ(created.device_serial(), 1u);
  EXPECT_EQ(created.created_at_s(), kNow);
  const auto certificate = verify_device_certificate(created.device_certificate(), kNow);
  ASSERT_TRUE(certificate.ok());
  EXPECT_EQ(certificate->party, created.party_key());
  EXPECT_EQ(certificate->device, created.device().device_key());

  const auto again = opened();
  ASSERT_TRUE(again.ok()) << again.error().detail;
  expect_same_identity(created, *again);
  EXPECT_EQ(again->incarnation(), created.incarnation());
  EXPECT_EQ(again->author(store).author_key(), created.author(store).author_key());
  EXPECT_TRUE(again->device_seed() == created.device_seed());
  EXPECT_TRUE(again->storage_key("database") == created.storage_key("database"));
  EXPECT_FALSE(again->storage_key("database") == created.storage_key("log"));
  EXPECT_EQ(files.file_count(), 1u) << "nothing is left beside it";
  EXPECT_EQ(Keystore::create(files, random, {}, kNow, options).code(), Code::exists);
}

TEST_F(Keystores, AuthorChainVerifies) {
  const Keystore keystore = made();
  const auto who =
      verify_author_chain(keystore.author_certificate(store, kNow), keystore.device_certificate(), store, kNow);
  ASSERT_TRUE(who.ok());
  EXPECT_EQ(who->party, keystore.party_key());
  EXPECT_EQ(who->author, keystore.author(store).author_key());
  EXPECT_EQ(who->incarnation, keystore.incarnation());
  EXPECT_NE(keystore.author(store).author_key(), keystore.author(StoreId{{9}}).author_key());
}

TEST_F(Keystores, NothingThere) {
  EXPECT_EQ(opened().code(), Code::no_identity);
  EXPECT_EQ(Keystore::describe(files, options).code(), Code::no_identity);
  EXPECT_TRUE(Keystore::erase(files, options).ok());
}

TEST_F(Keystores, WrongPassphrase) {
  (void)made();
  EXPECT_EQ(opened("open sesamE").code(), Code::passphrase);
  EXPECT_EQ(opened("").code(), Code::passphrase);
  EXPECT_EQ(opened(std::string(5000, 'x')).code(), Code::passphrase);
  EXPECT_TRUE(opened().ok());
  EXPECT_EQ(Keystore::create(files, random, Bytes(kPassphraseSizeMax + 1, 'x'), kNow, KeystoreOptions{.path = "other"})
                .code(),
            Code::too_large);
}

TEST_F(Keystores, WithoutPassphrase) {
  const Keystore keystore = made("");
  EXPECT_FALSE(keystore.has_passphrase());
  const auto info = Keystore::describe(files, options);
  ASSERT_TRUE(info.ok());
  EXPECT_FALSE(info->has_passphrase);
  EXPECT_TRUE(opened("").ok());
  EXPECT_TRUE(opened("not needed, ignored").ok());
}

TEST_F(Keystores, NoSecretIsOnTheDiskInClear) {
  Keystore keystore = made();
  ASSERT_TRUE(keystore.set_extra(random, "token", as_bytes("a very secret token")).ok());
  const std::string disk = to_string(file());
  const auto absent = [&](ByteView secret) { return disk.find(as_text(secret)) == std::string::npos; };
  EXPECT_TRUE(absent(keystore.device_seed().view()));
  EXPECT_TRUE(absent(as_bytes("a very secret token")));
  EXPECT_TRUE(absent(keystore.party_key().view()));
  EXPECT_TRUE(absent(keystore.device().public_key()));
  EXPECT_TRUE(absent(keystore.incarnation().view()));
}

TEST_F(Keystores, TruncatedAnywhere) {
  for (const char* passphrase : {"", "open sesame"}) {
    files = MemoryFiles();
    (void)made(passphrase);
    const Bytes good = file();
    ASSERT_EQ(open_code(good, passphrase), Code::ok);
    for (size_t size = 0; size < good.size(); ++size) {
      const Bytes cut(good.begin(), good.begin() + static_cast<long>(size));
      ASSERT_EQ(open_code(cut, passphrase), Code::corrupt) << size;
    }
    Bytes longer = good;
    longer.push_back(0);
    EXPECT_EQ(open_code(longer, passphrase), Code::corrupt);
  }
}

TEST_F(Keystores, BitFlippedAnywhere) {
  for (const char* passphrase : {"", "open sesame"}) {
    files = MemoryFiles();
    (void)made(passphrase);
    const Bytes good = file();
    for (size_t at = 0; at < good.size(); ++at) {
      Bytes bad = good;
      bad[at] ^= static_cast<uint8_t>(1 << (at % 8));
      ASSERT_EQ(open_code(bad, passphrase), Code::corrupt) << at;
    }
  }
}

// Somebody who can write the disk mends the checksum, which is no secret.
Bytes with_checksum(Bytes file) {
  const ByteView content = ByteView(file).first(file.size() - 32);
  const Hash checksum = hash_in_context("sereus sealed file checksum 1", content);
  std::copy(checksum.bytes.begin(), checksum.bytes.end(), file.end() - 32);
  return file;
}

TEST_F(Keystores, BitFlippedWithAMendedChecksum) {
  for (const char* passphrase : {"", "open sesame"}) {
    files = MemoryFiles();
    (void)made(passphrase);
    const Bytes good = file();
    ASSERT_EQ(with_checksum(good), good);
    std::map<Code, size_t> codes;
    for (size_t at = 0; at + 32 < good.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        Bytes bad = good;
        bad[at] ^= static_cast<uint8_t>(1 << bit);
        const Code code = open_code(with_checksum(bad), passphrase);
        ASSERT_TRUE(code == Code::corrupt || code == Code::malformed || code == Code::too_new ||
                    code == Code::passphrase)
            << "bit " << bit << " of byte " << at << ": " << code_name(code);
        ++codes[code];
      }
    }
    EXPECT_GT(codes[Code::corrupt], 1000u);
    EXPECT_EQ(codes[Code::passphrase] > 0, *passphrase != 0);
  }
}

TEST_F(Keystores, Garbage) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{31}, size_t{32}, size_t{33}, size_t{4096}}) {
    Bytes garbage(size);
    random.fill(garbage);
    EXPECT_EQ(open_code(garbage), Code::corrupt);
    Bytes mended = garbage;
    mended.resize(size + 32);
    EXPECT_EQ(open_code(with_checksum(mended)), Code::malformed);
  }
  EXPECT_EQ(open_code(Bytes(kKeystoreSizeMax + 1, 0)), Code::corrupt);
}

// A file in the layout of seal_file with a chosen version and header.
Bytes made_file(std::string_view magic, uint64_t version, const Bytes& header) {
  Bytes out;
  codec::CborWriter writer(out);
  writer.array(4);
  writer.text(magic);
  writer.uint(version);
  writer.bytes(header);
  writer.array(0);
  writer.finish();
  out.resize(out.size() + 32);
  return with_checksum(out);
}

Bytes argon_header(uint64_t ops, uint64_t mem_kib, uint64_t version) {
  Bytes out;
  codec::CborWriter writer(out);
  writer.map(2);
  writer.uint(1);
  writer.uint(1);
  writer.uint(2);
  writer.array(7);
  writer.uint(1);
  writer.uint(ops);
  writer.uint(mem_kib);
  writer.uint(version);
  writer.bytes(Bytes(16, 1));
  writer.bytes(Bytes(24, 2));
  writer.bytes(Bytes(48, 3));
  writer.finish();
  return out;
}

TEST_F(Keystores, NewerAndOtherFiles) {
  const Bytes header = argon_header(1, 8, 0x13);
  EXPECT_EQ(open_code(made_file("sereus keystore", 2, header)), Code::too_new);
  EXPECT_EQ(open_code(made_file("sereus keystore", 0, header)), Code::corrupt);
  EXPECT_EQ(open_code(made_file("sereus backup", 1, header)), Code::malformed);
  EXPECT_EQ(open_code(made_file("sereus keystore", 1, header)), Code::passphrase);
  EXPECT_EQ(open_code(made_file("sereus keystore", 1, argon_header(1, 8, 0x14))), Code::too_new);
}

TEST_F(Keystores, HostileArgon2ParametersAreRefusedBeforeAnythingIsAllocated) {
  for (const auto& [ops, mem] : {std::pair<uint64_t, uint64_t>{UINT64_MAX, 8},
                                 {1, UINT64_MAX},
                                 {17, 8},
                                 {1, 1024 * 1024 + 1},
                                 {0, 8},
                                 {1, 7},
                                 {UINT64_MAX, UINT64_MAX},
                                 {3, uint64_t{1} << 54}}) {
    EXPECT_EQ(open_code(made_file("sereus keystore", 1, argon_header(ops, mem, 0x13))), Code::corrupt);
  }
  // A downgrade: parameters that only tests may use.
  (void)made();
  EXPECT_EQ(Keystore::open(files, words("open sesame"), KeystoreOptions{}).code(), Code::corrupt);
  KeystoreOptions strict;
  strict.path = "strict";
  strict.kdf = Argon2Params::weak_for_tests();
  EXPECT_FALSE(Keystore::create(files, random, words("x"), kNow, strict).ok());
}

TEST_F(Keystores, ProductionParameters) {
  KeystoreOptions real;
  real.kdf = Argon2Params::interactive();
  ASSERT_TRUE(Keystore::create(files, random, words("p"), kNow, real).ok());
  const auto info = Keystore::describe(files, real);
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->kdf, Argon2Params::interactive());
  EXPECT_TRUE(Keystore::open(files, words("p"), real).ok());
}

TEST_F(Keystores, ChangePassphrase) {
  Keystore keystore = made("first");
  const Bytes before = file();
  EXPECT_EQ(keystore.change_passphrase(random, words("wrong"), words("second")).code(), Code::passphrase);
  EXPECT_EQ(file(), before);
  ASSERT_TRUE(keystore.change_passphrase(random, words("first"), words("second")).ok());
  EXPECT_EQ(opened("first").code(), Code::passphrase);
  ASSERT_TRUE(opened("second").ok());
  expect_same_identity(keystore, *opened("second"));
  ASSERT_TRUE(keystore.set_extra(random, "a", Bytes{1}).ok()) << "goes on under the new key";
  ASSERT_TRUE(opened("second").ok());
  ASSERT_TRUE(keystore.change_passphrase(random, words("second"), {}).ok());
  EXPECT_FALSE(keystore.has_passphrase());
  ASSERT_TRUE(opened("").ok());
  ASSERT_TRUE(keystore.change_passphrase(random, {}, words("third")).ok());
  EXPECT_EQ(opened("").code(), Code::passphrase);
  ASSERT_TRUE(opened("third").ok());
  EXPECT_EQ(*opened("third")->extra("a")->begin(), 1);
}

TEST_F(Keystores, NewIncarnationChangesAuthorsOnly) {
  Keystore keystore = made();
  const Incarnation before = keystore.incarnation();
  const AuthorKey author = keystore.author(store).author_key();
  ASSERT_TRUE(keystore.bind_folder(random, 77).ok());
  EXPECT_EQ(keystore.incarnation(), before);
  EXPECT_EQ(keystore.folder_fingerprint(), 77u);
  ASSERT_TRUE(keystore.new_incarnation(random, 78).ok());
  EXPECT_NE(keystore.incarnation(), before);
  EXPECT_NE(keystore.author(store).author_key(), author);
  const auto again = opened();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->incarnation(), keystore.incarnation());
  EXPECT_EQ(again->folder_fingerprint(), 78u);
  expect_same_identity(keystore, *again);
}

TEST_F(Keystores, NamedSecrets) {
  Keystore keystore = made();
  EXPECT_FALSE(keystore.extra("none").has_value());
  for (const char* name : {"zz", "a", "mls", "b", "a longer name than twenty-four bytes", "\xc3\xa9"}) {
    ASSERT_TRUE(keystore.set_extra(random, name, as_bytes(name)).ok()) << name;
  }
  ASSERT_TRUE(keystore.set_extra(random, "a", as_bytes("changed")).ok());
  ASSERT_TRUE(keystore.set_extra(random, "empty", {}).ok());
  ASSERT_TRUE(keystore.remove_extra(random, "b").ok());
  ASSERT_TRUE(keystore.remove_extra(random, "never there").ok());
  const auto again = opened();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->extra_names(), keystore.extra_names());
  EXPECT_EQ(again->extra_names().size(), 6u);
  EXPECT_EQ(as_text(*again->extra("a")), "changed");
  EXPECT_EQ(as_text(*again->extra("zz")), "zz");
  EXPECT_TRUE(again->extra("empty")->empty());
  EXPECT_FALSE(again->extra("b").has_value());

  EXPECT_EQ(keystore.set_extra(random, "", Bytes{1}).code(), Code::invalid);
  EXPECT_EQ(keystore.set_extra(random, "\xff", Bytes{1}).code(), Code::invalid);
  EXPECT_EQ(keystore.set_extra(random, std::string(kExtraNameMax + 1, 'x'), Bytes{1}).code(), Code::too_large);
  EXPECT_EQ(keystore.set_extra(random, "x", Bytes(kExtraSizeMax + 1)).code(), Code::too_large);
  for (size_t i = keystore.extra_names().size(); i < kExtrasMax; ++i) {
    ASSERT_TRUE(keystore.set_extra(random, "n" + std::to_string(i), Bytes(kExtraSizeMax, 1)).ok());
  }
  EXPECT_EQ(keystore.set_extra(random, "one more", Bytes{1}).code(), Code::too_large);
  EXPECT_TRUE(keystore.set_extra(random, "a", Bytes(kExtraSizeMax, 2)).ok()) << "replacing is always possible";
  EXPECT_TRUE(opened().ok());
}

TEST_F(Keystores, BackupAndRestore) {
  Keystore keystore = made();
  ASSERT_TRUE(keystore.set_extra(random, "token", as_bytes("kept")).ok());
  const auto backup = keystore.export_backup(random, words("backup words"), as_bytes("where the stores are"));
  ASSERT_TRUE(backup.ok());
  EXPECT_EQ(to_string(*backup).find("where the stores are"), std::string::npos);

  MemoryFiles elsewhere;
  SecretBuffer attachment;
  auto restored = Keystore::import_backup(elsewhere, random, *backup, words("backup words"), words("new words"),
                                          &attachment, options);
  ASSERT_TRUE(restored.ok()) << restored.error().detail;
  expect_same_identity(keystore, *restored);
  EXPECT_EQ(as_text(attachment.view()), "where the stores are");
  EXPECT_EQ(as_text(*restored->extra("token")), "kept");
  EXPECT_NE(restored->incarnation(), keystore.incarnation()) << "a restored copy never continues the log";
  EXPECT_NE(restored->author(store).author_key(), keystore.author(store).author_key());
  EXPECT_FALSE(restored->storage_key("database") == keystore.storage_key("database"));
  EXPECT_EQ(restored->folder_fingerprint(), 0u);
  const auto again = Keystore::open(elsewhere, words("new words"), options);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->incarnation(), restored->incarnation());

  // Restored twice: two lives.
  MemoryFiles third;
  const auto twin = Keystore::import_backup(third, random, *backup, words("backup words"), {}, nullptr, options);
  ASSERT_TRUE(twin.ok());
  EXPECT_NE(twin->incarnation(), restored->incarnation());
}

TEST_F(Keystores, BadBackups) {
  Keystore keystore = made();
  EXPECT_EQ(keystore.export_backup(random, {}).code(), Code::invalid);
  EXPECT_EQ(keystore.export_backup(random, words("p"), Bytes(kBackupAttachmentMax + 1)).code(), Code::too_large);
  const Bytes backup = *keystore.export_backup(random, words("p"));
  const auto import_code = [&](const Bytes& bytes, std::string_view passphrase = "p") {
    MemoryFiles elsewhere;
    const Code code =
        Keystore::import_backup(elsewhere, random, bytes, words(passphrase), words("n"), nullptr, options).code();
    EXPECT_TRUE(code == Code::ok || elsewhere.file_count() == 0) << "a refused backup leaves nothing";
    return code;
  };
  EXPECT_EQ(import_code(backup), Code::ok);
  EXPECT_EQ(import_code(backup, "q"), Code::passphrase);
  EXPECT_EQ(import_code(backup, ""), Code::passphrase);
  EXPECT_EQ(import_code(file(), "open sesame"), Code::malformed) << "a keystore is no backup";
  EXPECT_EQ(open_code(backup, "p"), Code::malformed) << "nor the reverse";
  EXPECT_EQ(import_code(Bytes(kBackupSizeMax + 1)), Code::too_large);
  for (size_t at = 0; at < backup.size(); at += 3) {
    Bytes bad = backup;
    bad[at] ^= 0x10;
    ASSERT_EQ(import_code(bad), Code::corrupt);
    bad.resize(at);
    ASSERT_EQ(import_code(bad), Code::corrupt);
  }
  EXPECT_EQ(Keystore::import_backup(files, random, backup, words("p"), {}, nullptr, options).code(), Code::exists);
  const Bytes largest = *keystore.export_backup(random, words("p"), Bytes(kBackupAttachmentMax, 7));
  EXPECT_EQ(import_code(largest), Code::ok);
}

TEST_F(Keystores, Erase) {
  (void)made();
  files.put("keystore.new", Bytes(100, 0xaa));
  ASSERT_TRUE(Keystore::erase(files, options).ok());
  EXPECT_EQ(files.file_count(), 0u);
  EXPECT_EQ(opened().code(), Code::no_identity);
}

TEST_F(Keystores, EraseOverwritesWhatItRemoves) {
  (void)made("");
  const size_t before = files.removed().size();
  files.put("keystore.new", Bytes(100, 0xaa));
  ASSERT_TRUE(Keystore::erase(files, options).ok());
  ASSERT_EQ(files.removed().size(), before + 2);
  for (size_t i = before; i < files.removed().size(); ++i) {
    for (const uint8_t byte : files.removed()[i]->durable) ASSERT_EQ(byte, 0);
    EXPECT_FALSE(files.removed()[i]->durable.empty());
  }
}

// ---- Crashes and faults -------------------------------------------------------------------------------------------

// Runs `change` on a keystore with a crash at each of its operations, with everything a crash may leave, and looks at
// what comes up: always the old state or the new one.
template <typename Change, typename IsOld, typename IsNew>
void crash_everywhere(Change change, IsOld is_old, IsNew is_new) {
  size_t crash = 1;
  bool ran_through = false;
  size_t olds = 0;
  size_t news = 0;
  for (; !ran_through; ++crash) {
    ASSERT_LT(crash, 100u);
    for (const Unsynced content : {Unsynced::lost, Unsynced::kept, Unsynced::torn}) {
      for (const bool names_kept : {false, true}) {
        MemoryFiles files;
        TestRandom random(1);
        const KeystoreOptions options = weak_options();
        auto keystore = Keystore::create(files, random, words("old"), kNow, options);
        ASSERT_TRUE(keystore.ok());
        files.count_from_zero();
        files.crash_at(crash);
        const Status status = change(*keystore, random);
        ran_through = files.operations() < crash;
        files.reboot(content, names_kept);
        const bool old_state = is_old(files, *keystore);
        const bool new_state = is_new(files, *keystore);
        ASSERT_TRUE(old_state || new_state) << "crash at " << crash << ", content " << static_cast<int>(content);
        if (status.ok()) {
          ASSERT_TRUE(new_state) << "acknowledged and lost, crash at " << crash;
        }
        olds += old_state ? 1 : 0;
        news += new_state ? 1 : 0;
        if (files.exists("keystore")) {
          ASSERT_FALSE(files.exists("keystore.new")) << "opening cleans up";
        }
      }
    }
  }
  EXPECT_GT(olds, 10u);
  EXPECT_GT(news, 5u);
  EXPECT_GE(crash, 6u) << "open, truncate, write, sync, rename, sync of the folder";
}

TEST(KeystoreCrash, ChangePassphrase) {
  crash_everywhere(
      [](Keystore& keystore, Random& random) { return keystore.change_passphrase(random, words("old"), words("new")); },
      [](MemoryFiles& files, const Keystore&) { return Keystore::open(files, words("old"), weak_options()).ok(); },
      [](MemoryFiles& files, const Keystore&) { return Keystore::open(files, words("new"), weak_options()).ok(); });
}

TEST(KeystoreCrash, NewIncarnation) {
  Incarnation old;
  crash_everywhere(
      [&](Keystore& keystore, Random& random) {
        old = keystore.incarnation();
        return keystore.new_incarnation(random, 5);
      },
      [&](MemoryFiles& files, const Keystore&) {
        const auto opened = Keystore::open(files, words("old"), weak_options());
        return opened.ok() && opened->incarnation() == old;
      },
      [&](MemoryFiles& files, const Keystore&) {
        const auto opened = Keystore::open(files, words("old"), weak_options());
        return opened.ok() && opened->incarnation() != old && opened->folder_fingerprint() == 5;
      });
}

TEST(KeystoreCrash, Create) {
  bool ran_through = false;
  for (size_t crash = 1; !ran_through; ++crash) {
    ASSERT_LT(crash, 100u);
    for (const Unsynced content : {Unsynced::lost, Unsynced::kept, Unsynced::torn}) {
      for (const bool names_kept : {false, true}) {
        MemoryFiles files;
        TestRandom random(1);
        files.crash_at(crash);
        const auto created = Keystore::create(files, random, words("p"), kNow, weak_options());
        ran_through = files.operations() < crash;
        files.reboot(content, names_kept);
        const auto opened = Keystore::open(files, words("p"), weak_options());
        ASSERT_TRUE(opened.ok() || opened.code() == Code::no_identity) << crash << opened.error().detail;
        if (created.ok()) {
          ASSERT_TRUE(opened.ok());
          EXPECT_EQ(opened->party_key(), created->party_key());
        }
        if (!opened.ok()) {
          // The next attempt works over what the crash left.
          ASSERT_TRUE(Keystore::create(files, random, words("q"), kNow, weak_options()).ok());
          EXPECT_TRUE(Keystore::open(files, words("q"), weak_options()).ok());
          EXPECT_EQ(files.file_count(), 1u);
        }
      }
    }
  }
}

TEST(KeystoreCrash, EraseCanBeRepeated) {
  bool ran_through = false;
  for (size_t crash = 1; !ran_through; ++crash) {
    ASSERT_LT(crash, 100u);
    for (const Unsynced content : {Unsynced::lost, Unsynced::kept, Unsynced::torn}) {
      for (const bool names_kept : {false, true}) {
        MemoryFiles files;
        TestRandom random(1);
        ASSERT_TRUE(Keystore::create(files, random, words("p"), kNow, weak_options()).ok());
        files.put("keystore.new", Bytes(50, 1));
        files.count_from_zero();
        files.crash_at(crash);
        const Status erased = Keystore::erase(files, weak_options());
        ran_through = files.operations() < crash;
        files.reboot(content, names_kept);
        if (erased.ok()) {
          ASSERT_EQ(files.file_count(), 0u);
        }
        const Code code = Keystore::open(files, words("p"), weak_options()).code();
        ASSERT_TRUE(code == Code::ok || code == Code::corrupt || code == Code::no_identity) << code_name(code);
        ASSERT_TRUE(Keystore::erase(files, weak_options()).ok());
        ASSERT_EQ(files.file_count(), 0u);
      }
    }
  }
}

// A disk that says no once, at any operation, and for any reason: the object and the file stay usable.
TEST(KeystoreFaults, OneOperationFails) {
  bool ran_through = false;
  for (size_t at = 1; !ran_through; ++at) {
    ASSERT_LT(at, 100u);
    MemoryFiles files;
    TestRandom random(1);
    auto keystore = Keystore::create(files, random, words("p"), kNow, weak_options());
    ASSERT_TRUE(keystore.ok());
    const Incarnation before = keystore->incarnation();
    files.count_from_zero();
    files.fail_at(at, Code::no_space);
    const Status status = keystore->new_incarnation(random, 1);
    ran_through = files.operations() < at;
    files.fail_at(0, Code::ok);
    if (!status.ok()) {
      EXPECT_EQ(status.code(), Code::no_space) << at;
      EXPECT_EQ(keystore->incarnation(), before);
    }
    ASSERT_TRUE(Keystore::open(files, words("p"), weak_options()).ok());
    ASSERT_TRUE(keystore->set_extra(random, "later", Bytes{1}).ok());
    const auto opened = Keystore::open(files, words("p"), weak_options());
    ASSERT_TRUE(opened.ok());
    EXPECT_EQ(opened->incarnation(), keystore->incarnation());
    EXPECT_TRUE(opened->extra("later").has_value());
  }
}

// A folder that could not be synced leaves a file that reads as the new one and that a power cut takes back. Whoever opens
// it builds on it, so opening makes it durable: without that, a removal that needs no write would be acknowledged and lost.
TEST_F(Keystores, WhatOpeningFindsIsDurable) {
  Keystore keystore = made();
  ASSERT_TRUE(keystore.set_extra(random, "token", as_bytes("secret")).ok());
  files.count_from_zero();
  ASSERT_TRUE(keystore.remove_extra(random, "token").ok());
  const size_t operations = files.operations();
  ASSERT_TRUE(keystore.set_extra(random, "token", as_bytes("secret")).ok());
  files.count_from_zero();
  files.fail_at(operations, Code::io);  // the last one: of the folder
  ASSERT_EQ(keystore.remove_extra(random, "token").code(), Code::io);
  {
    auto again = opened();
    ASSERT_TRUE(again.ok());
    ASSERT_FALSE(again->extra("token"));
    ASSERT_TRUE(again->remove_extra(random, "token").ok());
  }
  files.reboot(Unsynced::lost, false);
  const auto later = opened();
  ASSERT_TRUE(later.ok()) << later.error().detail;
  EXPECT_FALSE(later->extra("token")) << "its removal was acknowledged";
}

}  // namespace
}  // namespace sereus::crypto
