// Work that blocks or is long runs as a job and completes later. A node has one writer queue (everything that
// changes the disk, in order) and one worker queue (verification, key derivation, reading for peers). The native
// driver runs each on a thread of its own; the simulator and the browser run jobs inline, at drawn times.
#pragma once

#include <cstdint>
#include <functional>

namespace sereus {

enum class JobQueue : uint8_t { writer, worker };

class Jobs {
 public:
  virtual ~Jobs() = default;
  // `work` runs once on the queue's thread, in order of submission within its queue. `done` then runs on the node's
  // thread, inside a later step(). Neither may call back into the application. Never refuses: whoever submits bounds
  // how many are under way. After the node began to close, submitted jobs still run to their end.
  virtual void submit(JobQueue queue, std::function<void()> work, std::function<void()> done) = 0;
};

}  // namespace sereus
