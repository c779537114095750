// completion: scripts for bash, zsh and fish, made from the command line's own definition, so that they cannot drift.
#include <algorithm>

#include "apps/sereus/commands.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

struct Command {
  std::string name;
  std::string description;
  std::vector<const CLI::Option*> options;  // with a name
  std::vector<const CLI::Option*> positionals;
};

std::vector<const CLI::Option*> named_options(const CLI::App& app) {
  const auto all = app.get_options([](const CLI::Option* option) { return !option->get_positional(); });
  return {all.begin(), all.end()};
}

std::vector<Command> commands_of(const CLI::App& app) {
  std::vector<Command> commands;
  for (const CLI::App* one :
       app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); })) {
    const auto positionals = one->get_options([](const CLI::Option* option) { return option->get_positional(); });
    commands.push_back(
        {one->get_name(), one->get_description(), named_options(*one), {positionals.begin(), positionals.end()}});
  }
  return commands;
}

bool takes_value(const CLI::Option* option) { return option->get_items_expected_max() > 0; }

std::string words_of(const std::vector<const CLI::Option*>& options) {
  std::string words;
  for (const CLI::Option* option : options) {
    for (const auto& name : option->get_lnames()) words += (words.empty() ? "--" : " --") + name;
  }
  return words;
}

// What stands for a value: files, folders, stores, peers, fixed words, or nothing we know.
std::string kind_of(const CLI::Option* option) {
  const std::string name = option->get_positional() ? option->get_name() : option->get_lnames().front();
  if (name == "FILE" || name == "file" || name == "output" || name.ends_with("passphrase-file")) return "files";
  if (name == "FOLDER" || name == "data") return "folders";
  if (name == "STORE" || name == "store") return "stores";
  if (name == "PEER") return "peers";
  if (name == "KEY" || name == "PREFIX") return "keys";
  if (name == "role") return "read write admin";
  if (name == "log-level") return "error warn info debug trace";
  if (name == "SHELL") return "bash zsh fish";
  return "";
}

bool is_dynamic(const std::string& kind) { return kind == "stores" || kind == "peers" || kind == "keys"; }

// ---- bash ---------------------------------------------------------------------------------------------------------

std::string bash_values(const std::string& kind) {
  if (kind == "files") return "_sereus_offer_files -f";
  if (kind == "folders") return "_sereus_offer_files -d";
  if (is_dynamic(kind)) return "_sereus_offer_lines " + kind;
  return kind.empty() ? ":" : "_sereus_offer \"" + kind + "\"";
}

std::string bash_script(const CLI::App& app) {
  const auto commands = commands_of(app);
  std::string out =
      "# bash completion for sereus, made by `sereus completion bash`.\n"
      "_sereus_offer() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }\n"
      "_sereus_offer_files() { compopt -o filenames; mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\"); }\n"
      "_sereus_offer_lines() {\n"
      "  local IFS=$'\\n' line\n"
      "  COMPREPLY=()\n"
      "  while read -r line; do\n"
      "    [[ $line == \"$cur\"* ]] && COMPREPLY+=(\"$(printf '%q' \"$line\")\")\n"
      "  done < <(\"${COMP_WORDS[0]}\" \"${_sereus_data[@]}\" __complete \"$1\" \"$cur\" 2>/dev/null)\n"
      "}\n"
      "_sereus() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= word i skip= positional=0\n"
      "  local -a _sereus_data=()\n"
      "  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    word=${COMP_WORDS[i]}\n"
      "    if [[ -n $skip ]]; then\n"
      "      [[ $skip == --data ]] && _sereus_data=(--data \"$word\")\n"
      "      skip=\n"
      "      continue\n"
      "    fi\n"
      "    case $word in\n";
  std::vector<std::string> with_value;
  const auto collect = [&](const std::vector<const CLI::Option*>& options) {
    for (const CLI::Option* option : options) {
      if (!takes_value(option)) continue;
      for (const auto& name : option->get_lnames()) with_value.push_back("--" + name);
      for (const auto& name : option->get_snames()) with_value.push_back("-" + name);
    }
  };
  collect(named_options(app));
  for (const Command& command : commands) collect(command.options);
  std::sort(with_value.begin(), with_value.end());
  with_value.erase(std::unique(with_value.begin(), with_value.end()), with_value.end());
  std::string pattern;
  for (const std::string& one : with_value) pattern += (pattern.empty() ? "" : "|") + one;
  out += "      " + pattern + ") skip=$word ;;\n" +
         "      -*) ;;\n"
         "      *) if [[ -z $command ]]; then command=$word; else positional=$((positional + 1)); fi ;;\n"
         "    esac\n"
         "  done\n"
         "  case $prev in\n";
  std::vector<std::string> told;
  const auto tell = [&](const std::vector<const CLI::Option*>& options) {
    for (const CLI::Option* option : options) {
      if (!takes_value(option)) continue;
      std::string names;
      for (const auto& name : option->get_lnames()) names += (names.empty() ? "--" : "|--") + name;
      for (const auto& name : option->get_snames()) names += "|-" + name;
      if (std::find(told.begin(), told.end(), names) != told.end()) continue;
      told.push_back(names);
      out += "    " + names + ") " + bash_values(kind_of(option)) + "; return ;;\n";
    }
  };
  tell(named_options(app));
  for (const Command& command : commands) tell(command.options);
  out += "  esac\n  case $command in\n    '')\n      if [[ $cur == -* ]]; then _sereus_offer \"" +
         words_of(named_options(app)) + "\"\n      else _sereus_offer \"";
  for (const Command& command : commands) out += (&command == commands.data() ? "" : " ") + command.name;
  out += "\"; fi ;;\n";
  for (const Command& command : commands) {
    out += "    " + command.name + ")\n      if [[ $cur == -* ]]; then _sereus_offer \"" + words_of(command.options) +
           " " + words_of(named_options(app)) + "\"\n";
    for (size_t i = 0; i < command.positionals.size(); ++i) {
      const std::string values = bash_values(kind_of(command.positionals[i]));
      if (values != ":") out += "      elif ((positional == " + std::to_string(i) + ")); then " + values + "\n";
    }
    out += "      fi ;;\n";
  }
  return out + "  esac\n}\ncomplete -F _sereus sereus\n";
}

// ---- zsh ----------------------------------------------------------------------------------------------------------

// For a description inside '...' where [ ] : and ' mean something.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string zsh_action(const std::string& kind) {
  if (kind == "files") return "_files";
  if (kind == "folders") return "_files -/";
  if (is_dynamic(kind)) return "_sereus_lines " + kind;
  return kind.empty() ? " " : "(" + kind + ")";
}

std::string zsh_option(const CLI::Option* option) {
  std::string out;
  const auto one = [&](const std::string& name) {
    out += " \\\n        '" + name + "[" + zsh_text(option->get_description()) + "]";
    if (takes_value(option)) out += ":" + zsh_text(option->get_lnames().front()) + ":" + zsh_action(kind_of(option));
    out += "'";
  };
  for (const auto& name : option->get_lnames()) one("--" + name);
  for (const auto& name : option->get_snames()) one("-" + name);
  return out;
}

std::string zsh_script(const CLI::App& app) {
  std::string globals;
  for (const CLI::Option* option : named_options(app)) globals += zsh_option(option);
  std::string out =
      "#compdef sereus\n"
      "# zsh completion for sereus, made by `sereus completion zsh`.\n"
      "_sereus_lines() {\n"
      "  local -a found data\n"
      "  local at=${words[(I)--data]}\n"
      "  (( at > 0 )) && data=(--data ${(Q)words[at+1]})\n"
      "  found=(${(f)\"$(sereus $data __complete $1 \"$PREFIX\" 2>/dev/null)\"})\n"
      "  compadd -a found\n"
      "}\n"
      "_sereus() {\n"
      "  local curcontext=\"$curcontext\" state line\n"
      "  local -a commands globals\n"
      "  commands=(\n";
  const auto commands = commands_of(app);
  for (const Command& command : commands) out += "    '" + command.name + ":" + zsh_text(command.description) + "'\n";
  // The options of every command, said once.
  out += "  )\n  globals=(" + globals + ")\n  _arguments -C $globals" +
         " \\\n        '1: :->command' '*:: :->arguments'\n"
         "  case $state in\n"
         "    command) _describe -t commands command commands ;;\n"
         "    arguments)\n"
         "      case $line[1] in\n";
  for (const Command& command : commands) {
    out += "      " + command.name + ")\n        _arguments $globals";
    for (const CLI::Option* option : command.options) {
      if (option->get_lnames().front() != "help") out += zsh_option(option);
    }
    for (size_t i = 0; i < command.positionals.size(); ++i) {
      const CLI::Option* option = command.positionals[i];
      out += " \\\n        '" + std::to_string(i + 1) + (option->get_required() ? ":" : "::") +
             zsh_text(option->get_name()) + ":" + zsh_action(kind_of(option)) + "'";
    }
    out += " ;;\n";
  }
  return out + "      esac ;;\n  esac\n}\n" +
         "if [[ $funcstack[1] == _sereus ]]; then _sereus \"$@\"; else compdef _sereus sereus; fi\n";
}

// ---- fish ---------------------------------------------------------------------------------------------------------

std::string fish_text(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish_values(const std::string& kind) {
  if (kind == "files") return " -F";
  if (kind == "folders") return " -a '(__fish_complete_directories)'";
  if (is_dynamic(kind)) return " -a '(__sereus_lines " + kind + ")'";
  return kind.empty() ? "" : " -a " + fish_text(kind);
}

std::string fish_option(const CLI::Option* option, const std::string& condition) {
  std::string out = "complete -c sereus" + condition;
  for (const auto& name : option->get_lnames()) out += " -l " + name;
  for (const auto& name : option->get_snames()) out += " -s " + name;
  if (takes_value(option)) out += " -x" + fish_values(kind_of(option));
  return out + " -d " + fish_text(option->get_description()) + "\n";
}

std::string fish_script(const CLI::App& app) {
  std::string out =
      "# fish completion for sereus, made by `sereus completion fish`.\n"
      "function __sereus_lines\n"
      "  set -l words (commandline -opc)\n"
      "  set -l data\n"
      "  if set -l at (contains -i -- --data $words)\n"
      "    set data --data $words[(math $at + 1)]\n"
      "  end\n"
      "  sereus $data __complete $argv[1] (commandline -ct) 2>/dev/null\n"
      "end\n"
      "complete -c sereus -f\n";
  for (const CLI::Option* option : named_options(app)) out += fish_option(option, "");
  for (const Command& command : commands_of(app)) {
    out += "complete -c sereus -n __fish_use_subcommand -a " + command.name + " -d " + fish_text(command.description) +
           "\n";
    const std::string condition = " -n '__fish_seen_subcommand_from " + command.name + "'";
    for (const CLI::Option* option : command.options) {
      if (option->get_lnames().front() != "help") out += fish_option(option, condition);
    }
    for (const CLI::Option* option : command.positionals) {
      const std::string values = fish_values(kind_of(option));
      if (!values.empty()) out.append("complete -c sereus").append(condition).append(values).append("\n");
    }
  }
  return out;
}

// ---- Commands -----------------------------------------------------------------------------------------------------

struct ShellName {
  std::string shell;
};

int completion(Session& session, const ShellName& options) {
  const auto app = make_app(session);
  session.out.raw(options.shell == "bash"  ? bash_script(*app)
                  : options.shell == "zsh" ? zsh_script(*app)
                                           : fish_script(*app));
  return kExitOk;
}

struct CompleteOptions {
  std::string kind;
  std::string begin;
};

constexpr uint32_t kCompletionsMax = 200;

// Candidates for a completion script, one a line. Asks the daemon only: a TAB must never ask for a passphrase.
int complete_lines(Session& session, const CompleteOptions& options) {
  const auto client = session.connect_only();
  if (!client) return kExitOk;
  if (options.kind == "stores") {
    const Rows rows = store_rows(*client);
    for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
      const sereus_store_info* info = sereus_rows_store(rows.get(), i);
      if (info->is_root == 0) session.out.line(printable(text(info->name)));
    }
  } else if (options.kind == "peers") {
    const Rows rows = peer_rows(*client);
    for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i)
      session.out.line(text(sereus_rows_peer(rows.get(), i)->peer));
  } else if (options.kind == "keys") {
    sereus_rows* raw = nullptr;
    const sereus_id store = session.store(*client);
    check("list", sereus_store_list(client->node(), store, bytes(options.begin), bytes(""), kCompletionsMax, 0, &raw));
    const Rows rows(raw);
    for (size_t i = 0; i < sereus_rows_count(raw); ++i) {
      const std::string_view key = view(sereus_rows_item(raw, i)->key);
      if (printable(key) == key) session.out.line(std::string(key));
    }
  }
  return kExitOk;
}

}  // namespace

void add_completion_commands(CLI::App& app, Session& session) {
  {
    auto [command, o] =
        add_command<ShellName>(app, session, kGroupNode, "completion", "Print a completion script", completion);
    command->add_option("SHELL", o->shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  }
  {
    auto [command, o] = add_command<CompleteOptions>(app, session, "", "__complete",
                                                     "Candidates for a completion script", complete_lines);
    command->add_option("KIND", o->kind, "stores, peers or keys")->required();
    command->add_option("BEGIN", o->begin, "What was typed");
  }
}

}  // namespace cli
