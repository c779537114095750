// What happened in a run, for the picture of it: who was up, what went wrong, which messages went where. Bounded; without one
// nothing is recorded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sereus::sim {

class Chronicle {
 public:
  static constexpr size_t kNotesMax = 200'000;
  // Of these messages: the first ones and the last ones are kept. Other notes always find the rest of the room.
  static constexpr size_t kFirstMessages = 100'000;
  static constexpr size_t kLastMessages = 50'000;

  enum class Kind : uint8_t {
    up,         // the process of `machine` runs from here on
    down,       // it is gone; text: why
    fault,      // text: which; from at_us until until_us where it lasts; `other` where it is between two
    action,     // text: what the application did
    message,    // bytes from `machine` to `other`, sent at_us, there until_us (0: lost); text: what, if it is known
    connected,  // `machine` and `other`
    event,      // text: what the application heard
    violation,  // text: which oracle
    phase,      // text: "set-up", "disturbed", "healing", "checks"
  };
  struct Note {
    Kind kind = Kind::event;
    uint64_t at_us = 0;
    uint64_t until_us = 0;
    size_t machine = SIZE_MAX;  // SIZE_MAX: of none
    size_t other = SIZE_MAX;
    uint64_t bytes = 0;
    std::string text;
  };

  void add(Note note) {
    const bool message = note.kind == Kind::message;
    if (message && messages_ >= kFirstMessages + kLastMessages) {
      // In the place of the oldest of the last ones.
      notes_[last_messages_[(messages_ - kFirstMessages) % kLastMessages]] = std::move(note);
      ++messages_;
      ++left_out_;
      return;
    }
    if (notes_.size() >= kNotesMax) {
      ++left_out_;
      return;
    }
    if (message && ++messages_ > kFirstMessages) last_messages_.push_back(notes_.size());
    notes_.push_back(std::move(note));
  }
  // In the order in which they were added, but for messages where some were left out.
  const std::vector<Note>& notes() const { return notes_; }
  uint64_t left_out() const { return left_out_; }

 private:
  std::vector<Note> notes_;
  std::vector<size_t> last_messages_;  // a ring of places in notes_
  uint64_t messages_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace sereus::sim
