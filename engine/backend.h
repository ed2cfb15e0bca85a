/* SPDX-License-Identifier: Apache-2.0 */
/* What a backend is: one constant table. The engine validates batches, draws random IVs and picks the
 * backend; a backend computes. Nothing here names an instruction set or a device. */
#ifndef KT_ENGINE_BACKEND_H
#define KT_ENGINE_BACKEND_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/key.h"
#include "keyturn/engine.h"

/* Seal and open get a batch that engine/engine.c has checked:
 * - offsets, lengths, key indices and modes are legal; no message is longer than KT_MSG_MAX;
 * - only messages whose status is KT_OK are to be worked on;
 * - when sealing, out_nbytes is set and the IV of every message that is not deterministic stands at `out`.
 * Sealing cannot fail for a single message. Opening sets out_nbytes, or status = KT_E_UNAUTHENTIC without
 * writing that message's output. Messages in one call: at most `window`.
 * Reads and writes stay inside each message's own bytes, except that opening may use the whole
 * in_nbytes - 48 bytes of room at `out`. On return no key, plaintext or round state is left in `state`, in
 * the vector registers that the backend's instruction set has, or on the stack deeper than KT_STACK_NBYTES.
 * Return KT_OK, or KT_E_DEVICE when an accelerator failed. */
struct kt_backend {
    const char *name;
    uint32_t required; /* KT_CPU_ bits; 0: runs everywhere */
    uint32_t window;   /* messages per call; larger batches are cut */
    uint32_t aad_max;  /* batches with a longer AAD go to the scalar backend, which takes every one */
    size_t state_nbytes;

    /* Optional (NULL: nothing to do): state is zeroed memory of state_nbytes, aligned to 64. KT_OK or
     * KT_E_DEVICE. stop is called once after a start that returned KT_OK. */
    enum kt_status (*start)(void *state);
    void (*stop)(void *state);

    void (*prepare)(void *state, const uint8_t *deks, struct kt_key *const *keys, size_t n);
    enum kt_status (*seal)(void *state, const struct kt_batch *batch);
    enum kt_status (*open)(void *state, const struct kt_batch *batch);
};

/* The longest sealed message: lengths stay in 32 bits with room to round up. */
#define KT_MSG_MAX ((uint32_t)UINT32_MAX - 4096)

/* How much of the stack the engine wipes below itself after a backend's call. */
#define KT_STACK_NBYTES 8192

extern const struct kt_backend kt_backend_avx512, kt_backend_avx2, kt_backend_scalar;

/* A store the compiler may not leave out; engine/cpu links nothing, not even kt_wipe. */
static inline void kt_backend_wipe(void *p, size_t nbytes)
{
    memset(p, 0, nbytes);
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* The verdict on a tag and the padding byte are public once they are known: they decide which way the program
 * goes on. The constant-time tests compile the backends with secrets marked undefined, where this marks p as
 * defined again. */
#ifdef KT_CONSTANT_TIME_TEST
#include <valgrind/memcheck.h>
#define KT_DECLASSIFY(p, nbytes) ((void)VALGRIND_MAKE_MEM_DEFINED(p, nbytes))
#else
#define KT_DECLASSIFY(p, nbytes) ((void)(p))
#endif

#endif
