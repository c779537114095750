#include "core/discovery/dns_message.h"

#include <algorithm>

#include "core/base/assert.h"
#include "core/discovery/limits.h"

namespace sereus::discovery {
namespace {

constexpr size_t kHeaderSize = 12;
constexpr uint8_t kPointer = 0xc0;
constexpr size_t kLabelMax = 63;
constexpr size_t kTextMax = 255;

class DnsReader {
 public:
  explicit DnsReader(ByteView packet) : packet_(packet) {}

  size_t rest() const { return packet_.size() - at_; }
  bool number(size_t bytes, uint32_t& out) {
    if (rest() < bytes) return false;
    out = 0;
    for (size_t i = 0; i < bytes; ++i) out = out << 8 | packet_[at_++];
    return true;
  }
  bool name(std::string& out) {
    size_t end = 0;
    if (!name_at(at_, out, end)) return false;
    at_ = end;
    return true;
  }
  // A name within the next `size` bytes; they are passed over by skip().
  bool name_within(size_t size, std::string& out) const {
    size_t end = 0;
    return name_at(at_, out, end) && end <= at_ + size;
  }
  ByteView bytes(size_t size) const { return packet_.subspan(at_, size); }
  void skip(size_t size) { at_ += size; }

 private:
  // `end`: behind the name where it stands, not where its pointers lead.
  bool name_at(size_t at, std::string& out, size_t& end) const {
    out.clear();
    bool jumped = false;
    size_t limit = packet_.size();  // a pointer goes to before the one it stands in
    for (;;) {
      if (at >= limit) return false;
      const uint8_t size = packet_[at];
      if ((size & kPointer) == kPointer) {
        if (at + 1 >= packet_.size()) return false;
        const size_t target = static_cast<size_t>(size & ~kPointer) << 8 | packet_[at + 1];
        if (!jumped) end = at + 2;
        if (target >= at || target < kHeaderSize) return false;
        jumped = true;
        limit = at;
        at = target;
        continue;
      }
      if (size > kLabelMax) return false;
      if (size == 0) {
        if (!jumped) end = at + 1;
        return true;
      }
      if (at + 1 + size > limit || out.size() + size + 1 > kDnsNameTextMax) return false;
      if (!out.empty()) out += '.';
      for (size_t i = 0; i < size; ++i) {
        const auto c = static_cast<char>(packet_[at + 1 + i]);
        out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
      }
      at += 1 + size_t{size};
    }
  }

  ByteView packet_;
  size_t at_ = 0;
};

// The data of a record of ours, from its `size` bytes. False: it is not as its type has it.
bool read_data(const DnsReader& reader, size_t size, DnsRecord& record) {
  if (record.type == DnsType::ptr) return reader.name_within(size, record.target);
  ByteView data = reader.bytes(size);
  while (!data.empty()) {
    const size_t length = data[0];
    if (length >= data.size()) return false;
    record.texts.push_back(to_string(data.subspan(1, length)));
    data = data.subspan(1 + length);
  }
  return true;
}

bool read_record(DnsReader& reader, DnsMessage& message) {
  DnsRecord record;
  uint32_t type = 0;
  uint32_t cls = 0;
  uint32_t size = 0;
  if (!reader.name(record.name) || !reader.number(2, type) || !reader.number(2, cls) ||
      !reader.number(4, record.ttl_s) || !reader.number(2, size) || reader.rest() < size) {
    return false;
  }
  record.type = static_cast<DnsType>(type);
  const bool known = record.type == DnsType::ptr || record.type == DnsType::txt;
  if (known && (cls & ~uint32_t{kDnsClassFlag}) == kDnsClassIn) {
    if (!read_data(reader, size, record)) return false;
    message.records.push_back(std::move(record));
  }
  reader.skip(size);
  return true;
}

void put_number(Bytes& out, uint32_t value, size_t bytes) {
  for (size_t i = bytes; i-- > 0;) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

void put_name(Bytes& out, std::string_view name) {
  while (!name.empty()) {
    const size_t dot = std::min(name.find('.'), name.size());
    SEREUS_ASSERT(dot > 0 && dot <= kLabelMax);
    out.push_back(static_cast<uint8_t>(dot));
    append(out, as_bytes(name.substr(0, dot)));
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  out.push_back(0);
}

}  // namespace

Result<DnsMessage> parse_dns(ByteView packet) {
  const Error malformed = fail(Code::malformed, "no DNS message");
  DnsReader reader(packet);
  uint32_t id = 0;
  uint32_t flags = 0;
  uint32_t counts[4] = {};
  if (!reader.number(2, id) || !reader.number(2, flags)) return malformed;
  for (uint32_t& count : counts) {
    if (!reader.number(2, count)) return malformed;
  }
  const size_t records = size_t{counts[1]} + counts[2] + counts[3];
  if (counts[0] > kDnsQuestionsMax || records > kDnsRecordsMax)
    return fail(Code::too_large, "a DNS message is too large");
  DnsMessage message;
  message.response = (flags & 0x8000) != 0;
  for (uint32_t i = 0; i < counts[0]; ++i) {
    DnsQuestion question;
    uint32_t type = 0;
    uint32_t cls = 0;
    if (!reader.name(question.name) || !reader.number(2, type) || !reader.number(2, cls)) return malformed;
    question.type = static_cast<DnsType>(type);
    if ((cls & ~uint32_t{kDnsClassFlag}) == kDnsClassIn) message.questions.push_back(std::move(question));
  }
  for (size_t i = 0; i < records; ++i) {
    if (!read_record(reader, message)) return malformed;
  }
  return message;
}

Bytes encode_dns(const DnsMessage& message) {
  Bytes out;
  put_number(out, 0, 2);                                // RFC 6762 section 18.1
  put_number(out, message.response ? 0x8400u : 0u, 2);  // section 18: a response is authoritative
  put_number(out, static_cast<uint32_t>(message.questions.size()), 2);
  put_number(out, static_cast<uint32_t>(message.records.size()), 2);
  put_number(out, 0, 4);
  for (const DnsQuestion& question : message.questions) {
    put_name(out, question.name);
    put_number(out, static_cast<uint16_t>(question.type), 2);
    put_number(out, kDnsClassIn, 2);
  }
  for (const DnsRecord& record : message.records) {
    put_name(out, record.name);
    put_number(out, static_cast<uint16_t>(record.type), 2);
    put_number(out, kDnsClassIn, 2);
    put_number(out, record.ttl_s, 4);
    Bytes data;
    if (record.type == DnsType::ptr) {
      put_name(data, record.target);
    } else {
      for (const std::string& text : record.texts) {
        SEREUS_ASSERT(text.size() <= kTextMax);
        data.push_back(static_cast<uint8_t>(text.size()));
        append(data, as_bytes(text));
      }
    }
    put_number(out, static_cast<uint32_t>(data.size()), 2);
    append(out, data);
  }
  return out;
}

}  // namespace sereus::discovery
