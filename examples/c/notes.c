/*
 * notes.c - a notebook in one C file: it keeps notes in a replicated store, lists them and shows changes as they happen.
 *
 *     notes FOLDER add KEY TEXT     writes a note
 *     notes FOLDER list             shows all notes
 *     notes FOLDER watch [COUNT]    shows every change from the first one on, COUNT of them or until Ctrl-C
 *
 * Build:  cc notes.c -o notes $(pkg-config --cflags --libs sereus)
 */
#include <sereus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sereus_bytes text(const char* from) {
  sereus_bytes bytes;
  bytes.data = (const uint8_t*)from;
  bytes.size = strlen(from);
  return bytes;
}

static int failed(const char* what, sereus_status status, const char* detail) {
  fprintf(stderr, "%s: %s\n", what, detail[0] != '\0' ? detail : sereus_status_meaning(status));
  return 1;
}

/* Waits for the DONE of `op`. Other events are of no interest here. */
static sereus_status finish(sereus_node* node, sereus_id op, const char* what, sereus_id* store) {
  for (;;) {
    sereus_event* event = NULL;
    sereus_status status = sereus_wait(node, UINT32_MAX, &event);
    const sereus_done* done = sereus_event_done(event);
    if (status != SEREUS_OK) return status;
    if (done != NULL && done->op == op) {
      status = done->status;
      if (status != SEREUS_OK) failed(what, status, done->detail);
      if (store != NULL) *store = done->store;
      sereus_event_free(event);
      return status;
    }
    sereus_event_free(event);
  }
}

/* The identity and the store "notes", made when they are not there yet. */
static sereus_status prepare(sereus_node* node, sereus_id* store) {
  sereus_id op;
  sereus_status status = sereus_store_open(node, "notes", store);
  if (status == SEREUS_OK) return status;
  status = sereus_identity_create(node, NULL, &op);
  if (status == SEREUS_OK) status = finish(node, op, "identity", NULL);
  if (status != SEREUS_OK) return status;
  status = sereus_store_create(node, 0, "notes", &op);
  return status == SEREUS_OK ? finish(node, op, "store", store) : status;
}

static int add(sereus_node* node, sereus_id store, const char* key, const char* value) {
  sereus_id op;
  sereus_status status = sereus_store_put(node, store, text(key), text(value), &op);
  if (status == SEREUS_OK) status = finish(node, op, "add", NULL);
  if (status != SEREUS_OK) return 1;
  printf("added %s\n", key); /* durable: it survives a power cut from here on */
  return 0;
}

static int list(sereus_node* node, sereus_id store) {
  sereus_bytes none = {NULL, 0};
  sereus_bytes after = {NULL, 0};
  for (;;) { /* page by page, after the last key of the page before */
    sereus_rows* rows = NULL;
    char last[SEREUS_KEY_SIZE_MAX];
    sereus_status status = sereus_store_list(node, store, none, after, 100, SEREUS_LIST_VALUES, &rows);
    size_t i, count = sereus_rows_count(rows);
    if (status != SEREUS_OK) return failed("list", status, "");
    for (i = 0; i < count; ++i) {
      const sereus_item* item = sereus_rows_item(rows, i);
      printf("%.*s: %.*s\n", (int)item->key.size, (const char*)item->key.data, (int)item->value.size,
             (const char*)item->value.data);
      if (i + 1 == count) {
        memcpy(last, item->key.data, item->key.size);
        after.data = (const uint8_t*)last;
        after.size = item->key.size;
      }
    }
    sereus_rows_free(rows);
    if (count == 0) return 0;
  }
}

static int watch(sereus_node* node, sereus_id store, long count) {
  sereus_bytes all = {NULL, 0};
  sereus_id op;
  sereus_status status = sereus_store_watch(node, store, all, SEREUS_WATCH_ALL, 0, &op);
  if (status != SEREUS_OK) return failed("watch", status, "");
  while (count != 0) {
    sereus_event* event = NULL;
    const sereus_store_change* change;
    if (sereus_wait(node, UINT32_MAX, &event) != SEREUS_OK) return 1;
    change = sereus_event_store_change(event);
    if (change != NULL) {
      printf("%s %.*s\n", change->deleted ? "removed" : "changed", (int)change->key.size,
             (const char*)change->key.data);
      fflush(stdout);
      if (count > 0) --count;
    }
    sereus_event_free(event);
  }
  return 0;
}

int main(int argc, char** argv) {
  sereus_config config = SEREUS_INIT(sereus_config);
  sereus_node* node = NULL;
  sereus_id store = 0;
  char detail[256];
  sereus_status status;
  int result = 2;
  if (argc < 3) {
    fprintf(stderr, "usage: notes FOLDER add KEY TEXT | list | watch [COUNT]\n");
    return 2;
  }
  config.data_folder = argv[1];
  config.flags = SEREUS_OPEN_OFFLINE; /* notes of one device; without this flag it would talk to its peers */
  status = sereus_open_detailed(&config, &node, detail, sizeof detail);
  if (status != SEREUS_OK) return failed("open", status, detail);
  status = prepare(node, &store);
  if (status != SEREUS_OK) {
    result = 1;
  } else if (strcmp(argv[2], "add") == 0 && argc == 5) {
    result = add(node, store, argv[3], argv[4]);
  } else if (strcmp(argv[2], "list") == 0) {
    result = list(node, store);
  } else if (strcmp(argv[2], "watch") == 0) {
    result = watch(node, store, argc > 3 ? strtol(argv[3], NULL, 10) : -1);
  }
  sereus_unref(node);
  return result;
}
