#include "sim/runner.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "core/base/assert.h"
#include "core/base/bytes.h"

#ifdef __linux__
#include <sys/prctl.h>
#endif

namespace sereus::sim {
namespace {

constexpr size_t kLastWords = 64 * 1024;
constexpr auto kStoodStill = std::chrono::seconds(1);  // a busy machine comes back sooner
constexpr size_t kTellingLines = 12;
constexpr size_t kTellingBytes = 2000;
constexpr size_t kFrameHeader = 8;  // the length of what follows

bool read_all(int fd, char* out, size_t size) {
  while (size > 0) {
    const ssize_t got = read(fd, out, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

// No SIGPIPE: the other side may be dead, which shows in what is read from it.
bool send_all(int fd, const char* from, size_t size) {
  while (size > 0) {
    const ssize_t sent = send(fd, from, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    from += sent;
    size -= static_cast<size_t>(sent);
  }
  return true;
}

bool send_frame(int fd, const std::string& text) {
  const uint64_t length = text.size();
  char header[kFrameHeader];
  std::memcpy(header, &length, sizeof header);
  return send_all(fd, header, sizeof header) && send_all(fd, text.data(), text.size());
}

bool read_frame(int fd, std::string& text) {
  uint64_t length = 0;
  if (!read_all(fd, reinterpret_cast<char*>(&length), sizeof length)) return false;
  text.resize(length);
  return read_all(fd, text.data(), text.size());
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    return "the process was ended by signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) +
           ")";
  }
  return "the process ended with code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

std::string telling_lines(const std::string& words) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < words.size();) {
    const size_t end = std::min(words.find('\n', at), words.size());
    if (end > at) lines.push_back(words.substr(at, end - at));
    at = end + 1;
  }
  std::string text;
  const auto add = [&](const std::string& line) {
    if (text.size() < kTellingBytes) text += "\n  " + line.substr(0, kTellingBytes - text.size());
  };
  const size_t tail = lines.size() - std::min(lines.size(), kTellingLines);
  for (size_t i = 0; i < tail; ++i) {
    for (const char* const mark : {"ERROR: ", "SUMMARY: ", "runtime error: ", "ssert"}) {
      if (lines[i].find(mark) == std::string::npos) continue;
      add(lines[i]);
      break;
    }
  }
  for (size_t i = tail; i < lines.size(); ++i) add(lines[i]);
  return text;
}

WorkerPool::WorkerPool(size_t workers, std::chrono::milliseconds timeout, Work work)
    : timeout_(timeout), work_(std::move(work)), workers_(std::max<size_t>(workers, 1)) {}

WorkerPool::~WorkerPool() {
  std::vector<Result> ignored;
  for (Worker& worker : workers_) {
    if (worker.pid > 0) bury(worker, End::hung, ignored);
  }
}

size_t WorkerPool::busy() const {
  return static_cast<size_t>(
      std::count_if(workers_.begin(), workers_.end(), [](const Worker& worker) { return worker.busy; }));
}

void WorkerPool::serve(int channel) const {
  std::string task;
  while (read_frame(channel, task)) {
    const std::string answer = work_(task);
    if (!send_frame(channel, answer)) break;
  }
  // Nothing of the parent's is flushed or closed here.
  _exit(0);
}

void WorkerPool::start(Worker& worker) {
  int channel[2];
  int said[2];
  SEREUS_ASSERT(socketpair(AF_UNIX, SOCK_STREAM, 0, channel) == 0);
  SEREUS_ASSERT(pipe(said) == 0);
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  SEREUS_ASSERT(pid >= 0);
  if (pid == 0) {
#ifdef __linux__
    // Also a worker that hangs ends with who waits for it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (getppid() != parent) _exit(0);
    std::signal(SIGINT, SIG_IGN);  // Ctrl-C goes to the whole group; the parent ends its workers
    dup2(said[1], STDOUT_FILENO);
    dup2(said[1], STDERR_FILENO);
    // The others' ends too: a worker ends when nobody holds the other end of its channel.
    for (const Worker& other : workers_) {
      if (other.channel >= 0) close(other.channel);
      if (other.said >= 0) close(other.said);
    }
    for (const int fd : {channel[0], said[0], said[1]}) close(fd);
    serve(channel[1]);
  }
  close(channel[1]);
  close(said[1]);
  fcntl(said[0], F_SETFL, O_NONBLOCK);
  worker = Worker{};
  worker.pid = pid;
  worker.channel = channel[0];
  worker.said = said[0];
}

void WorkerPool::submit(uint64_t id, const std::string& task) {
  const auto found = std::find_if(workers_.begin(), workers_.end(), [](const Worker& worker) { return !worker.busy; });
  SEREUS_ASSERT(found != workers_.end());
  if (found->pid < 0) start(*found);
  found->busy = true;
  found->id = id;
  found->deadline = Clock::now() + timeout_;
  found->last_words.clear();
  // One that died meanwhile is found by wait().
  static_cast<void>(send_frame(found->channel, task));
}

void WorkerPool::listen(Worker& worker) {
  char buffer[4096];
  ssize_t got = 0;
  while ((got = read(worker.said, buffer, sizeof buffer)) > 0) {
    worker.last_words.append(buffer, static_cast<size_t>(got));
    if (worker.last_words.size() > kLastWords) worker.last_words.erase(0, worker.last_words.size() - kLastWords);
  }
}

void WorkerPool::bury(Worker& worker, End end, std::vector<Result>& results) {
  if (end == End::hung) kill(worker.pid, SIGKILL);
  int status = 0;
  while (waitpid(worker.pid, &status, 0) < 0 && errno == EINTR) {
  }
  listen(worker);
  close(worker.channel);
  close(worker.said);
  if (worker.busy) {
    const std::string how =
        end == End::hung ? "no end after " + std::to_string(timeout_.count() / 1000) + " s" : how_it_ended(status);
    results.push_back({worker.id, end, how + telling_lines(worker.last_words)});
  }
  worker = Worker{};
}

void WorkerPool::receive(Worker& worker, std::vector<Result>& results) {
  char buffer[65536];
  const ssize_t got = read(worker.channel, buffer, sizeof buffer);
  if (got < 0 && errno == EINTR) return;
  if (got <= 0) {
    bury(worker, End::crashed, results);
    return;
  }
  worker.received.append(buffer, static_cast<size_t>(got));
  if (worker.received.size() < kFrameHeader) return;
  uint64_t length = 0;
  std::memcpy(&length, worker.received.data(), kFrameHeader);
  if (worker.received.size() - kFrameHeader < length) return;
  results.push_back({worker.id, End::answered, worker.received.substr(kFrameHeader)});
  worker.received.clear();
  worker.busy = false;
}

std::vector<WorkerPool::Result> WorkerPool::wait(std::chrono::milliseconds patience) {
  std::vector<Result> results;
  std::vector<pollfd> polled;
  std::vector<Worker*> of;
  polled.reserve(2 * workers_.size());
  of.reserve(2 * workers_.size());
  Clock::time_point until = Clock::now() + patience;
  for (Worker& worker : workers_) {
    if (!worker.busy) continue;
    until = std::min(until, worker.deadline);
    for (const int fd : {worker.channel, worker.said}) {
      polled.push_back({fd, POLLIN, 0});
      of.push_back(&worker);
    }
  }
  const Clock::time_point before = Clock::now();
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - before).count();
  const int ready = poll(polled.data(), polled.size(), static_cast<int>(std::clamp<int64_t>(left + 1, 0, 1 << 30)));
  // A pool that comes back late was stopped, perhaps with its workers, and has taken no answers meanwhile: they begin anew.
  if (const Clock::time_point now = Clock::now(); now - std::max(before, until) > kStoodStill) {
    for (Worker& worker : workers_) worker.deadline = now + timeout_;
  }
  for (size_t i = 0; ready > 0 && i < polled.size(); i += 2) {
    if (polled[i + 1].revents != 0) listen(*of[i + 1]);
    if (polled[i].revents != 0) receive(*of[i], results);
  }
  for (Worker& worker : workers_) {
    if (worker.busy && Clock::now() >= worker.deadline) bury(worker, End::hung, results);
  }
  return results;
}

}  // namespace sereus::sim
