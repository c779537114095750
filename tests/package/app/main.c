#include <sereus.h>
#include <stdio.h>

int main(void) {
  printf("%s\n", sereus_version());
  return 0;
}
