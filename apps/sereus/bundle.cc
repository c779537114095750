// bundle: what a helper needs to know, without what is nobody's business.
#include <sys/utsname.h>

#include <cstdlib>
#include <regex>

#include "apps/sereus/commands.h"
#include "apps/sereus/files.h"
#include "apps/sereus/tar_file.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

constexpr uint64_t kLogSizeMax = 8u << 20;

constexpr char kReadme[] =
    "A support archive of Sereus, made by `sereus bundle`.\n\n"
    "  versions.json  versions of Sereus and of the system\n"
    "  status.json    counters of the node, its stores and peers\n"
    "  doctor.json    what `sereus doctor` found\n"
    "  settings.json  what the command remembers\n"
    "  log.txt        recent log lines of the daemon\n\n"
    "Not in it: keys, passphrases, invites, keys and values of entries. Taken out: names of devices and stores, "
    "network\n"
    "addresses, the path of the home folder; ids are shortened. Look through it before you send it.\n";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  if (from.empty()) return;
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

class Redactor {
 public:
  explicit Redactor(const Session& session) {
    hide(session.data().string(), "<data>");
    const std::string home = environment("HOME");
    if (home.size() > 1) hide(home, "<home>");
  }

  void hide(const std::string& what, const std::string& name) {
    // Shorter ones would hit half of the words.
    if (what.size() >= 3) hidden_.emplace_back(what, name);
  }

  std::string apply(std::string text) const {
    for (const auto& [from, to] : hidden_) replace_all(text, from, to);
    static const std::regex four("\\b[0-9]{1,3}(\\.[0-9]{1,3}){3}\\b");
    // Only what stands behind /ip6/ or in brackets: to a simple pattern, times look like IPv6 addresses, too.
    static const std::regex six("(/ip6/|\\[)[0-9a-fA-F:.]+");
    static const std::regex dns("/dns(4|6|addr)?/[^/\\s]+");
    static const std::regex peer("\\b(12D3KooW|Qm)[1-9A-HJ-NP-Za-km-z]{38,48}\\b");
    static const std::regex invite("\\bsereus1[A-Za-z0-9]{16,}");
    static const std::regex key("\\b[0-9a-fA-F]{40,}\\b");
    text = std::regex_replace(text, invite, "<invite>");
    text = std::regex_replace(text, four, "<ip>");
    text = std::regex_replace(text, dns, "/dns/<name>");
    text = std::regex_replace(text, peer, "<peer>");
    text = std::regex_replace(text, key, "<id>");
    return std::regex_replace(text, six, "$1<ip>");
  }

 private:
  std::vector<std::pair<std::string, std::string>> hidden_;
};

// Names become numbers, ids become short, addresses a count.
Json redacted_status(const Json& status, Redactor& redactor) {
  Json out{{"version", status["version"]}, {"daemon", status["daemon"]}};
  Json node = status["node"];
  redactor.hide(node["name"].get<std::string>(), "<this device>");
  node.erase("name");
  node.erase("party");
  node["peer"] = short_id(node["peer"].get<std::string>());
  node["addresses"] = node["addresses"].size();
  out["node"] = node;
  Json stores = Json::array();
  for (const auto& one : status["stores"]) {
    Json store = one;
    const std::string label = "<store " + std::to_string(stores.size() + 1) + ">";
    redactor.hide(store["name"].get<std::string>(), label);
    store["name"] = label;
    store["store"] = store["store"].get<std::string>().substr(0, 8);
    store["detail"] = redactor.apply(store["detail"].get<std::string>());
    stores.push_back(store);
  }
  out["stores"] = stores;
  Json peers = Json::array();
  for (const auto& one : status["peers"]) {
    Json peer = one;
    const std::string label = "<peer " + std::to_string(peers.size() + 1) + ">";
    redactor.hide(peer["name"].get<std::string>(), label);
    peer["name"] = label;
    peer.erase("party");
    peer["peer"] = short_id(peer["peer"].get<std::string>());
    peer["addresses"] = peer["addresses"].size();
    peer["detail"] = redactor.apply(peer["detail"].get<std::string>());
    peers.push_back(peer);
  }
  out["peers"] = peers;
  return out;
}

Json versions() {
  Json json{{"sereus", sereus_version()}, {"compiler", __VERSION__}};
  utsname system{};
  if (::uname(&system) == 0) {
    json["system"] = system.sysname;
    json["release"] = system.release;
    json["machine"] = system.machine;
  }
  return json;
}

std::string recent_log(const Session& session, const Redactor& redactor) {
  std::string log;
  for (const char* name : {"sereus.log.1", "sereus.log"}) {
    const std::filesystem::path path = session.data() / "logs" / name;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(path, ignored)) log += read_file(path, kLogSizeMax);
  }
  std::string out;
  for (size_t at = 0; at < log.size();) {
    const size_t end = std::min(log.find('\n', at), log.size());
    out += redactor.apply(log.substr(at, end - at)) + "\n";
    at = end + 1;
  }
  return out;
}

struct BundleOptions {
  std::string file;
  bool force = false;
};

int bundle(Session& session, const BundleOptions& options) {
  Redactor redactor(session);
  Json state{{"error", nullptr}};
  try {
    Client& client = session.client(Need::local);
    state = redacted_status(status_json(session, client, false), redactor);
  } catch (const Failure& failure) {
    state["error"] = redactor.apply(failure.what());  // a bundle is wanted most when nothing works
  }
  Json settings = session.settings();
  settings.erase("store");
  const uint64_t now_s = wall_ms_now() / 1000;
  TarFile archive;
  archive.add("sereus-bundle/README.txt", kReadme, now_s);
  archive.add("sereus-bundle/versions.json", dump(versions(), 2) + "\n", now_s);
  archive.add("sereus-bundle/status.json", dump(state, 2) + "\n", now_s);
  archive.add("sereus-bundle/doctor.json", redactor.apply(dump(doctor_json(session, false), 2)) + "\n", now_s);
  archive.add("sereus-bundle/settings.json", dump(settings, 2) + "\n", now_s);
  archive.add("sereus-bundle/log.txt", recent_log(session, redactor), now_s);
  const std::string content = archive.finish();
  write_private_file(options.file, content, options.force);
  session.out.result(Json{{"file", options.file}, {"bytes", content.size()}},
                     "Wrote " + printable(options.file) + " (" + human_size(content.size()) +
                         "): no keys, no content, no names, no addresses. Look through it before you send it.");
  return kExitOk;
}

}  // namespace

void add_bundle_commands(CLI::App& app, Session& session) {
  auto [command, o] = add_command<BundleOptions>(app, session, kGroupNode, "bundle",
                                                 "Write a redacted support archive (tar) to a file", bundle);
  command->add_option("FILE", o->file, "The file to make")->required();
  command->add_flag("--force", o->force, "Overwrite FILE");
}

}  // namespace cli
