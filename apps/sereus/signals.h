// SIGINT and SIGTERM as a request to end in order.
#pragma once

#include <csignal>

namespace cli {

// True since the last Interruptible began or clear_interrupt().
bool interrupted();
void clear_interrupt();

// For as long as it lives, the two signals set interrupted() instead of ending the process. `once`: a second one ends
// it at once.
class Interruptible {
 public:
  explicit Interruptible(bool once = true);
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

 private:
  struct sigaction int_ {};
  struct sigaction term_ {};
};

}  // namespace cli
