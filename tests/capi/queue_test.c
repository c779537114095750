/* The queue's bounds: AGAIN when there is no room for another DONE, DROPPED for other events, watches that wait. */
#include "support.h"

static void check_again(void) {
  sereus_config config = test_config(fresh_path("again"));
  sereus_node* node;
  sereus_id op = 0, store, ops[8];
  sereus_event* event;
  int i, done = 0;
  config.operations_max = 8;
  node = open_node(&config);
  CHECK_STATUS(sereus_identity_create(node, NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  store = create_store(node, "s");
  for (i = 0; i < 8; ++i) CHECK_STATUS(sereus_store_put(node, store, bytes_of("k"), bytes_of("v"), &ops[i]), SEREUS_OK);
  /* Eight rooms are taken, whether their DONEs wait in the queue or are yet to come. */
  op = 7;
  CHECK_STATUS(sereus_store_put(node, store, bytes_of("k"), bytes_of("v"), &op), SEREUS_E_AGAIN);
  CHECK_EQUAL(op, 0);
  sleep_ms(200);
  CHECK_STATUS(sereus_store_put(node, store, bytes_of("k"), bytes_of("v"), &op), SEREUS_E_AGAIN);
  CHECK_STATUS(wait_status(node, ops[0]), SEREUS_OK);
  CHECK_STATUS(sereus_store_put(node, store, bytes_of("k"), bytes_of("w"), &op), SEREUS_OK);
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  while ((event = next_event(node)) != NULL) {
    const uint32_t kind = sereus_event_kind(event);
    done += kind == SEREUS_EVENT_DONE;
    sereus_event_free(event);
    if (kind == SEREUS_EVENT_CLOSED) break;
  }
  CHECK_EQUAL(done, 8); /* none is lost */
  sereus_unref(node);
}

/* A queue of 4 events and a watch over 500 changes: it waits for room and tells each once, in order. */
static void check_watch_waits(void) {
  sereus_config config = test_config(fresh_path("waits"));
  sereus_node* node;
  sereus_id op = 0, store, watch = 0;
  sereus_event* event;
  uint64_t last = 0;
  char key[16];
  int i, changes = 0, dropped = 0;
  config.event_queue_max = 4;
  node = open_node(&config);
  CHECK_STATUS(sereus_identity_create(node, NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  store = create_store(node, "s");
  for (i = 0; i < 500; ++i) {
    snprintf(key, sizeof key, "key%d", i);
    CHECK_STATUS(sereus_store_put(node, store, bytes_of(key), bytes_of("v"), &op), SEREUS_OK);
  }
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_store_watch(node, store, bytes_of("key"), SEREUS_WATCH_ALL, 0, &watch), SEREUS_OK);
  while (changes < 500 && (event = next_event(node)) != NULL) {
    const sereus_store_change* change = sereus_event_store_change(event);
    if (change != NULL) {
      snprintf(key, sizeof key, "key%d", changes);
      if (!is_text(change->key, key) || change->sequence <= last) break;
      last = change->sequence;
      ++changes;
    }
    dropped += sereus_event_dropped(event) != NULL;
    sereus_event_free(event);
  }
  CHECK_EQUAL(changes, 500);
  sereus_unref(node);
  (void)dropped;
}

/* Takes everything; STORE events and what DROPPED tells of. */
static void drain(sereus_node* node, uint64_t* stores, uint64_t* dropped) {
  sereus_event* event = NULL;
  *stores = *dropped = 0;
  do {
    CHECK_STATUS(sereus_poll(node, &event), SEREUS_OK);
    *stores += sereus_event_store(event) != NULL;
    if (sereus_event_dropped(event) != NULL) *dropped += sereus_event_dropped(event)->count;
    sereus_event_free(event);
  } while (event != NULL);
}

static size_t count_stores(sereus_node* node) {
  sereus_rows* rows = NULL;
  size_t count = 0;
  if (sereus_stores(node, &rows) == SEREUS_OK) count = sereus_rows_count(rows);
  sereus_rows_free(rows);
  return count;
}

/* STORE events (one for each store made) with room for one: the rest are counted. */
static void check_dropped(void) {
  sereus_config config = test_config(fresh_path("dropped"));
  sereus_node* node;
  sereus_id op = 0;
  uint64_t stores = 0, dropped = 0;
  int i;
  config.event_queue_max = 1;
  node = open_node(&config);
  CHECK_STATUS(sereus_identity_create(node, NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  for (i = 0; i < 20; ++i) CHECK_STATUS(sereus_store_create(node, 0, "s", &op), SEREUS_OK);
  for (i = 0; i < 400 && count_stores(node) < 21; ++i) sleep_ms(50); /* the root store as well */
  sleep_ms(100);
  drain(node, &stores, &dropped);
  CHECK_EQUAL(stores, 1);
  CHECK_EQUAL(dropped, 20);
  /* There is room again, and the next loss is counted anew. */
  for (i = 0; i < 3; ++i) CHECK_STATUS(sereus_store_create(node, 0, "s", &op), SEREUS_OK);
  for (i = 0; i < 400 && count_stores(node) < 24; ++i) sleep_ms(50);
  sleep_ms(100);
  drain(node, &stores, &dropped);
  CHECK_EQUAL(stores, 1);
  CHECK_EQUAL(dropped, 2);
  drain(node, &stores, &dropped);
  CHECK_EQUAL(stores + dropped, 0);
  sereus_unref(node);
}

int main(void) {
  check_again();
  check_watch_waits();
  check_dropped();
  return finish_tests();
}
