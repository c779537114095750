// create-store, list-stores, use, delete-store, drop-store, verify.
#include "apps/sereus/commands.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

struct StoreName {
  std::string name;
};

// The row of one store in `rows`; throws NOT_FOUND.
const sereus_store_info& row_of(const Rows& rows, sereus_id store) {
  for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
    const sereus_store_info* info = sereus_rows_store(rows.get(), i);
    if (info->store == store) return *info;
  }
  throw status_failure("find the store", SEREUS_E_NOT_FOUND);
}

std::string shown_name(const sereus_store_info& info) {
  return "'" + printable(text(info.name)) + "' (" + text(info.uuid).substr(0, 8) + ")";
}

int create_store(Session& session, const StoreName& options) {
  Client& client = session.client(Need::local);
  const Done done = client.run("create the store", [&](sereus_id* op) {
    return sereus_store_create(client.node(), 0, options.name.c_str(), op);
  });
  const Rows rows = store_rows(client);
  const sereus_store_info& info = row_of(rows, done.store);
  session.out.result(Json{{"store", text(info.uuid)}, {"name", text(info.name)}},
                     "Created the store " + shown_name(info) + ".");
  return kExitOk;
}

struct ListStoresOptions {
  bool names = false;
};

int list_stores(Session& session, const ListStoresOptions& options) {
  Client& client = session.client(Need::local);
  const std::string chosen = session.settings().value("store", std::string());
  const Rows rows = store_rows(client);
  Table table({"", "NAME", "ID", "STATE", "ENTRIES", "KEYS", "CONFLICTS", "AUTHORS", "SIZE", "DIGEST"});
  for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
    const sereus_store_info& info = *sereus_rows_store(rows.get(), i);
    const bool is_default = text(info.uuid) == chosen;
    if (options.names) {
      if (info.is_root == 0) session.out.line(printable(text(info.name)));
      continue;
    }
    Json json = to_json(info);
    json["default"] = is_default;
    session.out.object(json);
    table.row({is_default ? "*" : "", info.is_root != 0 ? "(root)" : printable(text(info.name)),
               text(info.uuid).substr(0, 8), state_name(info.state), std::to_string(info.entries),
               std::to_string(info.keys), std::to_string(info.conflicts), std::to_string(info.authors),
               human_size(info.log_bytes), hex(view(info.digest)).substr(0, 12)});
  }
  if (options.names) return kExitOk;
  if (!table.empty()) {
    session.out.line(table.text());
  } else {
    session.out.note("There is no store yet: make one with `sereus create-store NAME`, or `sereus join` one.");
  }
  return kExitOk;
}

int use(Session& session, const StoreName& options) {
  Client& client = session.client(Need::local);
  const sereus_id store = session.store(client, options.name);
  const Rows rows = store_rows(client);
  const sereus_store_info& info = row_of(rows, store);
  session.set_setting("store", text(info.uuid));
  session.out.result(Json{{"store", text(info.uuid)}, {"name", text(info.name)}},
                     "Commands now use the store " + shown_name(info) + " unless --store names another.");
  return kExitOk;
}

int delete_store(Session& session, const StoreName& options) {
  Client& client = session.client(Need::local);
  const sereus_id store = session.store(client, options.name);
  const Rows rows = store_rows(client);
  const sereus_store_info& info = row_of(rows, store);
  client.run("delete the store " + shown_name(info),
             [&](sereus_id* op) { return sereus_store_delete(client.node(), store, op); });
  session.out.result(Json{{"store", text(info.uuid)}, {"name", text(info.name)}, {"state", "archived"}},
                     "The store " + shown_name(info) + " is deleted for all; what is here stays readable until " +
                         "`sereus drop-store`.");
  return kExitOk;
}

int drop_store(Session& session, const StoreName& options) {
  Client& client = session.client(Need::local);
  const sereus_id store = session.store(client, options.name);
  const Rows rows = store_rows(client);
  const sereus_store_info& info = row_of(rows, store);
  client.run("drop the store " + shown_name(info),
             [&](sereus_id* op) { return sereus_store_drop(client.node(), store, op); });
  session.out.result(Json{{"store", text(info.uuid)}, {"name", text(info.name)}, {"dropped", true}},
                     "The local data of the store " + shown_name(info) + " was removed.");
  return kExitOk;
}

// True when the log of the store is sound.
bool verify_one(Session& session, Client& client, const sereus_store_info& info) {
  const std::string name = info.is_root != 0 ? "(root)" : printable(text(info.name));
  Json json{{"store", text(info.uuid)},
            {"name", text(info.name)},
            {"ok", true},
            {"entries", info.entries},
            {"forks", info.forks}};
  std::string problem;
  if (info.state == SEREUS_STORE_DAMAGED) {
    problem = text(info.detail);
    json["status"] = sereus_status_name(SEREUS_E_CORRUPT);
  } else {
    const sereus_id op = client.submit(
        "verify " + name, [&](sereus_id* id) { return sereus_store_verify(client.node(), info.store, id); });
    const Done done = client.wait(op, "verify " + name);
    if (done.status != SEREUS_OK) {
      problem = done.detail.empty() ? sereus_status_meaning(done.status) : done.detail;
      json["status"] = sereus_status_name(done.status);
    }
  }
  json["ok"] = problem.empty();
  if (!problem.empty()) json["detail"] = problem;
  const std::string sound = count(info.entries, "entry") + ", all hashes, chains and signatures hold" +
                            (info.forks == 0 ? "" : "; " + count(info.forks, "author") + " forked");
  session.out.result(json, name + ": " + (problem.empty() ? sound : "DAMAGED: " + printable(problem)));
  return problem.empty();
}

int verify(Session& session, const StoreName& options) {
  Client& client = session.client(Need::local);
  const bool one = !options.name.empty() || !session.globals.store.empty();
  const sereus_id wanted = one ? session.store(client, options.name) : 0;
  const Rows rows = store_rows(client);
  uint64_t damaged = 0;
  for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
    const sereus_store_info& info = *sereus_rows_store(rows.get(), i);
    if (!one || info.store == wanted) damaged += verify_one(session, client, info) ? 0 : 1;
  }
  if (damaged == 0) return kExitOk;
  session.out.flush();
  throw Failure(count(damaged, "store") + (damaged == 1 ? " is" : " are") + " damaged",
                "sync it anew from a peer, or restore the data folder from a copy",
                sereus_status_name(SEREUS_E_CORRUPT));
}

}  // namespace

void add_store_commands(CLI::App& app, Session& session) {
  {
    auto [command, o] =
        add_command<StoreName>(app, session, kGroupStores, "create-store", "Make a replicated store", create_store);
    command->add_option("NAME", o->name, "A name for people; it need not be unique")->required();
  }
  {
    auto [command, o] =
        add_command<ListStoresOptions>(app, session, kGroupStores, "list-stores", "Show all stores", list_stores);
    command->add_flag("--names", o->names, "Names only, one a line");
  }
  {
    auto [command, o] =
        add_command<StoreName>(app, session, kGroupStores, "use", "Choose the store that other commands use", use);
    command->add_option("STORE", o->name, "Name, id or beginning of an id")->required();
  }
  {
    auto [command, o] =
        add_command<StoreName>(app, session, kGroupStores, "delete-store",
                               "Declare a store deleted for all; replicas stay, read-only", delete_store);
    command->add_option("STORE", o->name, "Name, id or beginning of an id")->required();
  }
  {
    auto [command, o] = add_command<StoreName>(app, session, kGroupStores, "drop-store",
                                               "Remove the local data of a deleted store", drop_store);
    command->add_option("STORE", o->name, "Name, id or beginning of an id")->required();
  }
  {
    auto [command, o] = add_command<StoreName>(app, session, kGroupStores, "verify",
                                               "Read the whole log of a store (default: of all) and check it", verify);
    command->add_option("STORE", o->name, "Name, id or beginning of an id");
  }
}

}  // namespace cli
