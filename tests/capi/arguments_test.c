/* Every function with nothing, with rubbish, with stale pointers and unknown ids: an error each time, never a crash. */
#include "support.h"

static const sereus_bytes none = {NULL, 0};
static const sereus_bytes dangling = {NULL, 5}; /* bytes that are said to be there */
static const char not_utf8[] = "caf\xe9";
static char long_text[70000];

/* Every function that takes a node, given `node`, which is not one: `expected`. */
static void check_node(sereus_node* node, sereus_status expected) {
  sereus_id id = 1;
  sereus_event* event = NULL;
  sereus_rows* rows = NULL;
  sereus_times now = {0, 0};
  uint64_t next = 0;
  sereus_bytes key = bytes_of("k");
  sereus_write write;
  memset(&write, 0, sizeof write);
  write.kind = SEREUS_WRITE_PUT;
  write.key = key;
  CHECK_STATUS(sereus_close(node), expected);
  CHECK_STATUS(sereus_suspend(node, 1), expected);
  CHECK_STATUS(sereus_resume(node), expected);
  CHECK_STATUS(sereus_set_online(node, 1, &id), expected);
  CHECK_STATUS(sereus_poll(node, &event), expected);
  CHECK_STATUS(sereus_wait(node, 0, &event), expected);
  CHECK_STATUS(sereus_on_wake(node, NULL, NULL), expected);
  CHECK_STATUS(sereus_on_event(node, NULL, NULL), expected);
  CHECK_STATUS(sereus_step(node, &now, &next), expected);
  CHECK_STATUS(sereus_cancel(node, 1), expected);
  CHECK_STATUS(sereus_identity_create(node, NULL, &id), expected);
  CHECK_STATUS(sereus_identity_backup(node, key, &id), expected);
  CHECK_STATUS(sereus_identity_restore(node, key, key, NULL, &id), expected);
  CHECK_STATUS(sereus_passphrase_change(node, key, key, &id), expected);
  CHECK_STATUS(sereus_erase(node, "erase everything", &id), expected);
  CHECK_STATUS(sereus_store_create(node, 0, "s", &id), expected);
  CHECK_STATUS(sereus_store_open(node, "s", &id), expected);
  CHECK_STATUS(sereus_store_delete(node, 1, &id), expected);
  CHECK_STATUS(sereus_store_drop(node, 1, &id), expected);
  CHECK_STATUS(sereus_store_put(node, 1, key, key, &id), expected);
  CHECK_STATUS(sereus_store_remove(node, 1, key, &id), expected);
  CHECK_STATUS(sereus_store_write(node, 1, &write, 1, &id), expected);
  CHECK_STATUS(sereus_store_get(node, 1, key, &rows), expected);
  CHECK_STATUS(sereus_store_heads(node, 1, key, &rows), expected);
  CHECK_STATUS(sereus_store_list(node, 1, none, none, 0, 0, &rows), expected);
  CHECK_STATUS(sereus_store_watch(node, 1, none, 0, 0, &id), expected);
  CHECK_STATUS(sereus_store_verify(node, 1, &id), expected);
  CHECK_STATUS(sereus_invite_create(node, NULL, &id), expected);
  CHECK_STATUS(sereus_invite_revoke(node, "i", &id), expected);
  CHECK_STATUS(sereus_join(node, "i", &id), expected);
  CHECK_STATUS(sereus_peer_remove(node, "p", &id), expected);
  CHECK_STATUS(sereus_peer_add_address(node, "p", "a", &id), expected);
  CHECK_STATUS(sereus_sync(node, 0, NULL, &id), expected);
  CHECK_STATUS(sereus_info(node, &rows), expected);
  CHECK_STATUS(sereus_stores(node, &rows), expected);
  CHECK_STATUS(sereus_peers(node, &rows), expected);
  CHECK_STATUS(sereus_invites(node, &rows), expected);
  CHECK_STATUS(sereus_store_state_digest(node, 1, &rows), expected);
  CHECK(event == NULL && rows == NULL && id == 0);
  sereus_unref(node);
}

/* Nowhere to put the result. */
static void check_no_place(sereus_node* node) {
  sereus_bytes key = bytes_of("k");
  CHECK_STATUS(sereus_set_online(node, 1, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_poll(node, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_wait(node, 0, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_identity_create(node, NULL, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_identity_backup(node, key, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_identity_restore(node, key, key, NULL, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_passphrase_change(node, key, key, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_erase(node, "erase everything", NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_create(node, 0, "s", NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_open(node, "s", NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_delete(node, 1, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_drop(node, 1, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_put(node, 1, key, key, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_remove(node, 1, key, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_write(node, 1, NULL, 1, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_get(node, 1, key, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_heads(node, 1, key, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_list(node, 1, none, none, 0, 0, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_watch(node, 1, none, 0, 0, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_verify(node, 1, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_invite_create(node, NULL, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_invite_revoke(node, "i", NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_join(node, "i", NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_peer_remove(node, "p", NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_peer_add_address(node, "p", "a", NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_sync(node, 0, NULL, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_info(node, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_stores(node, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_peers(node, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_invites(node, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_state_digest(node, 1, NULL), SEREUS_E_INVALID);
}

static void check_texts(sereus_node* node) {
  sereus_id op = 1;
  CHECK_STATUS(sereus_store_create(node, 0, NULL, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_create(node, 0, "", &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_create(node, 0, not_utf8, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_create(node, 0, long_text, &op), SEREUS_E_TOO_LARGE);
  CHECK_STATUS(sereus_store_open(node, NULL, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_open(node, not_utf8, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_erase(node, NULL, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_invite_revoke(node, NULL, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_join(node, NULL, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_join(node, "", &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_join(node, long_text, &op), SEREUS_E_TOO_LARGE);
  CHECK_STATUS(sereus_peer_remove(node, NULL, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_peer_add_address(node, NULL, "a", &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_peer_add_address(node, "p", NULL, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_sync(node, 0, not_utf8, &op), SEREUS_E_INVALID);
  CHECK_EQUAL(op, 0);
}

static void check_bytes(sereus_node* node) {
  sereus_id op = 1;
  sereus_rows* rows = NULL;
  sereus_bytes key = bytes_of("k"), large = bytes_at(long_text, 5000);
  CHECK_STATUS(sereus_store_put(node, 1, none, key, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_put(node, 1, dangling, key, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_put(node, 1, key, dangling, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_remove(node, 1, dangling, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_get(node, 1, dangling, &rows), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_get(node, 1, large, &rows), SEREUS_E_TOO_LARGE);
  CHECK_STATUS(sereus_store_list(node, 1, dangling, none, 0, 0, &rows), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_list(node, 1, none, dangling, 0, 0, &rows), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_list(node, 1, none, none, 0, 0x80, &rows), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_watch(node, 1, dangling, 0, 0, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_identity_backup(node, dangling, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_identity_backup(node, none, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_identity_backup(node, large, &op), SEREUS_E_TOO_LARGE);
  CHECK_STATUS(sereus_identity_restore(node, dangling, key, NULL, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_identity_restore(node, none, key, NULL, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_identity_restore(node, key, none, NULL, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_passphrase_change(node, dangling, none, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_write(node, 1, NULL, 3, &op), SEREUS_E_INVALID);
  CHECK(rows == NULL && op == 0);
}

/* No store is called so. */
static void check_ids(sereus_node* node) {
  static const sereus_id unknown[] = {0, 999999, UINT64_MAX};
  sereus_bytes key = bytes_of("k");
  size_t i;
  for (i = 0; i < sizeof unknown / sizeof *unknown; ++i) {
    const sereus_id store = unknown[i];
    sereus_rows* rows = NULL;
    sereus_id op = 0;
    sereus_status status;
    CHECK_STATUS(sereus_store_get(node, store, key, &rows), SEREUS_E_NOT_FOUND);
    CHECK_STATUS(sereus_store_heads(node, store, key, &rows), SEREUS_E_NOT_FOUND);
    CHECK_STATUS(sereus_store_list(node, store, none, none, 0, 0, &rows), SEREUS_E_NOT_FOUND);
    CHECK_STATUS(sereus_store_state_digest(node, store, &rows), SEREUS_E_NOT_FOUND);
    CHECK_STATUS(sereus_cancel(node, store), SEREUS_E_NOT_FOUND);
    status = sereus_store_put(node, store, key, key, &op);
    CHECK_STATUS(status == SEREUS_OK ? wait_status(node, op) : status, SEREUS_E_NOT_FOUND);
    status = sereus_store_delete(node, store, &op);
    CHECK_STATUS(status == SEREUS_OK ? wait_status(node, op) : status, SEREUS_E_NOT_FOUND);
    status = sereus_store_drop(node, store, &op);
    CHECK_STATUS(status == SEREUS_OK ? wait_status(node, op) : status, SEREUS_E_NOT_FOUND);
    status = sereus_store_verify(node, store, &op);
    CHECK_STATUS(status == SEREUS_OK ? wait_status(node, op) : status, SEREUS_E_NOT_FOUND);
    status = sereus_store_watch(node, store, none, 0, 0, &op);
    CHECK_STATUS(status == SEREUS_OK ? wait_status(node, op) : status, SEREUS_E_NOT_FOUND);
  }
}

static void check_config(void) {
  sereus_config config = test_config(fresh_path("config"));
  struct {
    sereus_config known;
    uint64_t more[4];
  } newer;
  sereus_node* node = NULL;
  char detail[128];
  CHECK_STATUS(sereus_open(NULL, &node), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_open(&config, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_open_detailed(&config, NULL, NULL, 0), SEREUS_E_INVALID);
  config.size = 0;
  CHECK_STATUS(sereus_open_detailed(&config, &node, detail, sizeof detail), SEREUS_E_INVALID);
  CHECK(strstr(detail, "size") != NULL);
  config.size = 1000000;
  CHECK_STATUS(sereus_open(&config, &node), SEREUS_E_INVALID);
  config = test_config("");
  CHECK_STATUS(sereus_open_detailed(&config, &node, detail, sizeof detail), SEREUS_E_INVALID);
  CHECK(strstr(detail, "data_folder") != NULL);
  config = test_config(NULL); /* in memory: there is none to be found */
  config.flags |= SEREUS_OPEN_EXISTING;
  CHECK_STATUS(sereus_open(&config, &node), SEREUS_E_INVALID);
  config = test_config(not_utf8);
  CHECK_STATUS(sereus_open(&config, &node), SEREUS_E_INVALID);
  config = test_config("/proc/no/such/place");
  CHECK(sereus_open_detailed(&config, &node, detail, sizeof detail) != SEREUS_OK);
  CHECK(detail[0] != '\0');
  config = test_config(fresh_path("config"));
  config.flags |= 0x40000000u;
  CHECK_STATUS(sereus_open(&config, &node), SEREUS_E_UNSUPPORTED);
  config = test_config(fresh_path("config"));
  config.log_level = 99;
  CHECK_STATUS(sereus_open(&config, &node), SEREUS_E_INVALID);
  config = test_config(fresh_path("config"));
  config.listen_count = 1;
  CHECK_STATUS(sereus_open(&config, &node), SEREUS_E_INVALID);
  config = test_config(fresh_path("config"));
  config.event_queue_max = UINT32_MAX;
  CHECK_STATUS(sereus_open(&config, &node), SEREUS_E_INVALID);
  config = test_config(fresh_path("config"));
  config.passphrase = dangling;
  CHECK_STATUS(sereus_open(&config, &node), SEREUS_E_INVALID);
  CHECK(node == NULL);

  /* A program built with a newer header: fine while it asks for nothing that we do not know. */
  memset(&newer, 0, sizeof newer);
  newer.known = test_config(fresh_path("newer"));
  newer.known.size = sizeof newer;
  newer.more[2] = 1;
  CHECK_STATUS(sereus_open(&newer.known, &node), SEREUS_E_UNSUPPORTED);
  newer.more[2] = 0;
  CHECK_STATUS(sereus_open(&newer.known, &node), SEREUS_OK);
  sereus_unref(node);
}

static void check_options(sereus_node* node) {
  sereus_identity_options identity = SEREUS_INIT(sereus_identity_options);
  sereus_invite_options invite = SEREUS_INIT(sereus_invite_options);
  sereus_id op = 1;
  identity.size = 3;
  CHECK_STATUS(sereus_identity_create(node, &identity, &op), SEREUS_E_INVALID);
  identity.size = sizeof identity;
  identity.name = not_utf8;
  CHECK_STATUS(sereus_identity_create(node, &identity, &op), SEREUS_E_INVALID);
  invite.size = 0;
  CHECK_STATUS(sereus_invite_create(node, &invite, &op), SEREUS_E_INVALID);
  invite.size = sizeof invite;
  invite.role = 77;
  CHECK_STATUS(sereus_invite_create(node, &invite, &op), SEREUS_E_INVALID);
  CHECK_EQUAL(op, 0);
}

/* Structs that are said to be shorter than any version of them, in memory that is no longer than they say. */
static void check_short_structs(sereus_node* node) {
  const size_t shortest = offsetof(sereus_config, operations_max) + sizeof(uint32_t);
  size_t size;
  for (size = sizeof(size_t); size < shortest; ++size) {
    sereus_config full = test_config("/never/made");
    sereus_config* config = malloc(size);
    sereus_node* none_opened = NULL;
    REQUIRE(config != NULL);
    full.size = size;
    memcpy(config, &full, size);
    CHECK_STATUS(sereus_open(config, &none_opened), SEREUS_E_INVALID);
    CHECK(none_opened == NULL);
    free(config);
  }
  for (size = sizeof(size_t); size < sizeof(sereus_invite_options); size += 4) {
    sereus_invite_options full = SEREUS_INIT(sereus_invite_options);
    sereus_invite_options* options = malloc(size);
    sereus_id op = 1;
    REQUIRE(options != NULL);
    full.size = size;
    memcpy(options, &full, size);
    CHECK_STATUS(sereus_invite_create(node, options, &op), SEREUS_E_INVALID);
    CHECK_EQUAL(op, 0);
    free(options);
  }
}

static void check_accessors(void) {
  CHECK_EQUAL(sereus_event_kind(NULL), 0);
  CHECK_EQUAL(sereus_event_op(NULL), 0);
  CHECK_STATUS(sereus_event_status(NULL), SEREUS_E_INVALID);
  CHECK(sereus_event_done(NULL) == NULL && sereus_event_dropped(NULL) == NULL && sereus_event_listening(NULL) == NULL);
  CHECK(sereus_event_peer(NULL) == NULL && sereus_event_store(NULL) == NULL && sereus_event_store_change(NULL) == NULL);
  CHECK(sereus_event_watch_reset(NULL) == NULL && sereus_event_sync_progress(NULL) == NULL);
  CHECK(sereus_event_clock_suspect(NULL) == NULL && sereus_event_fork(NULL) == NULL);
  CHECK_EQUAL(sereus_rows_count(NULL), 0);
  CHECK(sereus_rows_item(NULL, 0) == NULL && sereus_rows_head(NULL, 0) == NULL && sereus_rows_info(NULL, 0) == NULL);
  CHECK(sereus_rows_store(NULL, 0) == NULL && sereus_rows_peer(NULL, 0) == NULL && sereus_rows_invite(NULL, 0) == NULL);
  sereus_event_free(NULL);
  sereus_rows_free(NULL);
  sereus_unref(NULL);
}

static void check_names(void) {
  sereus_status status;
  for (status = 0; status >= SEREUS_E_PENDING; --status) {
    CHECK(strncmp(sereus_status_name(status), status == 0 ? "SEREUS_OK" : "SEREUS_E_", 9) == 0);
    CHECK(strcmp(sereus_status_name(status), "SEREUS_E_UNKNOWN") != 0);
    CHECK(sereus_status_meaning(status)[0] != '\0');
  }
  CHECK(strcmp(sereus_status_name(-12345), "SEREUS_E_UNKNOWN") == 0);
  CHECK(strcmp(sereus_status_name(7), "SEREUS_E_UNKNOWN") == 0);
  CHECK(strcmp(sereus_status_name(INT32_MIN), "SEREUS_E_UNKNOWN") == 0);
  CHECK(strcmp(sereus_version(), "0.1.0") == 0);
}

int main(void) {
  static int object;
  sereus_node* node;
  memset(long_text, 'x', sizeof long_text - 1);
  check_names();
  check_accessors();
  check_config();
  check_node(NULL, SEREUS_E_INVALID);
  check_node((sereus_node*)(void*)&object, SEREUS_E_INVALID);
  node = open_with_identity(fresh_path("arguments"));
  check_no_place(node);
  check_texts(node);
  check_bytes(node);
  check_ids(node);
  check_options(node);
  check_short_structs(node);
  sereus_unref(node);
  check_node(node, SEREUS_E_CLOSED); /* given up */
  return finish_tests();
}
