#include "apps/sereus/net_services.h"

#include <algorithm>

#include "apps/sereus/text.h"

namespace cli {
namespace {

constexpr size_t kBlock = 256u << 10;
constexpr size_t kWritesAhead = 3;  // of kBlock each: below what a stream lets wait
constexpr size_t kPerfHead = 8;

// Byte number `at` of what is sent: no two blocks are alike.
char pattern(uint64_t at, uint32_t salt) { return static_cast<char>(at * 31 + at / 251 + salt * 17); }

void must(const sereus_done& done, const char* doing) {
  if (done.status != SEREUS_OK) throw status_failure(doing, done.status, text(done.detail));
}

}  // namespace

// ---- Serving ----------------------------------------------------------------------------------------------------------

void NetServices::serve() {
  peer_.serve(kEchoProtocol);
  peer_.serve(kPerfProtocol);
}

bool NetServices::on_event(const sereus_event* event) {
  if (const auto* opened = sereus_event_stream(event)) {
    streams_[opened->stream].perf = text(opened->protocol) == kPerfProtocol;
    pump(opened->stream);
    return true;
  }
  if (const auto* closed = sereus_event_stream_closed(event)) return streams_.erase(closed->stream) > 0;
  return false;
}

void NetServices::pump(sereus_id id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  if (stream.finished && stream.writing == 0) {
    streams_.erase(found);
    return;
  }
  if (!stream.reading && !stream.end_read && stream.writing < kWritesAhead) {
    stream.reading = true;
    peer_.read(id, [this, id](const sereus_done& done) { on_read(id, done); });
  }
  if (stream.perf && stream.end_read) pump_perf(id, stream);
}

void NetServices::on_read(sereus_id id, const sereus_done& done) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  if (done.status != SEREUS_OK) {
    streams_.erase(found);
    return;
  }
  stream.reading = false;
  stream.end_read = done.finished != 0;
  const std::string_view data = view(done.data);
  if (!stream.perf) {
    if (!data.empty() || stream.end_read) write(id, stream, data, stream.end_read);
  } else {
    stream.head += data.substr(0, kPerfHead - stream.head.size());
    if (stream.end_read) {
      for (const char c : stream.head) stream.left = stream.left << 8 | static_cast<uint8_t>(c);
      if (stream.head.size() < kPerfHead) stream.left = 0;
    }
  }
  pump(id);
}

void NetServices::pump_perf(sereus_id id, Stream& stream) {
  static const std::string kBytes(kBlock, '\0');
  while (!stream.finished && stream.writing < kWritesAhead) {
    const size_t size = static_cast<size_t>(std::min<uint64_t>(stream.left, kBlock));
    stream.left -= size;
    write(id, stream, std::string_view(kBytes).substr(0, size), stream.left == 0);
  }
}

void NetServices::write(sereus_id id, Stream& stream, std::string_view data, bool finish) {
  ++stream.writing;
  stream.finished = finish;
  peer_.write(id, data, finish, [this, id](const sereus_done& done) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    --found->second.writing;
    if (done.status == SEREUS_OK) return pump(id);
    streams_.erase(found);
  });
}

// ---- Echo -------------------------------------------------------------------------------------------------------------

void EchoClient::start() {
  send();
  receive();
}

void EchoClient::on_event(const sereus_event* event) {
  const auto* closed = sereus_event_stream_closed(event);
  if (closed == nullptr || closed->stream != stream_ || ended_) return;
  throw status_failure("finish the echo", closed->status, text(closed->detail));
}

void EchoClient::send() {
  while (!finished_ && writing_ < kWritesAhead) {
    std::string block(static_cast<size_t>(std::min<uint64_t>(kBlock, total_ - sent_)), '\0');
    for (size_t i = 0; i < block.size(); ++i) block[i] = pattern(sent_ + i, salt_);
    sent_ += block.size();
    finished_ = sent_ == total_;
    ++writing_;
    peer_.write(stream_, block, finished_, [this](const sereus_done& done) {
      must(done, "send to the echo");
      --writing_;
      send();
    });
  }
}

void EchoClient::receive() {
  peer_.read(stream_, [this](const sereus_done& done) {
    must(done, "read the echo");
    const std::string_view data = view(done.data);
    for (size_t i = 0; i < data.size(); ++i) {
      if (data[i] == pattern(received_ + i, salt_)) continue;
      throw Failure("the echo differs at byte " + std::to_string(received_ + i),
                    "the other side changed what was sent");
    }
    received_ += data.size();
    ended_ = done.finished != 0;
    if (ended_ && received_ != total_) {
      throw Failure("the echo ended after " + std::to_string(received_) + " of " + std::to_string(total_) + " bytes",
                    "the other side stopped early");
    }
    if (!ended_) receive();
  });
}

// ---- Perf -------------------------------------------------------------------------------------------------------------

PerfClient::Result PerfClient::run(const std::function<void(uint64_t)>& progress) {
  block_.assign(kBlock, '\0');
  std::string head;
  for (size_t i = 0; i < kPerfHead; ++i) head += static_cast<char>(down_ >> (8 * (kPerfHead - 1 - i)));
  const auto begin = Clock::now();
  ++writing_;
  finished_ = up_ == 0;
  peer_.write(stream_, head, finished_, [this](const sereus_done& done) {
    must(done, "send");
    --writing_;
    send();
  });
  receive();
  while (!ended_) {
    peer_.turn();
    progress(sent_ + received_);
  }
  const auto end = Clock::now();
  // The upload is over when the other side has it all: with its first byte or its end.
  const auto up_end = down_ > 0 ? first_byte_ : end;
  Result result;
  result.up_seconds = std::chrono::duration<double>(up_end - begin).count();
  result.down_seconds = std::chrono::duration<double>(end - (up_ > 0 ? up_end : begin)).count();
  return result;
}

void PerfClient::send() {
  while (!finished_ && writing_ < kWritesAhead) {
    const size_t size = static_cast<size_t>(std::min<uint64_t>(kBlock, up_ - sent_));
    sent_ += size;
    finished_ = sent_ == up_;
    ++writing_;
    peer_.write(stream_, std::string_view(block_).substr(0, size), finished_, [this](const sereus_done& done) {
      must(done, "send");
      --writing_;
      send();
    });
  }
}

void PerfClient::receive() {
  peer_.read(stream_, [this](const sereus_done& done) {
    must(done, "read");
    if (received_ == 0 && done.data.size > 0) first_byte_ = Clock::now();
    received_ += done.data.size;
    ended_ = done.finished != 0;
    if (ended_ && received_ != down_) {
      throw Failure("the other side sent " + std::to_string(received_) + " of " + std::to_string(down_) + " bytes",
                    "it may not speak /perf/1.0.0 as it should");
    }
    if (!ended_) receive();
  });
}

}  // namespace cli
