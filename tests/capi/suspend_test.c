/* Suspend and resume; another process opens the folder meanwhile. */
#include "support.h"

static int child_writes(const char* folder) {
  sereus_node* node = open_folder(folder);
  sereus_id store = 0;
  CHECK_STATUS(sereus_store_open(node, "s", &store), SEREUS_OK);
  CHECK(holds(node, store, "before", "1"));
  CHECK_STATUS(put(node, store, "meanwhile", "2"), SEREUS_OK);
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK(wait_closed(node));
  sereus_unref(node);
  return finish_tests();
}

static int child_makes_a_store(const char* folder) {
  sereus_node* node = open_folder(folder);
  sereus_id store = create_store(node, "theirs");
  CHECK_STATUS(put(node, store, "k", "of another process"), SEREUS_OK);
  CHECK_STATUS(sereus_store_open(node, "s", &store), SEREUS_OK);
  CHECK_STATUS(put(node, store, "w/2", "meanwhile"), SEREUS_OK);
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK(wait_closed(node));
  sereus_unref(node);
  return finish_tests();
}

static int child_is_refused(const char* folder) {
  sereus_config config = test_config(folder);
  sereus_node* node = NULL;
  CHECK_STATUS(sereus_open(&config, &node), SEREUS_E_BUSY);
  return finish_tests();
}

static void check_suspend(void) {
  const char* folder = fresh_path("suspended");
  sereus_node *node = open_with_identity(folder), *other = NULL;
  sereus_config config = test_config(folder);
  sereus_id store = create_store(node, "s"), op = 0;
  sereus_rows* rows = NULL;
  CHECK_STATUS(put(node, store, "before", "1"), SEREUS_OK);
  CHECK_EQUAL(wait_child(start_child("refused", folder)), 0);

  CHECK_STATUS(sereus_resume(node), SEREUS_OK); /* nothing to do */
  CHECK_STATUS(sereus_suspend(node, 5000), SEREUS_OK);
  CHECK_STATUS(sereus_suspend(node, 5000), SEREUS_E_SUSPENDED);
  CHECK_STATUS(sereus_store_put(node, store, bytes_of("k"), bytes_of("v"), &op), SEREUS_E_SUSPENDED);
  CHECK_STATUS(sereus_store_get(node, store, bytes_of("before"), &rows), SEREUS_E_SUSPENDED);
  CHECK_STATUS(sereus_info(node, &rows), SEREUS_E_SUSPENDED);
  CHECK_EQUAL(wait_child(start_child("writes", folder)), 0);

  CHECK_STATUS(sereus_open(&config, &other), SEREUS_OK); /* held by another: resuming is refused, then works */
  CHECK_STATUS(sereus_resume(node), SEREUS_E_BUSY);
  CHECK_STATUS(sereus_info(node, &rows), SEREUS_E_SUSPENDED);
  CHECK_STATUS(sereus_close(other), SEREUS_OK);
  CHECK(wait_closed(other));
  sereus_unref(other);

  CHECK_STATUS(sereus_resume(node), SEREUS_OK);
  CHECK(holds(node, store, "before", "1")); /* under the same id */
  CHECK(holds(node, store, "meanwhile", "2"));
  CHECK_STATUS(put(node, store, "after", "3"), SEREUS_OK);
  CHECK_EQUAL(wait_child(start_child("refused", folder)), 0);

  CHECK_STATUS(sereus_suspend(node, 5000), SEREUS_OK); /* closed while suspended */
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK_STATUS(sereus_resume(node), SEREUS_E_CLOSED);
  CHECK(wait_closed(node));
  sereus_unref(node);
}

/* Suspending in the middle of writes and a watch: everything accepted is answered. */
static void check_suspend_busy(void) {
  const char* folder = fresh_path("busy");
  sereus_node* node = open_with_identity(folder);
  sereus_id store = create_store(node, "s"), op = 0, watch = 0;
  int accepted = 0, done = 0, i;
  sereus_event* event = NULL;
  CHECK_STATUS(sereus_store_watch(node, store, bytes_of(""), 0, 0, &watch), SEREUS_OK);
  for (i = 0; i < 500; ++i) accepted += sereus_store_put(node, store, bytes_of("k"), bytes_of("v"), &op) == SEREUS_OK;
  CHECK_EQUAL(accepted, 500);
  CHECK_STATUS(sereus_suspend(node, 10000), SEREUS_OK);
  CHECK_STATUS(sereus_resume(node), SEREUS_OK);
  while (done < 500 && (event = next_event(node)) != NULL) {
    if (sereus_event_done(event) != NULL && sereus_event_op(event) != watch) {
      CHECK_STATUS(sereus_event_status(event), SEREUS_OK);
      ++done;
    }
    sereus_event_free(event);
  }
  CHECK_EQUAL(done, 500);
  CHECK_STATUS(put(node, store, "k", "last"), SEREUS_OK);
  CHECK(holds(node, store, "k", "last"));
  sereus_unref(node);
}

/* The next change of a watch; 1 when it is that key and value, and no other event of the watch came before it. */
static int next_change(sereus_node* node, sereus_id watch, const char* key, const char* value, uint64_t* epoch,
                       uint64_t* sequence) {
  sereus_event* event;
  while ((event = next_event(node)) != NULL) {
    const sereus_store_change* change = sereus_event_store_change(event);
    const int ours = sereus_event_op(event) == watch;
    const int right = change != NULL && is_text(change->key, key) && is_text(change->value, value);
    if (ours && right) {
      *epoch = change->epoch;
      *sequence = change->sequence;
    }
    sereus_event_free(event);
    if (ours) return right;
  }
  return 0;
}

/* Ids of stores hold over suspending, also beside one that another process made; a watch ends, and another goes on where
 * it was. */
static void check_ids_and_watches(void) {
  const char* folder = fresh_path("ids");
  sereus_node* node = open_with_identity(folder);
  sereus_id first = create_store(node, "s"), second = create_store(node, "t"), theirs = 0, id = 0, op = 0, watch = 0;
  uint64_t epoch = 0, sequence = 0;
  sereus_event* event = NULL;
  int round;
  CHECK_STATUS(put(node, second, "k", "t's own"), SEREUS_OK);
  CHECK_STATUS(sereus_store_watch(node, first, bytes_of("w/"), SEREUS_WATCH_ALL, 0, &watch), SEREUS_OK);
  CHECK_STATUS(sereus_store_put(node, first, bytes_of("w/1"), bytes_of("before"), &op), SEREUS_OK);
  CHECK(next_change(node, watch, "w/1", "before", &epoch, &sequence));

  CHECK_STATUS(sereus_suspend(node, 5000), SEREUS_OK);
  CHECK_STATUS(wait_status(node, watch), SEREUS_E_CANCELLED); /* events are drained while suspended */
  CHECK_STATUS(sereus_cancel(node, watch), SEREUS_E_SUSPENDED);
  CHECK_EQUAL(wait_child(start_child("makes", folder)), 0);
  CHECK_STATUS(sereus_resume(node), SEREUS_OK);
  CHECK_STATUS(sereus_cancel(node, watch), SEREUS_E_NOT_FOUND);

  for (round = 0; round < 2; ++round) {
    CHECK_STATUS(sereus_store_open(node, "s", &id), SEREUS_OK);
    CHECK(id == first);
    CHECK_STATUS(sereus_store_open(node, "t", &id), SEREUS_OK);
    CHECK(id == second);
    CHECK(holds(node, first, "w/1", "before") && holds(node, second, "k", "t's own"));
    CHECK_STATUS(sereus_store_open(node, "theirs", &id), SEREUS_OK);
    CHECK(id != first && id != second && (round == 0 || id == theirs));
    theirs = id;
    CHECK(holds(node, theirs, "k", "of another process"));
    if (round == 0) {
      CHECK_STATUS(sereus_suspend(node, 5000), SEREUS_OK);
      CHECK_STATUS(sereus_resume(node), SEREUS_OK);
    }
  }

  CHECK_STATUS(sereus_store_watch(node, first, bytes_of("w/"), epoch, sequence, &watch), SEREUS_OK);
  CHECK(next_change(node, watch, "w/2", "meanwhile", &epoch, &sequence));
  CHECK_STATUS(sereus_store_put(node, first, bytes_of("w/3"), bytes_of("after"), &op), SEREUS_OK);
  CHECK(next_change(node, watch, "w/3", "after", &epoch, &sequence));
  CHECK_STATUS(sereus_cancel(node, watch), SEREUS_OK);
  CHECK_STATUS(wait_status(node, watch), SEREUS_E_CANCELLED);
  CHECK_STATUS(sereus_poll(node, &event), SEREUS_OK);
  CHECK(event == NULL); /* nothing twice */
  sereus_event_free(event);
  sereus_unref(node);
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "makes") == 0) return child_makes_a_store(argv[2]);
  if (argc == 3 && strcmp(argv[1], "writes") == 0) return child_writes(argv[2]);
  if (argc == 3 && strcmp(argv[1], "refused") == 0) return child_is_refused(argv[2]);
  check_suspend();
  check_suspend_busy();
  check_ids_and_watches();
  return finish_tests();
}
