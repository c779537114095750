// Names by the system's resolver: numbers and "localhost" need no network, and TXT records come from a name server of the test's.
#include "drivers/posix/posix_resolver.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

namespace sereus::posix {
namespace {

// Answers every question over UDP with the records it was given, or that there is no such name.
class NameServer {
 public:
  explicit NameServer(std::vector<std::vector<std::string>> records)
      : socket_(socket(AF_INET, SOCK_DGRAM, 0)), records_(std::move(records)) {
    sockaddr_in local{};
    local.sin_family = AF_INET;
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&local), sizeof local), 0);
    socklen_t size = sizeof local;
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&local), &size), 0);
    endpoint = IpEndpoint::loopback_v4(ntohs(local.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~NameServer() {
    // A UDP socket that nobody is connected to has nothing to shut down: a datagram without a question ends it.
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(endpoint.port);
    EXPECT_EQ(sendto(socket_, "", 0, 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    thread_.join();
    close(socket_);
  }
  IpEndpoint endpoint;

 private:
  static constexpr size_t kHeader = 12;  // RFC 1035 section 4.1.1
  void serve() {
    for (;;) {
      Bytes question(512);
      sockaddr_in from{};
      socklen_t from_size = sizeof from;
      const ssize_t size =
          recvfrom(socket_, question.data(), question.size(), 0, reinterpret_cast<sockaddr*>(&from), &from_size);
      if (size <= 0) return;
      question.resize(static_cast<size_t>(size));
      const Bytes reply = answer(question);
      sendto(socket_, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), from_size);
    }
  }
  Bytes answer(const Bytes& question) const {
    size_t end = kHeader;
    while (question.at(end) != 0) end += question[end] + 1;
    end += 5;  // the root's length, type and class
    Bytes out(question.begin(), question.begin() + static_cast<ptrdiff_t>(end));
    out[2] = 0x81;
    out[3] = records_.empty() ? 0x83 : 0x80;  // NXDOMAIN
    out[6] = 0;
    out[7] = static_cast<uint8_t>(records_.size());
    out[8] = out[9] = out[10] = out[11] = 0;
    for (const auto& strings : records_) {
      Bytes data;
      for (const std::string& text : strings) {
        data.push_back(static_cast<uint8_t>(text.size()));
        append(data, to_bytes(text));
      }
      append(out, Bytes{0xc0, kHeader, 0, 16, 0, 1, 0, 0, 0, 60});
      out.push_back(static_cast<uint8_t>(data.size() >> 8));
      out.push_back(static_cast<uint8_t>(data.size()));
      append(out, data);
    }
    return out;
  }
  const int socket_;
  const std::vector<std::vector<std::string>> records_;
  std::thread thread_;
};

class PosixResolverTest : public testing::Test {
 protected:
  Resolver::Answer wait() { return wait(resolver); }
  Resolver::Answer wait(PosixResolver& asked) {
    for (;;) {
      if (auto answer = asked.next_answer()) return std::move(*answer);
      std::unique_lock<std::mutex> lock(mutex);
      woken.wait(lock, [this] { return std::exchange(wakes, 0) > 0; });
    }
  }
  // Called under the lock of the resolver, so it may not be asked for answers under ours.
  void wake() {
    const std::lock_guard<std::mutex> lock(mutex);
    ++wakes;
    woken.notify_one();
  }
  std::mutex mutex;
  std::condition_variable woken;
  int wakes = 0;
  PosixResolver resolver{[this] { wake(); }};
};

TEST_F(PosixResolverTest, AddressesOfAFamily) {
  const auto v4 = resolver.resolve("127.0.0.1", NameFamily::v4);
  ASSERT_TRUE(v4.ok());
  auto answer = wait();
  EXPECT_EQ(answer.query, *v4);
  ASSERT_TRUE(answer.addresses.ok());
  EXPECT_EQ(*answer.addresses, std::vector<IpEndpoint>{*parse_ip("127.0.0.1", 0)});
  ASSERT_TRUE(resolver.resolve("::1", NameFamily::v6).ok());
  answer = wait();
  ASSERT_TRUE(answer.addresses.ok());
  EXPECT_EQ(*answer.addresses, std::vector<IpEndpoint>{*parse_ip("::1", 0)});
}

TEST_F(PosixResolverTest, WhatIsNotThereIsSaid) {
  ASSERT_TRUE(resolver.resolve("::1", NameFamily::v4).ok());
  EXPECT_EQ(wait().addresses.code(), Code::not_found);
}

TEST_F(PosixResolverTest, TextsOfAName) {
  const NameServer server({{"dnsaddr=/ip4/198.51.100.1", "/tcp/4001"}, {"v=spf1 -all"}, {""}});
  PosixResolver asker([this] { wake(); }, server.endpoint);
  const auto query = asker.resolve_texts("_dnsaddr.bootstrap.example");
  ASSERT_TRUE(query.ok());
  const auto answer = wait(asker);
  EXPECT_EQ(answer.query, *query);
  EXPECT_TRUE(answer.addresses.ok());
  EXPECT_EQ(answer.texts, (std::vector<std::string>{"dnsaddr=/ip4/198.51.100.1/tcp/4001", "v=spf1 -all", ""}));
}

TEST_F(PosixResolverTest, ANameWithoutTexts) {
  const NameServer server({});
  PosixResolver asker([this] { wake(); }, server.endpoint);
  ASSERT_TRUE(asker.resolve_texts("_dnsaddr.nowhere.example").ok());
  EXPECT_EQ(wait(asker).addresses.code(), Code::not_found);
}

TEST_F(PosixResolverTest, CancelledOnesAreNotAnswered) {
  const auto first = resolver.resolve("127.0.0.1", NameFamily::any);
  resolver.cancel(*first);
  resolver.cancel(77);
  const auto second = resolver.resolve("127.0.0.2", NameFamily::any);
  EXPECT_EQ(wait().query, *second);
}

}  // namespace
}  // namespace sereus::posix
