/* Two nodes in one process keep a store in step over QUIC on the loopback interface. */
#include "support.h"

static sereus_node* open_online(const char* folder) {
  static const char* const listen[] = {"/ip4/127.0.0.1/udp/0/quic-v1"};
  sereus_config config = test_config(folder);
  sereus_node* node;
  sereus_id op = 0;
  sereus_status status;
  config.flags &= ~SEREUS_OPEN_OFFLINE;
  config.listen = listen;
  config.listen_count = 1;
  node = open_node(&config);
  CHECK_STATUS(sereus_identity_create(node, NULL, &op), SEREUS_OK);
  status = wait_status(node, op);
  CHECK(status == SEREUS_OK || status == SEREUS_E_EXISTS);
  return node;
}

/* Waits until a read on `node` gives `value`. */
static int becomes(sereus_node* node, sereus_id store, const char* key, const char* value) {
  uint64_t deadline = now_ms() + 20000;
  while (!holds(node, store, key, value)) {
    if (now_ms() >= deadline) return 0;
    sleep_ms(5);
  }
  return 1;
}

static sereus_id wait_store(sereus_node* node, const char* name) {
  uint64_t deadline = now_ms() + 20000;
  sereus_id store = 0;
  while (sereus_store_open(node, name, &store) != SEREUS_OK && now_ms() < deadline) sleep_ms(5);
  return store;
}

static void check_equal_digests(sereus_node* a, sereus_id store_a, sereus_node* b, sereus_id store_b) {
  sereus_rows *rows_a = NULL, *rows_b = NULL;
  CHECK_STATUS(sereus_store_state_digest(a, store_a, &rows_a), SEREUS_OK);
  CHECK_STATUS(sereus_store_state_digest(b, store_b, &rows_b), SEREUS_OK);
  CHECK(rows_a != NULL && rows_b != NULL &&
        memcmp(sereus_rows_head(rows_a, 0)->value.data, sereus_rows_head(rows_b, 0)->value.data, 32) == 0);
  sereus_rows_free(rows_a);
  sereus_rows_free(rows_b);
}

static size_t count_heads(sereus_node* node, sereus_id store, const char* key) {
  sereus_rows* rows = NULL;
  size_t count = 0;
  if (sereus_store_heads(node, store, bytes_of(key), &rows) == SEREUS_OK) count = sereus_rows_count(rows);
  sereus_rows_free(rows);
  return count;
}

int main(void) {
  sereus_node *alice = open_online(fresh_path("alice")), *bob = open_online(fresh_path("bob"));
  sereus_id store = create_store(alice, "notes"), theirs, op = 0;
  sereus_invite_options options = SEREUS_INIT(sereus_invite_options);
  sereus_rows* rows = NULL;
  sereus_done done;
  char invite[4096];
  int i;
  CHECK_STATUS(put(alice, store, "hello", "from alice"), SEREUS_OK);
  CHECK_STATUS(sereus_invite_create(alice, &options, &op), SEREUS_OK);
  REQUIRE(wait_text(alice, op, invite, sizeof invite));
  CHECK_STATUS(sereus_invites(alice, &rows), SEREUS_OK);
  CHECK_EQUAL(sereus_rows_count(rows), 1);
  CHECK(sereus_rows_invite(rows, 0) != NULL && sereus_rows_invite(rows, 0)->uses_left == 1);
  sereus_rows_free(rows);

  CHECK_STATUS(sereus_join(bob, "not an invite", &op), SEREUS_OK);
  CHECK(wait_status(bob, op) != SEREUS_OK);
  CHECK_STATUS(sereus_join(bob, invite, &op), SEREUS_OK);
  done = wait_done(bob, op);
  CHECK_STATUS(done.status, SEREUS_OK);
  theirs = wait_store(bob, "notes");
  REQUIRE(theirs != 0);
  CHECK(becomes(bob, theirs, "hello", "from alice"));

  for (i = 0; i < 50; ++i) {
    char key[16];
    snprintf(key, sizeof key, "key%d", i);
    CHECK_STATUS(sereus_store_put(bob, theirs, bytes_of(key), bytes_of("from bob"), &op), SEREUS_OK);
  }
  CHECK_STATUS(wait_status(bob, op), SEREUS_OK);
  CHECK(becomes(alice, store, "key49", "from bob"));
  CHECK_STATUS(sereus_sync(bob, 0, NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(bob, op), SEREUS_OK);
  check_equal_digests(alice, store, bob, theirs);

  CHECK_STATUS(sereus_peers(alice, &rows), SEREUS_OK);
  CHECK_EQUAL(sereus_rows_count(rows), 2);
  sereus_rows_free(rows);
  CHECK_STATUS(sereus_info(alice, &rows), SEREUS_OK);
  CHECK(sereus_rows_info(rows, 0) != NULL && sereus_rows_info(rows, 0)->connections >= 1);
  CHECK(sereus_rows_info(rows, 0) != NULL && sereus_rows_info(rows, 0)->bytes_received > 0);
  CHECK(sereus_rows_info(rows, 0) != NULL && strstr(sereus_rows_info(rows, 0)->addresses, "/udp/") != NULL);
  sereus_rows_free(rows);

  /* Cut off from each other, both write the same key; afterwards both heads are there, and the winner is the same. */
  CHECK_STATUS(sereus_set_online(bob, 0, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(bob, op), SEREUS_OK);
  CHECK_STATUS(put(alice, store, "both", "a"), SEREUS_OK);
  sleep_ms(20); /* within one millisecond the counter of the clock would decide, or the author */
  CHECK_STATUS(put(bob, theirs, "both", "b"), SEREUS_OK);
  CHECK_STATUS(sereus_set_online(bob, 1, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(bob, op), SEREUS_OK);
  CHECK(becomes(alice, store, "both", "b"));
  for (i = 0; i < 400 && count_heads(bob, theirs, "both") != 2; ++i) sleep_ms(25);
  CHECK_EQUAL(count_heads(alice, store, "both"), 2);
  CHECK_EQUAL(count_heads(bob, theirs, "both"), 2);
  CHECK(holds(bob, theirs, "both", "b"));
  CHECK_STATUS(put(alice, store, "both", "merged"), SEREUS_OK);
  CHECK(becomes(bob, theirs, "both", "merged"));
  CHECK_EQUAL(count_heads(bob, theirs, "both"), 1);

  CHECK_STATUS(sereus_close(alice), SEREUS_OK);
  CHECK(wait_closed(alice));
  sereus_unref(alice);
  sereus_unref(bob);
  return finish_tests();
}
