// The command line: global options, errors, exit codes.
#include <algorithm>
#include <clocale>
#include <cstdio>
#include <string>
#include <vector>

#include "apps/sereus/commands.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t before = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = before + (a[i - 1] == b[j - 1] ? 0 : 1);
      before = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

std::string nearest_command(const CLI::App& app, const std::string& word) {
  std::string best;
  size_t least = word.size() / 2 + 1;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); })) {
    const size_t distance = edit_distance(word, command->get_name());
    const bool begins = word.size() >= 2 && command->get_name().starts_with(word);
    if (begins || distance < least) {
      best = command->get_name();
      least = begins ? 0 : distance;
    }
  }
  return best;
}

// What CLI11 says, as one line in our form.
Failure parse_failure(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& arguments) {
  const auto parsed = app.get_subcommands();
  std::string what = error.what();
  for (char& c : what) c = c == '\n' ? ' ' : c;
  while (!what.empty() && (what.back() == ' ' || what.back() == '.')) what.pop_back();
  if (!parsed.empty()) {
    const std::string name = parsed.front()->get_name();
    return usage_failure(name + ": " + printable(what), "see `sereus " + name + " --help`");
  }
  bool is_value = false;
  for (const std::string& word : arguments) {
    const bool option = word.size() > 1 && word.front() == '-';
    if (!option && !is_value) {
      const std::string nearest = nearest_command(app, word);
      return usage_failure("there is no command '" + printable(word) + "'",
                           nearest.empty() ? "see `sereus --help`" : "did you mean `sereus " + nearest + "`?");
    }
    is_value = word == "--data" || word == "--store" || word == "--timeout" || word == "--log-level" ||
               word == "--passphrase-file";
  }
  const bool none = error.get_name() == "RequiredError";
  return usage_failure(none ? "no command was given" : printable(what), "see `sereus --help`");
}

std::string version_line() { return std::string("sereus ") + sereus_version(); }

}  // namespace

std::unique_ptr<CLI::App> make_app(Session& session) {
  auto app = std::make_unique<CLI::App>("Local-first, peer-to-peer stores: kept on this device, in step with others.",
                                        "sereus");
  Globals& globals = session.globals;
  app->set_help_flag("-h,--help", "Show help and exit");
  app->set_version_flag("--version", version_line(), "Show the version and exit");
  app->require_subcommand(1);
  app->fallthrough();
  app->add_option("--data", globals.data,
                  "The data folder (default: $SEREUS_DATA, $XDG_DATA_HOME/sereus or ~/.local/share/sereus)")
      ->type_name("DIR");
  app->add_option("--store", globals.store, "The store to work on: name, id or beginning of an id")->type_name("STORE");
  app->add_flag("--json", globals.json, "Results as JSON: one object a line; errors, too");
  app->add_option("--timeout", globals.timeout_s, "Give up after so many seconds (default: never)")
      ->type_name("SECONDS")
      ->check(CLI::NonNegativeNumber);
  app->add_option("--passphrase-file", globals.passphrase_file,
                  "Its first line opens the keys (- for standard input; also in $SEREUS_PASSPHRASE, or asked for)")
      ->type_name("FILE");
  app->add_flag("-v,--verbose", globals.verbose, "Log more to standard error; twice: still more");
  app->add_option("--log-level", globals.log_level, "error, warn, info, debug or trace (default: warn)")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"error", "warn", "info", "debug", "trace"}));
  app->add_flag("-q,--quiet", globals.quiet, "No notes, warnings or progress");
  app->footer("Exit codes: 0 done, 1 failed, 2 wrong usage. `sereus COMMAND --help` and sereus(1) say more.");
  add_identity_commands(*app, session);
  add_store_commands(*app, session);
  add_entry_commands(*app, session);
  add_import_commands(*app, session);
  add_peer_commands(*app, session);
  add_daemon_commands(*app, session);
  add_node_commands(*app, session);
  add_doctor_commands(*app, session);
  add_bundle_commands(*app, session);
  add_net_commands(*app, session);
  add_shell_commands(*app, session);
  add_completion_commands(*app, session);
  return app;
}

int run_line(Session& session, std::vector<std::string> arguments) {
  session.action = nullptr;
  for (const std::string& word : arguments) {
    if (word == "--") break;
    if (word == "--json") session.out.json = true;  // for errors of parsing, too
  }
  const std::unique_ptr<CLI::App> app = make_app(session);
  try {
    try {
      // CLI11 takes them last first.
      app->parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::CallForHelp&) {
      const auto parsed = app->get_subcommands();
      std::fputs((parsed.empty() ? app.get() : parsed.front())->help().c_str(), stdout);
      return kExitOk;
    } catch (const CLI::CallForVersion&) {
      session.out.result(Json{{"version", sereus_version()}}, version_line());
      return kExitOk;
    } catch (const CLI::ParseError& error) {
      throw parse_failure(*app, error, arguments);
    }
    session.begin();
    const int code = session.action ? session.action() : kExitUsage;
    session.out.flush();
    return code;
  } catch (const Failure& failure) {
    session.out.failure(failure);
    return failure.exit_code();
  } catch (const std::exception& error) {
    session.out.failure(Failure(error.what(), "please report it, with a `sereus bundle`", "SEREUS_E_INTERNAL"));
    return kExitFailure;
  }
}

}  // namespace cli

int main(int argc, char** argv) {
  std::setlocale(LC_ALL, "");
  cli::Session session;
  const int code = cli::run_line(session, std::vector<std::string>(argv + 1, argv + argc));
  session.close();
  return code;
}
