/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "bench/bench_peer.h"

struct context {
    const struct bench_load *load;
    struct kt_engine *engine;
    struct kt_key **keys;
    uint8_t *memory, *deks; /* REWRAP: the unwrapped DEKs, 112 bytes of room each */
    struct kt_msg *wraps;
};

static void stop(void *p)
{
    struct context *c = p;
    kt_engine_close(c->engine);
    free(c->keys);
    free(c->memory);
    free(c->deks);
    free(c->wraps);
    free(c);
}

static bool start_rewrap(struct context *c)
{
    const struct bench_load *l = c->load;
    c->deks = malloc(112 * l->count);
    c->wraps = calloc(2 * l->count, sizeof *c->wraps);
    for (size_t i = 0; i < l->count && c->deks && c->wraps; i++) {
        c->wraps[i] = l->msgs[i];
        c->wraps[i].out = (uint32_t)(112 * i);
        c->wraps[l->count + i] = (struct kt_msg){
            .in = (uint32_t)(112 * i), .in_nbytes = KT_DEK_NBYTES, .out = l->msgs[i].out, .key = 1};
    }
    return c->deks && c->wraps;
}

static void *start(const struct bench_peer *peer, const struct bench_load *load)
{
    struct context *c = calloc(1, sizeof *c);
    struct kt_error err;
    struct kt_engine_options options = {.backend = peer->name, .cpu_disable = peer->cpu_disable};
    if (!c)
        return NULL;
    c->load = load;
    c->keys = calloc(load->keys_count, sizeof *c->keys);
    c->memory = aligned_alloc(KT_KEY_ALIGN, load->keys_count * KT_KEY_NBYTES);
    if (kt_engine_open(&c->engine, &options, &err) != KT_OK || !c->keys || !c->memory ||
        (load->op == BENCH_REWRAP && !start_rewrap(c))) {
        stop(c);
        return NULL;
    }
    for (size_t i = 0; i < load->keys_count; i++)
        c->keys[i] = (struct kt_key *)(void *)(c->memory + i * KT_KEY_NBYTES);
    kt_keys_prepare(c->engine, load->deks[0], c->keys, load->keys_count);
    return c;
}

static bool rewrap(struct context *c)
{
    const struct bench_load *l = c->load;
    const struct kt_key *const *keys = (const struct kt_key *const *)c->keys;
    struct kt_batch unwrap = {l->in, l->in_nbytes, c->deks, 112 * l->count, keys, 2, c->wraps, l->count};
    struct kt_batch wrap = {c->deks, 112 * l->count,      l->out,  l->out_nbytes, keys,
                            2,       c->wraps + l->count, l->count};
    return kt_open(c->engine, &unwrap) == KT_OK && kt_seal(c->engine, &wrap) == KT_OK;
}

/* Keys for a stretch of messages, used while they are in the cache. */
static bool seal_keys(struct context *c)
{
    const struct bench_load *l = c->load;
    enum { STRETCH = 256 };
    for (size_t i = 0; i < l->count; i += STRETCH) {
        size_t n = l->count - i < STRETCH ? l->count - i : STRETCH;
        kt_keys_prepare(c->engine, l->deks[i], c->keys + i, n);
        struct kt_batch b = {
            l->in,         l->in_nbytes, l->out, l->out_nbytes, (const struct kt_key *const *)c->keys,
            l->keys_count, l->msgs + i,  n};
        if (kt_seal(c->engine, &b) != KT_OK)
            return false;
    }
    return true;
}

static bool pass(void *p)
{
    struct context *c = p;
    const struct bench_load *l = c->load;
    if (l->op == BENCH_REWRAP)
        return rewrap(c);
    if (l->op == BENCH_SEAL_KEYS)
        return seal_keys(c);
    struct kt_batch b = {
        l->in,         l->in_nbytes, l->out,  l->out_nbytes, (const struct kt_key *const *)c->keys,
        l->keys_count, l->msgs,      l->count};
    return (l->op == BENCH_OPEN ? kt_open(c->engine, &b) : kt_seal(c->engine, &b)) == KT_OK;
}

static const char *version(void)
{
    return "keyturn " KT_BENCH_VERSION;
}

static bool opens(const char *name, const struct kt_engine_options *options)
{
    struct kt_engine *engine;
    struct kt_error err;
    struct kt_engine_options named = {.backend = name, .cpu_disable = options->cpu_disable};
    if (options->backend && strcmp(options->backend, name) != 0)
        return false;
    if (kt_engine_open(&engine, &named, &err) != KT_OK)
        return false;
    kt_engine_close(engine);
    return true;
}

size_t bench_peers(const struct kt_engine_options *options, struct bench_peer peers[BENCH_PEERS_MAX])
{
    size_t n = 0;
    const char *name, *why_not;
    for (size_t i = 0; i < kt_engine_backends(i, &name, &why_not) && n < BENCH_PEERS_MAX - 3; i++)
        if (opens(name, options))
            peers[n++] = (struct bench_peer){.name = name,
                                             .own = true,
                                             .cpu_disable = options->cpu_disable,
                                             .ops = ~0u,
                                             .start = start,
                                             .pass = pass,
                                             .stop = stop,
                                             .version = version};
    peers[n++] = bench_openssl;
#ifdef KT_BENCH_IPSEC_MB
    peers[n++] = bench_ipsec_mb;
#endif
#ifdef KT_BENCH_MONGOCRYPT
    peers[n++] = bench_mongocrypt;
#endif
    return n;
}
