// init, backup, restore, passphrase, erase.
#include <unistd.h>

#include <array>
#include <filesystem>

#include "apps/sereus/commands.h"
#include "apps/sereus/files.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

constexpr char kEraseWords[] = "erase everything";
constexpr uint64_t kBackupSizeMax = 64u << 20;
constexpr char kNewAdvice[] = "give it with --passphrase-file or in $SEREUS_PASSPHRASE, or say --no-passphrase";
constexpr char kBackupAdvice[] = "give it with --backup-passphrase-file or in $SEREUS_BACKUP_PASSPHRASE";

struct InitOptions {
  std::string name;
  bool no_passphrase = false;
  bool light_kdf = false;
};

std::string default_name() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') return "device";
  return host.data();
}

// The passphrase of a keystore to be made; empty when none is wanted.
Secret new_passphrase(Session& session, bool none) {
  if (none) return {};
  Secret given = session.given_passphrase();
  if (!given.empty()) return given;
  if (!stdin_is_tty()) throw usage_failure("a passphrase is needed to protect the keys", kNewAdvice);
  return ask_new_passphrase("Passphrase for the keys (empty: none): ", true, kNewAdvice);
}

// Fails before anything is made when a passphrase could not be had later.
void expect_passphrase(Session& session, bool none) {
  if (none || stdin_is_tty()) return;
  if (session.given_passphrase().empty()) throw usage_failure("a passphrase is needed to protect the keys", kNewAdvice);
}

void tell_identity(Session& session, Client& client) {
  const Rows rows = info_rows(client);
  const sereus_node_info& info = *sereus_rows_info(rows.get(), 0);
  const bool guarded = info.protected_keystore != 0;
  session.out.result(Json{{"peer", text(info.peer)},
                          {"party", text(info.party)},
                          {"name", text(info.name)},
                          {"data", session.data().string()},
                          {"protected", guarded}},
                     "This device is '" + printable(text(info.name)) + "', peer " + text(info.peer) +
                         ".\nIts keys are in " + printable(session.data().string()) +
                         (guarded ? ", protected by the passphrase." : "."));
  if (!guarded)
    session.out.note("No passphrase protects the keys: whoever can read the folder has them. See `sereus passphrase`.");
}

int init(Session& session, const InitOptions& options) {
  expect_passphrase(session, options.no_passphrase);
  // A new identity could not write to them, and would hide that the keys of the old one are gone.
  std::error_code ignored;
  const std::filesystem::path stores = session.data() / "stores";
  if (!std::filesystem::exists(session.data() / "keystore", ignored) && std::filesystem::exists(stores, ignored) &&
      !std::filesystem::is_empty(stores, ignored)) {
    throw Failure("'" + printable(session.data().string()) + "' holds stores, but the keystore is missing",
                  "put it back, `sereus restore` a backup, or name another folder with --data",
                  sereus_status_name(SEREUS_E_EXISTS));
  }
  const auto client = session.open_new(options.light_kdf);
  const Secret passphrase = new_passphrase(session, options.no_passphrase);
  const std::string name = options.name.empty() ? default_name() : options.name;
  sereus_identity_options identity = SEREUS_INIT(sereus_identity_options);
  identity.name = name.c_str();
  identity.passphrase = bytes(passphrase.value());
  client->run("create an identity",
              [&](sereus_id* op) { return sereus_identity_create(client->node(), &identity, op); });
  tell_identity(session, *client);
  session.out.note("Next: `sereus create-store NAME`, or `sereus join INVITE`; `sereus up` runs the node.");
  client->close();
  return kExitOk;
}

struct BackupOptions {
  std::string file;
  std::string passphrase_file;
  bool force = false;
};

int backup(Session& session, const BackupOptions& options) {
  std::error_code ignored;
  if (!options.force && std::filesystem::exists(options.file, ignored)) {
    throw Failure("'" + printable(options.file) + "' exists already",
                  "name another file, or overwrite it with --force");
  }
  Client& client = session.client(Need::local);
  Secret passphrase = options.passphrase_file.empty() ? passphrase_from_environment("SEREUS_BACKUP_PASSPHRASE")
                                                      : read_passphrase_file(options.passphrase_file);
  if (passphrase.empty() && !stdin_is_tty())
    throw usage_failure("a passphrase is needed to encrypt the backup", kBackupAdvice);
  if (passphrase.empty()) passphrase = ask_new_passphrase("Passphrase for the backup: ", false, kBackupAdvice);
  const Done done = client.run("back up the identity", [&](sereus_id* op) {
    return sereus_identity_backup(client.node(), bytes(passphrase.value()), op);
  });
  write_private_file(options.file, done.data, options.force);
  session.out.result(
      Json{{"file", options.file}, {"bytes", done.data.size()}},
      "The keys are backed up in " + printable(options.file) + " (" + human_size(done.data.size()) + ", encrypted).");
  session.out.note(
      "It holds the keys and where the stores are to be had, not the entries: those come back from peers.");
  return kExitOk;
}

struct RestoreOptions {
  std::string file;
  std::string backup_passphrase_file;
  std::string name;
  bool no_passphrase = false;
  bool light_kdf = false;
};

int restore(Session& session, const RestoreOptions& options) {
  const std::string content = read_file(options.file, kBackupSizeMax);
  expect_passphrase(session, options.no_passphrase);
  Secret of_backup = options.backup_passphrase_file.empty() ? passphrase_from_environment("SEREUS_BACKUP_PASSPHRASE")
                                                            : read_passphrase_file(options.backup_passphrase_file);
  if (of_backup.empty() && !stdin_is_tty())
    throw usage_failure("the passphrase of the backup is needed", kBackupAdvice);
  const auto client = session.open_new(options.light_kdf);
  if (of_backup.empty()) of_backup = ask_passphrase("Passphrase of the backup: ", kBackupAdvice);
  const Secret passphrase = new_passphrase(session, options.no_passphrase);
  sereus_identity_options identity = SEREUS_INIT(sereus_identity_options);
  identity.name = options.name.empty() ? nullptr : options.name.c_str();
  identity.passphrase = bytes(passphrase.value());
  const std::string doing = "restore '" + printable(options.file) + "'";
  client->run(doing, [&](sereus_id* op) {
    return sereus_identity_restore(client->node(), bytes(content), bytes(of_backup.value()), &identity, op);
  });
  tell_identity(session, *client);
  session.out.note("Next: `sereus sync` brings the stores back from peers.");
  client->close();
  return kExitOk;
}

struct PassphraseOptions {
  std::string new_file;
  bool remove = false;
};

int passphrase(Session& session, const PassphraseOptions& options) {
  constexpr char kAdvice[] =
      "give the new one with --new-passphrase-file or in $SEREUS_NEW_PASSPHRASE, or say --remove";
  Secret next = options.new_file.empty() ? passphrase_from_environment("SEREUS_NEW_PASSPHRASE")
                                         : read_passphrase_file(options.new_file);
  const bool ask = next.empty() && !options.remove;
  if (ask && !stdin_is_tty()) throw usage_failure("a new passphrase is needed", kAdvice);
  Client& client = session.client(Need::local);
  const bool guarded = sereus_rows_info(info_rows(client).get(), 0)->protected_keystore != 0;
  // A folder opened here has shown its passphrase; a daemon has not.
  Secret from = guarded ? session.passphrase() : Secret();
  if (guarded && from.empty()) from = session.given_passphrase();
  if (guarded && from.empty()) {
    if (!stdin_is_tty()) {
      throw usage_failure("the present passphrase is needed",
                          "give it with --passphrase-file or in $SEREUS_PASSPHRASE");
    }
    from = ask_passphrase("Present passphrase: ", "give it with --passphrase-file or in $SEREUS_PASSPHRASE");
  }
  if (ask) next = ask_new_passphrase("New passphrase: ", false, kAdvice);
  if (options.remove) next = Secret();
  client.run("change the passphrase", [&](sereus_id* op) {
    return sereus_passphrase_change(client.node(), bytes(from.value()), bytes(next.value()), op);
  });
  session.out.result(Json{{"protected", !next.empty()}}, next.empty()
                                                             ? "The keys are no longer protected by a passphrase."
                                                             : "The passphrase was changed.");
  return kExitOk;
}

struct EraseOptions {
  std::string confirm;
};

int erase(Session& session, const EraseOptions& options) {
  Client& client = session.client(Need::local);
  std::string words = options.confirm;
  if (words.empty()) {
    const std::string advice = "say --confirm \"" + std::string(kEraseWords) + "\"";
    if (!stdin_is_tty()) throw usage_failure("erasing needs a confirmation", advice);
    words = ask_line("This destroys the keys and every store in " + printable(session.data().string()) +
                         ".\nCopies on other devices stay. Type '" + kEraseWords + "' to go on: ",
                     advice);
  }
  if (words != kEraseWords)
    throw usage_failure("nothing was erased: the confirmation is '" + std::string(kEraseWords) + "'", "");
  client.run("erase the data folder", [&](sereus_id* op) { return sereus_erase(client.node(), words.c_str(), op); });
  const bool daemon = client.is_daemon();
  session.close();
  // What this command itself keeps beside the library's files.
  std::error_code ignored;
  std::filesystem::remove(session.data() / "cli.json", ignored);
  if (!daemon) std::filesystem::remove_all(session.data() / "logs", ignored);
  session.out.result(Json{{"erased", session.data().string()}}, "The keys and all stores were erased.");
  return kExitOk;
}

}  // namespace

void add_identity_commands(CLI::App& app, Session& session) {
  {
    auto [command, o] = add_command<InitOptions>(app, session, kGroupIdentity, "init",
                                                 "Make the data folder and an identity for this device", init);
    command->add_option("--name", o->name, "What peers call this device (default: the host name)")->type_name("NAME");
    command->add_flag("--no-passphrase", o->no_passphrase, "Protect the keys by the folder's permissions alone");
    command->add_flag("--light-kdf", o->light_kdf, "Derive the key with 64 MiB instead of 256 MiB, for small machines");
  }
  {
    auto [command, o] = add_command<BackupOptions>(app, session, kGroupIdentity, "backup",
                                                   "Write an encrypted backup of the keys to a file", backup);
    command->add_option("FILE", o->file, "The file to make")->required();
    command->add_option("--backup-passphrase-file", o->passphrase_file, "Its first line encrypts the backup")
        ->type_name("FILE");
    command->add_flag("--force", o->force, "Overwrite FILE");
  }
  {
    auto [command, o] = add_command<RestoreOptions>(app, session, kGroupIdentity, "restore",
                                                    "Restore a backup into a new data folder", restore);
    command->add_option("FILE", o->file, "A file made by backup")->required();
    command
        ->add_option("--backup-passphrase-file", o->backup_passphrase_file, "Its first line is the backup's passphrase")
        ->type_name("FILE");
    command->add_option("--name", o->name, "What peers call this device (default: as backed up)")->type_name("NAME");
    command->add_flag("--no-passphrase", o->no_passphrase, "Protect the keys by the folder's permissions alone");
    command->add_flag("--light-kdf", o->light_kdf, "Derive the key with 64 MiB instead of 256 MiB, for small machines");
  }
  {
    auto [command, o] = add_command<PassphraseOptions>(app, session, kGroupIdentity, "passphrase",
                                                       "Set, change or remove the passphrase of the keys", passphrase);
    command->add_option("--new-passphrase-file", o->new_file, "Its first line is the new passphrase")
        ->type_name("FILE");
    command->add_flag("--remove", o->remove, "Take the protection away");
  }
  {
    auto [command, o] = add_command<EraseOptions>(app, session, kGroupIdentity, "erase",
                                                  "Destroy the keys and every store of the data folder", erase);
    command->add_option("--confirm", o->confirm, "\"erase everything\", instead of typing it")->type_name("WORDS");
  }
}

}  // namespace cli
