/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/keys/fixture.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST(what)                                                                                           \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                                       \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

void fixture_master_key(const char *id, uint8_t key[KT_DEK_NBYTES])
{
    uint8_t digest[SHA512_DIGEST_LENGTH];
    SHA512((const uint8_t *)id, strlen(id), digest);
    for (int i = 0; i < KT_DEK_NBYTES; i++)
        key[i] = (uint8_t)(digest[i % 64] + i / 64);
}

void fixture_open(struct fixture *f, const char *const *local_ids)
{
    *f = (struct fixture){0};
    MUST(kt_secmem_open(&f->secmem, NULL) == KT_OK);
    MUST(kt_engine_open(&f->engine, NULL, NULL) == KT_OK);
    bson_t doc = BSON_INITIALIZER, child;
    for (; *local_ids; local_ids++) {
        uint8_t key[KT_DEK_NBYTES];
        fixture_master_key(*local_ids, key);
        BSON_APPEND_DOCUMENT_BEGIN(&doc, *local_ids, &child);
        BSON_APPEND_BINARY(&child, "key", BSON_SUBTYPE_BINARY, key, sizeof key);
        bson_append_document_end(&doc, &child);
    }
    MUST(kt_providers_new(&f->providers, kt_span_of(bson_get_data(&doc), doc.len), (struct kt_span){0},
                          "kms.json", f->secmem, f->engine, NULL) == KT_OK);
    bson_destroy(&doc);
}

void fixture_close(struct fixture *f)
{
    for (size_t i = 0; i < f->docs_count; i++)
        kt_buf_free(&f->docs[i]);
    free(f->docs);
    kt_providers_free(f->providers);
    kt_engine_close(f->engine);
    kt_secmem_close(f->secmem);
}

void fixture_dek(uint32_t n, uint8_t dek[KT_DEK_NBYTES])
{
    uint8_t digest[SHA512_DIGEST_LENGTH];
    SHA512((const uint8_t *)&n, sizeof n, digest);
    for (int i = 0; i < KT_DEK_NBYTES; i++)
        dek[i] = (uint8_t)(digest[i % 64] ^ (i / 64 * 0x5a));
    kt_wipe(digest, sizeof digest);
}

void fixture_id(uint32_t n, uint8_t id[16])
{
    memset(id, 0xee, 16);
    kt_store_le32(id, n);
}

void fixture_wrap(struct fixture *f, const char *provider, struct kt_span plaintext, uint8_t *out)
{
    const struct kt_provider *p = kt_providers_find(f->providers, kt_span_str(provider));
    MUST(p && p->local);
    struct kt_msg msg = {.in_nbytes = (uint32_t)plaintext.nbytes};
    struct kt_batch batch = {
        plaintext.data, plaintext.nbytes, out, KT_SEALED_NBYTES(plaintext.nbytes), &p->local, 1, &msg, 1};
    MUST(kt_seal(f->engine, &batch) == KT_OK);
}

void fixture_add_raw(struct fixture *f, const uint8_t id[16], const char *provider, struct kt_span material,
                     const char *const *names)
{
    if (f->docs_count == f->docs_capacity) {
        f->docs_capacity = f->docs_capacity ? 2 * f->docs_capacity : 64;
        f->docs = realloc(f->docs, f->docs_capacity * sizeof *f->docs);
        MUST(f->docs);
    }
    struct kt_span alt[8];
    size_t count = 0;
    for (; names && names[count]; count++)
        alt[count] = kt_span_str(names[count]);
    bson_t masterkey = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&masterkey, "provider", provider);
    if (strncmp(provider, "aws", 3) == 0) {
        BSON_APPEND_UTF8(&masterkey, "region", "us-east-1");
        BSON_APPEND_UTF8(&masterkey, "key", "arn:aws:kms:us-east-1:1:key/1");
    }
    struct kt_key_doc_new key = {.id = id,
                                 .key_material = material,
                                 .master_key = kt_span_of(bson_get_data(&masterkey), masterkey.len),
                                 .now_ms = 1700000000000,
                                 .alt_names = alt,
                                 .alt_names_count = count};
    struct kt_buf *doc = &f->docs[f->docs_count++];
    *doc = (struct kt_buf){0};
    MUST(kt_key_doc_build(&key, doc) == KT_OK);
    bson_destroy(&masterkey);
}

void fixture_add(struct fixture *f, uint32_t n, const char *provider, const char *const *names)
{
    uint8_t id[16], dek[KT_DEK_NBYTES], wrapped[KT_WRAPPED_NBYTES];
    fixture_id(n, id);
    fixture_dek(n, dek);
    fixture_wrap(f, provider, kt_span_of(dek, sizeof dek), wrapped);
    kt_wipe(dek, sizeof dek);
    fixture_add_raw(f, id, provider, kt_span_of(wrapped, sizeof wrapped), names);
}

static bool matches(const struct kt_key_doc *key, const struct kt_key_query *query)
{
    struct kt_span name;
    if (query->id)
        return memcmp(key->id, query->id, 16) == 0;
    for (size_t at = 0; kt_key_doc_alt_name(key, &at, &name);)
        if (kt_span_equal(name, query->name))
            return true;
    return false;
}

static enum kt_status find(void *context, const struct kt_key_query *queries, size_t count,
                           void (*found)(void *arg, const struct kt_key_doc *key), void *arg,
                           struct kt_error *err)
{
    struct fixture *f = context;
    f->finds++;
    for (size_t i = 0; i < f->docs_count; i++) {
        struct kt_key_doc key;
        MUST(kt_key_doc_parse(kt_span_of(f->docs[i].data, f->docs[i].nbytes), &key, err) == KT_OK);
        for (size_t q = 0; q < count; q++)
            if (matches(&key, &queries[q]))
                found(arg, &key);
        if (f->broken != KT_OK)
            return kt_fail(err, f->broken, "the vault is gone");
    }
    return KT_OK;
}

struct kt_key_source fixture_source(struct fixture *f)
{
    return (struct kt_key_source){f, find};
}

struct kt_key_table *fixture_table(struct fixture *f, const struct kt_strategies *strategies)
{
    struct kt_key_table *table;
    struct kt_key_table_options options = {
        .providers = f->providers, .secmem = f->secmem, .source = fixture_source(f)};
    if (strategies)
        options.strategies = *strategies;
    MUST(kt_key_table_new(&table, &options, f->engine, NULL) == KT_OK);
    return table;
}

uint32_t fixture_handle(struct kt_key_table *table, uint32_t n)
{
    uint8_t id[16];
    uint32_t handle;
    fixture_id(n, id);
    MUST(kt_key_table_by_id(table, id, &handle) == KT_OK);
    return handle;
}

uint32_t fixture_name(struct kt_key_table *table, const char *name)
{
    uint32_t handle;
    MUST(kt_key_table_by_name(table, kt_span_str(name), &handle) == KT_OK);
    return handle;
}

bool fixture_is_key(struct fixture *f, const struct kt_key *key, uint32_t n)
{
    static _Thread_local _Alignas(KT_KEY_ALIGN) uint8_t made[KT_KEY_NBYTES];
    struct kt_key *expected = (struct kt_key *)(void *)made;
    uint8_t dek[KT_DEK_NBYTES];
    fixture_dek(n, dek);
    kt_keys_prepare(f->engine, dek, &expected, 1);
    return key && memcmp(key, expected, KT_KEY_NBYTES) == 0;
}

static size_t count_between(const uint8_t *p, const uint8_t *end, const uint8_t *needle, size_t nbytes)
{
    size_t hits = 0;
    for (; p + nbytes <= end; p++)
        hits += p[0] == needle[0] && memcmp(p, needle, nbytes) == 0;
    return hits;
}

size_t fixture_count_in_memory(struct fixture *f, const uint8_t *needle, size_t nbytes)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    void *in_pool = kt_secmem_alloc(f->secmem, 1);
    char line[4096];
    size_t hits = 0;
    MUST(maps && in_pool);
    while (fgets(line, sizeof line, maps)) {
        unsigned long long begin, end;
        char rights[5];
        if (sscanf(line, "%llx-%llx %4s", &begin, &end, rights) != 3 || strncmp(rights, "rw", 2) != 0)
            continue;
        bool is_pool = (uintptr_t)in_pool >= begin && (uintptr_t)in_pool < end;
        if (!is_pool && !strstr(line, "[v") && !strstr(line, "/dev/"))
            hits += count_between((const uint8_t *)(uintptr_t)begin, (const uint8_t *)(uintptr_t)end, needle,
                                  nbytes);
    }
    fclose(maps);
    kt_secmem_free(f->secmem, in_pool);
    return hits;
}
