/* Opening, closing and giving up in every order; who drains the queue; callbacks that close their own node. */
#include "support.h"

#include <pthread.h>
#include <unistd.h>

/* ---- Order ------------------------------------------------------------------------------------------------------- */

static void check_orders(void) {
  const char* folder = fresh_path("orders");
  sereus_node* node;
  sereus_event* event = NULL;
  sereus_id op = 0;
  int i;

  node = open_folder(folder); /* close, drain, unref */
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK_STATUS(sereus_close(node), SEREUS_E_CLOSED);
  CHECK_STATUS(sereus_identity_create(node, NULL, &op), SEREUS_E_CLOSED);
  CHECK_EQUAL(op, 0);
  CHECK(wait_closed(node));
  CHECK_STATUS(sereus_close(node), SEREUS_E_CLOSED);
  CHECK_STATUS(sereus_poll(node, &event), SEREUS_E_CLOSED);
  sereus_unref(node);
  CHECK_STATUS(sereus_poll(node, &event), SEREUS_E_CLOSED); /* a stale pointer is an error, not a crash */
  CHECK_STATUS(sereus_close(node), SEREUS_E_CLOSED);
  sereus_unref(node);

  for (i = 0; i < 20; ++i) { /* unref alone, with work under way; the folder is free again soon */
    sereus_config config = test_config(folder);
    uint64_t deadline = now_ms() + 10000;
    sereus_status status;
    node = NULL;
    while ((status = sereus_open(&config, &node)) == SEREUS_E_BUSY && now_ms() < deadline) sleep_ms(5);
    CHECK_STATUS(status, SEREUS_OK);
    if (i % 2 == 0) CHECK_STATUS(sereus_identity_create(node, NULL, &op), SEREUS_OK);
    if (i % 3 == 0) CHECK_STATUS(sereus_close(node), SEREUS_OK);
    sereus_unref(node);
  }
  sereus_unref(NULL);
  sereus_event_free(NULL);
  sereus_rows_free(NULL);
}

static void check_close_answers_all(void) {
  sereus_node* node = open_with_identity(fresh_path("answers"));
  sereus_id store = create_store(node, "s"), ops[200];
  sereus_event* event;
  int i, done = 0, closed = 0;
  for (i = 0; i < 200; ++i)
    CHECK_STATUS(sereus_store_put(node, store, bytes_of("k"), bytes_of("v"), &ops[i]), SEREUS_OK);
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  while (!closed && (event = next_event(node)) != NULL) {
    const sereus_done* is_done = sereus_event_done(event);
    if (is_done != NULL) {
      CHECK(is_done->status == SEREUS_OK || is_done->status == SEREUS_E_CANCELLED ||
            is_done->status == SEREUS_E_CLOSED);
      ++done;
    }
    closed = sereus_event_kind(event) == SEREUS_EVENT_CLOSED;
    sereus_event_free(event);
  }
  CHECK(closed);
  CHECK_EQUAL(done, 200);
  sereus_unref(node);
}

static void check_held_folder(void) {
  const char* folder = fresh_path("held");
  sereus_node *node = open_folder(folder), *second = NULL;
  sereus_config config = test_config(folder);
  char detail[200];
  CHECK_STATUS(sereus_open_detailed(&config, &second, detail, sizeof detail), SEREUS_E_BUSY);
  CHECK(second == NULL);
  CHECK(detail[0] != '\0');
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK(wait_closed(node));
  CHECK_STATUS(sereus_open(&config, &second), SEREUS_OK); /* free once CLOSED was taken */
  sereus_unref(node);
  sereus_unref(second);
  config = test_config(fresh_path("missing"));
  config.flags |= SEREUS_OPEN_EXISTING;
  CHECK_STATUS(sereus_open_detailed(&config, &second, detail, 4), SEREUS_E_NOT_FOUND);
  CHECK_EQUAL(strlen(detail), 3); /* cut to fit */
}

/* ---- Passphrase -------------------------------------------------------------------------------------------------- */

static sereus_status open_with(const char* folder, const char* passphrase, sereus_node** node) {
  sereus_config config = test_config(folder);
  uint64_t deadline = now_ms() + 10000;
  sereus_status status;
  config.passphrase = bytes_of(passphrase);
  while ((status = sereus_open(&config, node)) == SEREUS_E_BUSY && now_ms() < deadline) sleep_ms(5);
  return status;
}

static void check_passphrase(void) {
  const char* folder = fresh_path("secret");
  sereus_identity_options options = SEREUS_INIT(sereus_identity_options);
  sereus_node* node = open_folder(folder);
  sereus_rows* rows = NULL;
  sereus_id op = 0;
  options.name = "phone";
  options.passphrase = bytes_of("correct horse");
  CHECK_STATUS(sereus_identity_create(node, &options, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_identity_create(node, &options, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_E_EXISTS);
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK(wait_closed(node));
  sereus_unref(node);

  CHECK_STATUS(open_with(folder, "", &node), SEREUS_E_PASSPHRASE);
  CHECK(node == NULL);
  CHECK_STATUS(open_with(folder, "wrong", &node), SEREUS_E_PASSPHRASE);
  CHECK_STATUS(open_with(folder, "correct horse", &node), SEREUS_OK);
  CHECK_STATUS(sereus_info(node, &rows), SEREUS_OK);
  CHECK(sereus_rows_info(rows, 0) != NULL && sereus_rows_info(rows, 0)->protected_keystore == 1);
  CHECK(sereus_rows_info(rows, 0) != NULL && strcmp(sereus_rows_info(rows, 0)->name, "phone") == 0);
  sereus_rows_free(rows);
  CHECK_STATUS(sereus_passphrase_change(node, bytes_of("wrong"), bytes_of("x"), &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_E_PASSPHRASE);
  CHECK_STATUS(sereus_passphrase_change(node, bytes_of("correct horse"), bytes_of(""), &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  CHECK(wait_closed(node));
  sereus_unref(node);
  CHECK_STATUS(open_with(folder, "", &node), SEREUS_OK);
  sereus_unref(node);
}

static void check_backup(void) {
  sereus_node *node = open_with_identity(fresh_path("original")), *copy = open_folder(fresh_path("copy"));
  static char backup[1 << 20];
  sereus_id op = 0;
  sereus_event* event;
  size_t size = 0;
  CHECK_STATUS(sereus_identity_backup(node, bytes_of(""), &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_identity_backup(node, bytes_of("pass"), &op), SEREUS_OK);
  while (size == 0 && (event = next_event(node)) != NULL) {
    const sereus_done* done = sereus_event_done(event);
    if (done != NULL && done->op == op && done->data.size < sizeof backup) {
      size = done->data.size;
      memcpy(backup, done->data.data, size);
    }
    sereus_event_free(event);
  }
  REQUIRE(size != 0);
  CHECK_STATUS(sereus_identity_restore(copy, bytes_at(backup, size), bytes_of("wrong"), NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(copy, op), SEREUS_E_PASSPHRASE);
  CHECK_STATUS(sereus_identity_restore(copy, bytes_at(backup, size / 2), bytes_of("pass"), NULL, &op), SEREUS_OK);
  CHECK(wait_status(copy, op) != SEREUS_OK);
  CHECK_STATUS(sereus_identity_restore(copy, bytes_at(backup, size), bytes_of("pass"), NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(copy, op), SEREUS_OK);
  CHECK_STATUS(sereus_erase(copy, "please", &op), SEREUS_OK);
  CHECK_STATUS(wait_status(copy, op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_erase(copy, "erase everything", &op), SEREUS_OK);
  CHECK_STATUS(wait_status(copy, op), SEREUS_OK);
  CHECK_STATUS(sereus_store_create(copy, 0, "s", &op), SEREUS_OK);
  CHECK_STATUS(wait_status(copy, op), SEREUS_E_NO_IDENTITY);
  sereus_unref(node);
  sereus_unref(copy);
}

/* ---- Delivery ---------------------------------------------------------------------------------------------------- */

struct seen {
  sereus_node* node;
  pthread_mutex_t mutex;
  int events, closed, inside, overlaps;
  sereus_id last_done;
  int what; /* to do inside the callback: 1 close, 2 unref, 3 stop the delivery, 4 replace the callback */
  int did;
};

static void on_event(void* user, sereus_event* event) {
  struct seen* seen = user;
  int what = 0;
  pthread_mutex_lock(&seen->mutex);
  if (seen->inside++ != 0) ++seen->overlaps;
  ++seen->events;
  if (sereus_event_kind(event) == SEREUS_EVENT_DONE) {
    seen->last_done = sereus_event_op(event);
    what = seen->did ? 0 : seen->what;
    seen->did = 1;
  }
  if (sereus_event_kind(event) == SEREUS_EVENT_CLOSED) ++seen->closed;
  pthread_mutex_unlock(&seen->mutex);
  sereus_event_free(event);
  if (what == 1) CHECK_STATUS(sereus_close(seen->node), SEREUS_OK);
  if (what == 2) sereus_unref(seen->node);
  if (what == 3) CHECK_STATUS(sereus_on_event(seen->node, NULL, NULL), SEREUS_OK);
  if (what == 4) {
    CHECK_STATUS(sereus_on_event(seen->node, on_event, seen), SEREUS_OK);
    sleep_ms(50); /* the new one must not begin before this returns */
  }
  pthread_mutex_lock(&seen->mutex);
  --seen->inside;
  pthread_mutex_unlock(&seen->mutex);
}

static int value_of(struct seen* seen, const int* field) {
  int value;
  pthread_mutex_lock(&seen->mutex);
  value = *field;
  pthread_mutex_unlock(&seen->mutex);
  return value;
}

static int comes(struct seen* seen, const int* field, int value) {
  uint64_t deadline = now_ms() + 20000;
  while (value_of(seen, field) < value && now_ms() < deadline) sleep_ms(2);
  return value_of(seen, field) >= value;
}

static void check_delivery(int what) {
  struct seen seen;
  char name[32];
  sereus_id op = 0;
  sereus_event* event = NULL;
  memset(&seen, 0, sizeof seen);
  pthread_mutex_init(&seen.mutex, NULL);
  snprintf(name, sizeof name, "delivery%d", what);
  seen.node = open_folder(fresh_path(name));
  seen.what = what;
  CHECK_STATUS(sereus_on_event(seen.node, on_event, &seen), SEREUS_OK);
  CHECK_STATUS(sereus_poll(seen.node, &event), SEREUS_E_BUSY);
  CHECK_STATUS(sereus_wait(seen.node, 10, &event), SEREUS_E_BUSY);
  CHECK_STATUS(sereus_identity_create(seen.node, NULL, &op), SEREUS_OK);
  CHECK(comes(&seen, &seen.did, 1));
  switch (what) {
    case 0: /* the other way round: stopped from outside, then polled */
      CHECK_STATUS(sereus_on_event(seen.node, NULL, NULL), SEREUS_OK);
      CHECK_EQUAL(value_of(&seen, &seen.inside), 0);
      CHECK_STATUS(sereus_poll(seen.node, &event), SEREUS_OK);
      sereus_event_free(event);
      CHECK_STATUS(sereus_close(seen.node), SEREUS_OK);
      CHECK(wait_closed(seen.node));
      CHECK_STATUS(sereus_on_event(seen.node, on_event, &seen), SEREUS_E_CLOSED);
      break;
    case 1:
      CHECK(comes(&seen, &seen.closed, 1));
      sleep_ms(20);
      CHECK_STATUS(sereus_poll(seen.node, &event), SEREUS_E_CLOSED);
      break;
    case 2:
      sleep_ms(100);
      CHECK_EQUAL(value_of(&seen, &seen.closed), 0); /* given up: nothing is heard any more */
      CHECK_STATUS(sereus_close(seen.node), SEREUS_E_CLOSED);
      break;
    case 3:
      sleep_ms(50);
      CHECK_STATUS(sereus_poll(seen.node, &event), SEREUS_OK);
      sereus_event_free(event);
      break;
    case 4:
      CHECK_STATUS(sereus_identity_create(seen.node, NULL, &op), SEREUS_OK);
      CHECK(comes(&seen, &seen.events, 2));
      CHECK_STATUS(sereus_close(seen.node), SEREUS_OK);
      CHECK(comes(&seen, &seen.closed, 1));
      break;
    default:
      break;
  }
  CHECK_EQUAL(value_of(&seen, &seen.overlaps), 0);
  sereus_unref(seen.node);
  sleep_ms(20); /* `seen` is on the stack: a callback that still ran would be seen by the sanitizers */
}

static void* wait_long(void* user) {
  sereus_event* event = NULL;
  sereus_status status = sereus_wait((sereus_node*)user, UINT32_MAX, &event);
  CHECK_STATUS(status, SEREUS_OK);
  CHECK_EQUAL(sereus_event_kind(event), SEREUS_EVENT_CLOSED);
  sereus_event_free(event);
  return NULL;
}

/* A thread in wait() keeps callbacks out, and is woken when another gives the node up. */
static void check_unref_wakes_waiters(void) {
  struct seen seen;
  pthread_t thread;
  sereus_node* node = open_folder(fresh_path("waiter"));
  memset(&seen, 0, sizeof seen);
  CHECK(pthread_create(&thread, NULL, wait_long, node) == 0);
  sleep_ms(100);
  CHECK_STATUS(sereus_on_event(node, on_event, &seen), SEREUS_E_BUSY);
  sereus_unref(node);
  CHECK(pthread_join(thread, NULL) == 0);
}

/* ---- Wake -------------------------------------------------------------------------------------------------------- */

static void on_wake(void* user) {
  const char byte = 1;
  if (write(*(int*)user, &byte, 1) != 1) abort();
}

static void check_wake(void) {
  sereus_node* node = open_folder(fresh_path("wake"));
  sereus_event* event = NULL;
  sereus_id op = 0;
  int pipes[2], i;
  char byte;
  CHECK(pipe(pipes) == 0);
  CHECK_STATUS(sereus_on_wake(node, on_wake, &pipes[1]), SEREUS_OK);
  for (i = 0; i < 3; ++i) { /* each time the queue was empty */
    CHECK_STATUS(sereus_identity_create(node, NULL, &op), SEREUS_OK);
    CHECK(read(pipes[0], &byte, 1) == 1);
    do {
      CHECK_STATUS(sereus_poll(node, &event), SEREUS_OK);
      sereus_event_free(event);
    } while (event != NULL);
  }
  CHECK_STATUS(sereus_on_wake(node, NULL, NULL), SEREUS_OK);
  close(pipes[1]);
  CHECK_STATUS(sereus_identity_create(node, NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_E_EXISTS);
  CHECK(read(pipes[0], &byte, 1) == 0); /* nothing more, and not called with a closed pipe */
  close(pipes[0]);
  sereus_unref(node);
}

int main(void) {
  int what;
  check_orders();
  check_close_answers_all();
  check_held_folder();
  check_passphrase();
  check_backup();
  for (what = 0; what <= 4; ++what) check_delivery(what);
  check_unref_wakes_waiters();
  check_wake();
  return finish_tests();
}
