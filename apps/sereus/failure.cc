#include "apps/sereus/failure.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "apps/sereus/text.h"

namespace cli {
namespace {

const char* advice_for(sereus_status status) {
  switch (status) {
    case SEREUS_E_NO_IDENTITY:
      return "run `sereus init` first";
    case SEREUS_E_PASSPHRASE:
      return "give the right one at the prompt, in $SEREUS_PASSPHRASE or with --passphrase-file";
    case SEREUS_E_BUSY:
      return "another process uses the data folder: wait for it or stop it, then try again";
    case SEREUS_E_CORRUPT:
      return "run `sereus doctor --deep`; a damaged store can be had again from a peer or a backup";
    case SEREUS_E_TOO_NEW:
      return "use the version of Sereus that wrote it, or a newer one; nothing was changed";
    case SEREUS_E_NO_SPACE:
      return "free some disk space and try again; what was acknowledged is not lost";
    case SEREUS_E_IO:
      return "check the disk and the permissions of the data folder with `sereus doctor`";
    case SEREUS_E_UNREACHABLE:
      return "check that the peer runs `sereus up` and that its address can be reached from here";
    case SEREUS_E_TIMEOUT:
      return "try again, or give more time with --timeout";
    case SEREUS_E_EXPIRED:
      return "ask for a new invite";
    case SEREUS_E_DENIED:
      return "ask the admin of the store for a (new) invite or for a role that allows it";
    case SEREUS_E_ARCHIVED:
      return "it can be read and exported; write to another store";
    case SEREUS_E_TOO_LARGE:
      return "keys have at most 4096 bytes, values at most 1048576";
    case SEREUS_E_NOT_FOUND:
      return "look at `sereus list`, `sereus list-stores` or `sereus peers`";
    case SEREUS_E_EXISTS:
      return "use it, or choose another name or folder";
    case SEREUS_E_MALFORMED:
      return "check that it was copied as a whole";
    case SEREUS_E_SUSPENDED:
      return "resume the node first";
    case SEREUS_E_CLOSED:
      return "the daemon ended: start it again with `sereus up`, or repeat the command without it";
    case SEREUS_E_CANCELLED:
      return "repeat it when you like";
    case SEREUS_E_INTERNAL:
      return "please report it, with a `sereus bundle`";
    default:
      return "run `sereus doctor` to see what is wrong";
  }
}

}  // namespace

Failure status_failure(const std::string& doing, sereus_status status, const std::string& detail) {
  const std::string name = sereus_status_name(status);
  if (!detail.empty()) return Failure("cannot " + doing + ": " + printable(detail), "", name);
  return Failure("cannot " + doing + ": " + sereus_status_meaning(status), advice_for(status), name);
}

Failure usage_failure(const std::string& what, std::string advice) {
  return Failure(what, std::move(advice), "", kExitUsage);
}

Failure errno_failure(const std::string& doing, int error) {
  const char* advice = error == EACCES || error == EPERM ? "check its owner and permissions"
                       : error == ENOSPC                 ? "free some disk space"
                       : error == ENOENT                 ? "check the path"
                                                         : "check the file system";
  return Failure("cannot " + doing + ": " + std::strerror(error), advice);
}

void check(const std::string& doing, sereus_status status) {
  if (status != SEREUS_OK) throw status_failure(doing, status);
}

}  // namespace cli
