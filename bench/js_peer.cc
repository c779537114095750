#include "bench/js_peer.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace sereus::bench {
namespace {

constexpr uint64_t kMiB = 1 << 20;

// The number behind `"key":[` in a line that bench.mjs wrote; 0 without it.
double first_number(std::string_view line, std::string_view key) {
  const std::string before = "\"" + std::string(key) + "\":[";
  const size_t at = line.find(before);
  return at == std::string_view::npos ? 0 : std::strtod(std::string(line.substr(at + before.size())).c_str(), nullptr);
}

std::string name_of(std::string_view line) {
  constexpr std::string_view kBefore = "{\"name\":\"";
  if (line.substr(0, kBefore.size()) != kBefore) return {};
  line.remove_prefix(kBefore.size());
  return std::string(line.substr(0, line.find('"')));
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

std::map<std::string, JsFigures> run_js(const std::string& folder, uint64_t bytes, uint64_t pings) {
  std::map<std::string, JsFigures> out;
  if (folder.empty()) {
    std::fprintf(stderr, "sereus-bench: js-libp2p is left out: --js does not say where it is installed\n");
    return out;
  }
  const std::string command = "node " + quoted(folder + "/bin/bench.mjs") + " --runs 1 --mib " +
                              std::to_string(bytes / kMiB + 1) + " --pings " + std::to_string(pings);
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::array<char, 4096> buffer{};
  while (pipe && std::fgets(buffer.data(), buffer.size(), pipe.get()) != nullptr) {
    const std::string_view line(buffer.data());
    const JsFigures figures{first_number(line, "up"), first_number(line, "down"), first_number(line, "pingMedianMs")};
    if (const std::string name = name_of(line); !name.empty() && figures.up > 0) out[name] = figures;
  }
  if (out.empty()) std::fprintf(stderr, "sereus-bench: js-libp2p is left out: %s gave nothing\n", command.c_str());
  return out;
}

}  // namespace sereus::bench
