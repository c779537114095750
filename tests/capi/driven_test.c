/* A node without threads: everything happens inside sereus_step(). */
#include "support.h"

#include <time.h>

static sereus_times times_now(void) {
  struct timespec mono, wall;
  sereus_times times;
  clock_gettime(CLOCK_MONOTONIC, &mono);
  clock_gettime(CLOCK_REALTIME, &wall);
  times.mono_us = (uint64_t)mono.tv_sec * 1000000 + (uint64_t)mono.tv_nsec / 1000;
  times.wall_us = (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000;
  return times;
}

static sereus_status step_until(sereus_node* node, sereus_id op) {
  uint64_t deadline = now_ms() + 20000;
  while (now_ms() < deadline) {
    sereus_event* event = NULL;
    uint64_t next = 0;
    sereus_times now = times_now();
    if (sereus_step(node, &now, &next) != SEREUS_OK) return SEREUS_E_INTERNAL;
    while (sereus_poll(node, &event) == SEREUS_OK && event != NULL) {
      const int done = sereus_event_kind(event) == SEREUS_EVENT_DONE && sereus_event_op(event) == op;
      const sereus_status status = sereus_event_status(event);
      sereus_event_free(event);
      if (done) return status;
    }
    if (next > now.mono_us) sleep_ms(1);
  }
  return SEREUS_E_TIMEOUT;
}

int main(void) {
  const char* folder = fresh_path("driven");
  sereus_config config = test_config(folder);
  sereus_node* node;
  sereus_event* event = NULL;
  sereus_times now = times_now();
  sereus_id op = 0, store = 0;
  uint64_t next = 0;
  sereus_rows* rows = NULL;
  int i, closed = 0;

  node = open_folder(fresh_path("not driven"));
  CHECK_STATUS(sereus_step(node, &now, &next), SEREUS_E_INVALID);
  sereus_unref(node);

  config.flags |= SEREUS_OPEN_CALLER_DRIVEN;
  node = open_node(&config);
  CHECK_STATUS(sereus_wait(node, 10, &event), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_on_event(node, NULL, NULL), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_step(node, NULL, &next), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_step(node, &now, NULL), SEREUS_E_INVALID);

  CHECK_STATUS(sereus_identity_create(node, NULL, &op), SEREUS_OK);
  CHECK_STATUS(step_until(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_store_create(node, 0, "s", &op), SEREUS_OK);
  CHECK_STATUS(step_until(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_store_open(node, "s", &store), SEREUS_OK);
  for (i = 0; i < 50; ++i) {
    CHECK_STATUS(sereus_store_put(node, store, bytes_of("k"), bytes_of("v"), &op), SEREUS_OK);
    CHECK_STATUS(step_until(node, op), SEREUS_OK);
  }
  CHECK(holds(node, store, "k", "v"));
  now = times_now();
  CHECK_STATUS(sereus_step(node, &now, &next), SEREUS_OK);
  CHECK(next > now.mono_us);

  CHECK_STATUS(sereus_suspend(node, 5000), SEREUS_OK); /* steps by itself */
  CHECK_STATUS(sereus_info(node, &rows), SEREUS_E_SUSPENDED);
  CHECK_STATUS(sereus_resume(node), SEREUS_OK);
  CHECK(holds(node, store, "k", "v"));

  CHECK_STATUS(sereus_close(node), SEREUS_OK);
  for (i = 0; i < 1000 && !closed; ++i) {
    now = times_now();
    (void)sereus_step(node, &now, &next);
    if (sereus_poll(node, &event) == SEREUS_OK && event != NULL) {
      closed = sereus_event_kind(event) == SEREUS_EVENT_CLOSED;
      sereus_event_free(event);
    }
  }
  CHECK(closed);
  CHECK_STATUS(sereus_step(node, &now, &next), SEREUS_E_CLOSED);
  sereus_unref(node);

  node = open_node(&config); /* given up without a step: finished in the background */
  CHECK_STATUS(sereus_store_open(node, "s", &store), SEREUS_OK);
  CHECK_STATUS(sereus_store_put(node, store, bytes_of("k"), bytes_of("w"), &op), SEREUS_OK);
  sereus_unref(node);
  config.flags &= ~SEREUS_OPEN_CALLER_DRIVEN;
  for (i = 0; i < 500; ++i) {
    if (sereus_open(&config, &node) != SEREUS_E_BUSY) break;
    sleep_ms(10);
  }
  CHECK(node != NULL);
  sereus_unref(node);
  return finish_tests();
}
