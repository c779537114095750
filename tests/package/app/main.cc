#include <sereus.h>
#include <cstdio>

int main() {
  std::printf("%s\n", sereus_version());
  return 0;
}
