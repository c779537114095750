// A disk in memory that loses power: the Files port with a crash model.
//
// What a real disk may do, this one does, drawn from an injected generator:
//   - A write is not durable before its file's sync(). At a crash each 512-byte sector of each unsynced write is kept
//     or dropped on its own (so writes are torn and reordered, within a file and between files); a file may also have
//     grown by zeros. A sector itself is never torn. A truncation is kept or dropped whole, whatever came after it.
//     This is a little more than disks do: of two unsynced writes to one sector the second may stay without the first.
//   - A name made, renamed or removed is not durable before sync_folder() of its folder. At a crash a drawn first part
//     of each folder's unsynced changes remains. sync() of a file does not make its name durable.
//     A rename is whole: the old name, or the new one, never neither and never half of a file.
//   - Without being asked, the disk may write anything back at any time (it does when much is waiting).
// Faults: syncs that fail, are lost or lie; full disk; EIO; flipped bits; slowness; power cut at a numbered operation.
// Of the faults in sim/fault.h, disk_full is DiskFaults::full, disk_errors read_failed_ppm and sync_failed_ppm, disk_slow
// sync_us, disk_lies sync_lost_ppm, bit_rot rot(), and power_cut crash() or crash_at().
//
// Thread-safe. No clock: what takes time is counted, and whoever has the clock takes it. The same draws and the same
// calls give the same disk.
#pragma once

#include <cstdint>
#include <functional>
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
  bool full = false;                                         // no file grows: no_space
  uint64_t sync_us = 0;                                      // what a sync takes
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
  // Turns `bits` drawn bits of what is durable, wherever they lie, and as far as it is in memory too, there as well.
  // How many it turned: none in files that are empty.
  uint64_t rot(uint64_t bits);
  // The time that syncs took since this was asked last.
  uint64_t take_us();

  // ---- Looking inside, for tests ----------------------------------------------------------------------------------
  // Turns one bit, on the platter and in memory. Precondition: the file is there and that long.
  void flip_bit(std::string_view path, uint64_t offset, unsigned bit);
  // What a read returns now; empty when there is no such file.
  Bytes contents(std::string_view path) const;
  // Sets a file's bytes, durably, name included.
  void set_contents(std::string_view path, ByteView bytes);
  // Bytes written and not yet durable.
  uint64_t unsynced_bytes() const;
  // Names and contents of all files: equal for equal disks. Costs what changed since it was asked last.
  uint64_t hash() const;
  // All bytes that somebody who holds the disk could read: of each file what reads see, what is durable where that is
  // something else, and the writes that wait. A path may come several times; removed files whose removal is not durable
  // are among them.
  void for_each_file(const std::function<void(std::string_view path, ByteView bytes)>& visit) const;

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

  // A change of a file's content that is not durable. Its bytes are in Node::waiting.
  struct Change {
    uint64_t offset = 0;
    size_t at = 0;
    size_t size = 0;
    bool truncate = false;  // to `offset`
  };
  // Reads see `durable` with `changes` applied, unless `apart`. So a crash has to look at what changed only.
  struct Node {
    bool folder = false;
    bool apart = false;  // what a failed sync forgot reads back all the same
    uint64_t print = 0;
    Bytes now;      // what reads see
    Bytes durable;  // what a crash leaves, at least
    std::vector<Change> changes;
    Bytes waiting;          // their bytes, one after another
    uint64_t life = 0;      // of the last power cut that saw it
    uint64_t sum = 0;       // of `now`
    bool sum_known = true;  // of the empty file: 0

    ByteView data(const Change& change) const { return ByteView(waiting).subspan(change.at, change.size); }
    uint64_t end(const Change& change) const { return change.offset + change.size; }
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
  void add_change(Node& node, uint64_t offset, ByteView data, bool truncate);
  void forget_changes(Node& node);
  bool no_room(const Node& node, uint64_t end) const;
  void forget_some(Node& node);
  Status sync_node(Node& node);
  void write_back_some(Node& node);
  void lose_power();
  void crash_node(Node& node);
  void crash_write(Node& node, const Change& change);
  static void settle(Node& node);
  void crash_names();
  static void apply(const Node& node, Bytes& content, const Change& change);
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
  uint64_t busy_us_ = 0;
  bool powered_ = true;
};

}  // namespace sereus::sim
