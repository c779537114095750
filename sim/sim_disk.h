// A disk in memory that loses power: the Files port with a crash model.
//
// What a real disk may do, this one does, drawn from an injected generator:
//   - A write is not durable before its file's sync(). At a crash each 512-byte sector of each unsynced write is kept
//     or dropped on its own (so writes are torn and reordered); a file may also have grown by zeros.
//   - A name made, renamed or removed is not durable before sync_folder() of its folder. At a crash a drawn first part
//     of each folder's unsynced changes remains. sync() of a file does not make its name durable.
//   - Without being asked, the disk may write anything back at any time (it does when much is waiting).
// Faults: syncs that fail, are lost or lie; full disk; EIO; flipped bits; power cut at a numbered operation.
//
// Thread-safe. No clock. The same draws and the same calls give the same disk.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/ports/files.h"
#include "core/ports/random.h"

namespace sereus::sim {

struct DiskFaults {
  // In a million syncs (of files and folders), how many...
  uint32_t sync_failed_ppm = 0;  // ...say io; of the waiting writes some are durable, the others never will be,
                                 // though they still read back (what Linux does after a write-back error)
  uint32_t sync_lost_ppm = 0;    // ...say ok and do nothing; a later one makes up for it
  bool sync_lies = false;        // every sync says ok; only write-back makes anything durable
  uint32_t read_failed_ppm = 0;  // in a million reads, how many say io
  uint64_t capacity = std::numeric_limits<uint64_t>::max();  // bytes in all files; beyond: no_space
};

class SimDisk : public Files {
 public:
  static constexpr size_t kSector = 512;

  // `random` outlives it, and is drawn from at crashes and faults only.
  explicit SimDisk(Random& random);
  ~SimDisk() override;

  // ---- Power ----------------------------------------------------------------------------------------------------
  // Cuts the power: what was not durable is drawn, open files and locks are dead for ever, and every operation fails
  // with io until power_on().
  void crash();
  void power_on();
  // The process dies and the power stays: open files and locks are dead, all that was written reads back, and what was
  // not durable still is not.
  void kill();
  bool powered() const;
  // Operations that change the disk (write, truncate, sync, create, remove, rename, make and sync folder), counted
  // from 1 since the disk was made.
  uint64_t operations() const;
  // Cuts the power in the middle of operation number `operation` (which says io, and may have happened in part).
  void crash_at(uint64_t operation);
  // Operation number `operation` says `code` and changes nothing (a failed sync: as sync_failed_ppm); power stays on.
  void fail_at(uint64_t operation, Code code);
  void set_faults(const DiskFaults& faults);

  // ---- Looking inside, for tests ----------------------------------------------------------------------------------
  // Turns one bit, on the platter and in memory. Precondition: the file is there and that long.
  void flip_bit(std::string_view path, uint64_t offset, unsigned bit);
  // What a read returns now; empty when there is no such file.
  Bytes contents(std::string_view path) const;
  // Sets a file's bytes, durably, name included.
  void set_contents(std::string_view path, ByteView bytes);
  // Bytes written and not yet durable.
  uint64_t unsynced_bytes() const;
  // Names and contents of all files: equal for equal disks.
  uint64_t hash() const;

  // ---- Files ------------------------------------------------------------------------------------------------------
  Result<std::unique_ptr<File>> open(std::string_view path, OpenMode mode) override;
  bool exists(std::string_view path) override;
  Status remove(std::string_view path) override;
  Status remove_tree(std::string_view path) override;
  Status rename(std::string_view from, std::string_view to) override;
  Status make_folder(std::string_view path) override;
  Status sync_folder(std::string_view path) override;
  Result<std::vector<std::string>> list(std::string_view path) override;
  Result<std::unique_ptr<FileLock>> lock(std::string_view path) override;
  // Drawn when the folder is made; another SimDisk has others. Survives crashes.
  uint64_t fingerprint(std::string_view path) override;
  Result<uint64_t> free_bytes() override;

 private:
  class OpenFile;
  class HeldLock;

  // A change of a file's content that is not durable.
  struct Change {
    uint64_t offset = 0;
    Bytes data;
    bool truncate = false;  // to `offset`
  };
  struct Node {
    bool folder = false;
    uint64_t print = 0;
    Bytes now;      // what reads see
    Bytes durable;  // what a crash leaves, at least
    std::vector<Change> changes;
    uint64_t change_bytes = 0;
  };
  using NodePtr = std::shared_ptr<Node>;
  // A change of names that is not durable: `path` becomes `node` (null: is gone); a rename also ends `from`.
  struct NameChange {
    std::string path;
    NodePtr node;
    std::string from;
  };
  using Names = std::map<std::string, NodePtr, std::less<>>;

  // All below: mutex_ is held.
  Status begin_operation(bool* crash_in_it);
  Status finish(bool crash_in_it);
  Status check_power() const;
  bool drawn(uint32_t ppm);
  NodePtr find(std::string_view path) const;
  Status check_new_name(std::string_view path) const;
  void change_name(std::string path, NodePtr node, std::string from = {});
  void add_change(Node& node, Change change);
  void forget_some(Node& node);
  Status sync_node(Node& node);
  void write_back_some(Node& node);
  void lose_power();
  void crash_node(Node& node);
  void crash_names();
  static void apply(Bytes& content, const Change& change);
  static void apply(Names& names, const NameChange& change);

  Random& random_;
  mutable std::mutex mutex_;
  Names names_;          // what is seen
  Names durable_names_;  // what a crash leaves, at least
  std::vector<NameChange> name_changes_;
  std::map<std::string, bool, std::less<>> locks_;
  DiskFaults faults_;
  uint64_t used_ = 0;  // bytes in all named files
  uint64_t operations_ = 0;
  uint64_t crash_at_ = 0;  // 0: none
  uint64_t fail_at_ = 0;
  Code fail_code_ = Code::io;
  uint64_t life_ = 1;  // counts power cuts; handles of an earlier life are dead
  bool powered_ = true;
};

}  // namespace sereus::sim
