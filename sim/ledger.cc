#include "sim/ledger.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <nlohmann/json.hpp>

namespace sereus::sim {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kDrawn = "drawn";

// Closes, and with that unlocks.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

Error system_error(const std::string& path) { return fail(Code::io, path + ": " + std::strerror(errno)); }

Result<std::string> read_text(int fd, const std::string& path) {
  std::string text;
  char buffer[65536];
  ssize_t got = 0;
  while ((got = read(fd, buffer, sizeof buffer)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(path);
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

template <typename T>
std::string drawn_or(const std::optional<T>& wish) {
  return wish ? std::to_string(*wish) : std::string(kDrawn);
}

// Reads an object's members and remembers the first that is not as it should be.
class Reader {
 public:
  explicit Reader(const ordered_json& object) : object_(object) {}

  const ordered_json* find(const char* name) {
    const auto found = object_.find(name);
    if (found != object_.end()) return &*found;
    wrong(name);
    return nullptr;
  }
  uint64_t number(const char* name) {
    const ordered_json* value = find(name);
    if (value != nullptr && !value->is_number_unsigned()) wrong(name);
    return value != nullptr && value->is_number_unsigned() ? value->get<uint64_t>() : 0;
  }
  uint64_t seconds(const char* name) {
    const ordered_json* value = find(name);
    if (value != nullptr && !value->is_number()) wrong(name);
    const double seconds = value != nullptr && value->is_number() ? value->get<double>() : 0;
    if (!(seconds >= 0 && seconds < 1e12)) {
      wrong(name);
      return 0;
    }
    return static_cast<uint64_t>(seconds * 1e6 + 0.5);
  }
  std::string text(const char* name) {
    const ordered_json* value = find(name);
    if (value != nullptr && !value->is_string()) wrong(name);
    return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
  }
  std::optional<uint64_t> number_or_drawn(const char* name) {
    const ordered_json* value = find(name);
    if (value == nullptr || (value->is_string() && *value == kDrawn)) return std::nullopt;
    return number(name);
  }
  void wrong(std::string_view name) {
    if (wrong_.empty()) wrong_ = name;
  }
  Status status() const {
    if (wrong_.empty()) return {};
    return fail(Code::malformed, "'" + wrong_ + "' is missing or not what it should be");
  }

 private:
  const ordered_json& object_;
  std::string wrong_;
};

ordered_json json_of(const LedgerSums& sums) {
  return {{"seeds", sums.seeds},
          {"failed", sums.failed},
          {"virtual_s", static_cast<double>(sums.virtual_us) / 1e6},
          {"cpu_s", static_cast<double>(sums.cpu_us) / 1e6},
          {"counts", sums.counts}};
}

Result<LedgerSums> sums_of(const ordered_json& object) {
  if (!object.is_object()) return fail(Code::malformed, "a workload's sums are no object");
  Reader reader(object);
  LedgerSums sums;
  sums.seeds = reader.number("seeds");
  sums.failed = reader.number("failed");
  sums.virtual_us = reader.seconds("virtual_s");
  sums.cpu_us = reader.seconds("cpu_s");
  if (const ordered_json* counts = reader.find("counts"); counts != nullptr && counts->is_object()) {
    for (const auto& [name, count] : counts->items()) {
      if (!count.is_number_unsigned()) reader.wrong("counts");
      sums.counts[name] = count.is_number_unsigned() ? count.get<uint64_t>() : 0;
    }
  }
  SEREUS_TRY(reader.status());
  return sums;
}

Result<LedgerFailure> failure_of(const ordered_json& object) {
  if (!object.is_object()) return fail(Code::malformed, "a failure is no object");
  Reader reader(object);
  LedgerFailure failure;
  failure.seed = reader.number("seed");
  failure.workload = reader.text("workload");
  failure.oracle = reader.text("oracle");
  failure.violation = reader.text("violation");
  SEREUS_TRY(reader.status());
  return failure;
}

Status write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t put = write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return system_error(path);
    text.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

// Cuts off what follows the last end of a line.
Status mend(int fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return system_error(path);
  off_t end = info.st_size;
  char buffer[4096];
  while (end > 0) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(sizeof buffer));
    const ssize_t got = pread(fd, buffer, static_cast<size_t>(end - begin), begin);
    if (got <= 0) return system_error(path);
    const std::string_view part(buffer, static_cast<size_t>(got));
    if (const size_t at = part.rfind('\n'); at != std::string_view::npos) {
      end = begin + static_cast<off_t>(at) + 1;
      break;
    }
    end = begin;
  }
  if (end != info.st_size && ftruncate(fd, end) != 0) return system_error(path);
  return {};
}

}  // namespace

void SeedRanges::add(uint64_t first, uint64_t last) {
  auto next = ranges_.upper_bound(first);
  if (next != ranges_.begin()) {
    const auto before = std::prev(next);
    if (before->second >= first || before->second + 1 == first) {
      first = before->first;
      last = std::max(last, before->second);
      next = ranges_.erase(before);
    }
  }
  while (next != ranges_.end() && (next->first <= last || next->first - 1 == last)) {
    last = std::max(last, next->second);
    next = ranges_.erase(next);
  }
  ranges_[first] = last;
}

bool SeedRanges::contains(uint64_t seed) const {
  const auto next = ranges_.upper_bound(seed);
  return next != ranges_.begin() && std::prev(next)->second >= seed;
}

uint64_t SeedRanges::count() const {
  uint64_t count = 0;
  for (const auto& [first, last] : ranges_) count += last - first + 1;
  return count;
}

void LedgerSums::add(const LedgerSums& other) {
  seeds += other.seeds;
  failed += other.failed;
  virtual_us += other.virtual_us;
  cpu_us += other.cpu_us;
  for (const auto& [name, count] : other.counts) counts[name] += count;
}

std::string LedgerKey::text() const {
  return commit + " workload=" + wishes.workload.value_or(std::string(kDrawn)) + " nodes=" + drawn_or(wishes.nodes) +
         " minutes=" + drawn_or(wishes.minutes) +
         " transport=" + std::string(wishes.transport ? name_of(*wishes.transport) : kDrawn);
}

std::string write_chunk(const LedgerChunk& chunk) {
  const PlanWishes& wishes = chunk.key.wishes;
  ordered_json line;
  line["commit"] = chunk.key.commit;
  line["workload"] = wishes.workload.value_or(std::string(kDrawn));
  line["nodes"] = wishes.nodes ? ordered_json(*wishes.nodes) : ordered_json(kDrawn);
  line["minutes"] = wishes.minutes ? ordered_json(*wishes.minutes) : ordered_json(kDrawn);
  line["transport"] = wishes.transport ? name_of(*wishes.transport) : kDrawn;
  line["first"] = chunk.first;
  line["last"] = chunk.last;
  line["passed"] = chunk.last - chunk.first + 1 - chunk.failures.size();
  line["failures"] = ordered_json::array();
  for (const LedgerFailure& failure : chunk.failures) {
    line["failures"].push_back({{"seed", failure.seed},
                                {"workload", failure.workload},
                                {"oracle", failure.oracle},
                                {"violation", failure.violation}});
  }
  line["workloads"] = ordered_json::object();
  for (const auto& [name, sums] : chunk.workloads) line["workloads"][name] = json_of(sums);
  return line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Result<LedgerChunk> read_chunk(std::string_view line) {
  const ordered_json object = ordered_json::parse(line, nullptr, false);
  if (!object.is_object()) return fail(Code::malformed, "not a JSON object");
  Reader reader(object);
  LedgerChunk chunk;
  chunk.key.commit = reader.text("commit");
  PlanWishes& wishes = chunk.key.wishes;
  if (std::string name = reader.text("workload"); name != kDrawn) wishes.workload = std::move(name);
  if (const auto nodes = reader.number_or_drawn("nodes")) wishes.nodes = static_cast<size_t>(*nodes);
  wishes.minutes = reader.number_or_drawn("minutes");
  if (const std::string name = reader.text("transport"); name != kDrawn) {
    wishes.transport = transport_of(name);
    if (!wishes.transport) reader.wrong("transport");
  }
  chunk.first = reader.number("first");
  chunk.last = reader.number("last");
  if (chunk.last < chunk.first) reader.wrong("last");
  if (const ordered_json* failures = reader.find("failures"); failures != nullptr && failures->is_array()) {
    for (const ordered_json& one : *failures) {
      SEREUS_ASSIGN(LedgerFailure failure, failure_of(one));
      if (failure.seed < chunk.first || failure.seed > chunk.last) reader.wrong("failures");
      chunk.failures.push_back(std::move(failure));
    }
  }
  if (const ordered_json* sums = reader.find("workloads"); sums != nullptr && sums->is_object()) {
    for (const auto& [name, one] : sums->items()) {
      SEREUS_ASSIGN(chunk.workloads[name], sums_of(one));
    }
  }
  SEREUS_TRY(reader.status());
  return chunk;
}

Result<std::vector<LedgerChunk>> read_chunks(std::string_view text) {
  std::vector<LedgerChunk> chunks;
  size_t number = 0;
  for (size_t end = 0; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1)) {
    ++number;
    auto chunk = read_chunk(text.substr(0, end));
    if (!chunk) return fail(Code::malformed, "line " + std::to_string(number) + ": " + chunk.error().detail);
    chunks.push_back(std::move(chunk).value());
  }
  return chunks;
}

Result<std::vector<LedgerChunk>> read_ledger(const std::string& path) {
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0) {
    if (errno == ENOENT) return fail(Code::not_found, path + ": there is no such file");
    return system_error(path);
  }
  SEREUS_ASSIGN(const std::string text, read_text(file.fd(), path));
  auto chunks = read_chunks(text);
  if (!chunks) return fail(Code::malformed, path + ": " + chunks.error().detail);
  return chunks;
}

Status append_to_ledger(const std::string& path, const LedgerChunk& chunk) {
  const File file(open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  if (file.fd() < 0) return system_error(path);
  // Two runs may write the same ledger.
  while (flock(file.fd(), LOCK_EX) != 0) {
    if (errno != EINTR) return system_error(path);
  }
  SEREUS_TRY(mend(file.fd(), path));
  SEREUS_TRY(write_all(file.fd(), write_chunk(chunk), path));
  if (fsync(file.fd()) != 0 && errno != EINVAL) return system_error(path);  // EINVAL: no file of a disk
  return {};
}

void LedgerChunks::add(uint64_t seed, std::string_view workload, const LedgerSums& sums,
                       std::optional<LedgerFailure> failure) {
  seeds_[seed] = {std::string(workload), sums, std::move(failure)};
}

std::vector<LedgerChunk> LedgerChunks::take(bool all) {
  std::vector<LedgerChunk> chunks;
  for (auto begin = seeds_.begin(); begin != seeds_.end();) {
    auto end = begin;
    const uint64_t hundred = begin->first / LedgerChunk::kSeedsMax;
    uint64_t expected = begin->first;
    while (end != seeds_.end() && end->first == expected && expected / LedgerChunk::kSeedsMax == hundred) {
      ++end;
      ++expected;
    }
    const bool full = begin->first % LedgerChunk::kSeedsMax == 0 && expected == (hundred + 1) * LedgerChunk::kSeedsMax;
    if (!full && !all) {
      begin = end;
      continue;
    }
    LedgerChunk& chunk = chunks.emplace_back();
    chunk.key = key_;
    chunk.first = begin->first;
    chunk.last = expected - 1;
    for (; begin != end; begin = seeds_.erase(begin)) {
      Seed& seed = begin->second;
      chunk.workloads[seed.workload].add(seed.sums);
      if (seed.failure) chunk.failures.push_back(std::move(*seed.failure));
    }
  }
  return chunks;
}

}  // namespace sereus::sim
