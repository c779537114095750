#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 20000u
#define PATHS_MAX 64

static int passed, failed;
static char base_folder[64];
static pid_t base_owner;

/* Checks are made in callbacks of the library, too: on its threads. */
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;

static int count(int holds_true) {
  pthread_mutex_lock(&counting);
  if (holds_true) {
    ++passed;
  } else {
    ++failed;
  }
  pthread_mutex_unlock(&counting);
  return holds_true;
}

int check_that(int holds_true, const char* what, const char* file, int line) {
  if (!count(holds_true)) fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
  return holds_true;
}

int check_status(sereus_status actual, sereus_status expected, const char* what, const char* file, int line) {
  if (count(actual == expected)) return 1;
  fprintf(stderr, "%s:%d: failed: %s is %s, not %s\n", file, line, what, sereus_status_name(actual),
          sereus_status_name(expected));
  return 0;
}

int check_equal(long long actual, long long expected, const char* what, const char* file, int line) {
  if (count(actual == expected)) return 1;
  fprintf(stderr, "%s:%d: failed: %s is %lld, not %lld\n", file, line, what, actual, expected);
  return 0;
}

static void remove_tree(const char* path) {
  struct stat info;
  DIR* folder;
  struct dirent* entry;
  char below[4096];
  if (lstat(path, &info) != 0) return;
  if (!S_ISDIR(info.st_mode)) {
    unlink(path);
    return;
  }
  folder = opendir(path);
  if (folder == NULL) return;
  while ((entry = readdir(folder)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
    remove_tree(below);
  }
  closedir(folder);
  rmdir(path);
}

int finish_tests(void) {
  printf("%d passed, %d failed\n", passed, failed);
  fflush(stdout);
  if (base_folder[0] != '\0' && base_owner == getpid()) remove_tree(base_folder);
  return failed == 0 && passed > 0 ? 0 : 1;
}

const char* fresh_path(const char* name) {
  static char paths[PATHS_MAX][256];
  static size_t used;
  char* path;
  if (base_folder[0] == '\0') {
    strcpy(base_folder, "/tmp/sereus-capi-XXXXXX");
    if (mkdtemp(base_folder) == NULL) exit(3);
    base_owner = getpid();
  }
  if (used == PATHS_MAX) exit(3);
  path = paths[used++];
  snprintf(path, sizeof paths[0], "%s/%s", base_folder, name);
  return path;
}

sereus_bytes bytes_at(const void* data, size_t size) {
  sereus_bytes bytes;
  bytes.data = data;
  bytes.size = size;
  return bytes;
}

sereus_bytes bytes_of(const char* text) { return bytes_at(text, strlen(text)); }

int is_text(sereus_bytes bytes, const char* text) {
  return bytes.size == strlen(text) && (bytes.size == 0 || memcmp(bytes.data, text, bytes.size) == 0);
}

void sleep_ms(unsigned milliseconds) {
  struct timespec left;
  left.tv_sec = milliseconds / 1000;
  left.tv_nsec = (long)(milliseconds % 1000) * 1000000;
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void log_line(void* user, uint32_t level, const char* room, const char* message) {
  (void)user;
  fprintf(stderr, "  log %u %s: %s\n", (unsigned)level, room, message);
}

sereus_config test_config(const char* folder) {
  sereus_config config = SEREUS_INIT(sereus_config);
  config.data_folder = folder;
  config.flags = SEREUS_OPEN_OFFLINE | SEREUS_OPEN_KDF_INTERACTIVE;
  if (getenv("SEREUS_TEST_LOG") != NULL) {
    config.log = log_line;
    config.log_level = (uint32_t)atoi(getenv("SEREUS_TEST_LOG"));
  }
  return config;
}

sereus_node* open_node(const sereus_config* config) {
  sereus_node* node = NULL;
  char detail[256];
  sereus_status status = sereus_open_detailed(config, &node, detail, sizeof detail);
  if (status != SEREUS_OK) fprintf(stderr, "sereus_open: %s: %s\n", sereus_status_name(status), detail);
  REQUIRE(status == SEREUS_OK && node != NULL);
  return node;
}

sereus_node* open_folder(const char* folder) {
  sereus_config config = test_config(folder);
  return open_node(&config);
}

sereus_node* open_with_identity(const char* folder) {
  sereus_node* node = open_folder(folder);
  sereus_id op = 0;
  sereus_status status;
  REQUIRE(sereus_identity_create(node, NULL, &op) == SEREUS_OK);
  status = wait_status(node, op);
  REQUIRE(status == SEREUS_OK || status == SEREUS_E_EXISTS);
  return node;
}

sereus_event* next_event(sereus_node* node) {
  sereus_event* event = NULL;
  if (sereus_wait(node, WAIT_MS, &event) != SEREUS_OK) return NULL;
  return event;
}

static sereus_done wait_done_text(sereus_node* node, sereus_id op, char* out, size_t size) {
  sereus_done copy = SEREUS_INIT(sereus_done);
  sereus_event* event;
  uint64_t deadline = now_ms() + WAIT_MS;
  copy.status = SEREUS_E_TIMEOUT;
  while (now_ms() < deadline && (event = next_event(node)) != NULL) {
    const sereus_done* done = sereus_event_done(event);
    if (done != NULL && done->op == op) {
      copy = *done;
      if (done->status != SEREUS_OK && getenv("SEREUS_TEST_LOG") != NULL) {
        fprintf(stderr, "  done %s: %s\n", sereus_status_name(done->status), done->detail);
      }
      if (out != NULL && done->data.size < size) {
        memcpy(out, done->data.data, done->data.size);
        out[done->data.size] = '\0';
      }
      copy.detail = NULL;
      copy.data.data = NULL;
      sereus_event_free(event);
      break;
    }
    sereus_event_free(event);
  }
  return copy;
}

sereus_done wait_done(sereus_node* node, sereus_id op) { return wait_done_text(node, op, NULL, 0); }

sereus_status wait_status(sereus_node* node, sereus_id op) { return wait_done(node, op).status; }

int wait_text(sereus_node* node, sereus_id op, char* out, size_t size) {
  sereus_done done;
  out[0] = '\0';
  done = wait_done_text(node, op, out, size);
  return done.status == SEREUS_OK && done.data.size != 0 && done.data.size < size;
}

int wait_closed(sereus_node* node) {
  sereus_event* event;
  while ((event = next_event(node)) != NULL) {
    const int closed = sereus_event_kind(event) == SEREUS_EVENT_CLOSED;
    sereus_event_free(event);
    if (closed) {
      sereus_event* more = NULL;
      return sereus_wait(node, 0, &more) == SEREUS_E_CLOSED && more == NULL;
    }
  }
  return 0;
}

sereus_id create_store(sereus_node* node, const char* name) {
  sereus_id op = 0;
  sereus_done done;
  REQUIRE(sereus_store_create(node, 0, name, &op) == SEREUS_OK);
  done = wait_done(node, op);
  REQUIRE(done.status == SEREUS_OK && done.store != 0);
  return done.store;
}

sereus_status put(sereus_node* node, sereus_id store, const char* key, const char* value) {
  sereus_id op = 0;
  sereus_status status = sereus_store_put(node, store, bytes_of(key), bytes_of(value), &op);
  return status == SEREUS_OK ? wait_status(node, op) : status;
}

int holds(sereus_node* node, sereus_id store, const char* key, const char* value) {
  sereus_rows* rows = NULL;
  int equal = 0;
  if (sereus_store_get(node, store, bytes_of(key), &rows) == SEREUS_OK) {
    const sereus_head* head = sereus_rows_head(rows, 0);
    equal = head != NULL && is_text(head->value, value);
  }
  sereus_rows_free(rows);
  return equal;
}

int start_child(const char* role, const char* argument) {
  pid_t child;
  fflush(NULL);
  child = fork();
  if (child == 0) {
    execl("/proc/self/exe", "child", role, argument, (char*)NULL);
    _exit(127);
  }
  return (int)child;
}

int wait_child(int child) {
  int status = 0;
  if (waitpid((pid_t)child, &status, 0) != (pid_t)child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}
