#include "apps/sereus/output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <sstream>

#include "apps/sereus/text.h"

namespace cli {
namespace {

// Columns a cell takes: code points, which is right for everything but wide scripts.
size_t width(const std::string& cell) {
  size_t columns = 0;
  for (const char c : cell) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return columns;
}

void write_line(std::FILE* file, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), file);
  std::fputc('\n', file);
}

}  // namespace

bool stdout_is_tty() { return isatty(STDOUT_FILENO) == 1; }
bool stderr_is_tty() { return isatty(STDERR_FILENO) == 1; }
bool stdin_is_tty() { return isatty(STDIN_FILENO) == 1; }

std::string dump(const Json& json, int indent) { return json.dump(indent, ' ', false, Json::error_handler_t::replace); }

void Output::result(const Json& value, const std::string& text) const {
  if (json) {
    object(value);
  } else {
    line(text);
  }
}

void Output::object(const Json& value) const {
  if (json) write_line(stdout, dump(value));
}

void Output::line(const std::string& text) const {
  if (!json) write_line(stdout, text);
}

void Output::note(const std::string& text) const {
  if (!json && !quiet) write_line(stderr, text);
}

void Output::warning(const std::string& text) const {
  if (json) {
    write_line(stderr, dump(Json{{"warning", text}}));
  } else if (!quiet) {
    write_line(stderr, "sereus: warning: " + text);
  }
}

void Output::failure(const Failure& failure) const {
  std::fflush(stdout);
  if (json) {
    Json error{{"message", failure.what()}, {"exit", failure.exit_code()}};
    if (!failure.advice().empty()) error["advice"] = failure.advice();
    if (!failure.status().empty()) error["status"] = failure.status();
    write_line(stderr, dump(Json{{"error", error}}));
    return;
  }
  std::string text = "sereus: " + std::string(failure.what());
  if (!failure.advice().empty()) text += "; " + failure.advice();
  // One line, whatever a message contains.
  std::replace(text.begin(), text.end(), '\n', ' ');
  write_line(stderr, text);
}

void Output::raw(std::string_view data) const { std::fwrite(data.data(), 1, data.size(), stdout); }

void Output::hold_log() {
  const std::lock_guard<std::mutex> lock(log_mutex_);
  log_held_ = true;
}

void Output::release_log(bool show) {
  const std::lock_guard<std::mutex> lock(log_mutex_);
  log_held_ = false;
  for (const std::string& one : held_) {
    if (show) write_line(stderr, one);
  }
  held_.clear();
}

void Output::log_line(const std::string& text) {
  const std::lock_guard<std::mutex> lock(log_mutex_);
  if (log_held_) {
    held_.push_back(text);
  } else {
    write_line(stderr, text);
  }
}

void Output::flush() const {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw errno_failure("write to standard output", errno == 0 ? EIO : errno);
  }
}

std::string Table::text(const std::string& indent) const {
  std::vector<size_t> widths;
  const auto measure = [&](const std::vector<std::string>& cells) {
    if (widths.size() < cells.size()) widths.resize(cells.size());
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], width(cells[i]));
  };
  measure(header_);
  for (const auto& cells : rows_) measure(cells);
  std::string out;
  const auto add = [&](const std::vector<std::string>& cells) {
    std::string one = indent;
    for (size_t i = 0; i < cells.size(); ++i) {
      one += cells[i];
      if (i + 1 < cells.size()) one += std::string(widths[i] - width(cells[i]) + 2, ' ');
    }
    one.erase(one.find_last_not_of(' ') + 1);
    if (!out.empty()) out += '\n';
    out += one;
  };
  add(header_);
  for (const auto& cells : rows_) add(cells);
  return out;
}

Progress::Progress(const Output& out, std::string what, uint64_t total)
    : shown_(stderr_is_tty() && !out.quiet && !out.json), what_(std::move(what)), total_(total) {}

Progress::~Progress() { clear(); }

void Progress::update(uint64_t done, uint64_t total) {
  total_ = total;
  const auto now = std::chrono::steady_clock::now();
  if (!shown_ || (drawn_ && done < total && now - last_ < std::chrono::milliseconds(100))) return;
  last_ = now;
  drawn_ = true;
  constexpr uint64_t kWidth = 30;
  const uint64_t full = total == 0 ? 0 : std::min(kWidth, done * kWidth / total);
  std::string bar;
  for (uint64_t i = 0; i < kWidth; ++i) bar += i < full ? "█" : "░";
  std::fprintf(stderr, "\r\033[K%s %s %llu/%llu", what_.c_str(), bar.c_str(), static_cast<unsigned long long>(done),
               static_cast<unsigned long long>(total));
  std::fflush(stderr);
}

void Progress::clear() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void set_bytes(Json& object, const std::string& name, std::string_view data) {
  if (is_utf8(data)) {
    object[name] = std::string(data);
  } else {
    object[name + "_base64"] = base64(data);
  }
}

Json lines_to_json(const char* value) {
  Json list = Json::array();
  std::istringstream in(text(value));
  for (std::string one; std::getline(in, one);) {
    if (!one.empty()) list.push_back(one);
  }
  return list;
}

const char* role_name(uint32_t role) {
  return role == SEREUS_ROLE_READ    ? "read"
         : role == SEREUS_ROLE_WRITE ? "write"
         : role == SEREUS_ROLE_ADMIN ? "admin"
                                     : "none";
}

const char* state_name(uint32_t state) {
  return state == SEREUS_STORE_ACTIVE        ? "active"
         : state == SEREUS_STORE_IS_ARCHIVED ? "archived"
         : state == SEREUS_STORE_DAMAGED     ? "damaged"
                                             : "unknown";
}

Json to_json(const sereus_node_info& info) {
  return Json{{"peer", text(info.peer)},
              {"party", text(info.party)},
              {"name", text(info.name)},
              {"addresses", lines_to_json(info.addresses)},
              {"protected", info.protected_keystore != 0},
              {"online", info.online != 0},
              {"clock_suspect", info.clock_suspect != 0},
              {"connections", info.connections},
              {"operations", info.operations},
              {"bytes_sent", info.bytes_sent},
              {"bytes_received", info.bytes_received},
              {"entries_sent", info.entries_sent},
              {"entries_received", info.entries_received}};
}

Json to_json(const sereus_store_info& info) {
  return Json{{"store", text(info.uuid)},
              {"name", text(info.name)},
              {"state", state_name(info.state)},
              {"root", info.is_root != 0},
              {"entries", info.entries},
              {"keys", info.keys},
              {"conflicts", info.conflicts},
              {"authors", info.authors},
              {"held", info.held},
              {"forks", info.forks},
              {"log_bytes", info.log_bytes},
              {"position", std::to_string(info.epoch) + ":" + std::to_string(info.sequence)},
              {"digest", hex(view(info.digest))},
              {"detail", text(info.detail)}};
}

Json to_json(const sereus_peer_info& info) {
  Json peer{{"peer", text(info.peer)},      {"party", text(info.party)},
            {"name", text(info.name)},      {"role", role_name(info.role)},
            {"self", info.is_self != 0},    {"connected", info.connected != 0},
            {"removed", info.removed != 0}, {"addresses", lines_to_json(info.addresses)},
            {"last_sync", nullptr},         {"failures", info.failures},
            {"detail", text(info.detail)}};
  if (info.last_sync_ms != 0) peer["last_sync"] = iso_time(info.last_sync_ms);
  return peer;
}

Json to_json(const sereus_invite_info& info) {
  const uint64_t expires_ms = info.expires_wall_s <= 0 ? 0 : static_cast<uint64_t>(info.expires_wall_s) * 1000;
  return Json{{"id", text(info.id)},
              {"role", role_name(info.role)},
              {"uses_left", info.uses_left},
              {"expires", iso_time(expires_ms)},
              {"expired", expires_ms + 1000 <= wall_ms_now()},
              {"revoked", info.revoked != 0},
              {"peer", text(info.peer)}};
}

Json to_json(const sereus_head& head, bool winner) {
  Json object{{"winner", winner}, {"deleted", head.deleted != 0}};
  if (head.deleted == 0) set_bytes(object, "value", view(head.value));
  object["size"] = head.value.size;
  object["time"] = iso_time(head.hlc_wall_ms);
  object["hlc"] = Json{{"wall_ms", head.hlc_wall_ms}, {"counter", head.hlc_counter}};
  object["author"] = hex(view(head.author));
  object["seq"] = head.seq;
  object["hash"] = hex(view(head.hash));
  return object;
}

}  // namespace cli
