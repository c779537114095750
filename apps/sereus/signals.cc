#include "apps/sereus/signals.h"

#include <unistd.h>

namespace cli {
namespace {

constexpr int kSignalExit = 128;

volatile std::sig_atomic_t signalled = 0;
volatile std::sig_atomic_t second_ends = 0;

void on_signal(int number) {
  if (signalled != 0 && second_ends != 0) _exit(kSignalExit + number);
  signalled = 1;
}

}  // namespace

bool interrupted() { return signalled != 0; }
void clear_interrupt() { signalled = 0; }

Interruptible::Interruptible(bool once) {
  signalled = 0;
  second_ends = once ? 1 : 0;
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART: a read of the terminal ends
  sigaction(SIGINT, &action, &int_);
  sigaction(SIGTERM, &action, &term_);
}

Interruptible::~Interruptible() {
  sigaction(SIGINT, &int_, nullptr);
  sigaction(SIGTERM, &term_, nullptr);
}

}  // namespace cli
