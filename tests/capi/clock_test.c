/* A clock at 1970 or 2050 stops nothing: it is reported, and two nodes still meet over QUIC. */
#include "support.h"

#include <time.h>

#define DAY_S 86400
#define Y1970_S 1000 /* a device without a battery for its clock */
#define Y2050_S (80LL * 365 * DAY_S)

typedef struct clocked {
  sereus_node* node;
  int64_t wall_base_us; /* what its clock says when the program began; 0 = the right time */
  int suspect;          /* CLOCK_SUSPECT events seen */
} clocked;

static uint64_t began_us;

static sereus_times times_of(const clocked* of) {
  struct timespec mono, wall;
  sereus_times times;
  clock_gettime(CLOCK_MONOTONIC, &mono);
  clock_gettime(CLOCK_REALTIME, &wall);
  times.mono_us = (uint64_t)mono.tv_sec * 1000000 + (uint64_t)mono.tv_nsec / 1000;
  times.wall_us = (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000;
  if (began_us == 0) began_us = times.mono_us;
  times.mono_us -= began_us - 1000000; /* monotonic time may begin anywhere */
  if (of->wall_base_us != 0) times.wall_us = of->wall_base_us + (int64_t)times.mono_us;
  return times;
}

static clocked open_clocked(const char* name, int64_t wall_s) {
  static const char* const listen[] = {"/ip4/127.0.0.1/udp/0/quic-v1"};
  sereus_config config = test_config(fresh_path(name));
  clocked out;
  config.flags = (config.flags & ~SEREUS_OPEN_OFFLINE) | SEREUS_OPEN_CALLER_DRIVEN;
  config.listen = listen;
  config.listen_count = 1;
  out.node = open_node(&config);
  out.wall_base_us = wall_s * 1000000;
  out.suspect = 0;
  return out;
}

/* Steps once; 1 when the DONE of `op` came. Its status and text are stored. */
static int turn(clocked* of, sereus_id op, sereus_status* status, char* text, size_t text_size) {
  sereus_times now = times_of(of);
  sereus_event* event = NULL;
  uint64_t next = 0;
  int found = 0;
  REQUIRE(sereus_step(of->node, &now, &next) == SEREUS_OK);
  while (sereus_poll(of->node, &event) == SEREUS_OK && event != NULL) {
    const sereus_done* done = sereus_event_done(event);
    if (sereus_event_kind(event) == SEREUS_EVENT_CLOCK_SUSPECT) ++of->suspect;
    if (done != NULL && done->op == op) {
      found = 1;
      *status = done->status;
      if (done->status != SEREUS_OK) fprintf(stderr, "%s\n", done->detail);
      if (text != NULL && done->data.size < text_size) {
        memcpy(text, done->data.data, done->data.size);
        text[done->data.size] = '\0';
      }
    }
    sereus_event_free(event);
  }
  return found;
}

/* Steps both until `op` of the first is done. */
static sereus_status wait_both(clocked* of, clocked* other, sereus_id op, char* text, size_t text_size) {
  const uint64_t deadline = now_ms() + 20000;
  sereus_status status = SEREUS_E_TIMEOUT, ignored;
  while (now_ms() < deadline) {
    if (turn(of, op, &status, text, text_size)) return status;
    (void)turn(other, 0, &ignored, NULL, 0);
    sleep_ms(1);
  }
  return status;
}

static void meet(const char* issuer, int64_t issuer_s, const char* joiner, int64_t joiner_s) {
  clocked alice = open_clocked(issuer, issuer_s), bob = open_clocked(joiner, joiner_s);
  char invite[2048];
  sereus_id op = 0, store = 0, theirs = 0;
  sereus_status ignored;
  const uint64_t deadline = now_ms() + 20000;
  CHECK_STATUS(sereus_identity_create(alice.node, NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_both(&alice, &bob, op, NULL, 0), SEREUS_OK);
  CHECK_STATUS(sereus_identity_create(bob.node, NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_both(&bob, &alice, op, NULL, 0), SEREUS_OK);
  CHECK_STATUS(sereus_store_create(alice.node, 0, "notes", &op), SEREUS_OK);
  CHECK_STATUS(wait_both(&alice, &bob, op, NULL, 0), SEREUS_OK);
  REQUIRE(sereus_store_open(alice.node, "notes", &store) == SEREUS_OK);
  CHECK_STATUS(sereus_store_put(alice.node, store, bytes_of("k"), bytes_of("v"), &op), SEREUS_OK);
  CHECK_STATUS(wait_both(&alice, &bob, op, NULL, 0), SEREUS_OK);
  CHECK(holds(alice.node, store, "k", "v"));
  CHECK_STATUS(sereus_invite_create(alice.node, NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_both(&alice, &bob, op, invite, sizeof invite), SEREUS_OK);
  CHECK_STATUS(sereus_join(bob.node, invite, &op), SEREUS_OK);
  CHECK_STATUS(wait_both(&bob, &alice, op, NULL, 0), SEREUS_OK);
  while (now_ms() < deadline) {
    if (sereus_store_open(bob.node, "notes", &theirs) == SEREUS_OK && holds(bob.node, theirs, "k", "v")) break;
    (void)turn(&alice, 0, &ignored, NULL, 0);
    (void)turn(&bob, 0, &ignored, NULL, 0);
    sleep_ms(1);
  }
  CHECK(theirs != 0 && holds(bob.node, theirs, "k", "v"));
  CHECK_EQUAL(alice.suspect > 0, issuer_s != 0);
  CHECK_EQUAL(bob.suspect > 0, joiner_s != 0);
  sereus_unref(alice.node);
  sereus_unref(bob.node);
}

int main(void) {
  meet("old 1", Y1970_S, "right 1", 0);
  meet("old 2", Y1970_S, "old 3", Y1970_S);
  meet("right 2", 0, "new 1", Y2050_S);
  meet("new 2", Y2050_S, "new 3", Y2050_S);
  return finish_tests();
}
