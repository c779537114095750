// An append log alone under power cuts.

#include <vector>

#include "core/storage/append_log.h"
#include "sim/power_subject.h"

namespace sereus::sim {
namespace {

using storage::AppendLog;

constexpr const char* kPath = "log";

class LogSubject : public Subject {
 public:
  using Subject::Subject;

  Status open(bool after_power_cut) override;
  void shut() override { log_.reset(); }
  bool is_open() const override { return log_ != nullptr; }
  Status act(SimRandom& draws) override;
  Status check(bool thoroughly) override;
  Status start_over() override;

 private:
  struct Record {
    uint8_t kind = 0;
    Bytes payload;
    uint64_t end = 0;  // boundary behind it
  };
  Status append(SimRandom& draws);
  Status sync();
  Status die();
  void check_record(size_t number, const storage::LogRecord& found);

  std::unique_ptr<AppendLog> log_;
  std::vector<Record> records_;  // in order; the first `durable_` are acknowledged
  size_t durable_ = 0;
  bool died_ = false;        // and what is there has not been looked at since
  uint64_t remembered_ = 0;  // a boundary that was durable, as an index remembers it
  uint64_t remembered_last_ = 0;
};

Status LogSubject::open(bool /*after_power_cut*/) {
  storage::AppendLogOptions options;
  options.id.fill(9);
  options.create = true;
  if (promise_.keeps) {
    options.trusted_end = remembered_;
    options.trusted_last = remembered_last_;
  }
  auto opened = AppendLog::open(ports_.disk, ports_.random, kPath, options, nullptr);
  if (!opened.ok()) return opened.error();
  log_ = std::move(opened).value();
  if (!died_) return {};
  // It may be a later attempt: what came before it has failed on a bad disk.
  Status looked = check(false);
  died_ = !looked.ok();
  if (died_) log_.reset();
  return looked;
}

Status LogSubject::act(SimRandom& draws) {
  if (log_->failed()) {
    SEREUS_TRY(log_->rewind_to_durable());
    records_.resize(durable_);
  }
  switch (draws.below(9)) {
    case 8:
      return die();
    case 0: {
      const Status closed = log_->close();
      log_.reset();
      if (closed.ok()) durable_ = records_.size();
      const Status opened = open(false);
      // What was written without an acknowledgement may be gone.
      if (opened.ok() && !(closed.ok() && promise_.keeps) && !check(false).ok()) log_.reset();
      return closed.ok() ? opened : closed;
    }
    case 1:
      return log_->flush();
    case 2:
    case 3:
    case 4:
      return sync();
    default:
      return append(draws);
  }
}

Status LogSubject::append(SimRandom& draws) {
  for (uint64_t left = 1 + draws.below(4); left > 0; --left) {
    Record record;
    record.kind = static_cast<uint8_t>(draws.below(storage::kLogKindMax));
    record.payload.resize(1 + draws.below(draws.below(10) == 0 ? 8000 : 300));
    draws.fill(record.payload);
    const auto position = log_->append(record.kind, ByteView(record.payload));
    if (!position.ok()) return position.error();
    record.end = *position + record.payload.size();
    records_.push_back(std::move(record));
  }
  return draws.below(2) == 0 ? sync() : Status();
}

Status LogSubject::sync() {
  SEREUS_TRY(log_->sync());
  acknowledged_ += records_.size() - durable_;
  durable_ = records_.size();
  if (durable_ != 0) {
    remembered_ = records_.back().end;
    remembered_last_ = remembered_ - records_.back().payload.size() - storage::kLogRecordHeaderSize;
  }
  return {};
}

// The process ends with records that are in the system's cache; who opens the log finds them, and takes them for durable.
Status LogSubject::die() {
  SEREUS_TRY(log_->flush());
  log_.reset();
  ports_.disk.kill();
  died_ = true;
  return open(false);
}

void LogSubject::check_record(size_t number, const storage::LogRecord& found) {
  if (number >= records_.size()) return violate("what nobody wrote", "a record that was never appended");
  const Record& record = records_[number];
  if (record.kind == found.kind && equal(record.payload, found.payload)) return;
  violate("acknowledged data survives", "record " + std::to_string(number) + " is another one");
}

// What is there are the records that were appended, in order, from the first one; at least those that were synced.
Status LogSubject::check(bool /*thoroughly*/) {
  storage::LogScanner scanner = log_->scan(storage::kLogHeaderSize);
  storage::LogRecord record;
  size_t found = 0;
  while (true) {
    const auto more = scanner.next(&record);
    if (!more.ok() && promise_.keeps && more.code() == Code::corrupt) {
      violate("log and index verify", more.error().detail);
    }
    if (!more.ok()) return more.error();
    if (!*more) break;
    check_record(found++, record);
  }
  if (promise_.keeps && found < durable_) {
    violate("acknowledged data survives", std::to_string(found) + " records of " + std::to_string(durable_));
  }
  if (found < records_.size()) records_.resize(found);
  durable_ = found;
  return {};
}

Status LogSubject::start_over() {
  SEREUS_TRY(ports_.disk.remove(kPath));
  SEREUS_TRY(ports_.disk.sync_folder(""));
  records_.clear();
  durable_ = 0;
  remembered_ = remembered_last_ = 0;
  return {};
}

}  // namespace

std::unique_ptr<Subject> make_log_subject(const SubjectPorts& ports, const Promise& promise) {
  return std::make_unique<LogSubject>(ports, promise);
}

}  // namespace sereus::sim
