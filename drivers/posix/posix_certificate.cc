#include "drivers/posix/posix_certificate.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/net/limits.h"
#include "drivers/posix/descriptor.h"

namespace sereus::posix {
namespace {

Error file_error(const std::string& path, int error) {
  const Code code = error == ENOENT ? Code::not_found : error == EACCES ? Code::denied : Code::io;
  return fail(code, path + ": " + std::strerror(error));
}

}  // namespace

Result<Bytes> read_whole_file(const std::string& path, size_t most) {
  // Not to hang on a pipe.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return file_error(path, errno);
  Bytes out;
  std::array<uint8_t, 16 << 10> block{};
  for (;;) {
    const ssize_t got = ::read(file.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(path, errno);
    if (got == 0) return out;
    append(out, ByteView(block).first(static_cast<size_t>(got)));
    if (out.size() > most) return fail(Code::too_large, path + " is larger than " + std::to_string(most) + " bytes");
  }
}

PosixCertificate::PosixCertificate(std::string chain_path, std::string key_path, Random& random, Logger* logger)
    : chain_path_(std::move(chain_path)),
      key_path_(std::move(key_path)),
      logger_(logger),
      certificate_(std::make_shared<net::TlsServerCertificate>(random)) {}

PosixCertificate::Stamp PosixCertificate::stamp_of(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return {};
#ifdef __APPLE__
  const timespec& changed = found.st_mtimespec;
#else
  const timespec& changed = found.st_mtim;
#endif
  return {static_cast<uint64_t>(found.st_dev), static_cast<uint64_t>(found.st_ino), static_cast<int64_t>(found.st_size),
          static_cast<int64_t>(changed.tv_sec) * 1'000'000'000 + changed.tv_nsec};
}

Status PosixCertificate::refresh() {
  // Taken before reading: what is written meanwhile is seen the next time.
  const std::array<Stamp, 2> stamps{stamp_of(chain_path_), stamp_of(key_path_)};
  if (std::exchange(looked_, true) && stamps == seen_) return last_;
  seen_ = stamps;
  const bool had = certificate_->loaded();
  last_ = load();
  if (logger_ == nullptr) return last_;
  if (last_.ok()) {
    logger_->write(LogLevel::info, "net", "the certificate of secure WebSocket was loaded from " + chain_path_);
  } else {
    logger_->write(LogLevel::error, "net",
                   "the certificate of secure WebSocket cannot be used" +
                       std::string(had ? "; the one from before stays: " : ": ") + last_.error().detail);
  }
  return last_;
}

Status PosixCertificate::load() {
  SEREUS_ASSIGN(const Bytes chain, read_whole_file(chain_path_, net::kWebTlsPemMax));
  SEREUS_ASSIGN(const Bytes key, read_whole_file(key_path_, net::kWebTlsPemMax));
  if (const Status loaded = certificate_->load(chain, key); !loaded.ok()) {
    return fail(loaded.code(), loaded.error().detail + " (" + chain_path_ + ", " + key_path_ + ")");
  }
  return {};
}

}  // namespace sereus::posix
