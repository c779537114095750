// Secure WebSocket over real sockets, with its certificate in files that change.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "core/base/log.h"
#include "core/crypto/init.h"
#include "core/net/limits.h"
#include "drivers/posix/posix_certificate.h"
#include "drivers/posix/posix_hosts.h"
#include "drivers/posix/posix_random.h"
#include "drivers/posix/posix_times.h"
#include "tests/support/web_certificate.h"

namespace sereus::posix {
namespace {

using net::Connected;
using net::DialFailed;

class Lines final : public Logger {
 public:
  bool enabled(LogLevel) const override { return true; }
  void write(LogLevel level, std::string_view, std::string_view message) override {
    if (level == LogLevel::error) errors.emplace_back(message);
  }
  std::vector<std::string> errors;
};

class SecureWebSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "sereus-wss-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder = name;
    auto made = PosixLoop::make();
    ASSERT_TRUE(made.ok());
    loop = std::move(*made);
    write("ca.pem", authority.anchor());
  }
  void TearDown() override {
    hosts.clear();
    std::filesystem::remove_all(folder);
  }
  std::string path(const std::string& name) const { return folder + "/" + name; }
  // As certificate tools do it: a new file in the place of the old.
  void write(const std::string& name, const std::string& text) {
    std::ofstream(path(name + ".new")) << text;
    std::filesystem::rename(path(name + ".new"), path(name));
  }
  void write(const test::WebAuthority::Server& server) {
    write("chain.pem", server.chain);
    write("key.pem", server.key);
  }
  node::HostSettings files() const {
    node::HostSettings settings;
    settings.certificate_file = path("chain.pem");
    settings.key_file = path("key.pem");
    settings.authorities_file = path("ca.pem");
    return settings;
  }
  Result<net::Host*> make(const node::HostSettings& settings) {
    PosixHosts factory(*loop, random, &log);
    crypto::SecretBytes<32> seed;
    random.fill(seed.span());
    SEREUS_ASSIGN(auto parts, factory.make_host(seed, settings));
    limits.push_back(std::move(parts.limits));
    bandwidths.push_back(std::move(parts.bandwidth));
    hosts.push_back(std::move(parts.host));
    return hosts.back().get();
  }
  // Until a host tells of an event of type T.
  template <typename T>
  std::optional<T> wait_for(net::Host* host) {
    const uint64_t deadline = now().mono_us + 20 * kMicrosPerSecond;
    while (now().mono_us < deadline) {
      uint64_t next = now().mono_us + 100'000;
      std::optional<T> found;
      for (const auto& one : hosts) {
        next = std::min(next, one->step(now()));
        while (auto event = one->next_event()) {
          if (const T* wanted = std::get_if<T>(&*event); wanted != nullptr && one.get() == host) found = *wanted;
        }
      }
      if (found) return found;
      loop->wait(next);
    }
    return std::nullopt;
  }

  std::string folder;
  PosixRandom random;
  Lines log;
  std::unique_ptr<PosixLoop> loop;
  test::WebAuthority authority{random};
  // What the hosts ask, and so outlives them.
  std::vector<std::unique_ptr<net::ResourceLimits>> limits;
  std::vector<std::unique_ptr<net::Bandwidth>> bandwidths;
  std::vector<std::unique_ptr<net::Host>> hosts;
  const IpEndpoint v4 = IpEndpoint::loopback_v4(0);
  const IpEndpoint v6 = *parse_ip("::1", 0);
};

class SecureWebSocketFamilies : public SecureWebSocketTest, public testing::WithParamInterface<bool> {};

INSTANTIATE_TEST_SUITE_P(Families, SecureWebSocketFamilies, testing::Bool());

TEST_P(SecureWebSocketFamilies, ConnectsAndChecksTheCertificate) {
  write(authority.server({{}, {v4, v6}}));
  const auto server = make(files());
  ASSERT_TRUE(server.ok()) << server.error().detail;
  const Status listening = (*server)->listen(GetParam() ? "/ip6/::1/tcp/0/tls/ws" : "/ip4/127.0.0.1/tcp/0/tls/ws");
  if (GetParam() && !listening.ok()) GTEST_SKIP() << "this machine has no IPv6";
  ASSERT_TRUE(listening.ok());
  const std::string address = (*server)->listen_addresses().at(0);
  EXPECT_TRUE(address.ends_with("/tls/ws")) << address;
  node::HostSettings dialing;
  dialing.authorities_file = path("ca.pem");
  const auto client = make(dialing);
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE((*client)->dial(address, (*server)->peer_id()).ok());
  const auto connected = wait_for<Connected>(*client);
  ASSERT_TRUE(connected);
  EXPECT_EQ(connected->peer, (*server)->peer_id());
  EXPECT_EQ(connected->address, address);
  // Another authority is none.
  write("other.pem", test::WebAuthority(random, "Another authority").anchor());
  dialing.authorities_file = path("other.pem");
  const auto stranger = make(dialing);
  ASSERT_TRUE((*stranger)->dial(address, (*server)->peer_id()).ok());
  const auto refused = wait_for<DialFailed>(*stranger);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error.code, Code::denied);
  // Nor is one that is missing; but who does not ask gets in.
  dialing.authorities_file = path("nothing.pem");
  const auto lost = make(dialing);
  ASSERT_TRUE((*lost)->dial(address, (*server)->peer_id()).ok());
  const auto unknown = wait_for<DialFailed>(*lost);
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->error.code, Code::not_found);
  dialing.any_server = true;
  const auto trusting = make(dialing);
  ASSERT_TRUE((*trusting)->dial(address, (*server)->peer_id()).ok());
  EXPECT_TRUE(wait_for<Connected>(*trusting));
}

TEST_F(SecureWebSocketTest, AHostWithoutItsCertificateIsNotMade) {
  EXPECT_EQ(make(files()).code(), Code::not_found);
  ASSERT_EQ(log.errors.size(), 1u);
  EXPECT_NE(log.errors[0].find("chain.pem"), std::string::npos) << log.errors[0];
  write("chain.pem", "nonsense");
  write("key.pem", "nonsense");
  EXPECT_EQ(make(files()).code(), Code::malformed);
}

TEST_F(SecureWebSocketTest, FilesThatChangeAreReadAgain) {
  PosixCertificate certificate(path("chain.pem"), path("key.pem"), random, &log);
  EXPECT_EQ(certificate.refresh().code(), Code::not_found);
  write(authority.server({{"one.example"}, {}}));
  ASSERT_TRUE(certificate.refresh().ok());
  const auto first = certificate.certificate()->context();
  ASSERT_TRUE(certificate.refresh().ok());
  EXPECT_EQ(certificate.certificate()->context(), first) << "nothing changed";
  // Half of the new pair is there: the old one stays, which is told once.
  log.errors.clear();
  const auto next = authority.server({{"two.example"}, {}});
  write("chain.pem", next.chain);
  EXPECT_EQ(certificate.refresh().code(), Code::invalid);
  EXPECT_EQ(certificate.refresh().code(), Code::invalid);
  EXPECT_EQ(certificate.certificate()->context(), first);
  ASSERT_EQ(log.errors.size(), 1u);
  EXPECT_NE(log.errors[0].find("the one from before stays"), std::string::npos) << log.errors[0];
  write("key.pem", next.key);
  EXPECT_TRUE(certificate.refresh().ok());
  EXPECT_NE(certificate.certificate()->context(), first);
  const auto second = certificate.certificate()->context();
  std::filesystem::remove(path("key.pem"));
  EXPECT_EQ(certificate.refresh().code(), Code::not_found);
  EXPECT_EQ(certificate.certificate()->context(), second);
}

TEST_F(SecureWebSocketTest, LargeFilesAndFoldersAreNoCertificates) {
  write("chain.pem", std::string(net::kWebTlsPemMax + 1, 'x'));
  write("key.pem", "x");
  PosixCertificate large(path("chain.pem"), path("key.pem"), random, nullptr);
  EXPECT_EQ(large.refresh().code(), Code::too_large);
  PosixCertificate at_folder(folder, path("key.pem"), random, nullptr);
  EXPECT_EQ(at_folder.refresh().code(), Code::io);
}

TEST(SystemAuthoritiesTest, AreUsable) {
  const auto bundle = read_whole_file(std::string(kSystemAuthorities), net::kWebTlsBundleMax);
  if (!bundle.ok()) GTEST_SKIP() << bundle.error().detail;
  PosixRandom random;
  net::TlsTrust trust([&]() -> Result<Bytes> { return *bundle; }, random);
  EXPECT_TRUE(trust.context().ok());
}

}  // namespace
}  // namespace sereus::posix
