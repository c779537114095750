/* Force-included into every wolfSSL source file (see tools/deps.py).
 *
 * wolfSSL must not read a clock or an entropy source by itself: the simulator replays a run from one seed, and a hidden
 * source would break that silently. The functions are defined in core/crypto/wolfssl_hooks.cc.
 *
 * CUSTOM_RAND_GENERATE_BLOCK is set on the compiler's command line, not here, so that it also reaches
 * wolfssl/options.h: it changes the layout of WC_RNG, and our own code has to see the same layout. */
#ifndef SEREUS_TOOLS_WOLFSSL_HOOKS_H
#define SEREUS_TOOLS_WOLFSSL_HOOKS_H

#ifndef __ASSEMBLER__
#include <time.h>

int sereus_wolfssl_random_block(unsigned char* output, unsigned int size);
time_t sereus_wolfssl_time(time_t* out);
long long sereus_wolfssl_time_ms(void* unused);

/* configure does not find gmtime_r, and plain gmtime answers in one buffer for all threads. */
#define HAVE_GMTIME_R 1

#define XTIME(out) sereus_wolfssl_time(out)
#define XTIME_MS(out) sereus_wolfssl_time_ms((void*)(out))
#endif

#endif
