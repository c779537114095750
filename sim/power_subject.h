// What lies on the disk of the workloads `power` and `files`: one of the core's things that keep data, driven directly,
// without a node, a network or time. It remembers what was acknowledged, and says after every power cut whether it is
// there.
#pragma once

#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/storage/vfs.h"
#include "sim/sim_disk.h"
#include "sim/sim_random.h"

namespace sereus::sim {

// What may be asked of it.
struct Promise {
  // What was acknowledged is there after every power cut. Not when the disk lies about syncs or rots: then data may be lost
  // and opening may be refused as corrupt; but what reads as good was written once, under that name.
  bool keeps = true;
  // Bits of what was written turn. Entries, records and keystores carry checksums and seals, and show it; SQLite's pages
  // do not, nor does a read of a store's value look at its entry: there verify() must say it when it shows.
  bool rots = false;
};

struct SubjectPorts {
  SimDisk& disk;
  storage::Vfs& vfs;
  SimRandom& random;
};

class Subject {
 public:
  Subject(const SubjectPorts& ports, const Promise& promise) : ports_(ports), promise_(promise) {}
  virtual ~Subject() = default;
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  // Opens it on what the disk has, or makes it. After a power cut what is there is durable; after a failure of the disk
  // that is less sure.
  virtual Status open(bool after_power_cut) = 0;
  // The process is gone. Fine when it is not open.
  virtual void shut() = 0;
  virtual bool is_open() const = 0;
  // One operation, drawn. What it says is what the application would hear.
  virtual Status act(SimRandom& draws) = 0;
  // What must hold now; findings are in violation(). What it returns is an error in reading, which is none by itself.
  // `thoroughly` reads everything there is.
  virtual Status check(bool thoroughly) = 0;
  // The application gives up what is there and begins anew, because it is damaged. Precondition: shut.
  virtual Status start_over() = 0;

  uint64_t acknowledged() const { return acknowledged_; }  // operations
  const std::string& oracle() const { return oracle_; }
  const std::string& violation() const { return violation_; }

 protected:
  // The first one counts.
  void violate(std::string oracle, std::string words) {
    if (!violation_.empty()) return;
    oracle_ = std::move(oracle);
    violation_ = std::move(words);
  }

  SubjectPorts ports_;
  Promise promise_;
  uint64_t acknowledged_ = 0;

 private:
  std::string oracle_;
  std::string violation_;
};

std::unique_ptr<Subject> make_store_subject(const SubjectPorts& ports, const Promise& promise);
std::unique_ptr<Subject> make_keystore_subject(const SubjectPorts& ports, const Promise& promise);
std::unique_ptr<Subject> make_log_subject(const SubjectPorts& ports, const Promise& promise);
std::unique_ptr<Subject> make_database_subject(const SubjectPorts& ports, const Promise& promise);

}  // namespace sereus::sim
