// sereus-sim: runs the simulator. Here are its commands' options; what they do is in sim/command_*.cc.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "sim/commands.h"
#include "sim/workload.h"

namespace {

using namespace sereus::sim;  // NOLINT(google-build-using-namespace): this is its main file

constexpr uint64_t kSeedMax = uint64_t{1} << 62;

// "1..500", or one seed.
bool parse_range(const std::string& text, uint64_t& first, uint64_t& last) {
  const size_t dots = text.find("..");
  const std::string from = text.substr(0, dots);
  const std::string to = dots == std::string::npos ? from : text.substr(dots + 2);
  const auto parse = [](const std::string& word, uint64_t& number) {
    if (word.empty() || word.size() > 18 || word.find_first_not_of("0123456789") != std::string::npos) return false;
    number = std::stoull(word);
    return number < kSeedMax;
  };
  return parse(from, first) && parse(to, last) && first <= last;
}

std::string known_workloads() {
  std::string names;
  for (const Workload& workload : workloads()) names += (names.empty() ? "" : ", ") + std::string(workload.name);
  return names;
}

// The wishes as they are typed.
struct Wishes {
  std::string workload;
  std::string transport;
  uint64_t nodes = 0;
  uint64_t minutes = 0;

  void add_to(CLI::App& command) {
    command.add_option("--workload", workload, "what the applications do (default: drawn)")
        ->check([](const std::string& name) {
          return find_workload(name) != nullptr ? std::string()
                                                : "there is no workload '" + name + "'; known are " + known_workloads();
        })
        ->type_name("NAME");
    command.add_option("--nodes", nodes, "how many machines (default: drawn)")
        ->check(CLI::Range(size_t{1}, kNodesMax))
        ->type_name("N");
    command.add_option("--minutes", minutes, "of virtual time in which actions and faults happen (default: drawn)")
        ->check(CLI::Range(1, 100'000))
        ->type_name("M");
    command.add_option("--transport", transport, "what machines are connected by (default: drawn)")
        ->check(CLI::IsMember({"stream", "quic", "tcp", "both"}))
        ->type_name("stream|quic|tcp|both");
  }
  PlanWishes wishes() const {
    PlanWishes made;
    if (!workload.empty()) made.workload = workload;
    if (!transport.empty()) made.transport = transport_of(transport);
    if (nodes != 0) made.nodes = nodes;
    if (minutes != 0) made.minutes = minutes;
    return made;
  }
};

struct Choice {
  uint64_t seed = 0;
  std::string schedule;
  Wishes wishes;
  CLI::Option* seed_option = nullptr;

  void add_to(CLI::App& command) {
    seed_option = command.add_option("seed", seed, "the seed")->check(CLI::Range(uint64_t{0}, kSeedMax))->type_name("");
    command.add_option("--schedule", schedule, "a schedule file, instead of a seed")->type_name("FILE");
    wishes.add_to(command);
  }
  // One of the two, and a schedule says all by itself.
  std::string problem() const {
    const bool has_seed = seed_option->count() > 0;
    if (has_seed == !schedule.empty()) return "give a seed or --schedule FILE";
    if (!schedule.empty() && !options_of(wishes.wishes()).empty()) {
      return "a schedule says by itself what" + options_of(wishes.wishes()) + " would say";
    }
    return {};
  }
  PlanChoice choice() const {
    PlanChoice made;
    if (schedule.empty()) made.seed = seed;
    made.wishes = wishes.wishes();
    made.schedule = schedule;
    return made;
  }
};

// What several commands have.
struct Common {
  size_t jobs = std::max(1u, std::thread::hardware_concurrency());
  uint64_t timeout_s = 120;
  std::string failures;

  void add_to(CLI::App& command) {
    command.add_option("--jobs", jobs, "worker processes")
        ->check(CLI::Range(1, 1024))
        ->type_name("N")
        ->default_str("as many as cores");
    command.add_option("--timeout", timeout_s, "of real time, after which a run hangs")
        ->check(CLI::Range(1, 86'400))
        ->type_name("SECONDS")
        ->capture_default_str();
  }
  void add_failures_to(CLI::App& command) {
    command.add_option("--failures", failures, "where schedules and pictures of failures go")
        ->type_name("FOLDER")
        ->default_str("build/sim-failures");
  }
  std::string failures_folder() const { return failures.empty() ? source_folder() + "/build/sim-failures" : failures; }
};

struct Program {
  CLI::App app{"Runs a whole network in one process, with time, network, disks and randomness drawn from a seed."};
  Common common;
  Choice to_replay;
  Choice to_shrink;
  Wishes wishes;
  RunOptions run;
  std::string seeds = "1..500";
  ReplayOptions replay;
  ShrinkOptions shrink;
  BenchOptions bench;
  std::vector<std::string> ledgers;
  bool json = false;
  std::string folder;

  Program() {
    app.require_subcommand(1);
    app.footer(
        "Exit codes: 0 all held, 1 an oracle was violated, 2 wrongly asked, 130 stopped.\n"
        "docs/simulation.md explains workloads, faults, oracles and files.");
  }

  CLI::App* add_run() {
    CLI::App* command = app.add_subcommand("run", "run a range of seeds");
    command->add_option("--seeds", seeds, "the range")->type_name("A..B")->capture_default_str();
    wishes.add_to(*command);
    command->add_option("--ledger", run.ledger, "keeps what ran; seeds that ran on this commit are left out")
        ->type_name("FILE");
    common.add_to(*command);
    common.add_failures_to(*command);
    command->add_flag("--stop-at-first", run.stop_at_first, "stop when a seed fails");
    command->add_flag("--json", run.json, "a JSON object a line: failures, then the sums");
    return command;
  }
  CLI::App* add_replay() {
    CLI::App* command = app.add_subcommand("replay", "run one seed or schedule file again and tell what happens");
    to_replay.add_to(*command);
    command->add_option("--picture", replay.picture, "draw the run's time-line (HTML)")->type_name("FILE");
    return command;
  }
  CLI::App* add_shrink() {
    CLI::App* command = app.add_subcommand("shrink", "make a failing plan smaller while it fails in the same way");
    to_shrink.add_to(*command);
    command->add_option("--out", shrink.out, "the schedule file to write")
        ->type_name("FILE")
        ->default_str("build/sim-failures/WORKLOAD-SEED-small.json");
    command->add_option("--trials", shrink.trials, "at most so many runs")
        ->check(CLI::Range(1, 10'000'000))
        ->type_name("N")
        ->capture_default_str();
    command->add_option("--seconds", shrink.seconds, "at most so much real time")
        ->check(CLI::Range(1, 1'000'000))
        ->type_name("N")
        ->capture_default_str();
    common.add_to(*command);
    common.add_failures_to(*command);
    return command;
  }
  CLI::App* add_report() {
    CLI::App* command = app.add_subcommand("report", "sum ledgers up");
    command->add_option("--ledger", ledgers, "a ledger; may be given several times")->type_name("FILE")->required();
    command->add_flag("--json", json, "one JSON object");
    return command;
  }
  CLI::App* add_regressions() {
    CLI::App* command = app.add_subcommand("regressions", "replay schedules that once failed");
    command->add_option("folder", folder, "holds the schedules (default: sim/regressions)")->type_name("FOLDER");
    common.add_to(*command);
    return command;
  }

  CLI::App* add_bench() {
    CLI::App* command = app.add_subcommand("bench", "how fast the simulator is");
    command->add_option("--workload", bench.workload, "only this one")
        ->check([](const std::string& name) {
          return find_workload(name) != nullptr ? std::string() : "there is no workload '" + name + "'";
        })
        ->type_name("NAME");
    command->add_option("--nodes", bench.nodes, "machines on streams; with QUIC there are 4")
        ->check(CLI::Range(size_t{2}, kNodesMax))
        ->type_name("N")
        ->capture_default_str();
    command
        ->add_option("--minutes", bench.minutes, "of virtual time in which actions and faults happen (default: drawn)")
        ->check(CLI::Range(1, 100'000))
        ->type_name("M");
    command->add_option("--seconds", bench.seconds, "of processor time for each row")
        ->check(CLI::Range(0.01, 1e6))
        ->type_name("S")
        ->default_str("10");
    command->add_flag("--json", bench.json, "a JSON object a row");
    return command;
  }

  int start_run() {
    if (!parse_range(seeds, run.first, run.last)) {
      return misused("--seeds wants first..last, for example 1..500, and not '" + seeds + "'");
    }
    run.wishes = wishes.wishes();
    run.jobs = common.jobs;
    run.timeout_s = common.timeout_s;
    run.failures = common.failures_folder();
    forbid_randomness();
    return command_run(run);
  }
  int start_replay() {
    if (const std::string problem = to_replay.problem(); !problem.empty()) return misused(problem);
    replay.choice = to_replay.choice();
    return command_replay(replay);
  }
  int start_shrink() {
    if (const std::string problem = to_shrink.problem(); !problem.empty()) return misused(problem);
    shrink.choice = to_shrink.choice();
    shrink.jobs = common.jobs;
    shrink.timeout_s = common.timeout_s;
    shrink.failures = common.failures_folder();
    return command_shrink(shrink);
  }
  int start_regressions() const { return command_regressions(folder, common.jobs, common.timeout_s); }
};

}  // namespace

int main(int argc, char** argv) {
  set_program(argv[0]);
  keep_memory();
  Program program;
  const CLI::App* run = program.add_run();
  const CLI::App* replay = program.add_replay();
  const CLI::App* shrink = program.add_shrink();
  const CLI::App* report = program.add_report();
  const CLI::App* regressions = program.add_regressions();
  const CLI::App* bench = program.add_bench();
  program.app.add_subcommand("workloads", "list the workloads");
  try {
    program.app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.app.exit(error);  // --help
    const std::string word = argc > 1 ? argv[1] : "-";
    const auto commands = program.app.get_subcommands([](const CLI::App*) { return true; });
    if (!word.starts_with("-") && std::none_of(commands.begin(), commands.end(),
                                               [&](const CLI::App* command) { return command->get_name() == word; })) {
      return misused("there is no command '" + word + "'; see " + std::string(argv[0]) + " --help");
    }
    return misused(error.what());
  }
  if (*run) return program.start_run();
  if (*replay) return program.start_replay();
  if (*shrink) return program.start_shrink();
  if (*report) return command_report(program.ledgers, program.json);
  if (*bench) return command_bench(program.bench);
  if (*regressions) return program.start_regressions();
  return command_workloads();
}
