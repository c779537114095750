// What was found valid is found again; what is wrong is refused each time.
#include "sim/signature_memo.h"

#include <gtest/gtest.h>

#include "core/crypto/sign.h"

namespace sereus::sim {
namespace {

#ifdef __ELF__

class SignatureMemoTest : public testing::Test {
 protected:
  SignatureMemoTest() {
    SecretBytes<32> seed;
    seed.data()[0] = 7;
    pair_.emplace(crypto::KeyPair::from_seed(seed));
    signature_ = pair_->sign_in_context("test 1", message_);
  }
  bool verify(const Signature& signature) const {
    return crypto::verify_in_context(pair_->public_key(), "test 1", message_, signature.view());
  }
  Signature spoiled() const {
    Signature wrong = signature_;
    wrong.bytes[3] ^= 1;
    return wrong;
  }

  const Bytes message_ = to_bytes("a message");
  std::optional<crypto::KeyPair> pair_;
  Signature signature_;
};

TEST_F(SignatureMemoTest, ASecondVerificationIsFound) {
  SignatureMemo memo;
  EXPECT_TRUE(verify(signature_));
  EXPECT_EQ(memo.found(), 0u);
  EXPECT_TRUE(verify(signature_));
  EXPECT_EQ(memo.asked(), 2u);
  EXPECT_EQ(memo.found(), 1u);
}

TEST_F(SignatureMemoTest, AWrongSignatureIsRefusedBeforeAndAfterTheRightOne) {
  SignatureMemo memo;
  EXPECT_FALSE(verify(spoiled()));
  EXPECT_TRUE(verify(signature_));
  EXPECT_FALSE(verify(spoiled()));
  EXPECT_FALSE(verify(spoiled()));
  EXPECT_FALSE(crypto::verify_in_context(pair_->public_key(), "test 2", message_, signature_.view()));
  EXPECT_EQ(memo.found(), 0u);
}

TEST_F(SignatureMemoTest, ABatchIsTakenOnlyWhenAllOfItHold) {
  SignatureMemo memo;
  const Bytes message = crypto::context_message("test 1", message_);
  const Signature wrong = spoiled();
  const std::span<const uint8_t, 32> key(pair_->public_key().data(), 32);
  const crypto::Ed25519BatchItem good{key, message, std::span<const uint8_t, 64>(signature_.bytes)};
  const crypto::Ed25519BatchItem bad{key, message, std::span<const uint8_t, 64>(wrong.bytes)};
  const std::array<uint8_t, 32> seed{};
  const std::vector<crypto::Ed25519BatchItem> mixed = {good, bad};
  const std::vector<crypto::Ed25519BatchItem> sound = {good};
  EXPECT_FALSE(crypto::ed25519_verify_batch(mixed, seed));
  EXPECT_TRUE(crypto::ed25519_verify_batch(sound, seed));
  EXPECT_TRUE(crypto::ed25519_verify_batch(sound, seed));
  EXPECT_FALSE(crypto::ed25519_verify_batch(mixed, seed));
  EXPECT_TRUE(verify(signature_));  // the same bytes, one by one
  EXPECT_EQ(memo.found(), 3u);
}

TEST_F(SignatureMemoTest, NothingIsRememberedBeyondItsEnd) {
  {
    SignatureMemo memo;
    EXPECT_TRUE(verify(signature_));
  }
  EXPECT_TRUE(verify(signature_));
  SignatureMemo another;
  EXPECT_TRUE(verify(signature_));
  EXPECT_EQ(another.found(), 0u);
}

#endif

}  // namespace
}  // namespace sereus::sim
