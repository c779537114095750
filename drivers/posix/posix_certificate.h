// The certificate of secure WebSocket from two files, read again when they change; and the machine's trusted authorities.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/log.h"
#include "core/net/web_tls.h"

namespace sereus::posix {

// Debian's and its relatives', and with ca-certificates nearly everybody else's.
inline constexpr std::string_view kSystemAuthorities = "/etc/ssl/certs/ca-certificates.crt";

// A file's content; at most `most` bytes, else Code::too_large. Code::not_found, Code::denied and Code::io name the path.
Result<Bytes> read_whole_file(const std::string& path, size_t most);

// Node thread.
class PosixCertificate {
 public:
  // `chain_path` and `key_path`: see TlsServerCertificate. Both outlive this; `logger` may be null.
  PosixCertificate(std::string chain_path, std::string key_path, Random& random, Logger* logger);

  // Reads the files if they are others than at the last call, or changed since. What cannot be used leaves what is there; the
  // error is returned, and logged once for each change of the files.
  Status refresh();
  const std::shared_ptr<net::TlsServerCertificate>& certificate() const { return certificate_; }

 private:
  // Enough to notice a file that was written or replaced.
  struct Stamp {
    uint64_t device = 0;
    uint64_t inode = 0;
    int64_t size = -1;
    int64_t changed_ns = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  static Stamp stamp_of(const std::string& path);
  Status load();

  const std::string chain_path_;
  const std::string key_path_;
  Logger* logger_;
  std::shared_ptr<net::TlsServerCertificate> certificate_;
  bool looked_ = false;
  std::array<Stamp, 2> seen_;
  Status last_;
};

}  // namespace sereus::posix
