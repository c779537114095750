/* The control socket: a second process uses the daemon's node; the daemon's death; who may serve and connect. */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char* socket_path;

static sereus_node* connect_node(const char* path) {
  sereus_node* node = NULL;
  int i;
  for (i = 0; i < 200; ++i) { /* a child may not serve it yet */
    if (sereus_connect(path, &node) == SEREUS_OK) return node;
    sleep_ms(50);
  }
  return NULL;
}

/* ---- Roles of the second process --------------------------------------------------------------------------------- */

static int child_client(const char* path) {
  sereus_node* node = connect_node(path);
  sereus_id store = 0, other = 0, watch = 0;
  sereus_rows* rows = NULL;
  sereus_event* event;
  int changes = 0, i;
  REQUIRE(node != NULL);
  CHECK_STATUS(sereus_store_open(node, "shared", &store), SEREUS_OK);
  CHECK(holds(node, store, "from", "daemon"));
  CHECK_STATUS(put(node, store, "answer", "client"), SEREUS_OK);
  CHECK(holds(node, store, "answer", "client"));
  other = create_store(node, "client's");
  CHECK(other != 0);
  CHECK_STATUS(sereus_info(node, &rows), SEREUS_OK);
  CHECK(sereus_rows_info(rows, 0) != NULL && strstr(sereus_rows_info(rows, 0)->data_folder, "daemon") != NULL);
  sereus_rows_free(rows);
  CHECK_STATUS(sereus_store_watch(node, store, bytes_of(""), SEREUS_WATCH_ALL, 0, &watch), SEREUS_OK);
  while (changes < 2 && (event = next_event(node)) != NULL) {
    if (sereus_event_store_change(event) != NULL) ++changes;
    sereus_event_free(event);
  }
  CHECK_EQUAL(changes, 2);
  CHECK_STATUS(sereus_cancel(node, watch), SEREUS_OK);
  CHECK_STATUS(wait_status(node, watch), SEREUS_E_CANCELLED);
  CHECK_STATUS(sereus_cancel(node, watch), SEREUS_E_NOT_FOUND);
  CHECK_STATUS(sereus_suspend(node, 1000), SEREUS_E_UNSUPPORTED);
  CHECK_STATUS(sereus_resume(node), SEREUS_E_UNSUPPORTED);
  /* 3000 rows with values: the answer comes in parts. */
  for (i = 0; i < 3000; i += 100) {
    char keys[100][16];
    char value[1000];
    sereus_write writes[100];
    sereus_id op = 0;
    int j;
    memset(value, 'v', sizeof value);
    memset(writes, 0, sizeof writes);
    for (j = 0; j < 100; ++j) {
      snprintf(keys[j], sizeof keys[j], "key%06d", i + j);
      writes[j].kind = SEREUS_WRITE_PUT;
      writes[j].key = bytes_of(keys[j]);
      writes[j].value = bytes_at(value, sizeof value);
    }
    CHECK_STATUS(sereus_store_write(node, other, writes, 100, &op), SEREUS_OK);
    CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  }
  CHECK_STATUS(sereus_store_list(node, other, bytes_of(""), bytes_of(""), 4096, SEREUS_LIST_VALUES, &rows), SEREUS_OK);
  CHECK_EQUAL(sereus_rows_count(rows), 3000);
  CHECK(sereus_rows_item(rows, 2999) != NULL && is_text(sereus_rows_item(rows, 2999)->key, "key002999"));
  CHECK(sereus_rows_item(rows, 2999) != NULL && sereus_rows_item(rows, 2999)->value.size == 1000);
  sereus_rows_free(rows);
  CHECK_STATUS(sereus_store_watch(node, store, bytes_of(""), 0, 0, &watch), SEREUS_OK);
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK_STATUS(wait_status(node, watch), SEREUS_E_CANCELLED);
  CHECK(wait_closed(node));
  sereus_unref(node);
  return finish_tests();
}

/* Serves until it is killed. */
static int child_daemon(const char* path) {
  char folder[256];
  sereus_config config;
  snprintf(folder, sizeof folder, "%s.folder", path);
  config = test_config(folder);
  config.control_socket = path;
  open_node(&config);
  while (pause() < 0) {
  }
  return 0;
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

static void check_client(void) {
  const char* folder = fresh_path("daemon");
  sereus_config config = test_config(folder);
  sereus_node *node, *second = NULL;
  sereus_id op = 0, store, found = 0;
  struct stat info;
  char detail[256];
  int child;
  config.control_socket = socket_path;
  node = open_node(&config);
  CHECK_STATUS(sereus_identity_create(node, NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  store = create_store(node, "shared");
  CHECK_STATUS(put(node, store, "from", "daemon"), SEREUS_OK);
  CHECK(stat(socket_path, &info) == 0 && S_ISSOCK(info.st_mode));
  CHECK_EQUAL(info.st_mode & 0777, 0600);

  child = start_child("client", socket_path);
  CHECK_EQUAL(wait_child(child), 0);
  CHECK(holds(node, store, "answer", "client"));
  CHECK_STATUS(sereus_store_open(node, "client's", &found), SEREUS_OK);

  /* The folder is held; its socket's place is taken for a daemon of another folder as well. */
  CHECK_STATUS(sereus_open_detailed(&config, &second, detail, sizeof detail), SEREUS_E_BUSY);
  CHECK(second == NULL && detail[0] != '\0');
  config.data_folder = fresh_path("another");
  CHECK_STATUS(sereus_open_detailed(&config, &second, detail, sizeof detail), SEREUS_E_BUSY);
  CHECK(strstr(detail, "control socket") != NULL);

  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK(wait_closed(node));
  CHECK(stat(socket_path, &info) != 0); /* gone before CLOSED */
  sereus_unref(node);
  CHECK_STATUS(sereus_connect(socket_path, &second), SEREUS_E_UNREACHABLE);
}

static void check_daemon_death(void) {
  const char* path = fresh_path("mortal");
  int daemon = start_child("daemon", path), child;
  sereus_node* node = connect_node(path);
  sereus_id op = 0, watch = 0, store;
  sereus_event* event;
  REQUIRE(node != NULL);
  CHECK_STATUS(sereus_identity_create(node, NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  store = create_store(node, "s");
  CHECK_STATUS(sereus_store_watch(node, store, bytes_of(""), 0, 0, &watch), SEREUS_OK);
  kill((pid_t)daemon, SIGKILL);
  wait_child(daemon);
  CHECK_STATUS(wait_status(node, watch), SEREUS_E_UNREACHABLE);
  event = next_event(node);
  CHECK_EQUAL(sereus_event_kind(event), SEREUS_EVENT_CLOSED);
  sereus_event_free(event);
  CHECK_STATUS(sereus_store_put(node, store, bytes_of("k"), bytes_of("v"), &op), SEREUS_E_CLOSED);
  sereus_unref(node);

  /* The stale socket is replaced by the next daemon. */
  child = start_child("daemon", path);
  node = connect_node(path);
  REQUIRE(node != NULL);
  CHECK_STATUS(sereus_store_open(node, "s", &store), SEREUS_OK);
  sereus_unref(node);
  kill((pid_t)child, SIGKILL);
  wait_child(child);
}

static int connect_raw(const char* path) {
  struct sockaddr_un address;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  return connect(fd, (struct sockaddr*)&address, sizeof address) == 0 ? fd : -1;
}

/* Whoever speaks rubbish is disconnected; others go on. */
static void check_rubbish(void) {
  static const unsigned char large[] = {0xff, 0xff, 0xff, 0x7f, 0x82};
  static const unsigned char not_cbor[] = {3, 0, 0, 0, 0xff, 0xff, 0xff};
  static const unsigned char no_hello[] = {4, 0, 0, 0, 0x82, 0x06, 0xa0, 0x00};
  /* [1, {1: 99, 3: 10, 4: 10}]: a version from the future */
  static const unsigned char future[] = {10, 0, 0, 0, 0x82, 0x01, 0xa3, 0x01, 0x18, 0x63, 0x03, 0x0a, 0x04, 0x0a};
  static const struct {
    const unsigned char* bytes;
    size_t size;
  } inputs[] = {
      {large, sizeof large}, {not_cbor, sizeof not_cbor}, {no_hello, sizeof no_hello}, {future, sizeof future}};
  const char* path = fresh_path("patient");
  sereus_config config = test_config(fresh_path("patient.folder"));
  sereus_node *daemon, *client;
  sereus_rows* rows = NULL;
  size_t i;
  config.control_socket = path;
  daemon = open_node(&config);
  client = connect_node(path);
  REQUIRE(client != NULL);
  for (i = 0; i < sizeof inputs / sizeof *inputs; ++i) {
    char answer[512];
    ssize_t size, all = 0;
    int fd = connect_raw(path);
    CHECK(fd >= 0 && write(fd, inputs[i].bytes, inputs[i].size) == (ssize_t)inputs[i].size);
    while ((size = read(fd, answer, sizeof answer)) > 0) all += size;
    CHECK(size == 0 && all > 0); /* told why, then disconnected */
    close(fd);
    CHECK_STATUS(sereus_info(client, &rows), SEREUS_OK);
    sereus_rows_free(rows);
  }
  {
    int fd = connect_raw(path); /* says nothing */
    CHECK(fd >= 0);
    CHECK_STATUS(sereus_info(client, &rows), SEREUS_OK);
    sereus_rows_free(rows);
    close(fd);
  }
  sereus_unref(client);
  sereus_unref(daemon);
}

static void check_places(void) {
  sereus_config config = test_config(fresh_path("places"));
  sereus_node *node = NULL, *client;
  char detail[256];
  char deep[400], name[200];
  const char* file = fresh_path("not-a-socket");
  size_t i;
  int fd = open(file, O_CREAT | O_WRONLY, 0600);
  close(fd);
  config.control_socket = file;
  CHECK_STATUS(sereus_open_detailed(&config, &node, detail, sizeof detail), SEREUS_E_EXISTS);
  CHECK(access(file, F_OK) == 0);
  config.control_socket = fresh_path("no/such/folder");
  CHECK_STATUS(sereus_open_detailed(&config, &node, detail, sizeof detail), SEREUS_E_NOT_FOUND);
  CHECK(sereus_connect(file, &node) == SEREUS_E_UNREACHABLE && node == NULL);
  CHECK_STATUS(sereus_connect(NULL, &node), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_connect("", &node), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_connect("/nowhere", NULL), SEREUS_E_INVALID);

  /* Longer than a socket's address. */
  snprintf(deep, sizeof deep, "%s", fresh_path("deep"));
  CHECK(mkdir(deep, 0700) == 0);
  for (i = 0; i < 3; ++i) {
    strcat(deep, "/a-folder-with-a-long-name-of-forty-letters");
    CHECK(mkdir(deep, 0700) == 0);
  }
  strcat(deep, "/control");
  CHECK(strlen(deep) > 108);
  config.control_socket = deep;
  node = open_node(&config);
  client = connect_node(deep);
  CHECK(client != NULL);
  sereus_unref(client);
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK(wait_closed(node));
  sereus_unref(node);
  memset(name, 'n', 150);
  name[150] = '\0';
  config.control_socket = fresh_path(name);
  CHECK_STATUS(sereus_open_detailed(&config, &node, detail, sizeof detail), SEREUS_E_INVALID);
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "client") == 0) return child_client(argv[2]);
  if (argc == 3 && strcmp(argv[1], "daemon") == 0) return child_daemon(argv[2]);
  socket_path = fresh_path("control");
  check_client();
  check_daemon_death();
  check_rubbish();
  check_places();
  return finish_tests();
}
