// A Resolver that answers when the test does.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "core/ports/resolver.h"

namespace sereus::test {

class FakeResolver final : public Resolver {
 public:
  struct Asked {
    std::string name;
    NameFamily family;
    bool texts = false;
  };
  Result<QueryId> resolve(std::string_view name, NameFamily family) override {
    asked.push_back({std::string(name), family});
    return asked.size();
  }
  Result<QueryId> resolve_texts(std::string_view name) override {
    asked.push_back({std::string(name), NameFamily::any, true});
    return asked.size();
  }
  void cancel(QueryId query) override { cancelled.push_back(query); }
  std::optional<Answer> next_answer() override {
    if (answers_.empty()) return std::nullopt;
    Answer answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }
  void answer(QueryId query, std::vector<IpEndpoint> addresses) {
    answers_.push_back({query, std::move(addresses), {}});
  }
  void answer_texts(QueryId query, std::vector<std::string> texts) {
    answers_.push_back({query, std::vector<IpEndpoint>(), std::move(texts)});
  }
  void refuse(QueryId query, Error error) { answers_.push_back({query, std::move(error), {}}); }

  std::vector<Asked> asked;  // the nth has the id n
  std::vector<QueryId> cancelled;

 private:
  std::deque<Answer> answers_;
};

}  // namespace sereus::test
