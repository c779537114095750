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
    if (notes_.size() < kNotesMax) {
      notes_.push_back(std::move(note));
    } else {
      ++left_out_;
    }
  }
  const std::vector<Note>& notes() const { return notes_; }
  uint64_t left_out() const { return left_out_; }

 private:
  std::vector<Note> notes_;
  uint64_t left_out_ = 0;
};

}  // namespace sereus::sim
