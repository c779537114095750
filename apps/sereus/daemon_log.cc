#include "apps/sereus/daemon_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "apps/sereus/session.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

constexpr uint64_t kLogSizeMax = 1024 * 1024;  // two generations: enough for days, and to be sent to somebody

}  // namespace

DaemonLog::DaemonLog(const std::filesystem::path& data, Output& out, uint32_t terminal_level)
    : path_(data / "logs" / "sereus.log"), out_(out), terminal_level_(terminal_level) {
  std::error_code ignored;
  std::filesystem::create_directory(data / "logs", ignored);
  std::filesystem::permissions(data / "logs", std::filesystem::perms::owner_all, ignored);
  open();
}

DaemonLog::~DaemonLog() {
  if (file_ != nullptr) std::fclose(file_);
}

// A log that cannot be written must not stop the node: then there is none.
void DaemonLog::open() {
  const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return;
  const off_t end = ::lseek(fd, 0, SEEK_END);
  size_ = end > 0 ? static_cast<uint64_t>(end) : 0;
  file_ = ::fdopen(fd, "a");
  if (file_ == nullptr) ::close(fd);
}

uint32_t DaemonLog::level() const { return std::max<uint32_t>(SEREUS_LOG_INFO, terminal_level_); }

void DaemonLog::write(void* user, uint32_t level, const char* room, const char* message) {
  auto* self = static_cast<DaemonLog*>(user);
  self->append(level, room, message);
  if (level <= self->terminal_level_) log_to_stderr(&self->out_, level, room, message);
}

void DaemonLog::append(uint32_t level, const char* room, const char* message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (file_ != nullptr && size_ > kLogSizeMax) {
    std::fclose(file_);
    file_ = nullptr;
    std::error_code ignored;
    std::filesystem::rename(path_, path_.string() + ".1", ignored);
    open();
  }
  if (file_ == nullptr) return;
  const std::string line =
      iso_time(wall_ms_now()) + " " + level_name(level) + " " + text(room) + ": " + printable(text(message)) + "\n";
  std::fwrite(line.data(), 1, line.size(), file_);
  std::fflush(file_);
  size_ += line.size();
}

}  // namespace cli
