#include "sim/timeline_lanes.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <tuple>
#include <vector>

#include "sim/describe.h"
#include "sim/time_scale.h"

namespace sereus::sim {
namespace {

using Kind = Chronicle::Kind;
using Note = Chronicle::Note;

constexpr double kLeft = 92;
constexpr double kPlot = 1330;
constexpr double kWidth = kLeft + kPlot + 18;
constexpr double kRow = 16;    // of a fault's label
constexpr double kBar = 10;    // of a machine that is up
constexpr double kTicks = 18;  // of actions and events
constexpr double kLaneGap = 16;
constexpr double kCharacter = 6.3;  // of a label, about
constexpr size_t kRowsMax = 8;
constexpr size_t kRowsOfAllMax = 12;
constexpr size_t kLinesMax = 2200;  // of messages
constexpr size_t kLostMax = 700;
constexpr size_t kTicksMax = 1500;
constexpr size_t kFaultsMax = 1000;
constexpr size_t kBarsMax = 1500;

bool valid_continuation(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) return false;
  return std::all_of(text.begin() + static_cast<ptrdiff_t>(at), text.begin() + static_cast<ptrdiff_t>(at + count),
                     [](char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; });
}

// printf into a string; lines are short.
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void put(std::string& out, const char* format, ...) {
  char text[640];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  out += text;
}

struct Lane {
  double top = 0;
  double bar = 0;  // the middle of the bar
  double bottom = 0;
  size_t rows = 0;
};

struct Label {
  const Note* note = nullptr;
  double x0 = 0;
  double x1 = 0;
  size_t row = 0;
  bool shown = true;  // its text
  std::string text;
};

bool whole_run(const Note& note, const LanesWindow& window) {
  return note.at_us <= window.from_us && note.until_us >= window.until_us;
}

class Lanes {
 public:
  Lanes(const Plan& plan, const Outcome& outcome, const Chronicle& chronicle, const LanesWindow& window)
      : outcome_(outcome),
        chronicle_(chronicle),
        window_(window),
        scale_(window.from_us, window.until_us, times(chronicle), kLeft, kPlot),
        lanes_(plan.nodes),
        labels_(plan.nodes + 1) {}

  std::string draw(std::string& notes_line);

 private:
  static std::vector<uint64_t> times(const Chronicle& chronicle);
  bool shows(const Note& note) const;
  void place_faults();
  void place_lanes();
  void draw_axis();
  void draw_phases();
  void draw_bands();
  void draw_messages();
  void draw_bars();
  void draw_ticks(Kind kind);
  void draw_faults();
  void draw_violation();
  void remark(const std::string& text) { remarks_ += (remarks_.empty() ? "" : "; ") + text; }

  const Outcome& outcome_;
  const Chronicle& chronicle_;
  LanesWindow window_;
  TimeScale scale_;
  std::vector<Lane> lanes_;
  std::vector<std::vector<Label>> labels_;  // of each machine; the last: of all
  double all_top_ = 0;                      // where those of all begin
  double lanes_top_ = 0;
  double bottom_ = 0;
  std::string out_;
  std::string remarks_;
};

std::vector<uint64_t> Lanes::times(const Chronicle& chronicle) {
  std::vector<uint64_t> times;
  for (const Note& note : chronicle.notes()) {
    if (note.kind == Kind::message || note.kind == Kind::phase) continue;
    times.push_back(note.at_us);
    if (note.kind == Kind::fault && note.until_us > note.at_us) times.push_back(note.until_us);
  }
  return times;
}

bool Lanes::shows(const Note& note) const {
  return note.at_us <= window_.until_us && std::max(note.at_us, note.until_us) >= window_.from_us;
}

// Labels in rows, so that none is over another. Where there are too many rows the bar stays, and its text is shown on hovering.
void Lanes::place_faults() {
  size_t placed = 0;
  size_t left_out = 0;
  std::vector<std::vector<double>> ends(labels_.size());
  std::vector<const Note*> faults;
  for (const Note& note : chronicle_.notes()) {
    if (note.kind == Kind::fault && shows(note)) faults.push_back(&note);
  }
  std::stable_sort(faults.begin(), faults.end(), [](const Note* a, const Note* b) { return a->at_us < b->at_us; });
  for (const Note* const note : faults) {
    if (++placed > kFaultsMax) {
      ++left_out;
      continue;
    }
    const size_t lane = note->machine < lanes_.size() ? note->machine : lanes_.size();
    Label label;
    label.note = note;
    label.x0 = scale_.x(note->at_us);
    label.x1 = std::max(label.x0 + 3, scale_.x(std::max(note->at_us, note->until_us)));
    label.text = note->text.substr(0, 60);
    const double text_width = static_cast<double>(label.text.size()) * kCharacter + 8;
    // A label at the right end goes to the left of its bar's beginning, into the bar's own row.
    double begin = label.x0;
    if (label.x0 + text_width > kLeft + kPlot) begin = std::max(kLeft, kLeft + kPlot - text_width);
    const double end = std::max(label.x1, begin + text_width) + 4;
    std::vector<double>& rows = ends[lane];
    size_t row = 0;
    while (row < rows.size() && rows[row] > begin) ++row;
    const size_t rows_max = lane < lanes_.size() ? kRowsMax : kRowsOfAllMax;
    if (row == rows_max) {
      label.shown = false;
      row = rows_max - 1;
    } else if (row == rows.size()) {
      rows.push_back(end);
    } else {
      rows[row] = end;
    }
    label.row = row;
    labels_[lane].push_back(std::move(label));
  }
  if (left_out > 0) remark(grouped(left_out) + " faults are not drawn");
}

void Lanes::place_lanes() {
  const auto rows_of = [](const std::vector<Label>& labels) {
    size_t rows = 0;
    for (const Label& label : labels) rows = std::max(rows, label.row + 1);
    return rows;
  };
  double y = 102;  // axis, phases and the violation are above
  all_top_ = y;
  if (const size_t rows = rows_of(labels_.back()); rows > 0) y += static_cast<double>(rows) * kRow + kLaneGap;
  lanes_top_ = y;
  for (size_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    lane.rows = rows_of(labels_[i]);
    lane.top = y;
    lane.bar = y + static_cast<double>(lane.rows) * kRow + 6 + kBar / 2;
    lane.bottom = lane.bar + kBar / 2 + kTicks;
    y = lane.bottom + kLaneGap;
  }
  bottom_ = y;
}

void Lanes::draw_axis() {
  put(out_, "<line class='axis' x1='%.0f' y1='72' x2='%.0f' y2='72'/>\n", kLeft, kLeft + kPlot);
  put(out_, "<text class='dim' x='8' y='64'>virtual time</text>\n");
  for (const TimeScale::Tick& tick : scale_.ticks()) {
    put(out_, "<line class='grid' x1='%.1f' y1='68' x2='%.1f' y2='%.0f'/>", tick.x, tick.x, bottom_);
    put(out_, "<text class='dim mid' x='%.1f' y='64'>%s</text>\n", tick.x, tick.label.c_str());
  }
  for (const TimeScale::Break& one : scale_.breaks()) {
    const std::string length = duration_in_words((one.until_us - one.from_us) / 1'000'000 * 1'000'000);
    put(out_,
        "<rect class='break' x='%.1f' y='68' width='%.0f' height='%.0f'><title>%s without anything but "
        "messages</title></rect>",
        one.x, TimeScale::kBreakWidth, bottom_ - 68, length.c_str());
    put(out_, "<text class='dim mid small' x='%.1f' y='64'>%s</text>\n", one.x + TimeScale::kBreakWidth / 2,
        length.c_str());
  }
}

void Lanes::draw_phases() {
  std::vector<const Note*> phases;
  for (const Note& note : chronicle_.notes()) {
    if (note.kind == Kind::phase) phases.push_back(&note);
  }
  for (size_t i = 0; i < phases.size(); ++i) {
    const uint64_t until = i + 1 < phases.size() ? phases[i + 1]->at_us : window_.until_us;
    if (until < window_.from_us || phases[i]->at_us > window_.until_us) continue;
    const double x0 = scale_.x(phases[i]->at_us);
    const double x1 = scale_.x(until);
    const std::string text = html(phases[i]->text, 80);
    put(out_, "<rect class='phase%zu' x='%.1f' y='76' width='%.1f' height='14'><title>%s, from %s</title></rect>",
        i % 4, x0, std::max(1.0, x1 - x0), text.c_str(), duration_in_words(phases[i]->at_us).c_str());
    if (static_cast<double>(phases[i]->text.size()) * kCharacter + 6 < x1 - x0) {
      put(out_, "<text class='small' x='%.1f' y='87'>%s</text>", x0 + 4, text.c_str());
    }
    out_ += "\n";
  }
}

// Behind everything: faults between two lanes, and those of all that do not last for the whole run.
void Lanes::draw_bands() {
  for (const std::vector<Label>& labels : labels_) {
    for (const Label& label : labels) {
      const Note& note = *label.note;
      const bool of_all = note.machine >= lanes_.size();
      const bool of_two = !of_all && note.other < lanes_.size();
      if (note.until_us <= note.at_us || (!of_two && (!of_all || whole_run(note, window_)))) continue;
      const double top = of_two ? std::min(lanes_[note.machine].bar, lanes_[note.other].bar) : lanes_top_;
      const double end = of_two ? std::max(lanes_[note.machine].bar, lanes_[note.other].bar) : bottom_ - kLaneGap;
      put(out_, "<rect class='band' x='%.1f' y='%.1f' width='%.1f' height='%.1f'><title>%s</title></rect>\n", label.x0,
          top, label.x1 - label.x0, end - top, html(note.text, 200).c_str());
    }
  }
}

// What goes the same way at about the same time is one line.
void Lanes::draw_messages() {
  struct Line {
    const Note* first = nullptr;
    uint64_t count = 0;
    uint64_t bytes = 0;
  };
  for (const bool lost : {false, true}) {
    std::vector<const Note*> notes;
    for (const Note& note : chronicle_.notes()) {
      if (note.kind == Kind::message && (note.until_us == 0) == lost && shows(note) && scale_.shows(note.at_us) &&
          note.machine < lanes_.size() && note.other < lanes_.size()) {
        notes.push_back(&note);
      }
    }
    std::map<std::tuple<uint64_t, size_t, size_t>, Line> lines;
    for (double width = 1;; width *= 1.5) {
      lines.clear();
      for (const Note* const note : notes) {
        const auto bucket = static_cast<uint64_t>(scale_.x(note->at_us) / width);
        Line& line = lines[{bucket, note->machine, note->other}];
        if (line.count++ == 0) line.first = note;
        line.bytes += note->bytes;
      }
      if (lines.size() <= (lost ? kLostMax : kLinesMax) || width > 2 * kPlot) break;
    }
    if (lines.size() < notes.size()) {
      remark(grouped(notes.size()) + (lost ? " lost messages" : " messages") + " are drawn as " +
             grouped(lines.size()) + " lines");
    }
    size_t drawn = 0;
    for (const auto& [place, line] : lines) {
      if (++drawn > 2 * kLinesMax) break;
      const Note& note = *line.first;
      const double y0 = lanes_[note.machine].bar;
      double y1 = lanes_[note.other].bar;
      double x0 = scale_.x(note.at_us);
      double x1 = scale_.x(std::max(note.at_us, note.until_us));
      if (lost) {
        y1 = y0 + (y1 - y0) * 0.55;
        x1 = x0 + 3;
      }
      put(out_, "<line class='%s' x1='%.1f' y1='%.0f' x2='%.1f' y2='%.0f'><title>%zu to %zu, ", lost ? "lost" : "msg",
          x0, y0, x1, y1, note.machine, note.other);
      out_ += (line.count == 1 ? "" : grouped(line.count) + " messages, ") + grouped(line.bytes) + " bytes";
      if (line.count == 1 && !note.text.empty()) out_ += ", " + html(note.text, 80);
      out_ += lost ? ", lost</title></line>\n" : "</title></line>\n";
    }
  }
}

void Lanes::draw_bars() {
  std::vector<std::vector<const Note*>> changes(lanes_.size());
  for (const Note& note : chronicle_.notes()) {
    if ((note.kind == Kind::up || note.kind == Kind::down) && note.machine < lanes_.size()) {
      changes[note.machine].push_back(&note);
    }
  }
  size_t drawn = 0;
  size_t left_out = 0;
  for (size_t i = 0; i < lanes_.size(); ++i) {
    const Lane& lane = lanes_[i];
    put(out_, "<text class='name' x='8' y='%.1f'>machine %zu</text>\n", lane.bar + 4, i);
    put(out_, "<line class='off' x1='%.0f' y1='%.1f' x2='%.0f' y2='%.1f'/>\n", kLeft, lane.bar, kLeft + kPlot,
        lane.bar);
    for (size_t at = 0; at < changes[i].size(); ++at) {
      const Note& note = *changes[i][at];
      const uint64_t until = at + 1 < changes[i].size() ? changes[i][at + 1]->at_us : window_.until_us;
      if (until < window_.from_us || note.at_us > window_.until_us) continue;
      if (++drawn > kBarsMax) {
        ++left_out;
        continue;
      }
      const double x0 = scale_.x(note.at_us);
      const double x1 = std::max(x0 + 0.6, scale_.x(until));
      const std::string text = html(note.text, 120);
      if (note.kind == Kind::up) {
        put(out_,
            "<rect class='up' x='%.1f' y='%.1f' width='%.1f' height='%.0f'><title>up from %s%s%s</title></rect>\n", x0,
            lane.bar - kBar / 2, x1 - x0, kBar, duration_in_words(note.at_us).c_str(), text.empty() ? "" : ": ",
            text.c_str());
      } else {
        put(out_,
            "<rect class='down' x='%.1f' y='%.1f' width='%.1f' height='%.0f'><title>down from %s%s%s</title></rect>\n",
            x0, lane.bar - kBar / 2, x1 - x0, kBar, duration_in_words(note.at_us).c_str(), text.empty() ? "" : ": ",
            text.c_str());
      }
    }
  }
  if (left_out > 0) remark(grouped(left_out) + " changes between up and down are not drawn");
}

void Lanes::draw_ticks(Kind kind) {
  struct Tick {
    std::vector<const Note*> notes;
  };
  std::map<std::pair<size_t, uint64_t>, Tick> ticks;
  uint64_t all = 0;
  for (double width = 2;; width *= 1.5) {
    ticks.clear();
    all = 0;
    for (const Note& note : chronicle_.notes()) {
      if (note.kind != kind || note.machine >= lanes_.size() || !scale_.shows(note.at_us)) continue;
      ++all;
      ticks[{note.machine, static_cast<uint64_t>(scale_.x(note.at_us) / width)}].notes.push_back(&note);
    }
    if (ticks.size() <= kTicksMax || width > 2 * kPlot) break;
  }
  if (ticks.size() < all) {
    remark(grouped(all) +
           (kind == Kind::action  ? " actions"
            : kind == Kind::event ? " events"
                                  : " connections") +
           " are drawn as " + grouped(ticks.size()) + " ticks");
  }
  const char* const name = kind == Kind::action ? "action" : kind == Kind::event ? "event" : "connected";
  const double from = kind == Kind::action ? 2 : kind == Kind::event ? 10 : -kBar;
  const double to = kind == Kind::action ? 9 : kind == Kind::event ? 15 : 0;
  for (const auto& [place, tick] : ticks) {
    const double base = lanes_[place.first].bar + kBar / 2;
    const double x = scale_.x(tick.notes.front()->at_us);
    put(out_, "<line class='%s' x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f'><title>", name, x, base + from, x, base + to);
    for (size_t i = 0; i < tick.notes.size() && i < 3; ++i) {
      out_ += (i == 0 ? "" : "\n") + duration_in_words(tick.notes[i]->at_us) + ": " + html(tick.notes[i]->text, 90);
      if (kind == Kind::connected) out_ += "connected with " + std::to_string(tick.notes[i]->other);
    }
    if (tick.notes.size() > 3) out_ += "\nand " + std::to_string(tick.notes.size() - 3) + " more";
    out_ += "</title></line>\n";
  }
}

void Lanes::draw_faults() {
  if (!labels_.back().empty()) put(out_, "<text class='name' x='8' y='%.1f'>all</text>\n", all_top_ + 12);
  for (size_t lane = 0; lane < labels_.size(); ++lane) {
    const double top = lane < lanes_.size() ? lanes_[lane].top : all_top_;
    for (const Label& label : labels_[lane]) {
      const double y = top + static_cast<double>(label.row) * kRow;
      const std::string text = html(label.text, 240);
      std::string when = duration_in_words(label.note->at_us);
      if (label.note->until_us > label.note->at_us) {
        when += " for " + duration_in_words(label.note->until_us - label.note->at_us);
      }
      put(out_, "<rect class='fault' x='%.1f' y='%.1f' width='%.1f' height='%.0f' rx='2'><title>", label.x0, y,
          label.x1 - label.x0, kRow - 3);
      out_ += html(label.note->text) + "\nat " + when + "</title></rect>";
      if (label.shown) {
        const double width = static_cast<double>(label.text.size()) * kCharacter + 8;
        const bool at_end = label.x0 + width > kLeft + kPlot;
        put(out_, "<text class='label%s' x='%.1f' y='%.1f'>", at_end ? " end" : "",
            at_end ? kLeft + kPlot - 2 : label.x0 + 4, y + 10.5);
        out_ += text + "</text>";
      }
      out_ += "\n";
    }
  }
}

void Lanes::draw_violation() {
  if (outcome_.violation.empty() || !scale_.shows(outcome_.violated_at_us)) return;
  const double x = scale_.x(outcome_.violated_at_us);
  put(out_, "<line class='violation' x1='%.1f' y1='34' x2='%.1f' y2='%.0f'/>\n", x, x, bottom_);
  for (const Note& note : chronicle_.notes()) {
    if (note.kind != Kind::violation || note.machine >= lanes_.size()) continue;
    put(out_, "<circle class='violation' cx='%.1f' cy='%.1f' r='8'><title>", x, lanes_[note.machine].bar);
    out_ += html(note.text) + "</title></circle>\n";
  }
  const bool left_of_it = x > kLeft + kPlot / 2;
  const double text_x = left_of_it ? x - 6 : x + 6;
  const char* const end = left_of_it ? " end" : "";
  // Both lines have the room of half a picture at least.
  constexpr size_t kMost = 100;
  put(out_, "<text class='violation%s' x='%.1f' y='24'>violated: ", end, text_x);
  out_ += html(outcome_.oracle, 80) + " at " + duration_in_words(outcome_.violated_at_us / 1000 * 1000) + "</text>\n";
  const std::string line = outcome_.violation.substr(0, outcome_.violation.find('\n'));
  put(out_, "<text class='violation small%s' x='%.1f' y='42'>", end, text_x);
  out_ += html(line, kMost) + "</text>\n";
}

std::string Lanes::draw(std::string& notes_line) {
  place_faults();
  place_lanes();
  put(out_, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' width='%.0f' height='%.0f'>\n", kWidth,
      bottom_ + 8, kWidth, bottom_ + 8);
  for (size_t i = 0; i < lanes_.size(); ++i) {
    put(out_, "<rect class='lane%zu' x='0' y='%.1f' width='%.0f' height='%.1f'/>\n", i % 2,
        lanes_[i].top - kLaneGap / 2, kWidth, lanes_[i].bottom - lanes_[i].top + kLaneGap);
  }
  draw_axis();
  draw_phases();
  draw_bands();
  draw_messages();
  draw_bars();
  draw_ticks(Kind::connected);
  draw_ticks(Kind::action);
  draw_ticks(Kind::event);
  draw_faults();
  draw_violation();
  out_ += "</svg>\n";
  notes_line = remarks_;
  return std::move(out_);
}

}  // namespace

std::string html(std::string_view text, size_t most) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (at >= most) {
      out += "…";
      break;
    }
    const auto c = static_cast<uint8_t>(text[at]);
    const size_t more = c < 0x80                ? 0
                        : c >= 0xf0 && c < 0xf5 ? 3
                        : c >= 0xe0 && c < 0xf0 ? 2
                        : c >= 0xc2 && c < 0xe0 ? 1
                                                : 9;
    if (more == 0) {
      switch (c) {
        case '&':
          out += "&amp;";
          break;
        case '<':
          out += "&lt;";
          break;
        case '>':
          out += "&gt;";
          break;
        case '"':
          out += "&quot;";
          break;
        case '\'':
          out += "&#39;";
          break;
        default:
          out += c < 0x20 && c != '\n' ? '?' : static_cast<char>(c);
      }
      ++at;
    } else if (more < 9 && valid_continuation(text, at + 1, more)) {
      out += text.substr(at, more + 1);
      at += more + 1;
    } else {
      out += "�";
      ++at;
    }
  }
  return out;
}

std::string draw_lanes(const Plan& plan, const Outcome& outcome, const Chronicle& chronicle, const LanesWindow& window,
                       std::string& notes_line) {
  return Lanes(plan, outcome, chronicle, window).draw(notes_line);
}

}  // namespace sereus::sim
