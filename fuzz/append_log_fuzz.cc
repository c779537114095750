// Any bytes as a log file: opening never crashes, never reads beyond, and either changes nothing (an error) or leaves a
// log that opens again with the same records and takes new ones. What it cuts is never followed by a synced record.
//
// Input: byte 0 bits: 1 trust a position, 2 full scan, 4 put a valid file header in front, 8 give the records true
// checksums where their sizes allow it. Then, with bit 1, four bytes of that position. The rest is the file.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>

#include "core/base/assert.h"
#include "core/storage/append_log.h"
#include "core/storage/crc32c.h"

namespace sereus::storage {
namespace {

// One file in memory.
class OneFile : public Files {
 public:
  class Handle : public File {
   public:
    explicit Handle(Bytes& bytes) : bytes_(bytes) {}
    Result<size_t> read_at(uint64_t offset, ByteSpan out) override {
      if (offset >= bytes_.size()) return size_t{0};
      const size_t size = std::min(out.size(), bytes_.size() - static_cast<size_t>(offset));
      std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), size, out.begin());
      return size;
    }
    Status write_at(uint64_t offset, ByteView data) override {
      const size_t end = static_cast<size_t>(offset) + data.size();
      if (bytes_.size() < end) bytes_.resize(end);
      std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<ptrdiff_t>(offset));
      return {};
    }
    Status truncate(uint64_t size) override {
      bytes_.resize(static_cast<size_t>(size));
      return {};
    }
    Result<uint64_t> size() override { return uint64_t{bytes_.size()}; }
    Status sync() override { return {}; }

   private:
    Bytes& bytes_;
  };

  explicit OneFile(Bytes content) : bytes(std::move(content)) {}
  Result<std::unique_ptr<File>> open(std::string_view, OpenMode) override {
    return std::unique_ptr<File>(std::make_unique<Handle>(bytes));
  }
  bool exists(std::string_view) override { return true; }
  Status remove(std::string_view) override { return {}; }
  Status remove_tree(std::string_view) override { return {}; }
  Status rename(std::string_view, std::string_view) override { return {}; }
  Status make_folder(std::string_view) override { return {}; }
  Status sync_folder(std::string_view) override { return {}; }
  Result<std::vector<std::string>> list(std::string_view) override { return std::vector<std::string>(); }
  Result<std::unique_ptr<FileLock>> lock(std::string_view) override { return fail(Code::unsupported); }
  uint64_t fingerprint(std::string_view) override { return 1; }
  Result<uint64_t> free_bytes() override { return uint64_t{1} << 40; }

  Bytes bytes;
};

class NoRandom : public Random {
 public:
  void fill(ByteSpan out) override { std::fill(out.begin(), out.end(), uint8_t{0x5a}); }
};

void put_header(Bytes& file) {
  Bytes header(kLogHeaderSize);
  const ByteView magic = as_bytes("sereuslg");
  std::copy(magic.begin(), magic.end(), header.begin());
  store_le(header.data() + 8, kLogVersion);
  store_le(header.data() + 12, static_cast<uint32_t>(kLogHeaderSize));
  store_le(header.data() + 36, crc32c(0, ByteView(header).first(36)));
  file.insert(file.begin(), header.begin(), header.end());
}

// Walks the file by its size fields and makes the checksums right, so that fuzzing gets past them.
void make_valid(Bytes& file) {
  for (size_t at = kLogHeaderSize; at + kLogRecordHeaderSize < file.size();) {
    const uint32_t size = load_le<uint32_t>(file.data() + at) & 0xfff;
    store_le(file.data() + at, size);
    if (size == 0 || size > file.size() - at - kLogRecordHeaderSize) return;
    uint8_t sealed[13];
    store_le(sealed, uint64_t{at});
    store_le(sealed + 8, size);
    sealed[12] = file[at + 4];
    const uint32_t seed = crc32c(0, ByteView(sealed, 13));
    store_le(file.data() + at + 4, (seed & 0xffffff) << 8 | sealed[12]);
    const ByteView payload = ByteView(file).subspan(at + kLogRecordHeaderSize, size);
    store_le(file.data() + at + 8, crc32c(seed, payload));
    at += kLogRecordHeaderSize + size;
  }
}

uint64_t count(const AppendLog& log) {
  LogScanner scanner = log.scan(kLogHeaderSize);
  LogRecord record;
  Bytes buffer;
  for (uint64_t records = 0;; ++records) {
    const auto more = scanner.next(&record);
    SEREUS_ASSERT(more.ok());
    if (!*more) return records;
    const auto again = log.read_record(record.position, &buffer);
    SEREUS_ASSERT(again.ok() && equal(again->payload, record.payload) && again->kind == record.kind);
  }
}

void run(ByteView input) {
  if (input.empty()) return;
  const uint8_t shape = input[0];
  input = input.subspan(1);
  AppendLogOptions options;
  options.create = true;
  if ((shape & 1) != 0 && input.size() >= 4) {
    options.trusted_end = load_le<uint32_t>(input.data());
    input = input.subspan(4);
  }
  options.full_scan = (shape & 2) != 0;
  Bytes content = to_bytes(input);
  if ((shape & 4) != 0) put_header(content);
  if ((shape & 8) != 0) make_valid(content);
  OneFile files(content);
  NoRandom random;
  LogRecovery recovery;
  auto opened = AppendLog::open(files, random, "log", options, &recovery);
  if (!opened.ok()) {
    SEREUS_ASSERT(files.bytes == content);
    return;
  }
  AppendLog& log = **opened;
  SEREUS_ASSERT(recovery.created || log.end() >= options.trusted_end);
  // With a trusted position what lies before it was not looked at.
  if (options.trusted_end > kLogHeaderSize && !options.full_scan) return;
  const uint64_t records = count(log);
  const uint8_t payload[] = {1, 2, 3};
  SEREUS_ASSERT(log.append(1, ByteView(payload)).ok() && log.close().ok());
  options.trusted_end = log.end();
  options.full_scan = true;
  const auto again = AppendLog::open(files, random, "log", options, &recovery);
  SEREUS_ASSERT(again.ok() && recovery.torn_bytes_dropped == 0 && recovery.records_scanned == records + 1);
}

}  // namespace
}  // namespace sereus::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sereus::storage::run({data, size});
  return 0;
}
