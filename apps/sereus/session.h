// What the commands share: global options, the data folder, remembered settings and the node.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/sereus/client.h"
#include "apps/sereus/output.h"
#include "apps/sereus/secret.h"

namespace cli {

struct Globals {
  std::string data;
  std::string store;
  std::string passphrase_file;
  std::string log_level;
  double timeout_s = 0;  // 0: none
  bool json = false;
  bool quiet = false;
  int verbose = 0;
};

// Whether a command that opens the data folder itself also wants its sockets.
enum class Need { local, online };

class Session {
 public:
  Globals globals;
  Output out;
  std::function<int()> action;  // what the parsed command line asks for
  bool in_shell = false;

  // To be called after parsing: applies what the global options mean.
  void begin();

  std::filesystem::path data() const;
  std::filesystem::path control_socket() const { return data() / "control.sock"; }
  uint32_t log_level() const;

  // <data>/cli.json: {"store": uuid}. Missing or damaged reads as empty.
  Json settings() const;
  void set_setting(const std::string& name, const Json& value) const;

  // The running daemon, or the data folder opened by this process. Kept for the life of the session.
  Client& client(Need need);
  // The running daemon if there is one; never opens, never asks.
  std::unique_ptr<Client> connect_only() const;
  // Opens the folder itself. `config` has what is special; folder, log and passphrase are filled in here. `wait_busy`:
  // how long to try while another process holds it.
  std::unique_ptr<Client> open(sereus_config config, std::chrono::milliseconds wait_busy);
  void close();
  bool has_client() const { return client_ != nullptr; }

  // Makes the folder and an identity when there is none: opens for init and restore.
  std::unique_ptr<Client> open_new(bool light_kdf);

  // Throws with the advice to run init when there is no identity.
  void require_identity(Client& client) const;

  // --store, the remembered one, or the only one there is.
  sereus_id store(Client& client, const std::string& argument = "");
  std::string store_name(Client& client, sereus_id store) const;
  // A peer id from an id, its beginning or end, or a name. Passed through when nothing fits and it looks like an id.
  std::string peer(Client& client, const std::string& argument) const;

  // The keystore's passphrase as far as it is known without asking.
  const Secret& passphrase() const { return passphrase_; }
  // From --passphrase-file, $SEREUS_PASSPHRASE, or empty.
  Secret given_passphrase() const;

 private:
  bool given_passphrase_is_absent() const;
  std::unique_ptr<Client> open_retrying(sereus_config& config, std::chrono::milliseconds wait_busy);

  std::unique_ptr<Client> client_;
  Secret passphrase_;
};

// Sends the library's log lines to standard error, as text or JSON. `user` is an Output.
void log_to_stderr(void* user, uint32_t level, const char* room, const char* message);
const char* level_name(uint32_t level);

// The node's synchronous reads; they throw.
Rows info_rows(Client& client);  // has its one row
Rows store_rows(Client& client);
Rows peer_rows(Client& client);

}  // namespace cli
