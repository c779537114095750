#include "core/crypto/keystore_file.h"

#include <algorithm>

#include "core/crypto/keystore.h"

namespace sereus::crypto {
namespace {

std::string aside(const std::string& path) { return path + ".new"; }

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

Status write_aside(Files& files, const std::string& path, ByteView content) {
  SEREUS_ASSIGN(const std::unique_ptr<File> file, files.open(path, OpenMode::read_write_create));
  SEREUS_TRY(file->truncate(0));
  SEREUS_TRY(file->write_at(0, content));
  return file->sync();
}

Status overwrite(Files& files, const std::string& path) {
  SEREUS_ASSIGN(const std::unique_ptr<File> file, files.open(path, OpenMode::read_write));
  SEREUS_ASSIGN(const uint64_t size, file->size());
  const Bytes zeros(static_cast<size_t>(std::min<uint64_t>(size, kKeystoreSizeMax)), 0);
  if (!zeros.empty()) SEREUS_TRY(file->write_at(0, zeros));
  return file->sync();
}

Status overwrite_and_remove(Files& files, const std::string& path) {
  if (!files.exists(path)) return {};
  Status overwritten = overwrite(files, path);
  SEREUS_TRY(files.remove(path));
  return overwritten;
}

}  // namespace

Result<WipedBytes> read_keystore_file(Files& files, const std::string& path) {
  if (!files.exists(path)) return fail(Code::no_identity, "there is no identity in this data folder");
  SEREUS_ASSIGN(const std::unique_ptr<File> file, files.open(path, OpenMode::read));
  SEREUS_ASSIGN(const uint64_t size, file->size());
  if (size > kKeystoreSizeMax) return fail(Code::corrupt, "the keystore is larger than a keystore can be");
  WipedBytes content(static_cast<size_t>(size));
  content.bytes.resize(static_cast<size_t>(size));
  size_t read = 0;
  while (read < content.bytes.size()) {
    SEREUS_ASSIGN(const size_t more, file->read_at(read, ByteSpan(content.bytes).subspan(read)));
    if (more == 0) return fail(Code::corrupt, "the keystore became shorter while it was read");
    read += more;
  }
  return content;
}

Status write_keystore_file(Files& files, const std::string& path, ByteView content) {
  const std::string unfinished = aside(path);
  Status status = write_aside(files, unfinished, content);
  if (status.ok()) status = files.rename(unfinished, path);
  if (!status.ok()) {
    remove_unfinished(files, path);
    return status;
  }
  return files.sync_folder(folder_of(path));
}

Status settle_keystore_file(Files& files, const std::string& path) { return files.sync_folder(folder_of(path)); }

Status erase_keystore_file(Files& files, const std::string& path) {
  Status unfinished = overwrite_and_remove(files, aside(path));
  Status main = overwrite_and_remove(files, path);
  Status folder = files.sync_folder(folder_of(path));
  if (!unfinished.ok()) return unfinished;
  return main.ok() ? folder : main;
}

void remove_unfinished(Files& files, const std::string& path) {
  const std::string unfinished = aside(path);
  if (!files.exists(unfinished)) return;
  if (overwrite_and_remove(files, unfinished).ok()) (void)files.sync_folder(folder_of(path)).ok();
}

}  // namespace sereus::crypto
