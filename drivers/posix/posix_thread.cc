#include "drivers/posix/posix_thread.h"

#include <signal.h>
#include <stdlib.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>

namespace sereus::posix {
namespace {

constexpr int kExitWaitSeconds = 5;

struct Start {
  const char* name;
  std::function<void()> run;
};

void* run_thread(void* argument) {
  const std::unique_ptr<Start> start(static_cast<Start*>(argument));
#if defined(__APPLE__)
  pthread_setname_np(start->name);
#else
  pthread_setname_np(pthread_self(), start->name);
#endif
  start->run();
  return nullptr;
}

int create(pthread_t* thread, const char* name, std::function<void()> run) {
  auto start = std::make_unique<Start>(Start{name, std::move(run)});
  // Threads inherit the mask: the application's handlers run on its own threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(thread, nullptr, run_thread, start.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) (void)start.release();
  return error;
}

// Never destroyed: its threads may outlive static objects.
struct Background {
  std::mutex mutex;
  std::condition_variable changed;
  size_t running = 0;
};
Background& background() {
  static Background* const the = new Background;
  return *the;
}

void wait_for_background() {
  Background& the = background();
  std::unique_lock<std::mutex> lock(the.mutex);
  the.changed.wait_for(lock, std::chrono::seconds(kExitWaitSeconds), [&the] { return the.running == 0; });
}

void end_background() {
  Background& the = background();
  const std::lock_guard<std::mutex> lock(the.mutex);
  --the.running;
  the.changed.notify_all();
}

}  // namespace

Result<std::unique_ptr<PosixThread>> PosixThread::start(const char* name, std::function<void()> run) {
  pthread_t thread{};
  const int error = create(&thread, name, std::move(run));
  if (error != 0) return fail(Code::no_memory, std::string("cannot start a thread: ") + std::strerror(error));
  return std::unique_ptr<PosixThread>(new PosixThread(thread));
}

PosixThread::~PosixThread() { pthread_join(thread_, nullptr); }

bool PosixThread::is_current() const { return pthread_equal(thread_, pthread_self()) != 0; }

void run_in_background(std::function<void()> run) {
  Background& the = background();
  static const bool registered = std::atexit(wait_for_background) == 0;
  (void)registered;
  {
    const std::lock_guard<std::mutex> lock(the.mutex);
    ++the.running;
  }
  auto shared = std::make_shared<std::function<void()>>(std::move(run));
  pthread_t thread{};
  const int error = create(&thread, "sereus-end", [shared] {
    (*shared)();
    *shared = nullptr;  // what it holds is gone before exit() may go on
    end_background();
  });
  if (error == 0) {
    pthread_detach(thread);
    return;
  }
  (*shared)();
  *shared = nullptr;
  end_background();
}

}  // namespace sereus::posix
