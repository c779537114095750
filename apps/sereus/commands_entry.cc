// put, get, delete, list, heads, watch, fill.
#include <algorithm>
#include <array>
#include <cstdio>

#include "apps/sereus/commands.h"
#include "apps/sereus/files.h"
#include "apps/sereus/signals.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

constexpr uint32_t kListPage = 1000;
constexpr size_t kPreviewSize = 60;  // characters of a value shown in a table

struct KeyOptions {
  std::string key;
  bool escaped = false;
  std::string bytes() const { return escaped ? unescape(key) : key; }
};

std::string checked_key(const KeyOptions& options) {
  std::string key = options.bytes();
  if (key.empty()) throw usage_failure("the key is empty", "give a key of 1 to 4096 bytes");
  if (key.size() > SEREUS_KEY_SIZE_MAX) {
    throw Failure("the key has " + std::to_string(key.size()) + " bytes", "give one of at most 4096",
                  sereus_status_name(SEREUS_E_TOO_LARGE));
  }
  return key;
}

void add_key(CLI::App* command, KeyOptions& options) {
  command->add_option("KEY", options.key, "1 to 4096 bytes")->required();
  command->add_flag("-e,--escaped", options.escaped, "KEY is written with \\xNN escapes, as list shows it");
}

Json with_key(std::string_view key) {
  Json json;
  set_bytes(json, "key", key);
  return json;
}

std::string preview(std::string_view value) {
  // Cut before escaping, so that a huge value costs nothing; then between characters.
  std::string shown = printable(value.substr(0, kPreviewSize * 4));
  size_t at = 0;
  size_t columns = 0;
  while (at < shown.size() && columns <= kPreviewSize)
    columns += (static_cast<unsigned char>(shown[at++]) & 0xC0) != 0x80;
  if (at < shown.size() || value.size() > kPreviewSize * 4) {
    while (at > 0 && (static_cast<unsigned char>(shown[at - 1]) & 0xC0) == 0x80) --at;
    shown = shown.substr(0, at == 0 ? 0 : at - 1) + "…";
  }
  return shown;
}

struct PutOptions : KeyOptions {
  std::string value;
  std::string file;
  bool has_value = false;
};

int put(Session& session, const PutOptions& options) {
  const std::string key = checked_key(options);
  const bool from_argument = options.has_value && options.value != "-" && options.file.empty();
  if (options.has_value && !options.file.empty())
    throw usage_failure("both VALUE and --file were given", "give one of them");
  if (!options.has_value && options.file.empty()) {
    throw usage_failure("there is no value", "give VALUE, --file FILE, or - for standard input");
  }
  const std::string source = options.file.empty() ? "-" : options.file;
  const std::string value = from_argument ? options.value : read_file(source, SEREUS_VALUE_SIZE_MAX);
  if (value.size() > SEREUS_VALUE_SIZE_MAX) {
    throw Failure("the value has " + std::to_string(value.size()) + " bytes", "give one of at most 1048576",
                  sereus_status_name(SEREUS_E_TOO_LARGE));
  }
  Client& client = session.client(Need::local);
  const sereus_id store = session.store(client);
  const Done done = client.run("write '" + printable(key) + "'", [&](sereus_id* op) {
    return sereus_store_put(client.node(), store, bytes(key), bytes(value), op);
  });
  Json json = with_key(key);
  json["size"] = value.size();
  json["sequence"] = done.count;
  json["hash"] = hex(done.data);
  session.out.object(json);
  return kExitOk;
}

struct GetOptions : KeyOptions {
  std::string output;
  bool force = false;
};

int get(Session& session, const GetOptions& options) {
  const std::string key = checked_key(options);
  Client& client = session.client(Need::local);
  const sereus_id store = session.store(client);
  sereus_rows* raw = nullptr;
  const sereus_status status = sereus_store_get(client.node(), store, bytes(key), &raw);
  const Rows rows(raw);
  if (status == SEREUS_E_NOT_FOUND) {
    throw Failure(
        "there is no key '" + printable(key) + "' in the store '" + printable(session.store_name(client, store)) + "'",
        "see `sereus list`", sereus_status_name(status));
  }
  check("read '" + printable(key) + "'", status);
  const sereus_head* head = sereus_rows_head(rows.get(), 0);
  if (head == nullptr) throw status_failure("read '" + printable(key) + "'", SEREUS_E_INTERNAL);
  const std::string_view value = view(head->value);
  if (!options.output.empty()) {
    write_private_file(options.output, value, options.force);
    Json json = with_key(key);
    json["file"] = options.output;
    json["size"] = value.size();
    session.out.object(json);
    return kExitOk;
  }
  if (session.out.json) {
    Json json = with_key(key);
    json.update(to_json(*head, true));
    session.out.object(json);
    return kExitOk;
  }
  if (stdout_is_tty()) {
    // Values come from other devices, too: what could steer a terminal is not sent to one.
    std::string plain(value);
    std::erase_if(plain, [](char c) { return c == '\n' || c == '\t'; });
    std::string shown = printable(plain);
    std::string expected;
    for (const char c : plain) expected += c == '\\' ? "\\\\" : std::string(1, c);
    if (shown != expected) {
      throw Failure("the value of '" + printable(key) + "' is binary (" + human_size(value.size()) + ")",
                    "write it to a file with --output, or into a pipe");
    }
  }
  session.out.raw(value);
  if (stdout_is_tty() && (value.empty() || value.back() != '\n')) session.out.raw("\n");
  return kExitOk;
}

int remove_key(Session& session, const KeyOptions& options) {
  const std::string key = checked_key(options);
  Client& client = session.client(Need::local);
  const sereus_id store = session.store(client);
  const Done done = client.run("delete '" + printable(key) + "'", [&](sereus_id* op) {
    return sereus_store_remove(client.node(), store, bytes(key), op);
  });
  Json json = with_key(key);
  json["deleted"] = true;
  json["sequence"] = done.count;
  json["hash"] = hex(done.data);
  session.out.object(json);
  return kExitOk;
}

struct ListOptions {
  std::string prefix;
  bool escaped = false;
  bool values = false;
  bool long_form = false;
  uint64_t limit = 0;
};

int list(Session& session, const ListOptions& options) {
  const std::string prefix = options.escaped ? unescape(options.prefix) : options.prefix;
  Client& client = session.client(Need::local);
  const sereus_id store = session.store(client);
  std::string after;
  uint64_t left = options.limit == 0 ? UINT64_MAX : options.limit;
  Table table({"KEY", "SIZE", "TIME", "AUTHOR", "HEADS"});
  while (left > 0) {
    const auto page = static_cast<uint32_t>(std::min<uint64_t>(left, options.values ? 64 : kListPage));
    sereus_rows* raw = nullptr;
    check("list the keys", sereus_store_list(client.node(), store, bytes(prefix), bytes(after), page,
                                             options.values ? SEREUS_LIST_VALUES : 0u, &raw));
    const Rows rows(raw);
    const size_t size = sereus_rows_count(raw);
    for (size_t i = 0; i < size; ++i) {
      const sereus_item& item = *sereus_rows_item(raw, i);
      const std::string_view key = view(item.key);
      if (session.out.json) {
        Json json = with_key(key);
        if (options.values) set_bytes(json, "value", view(item.value));
        json["size"] = item.value_size;
        json["time"] = iso_time(item.hlc_wall_ms);
        json["author"] = hex(view(item.author));
        json["heads"] = item.heads;
        session.out.object(json);
      } else if (options.long_form) {
        table.row({printable(key), std::to_string(item.value_size), human_time(item.hlc_wall_ms),
                   hex(view(item.author)).substr(0, 12),
                   item.heads > 1 ? std::to_string(item.heads) + " (conflict)" : "1"});
      } else {
        session.out.line(options.values ? printable(key) + "\t" + printable(view(item.value)) : printable(key));
      }
      after = key;
    }
    left -= std::min<uint64_t>(left, size);
    if (size < page) break;
  }
  if (options.long_form && !table.empty()) session.out.line(table.text());
  return kExitOk;
}

int heads(Session& session, const KeyOptions& options) {
  const std::string key = checked_key(options);
  Client& client = session.client(Need::local);
  const sereus_id store = session.store(client);
  sereus_rows* raw = nullptr;
  const sereus_status status = sereus_store_heads(client.node(), store, bytes(key), &raw);
  const Rows rows(raw);
  if (status != SEREUS_E_NOT_FOUND) check("read the heads of '" + printable(key) + "'", status);
  const size_t size = sereus_rows_count(raw);
  if (size == 0) {
    throw Failure("nothing was ever written to '" + printable(key) + "'", "see `sereus list`",
                  sereus_status_name(SEREUS_E_NOT_FOUND));
  }
  Table table({"", "AUTHOR", "SEQ", "TIME", "SIZE", "VALUE"});
  for (size_t i = 0; i < size; ++i) {
    const sereus_head& head = *sereus_rows_head(raw, i);
    Json json = with_key(key);
    json.update(to_json(head, i == 0));
    session.out.object(json);
    table.row({i == 0 ? "winner" : "", hex(view(head.author)).substr(0, 12), std::to_string(head.seq),
               human_time(head.hlc_wall_ms), std::to_string(head.value.size),
               head.deleted != 0 ? "(deleted)" : preview(view(head.value))});
  }
  session.out.line(table.text());
  if (size > 1) session.out.note("Written concurrently; the next write to the key that has seen both merges them.");
  return kExitOk;
}

// ---- watch --------------------------------------------------------------------------------------------------------

struct WatchOptions {
  std::string prefix;
  bool escaped = false;
  bool from_start = false;
  std::string resume;
  uint64_t limit = 0;
};

std::pair<uint64_t, uint64_t> parse_position(const std::string& text) {
  const size_t colon = text.find(':');
  try {
    size_t first = 0;
    size_t second = 0;
    if (colon != std::string::npos && text.find('-') == std::string::npos) {
      const uint64_t epoch = std::stoull(text.substr(0, colon), &first);
      const uint64_t sequence = std::stoull(text.substr(colon + 1), &second);
      if (first == colon && second == text.size() - colon - 1) return {epoch, sequence};
    }
  } catch (const std::exception&) {
    // Falls through to the one message.
  }
  throw usage_failure("'" + printable(text) + "' is not a position", "give EPOCH:SEQUENCE as watch prints it");
}

std::string position(uint64_t epoch, uint64_t sequence) {
  return std::to_string(epoch) + ":" + std::to_string(sequence);
}

void show_change(Session& session, const sereus_store_change& change) {
  Json json{{"event", change.deleted != 0 ? "delete" : "put"}};
  set_bytes(json, "key", view(change.key));
  if (change.deleted == 0) set_bytes(json, "value", view(change.value));
  json["winner"] = change.winner != 0;
  json["time"] = iso_time(change.hlc_wall_ms);
  json["author"] = hex(view(change.author));
  json["position"] = position(change.epoch, change.sequence);
  const std::string what = change.deleted != 0 ? "deleted" : preview(view(change.value));
  session.out.result(json, human_time(change.hlc_wall_ms) + "  " + printable(view(change.key)) + "  " + what +
                               (change.winner != 0 ? "" : "  (superseded)"));
}

int watch(Session& session, const WatchOptions& options) {
  const std::string prefix = options.escaped ? unescape(options.prefix) : options.prefix;
  if (options.from_start && !options.resume.empty()) {
    throw usage_failure("both --from-start and --resume were given", "give one of them");
  }
  auto from = options.resume.empty() ? std::pair<uint64_t, uint64_t>{0, 0} : parse_position(options.resume);
  if (options.from_start) from.first = SEREUS_WATCH_ALL;
  Client& client = session.client(Need::online);
  const sereus_id store = session.store(client);
  const Interruptible interruptible;
  const sereus_id op = client.submit("watch the store", [&](sereus_id* id) {
    return sereus_store_watch(client.node(), store, bytes(prefix), from.first, from.second, id);
  });
  std::string resume = options.resume;
  uint64_t seen = 0;
  bool ending = false;
  for (;;) {
    if (!ending && (interrupted() || client.late() || (options.limit != 0 && seen >= options.limit))) {
      ending = true;
      sereus_cancel(client.node(), op);
    }
    const Event event = client.next(100);
    if (client.closed()) throw status_failure("go on watching", SEREUS_E_CLOSED);
    if (!event) {
      session.out.flush();
      continue;
    }
    const std::optional<Done> done = done_of(event.get());
    if (done.has_value() && done->op == op) {
      if (done->status != SEREUS_OK && done->status != SEREUS_E_CANCELLED) {
        throw status_failure("watch the store", done->status, done->detail);
      }
      break;
    }
    const sereus_store_change* change = sereus_event_store_change(event.get());
    if (change != nullptr && change->watch == op && !ending) {
      show_change(session, *change);
      session.out.flush();
      resume = position(change->epoch, change->sequence);
      ++seen;
    }
    const sereus_watch_reset* reset = sereus_event_watch_reset(event.get());
    if (reset != nullptr && reset->watch == op) {
      resume = position(reset->epoch, reset->sequence);
      session.out.result(Json{{"event", "reset"}, {"position", resume}},
                         "The position is gone: read the store; changes follow from " + resume + " on.");
    }
  }
  if (!resume.empty()) session.out.note("Go on with: sereus watch --resume " + resume);
  return kExitOk;
}

// ---- fill ---------------------------------------------------------------------------------------------------------

struct FillOptions {
  uint64_t entries = 1000;
  std::string prefix = "fill/";
  uint64_t size = 100;
  uint64_t start = 0;
};

constexpr uint64_t kFillWindow = 2000;  // puts under way; leaves room in the default event queue

// Repeatable text, different for each entry, that does not compress to nothing.
std::string fill_value(uint64_t index, uint64_t size) {
  std::string value;
  value.reserve(size);
  uint64_t state = index * 0x9E3779B97F4A7C15u + 1;
  while (value.size() < size) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    value += static_cast<char>('a' + (state * 0x2545F4914F6CDD1Du >> 59) % 26);
  }
  return value;
}

std::string fill_key(const std::string& prefix, uint64_t index) {
  std::string digits = std::to_string(index);
  if (digits.size() < 8) digits.insert(0, 8 - digits.size(), '0');
  return prefix + digits;
}

int fill(Session& session, const FillOptions& options) {
  if (options.size > SEREUS_VALUE_SIZE_MAX)
    throw usage_failure("--size is over the limit", "values have at most 1048576 bytes");
  Client& client = session.client(Need::local);
  const sereus_id store = session.store(client);
  const auto begin = std::chrono::steady_clock::now();
  Progress progress(session.out, "Writing", options.entries);
  uint64_t submitted = 0;
  uint64_t written = 0;
  const auto take = [&](const sereus_event* event) {
    const std::optional<Done> done = done_of(event);
    if (!done.has_value()) return;
    if (done->status != SEREUS_OK) throw status_failure("write an entry", done->status, done->detail);
    progress.update(++written);
  };
  client.on_event(take);
  while (written < options.entries) {
    while (submitted < options.entries && submitted - written < kFillWindow) {
      const std::string key = fill_key(options.prefix, options.start + submitted);
      const std::string value = fill_value(options.start + submitted, options.size);
      client.submit("write '" + printable(key) + "'", [&](sereus_id* op) {
        return sereus_store_put(client.node(), store, bytes(key), bytes(value), op);
      });
      ++submitted;
    }
    const Event event = client.next(200);
    if (event) take(event.get());
    if (client.closed()) throw status_failure("go on writing", SEREUS_E_CLOSED);
    if (client.late()) throw status_failure("write all entries", SEREUS_E_TIMEOUT);
  }
  client.on_event(nullptr);
  progress.clear();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const auto rate = static_cast<uint64_t>(static_cast<double>(written) / std::max(seconds, 1e-9));
  std::array<char, 32> shown{};
  std::snprintf(shown.data(), shown.size(), "%.2f", seconds);
  session.out.result(
      Json{{"entries", written}, {"seconds", seconds}, {"per_second", rate}},
      "Wrote " + count(written, "entry") + " in " + shown.data() + " s (" + std::to_string(rate) + " per second).");
  return kExitOk;
}

}  // namespace

void add_entry_commands(CLI::App& app, Session& session) {
  {
    auto [command, o] = add_command<PutOptions>(app, session, kGroupEntries, "put", "Write a value under a key", put);
    add_key(command, *o);
    command->add_option_function<std::string>(
        "VALUE",
        [options = o](const std::string& value) {
          options->value = value;
          options->has_value = true;
        },
        "At most 1 MiB; - reads it from standard input");
    command->add_option("-f,--file", o->file, "Read the value from a file")->type_name("FILE");
  }
  {
    auto [command, o] =
        add_command<GetOptions>(app, session, kGroupEntries, "get", "Print the value of a key, unchanged", get);
    add_key(command, *o);
    command->add_option("-o,--output", o->output, "Write it to a new file")->type_name("FILE");
    command->add_flag("--force", o->force, "Overwrite the file");
  }
  {
    auto [command, o] = add_command<KeyOptions>(app, session, kGroupEntries, "delete", "Delete a key", remove_key);
    add_key(command, *o);
  }
  {
    auto [command, o] = add_command<ListOptions>(app, session, kGroupEntries, "list", "List keys in byte order", list);
    command->add_option("PREFIX", o->prefix, "Only keys that begin with it");
    command->add_flag("-e,--escaped", o->escaped, "PREFIX is written with \\xNN escapes");
    command->add_flag("--values", o->values, "With values");
    command->add_flag("-l,--long", o->long_form, "With size, time, author and heads");
    command->add_option("--limit", o->limit, "At most so many (default: all)")
        ->type_name("N")
        ->check(CLI::NonNegativeNumber);
  }
  {
    auto [command, o] =
        add_command<KeyOptions>(app, session, kGroupEntries, "heads",
                                "Show all heads of a key, the winner first; several: written concurrently", heads);
    add_key(command, *o);
  }
  {
    auto [command, o] =
        add_command<WatchOptions>(app, session, kGroupEntries, "watch", "Print changes as they arrive", watch);
    command->add_option("PREFIX", o->prefix, "Only keys that begin with it");
    command->add_flag("-e,--escaped", o->escaped, "PREFIX is written with \\xNN escapes");
    command->add_flag("--from-start", o->from_start, "The whole history first");
    command->add_option("--resume", o->resume, "Go on after a position that watch printed")
        ->type_name("EPOCH:SEQUENCE");
    command->add_option("--limit", o->limit, "End after so many changes")
        ->type_name("N")
        ->check(CLI::NonNegativeNumber);
  }
  {
    auto [command, o] = add_command<FillOptions>(app, session, kGroupEntries, "fill",
                                                 "Write many small entries, each of its own, to try things", fill);
    command->add_option("N", o->entries, "How many")->required()->check(CLI::PositiveNumber);
    command->add_option("--prefix", o->prefix, "Keys are PREFIX and a number (default: fill/)")->type_name("PREFIX");
    command->add_option("--size", o->size, "Bytes of each value (default: 100)")
        ->type_name("B")
        ->check(CLI::NonNegativeNumber);
    command->add_option("--start", o->start, "The first number (default: 0)")
        ->type_name("N")
        ->check(CLI::NonNegativeNumber);
  }
}

}  // namespace cli
