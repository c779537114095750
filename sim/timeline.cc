#include "sim/timeline.h"

#include <algorithm>
#include <vector>

#include "sim/describe.h"
#include "sim/timeline_lanes.h"

namespace sereus::sim {
namespace {

using Kind = Chronicle::Kind;
using Note = Chronicle::Note;

constexpr size_t kTableRows = 60;
// So many notes before the violation are in the second picture, which shows a part.
constexpr size_t kCloseNotes = 40;
constexpr uint64_t kClosest = 200'000;

constexpr const char* kStyle = R"(
:root { --back: #fff; --text: #1c2024; --dim: #60686f; --lane: #f4f6f8; --line: #d6dbe0; --up: #4b8f5e; --down: #e3b1ab;
  --fault: #f3c969; --band: #e08a2e; --msg: #4a7fb5; --lost: #d02f2f; --action: #1f5fa8;
  --event: #77818a; --connected: #7a4fb0; --bad: #c81e1e; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e4e7ea; --dim: #98a2ab; --lane: #1b1f23;
  --line: #343b42; --up: #4f9d66; --down: #6b3a36; --fault: #b98a1d; --band: #d98b35; --msg: #5f9bd6;
  --lost: #ff6b6b; --action: #7fb4ee; --event: #8b959e; --connected: #b08be6; --bad: #ff5c5c; } }
body { background: var(--back); color: var(--text); font: 14px/1.45 system-ui, sans-serif; margin: 20px; }
h1 { font-size: 20px; margin: 0 0 6px; } h2 { font-size: 16px; margin: 22px 0 6px; } p { margin: 4px 0; }
code { font: 13px ui-monospace, monospace; background: var(--lane); padding: 1px 4px; border-radius: 3px; }
.bad { color: var(--bad); font-weight: 600; white-space: pre-wrap; } .quiet { color: var(--dim); }
.picture { overflow-x: auto; } svg { display: block; font: 12px system-ui, sans-serif; }
svg text { fill: var(--text); } svg .small { font-size: 11px; } svg .dim { fill: var(--dim); font-size: 11px; }
svg .mid { text-anchor: middle; } svg .end { text-anchor: end; } svg .name { font-weight: 600; }
svg .label { font-size: 11px; paint-order: stroke; stroke: var(--back); stroke-width: 2.5px; stroke-linejoin: round; }
.lane0 { fill: var(--lane); } .lane1 { fill: none; } .axis { stroke: var(--dim); } .grid { stroke: var(--line); }
.break { fill: var(--line); opacity: .55; } .phase0 { fill: #8fa8c8; opacity: .45; } .phase1 { fill: #d99a6c; opacity: .45; }
.phase2 { fill: #83b692; opacity: .45; } .phase3 { fill: #b49bd0; opacity: .45; }
.off { stroke: var(--line); stroke-dasharray: 2 3; } .up { fill: var(--up); } .down { fill: var(--down); }
.fault { fill: var(--fault); } .band { fill: var(--band); opacity: .13; }
.msg { stroke: var(--msg); stroke-width: .8; opacity: .4; } .lost { stroke: var(--lost); stroke-dasharray: 3 2; opacity: .75; }
.action { stroke: var(--action); stroke-width: 1.6; } .event { stroke: var(--event); stroke-width: 1.2; }
.connected { stroke: var(--connected); stroke-width: 1.6; }
line.violation { stroke: var(--bad); stroke-width: 2; } circle.violation { fill: none; stroke: var(--bad); stroke-width: 2.5; }
text.violation { fill: var(--bad); font-weight: 600; }
table { border-collapse: collapse; font-size: 13px; } td, th { text-align: left; padding: 2px 12px 2px 0; vertical-align: top; }
td { border-top: 1px solid var(--line); } td:first-child { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
tr.violated td { color: var(--bad); font-weight: 600; }
)";

constexpr const char* kLegend = R"(<svg width='1300' height='26' viewBox='0 0 1300 26'>
<rect class='up' x='4' y='8' width='26' height='10'/><text x='36' y='17'>up</text>
<rect class='down' x='66' y='8' width='26' height='10'/><text x='98' y='17'>down</text>
<rect class='fault' x='144' y='7' width='26' height='13' rx='2'/><text x='176' y='17'>fault, as long as it lasts</text>
<rect class='band' x='324' y='4' width='26' height='20'/><text x='356' y='17'>fault between lanes</text>
<line class='msg' x1='478' y1='4' x2='496' y2='24'/><text x='504' y='17'>message</text>
<line class='lost' x1='568' y1='4' x2='576' y2='24'/><text x='584' y='17'>lost message</text>
<line class='connected' x1='676' y1='6' x2='676' y2='20'/><text x='684' y='17'>connected</text>
<line class='action' x1='758' y1='6' x2='758' y2='20'/><text x='766' y='17'>action</text>
<line class='event' x1='820' y1='6' x2='820' y2='20'/><text x='828' y='17'>event</text>
<rect class='break' x='880' y='4' width='26' height='20'/><text x='912' y='17'>cut short: nothing happens</text>
<line class='violation' x1='1082' y1='4' x2='1082' y2='24'/><text x='1090' y='17'>violation</text>
</svg>)";

const char* name_of_kind(Kind kind) {
  switch (kind) {
    case Kind::up:
      return "up";
    case Kind::down:
      return "down";
    case Kind::fault:
      return "fault";
    case Kind::action:
      return "action";
    case Kind::message:
      return "message";
    case Kind::connected:
      return "connected";
    case Kind::event:
      return "event";
    case Kind::violation:
      return "violation";
    case Kind::phase:
      return "phase";
  }
  return "";
}

// What is worth a line, by time, up to the violation.
std::vector<const Note*> notes_before(const Chronicle& chronicle, uint64_t until_us) {
  std::vector<const Note*> notes;
  for (const Note& note : chronicle.notes()) {
    if (note.kind != Kind::message && note.at_us <= until_us) notes.push_back(&note);
  }
  std::stable_sort(notes.begin(), notes.end(), [](const Note* a, const Note* b) { return a->at_us < b->at_us; });
  return notes;
}

LanesWindow whole_of(const Outcome& outcome, const Chronicle& chronicle) {
  LanesWindow window;
  window.until_us = std::max(outcome.violated_at_us, uint64_t{1});
  for (const Note& note : chronicle.notes()) window.until_us = std::max(window.until_us, note.at_us);
  window.until_us = std::max(window.until_us, outcome.virtual_us);
  return window;
}

std::string machines_of(const Note& note) {
  if (note.machine == SIZE_MAX) return {};
  std::string text = std::to_string(note.machine);
  if (note.other != SIZE_MAX) text += ", " + std::to_string(note.other);
  return text;
}

void add_table(std::string& out, const std::vector<const Note*>& notes, bool violated) {
  out += "<h2>The last " + std::to_string(std::min(notes.size(), kTableRows)) + " things " +
         (violated ? "before the violation" : "of the run") + ", without messages</h2>\n<table>\n" +
         "<tr><th>time</th><th>machine</th><th></th><th></th></tr>\n";
  for (size_t i = notes.size() - std::min(notes.size(), kTableRows); i < notes.size(); ++i) {
    const Note& note = *notes[i];
    out += note.kind == Kind::violation ? "<tr class='violated'><td>" : "<tr><td>";
    out += duration_in_words(note.at_us) + "</td><td>" + machines_of(note) + "</td><td>" + name_of_kind(note.kind) +
           "</td><td>" + html(note.text);
    if (note.until_us > note.at_us) out += ", for " + duration_in_words(note.until_us - note.at_us);
    out += "</td></tr>\n";
  }
  out += "</table>\n";
}

void add_picture(std::string& out, const std::string& heading, const std::string& svg, const std::string& remarks) {
  out += "<h2>" + heading + "</h2>\n";
  if (!remarks.empty()) out += "<p class='quiet'>" + html(remarks) + "</p>\n";
  out += "<div class='picture'>" + svg + "</div>\n";
}

}  // namespace

std::string draw_timeline(const Plan& plan, const Outcome& outcome, const Chronicle& chronicle,
                          const TimelineTitle& title) {
  const bool violated = !outcome.violation.empty();
  const std::string name = "Seed " + std::to_string(plan.seed) + " of " + plan.workload;
  std::string out = "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>" + html(name) +
                    "</title>\n<style>" + kStyle + "</style></head><body>\n";
  out += "<h1>" + html(name) + "</h1>\n";
  if (violated) {
    out += "<p class='bad'>violates '" + html(outcome.oracle) + "': " + html(outcome.violation, 3000) + "</p>\n";
  } else {
    out += "<p>All oracles held.</p>\n";
  }
  out += "<p>" + std::to_string(plan.nodes) + " machines on " + std::string(name_of(plan.transport)) + ", " +
         std::to_string(plan.faults.size()) + " faults, " + std::to_string(plan.actions.size()) + " actions, " +
         duration_in_words(outcome.virtual_us / 1000 * 1000) + " of virtual time; commit <code>" + html(title.commit) +
         "</code>; again: <code>" + html(title.again, 1000) + "</code></p>\n";
  if (chronicle.left_out() > 0) {
    out += "<p class='bad'>" + grouped(chronicle.left_out()) + " later notes were not kept: only the first " +
           grouped(Chronicle::kNotesMax) + " are.</p>\n";
  }
  out += kLegend;

  const LanesWindow whole = whole_of(outcome, chronicle);
  std::string remarks;
  const std::string all = draw_lanes(plan, outcome, chronicle, whole, remarks);
  add_picture(out, "The whole run", all, remarks);

  const std::vector<const Note*> notes = notes_before(chronicle, violated ? outcome.violated_at_us : UINT64_MAX);
  if (violated && notes.size() > kCloseNotes) {
    LanesWindow close;
    const uint64_t first = notes[notes.size() - kCloseNotes]->at_us;
    close.from_us = std::min(first, outcome.violated_at_us - std::min(outcome.violated_at_us, kClosest));
    close.until_us = outcome.violated_at_us + (outcome.violated_at_us - close.from_us) / 20;
    if (close.until_us - close.from_us < whole.until_us / 2) {
      const std::string part = draw_lanes(plan, outcome, chronicle, close, remarks);
      add_picture(out,
                  "The last " + duration_in_words((outcome.violated_at_us - close.from_us) / 1000 * 1000) +
                      " before the violation",
                  part, remarks);
    }
  }
  add_table(out, notes, violated);
  out += "</body></html>\n";
  return out;
}

}  // namespace sereus::sim
