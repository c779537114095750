// import, export.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "apps/sereus/commands.h"
#include "apps/sereus/files.h"
#include "apps/sereus/folder_tree.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

// A batch becomes one entry: all of it or nothing. Well below the limits of a transaction and of an entry, and small
// enough that the progress moves.
constexpr size_t kBatchOpsMax = 512;
constexpr size_t kBatchBytesMax = 1024 * 1024;
constexpr uint32_t kExportPage = 64;  // with values: 64 MiB at most

struct ImportOptions {
  std::string folder;
  std::string prefix;
  bool skip_large = false;
};

class Importer {
 public:
  Importer(Client& client, sereus_id store) : client_(client), store_(store) {}

  // Takes one pair; writes when the batch is full.
  void add(std::string key, std::string value) {
    if (!pairs_.empty() && (pairs_.size() >= kBatchOpsMax || bytes_ + key.size() + value.size() > kBatchBytesMax))
      flush();
    bytes_ += key.size() + value.size();
    pairs_.emplace_back(std::move(key), std::move(value));
  }

  void flush() {
    if (pairs_.empty()) return;
    std::vector<sereus_write> writes;
    writes.reserve(pairs_.size());
    for (const auto& [key, value] : pairs_) {
      sereus_write write{};
      write.kind = SEREUS_WRITE_PUT;
      write.key = bytes(key);
      write.value = bytes(value);
      writes.push_back(write);
    }
    client_.run("import (" + count(imported, "file") + " were imported before)", [&](sereus_id* op) {
      return sereus_store_write(client_.node(), store_, writes.data(), writes.size(), op);
    });
    imported += pairs_.size();
    imported_bytes += bytes_;
    pairs_.clear();
    bytes_ = 0;
  }

  // Whether the store already says just this.
  bool has(std::string_view key, std::string_view value) const {
    sereus_rows* raw = nullptr;
    const sereus_status status = sereus_store_get(client_.node(), store_, bytes(key), &raw);
    const Rows rows(raw);
    const sereus_head* head = status == SEREUS_OK ? sereus_rows_head(raw, 0) : nullptr;
    return head != nullptr && view(head->value) == value;
  }

  uint64_t imported = 0;
  uint64_t imported_bytes = 0;

 private:
  Client& client_;
  sereus_id store_;
  std::vector<std::pair<std::string, std::string>> pairs_;
  size_t bytes_ = 0;
};

// False when the file cannot be an entry; `why` says so.
bool read_content(const FoundFile& file, std::string* content, Skipped* why, bool skip_large) {
  *why = {file.path.string(), "", true};
  // Not blocking, since a file may have become a pipe since it was found.
  const int fd = ::open(file.path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    why->reason = std::strerror(errno);
    return false;
  }
  const bool whole = read_all(fd, SEREUS_VALUE_SIZE_MAX, content);
  if (!whole && errno == EFBIG) {
    struct stat there {};
    ::fstat(fd, &there);
    why->reason = human_size(static_cast<uint64_t>(there.st_size)) + " are over the limit of 1 MiB for a value";
    why->is_failure = !skip_large;
  } else if (!whole) {
    why->reason = std::strerror(errno);
  }
  ::close(fd);
  return whole;
}

void report(Session& session, const Skipped& skipped) {
  const std::string text = "skipped " + printable(skipped.path) + ": " + skipped.reason;
  if (session.out.json) {
    Json json;
    set_bytes(json, "skipped", skipped.path);
    json["reason"] = skipped.reason;
    json["failure"] = skipped.is_failure;
    session.out.object(json);
  } else if (skipped.is_failure || !session.out.quiet) {
    std::fprintf(stderr, "sereus: %s\n", text.c_str());
  }
}

int import_folder(Session& session, const ImportOptions& options) {
  std::error_code error;
  const std::filesystem::path folder(options.folder);
  if (!std::filesystem::is_directory(folder, error)) {
    throw Failure("'" + printable(options.folder) + "' is no folder",
                  "name a folder; `sereus put KEY --file FILE` takes one file");
  }
  std::vector<Skipped> skipped;
  const std::vector<FoundFile> files = find_files(folder, session.data(), &skipped);
  Client& client = session.client(Need::local);
  Importer importer(client, session.store(client));
  Progress progress(session.out, "Importing", files.size());
  uint64_t unchanged = 0;
  uint64_t seen = 0;
  for (const FoundFile& file : files) {
    progress.update(seen++);
    const std::string key = options.prefix + file.key;
    std::string content;
    Skipped why;
    if (key.size() > SEREUS_KEY_SIZE_MAX) {
      skipped.push_back({file.path.string(), "its path is over the limit of 4096 bytes for a key", true});
    } else if (!read_content(file, &content, &why, options.skip_large)) {
      skipped.push_back(std::move(why));
    } else if (importer.has(key, content)) {
      ++unchanged;
    } else {
      importer.add(key, std::move(content));
    }
  }
  importer.flush();
  progress.clear();
  uint64_t failures = 0;
  for (const Skipped& one : skipped) {
    report(session, one);
    failures += one.is_failure ? 1 : 0;
  }
  session.out.result(Json{{"imported", importer.imported},
                          {"unchanged", unchanged},
                          {"skipped", skipped.size()},
                          {"failures", failures},
                          {"bytes", importer.imported_bytes}},
                     "Imported " + count(importer.imported, "file") + " (" + human_size(importer.imported_bytes) + ")" +
                         (unchanged == 0 ? "" : ", " + std::to_string(unchanged) + " unchanged") +
                         (skipped.empty() ? "" : ", " + std::to_string(skipped.size()) + " skipped") + ".");
  return failures == 0 ? kExitOk : kExitFailure;
}

struct ExportOptions {
  std::string folder;
  std::string prefix;
  bool force = false;
};

int export_folder(Session& session, const ExportOptions& options) {
  Client& client = session.client(Need::local);
  const sereus_id store = session.store(client);
  TargetFolder target(options.folder);
  Progress progress(session.out, "Exporting", 0);
  std::vector<Skipped> skipped;
  std::string after;
  uint64_t written = 0;
  uint64_t unchanged = 0;
  uint64_t bytes_written = 0;
  for (size_t size = kExportPage; size == kExportPage;) {
    sereus_rows* raw = nullptr;
    check("read the store", sereus_store_list(client.node(), store, bytes(options.prefix), bytes(after), kExportPage,
                                              SEREUS_LIST_VALUES, &raw));
    const Rows rows(raw);
    size = sereus_rows_count(raw);
    for (size_t i = 0; i < size; ++i) {
      const sereus_item& item = *sereus_rows_item(raw, i);
      after = view(item.key);
      const std::string_view path = view(item.key).substr(options.prefix.size());
      std::string reason = unsafe_path(path);
      if (reason.empty()) {
        const auto outcome = target.write(path, view(item.value), options.force, &reason);
        written += outcome == TargetFolder::Outcome::written ? 1 : 0;
        unchanged += outcome == TargetFolder::Outcome::same ? 1 : 0;
        if (outcome == TargetFolder::Outcome::written) bytes_written += item.value.size;
      }
      if (!reason.empty()) skipped.push_back({std::string(view(item.key)), reason, true});
      const uint64_t done = written + unchanged + skipped.size();
      progress.update(done, done + (size == kExportPage ? 1 : 0));
    }
  }
  progress.clear();
  for (const Skipped& one : skipped) report(session, one);
  session.out.result(
      Json{{"exported", written}, {"unchanged", unchanged}, {"skipped", skipped.size()}, {"bytes", bytes_written}},
      "Exported " + count(written, "file") + " (" + human_size(bytes_written) + ")" +
          (unchanged == 0 ? "" : ", " + std::to_string(unchanged) + " unchanged") +
          (skipped.empty() ? "" : ", " + std::to_string(skipped.size()) + " skipped") + ".");
  return skipped.empty() ? kExitOk : kExitFailure;
}

}  // namespace

void add_import_commands(CLI::App& app, Session& session) {
  {
    auto [command, o] = add_command<ImportOptions>(app, session, kGroupEntries, "import",
                                                   "Write every file of a folder: path -> content", import_folder);
    command->add_option("FOLDER", o->folder, "Read recursively; symbolic links are not followed")->required();
    command->add_option("--prefix", o->prefix, "Put before each path")->type_name("PREFIX");
    command->add_flag("--skip-large", o->skip_large, "Files over 1 MiB are no failure");
  }
  {
    auto [command, o] =
        add_command<ExportOptions>(app, session, kGroupEntries, "export",
                                   "Write every key that is a safe path to a file of a folder", export_folder);
    command->add_option("FOLDER", o->folder, "Made when missing")->required();
    command->add_option("--prefix", o->prefix, "Only keys that begin with it; it is taken off")->type_name("PREFIX");
    command->add_flag("--force", o->force, "Replace files with other content");
  }
}

}  // namespace cli
