#include "drivers/posix/posix_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "drivers/posix/posix_times.h"

namespace sereus::posix {
namespace {

constexpr int kEventsPerWait = 64;
constexpr uint64_t kWakeKey = 0;
constexpr uint64_t kWaitSecondsMax = 3600;  // far deadlines are looked at again: the sum stays within a timespec

uint32_t interest(bool readable, bool writable) {
  return (readable ? static_cast<uint32_t>(EPOLLIN) : 0u) | (writable ? static_cast<uint32_t>(EPOLLOUT) : 0u);
}

}  // namespace

Result<std::unique_ptr<PosixLoop>> PosixLoop::make() {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  const int wake = epoll < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event event {};
  event.events = EPOLLIN;
  event.data.u64 = kWakeKey;
  if (wake < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event) != 0) {
    const std::string why = std::strerror(errno);
    if (wake >= 0) ::close(wake);
    if (epoll >= 0) ::close(epoll);
    return fail(Code::io, "cannot make an event loop: " + why);
  }
  return std::unique_ptr<PosixLoop>(new PosixLoop(epoll, wake));
}

PosixLoop::~PosixLoop() {
  ::close(wake_);
  ::close(epoll_);
}

Status PosixLoop::watch(int fd, bool readable, bool writable, Handler handler) {
  struct epoll_event event {};
  event.events = interest(readable, writable);
  event.data.u64 = ++last_key_;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail(Code::io, std::string("cannot watch a socket: ") + std::strerror(errno));
  }
  keys_[fd] = last_key_;
  handlers_[last_key_] = std::make_shared<Handler>(std::move(handler));
  return {};
}

void PosixLoop::change(int fd, bool readable, bool writable) {
  const auto at = keys_.find(fd);
  if (at == keys_.end()) return;
  struct epoll_event event {};
  event.events = interest(readable, writable);
  event.data.u64 = at->second;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
}

void PosixLoop::forget(int fd) {
  const auto at = keys_.find(fd);
  if (at == keys_.end()) return;
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  handlers_.erase(at->second);
  keys_.erase(at);
}

void PosixLoop::wake() {
  if (woken_.exchange(true)) return;
  const uint64_t one = 1;
  // Cannot fail short of overflow, which the flag excludes.
  (void)!::write(wake_, &one, sizeof one);
}

int PosixLoop::poll(uint64_t deadline_mono_us, void* events, int count) {
  auto* const out = static_cast<struct epoll_event*>(events);
  const uint64_t at = now().mono_us;
  const uint64_t left =
      deadline_mono_us <= at ? 0 : std::min(deadline_mono_us - at, kWaitSecondsMax * kMicrosPerSecond);
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 35)
  if (has_pwait2_) {
    struct timespec timeout {};
    timeout.tv_sec = static_cast<time_t>(left / kMicrosPerSecond);
    timeout.tv_nsec = static_cast<long>(left % kMicrosPerSecond) * 1000;
    const int ready = epoll_pwait2(epoll_, out, count, &timeout, nullptr);
    if (ready >= 0 || errno != ENOSYS) return ready;
    has_pwait2_ = false;
  }
#endif
  return epoll_wait(epoll_, out, count, static_cast<int>((left + kMicrosPerMilli - 1) / kMicrosPerMilli));
}

void PosixLoop::wait(uint64_t deadline_mono_us) {
  struct epoll_event ready[kEventsPerWait];
  const int count = poll(deadline_mono_us, ready, kEventsPerWait);
  for (int i = 0; i < count; ++i) {
    const struct epoll_event& event = ready[i];
    if (event.data.u64 == kWakeKey) {
      uint64_t ignored = 0;
      (void)!::read(wake_, &ignored, sizeof ignored);
      woken_.store(false);  // after the read: a wake from now on writes again
      continue;
    }
    const auto at = handlers_.find(event.data.u64);
    if (at == handlers_.end()) continue;  // forgotten by a handler before it
    const std::shared_ptr<Handler> handler = at->second;
    const bool failed = (event.events & static_cast<uint32_t>(EPOLLERR | EPOLLHUP)) != 0;
    (*handler)(Ready{(event.events & static_cast<uint32_t>(EPOLLIN)) != 0 || failed,
                     (event.events & static_cast<uint32_t>(EPOLLOUT)) != 0 || failed, failed});
  }
}

}  // namespace sereus::posix
