/* examples/c/notes.c, compiled as it is and run as a person would. */
#define main notes_main
#include "../../examples/c/notes.c"
#undef main

#include <unistd.h>

#include "support.h"

static char output[4096];

/* Runs it and keeps what it printed. */
static int run(int argc, const char* a1, const char* a2, const char* a3, const char* a4) {
  char* arguments[6] = {"notes", (char*)a1, (char*)a2, (char*)a3, (char*)a4, NULL};
  static const char* path;
  FILE* file;
  int result, before;
  size_t size;
  if (path == NULL) path = fresh_path("output");
  fflush(stdout);
  before = dup(1);
  file = fopen(path, "w+");
  if (file == NULL || dup2(fileno(file), 1) < 0) exit(3);
  arguments[argc] = NULL;
  result = notes_main(argc, arguments);
  fflush(stdout);
  dup2(before, 1);
  close(before);
  rewind(file);
  size = fread(output, 1, sizeof output - 1, file);
  output[size] = '\0';
  fclose(file);
  return result;
}

/* The example gives its node up when it ends, as a process does; the folder is free a moment later. */
static int run_when_free(int argc, const char* a1, const char* a2, const char* a3, const char* a4) {
  int i, result = 1;
  for (i = 0; i < 100; ++i) {
    result = run(argc, a1, a2, a3, a4);
    if (result != 1) break;
    sleep_ms(50);
  }
  return result;
}

int main(void) {
  const char* folder = fresh_path("notes");
  CHECK_EQUAL(run_when_free(5, folder, "add", "milk", "two litres"), 0);
  CHECK(strcmp(output, "added milk\n") == 0);
  CHECK_EQUAL(run_when_free(5, folder, "add", "bread", "one"), 0);
  CHECK_EQUAL(run_when_free(3, folder, "list", NULL, NULL), 0);
  CHECK(strcmp(output, "bread: one\nmilk: two litres\n") == 0);
  CHECK_EQUAL(run_when_free(4, folder, "watch", "2", NULL), 0);
  CHECK(strcmp(output, "changed milk\nchanged bread\n") == 0);
  CHECK_EQUAL(run_when_free(2, folder, NULL, NULL, NULL), 2);
  return finish_tests();
}
