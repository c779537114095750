// shell: the same commands, one a line, with history and completion.
#include <editline/readline.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>

#include "apps/sereus/commands.h"
#include "apps/sereus/signals.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

constexpr uint32_t kCompletionsMax = 200;
constexpr int kHistoryMax = 1000;

// Words as a POSIX shell splits them: single and double quotes, backslash. Nothing when a quote is left open.
std::optional<std::vector<std::string>> split(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote == '\'') {
      if (c == '\'')
        quote = 0;
      else
        word += c;
    } else if (c == '\\' && i + 1 < line.size() && (quote == 0 || line[i + 1] == '"' || line[i + 1] == '\\')) {
      word += line[++i];
      in_word = true;
    } else if (quote == '"') {
      if (c == '"')
        quote = 0;
      else
        word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t') {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) return std::nullopt;
  if (in_word) words.push_back(std::move(word));
  return words;
}

// libedit's completion hooks have no user pointer; there is one shell in a process.
Session* completing = nullptr;
std::vector<std::string> candidates;
size_t next_candidate = 0;

char* give_candidate(const char*, int state) {
  if (state == 0) next_candidate = 0;
  return next_candidate < candidates.size() ? ::strdup(candidates[next_candidate++].c_str()) : nullptr;
}

void add_if(const std::string& word, const std::string& begin) {
  if (word.starts_with(begin)) candidates.push_back(word);
}

void complete_command(const std::string& begin) {
  const auto app = make_app(*completing);
  for (const CLI::App* command : app->get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); })) {
    add_if(command->get_name(), begin);
  }
  add_if("exit", begin);
  add_if("help", begin);
}

void complete_option(const std::string& name, const std::string& begin) {
  const auto app = make_app(*completing);
  const auto add_options = [&](const CLI::App* of) {
    for (const CLI::Option* option : of->get_options()) {
      for (const std::string& one : option->get_lnames()) add_if("--" + one, begin);
    }
  };
  for (const CLI::App* command : app->get_subcommands([&](const CLI::App* one) { return one->get_name() == name; })) {
    add_options(command);
  }
  add_options(app.get());
}

void complete_value(const std::string& command, const std::string& begin) {
  Client& client = completing->client(Need::local);
  if (command == "use" || command == "delete-store" || command == "drop-store" || command == "verify" ||
      command == "sync") {
    const Rows rows = store_rows(client);
    for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
      const sereus_store_info* info = sereus_rows_store(rows.get(), i);
      if (info->is_root == 0) add_if(printable(text(info->name)), begin);
    }
  } else if (command == "remove" || command == "add-address" || command == "invite") {
    const Rows rows = peer_rows(client);
    for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i)
      add_if(text(sereus_rows_peer(rows.get(), i)->peer), begin);
  } else if (command == "get" || command == "put" || command == "delete" || command == "heads" || command == "list" ||
             command == "watch") {
    sereus_rows* raw = nullptr;
    const sereus_id store = completing->store(client);
    if (sereus_store_list(client.node(), store, bytes(begin), bytes(""), kCompletionsMax, 0, &raw) != SEREUS_OK) return;
    const Rows rows(raw);
    for (size_t i = 0; i < sereus_rows_count(raw); ++i) candidates.emplace_back(view(sereus_rows_item(raw, i)->key));
  }
}

char** complete(const char* word, int start, int) {
  candidates.clear();
  const std::string begin = word;
  const std::string before = std::string(rl_line_buffer).substr(0, static_cast<size_t>(start));
  try {
    const std::vector<std::string> words = split(before).value_or(std::vector<std::string>());
    std::string command;
    for (const std::string& one : words) {
      if (command.empty() && !one.starts_with("-")) command = one;
    }
    if (command.empty()) {
      complete_command(begin);
    } else if (begin.starts_with("-")) {
      complete_option(command, begin);
    } else {
      complete_value(command, begin);
    }
  } catch (const std::exception&) {
    candidates.clear();  // a completion that fails is no reason to disturb the line
  }
  if (candidates.empty()) return nullptr;  // libedit then completes file names
  return rl_completion_matches(word, give_candidate);
}

// One line; what it set stays its own. Returns its exit code.
int run_shell_line(Session& session, const std::string& line) {
  const auto words = split(line);
  if (!words.has_value()) {
    session.out.failure(usage_failure("a quote is left open", "close it, or write \\' for the character"));
    return kExitUsage;
  }
  if (words->empty() || words->front().starts_with("#")) return kExitOk;
  std::vector<std::string> arguments = *words;
  if (arguments.front() == "help") {
    arguments.erase(arguments.begin());
    arguments.push_back("--help");
  }
  const Globals globals = session.globals;
  const bool json = session.out.json;
  clear_interrupt();
  const int code = run_line(session, arguments);
  // --data would need another node.
  if (session.globals.data != globals.data && session.has_client()) session.close();
  session.globals = globals;
  session.out.json = json;
  return code;
}

int run_script(Session& session) {
  int worst = kExitOk;
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "exit" || line == "quit") break;
    worst = std::max(worst, run_shell_line(session, line));
  }
  return worst;
}

int shell(Session& session, const NoOptions&) {
  if (session.in_shell) throw usage_failure("this is a shell already", "type a command, or exit");
  session.in_shell = true;
  const Interruptible interruptible(false);
  if (!stdin_is_tty()) return run_script(session);
  Client& client = session.client(Need::local);
  session.out.note(std::string("sereus ") + sereus_version() + ", " +
                   (client.is_daemon() ? "through the running daemon" : "on the data folder itself") +
                   ". TAB completes, `help` lists the commands, `exit` or Ctrl-D ends.");
  completing = &session;
  rl_readline_name = const_cast<char*>("sereus");
  rl_attempted_completion_function = complete;
  // The history lives as long as the shell: on disk it would be values in plain text.
  using_history();
  stifle_history(kHistoryMax);
  for (;;) {
    char* raw = ::readline("sereus> ");
    if (raw == nullptr) {
      if (interrupted()) {
        clear_interrupt();
        std::fputc('\n', stdout);
        continue;
      }
      break;
    }
    const std::string line = raw;
    std::free(raw);
    if (line == "exit" || line == "quit") break;
    if (line.find_first_not_of(" \t") == line.npos) continue;
    add_history(line.c_str());
    run_shell_line(session, line);
    std::fflush(stdout);
  }
  completing = nullptr;
  return kExitOk;
}

}  // namespace

void add_shell_commands(CLI::App& app, Session& session) {
  add_command<NoOptions>(app, session, kGroupNode, "shell",
                         "Type commands one after the other, with history and completion", shell);
}

}  // namespace cli
