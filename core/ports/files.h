// Files as a port: what the SQLite VFS, the append log and the keystore stand on. The POSIX driver implements it
// with system calls, the simulator with a disk that crashes.
//
// Paths are relative to the data folder, '/'-separated, and never contain "..".
// Thread rule: one File is used by one thread at a time, except read_at, which may run beside anything.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace sereus {

enum class OpenMode : uint8_t {
  read,               // must exist
  read_write,         // must exist
  read_write_create,  // made empty when missing
  create_new,         // must not exist
};

class File {
 public:
  virtual ~File() = default;
  // Reads up to out.size() bytes; returns how many (short at the end of the file).
  virtual Result<size_t> read_at(uint64_t offset, ByteSpan out) = 0;
  // Writes all of `data`, extending the file. Not durable until sync(). Code::no_space when the disk is full.
  virtual Status write_at(uint64_t offset, ByteView data) = 0;
  virtual Status truncate(uint64_t size) = 0;
  virtual Result<uint64_t> size() = 0;
  // Content and size are on stable storage when it returns (fdatasync).
  virtual Status sync() = 0;
};

// Held from lock() until destroyed.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

class Files {
 public:
  virtual ~Files() = default;
  virtual Result<std::unique_ptr<File>> open(std::string_view path, OpenMode mode) = 0;
  virtual bool exists(std::string_view path) = 0;
  virtual Status remove(std::string_view path) = 0;       // ok when it does not exist
  virtual Status remove_tree(std::string_view path) = 0;  // a folder with all in it; ok when it does not exist
  virtual Status rename(std::string_view from, std::string_view to) = 0;  // atomic, replaces
  virtual Status make_folder(std::string_view path) = 0;  // with its parents; ok when it exists; mode 0700
  virtual Status sync_folder(std::string_view path) = 0;  // names made, renamed or removed in it are durable
  virtual Result<std::vector<std::string>> list(std::string_view path) = 0;  // names, sorted
  // Takes an exclusive lock between processes; Code::busy when another process holds it (detail names its pid).
  virtual Result<std::unique_ptr<FileLock>> lock(std::string_view path) = 0;
  // A fingerprint of the folder that a copy of it does not share (device and inode of `path`); 0 when unknown.
  virtual uint64_t fingerprint(std::string_view path) = 0;
  virtual Result<uint64_t> free_bytes() = 0;
};

}  // namespace sereus
