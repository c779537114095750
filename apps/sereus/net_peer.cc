#include "apps/sereus/net_peer.h"

#include <array>

#include "apps/sereus/signals.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

constexpr uint32_t kReadSize = 256u << 10;

sereus_node* open_in_memory(Session& session) {
  sereus_config config = SEREUS_INIT(sereus_config);
  config.log = log_to_stderr;
  config.log_user = &session.out;
  config.log_level = session.log_level();
  std::array<char, 512> detail{};
  sereus_node* node = nullptr;
  const sereus_status status = sereus_open_detailed(&config, &node, detail.data(), detail.size());
  if (status != SEREUS_OK) throw status_failure("start a node in memory", status, detail.data());
  return node;
}

}  // namespace

NetPeer::NetPeer(Session& session, const HostOptions& options, const std::vector<std::string>& listen)
    : client_(open_in_memory(session), false) {
  client_.on_event([this](const sereus_event* event) { take(event); });
  if (session.globals.timeout_s > 0) {
    client_.set_deadline(Client::Clock::now() + std::chrono::milliseconds(int64_t(session.globals.timeout_s * 1000)));
  }
  std::vector<const char*> addresses;
  addresses.reserve(listen.size());
  for (const std::string& address : listen) addresses.push_back(address.c_str());
  sereus_host_config config = SEREUS_INIT(sereus_host_config);
  config.listen = addresses.empty() ? nullptr : addresses.data();
  config.listen_count = addresses.size();
  const HostSettings settings(options);
  config.settings = settings.get();
  const Done done = client_.run(listen.empty() ? "make a host" : "listen",
                                [&](sereus_id* op) { return sereus_host_create(node(), &config, op); });
  host_ = done.host;
  peer_ = done.data;
}

std::vector<std::string> NetPeer::addresses() {
  sereus_rows* raw = nullptr;
  check("list the addresses", sereus_hosts(node(), &raw));
  const Rows rows(raw);
  std::vector<std::string> out;
  for (size_t i = 0; i < sereus_rows_count(raw); ++i) {
    const sereus_host_info& info = *sereus_rows_host(raw, i);
    if (info.host != host_) continue;
    for (const auto& line : lines_to_json(info.addresses)) out.push_back(line.get<std::string>());
  }
  return out;
}

Done NetPeer::run(const std::string& doing, const Client::Submit& submit) { return client_.run(doing, submit); }

NetPeer::Connection NetPeer::dial(const std::string& address) {
  const Done done = run("reach " + printable(address),
                        [&](sereus_id* op) { return sereus_dial(node(), host_, nullptr, address.c_str(), op); });
  return {done.connection, done.data};
}

sereus_id NetPeer::open_stream(sereus_id connection, const std::string& protocol) {
  return run("open a stream for " + protocol,
             [&](sereus_id* op) { return sereus_stream_open(node(), connection, protocol.c_str(), op); })
      .stream;
}

void NetPeer::serve(const std::string& protocol) {
  run("serve " + protocol, [&](sereus_id* op) { return sereus_protocol_add(node(), host_, protocol.c_str(), op); });
}

void NetPeer::start(const std::string& doing, const Client::Submit& submit, Answer answer) {
  answers_[client_.submit(doing, submit)] = std::move(answer);
}

void NetPeer::read(sereus_id stream, Answer answer) {
  start(
      "read", [&](sereus_id* op) { return sereus_stream_read(node(), stream, kReadSize, op); }, std::move(answer));
}

void NetPeer::write(sereus_id stream, std::string_view data, bool finish, Answer answer) {
  const uint32_t flags = finish ? SEREUS_STREAM_FINISH : 0;
  start(
      "write", [&](sereus_id* op) { return sereus_stream_write(node(), stream, bytes(data), flags, op); },
      std::move(answer));
}

void NetPeer::take(const sereus_event* event) {
  const sereus_done* done = sereus_event_done(event);
  if (done == nullptr) {
    if (on_event_) on_event_(event);
    return;
  }
  const auto found = answers_.find(done->op);
  if (found == answers_.end()) return;
  const Answer answer = std::move(found->second);
  answers_.erase(found);
  if (answer) answer(*done);
}

void NetPeer::turn(uint32_t timeout_ms) {
  const Event event = client_.next(timeout_ms);
  if (event) take(event.get());
  if (client_.closed()) throw status_failure("go on", SEREUS_E_CLOSED);
  if (client_.late()) throw status_failure("finish in time", SEREUS_E_TIMEOUT);
}

}  // namespace cli
