/* Force-included into wolfSSL's sources: declarations it forgets to include. Assembly files get the same flags. */
#ifndef __ASSEMBLER__
#include <unistd.h>
#endif
