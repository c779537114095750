/* What every C ABI test needs: checks that count, folders that go away, and waiting for a DONE. */
#ifndef SEREUS_TESTS_CAPI_SUPPORT_H
#define SEREUS_TESTS_CAPI_SUPPORT_H

#include <sereus.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) check_that((condition) != 0, #condition, __FILE__, __LINE__)
#define CHECK_STATUS(expression, expected) check_status((expression), (expected), #expression, __FILE__, __LINE__)
#define CHECK_EQUAL(actual, expected) \
  check_equal((long long)(actual), (long long)(expected), #actual, __FILE__, __LINE__)
/* Gives up: what follows makes no sense without it. */
#define REQUIRE(condition)                       \
  do {                                           \
    if (!CHECK(condition)) exit(finish_tests()); \
  } while (0)

int check_that(int holds, const char* what, const char* file, int line);
int check_status(sereus_status actual, sereus_status expected, const char* what, const char* file, int line);
int check_equal(long long actual, long long expected, const char* what, const char* file, int line);
/* Prints "N passed, N failed", removes the folders; the exit code. */
int finish_tests(void);

/* A path that does not exist yet, below a folder that finish_tests() removes. Lives as long as the process. */
const char* fresh_path(const char* name);

sereus_bytes bytes_of(const char* text);
sereus_bytes bytes_at(const void* data, size_t size);
int is_text(sereus_bytes bytes, const char* text);
void sleep_ms(unsigned milliseconds);
uint64_t now_ms(void);

/* Offline, cheap key derivation. */
sereus_config test_config(const char* folder);
sereus_node* open_node(const sereus_config* config);
sereus_node* open_folder(const char* folder);
/* With an identity, made when there is none. */
sereus_node* open_with_identity(const char* folder);

/* The next event within 20 s, or NULL. */
sereus_event* next_event(sereus_node* node);
/* Takes events until the DONE of `op`; a copy of the struct, its pointers NULL. */
sereus_done wait_done(sereus_node* node, sereus_id op);
sereus_status wait_status(sereus_node* node, sereus_id op);
/* Takes events until CLOSED; 1 when it came and was the last. */
int wait_closed(sereus_node* node);
/* The DONE's data as text: invites. */
int wait_text(sereus_node* node, sereus_id op, char* out, size_t size);

sereus_id create_store(sereus_node* node, const char* name);
sereus_status put(sereus_node* node, sereus_id store, const char* key, const char* value);
/* 1 when a read of `key` gives `value`. */
int holds(sereus_node* node, sereus_id store, const char* key, const char* value);

/* Runs this program again with two arguments and returns its process number, for wait_child(). */
int start_child(const char* role, const char* argument);
int wait_child(int child); /* its exit code, or -1 */

#endif
