#include "apps/sereus/session.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "apps/sereus/files.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

constexpr auto kBusyWait = std::chrono::milliseconds(3000);  // another short command is finishing
constexpr auto kBusyStep = std::chrono::milliseconds(50);
constexpr int kPassphraseAttempts = 3;

std::string environment(const char* name) { return text(std::getenv(name)); }

}  // namespace

const char* level_name(uint32_t level) {
  constexpr std::array<const char*, 6> kNames{"?", "error", "warn", "info", "debug", "trace"};
  return level < kNames.size() ? kNames[level] : "?";
}

void log_to_stderr(void* user, uint32_t level, const char* room, const char* message) {
  auto* out = static_cast<Output*>(user);
  if (out->json) {
    out->log_line(dump(Json{{"log", level_name(level)}, {"room", text(room)}, {"message", text(message)}}));
  } else if (!out->quiet || level == SEREUS_LOG_ERROR) {
    out->log_line("sereus: " + std::string(level_name(level)) + ": " + text(room) + ": " + printable(text(message)));
  }
}

void Session::begin() {
  out.json = globals.json;
  out.quiet = globals.quiet;
  if (client_) {
    std::optional<Client::Clock::time_point> deadline;
    if (globals.timeout_s > 0)
      deadline = Client::Clock::now() + std::chrono::milliseconds(int64_t(globals.timeout_s * 1000));
    client_->set_deadline(deadline);
  }
}

std::filesystem::path Session::data() const {
  std::string folder = globals.data;
  if (folder.empty()) folder = environment("SEREUS_DATA");
  if (folder.empty()) {
    const std::string base = environment("XDG_DATA_HOME");
    const std::string home = environment("HOME");
    if (!base.empty() && base.front() == '/') {
      folder = base + "/sereus";
    } else if (!home.empty()) {
      folder = home + "/.local/share/sereus";
    } else {
      throw usage_failure("there is no data folder: $HOME is not set", "give one with --data DIR or in $SEREUS_DATA");
    }
  }
  return std::filesystem::absolute(folder).lexically_normal();
}

uint32_t Session::log_level() const {
  if (!globals.log_level.empty()) {
    for (uint32_t level = SEREUS_LOG_ERROR; level <= SEREUS_LOG_TRACE; ++level) {
      if (globals.log_level == level_name(level)) return level;
    }
  }
  return std::min<uint32_t>(SEREUS_LOG_TRACE, SEREUS_LOG_WARN + static_cast<uint32_t>(std::max(0, globals.verbose)));
}

Json Session::settings() const {
  const std::string path = data() / "cli.json";
  if (!std::filesystem::exists(path)) return Json::object();
  Json json = Json::parse(read_file(path, 64 * 1024), nullptr, false);
  return json.is_object() ? json : Json::object();
}

void Session::set_setting(const std::string& name, const Json& value) const {
  Json all = settings();
  if (all.contains(name) && all[name] == value) return;
  all[name] = value;
  replace_private_file(data() / "cli.json", dump(all, 2) + "\n");
}

std::unique_ptr<Client> Session::connect_only() const {
  const std::string path = control_socket();
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return nullptr;
  sereus_node* node = nullptr;
  const sereus_status status = sereus_connect(path.c_str(), &node);
  if (status == SEREUS_OK) return std::make_unique<Client>(node, true);
  if (status == SEREUS_E_DENIED) {
    throw Failure("the daemon that serves '" + printable(path) + "' belongs to another user",
                  "run the command as that user", sereus_status_name(status));
  }
  return nullptr;  // left behind by a daemon that was killed
}

Secret Session::given_passphrase() const {
  if (!globals.passphrase_file.empty()) return read_passphrase_file(globals.passphrase_file);
  return passphrase_from_environment("SEREUS_PASSPHRASE");
}

std::unique_ptr<Client> Session::open_retrying(sereus_config& config, std::chrono::milliseconds wait_busy) {
  const std::string folder = data();
  const std::string what = "open the data folder '" + printable(folder) + "'";
  config.data_folder = folder.c_str();
  if (config.log == nullptr) {
    config.log = log_to_stderr;
    config.log_user = &out;
    config.log_level = log_level();
  }
  const auto give_up = Client::Clock::now() + wait_busy;
  bool given = false;
  int asked = 0;
  for (;;) {
    config.passphrase = bytes(passphrase_.value());
    std::array<char, 512> detail{};
    sereus_node* node = nullptr;
    out.hold_log();
    const sereus_status status = sereus_open_detailed(&config, &node, detail.data(), detail.size());
    out.release_log(status == SEREUS_OK);
    if (status == SEREUS_OK) return std::make_unique<Client>(node, false);
    if (status == SEREUS_E_BUSY && Client::Clock::now() < give_up) {
      // A daemon may have just begun: prefer it.
      if (config.control_socket == nullptr) {
        if (auto daemon = connect_only()) return daemon;
      }
      std::this_thread::sleep_for(kBusyStep);
      continue;
    }
    if (status == SEREUS_E_PASSPHRASE) {
      if (!given) {
        given = true;
        passphrase_ = given_passphrase();
        if (!passphrase_.empty()) continue;
      }
      const bool from_terminal = given_passphrase_is_absent() && stdin_is_tty() && stderr_is_tty();
      if (from_terminal && asked < kPassphraseAttempts) {
        if (asked > 0) out.note("That is not the passphrase; try again.");
        ++asked;
        passphrase_ = ask_passphrase("Passphrase of " + printable(folder) + ": ", "");
        continue;
      }
      const bool none = passphrase_.empty();
      throw Failure(none ? "the keystore in '" + printable(folder) + "' is protected by a passphrase"
                         : "the passphrase of '" + printable(folder) + "' is wrong",
                    "give it at the prompt, in $SEREUS_PASSPHRASE or with --passphrase-file",
                    sereus_status_name(status));
    }
    throw status_failure(what, status, detail.data());
  }
}

bool Session::given_passphrase_is_absent() const {
  return globals.passphrase_file.empty() && std::getenv("SEREUS_PASSPHRASE") == nullptr;
}

std::unique_ptr<Client> Session::open(sereus_config config, std::chrono::milliseconds wait_busy) {
  const std::filesystem::path folder = data();
  std::error_code ignored;
  if (!std::filesystem::exists(folder, ignored)) {
    throw Failure("there is no data folder '" + printable(folder.string()) + "'",
                  "run `sereus init`, or name another one with --data", sereus_status_name(SEREUS_E_NO_IDENTITY));
  }
  config.flags |= SEREUS_OPEN_EXISTING;
  return open_retrying(config, wait_busy);
}

std::unique_ptr<Client> Session::open_new(bool light_kdf) {
  if (connect_only() != nullptr) {
    throw Failure("a daemon runs on '" + printable(data().string()) + "', so there is an identity already",
                  "name another folder with --data", sereus_status_name(SEREUS_E_EXISTS));
  }
  std::error_code ignored;
  if (data().has_parent_path()) std::filesystem::create_directories(data().parent_path(), ignored);
  sereus_config config = SEREUS_INIT(sereus_config);
  config.flags = SEREUS_OPEN_OFFLINE | (light_kdf ? SEREUS_OPEN_KDF_INTERACTIVE : 0u);
  const std::string folder = data();
  config.data_folder = folder.c_str();
  config.log = log_to_stderr;
  config.log_user = &out;
  config.log_level = log_level();
  std::array<char, 512> detail{};
  sereus_node* node = nullptr;
  out.hold_log();
  const sereus_status status = sereus_open_detailed(&config, &node, detail.data(), detail.size());
  out.release_log(status == SEREUS_OK);
  const Failure exists("'" + printable(folder) + "' has an identity already",
                       "use it, or name another folder with --data", sereus_status_name(SEREUS_E_EXISTS));
  if (status == SEREUS_E_PASSPHRASE) throw exists;
  if (status != SEREUS_OK)
    throw status_failure("make the data folder '" + printable(folder) + "'", status, detail.data());
  auto client = std::make_unique<Client>(node, false);
  const Rows rows = info_rows(*client);
  if (!text(sereus_rows_info(rows.get(), 0)->peer).empty()) throw exists;
  return client;
}

Client& Session::client(Need need) {
  if (client_ && client_->closed()) client_.reset();
  if (!client_) {
    client_ = connect_only();
    if (!client_) {
      sereus_config config = SEREUS_INIT(sereus_config);
      config.flags = need == Need::online ? 0u : SEREUS_OPEN_OFFLINE;
      client_ = open(config, kBusyWait);
    }
    begin();
    require_identity(*client_);
  }
  if (need == Need::online && !client_->is_daemon()) {
    const Rows rows = info_rows(*client_);
    if (sereus_rows_info(rows.get(), 0)->online == 0) {
      client_->run("go online", [&](sereus_id* op) { return sereus_set_online(client_->node(), 1, op); });
    }
  }
  return *client_;
}

void Session::close() {
  if (client_) client_->close();
  client_.reset();
}

void Session::require_identity(Client& client) const {
  const Rows rows = info_rows(client);
  if (text(sereus_rows_info(rows.get(), 0)->peer).empty()) {
    throw Failure("the data folder '" + printable(data().string()) + "' has no identity yet", "run `sereus init` first",
                  sereus_status_name(SEREUS_E_NO_IDENTITY));
  }
}

Rows info_rows(Client& client) {
  sereus_rows* rows = nullptr;
  check("read the state of the node", sereus_info(client.node(), &rows));
  Rows owned(rows);
  if (sereus_rows_info(rows, 0) == nullptr) throw status_failure("read the state of the node", SEREUS_E_INTERNAL);
  return owned;
}

Rows store_rows(Client& client) {
  sereus_rows* rows = nullptr;
  check("list the stores", sereus_stores(client.node(), &rows));
  return Rows(rows);
}

Rows peer_rows(Client& client) {
  sereus_rows* rows = nullptr;
  check("list the peers", sereus_peers(client.node(), &rows));
  return Rows(rows);
}

sereus_id Session::store(Client& client, const std::string& argument) {
  std::string wanted = argument.empty() ? globals.store : argument;
  const bool remembered = wanted.empty();
  if (remembered) wanted = settings().value("store", std::string());
  if (!wanted.empty()) {
    sereus_id store = 0;
    const sereus_status status = sereus_store_open(client.node(), wanted.c_str(), &store);
    if (status == SEREUS_OK) return store;
    const std::string name = "'" + printable(wanted) + "'";
    if (status == SEREUS_E_INVALID) {
      throw Failure("several stores are called " + name, "name it by the beginning of its id, see `sereus list-stores`",
                    sereus_status_name(status));
    }
    if (status != SEREUS_E_NOT_FOUND) throw status_failure("open the store " + name, status);
    // The remembered store may have been dropped; then the choice is made anew.
    if (!remembered) {
      throw Failure("there is no store " + name, "see `sereus list-stores`", sereus_status_name(status));
    }
  }
  const Rows rows = store_rows(client);
  sereus_id only = 0;
  size_t found = 0;
  std::string damaged;
  for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
    const sereus_store_info* info = sereus_rows_store(rows.get(), i);
    if (info->state == SEREUS_STORE_DAMAGED) damaged = text(info->name) + "' cannot be opened: " + text(info->detail);
    if (info->is_root != 0 || info->state != SEREUS_STORE_ACTIVE) continue;
    only = info->store;
    ++found;
  }
  if (found == 1) return only;
  if (found == 0 && !damaged.empty()) {
    throw Failure("the store '" + printable(damaged), "see `sereus doctor`; sync it anew from a peer, or use a copy",
                  sereus_status_name(SEREUS_E_CORRUPT));
  }
  if (found == 0)
    throw Failure("there is no store yet", "make one with `sereus create-store NAME`, or `sereus join` one");
  throw Failure("there are several stores", "choose with --store NAME, or once with `sereus use NAME`", "", kExitUsage);
}

std::string Session::store_name(Client& client, sereus_id store) const {
  const Rows rows = store_rows(client);
  for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
    const sereus_store_info* info = sereus_rows_store(rows.get(), i);
    if (info->store == store) return text(info->name).empty() ? text(info->uuid).substr(0, 8) : text(info->name);
  }
  return "?";
}

std::string Session::peer(Client& client, const std::string& argument) const {
  if (argument.empty()) return argument;
  const Rows rows = peer_rows(client);
  std::vector<std::string> fitting;
  for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
    const sereus_peer_info* info = sereus_rows_peer(rows.get(), i);
    std::string id = text(info->peer);
    if (id == argument) return id;
    // All ids begin alike, so the end serves as a short name, too.
    const bool part = argument.size() >= 4 && (id.starts_with(argument) || id.ends_with(argument));
    if (part || text(info->name) == argument) fitting.push_back(id);
  }
  if (fitting.size() == 1) return fitting.front();
  if (fitting.size() > 1) {
    throw Failure("several peers fit '" + printable(argument) + "'", "give the whole peer id, see `sereus peers`", "",
                  kExitUsage);
  }
  constexpr size_t kIdSizeLeast = 40;
  if (argument.size() >= kIdSizeLeast) return argument;
  throw Failure("there is no peer '" + printable(argument) + "'", "see `sereus peers`",
                sereus_status_name(SEREUS_E_NOT_FOUND));
}

}  // namespace cli
