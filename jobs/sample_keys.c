/* SPDX-License-Identifier: Apache-2.0 */
/* The sample's key vault. */
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/secmem.h"
#include "csfle/key_doc.h"
#include "jobs/sample_private.h"
#include "keyturn/engine.h"

enum { KEYS_AT_ONCE = 512 };

/* Room for one run of keys. */
struct key_run {
    uint8_t *deks;    /* locked memory */
    uint8_t *wrapped; /* KT_WRAPPED_NBYTES each */
    struct kt_msg *msgs;
    struct kt_key *master; /* locked memory: local:old, prepared */
    struct kt_buf docs;
};

static enum kt_status key_run_init(struct kt_sample *sample, struct key_run *run)
{
    run->deks = kt_secmem_alloc(sample->secmem, KEYS_AT_ONCE * KT_DEK_NBYTES);
    run->master = kt_secmem_alloc(sample->secmem, KT_KEY_NBYTES);
    run->wrapped = malloc(KEYS_AT_ONCE * KT_WRAPPED_NBYTES);
    run->msgs = calloc(KEYS_AT_ONCE, sizeof *run->msgs);
    if (!run->deks || !run->master || !run->wrapped || !run->msgs)
        return kt_fail(sample->err, KT_E_NOMEM, "no memory for the sample's keys");
    kt_keys_prepare(sample->engine, sample->masters[0], &run->master, 1);
    return KT_OK;
}

static void key_run_free(struct kt_sample *sample, struct key_run *run)
{
    kt_secmem_free(sample->secmem, run->deks);
    kt_secmem_free(sample->secmem, run->master);
    free(run->wrapped);
    free(run->msgs);
    kt_buf_free(&run->docs);
}

static enum kt_status wrap_run(struct kt_sample *sample, struct key_run *run, size_t count)
{
    if (RAND_priv_bytes(run->deks, (int)(count * KT_DEK_NBYTES)) != 1)
        return kt_sample_no_random(sample);
    for (size_t i = 0; i < count; i++)
        run->msgs[i] = (struct kt_msg){.in = (uint32_t)(i * KT_DEK_NBYTES),
                                       .in_nbytes = KT_DEK_NBYTES,
                                       .out = (uint32_t)(i * KT_WRAPPED_NBYTES),
                                       .mode = KT_MODE_RANDOM};
    const struct kt_key *master = run->master;
    struct kt_batch batch = {.in = run->deks,
                             .in_nbytes = count * KT_DEK_NBYTES,
                             .out = run->wrapped,
                             .out_nbytes = count * KT_WRAPPED_NBYTES,
                             .keys = &master,
                             .keys_count = 1,
                             .msgs = run->msgs,
                             .msgs_count = count};
    enum kt_status status = kt_seal(sample->engine, &batch);
    return status == KT_OK ? KT_OK
                           : kt_fail(sample->err, status, "the engine does not wrap the sample's keys");
}

/* {provider: "local:old"} */
static const uint8_t master_key_old[] = "\x1d\0\0\0\2provider\0\012\0\0\0local:old\0";

static void alt_name(uint64_t i, char *out, size_t nbytes)
{
    if (i < KT_SAMPLE_FIELDS)
        snprintf(out, nbytes, "%s/%s%s%s", KT_SAMPLE_NS,
                 kt_sample_fields[i].parent ? kt_sample_fields[i].parent : "",
                 kt_sample_fields[i].parent ? "." : "", kt_sample_fields[i].name);
    else
        snprintf(out, nbytes, "sample-%06llu", (unsigned long long)i);
}

static enum kt_status build_run(struct kt_sample *sample, struct key_run *run, uint64_t first, size_t count)
{
    int64_t now = kt_clock_utc_ms();
    run->docs.nbytes = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t id[16];
        char name[64];
        if (RAND_bytes(id, sizeof id) != 1)
            return kt_sample_no_random(sample);
        id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* UUID of version 4, RFC 4122 section 4.4 */
        id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
        if (first + i < KT_SAMPLE_FIELDS)
            memcpy(sample->ids[first + i], id, sizeof id);
        alt_name(first + i, name, sizeof name);
        struct kt_span names = kt_span_str(name);
        struct kt_key_doc_new key = {.id = id,
                                     .key_material =
                                         kt_span_of(run->wrapped + i * KT_WRAPPED_NBYTES, KT_WRAPPED_NBYTES),
                                     .master_key = kt_span_of(master_key_old, kt_load_le32(master_key_old)),
                                     .now_ms = now,
                                     .alt_names = &names,
                                     .alt_names_count = 1};
        enum kt_status status = kt_key_doc_build(&key, &run->docs);
        if (status != KT_OK)
            return kt_fail(sample->err, status, "no memory for the sample's keys");
    }
    return KT_OK;
}

enum kt_status kt_sample_write_keys(struct kt_sample *sample)
{
    const char *file = "keyvault.bson";
    struct key_run run = {0};
    uint64_t keys = sample->options->keys;
    int fd = kt_sample_create(sample, file, 0666);
    if (fd < 0)
        return kt_sample_io_failed(sample, file);
    enum kt_status status = key_run_init(sample, &run);
    for (uint64_t at = 0; status == KT_OK && at < keys; at += KEYS_AT_ONCE) {
        size_t count = keys - at < KEYS_AT_ONCE ? (size_t)(keys - at) : KEYS_AT_ONCE;
        status = wrap_run(sample, &run, count);
        if (status == KT_OK)
            status = build_run(sample, &run, at, count);
        if (status == KT_OK)
            status = kt_sample_put(sample, fd, file, run.docs.data, run.docs.nbytes);
    }
    key_run_free(sample, &run);
    /* with fewer keys than fields some share one */
    for (uint64_t i = keys; i < KT_SAMPLE_FIELDS && keys > 0; i++)
        memcpy(sample->ids[i], sample->ids[i % keys], 16);
    return kt_sample_finish(sample, fd, file, status);
}
