// up: the node in the foreground.
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <map>

#include "apps/sereus/commands.h"
#include "apps/sereus/daemon_log.h"
#include "apps/sereus/host_options.h"
#include "apps/sereus/signals.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

constexpr auto kBusyWait = std::chrono::milliseconds(3000);  // a short command may be finishing
constexpr uint32_t kPollMs = 100;                            // how late a signal may be noticed

struct UpOptions : HostOptions {
  std::vector<std::string> listen;
  bool offline = false;
};

std::string clock_text() { return human_time(wall_ms_now()).substr(11, 8); }

std::string peer_text(const sereus_peer_event& peer) {
  const std::string name = text(peer.name);
  return name.empty() ? short_id(text(peer.peer)) : printable(name) + " (" + short_id(text(peer.peer)) + ")";
}

const char* peer_what(uint32_t what) {
  switch (what) {
    case SEREUS_PEER_CONNECTED:
      return "connected";
    case SEREUS_PEER_DISCONNECTED:
      return "disconnected";
    case SEREUS_PEER_JOINED:
      return "joined";
    case SEREUS_PEER_REMOVED:
      return "removed";
    case SEREUS_PEER_SYNCED:
      return "synced";
    default:
      return "changed";
  }
}

class EventPrinter {
 public:
  EventPrinter(Session& session, Client& client) : session_(session), client_(client) {}

  void show(const sereus_event* event) {
    switch (sereus_event_kind(event)) {
      case SEREUS_EVENT_LISTENING:
        return show_listening(*sereus_event_listening(event));
      case SEREUS_EVENT_PEER:
        return show_peer(*sereus_event_peer(event));
      case SEREUS_EVENT_STORE:
        return show_store(*sereus_event_store(event));
      case SEREUS_EVENT_SYNC_PROGRESS:
        return show_sync(*sereus_event_sync_progress(event));
      case SEREUS_EVENT_CLOCK_SUSPECT:
        return show_clock(*sereus_event_clock_suspect(event));
      case SEREUS_EVENT_FORK:
        return show_fork(*sereus_event_fork(event));
      case SEREUS_EVENT_DROPPED: {
        const uint64_t lost = sereus_event_dropped(event)->count;
        return say(Json{{"event", "dropped"}, {"count", lost}}, count(lost, "event") + " not shown");
      }
      default:
        return;  // newer libraries send more
    }
  }

 private:
  void say(const Json& json, const std::string& line) const {
    if (!session_.out.json && session_.out.quiet) return;
    session_.out.result(json, clock_text() + "  " + line);
    std::fflush(stdout);
  }

  // Remembered, because finding it reads the statistics of all stores.
  const std::string& store_name(sereus_id store) {
    const auto [at, added] = names_.try_emplace(store);
    if (added) at->second = session_.store_name(client_, store);
    return at->second;
  }

  void show_listening(const sereus_listening& listening) const {
    say(Json{{"event", "listening"}, {"address", text(listening.address)}},
        "listening on " + printable(text(listening.address)));
  }

  void show_peer(const sereus_peer_event& peer) {
    Json json{{"event", "peer"},
              {"what", peer_what(peer.what)},
              {"peer", text(peer.peer)},
              {"name", text(peer.name)},
              {"address", text(peer.address)}};
    std::string line = peer_text(peer) + " " + peer_what(peer.what);
    if (peer.what == SEREUS_PEER_SYNCED) {
      const std::string store = store_name(peer.store);
      json["store"] = store;
      line = "in step with " + peer_text(peer) + ": " + printable(store);
    } else if (!text(peer.address).empty()) {
      line += " at " + printable(text(peer.address));
    }
    say(json, line);
  }

  void show_store(const sereus_store_event& store) const {
    const bool added = store.what == SEREUS_STORE_ADDED;
    say(Json{{"event", "store"},
             {"what", added ? "added" : "archived"},
             {"store", text(store.uuid)},
             {"name", text(store.name)}},
        "store '" + printable(text(store.name)) + "' " + (added ? "added" : "deleted"));
  }

  void show_sync(const sereus_sync_progress& sync) {
    say(Json{{"event", "sync"},
             {"peer", text(sync.peer)},
             {"store", store_name(sync.store)},
             {"entries_received", sync.entries_received},
             {"entries_sent", sync.entries_sent},
             {"entries_missing", sync.entries_missing}},
        "sync with " + short_id(text(sync.peer)) + ": received " + std::to_string(sync.entries_received) + ", sent " +
            std::to_string(sync.entries_sent) + ", missing " + std::to_string(sync.entries_missing));
  }

  void show_clock(const sereus_clock_suspect& clock) const {
    say(Json{{"event", "clock_suspect"}, {"reason", text(clock.reason)}},
        "the clock looks wrong: " + printable(text(clock.reason)) + "; the node goes on");
  }

  void show_fork(const sereus_fork& fork) const {
    say(Json{{"event", "fork"}, {"author", hex(view(fork.author))}, {"seq", fork.seq}},
        "author " + hex(view(fork.author)).substr(0, 12) + " signed two histories from entry " +
            std::to_string(fork.seq) + " on");
  }

  Session& session_;
  Client& client_;
  std::map<sereus_id, std::string> names_;
};

void tell_ready(Session& session, Client& client) {
  const Rows rows = info_rows(client);
  const sereus_node_info& info = *sereus_rows_info(rows.get(), 0);
  session.out.result(Json{{"event", "ready"},
                          {"peer", text(info.peer)},
                          {"name", text(info.name)},
                          {"online", info.online != 0},
                          {"control_socket", session.control_socket().string()},
                          {"pid", static_cast<int64_t>(::getpid())}},
                     "Node '" + printable(text(info.name)) + "', peer " + text(info.peer) + ", is up" +
                         (info.online != 0 ? "" : " without network") +
                         ". Ctrl-C ends it.\nOther commands reach it through " +
                         printable(session.control_socket().string()));
  session.out.flush();
}

int up(Session& session, const UpOptions& options) {
  if (session.in_shell) throw usage_failure("a shell cannot become the daemon", "run `sereus up` outside of it");
  if (session.connect_only() != nullptr) {
    throw Failure("a daemon runs already on '" + printable(session.data().string()) + "'", "use it, or end it first",
                  sereus_status_name(SEREUS_E_BUSY));
  }
  const std::string socket = session.control_socket();
  constexpr size_t kSocketPathMax = sizeof(sockaddr_un::sun_path) - 1;
  if (socket.size() > kSocketPathMax) {
    throw Failure("the path of the control socket has " + std::to_string(socket.size()) + " bytes, at most " +
                      std::to_string(kSocketPathMax) + " are possible",
                  "choose a data folder with a shorter path");
  }
  std::error_code ignored;
  std::unique_ptr<DaemonLog> log;
  sereus_config config = SEREUS_INIT(sereus_config);
  if (std::filesystem::is_directory(session.data(), ignored)) {
    log = std::make_unique<DaemonLog>(session.data(), session.out, session.log_level());
    config.log = DaemonLog::write;
    config.log_user = log.get();
    config.log_level = log->level();
  }
  std::vector<const char*> pointers;
  for (const auto& address : options.listen) pointers.push_back(address.c_str());
  config.listen = pointers.empty() ? nullptr : pointers.data();
  config.listen_count = pointers.size();
  config.control_socket = socket.c_str();
  const HostSettings settings(options);
  config.host = settings.get();
  config.flags = options.offline ? SEREUS_OPEN_OFFLINE : 0u;
  const auto client = session.open(config, kBusyWait);
  session.require_identity(*client);

  std::signal(SIGPIPE, SIG_IGN);  // whoever read our output may go; the node stays
  const Interruptible interruptible;
  tell_ready(session, *client);
  EventPrinter printer(session, *client);
  const bool limited = session.globals.timeout_s > 0;
  const auto end = Client::Clock::now() + std::chrono::milliseconds(int64_t(session.globals.timeout_s * 1000));
  while (!interrupted() && !client->closed() && (!limited || Client::Clock::now() < end)) {
    if (const Event event = client->next(kPollMs)) printer.show(event.get());
  }
  session.out.note("Ending in order...");
  client->close();
  session.out.object(Json{{"event", "ended"}});
  session.out.note("Ended.");
  return kExitOk;
}

}  // namespace

void add_daemon_commands(CLI::App& app, Session& session) {
  auto [command, o] =
      add_command<UpOptions>(app, session, kGroupNode, "up", "Run the node in the foreground until Ctrl-C", up);
  auto* listen =
      command->add_option("--listen", o->listen, "Where to listen (default: ports drawn once, on IPv4 and IPv6)");
  listen->type_name("MULTIADDR")->expected(1)->take_all();
  command->add_flag("--offline", o->offline, "Without sockets: serve other commands only");
  add_host_options(command, *o, HostRole::listens);
}

}  // namespace cli
