// The keystore's file as bytes on the Files port: read whole, replaced whole, erased.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/crypto/sealed_file.h"
#include "core/ports/files.h"

namespace sereus::crypto {

// Code::no_identity when there is none, Code::corrupt when it is larger than a keystore can be.
Result<WipedBytes> read_keystore_file(Files& files, const std::string& path);

// Writes "<path>.new", makes it durable, renames it to `path`, makes the name durable. After a crash anywhere in it
// `path` is what it was or what it should be, whole.
Status write_keystore_file(Files& files, const std::string& path, ByteView content);

// Makes the name of the file that was read durable. A process that died, or a folder that could not be synced, may have
// left a new file under the name that a power cut would take back, after somebody built on what it says.
Status settle_keystore_file(Files& files, const std::string& path);

// Overwrites and removes `path` and "<path>.new"; goes on after a failure and returns the first.
Status erase_keystore_file(Files& files, const std::string& path);

// Overwrites and removes "<path>.new": what a crash left of an unfinished write, which may be an unprotected file.
// Best effort: it may fail on a disk that is full or read-only, and is done again at the next opening.
void remove_unfinished(Files& files, const std::string& path);

}  // namespace sereus::crypto
