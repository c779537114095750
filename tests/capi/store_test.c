/* Stores: put, get, list, heads, transactions, limits, watches, over a restart. */
#include "support.h"

static char big[SEREUS_VALUE_SIZE_MAX + 1];

static void check_reads(sereus_node* node, sereus_id store) {
  sereus_rows* rows = NULL;
  const sereus_item* item;
  CHECK_STATUS(put(node, store, "fruit/apple", "red"), SEREUS_OK);
  CHECK_STATUS(put(node, store, "fruit/pear", "green"), SEREUS_OK);
  CHECK_STATUS(put(node, store, "tree/oak", "old"), SEREUS_OK);
  CHECK(holds(node, store, "fruit/apple", "red"));

  CHECK_STATUS(sereus_store_list(node, store, bytes_of("fruit/"), bytes_of(""), 0, 0, &rows), SEREUS_OK);
  CHECK_EQUAL(sereus_rows_count(rows), 2);
  item = sereus_rows_item(rows, 0);
  REQUIRE(item != NULL);
  CHECK(is_text(item->key, "fruit/apple"));
  CHECK_EQUAL(item->size, sizeof *item);
  CHECK_EQUAL(item->value.size, 0);
  CHECK_EQUAL(item->value_size, 3);
  CHECK_EQUAL(item->heads, 1);
  CHECK_EQUAL(item->author.size, 32);
  CHECK(item->hlc_wall_ms != 0);
  CHECK(sereus_rows_item(rows, 2) == NULL);
  CHECK(sereus_rows_head(rows, 0) == NULL);
  CHECK(sereus_rows_info(rows, 0) == NULL);
  sereus_rows_free(rows);

  CHECK_STATUS(sereus_store_list(node, store, bytes_of(""), bytes_of("fruit/apple"), 1, SEREUS_LIST_VALUES, &rows),
               SEREUS_OK);
  CHECK_EQUAL(sereus_rows_count(rows), 1);
  item = sereus_rows_item(rows, 0);
  CHECK(item != NULL && is_text(item->key, "fruit/pear") && is_text(item->value, "green"));
  sereus_rows_free(rows);

  CHECK_STATUS(sereus_store_get(node, store, bytes_of("no such key"), &rows), SEREUS_E_NOT_FOUND);
  CHECK(rows == NULL);
}

static void check_removal_and_heads(sereus_node* node, sereus_id store) {
  sereus_id op = 0;
  sereus_rows* rows = NULL;
  const sereus_head* head;
  CHECK_STATUS(sereus_store_remove(node, store, bytes_of("tree/oak"), &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_store_get(node, store, bytes_of("tree/oak"), &rows), SEREUS_E_NOT_FOUND);
  CHECK_STATUS(sereus_store_heads(node, store, bytes_of("tree/oak"), &rows), SEREUS_OK);
  CHECK_EQUAL(sereus_rows_count(rows), 1);
  head = sereus_rows_head(rows, 0);
  REQUIRE(head != NULL);
  CHECK_EQUAL(head->deleted, 1);
  CHECK_EQUAL(head->hash.size, 32);
  CHECK_EQUAL(head->author.size, 32);
  CHECK(head->seq > 0);
  sereus_rows_free(rows);
}

static void check_transactions(sereus_node* node, sereus_id store) {
  sereus_write writes[3];
  sereus_id op = 0;
  sereus_done done;
  sereus_rows *first = NULL, *second = NULL;
  memset(writes, 0, sizeof writes);
  writes[0].kind = SEREUS_WRITE_PUT;
  writes[0].key = bytes_of("pair/a");
  writes[0].value = bytes_of("1");
  writes[1].kind = SEREUS_WRITE_PUT;
  writes[1].key = bytes_of("pair/b");
  writes[1].value = bytes_of("2");
  writes[2].kind = SEREUS_WRITE_REMOVE;
  writes[2].key = bytes_of("fruit/pear");
  CHECK_STATUS(sereus_store_write(node, store, writes, 3, &op), SEREUS_OK);
  done = wait_done(node, op);
  CHECK_STATUS(done.status, SEREUS_OK);
  CHECK_EQUAL(done.data.size, 32);
  CHECK(done.count > 0);
  CHECK(holds(node, store, "pair/a", "1") && holds(node, store, "pair/b", "2"));
  CHECK_STATUS(sereus_store_heads(node, store, bytes_of("pair/a"), &first), SEREUS_OK);
  CHECK_STATUS(sereus_store_heads(node, store, bytes_of("pair/b"), &second), SEREUS_OK);
  CHECK(sereus_rows_head(first, 0) != NULL && sereus_rows_head(second, 0) != NULL);
  CHECK(memcmp(sereus_rows_head(first, 0)->hash.data, sereus_rows_head(second, 0)->hash.data, 32) == 0);
  sereus_rows_free(first);
  sereus_rows_free(second);

  writes[1].key = bytes_of("pair/a"); /* twice in one */
  CHECK_STATUS(sereus_store_write(node, store, writes, 2, &op), SEREUS_E_INVALID);
  CHECK(holds(node, store, "pair/a", "1"));
  writes[0].kind = 99;
  CHECK_STATUS(sereus_store_write(node, store, writes, 1, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_write(node, store, writes, 0, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_store_write(node, store, writes, SEREUS_TRANSACTION_OPS_MAX + 1, &op), SEREUS_E_TOO_LARGE);
}

static void check_limits(sereus_node* node, sereus_id store) {
  sereus_id op = 0;
  sereus_rows* rows = NULL;
  memset(big, 'x', sizeof big);
  CHECK_STATUS(sereus_store_put(node, store, bytes_of("big"), bytes_at(big, SEREUS_VALUE_SIZE_MAX), &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_store_get(node, store, bytes_of("big"), &rows), SEREUS_OK);
  CHECK(rows != NULL && sereus_rows_head(rows, 0)->value.size == SEREUS_VALUE_SIZE_MAX);
  sereus_rows_free(rows);
  CHECK_STATUS(sereus_store_put(node, store, bytes_of("big"), bytes_at(big, SEREUS_VALUE_SIZE_MAX + 1), &op),
               SEREUS_E_TOO_LARGE);
  CHECK_STATUS(sereus_store_put(node, store, bytes_at(big, SEREUS_KEY_SIZE_MAX), bytes_of("v"), &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_store_put(node, store, bytes_at(big, SEREUS_KEY_SIZE_MAX + 1), bytes_of("v"), &op),
               SEREUS_E_TOO_LARGE);
  CHECK_STATUS(sereus_store_put(node, store, bytes_of(""), bytes_of("v"), &op), SEREUS_E_INVALID);
  CHECK_EQUAL(op, 0);
}

/* The limits hold wherever a key or a value goes in; what is refused is not written in part. */
static void check_limits_everywhere(sereus_node* node, sereus_id store) {
  const sereus_bytes longest = bytes_at(big, SEREUS_KEY_SIZE_MAX), too_long = bytes_at(big, SEREUS_KEY_SIZE_MAX + 1);
  sereus_write writes[2];
  sereus_id op = 1;
  sereus_rows* rows = NULL;
  memset(big, 'x', sizeof big);
  CHECK_STATUS(sereus_store_remove(node, store, too_long, &op), SEREUS_E_TOO_LARGE);
  CHECK_STATUS(sereus_store_get(node, store, too_long, &rows), SEREUS_E_TOO_LARGE);
  CHECK_STATUS(sereus_store_heads(node, store, too_long, &rows), SEREUS_E_TOO_LARGE);
  CHECK_STATUS(sereus_store_list(node, store, too_long, bytes_of(""), 0, 0, &rows), SEREUS_E_TOO_LARGE);
  CHECK_STATUS(sereus_store_list(node, store, bytes_of(""), too_long, 0, 0, &rows), SEREUS_E_TOO_LARGE);
  CHECK_STATUS(sereus_store_watch(node, store, too_long, 0, 0, &op), SEREUS_E_TOO_LARGE);
  CHECK(rows == NULL && op == 0);

  memset(writes, 0, sizeof writes);
  writes[0].kind = writes[1].kind = SEREUS_WRITE_PUT;
  writes[0].key = bytes_of("beside");
  writes[0].value = bytes_of("v");
  writes[1].key = too_long;
  writes[1].value = bytes_of("v");
  CHECK_STATUS(sereus_store_write(node, store, writes, 2, &op), SEREUS_E_TOO_LARGE);
  writes[1].kind = SEREUS_WRITE_REMOVE;
  writes[1].value = bytes_of("");
  CHECK_STATUS(sereus_store_write(node, store, writes, 2, &op), SEREUS_E_TOO_LARGE);
  writes[1].kind = SEREUS_WRITE_PUT;
  writes[1].key = bytes_of("large");
  writes[1].value = bytes_at(big, sizeof big);
  CHECK_STATUS(sereus_store_write(node, store, writes, 2, &op), SEREUS_E_TOO_LARGE);
  CHECK_EQUAL(op, 0);
  CHECK(!holds(node, store, "beside", "v"));

  CHECK_STATUS(sereus_store_remove(node, store, longest, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_store_heads(node, store, longest, &rows), SEREUS_OK);
  CHECK(sereus_rows_head(rows, 0) != NULL && sereus_rows_head(rows, 0)->deleted == 1);
  sereus_rows_free(rows);
}

/* Takes `count` changes of a watch; remembers where the last was. */
static size_t take_changes(sereus_node* node, sereus_id watch, size_t count, uint64_t* epoch, uint64_t* sequence) {
  size_t taken = 0;
  sereus_event* event;
  while (taken < count && (event = next_event(node)) != NULL) {
    const sereus_store_change* change = sereus_event_store_change(event);
    if (change != NULL && change->watch == watch) {
      ++taken;
      CHECK(change->sequence > *sequence || change->epoch != *epoch);
      CHECK_EQUAL(change->author.size, 32);
      CHECK_EQUAL(sereus_event_op(event), watch);
      *epoch = change->epoch;
      *sequence = change->sequence;
    }
    sereus_event_free(event);
  }
  return taken;
}

static void check_watch(const char* folder) {
  sereus_node* node = open_with_identity(folder);
  sereus_id store = 0, watch = 0;
  uint64_t epoch = 0, sequence = 0;
  sereus_event* event = NULL;
  CHECK_STATUS(sereus_store_open(node, "things", &store), SEREUS_OK);
  CHECK_STATUS(sereus_store_watch(node, store, bytes_of("w/"), SEREUS_WATCH_ALL, 0, &watch), SEREUS_OK);
  CHECK_STATUS(put(node, store, "other", "1"), SEREUS_OK);
  CHECK_STATUS(put(node, store, "w/1", "1"), SEREUS_OK);
  CHECK_EQUAL(take_changes(node, watch, 1, &epoch, &sequence), 1);
  CHECK_STATUS(sereus_cancel(node, watch), SEREUS_OK);
  CHECK_STATUS(wait_status(node, watch), SEREUS_E_CANCELLED);
  CHECK_STATUS(sereus_cancel(node, watch), SEREUS_E_NOT_FOUND);
  /* Written while nobody watches, then the process "ends". */
  CHECK_STATUS(put(node, store, "w/2", "2"), SEREUS_OK);
  CHECK_STATUS(put(node, store, "w/3", "3"), SEREUS_OK);
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK(wait_closed(node));
  sereus_unref(node);

  node = open_folder(folder);
  CHECK_STATUS(sereus_store_open(node, "things", &store), SEREUS_OK);
  CHECK_STATUS(sereus_store_watch(node, store, bytes_of("w/"), epoch, sequence, &watch), SEREUS_OK);
  CHECK_EQUAL(take_changes(node, watch, 2, &epoch, &sequence), 2);
  sleep_ms(50);
  CHECK_STATUS(sereus_poll(node, &event), SEREUS_OK);
  CHECK(event == NULL); /* nothing twice */
  sereus_event_free(event);
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK(wait_closed(node));
  sereus_unref(node);
}

static void check_watch_reset(const char* folder) {
  sereus_node* node;
  sereus_id store = 0, watch = 0;
  sereus_event* event;
  int reset = 0;
  node = open_folder(folder);
  CHECK_STATUS(sereus_store_open(node, "things", &store), SEREUS_OK);
  CHECK_STATUS(sereus_store_watch(node, store, bytes_of(""), 12345, 1, &watch), SEREUS_OK); /* an epoch never seen */
  event = next_event(node);
  if (event != NULL && sereus_event_watch_reset(event) != NULL) {
    reset = sereus_event_watch_reset(event)->watch == watch && sereus_event_watch_reset(event)->store == store;
  }
  CHECK(reset);
  sereus_event_free(event);
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK_STATUS(wait_status(node, watch), SEREUS_E_CANCELLED); /* closing ends a watch */
  CHECK(wait_closed(node));
  sereus_unref(node);
}

static void check_info(sereus_node* node, sereus_id store, const char* folder) {
  sereus_rows* rows = NULL;
  const sereus_node_info* info;
  const sereus_store_info* store_info = NULL;
  sereus_id found = 0;
  size_t i;
  CHECK_STATUS(sereus_info(node, &rows), SEREUS_OK);
  info = sereus_rows_info(rows, 0);
  REQUIRE(info != NULL);
  CHECK(strncmp(info->peer, "12D3Koo", 7) == 0);
  CHECK_EQUAL(strlen(info->party), 64);
  CHECK(strcmp(info->name, "device") == 0);
  CHECK(strcmp(info->data_folder, folder) == 0);
  CHECK_EQUAL(info->online, 0);
  CHECK_EQUAL(info->protected_keystore, 0);
  sereus_rows_free(rows);

  CHECK_STATUS(sereus_stores(node, &rows), SEREUS_OK);
  CHECK(sereus_rows_count(rows) >= 2); /* the root store as well */
  for (i = 0; i < sereus_rows_count(rows); ++i) {
    if (sereus_rows_store(rows, i)->store == store) store_info = sereus_rows_store(rows, i);
  }
  REQUIRE(store_info != NULL);
  CHECK(strcmp(store_info->name, "things") == 0);
  CHECK_EQUAL(strlen(store_info->uuid), 32);
  CHECK_EQUAL(store_info->state, SEREUS_STORE_ACTIVE);
  CHECK_EQUAL(store_info->digest.size, 16);
  CHECK(store_info->entries > 0 && store_info->keys > 0 && store_info->epoch != 0);
  CHECK_STATUS(sereus_store_open(node, store_info->uuid, &found), SEREUS_OK);
  CHECK(found == store);
  sereus_rows_free(rows);
  CHECK_STATUS(sereus_store_open(node, "no such store", &found), SEREUS_E_NOT_FOUND);

  CHECK_STATUS(sereus_store_state_digest(node, store, &rows), SEREUS_OK);
  CHECK(rows != NULL && sereus_rows_head(rows, 0) != NULL && sereus_rows_head(rows, 0)->value.size == 32);
  sereus_rows_free(rows);
  CHECK_STATUS(sereus_invites(node, &rows), SEREUS_OK);
  CHECK_EQUAL(sereus_rows_count(rows), 0);
  sereus_rows_free(rows);
}

static void check_verify_and_delete(sereus_node* node) {
  sereus_id store = create_store(node, "to go"), op = 0;
  CHECK_STATUS(put(node, store, "k", "v"), SEREUS_OK);
  CHECK_STATUS(sereus_store_verify(node, store, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_store_delete(node, store, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(put(node, store, "k", "w"), SEREUS_E_ARCHIVED);
  CHECK(holds(node, store, "k", "v"));
  CHECK_STATUS(sereus_store_drop(node, store, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK(!holds(node, store, "k", "v"));
  CHECK_STATUS(put(node, 0xdeadbeef, "k", "w"), SEREUS_E_NOT_FOUND);
}

int main(void) {
  const char* folder = fresh_path("store");
  sereus_node* node = open_with_identity(folder);
  sereus_id store = create_store(node, "things");
  check_reads(node, store);
  check_removal_and_heads(node, store);
  check_transactions(node, store);
  check_limits(node, store);
  check_limits_everywhere(node, store);
  check_info(node, store, folder);
  check_verify_and_delete(node);
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK(wait_closed(node));
  sereus_unref(node);
  check_watch(folder);
  check_watch_reset(folder);
  return finish_tests();
}
