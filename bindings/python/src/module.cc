// sereus._sereus: the C ABI for Python, one function for one function. What makes it Python is in sereus/*.py.
//
// The GIL: it is released in every call of the library and in the destructor, and never taken on a thread of the library.
// The wake callback writes a byte, the log callback fills a list of this file; Python takes both when it comes by.
#include <fcntl.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "host_settings.h"
#include "tuples.h"

namespace {

constexpr size_t kLogLinesMax = 1000;

unsigned long g_main_thread = 0;

bool is_finalizing() {
#if PY_VERSION_HEX >= 0x030d0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

// Runs `call` without the GIL. It must not throw. A daemon thread that comes back while the interpreter ends stays here for
// good, as Python 3.14 has it: before, PyEval_RestoreThread() would unwind C++ frames with pthread_exit().
template <typename Call>
auto without_gil(Call&& call) {
  PyThreadState* const state = PyEval_SaveThread();
  const auto take_back = [state] {
    while (is_finalizing() && PyThread_get_thread_ident() != g_main_thread) pause();
    PyEval_RestoreThread(state);
  };
  if constexpr (std::is_void_v<decltype(call())>) {
    call();
    take_back();
  } else {
    auto result = call();
    take_back();
    return result;
  }
}

// ---- The log -------------------------------------------------------------------------------------------------------

struct LogLine {
  uint32_t level;
  std::string room;
  std::string message;
};

// Lines of all nodes. It is never destroyed, and a node is known by a number: the library may log until long after unref.
class Log {
 public:
  uintptr_t add_node() {
    const std::lock_guard lock(mutex_);
    nodes_[++last_];
    return last_;
  }

  void remove_node(uintptr_t number) {
    const std::lock_guard lock(mutex_);
    nodes_.erase(number);
  }

  // The oldest line makes room for a new one.
  void add(uintptr_t number, uint32_t level, const char* room, const char* message) {
    const std::lock_guard lock(mutex_);
    const auto node = nodes_.find(number);
    if (node == nodes_.end()) return;
    if (node->second.size() >= kLogLinesMax) node->second.pop_front();
    node->second.push_back({level, room == nullptr ? "" : room, message == nullptr ? "" : message});
  }

  std::deque<LogLine> take(uintptr_t number) {
    const std::lock_guard lock(mutex_);
    const auto node = nodes_.find(number);
    return node == nodes_.end() ? std::deque<LogLine>() : std::exchange(node->second, {});
  }

 private:
  std::mutex mutex_;
  std::map<uintptr_t, std::deque<LogLine>> nodes_;
  uintptr_t last_ = 0;
};

Log& node_log() {
  static Log* const log = new Log;
  return *log;
}

void on_log(void* user, uint32_t level, const char* room, const char* message) {
  node_log().add(reinterpret_cast<uintptr_t>(user), level, room, message);
}

void on_wake(void* user) {
  const char byte = 0;
  // A full socket has woken its reader already.
  (void)!send(static_cast<int>(reinterpret_cast<intptr_t>(user)), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// Calls a reading function and turns its rows into a list of tuples.
template <typename Row, typename Read>
py::list read_rows(const Row* (*at)(const sereus_rows*, size_t), Read&& read) {
  sereus_rows* raw = nullptr;
  const sereus_status status = without_gil([&] { return read(&raw); });
  const std::unique_ptr<sereus_rows, decltype(&sereus_rows_free)> rows(raw, &sereus_rows_free);
  check(status);
  py::list list;
  const size_t count = sereus_rows_count(raw);
  for (size_t i = 0; i < count; ++i) {
    if (const Row* row = at(raw, i)) list.append(to_tuple(*row));
  }
  return list;
}

// ---- The node ------------------------------------------------------------------------------------------------------

class Handle {
 public:
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  static std::unique_ptr<Handle> open(const std::optional<std::string>& data_folder, uint32_t flags, uint32_t log_level,
                                      const py::bytes& passphrase,
                                      const std::optional<std::vector<std::string>>& listen,
                                      const std::optional<std::string>& control_socket, uint32_t event_queue_max,
                                      uint32_t operations_max, const std::optional<py::dict>& host) {
    std::unique_ptr<Handle> handle(new Handle);
    const std::vector<const char*> addresses = pointers(listen);
    sereus_config config = SEREUS_INIT(sereus_config);
    config.data_folder = or_null(data_folder);
    config.flags = flags;
    config.log_level = log_level;
    config.log = &on_log;
    config.log_user = reinterpret_cast<void*>(handle->log_);
    config.passphrase = from_bytes(passphrase);
    config.listen = listen ? addresses.data() : nullptr;
    config.listen_count = addresses.size();
    config.control_socket = or_null(control_socket);
    config.event_queue_max = event_queue_max;
    config.operations_max = operations_max;
    const HostSettings settings(host);
    config.host = settings.get();
    char detail[1024] = "";
    const sereus_status status =
        without_gil([&] { return sereus_open_detailed(&config, &handle->node_, detail, sizeof detail); });
    if (status != SEREUS_OK) fail(status, detail);
    return handle;
  }

  static std::unique_ptr<Handle> connect(const std::string& control_socket) {
    std::unique_ptr<Handle> handle(new Handle);
    check(without_gil([&] { return sereus_connect(control_socket.c_str(), &handle->node_); }));
    return handle;
  }

  ~Handle() {
    without_gil([this] {
      if (node_ != nullptr) sereus_on_wake(node_, nullptr, nullptr);
      if (wake_ >= 0) ::close(wake_);
      sereus_unref(node_);
      node_log().remove_node(log_);
    });
  }

  // Wakes by a byte to `fd`; keeps its own copy of it, so that the other end sees the end of file when the handle goes.
  void on_wake_write(int fd) {
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) fail(SEREUS_E_IO, "the wake descriptor cannot be copied");
    check(without_gil([&] {
      const auto status = sereus_on_wake(node_, &on_wake, reinterpret_cast<void*>(static_cast<intptr_t>(copy)));
      if (status != SEREUS_OK) {
        ::close(copy);
      } else {
        if (wake_ >= 0) ::close(wake_);
        wake_ = copy;
      }
      return status;
    }));
  }

  // Appends events to `inbox`: waits for the first, takes what else is there, `max` at most. Answers how many it took;
  // -1 when the queue is at its end.
  int wait(const py::object& inbox, uint32_t timeout_ms, size_t max) {
    std::vector<EventPtr> events;
    events.reserve(max);
    const bool ended = without_gil([&] {
      while (events.size() < max) {
        sereus_event* event = nullptr;
        const sereus_status status =
            events.empty() && timeout_ms != 0 ? sereus_wait(node_, timeout_ms, &event) : sereus_poll(node_, &event);
        if (status != SEREUS_OK) return events.empty();
        if (event == nullptr) return false;
        events.emplace_back(event);
      }
      return false;
    });
    if (ended) return -1;
    const py::object append = inbox.attr("append");
    for (const EventPtr& event : events) {
      py::object tuple = to_tuple(event.get());
      if (!tuple.is_none()) append(std::move(tuple));
    }
    return static_cast<int>(events.size());
  }

  py::list take_log() {
    const std::deque<LogLine> lines = node_log().take(log_);
    py::list list;
    for (const LogLine& line : lines)
      list.append(py::make_tuple(line.level, to_text(line.room), to_text(line.message)));
    return list;
  }

  void close() {
    check(without_gil([&] { return sereus_close(node_); }));
  }

  bool cancel(sereus_id op) {
    return without_gil([&] { return sereus_cancel(node_, op); }) == SEREUS_OK;
  }

  void suspend(uint32_t deadline_ms) {
    check(without_gil([&] { return sereus_suspend(node_, deadline_ms); }));
  }

  void resume() {
    check(without_gil([&] { return sereus_resume(node_); }));
  }

  // ---- Operations: each answers its id

  sereus_id set_online(bool online) {
    return submit([&](sereus_id* op) { return sereus_set_online(node_, online ? 1 : 0, op); });
  }

  sereus_id identity_create(const std::optional<std::string>& name, const py::bytes& passphrase) {
    const sereus_identity_options options = identity_options(name, passphrase);
    return submit([&](sereus_id* op) { return sereus_identity_create(node_, &options, op); });
  }

  sereus_id identity_backup(const py::bytes& passphrase) {
    const sereus_bytes bytes = from_bytes(passphrase);
    return submit([&](sereus_id* op) { return sereus_identity_backup(node_, bytes, op); });
  }

  sereus_id identity_restore(const py::bytes& backup, const py::bytes& passphrase,
                             const std::optional<std::string>& name, const py::bytes& new_passphrase) {
    const sereus_identity_options options = identity_options(name, new_passphrase);
    const sereus_bytes data = from_bytes(backup), opens = from_bytes(passphrase);
    return submit([&](sereus_id* op) { return sereus_identity_restore(node_, data, opens, &options, op); });
  }

  sereus_id passphrase_change(const py::bytes& before, const py::bytes& after) {
    const sereus_bytes from = from_bytes(before), to = from_bytes(after);
    return submit([&](sereus_id* op) { return sereus_passphrase_change(node_, from, to, op); });
  }

  sereus_id erase(const std::string& confirm) {
    return submit([&](sereus_id* op) { return sereus_erase(node_, confirm.c_str(), op); });
  }

  sereus_id store_create(sereus_id root, const std::string& name) {
    return submit([&](sereus_id* op) { return sereus_store_create(node_, root, name.c_str(), op); });
  }

  sereus_id store_open(const std::string& name) {
    return submit([&](sereus_id* store) { return sereus_store_open(node_, name.c_str(), store); });
  }

  sereus_id store_delete(sereus_id store) {
    return submit([&](sereus_id* op) { return sereus_store_delete(node_, store, op); });
  }

  sereus_id store_drop(sereus_id store) {
    return submit([&](sereus_id* op) { return sereus_store_drop(node_, store, op); });
  }

  sereus_id put(sereus_id store, const py::bytes& key, const py::bytes& value) {
    const sereus_bytes k = from_bytes(key), v = from_bytes(value);
    return submit([&](sereus_id* op) { return sereus_store_put(node_, store, k, v, op); });
  }

  sereus_id remove(sereus_id store, const py::bytes& key) {
    const sereus_bytes k = from_bytes(key);
    return submit([&](sereus_id* op) { return sereus_store_remove(node_, store, k, op); });
  }

  // writes: (key, value), with None as value for a removal.
  sereus_id write(sereus_id store, const std::vector<std::pair<py::bytes, std::optional<py::bytes>>>& writes) {
    std::vector<sereus_write> list;
    list.reserve(writes.size());
    for (const auto& [key, value] : writes) {
      list.push_back({value ? SEREUS_WRITE_PUT : SEREUS_WRITE_REMOVE, 0, from_bytes(key),
                      value ? from_bytes(*value) : sereus_bytes{nullptr, 0}});
    }
    return submit([&](sereus_id* op) { return sereus_store_write(node_, store, list.data(), list.size(), op); });
  }

  sereus_id watch(sereus_id store, const py::bytes& prefix, uint64_t epoch, uint64_t sequence) {
    const sereus_bytes p = from_bytes(prefix);
    return submit([&](sereus_id* op) { return sereus_store_watch(node_, store, p, epoch, sequence, op); });
  }

  sereus_id verify(sereus_id store) {
    return submit([&](sereus_id* op) { return sereus_store_verify(node_, store, op); });
  }

  sereus_id invite_create(sereus_id root, uint32_t role, uint32_t uses_max, uint32_t expires_s,
                          const std::optional<std::string>& peer) {
    sereus_invite_options options = SEREUS_INIT(sereus_invite_options);
    options.root = root;
    options.role = role;
    options.uses_max = uses_max;
    options.expires_s = expires_s;
    options.peer = or_null(peer);
    return submit([&](sereus_id* op) { return sereus_invite_create(node_, &options, op); });
  }

  sereus_id invite_revoke(const std::string& invite) {
    return submit([&](sereus_id* op) { return sereus_invite_revoke(node_, invite.c_str(), op); });
  }

  sereus_id join(const std::string& invite) {
    return submit([&](sereus_id* op) { return sereus_join(node_, invite.c_str(), op); });
  }

  sereus_id peer_remove(const std::string& peer) {
    return submit([&](sereus_id* op) { return sereus_peer_remove(node_, peer.c_str(), op); });
  }

  sereus_id peer_add_address(const std::string& peer, const std::string& address) {
    return submit([&](sereus_id* op) { return sereus_peer_add_address(node_, peer.c_str(), address.c_str(), op); });
  }

  sereus_id sync(sereus_id store, const std::optional<std::string>& peer) {
    return submit([&](sereus_id* op) { return sereus_sync(node_, store, or_null(peer), op); });
  }

  sereus_id host_create(const py::bytes& seed, const std::optional<std::vector<std::string>>& listen,
                        const std::optional<py::dict>& given) {
    const HostSettings settings(given);
    const std::vector<const char*> addresses = pointers(listen);
    sereus_host_config config = SEREUS_INIT(sereus_host_config);
    config.seed = from_bytes(seed);
    config.listen = addresses.empty() ? nullptr : addresses.data();
    config.listen_count = addresses.size();
    config.settings = settings.get();
    return submit([&](sereus_id* op) { return sereus_host_create(node_, &config, op); });
  }

  sereus_id host_close(sereus_id host) {
    return submit([&](sereus_id* op) { return sereus_host_close(node_, host, op); });
  }

  sereus_id host_configure(sereus_id host, const std::optional<py::dict>& given) {
    const HostSettings settings(given);
    return submit([&](sereus_id* op) { return sereus_host_configure(node_, host, settings.get(), op); });
  }

  sereus_id peer_protect(sereus_id host, const std::string& peer, const std::string& tag, bool on) {
    return submit(
        [&](sereus_id* op) { return sereus_peer_protect(node_, host, peer.c_str(), tag.c_str(), on ? 1 : 0, op); });
  }

  sereus_id network_changed() {
    return submit([&](sereus_id* op) { return sereus_network_changed(node_, op); });
  }

  sereus_id host_listen(sereus_id host, const std::string& address) {
    return submit([&](sereus_id* op) { return sereus_host_listen(node_, host, address.c_str(), op); });
  }

  sereus_id protocol_add(sereus_id host, const std::string& protocol) {
    return submit([&](sereus_id* op) { return sereus_protocol_add(node_, host, protocol.c_str(), op); });
  }

  sereus_id protocol_remove(sereus_id host, const std::string& protocol) {
    return submit([&](sereus_id* op) { return sereus_protocol_remove(node_, host, protocol.c_str(), op); });
  }

  sereus_id dial(sereus_id host, const std::optional<std::string>& peer, const std::string& addresses) {
    return submit([&](sereus_id* op) { return sereus_dial(node_, host, or_null(peer), addresses.c_str(), op); });
  }

  sereus_id disconnect(sereus_id connection) {
    return submit([&](sereus_id* op) { return sereus_disconnect(node_, connection, op); });
  }

  sereus_id ping(sereus_id connection) {
    return submit([&](sereus_id* op) { return sereus_ping(node_, connection, op); });
  }

  sereus_id identify(sereus_id connection) {
    return submit([&](sereus_id* op) { return sereus_identify(node_, connection, op); });
  }

  sereus_id stream_open(sereus_id connection, const std::string& protocol) {
    return submit([&](sereus_id* op) { return sereus_stream_open(node_, connection, protocol.c_str(), op); });
  }

  sereus_id stream_write(sereus_id stream, const py::bytes& data, bool finish) {
    const sereus_bytes bytes = from_bytes(data);
    const uint32_t flags = finish ? SEREUS_STREAM_FINISH : 0;
    return submit([&](sereus_id* op) { return sereus_stream_write(node_, stream, bytes, flags, op); });
  }

  sereus_id stream_read(sereus_id stream, uint32_t size_max) {
    return submit([&](sereus_id* op) { return sereus_stream_read(node_, stream, size_max, op); });
  }

  sereus_id stream_reset(sereus_id stream) {
    return submit([&](sereus_id* op) { return sereus_stream_reset(node_, stream, op); });
  }

  // ---- Reading

  py::list get(sereus_id store, const py::bytes& key) {
    const sereus_bytes k = from_bytes(key);
    return read_rows(&sereus_rows_head, [&](sereus_rows** out) { return sereus_store_get(node_, store, k, out); });
  }

  py::list heads(sereus_id store, const py::bytes& key) {
    const sereus_bytes k = from_bytes(key);
    return read_rows(&sereus_rows_head, [&](sereus_rows** out) { return sereus_store_heads(node_, store, k, out); });
  }

  py::list list(sereus_id store, const py::bytes& prefix, const py::bytes& after, uint32_t limit, bool values) {
    const sereus_bytes p = from_bytes(prefix), a = from_bytes(after);
    return read_rows(&sereus_rows_item, [&](sereus_rows** out) {
      return sereus_store_list(node_, store, p, a, limit, values ? SEREUS_LIST_VALUES : 0, out);
    });
  }

  py::list state_digest(sereus_id store) {
    return read_rows(&sereus_rows_head,
                     [&](sereus_rows** out) { return sereus_store_state_digest(node_, store, out); });
  }

  py::list info() {
    return read_rows(&sereus_rows_info, [&](sereus_rows** out) { return sereus_info(node_, out); });
  }

  py::list stores() {
    return read_rows(&sereus_rows_store, [&](sereus_rows** out) { return sereus_stores(node_, out); });
  }

  py::list peers() {
    return read_rows(&sereus_rows_peer, [&](sereus_rows** out) { return sereus_peers(node_, out); });
  }

  py::list invites() {
    return read_rows(&sereus_rows_invite, [&](sereus_rows** out) { return sereus_invites(node_, out); });
  }

  py::list hosts() {
    return read_rows(&sereus_rows_host, [&](sereus_rows** out) { return sereus_hosts(node_, out); });
  }

  py::list connections() {
    return read_rows(&sereus_rows_connection, [&](sereus_rows** out) { return sereus_connections(node_, out); });
  }

 private:
  Handle() : log_(node_log().add_node()) {}

  // Borrowed from `texts`.
  static std::vector<const char*> pointers(const std::optional<std::vector<std::string>>& texts) {
    std::vector<const char*> out;
    if (!texts) return out;
    for (const std::string& text : *texts) out.push_back(text.c_str());
    return out;
  }

  static sereus_identity_options identity_options(const std::optional<std::string>& name, const py::bytes& passphrase) {
    sereus_identity_options options = SEREUS_INIT(sereus_identity_options);
    options.name = or_null(name);
    options.passphrase = from_bytes(passphrase);
    return options;
  }

  template <typename Call>
  sereus_id submit(Call&& call) {
    sereus_id op = 0;
    check(without_gil([&] { return call(&op); }));
    return op;
  }

  uintptr_t log_;
  sereus_node* node_ = nullptr;  // until the handle goes: a closed node answers CLOSED
  int wake_ = -1;
};

}  // namespace

PYBIND11_MODULE(_sereus, m) {
  m.doc() = "The C interface of Sereus; see include/sereus.h. Use the package sereus instead.";
  g_main_thread = py::module_::import("threading").attr("main_thread")().attr("ident").cast<unsigned long>();

  m.attr("HEADER_VERSION") = std::to_string(SEREUS_VERSION_MAJOR) + "." + std::to_string(SEREUS_VERSION_MINOR) + "." +
                             std::to_string(SEREUS_VERSION_PATCH);
  m.def("version", [] { return to_text(sereus_version()); });
  m.def("status_name", [](sereus_status status) { return to_text(sereus_status_name(status)); });
  m.def("status_meaning", [](sereus_status status) { return to_text(sereus_status_meaning(status)); });

  py::class_<Handle>(m, "Handle", py::is_final())
      .def_static("open", &Handle::open)
      .def_static("connect", &Handle::connect)
      .def("on_wake_write", &Handle::on_wake_write)
      .def("wait", &Handle::wait)
      .def("take_log", &Handle::take_log)
      .def("close", &Handle::close)
      .def("cancel", &Handle::cancel)
      .def("suspend", &Handle::suspend)
      .def("resume", &Handle::resume)
      .def("set_online", &Handle::set_online)
      .def("identity_create", &Handle::identity_create)
      .def("identity_backup", &Handle::identity_backup)
      .def("identity_restore", &Handle::identity_restore)
      .def("passphrase_change", &Handle::passphrase_change)
      .def("erase", &Handle::erase)
      .def("store_create", &Handle::store_create)
      .def("store_open", &Handle::store_open)
      .def("store_delete", &Handle::store_delete)
      .def("store_drop", &Handle::store_drop)
      .def("put", &Handle::put)
      .def("remove", &Handle::remove)
      .def("write", &Handle::write)
      .def("watch", &Handle::watch)
      .def("verify", &Handle::verify)
      .def("invite_create", &Handle::invite_create)
      .def("invite_revoke", &Handle::invite_revoke)
      .def("join", &Handle::join)
      .def("peer_remove", &Handle::peer_remove)
      .def("peer_add_address", &Handle::peer_add_address)
      .def("sync", &Handle::sync)
      .def("get", &Handle::get)
      .def("heads", &Handle::heads)
      .def("list", &Handle::list)
      .def("state_digest", &Handle::state_digest)
      .def("info", &Handle::info)
      .def("stores", &Handle::stores)
      .def("peers", &Handle::peers)
      .def("invites", &Handle::invites)
      .def("host_create", &Handle::host_create)
      .def("host_close", &Handle::host_close)
      .def("host_configure", &Handle::host_configure)
      .def("peer_protect", &Handle::peer_protect)
      .def("network_changed", &Handle::network_changed)
      .def("host_listen", &Handle::host_listen)
      .def("protocol_add", &Handle::protocol_add)
      .def("protocol_remove", &Handle::protocol_remove)
      .def("dial", &Handle::dial)
      .def("disconnect", &Handle::disconnect)
      .def("ping", &Handle::ping)
      .def("identify", &Handle::identify)
      .def("stream_open", &Handle::stream_open)
      .def("stream_write", &Handle::stream_write)
      .def("stream_read", &Handle::stream_read)
      .def("stream_reset", &Handle::stream_reset)
      .def("hosts", &Handle::hosts)
      .def("connections", &Handle::connections);
}
