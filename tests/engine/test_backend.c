/* SPDX-License-Identifier: Apache-2.0 */
/* What backends leave behind: the same work under two DEKs, on a stack of its own, must leave the same bytes
 * in vector registers and in the state, and on the stack no others deeper than the engine wipes. */
#include "engine/backend.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <ucontext.h>

#include "engine/cpu/features.h"
#include "engine/dispatch.h"

#if defined(__SANITIZE_ADDRESS__)
#define NEED_PLAIN_STACK() cr_skip_test("build: a sanitizer lays out the stack")
#else
#define NEED_PLAIN_STACK() ((void)0)
#endif

#define STACK_NBYTES (48 << 10)
#define SLOT 2304
#define COUNT_MAX 70
#define KEYS 5
/* What lies between the engine's wiping and the backend: frames of engine/engine.c, and here. */
#define BETWEEN 512

enum op { PREPARE, SEAL, SEAL_DETERMINISTIC, OPEN, OPS };

static const struct shape {
    uint32_t count, keys, nbytes, step; /* lengths: nbytes, nbytes + step .. */
} shapes[] = {{1, 1, 32, 0},         {3, 1, 32, 0},     {9, 1, 50, 0},
              {COUNT_MAX, 1, 40, 0}, {60, KEYS, 0, 37}, {2, 2, 2000, 1}};

struct trace {
    uint8_t stack[STACK_NBYTES], registers[32 * 64];
    uint8_t *state;
};

static struct kt_key prepared[KEYS];
static uint8_t plain[COUNT_MAX * SLOT], sealed[COUNT_MAX * SLOT], opened[COUNT_MAX * SLOT];
static struct kt_msg msgs[COUNT_MAX];

static struct work {
    const struct kt_backend *backend;
    struct kt_engine *engine; /* not NULL: the call goes through the engine */
    void *state;
    enum op op;
    uint8_t deks[KEYS][KT_DEK_NBYTES];
    struct kt_batch batch;
    struct kt_key *to[KEYS];
    const struct kt_key *from[KEYS];
} work;

static ucontext_t here, there;
static _Alignas(64) uint8_t stack[STACK_NBYTES];
static _Alignas(64) uint8_t registers[32 * 64];

/* The scalar backend knows the registers that every CPU has; libc's memcpy may use others. */
static void keep_registers(void)
{
#if defined(__x86_64__)
#define XMM(i) "movdqu %%xmm" #i ", 64*" #i "(%0)\n\t"
#define YMM(i) "vmovdqu %%ymm" #i ", 64*" #i "(%0)\n\t"
#define ZMM(i) "vmovdqu64 %%zmm" #i ", 64*" #i "(%0)\n\t"
#define LOW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define HIGH(X)                                                                                              \
    X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
    if (work.backend->required & KT_CPU_AVX512F)
        __asm__ volatile(LOW(ZMM) HIGH(ZMM)::"r"(registers) : "memory");
    else if (work.backend->required & KT_CPU_AVX2)
        __asm__ volatile(LOW(YMM)::"r"(registers) : "memory");
    else
        __asm__ volatile(LOW(XMM)::"r"(registers) : "memory");
#endif
}

static void do_work(void)
{
    if (work.engine) {
        if (work.op == PREPARE)
            kt_keys_prepare(work.engine, work.deks[0], work.to, KEYS);
        else
            cr_assert_eq((work.op == OPEN ? kt_open : kt_seal)(work.engine, &work.batch), KT_OK);
        return;
    }
    if (work.op == PREPARE)
        work.backend->prepare(work.state, work.deks[0], work.to, KEYS);
    else
        (work.op == OPEN ? work.backend->open : work.backend->seal)(work.state, &work.batch);
    keep_registers();
}

static void lay_out(const struct shape *shape, bool opening)
{
    for (uint32_t i = 0; i < shape->count; i++) {
        uint32_t nbytes = shape->nbytes + shape->step * i, sealed_nbytes = (uint32_t)KT_SEALED_NBYTES(nbytes);
        msgs[i] = (struct kt_msg){.in = SLOT * i + (opening ? KT_AAD_NBYTES : 0),
                                  .in_nbytes = opening ? sealed_nbytes : nbytes,
                                  .out = SLOT * i + (opening ? 0 : KT_AAD_NBYTES),
                                  .out_nbytes = sealed_nbytes,
                                  .key = i % shape->keys,
                                  .aad_nbytes = KT_AAD_NBYTES,
                                  .mode = work.op == SEAL ? KT_MODE_IV_GIVEN : KT_MODE_DETERMINISTIC};
    }
    work.batch =
        (struct kt_batch){plain, sizeof plain, sealed, sizeof sealed, work.from, KEYS, msgs, shape->count};
    if (opening)
        work.batch = (struct kt_batch){sealed,    sizeof sealed, opened, sizeof opened,
                                       work.from, KEYS,          msgs,   shape->count};
}

static volatile uint8_t dek_seed;

/* Everything as it was but for the DEKs, then the call, on a stack painted anew. No argument tells runs
 * apart: calls push what their callers hold. */
static __attribute__((noinline)) void run(const struct shape *shape)
{
    for (size_t i = 0; i < sizeof work.deks; i++)
        ((uint8_t *)work.deks)[i] = (uint8_t)(i * dek_seed + dek_seed);
    memset(sealed, 3, sizeof sealed);
    work.backend->prepare(work.state, work.deks[0], work.to, KEYS);
    if (work.op == OPEN) {
        lay_out(shape, false);
        work.backend->seal(work.state, &work.batch);
    }
    lay_out(shape, work.op == OPEN);
    memset(stack, 0xa5, sizeof stack);
    memset(work.state, 0, work.backend->state_nbytes);
    getcontext(&there);
    there.uc_stack = (stack_t){.ss_sp = stack, .ss_size = sizeof stack};
    there.uc_link = &here;
    makecontext(&there, do_work, 0);
    cr_assert_eq(swapcontext(&here, &there), 0);
}

static void keep(struct trace *trace)
{
    memcpy(trace->stack, stack, sizeof stack);
    memcpy(trace->registers, registers, sizeof registers);
    memcpy(trace->state, work.state, work.backend->state_nbytes);
}

/* How deep below its top the two stacks differ. */
static size_t depth(const struct trace *a, const struct trace *b)
{
    size_t i = 0;
    while (i < STACK_NBYTES && a->stack[i] == b->stack[i])
        i++;
    return STACK_NBYTES - i;
}

static void begin(const struct kt_backend *backend, struct trace traces[2])
{
    size_t nbytes = (backend->state_nbytes + 63) / 64 * 64;
    work = (struct work){.backend = backend, .state = aligned_alloc(64, nbytes)};
    traces[0].state = malloc(nbytes);
    traces[1].state = malloc(nbytes);
    cr_assert(work.state && traces[0].state && traces[1].state);
    memset(work.state, 0, nbytes);
    memset(registers, 0, sizeof registers);
    for (size_t i = 0; i < KEYS; i++)
        work.from[i] = work.to[i] = &prepared[i];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 131 + 7);
}

static void end(struct trace traces[2])
{
    kt_engine_close(work.engine);
    free(work.state);
    free(traces[0].state);
    free(traces[1].state);
}

/* The first run is for what is only done once, such as the binding of symbols. */
static void run_twice(const struct shape *shape, struct trace traces[2])
{
    static const uint8_t seeds[3] = {29, 29, 77};
    for (volatile size_t i = 0; i < 3; i++) {
        dek_seed = seeds[i];
        run(shape);
        keep(&traces[i / 2]);
    }
    size_t used = 0;
    for (size_t i = STACK_NBYTES - 256; i < STACK_NBYTES; i++)
        used += traces[0].stack[i] != 0xa5;
    cr_assert_gt(used, 32, "the call did not use its stack");
}

static void check(const struct kt_backend *backend)
{
    static struct trace traces[2];
    begin(backend, traces);
    for (work.op = 0; work.op < OPS; work.op++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            run_twice(&shapes[i], traces);
            size_t deep = depth(&traces[0], &traces[1]);
            cr_assert_leq(deep + BETWEEN, KT_STACK_NBYTES, "%s, op %d, shape %zu: %zu bytes of stack",
                          backend->name, work.op, i, deep);
            cr_assert(memcmp(traces[0].state, traces[1].state, backend->state_nbytes) == 0,
                      "%s, op %d, shape %zu: state", backend->name, work.op, i);
            cr_assert(memcmp(traces[0].registers, traces[1].registers, sizeof registers) == 0,
                      "%s, op %d, shape %zu: registers", backend->name, work.op, i);
        }
    struct kt_error err;
    cr_assert_eq(kt_engine_open(&work.engine, &(struct kt_engine_options){.backend = backend->name}, &err),
                 KT_OK);
    for (work.op = 0; work.op < OPS; work.op++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            run_twice(&shapes[i], traces);
            cr_assert_eq(depth(&traces[0], &traces[1]), 0, "%s, op %d, shape %zu: the engine's stack",
                         backend->name, work.op, i);
        }
    end(traces);
}

Test(backend, nothing_of_a_key_is_left)
{
    NEED_PLAIN_STACK();
    struct kt_backends all = kt_dispatch_all();
    for (size_t i = 0; i < all.count; i++)
        if (!kt_dispatch_why_not(all.list[i], kt_cpu_capabilities()))
            check(all.list[i]);
}

static enum kt_status leak(void *state, const struct kt_batch *b)
{
    uint8_t deep[KT_STACK_NBYTES];
    (void)state;
    deep[0] = b->keys[0]->enc[0][0];
    __asm__ volatile("" : : "r"(deep) : "memory");
    return KT_OK;
}

Test(backend, what_is_left_would_be_seen)
{
    NEED_PLAIN_STACK();
    static struct trace traces[2];
    struct kt_backend leaky = kt_backend_scalar;
    leaky.seal = leak;
    begin(&leaky, traces);
    work.op = SEAL;
    run_twice(&shapes[0], traces);
    cr_assert_gt(depth(&traces[0], &traces[1]), KT_STACK_NBYTES);
    end(traces);
}
