// DNS messages (RFC 1035 section 4) as far as multicast DNS needs them: questions, and records whose data is a name or is taken as it is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace sereus::discovery {

enum class DnsType : uint16_t { ptr = 12, txt = 16, any = 255 };
inline constexpr uint16_t kDnsClassIn = 1;
// Of a question: a unicast answer would do; of a record: it replaces what was known (RFC 6762 sections 5.4 and 10.2).
inline constexpr uint16_t kDnsClassFlag = 0x8000;

// Names are labels with dots between them, in lower case, without the root's: "_p2p._udp.local".
struct DnsQuestion {
  std::string name;
  DnsType type = DnsType::ptr;  // or another number
};
struct DnsRecord {
  std::string name;
  DnsType type = DnsType::txt;
  uint32_t ttl_s = 0;
  std::string target;              // of a PTR
  std::vector<std::string> texts;  // of a TXT
};
struct DnsMessage {
  bool response = false;
  std::vector<DnsQuestion> questions;
  std::vector<DnsRecord>
      records;  // answers, authorities and additional ones, those of types and classes we do not know left out
};

// Code::malformed: no DNS message; Code::too_large: more than kDnsQuestionsMax or kDnsRecordsMax. Every name is followed to its end,
// through pointers (section 4.1.4) that go back only, so that there is an end.
Result<DnsMessage> parse_dns(ByteView packet);

// Without compression, all records as answers. Precondition: labels of 1 to 63 bytes, texts of up to 255.
Bytes encode_dns(const DnsMessage& message);

}  // namespace sereus::discovery
