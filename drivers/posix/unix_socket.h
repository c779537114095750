// Stream sockets with a name in the file system, for one user.
#pragma once

#include <string>

#include "core/base/result.h"

namespace sereus::posix {

// A socket that listens at `path`, mode 0600, which appears there only once it listens. A stale one, to which nobody
// listens any more, is replaced. Code::busy: somebody listens; Code::exists: there is something else;
// Code::invalid: the name does not fit.
Result<int> listen_unix(const std::string& path);
// Removes the name, when it is still the one of `fd`'s time: another process may have made its own there.
struct UnixName {
  std::string path;
  uint64_t device = 0;
  uint64_t inode = 0;
};
UnixName name_of(const std::string& path);
void remove_name(const UnixName& name);

// Connects. Code::unreachable: nobody listens; Code::denied: not allowed, or another user listens.
Result<int> connect_unix(const std::string& path);
// Whether the process at the other end runs as our user.
bool same_user(int fd);

}  // namespace sereus::posix
