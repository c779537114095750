// doctor: looks at everything that can be wrong around a node, and says in words what to do.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

#include "apps/sereus/commands.h"
#include "apps/sereus/text.h"
#include "apps/sereus/udp.h"

namespace cli {
namespace {

constexpr uint64_t kDiskWarn = 1024ull << 20;
constexpr uint64_t kDiskFail = 64ull << 20;
constexpr int64_t kBuildWallS = 1763596800;  // 2025-11-20: no clock that is right shows less

class Report {
 public:
  void ok(const char* name, const std::string& words) { add(name, "ok", words, ""); }
  void warn(const char* name, const std::string& words, const std::string& advice) { add(name, "warn", words, advice); }
  void fail(const char* name, const std::string& words, const std::string& advice) {
    healthy_ = false;
    add(name, "fail", words, advice);
  }
  Json json() const { return Json{{"healthy", healthy_}, {"checks", checks_}}; }

 private:
  void add(const char* name, const char* result, const std::string& words, const std::string& advice) {
    checks_.push_back(Json{{"check", name}, {"result", result}, {"text", words}, {"advice", advice}});
  }

  bool healthy_ = true;
  Json checks_ = Json::array();
};

void check_folder(const std::filesystem::path& data, Report& report) {
  struct stat there {};
  if (::stat(data.c_str(), &there) != 0) {
    report.fail("folder", "there is no data folder " + printable(data.string()),
                "run `sereus init`, or name another with --data");
    return;
  }
  if (!S_ISDIR(there.st_mode)) {
    report.fail("folder", printable(data.string()) + " is no folder", "name another with --data");
  } else if (there.st_uid != ::geteuid() && ::geteuid() != 0) {
    report.fail("folder", "the data folder belongs to another user", "run the command as that user");
  } else if ((there.st_mode & 077) != 0) {
    report.fail("folder", "other users can look into the data folder", "chmod 700 '" + printable(data.string()) + "'");
  } else {
    report.ok("folder", printable(data.string()) + " is readable by its owner only");
  }
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(data, ignored)) {
    struct stat file {};
    if (::lstat(entry.path().c_str(), &file) == 0 && S_ISREG(file.st_mode) && (file.st_mode & 077) != 0) {
      report.warn("folder", printable(entry.path().filename().string()) + " is readable by others once the folder is",
                  "chmod 600 '" + printable(entry.path().string()) + "'");
    }
  }
}

void check_disk(const std::filesystem::path& data, Report& report) {
  struct statvfs disk {};
  if (::statvfs(data.c_str(), &disk) != 0) return;
  const uint64_t left = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  const std::string words = human_size(left) + " are free on the disk of the data folder";
  if (left < kDiskFail) {
    report.fail("disk", words, "free some space: writes will soon be refused");
  } else if (left < kDiskWarn) {
    report.warn("disk", words, "free some space soon");
  } else {
    report.ok("disk", words);
  }
}

void check_clock(bool suspect, Report& report) {
  const uint64_t now = wall_ms_now();
  const std::string words = "the clock says " + human_time(now).substr(0, 19);
  if (static_cast<int64_t>(now / 1000) < kBuildWallS) {
    report.fail("clock", words + ", before this program was made",
                "set the clock: what you write gets times that lose against others");
  } else if (suspect) {
    report.warn("clock", words + ", which the node finds suspect", "set the clock, best by NTP");
  } else {
    report.ok("clock", words);
  }
}

void check_network(Client& client, const sereus_node_info& info, Report& report) {
  const Json addresses = lines_to_json(info.addresses);
  const bool four = udp_works(AF_INET);
  const bool six = udp_works(AF_INET6);
  if (four || six) {
    report.ok("udp", std::string("UDP sockets open on ") + (four && six ? "IPv4 and IPv6" : four ? "IPv4" : "IPv6"));
  } else {
    report.fail("udp", "no UDP socket can be opened", "allow this program to use the network");
  }
  if (client.is_daemon()) {
    if (info.online == 0) {
      report.warn("network", "the daemon is offline", "restart it without --offline to sync");
    } else if (addresses.empty()) {
      report.fail("network", "the daemon listens on no address", "check --listen, and that its port is free");
    } else {
      report.ok("network", "the daemon listens on " + count(addresses.size(), "address"));
    }
    return;
  }
  report.warn("network", "the daemon is not running", "`sereus up` keeps this node in step and lets peers in");
}

void check_stores(Client& client, bool deep, Report& report) {
  const Rows rows = store_rows(client);
  const size_t size = sereus_rows_count(rows.get());
  if (size == 0)
    report.warn("stores", "there is no store yet", "make one with `sereus create-store NAME`, or `sereus join` one");
  for (size_t i = 0; i < size; ++i) {
    const sereus_store_info& info = *sereus_rows_store(rows.get(), i);
    const std::string name = info.is_root != 0 ? "the root store" : "store '" + printable(text(info.name)) + "'";
    if (info.state == SEREUS_STORE_DAMAGED) {
      report.fail("stores", name + " cannot be opened: " + printable(text(info.detail)),
                  "have it again from a peer, or from a copy of the data folder");
      continue;
    }
    if (info.forks > 0) {
      report.warn("stores", "in " + name + " " + count(info.forks, "author") + " signed two histories",
                  "a data folder was copied or restored from an old copy; use `sereus restore` with a backup instead");
    }
    if (info.held > 0) {
      report.warn("stores", name + " holds " + count(info.held, "entry") + " from the future",
                  "a peer's clock is ahead; they appear when their time comes");
    }
    if (!deep) {
      report.ok("stores", name + " opens, with " + count(info.entries, "entry"));
      continue;
    }
    const sereus_id op = client.submit(
        "verify " + name, [&](sereus_id* id) { return sereus_store_verify(client.node(), info.store, id); });
    const Done done = client.wait(op, "verify " + name);
    if (done.status == SEREUS_OK) {
      report.ok("stores", name + ": all hashes, chains and signatures of " + count(info.entries, "entry") + " hold");
    } else {
      report.fail("stores",
                  name + ": " + (done.detail.empty() ? sereus_status_meaning(done.status) : printable(done.detail)),
                  "have it again from a peer, or from a copy of the data folder");
    }
  }
}

void check_peers(Client& client, Report& report) {
  const Rows rows = peer_rows(client);
  uint64_t connected = 0;
  uint64_t others = 0;
  for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
    const sereus_peer_info& info = *sereus_rows_peer(rows.get(), i);
    if (info.is_self != 0 || info.removed != 0) continue;
    ++others;
    connected += info.connected != 0 ? 1 : 0;
    if (info.connected == 0 && info.failures > 0) {
      const std::string name = text(info.name).empty() ? short_id(text(info.peer)) : printable(text(info.name));
      report.warn(
          "peers",
          name + " could not be reached " + count(info.failures, "time") + " in a row: " + printable(text(info.detail)),
          "check that it is up; tell its address with `sereus add-address`");
    }
  }
  if (others == 0) {
    report.warn("peers", "there is no other device: what is here exists once",
                "`sereus invite` another, or copy with `sereus export`");
  } else if (client.is_daemon()) {
    report.ok("peers", std::to_string(connected) + " of " + count(others, "peer") + " connected");
  }
}

struct DoctorOptions {
  bool deep = false;
};

int doctor(Session& session, const DoctorOptions& options) {
  const Json json = doctor_json(session, options.deep);
  const bool healthy = json["healthy"].get<bool>();
  if (session.out.json) {
    session.out.object(json);
    return healthy ? kExitOk : kExitFailure;
  }
  for (const auto& one : json["checks"]) {
    const std::string result = one["result"].get<std::string>();
    const std::string advice = one["advice"].get<std::string>();
    session.out.line((result == "ok"     ? "ok    "
                      : result == "warn" ? "note  "
                                         : "FAIL  ") +
                     one["text"].get<std::string>() + (advice.empty() ? "" : "\n      -> " + advice));
  }
  session.out.line(healthy ? "Nothing is broken." : "Something is broken: see the lines marked FAIL.");
  return healthy ? kExitOk : kExitFailure;
}

}  // namespace

Json doctor_json(Session& session, bool deep) {
  Report report;
  const std::filesystem::path data = session.data();
  check_folder(data, report);
  check_disk(data, report);
  std::error_code ignored;
  if (!std::filesystem::exists(data, ignored)) {
    check_clock(false, report);
    return report.json();
  }
  try {
    Client& client = session.client(Need::local);
    const Rows rows = info_rows(client);
    const sereus_node_info& info = *sereus_rows_info(rows.get(), 0);
    check_clock(info.clock_suspect != 0, report);
    if (info.protected_keystore != 0) {
      report.ok("keys", "a passphrase protects the keys");
    } else {
      report.warn("keys", "no passphrase protects the keys: a thief of the disk has them",
                  "set one with `sereus passphrase`");
    }
    check_network(client, info, report);
    check_stores(client, deep, report);
    check_peers(client, report);
  } catch (const Failure& failure) {
    report.fail("node", failure.what(), failure.advice());
  }
  return report.json();
}

void add_doctor_commands(CLI::App& app, Session& session) {
  auto [command, o] = add_command<DoctorOptions>(app, session, kGroupNode, "doctor",
                                                 "Look for what is wrong, and say what to do", doctor);
  command->add_flag("--deep", o->deep, "Also read the whole log of every store");
}

}  // namespace cli
