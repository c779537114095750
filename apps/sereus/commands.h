// The commands, one function for each room of them. They add subcommands whose callbacks set Session::action; nothing
// is done while a command line is parsed.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "apps/sereus/session.h"

namespace cli {

inline constexpr char kGroupIdentity[] = "Identity";
inline constexpr char kGroupStores[] = "Stores";
inline constexpr char kGroupEntries[] = "Entries";
inline constexpr char kGroupPeers[] = "Peers";
inline constexpr char kGroupNode[] = "Node";
inline constexpr char kGroupNetwork[] = "Network: any libp2p host, without a data folder";

// The whole command line; options and actions refer to `session`, which must outlive it.
std::unique_ptr<CLI::App> make_app(Session& session);

void add_identity_commands(CLI::App& app, Session& session);  // init, backup, restore, passphrase, erase
void add_store_commands(CLI::App& app,
                        Session& session);  // create-store, list-stores, use, delete-store, drop-store, verify
void add_entry_commands(CLI::App& app, Session& session);       // put, get, delete, list, heads, watch, fill
void add_import_commands(CLI::App& app, Session& session);      // import, export
void add_peer_commands(CLI::App& app, Session& session);        // invite, ..., sync
void add_node_commands(CLI::App& app, Session& session);        // status, version
void add_doctor_commands(CLI::App& app, Session& session);      // doctor
void add_bundle_commands(CLI::App& app, Session& session);      // bundle
void add_daemon_commands(CLI::App& app, Session& session);      // up
void add_net_commands(CLI::App& app, Session& session);         // listen, ping, identify, echo, perf
void add_shell_commands(CLI::App& app, Session& session);       // shell
void add_completion_commands(CLI::App& app, Session& session);  // completion, __complete

// Parses and runs one command line, errors reported. Returns the exit code.
int run_line(Session& session, std::vector<std::string> arguments);

// Adds a subcommand with its options in `Options`, a struct that lives as long as the app.
template <typename Options>
std::pair<CLI::App*, std::shared_ptr<Options>> add_command(CLI::App& app, Session& session, const char* group,
                                                           const char* name, const char* description,
                                                           int (*run)(Session&, const Options&)) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(name, description)->group(group);
  command->callback(
      [&session, options, run] { session.action = [&session, options, run] { return run(session, *options); }; });
  return {command, options};
}

struct NoOptions {};

// What `status` shows, for it and for the support archive.
Json status_json(Session& session, Client& client, bool with_digests);
// What `doctor` finds: {"healthy": bool, "checks": [...]}.
Json doctor_json(Session& session, bool deep);

// Writes the code with half-block characters, dark on light, with a quiet zone. `colors`: sets both colours, so that it
// can be scanned from any terminal; otherwise it fits light text on a dark background. Empty when it does not fit in a
// code.
std::string qr_text(const std::string& content, bool colors);

}  // namespace cli
