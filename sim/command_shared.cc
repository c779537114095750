#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/crypto/init.h"
#include "sim/commands.h"
#include "sim/workload.h"

namespace sereus::sim {
namespace {

std::string g_program = "sereus-sim";
volatile std::sig_atomic_t g_interrupted = 0;

// One seed in a hundred runs twice.
constexpr uint64_t kTwiceEvery = 100;

bool has_sources(const std::filesystem::path& folder) {
  std::error_code none;
  return std::filesystem::exists(folder / "sim" / "plan.h", none) && std::filesystem::exists(folder / "dev", none);
}

std::string find_source_folder() {
  std::error_code error;
  const std::filesystem::path here = std::filesystem::current_path(error);
  for (std::filesystem::path start : {std::filesystem::read_symlink("/proc/self/exe", error).parent_path(), here}) {
    for (; !start.empty(); start = start.parent_path()) {
      if (has_sources(start)) return start.string();
      if (start == start.parent_path()) break;
    }
  }
  return here.string();
}

// The output of git in the source folder; empty when there is none, or no repository.
std::string ask_git() {
  int out[2];
  if (pipe(out) != 0) return {};
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(out[1], STDOUT_FILENO);
    const int null = open("/dev/null", O_RDWR);
    dup2(null, STDERR_FILENO);
    dup2(null, STDIN_FILENO);
    execlp("git", "git", "--no-optional-locks", "-C", source_folder().c_str(), "describe", "--always", "--dirty",
           static_cast<char*>(nullptr));
    _exit(127);
  }
  close(out[1]);
  std::string text;
  char buffer[256];
  for (ssize_t got = 0; (got = read(out[0], buffer, sizeof buffer)) != 0;) {
    if (got > 0) text.append(buffer, static_cast<size_t>(got));
    if (got < 0 && errno != EINTR) break;
  }
  close(out[0]);
  int status = -1;
  if (pid > 0) waitpid(pid, &status, 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return status == 0 ? text : std::string();
}

std::string find_commit() {
  if (const char* given = std::getenv("SEREUS_SIM_COMMIT"); given != nullptr && *given != '\0') return given;
  const std::string said = ask_git();
  return said.empty() ? "unknown" : said;
}

struct SelfTest {
  std::string what;
  uint64_t seed = 0;
  uint64_t faults = 0;
};

const SelfTest& self_test() {
  static const SelfTest kTest = [] {
    SelfTest test;
    const char* given = std::getenv("SEREUS_SIM_SELF_TEST");
    char what[16] = "";
    unsigned long long seed = 0;
    unsigned long long faults = 0;
    if (given != nullptr && std::sscanf(given, "%15[a-z]:%llu:%llu", what, &seed, &faults) >= 2) {
      test = {what, seed, faults};
    }
    return test;
  }();
  return kTest;
}

void stop_later(int) { g_interrupted = 1; }

}  // namespace

void set_program(const std::string& name) { g_program = name; }

void keep_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 256 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 16 << 20);
#endif
}

const std::string& program() { return g_program; }

const std::string& source_folder() {
  static const std::string kFolder = find_source_folder();
  return kFolder;
}

const std::string& commit() {
  static const std::string kCommit = find_commit();
  return kCommit;
}

int misused(const std::string& what) {
  std::fprintf(stderr, "sereus-sim: %s\n", what.c_str());
  return kMisused;
}

void forbid_randomness() { crypto::forbid_ambient_randomness(); }

Outcome run_for_command(const Plan& plan, Chronicle* chronicle) {
  const SelfTest& test = self_test();
  if (test.what.empty() || test.seed != plan.seed || plan.faults.size() < test.faults) {
    return run_plan(plan, chronicle);
  }
  if (test.what == "crash") {
    std::fprintf(stderr, "the self-test crashes at seed %llu\n", static_cast<unsigned long long>(plan.seed));
    std::abort();
  }
  while (test.what == "hang") pause();
  Outcome outcome = run_plan(plan, chronicle);
  outcome.oracle = "self-test";
  outcome.violation = "violated because SEREUS_SIM_SELF_TEST says so";
  outcome.violated_at_us = outcome.virtual_us;
  return outcome;
}

bool is_run_twice(uint64_t seed) { return seed % kTwiceEvery == 0; }

Result<Plan> chosen_plan(const PlanChoice& choice) {
  if (choice.schedule.empty()) return draw_plan(*choice.seed, choice.wishes);
  SEREUS_ASSIGN(const std::string text, read_file(choice.schedule));
  auto plan = read_plan(text);
  if (!plan) return fail(plan.code(), choice.schedule + ": " + plan.error().detail);
  if (find_workload(plan->workload) == nullptr) {
    return fail(Code::invalid, choice.schedule + ": there is no workload '" + plan->workload + "'");
  }
  return plan;
}

Result<std::string> read_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return fail(Code::io, path + ": " + std::strerror(errno));
  std::string text;
  char buffer[65536];
  for (size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, got);
  const bool failed = std::ferror(file) != 0;
  const int why = errno;
  std::fclose(file);
  if (failed) return fail(Code::io, path + ": " + std::strerror(why));
  return text;
}

Status write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return fail(Code::io, path + ": " + std::strerror(errno));
  const bool put = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const int why = errno;
  if (std::fclose(file) != 0 || !put) return fail(Code::io, path + ": " + std::strerror(why));
  return {};
}

Status make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail(Code::io, path + ": " + error.message());
  return {};
}

std::string options_of(const PlanWishes& wishes) {
  std::string text;
  if (wishes.workload) text += " --workload " + *wishes.workload;
  if (wishes.nodes) text += " --nodes " + std::to_string(*wishes.nodes);
  if (wishes.minutes) text += " --minutes " + std::to_string(*wishes.minutes);
  if (wishes.transport) text += " --transport " + std::string(name_of(*wishes.transport));
  return text;
}

std::string replay_command(uint64_t seed, const PlanWishes& wishes) {
  return program() + " replay " + std::to_string(seed) + options_of(wishes);
}

std::string replay_command(const std::string& schedule) { return program() + " replay --schedule " + schedule; }

Status write_picture(const std::string& path, const Plan& plan, const Outcome& outcome, const Chronicle& chronicle,
                     const std::string& again) {
  return write_file(path, draw_timeline(plan, outcome, chronicle, {commit(), again}));
}

// ---- Progress ----

ProgressLine::ProgressLine(bool shown)
    : shown_(shown), terminal_(isatty(STDERR_FILENO) != 0), begin_(std::chrono::steady_clock::now()), last_(begin_) {}

double ProgressLine::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

void ProgressLine::show(uint64_t done, uint64_t of, const std::string& text) {
  if (!shown_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10))) return;
  last_ = now;
  if (!terminal_) {
    std::fprintf(stderr, "[%llu/%llu] %s\n", static_cast<unsigned long long>(done), static_cast<unsigned long long>(of),
                 text.c_str());
    return;
  }
  constexpr uint64_t kWidth = 28;
  const uint64_t full = of == 0 ? 0 : std::min(kWidth, done * kWidth / of);
  const std::string bar = std::string(full, '#') + std::string(kWidth - full, '.');
  std::fprintf(stderr, "\r\033[K[%s] %s", bar.c_str(), text.c_str());
  std::fflush(stderr);
  dirty_ = true;
}

void ProgressLine::clear() {
  if (dirty_) std::fputs("\r\033[K", stderr);
  dirty_ = false;
}

// ---- Ctrl-C ----

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = stop_later;  // no SA_RESTART: waiting ends
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return g_interrupted != 0; }

}  // namespace sereus::sim
