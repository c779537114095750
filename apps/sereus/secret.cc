#include "apps/sereus/secret.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "apps/sereus/failure.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

constexpr size_t kPassphraseSizeMax = 4096;

// The controlling terminal, so that a passphrase can be asked for while standard input is a pipe.
class Terminal {
 public:
  explicit Terminal(const std::string& advice) : fd_(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)) {
    if (fd_ < 0) throw usage_failure("there is no terminal to ask on", advice);
  }
  ~Terminal() {
    if (silent_) tcsetattr(fd_, TCSAFLUSH, &before_);
    ::close(fd_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void silence() {
    if (tcgetattr(fd_, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    silent_ = tcsetattr(fd_, TCSAFLUSH, &quiet) == 0;
  }

  void write(const std::string& text) const {
    size_t at = 0;
    while (at < text.size()) {
      const ssize_t size = ::write(fd_, text.data() + at, text.size() - at);
      if (size <= 0) return;
      at += static_cast<size_t>(size);
    }
  }

  std::string read_line() const {
    std::string line;
    for (;;) {
      char c = 0;
      const ssize_t size = ::read(fd_, &c, 1);
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) throw Failure("the terminal was closed before an answer was given", "try again");
      if (c == '\n') break;
      if (line.size() < kPassphraseSizeMax) line += c;
    }
    if (silent_) write("\n");
    return line;
  }

 private:
  int fd_;
  bool silent_ = false;
  termios before_{};
};

}  // namespace

void Secret::wipe() {
  explicit_bzero(value_.data(), value_.capacity());
  value_.clear();
}

Secret read_passphrase_file(const std::string& path) {
  const bool standard = path == "-";
  const int fd = standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw errno_failure("read the passphrase file '" + printable(path) + "'", errno);
  std::string line;
  int error = 0;
  for (;;) {
    char c = 0;
    const ssize_t size = ::read(fd, &c, 1);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) error = errno;
    if (size <= 0 || c == '\n' || line.size() >= kPassphraseSizeMax) break;
    line += c;
  }
  if (!standard) ::close(fd);
  if (error != 0) throw errno_failure("read the passphrase file '" + printable(path) + "'", error);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (line.empty())
    throw usage_failure("the passphrase file '" + printable(path) + "' begins with an empty line",
                        "write the passphrase on its first line");
  return Secret(std::move(line));
}

Secret ask_passphrase(const std::string& prompt, const std::string& advice) {
  Terminal terminal(advice);
  terminal.silence();
  terminal.write(prompt);
  return Secret(terminal.read_line());
}

Secret ask_new_passphrase(const std::string& prompt, bool may_be_empty, const std::string& advice) {
  for (;;) {
    Secret first = ask_passphrase(prompt, advice);
    if (first.empty() && !may_be_empty) {
      Terminal(advice).write("It must not be empty.\n");
      continue;
    }
    const Secret second = ask_passphrase("The same again: ", advice);
    if (first.value() == second.value()) return first;
    Terminal(advice).write("They differ; try again.\n");
  }
}

std::string ask_line(const std::string& prompt, const std::string& advice) {
  Terminal terminal(advice);
  terminal.write(prompt);
  return terminal.read_line();
}

Secret passphrase_from_environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? Secret() : Secret(value);
}

}  // namespace cli
