/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of keys/ fails once: what is open can be closed, nothing is lost, and a later call works.
 * The linker sends the folder's allocations here (--wrap). */
#include <stdio.h>
#include <stdlib.h>

#include "tests/keys/fixture.h"

enum { KEYS = 200 };

static long fail_at = -1; /* counts down; -1: never */
static int failed;

void *__real_malloc(size_t nbytes);
void *__real_calloc(size_t count, size_t nbytes);
void *__real_realloc(void *p, size_t nbytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t nbytes);
void *__wrap_calloc(size_t count, size_t nbytes);
void *__wrap_realloc(void *p, size_t nbytes);
char *__wrap_strdup(const char *text);

static int fails(void)
{
    if (fail_at < 0 || fail_at-- > 0)
        return 0;
    failed = 1;
    return 1;
}

void *__wrap_malloc(size_t nbytes)
{
    return fails() ? NULL : __real_malloc(nbytes);
}

void *__wrap_calloc(size_t count, size_t nbytes)
{
    return fails() ? NULL : __real_calloc(count, nbytes);
}

void *__wrap_realloc(void *p, size_t nbytes)
{
    return fails() ? NULL : __real_realloc(p, nbytes);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

static void must(int holds, const char *what, long n)
{
    if (holds)
        return;
    fail_at = -1;
    fprintf(stderr, "allocation %ld fails: %s\n", n, what);
    exit(1);
}

static int legal(enum kt_status status)
{
    return status == KT_OK || (status == KT_E_NOMEM && failed);
}

static struct fixture f;

static void use_table(struct kt_key_table *table, long n)
{
    uint32_t handles[KEYS + 2];
    const struct kt_key *keys[KEYS + 2];
    struct kt_dek_cache *cache;
    size_t count = 0;
    bool settled = false;
    for (uint32_t i = 0; i < KEYS; i++) {
        uint8_t id[16];
        fixture_id(i, id);
        enum kt_status status = kt_key_table_by_id(table, id, &handles[count]);
        must(legal(status), "by_id", n);
        count += status == KT_OK;
    }
    for (int i = 0; i < 2; i++) {
        enum kt_status status =
            kt_key_table_by_name(table, kt_span_str(i ? "there" : "nowhere"), &handles[count]);
        must(legal(status), "by_name", n);
        count += status == KT_OK;
    }
    enum kt_status status = kt_key_table_settle(table, f.engine, handles, count, NULL, &settled, NULL);
    must(legal(status) && settled == (status == KT_OK), "settle", n);
    if (status != KT_OK)
        must(kt_key_table_settle(table, f.engine, handles, count, NULL, &settled, NULL) == KT_OK && settled,
             "a second settle", n);
    for (size_t i = 0; i < count; i++) {
        const char *why;
        enum kt_key_state state = kt_key_table_state(table, handles[i]);
        status = kt_key_table_failure(table, handles[i], &why);
        must(state == KT_KEY_READY || state == KT_KEY_FAILED, "neither ready nor failed", n);
        must((status == KT_OK) == (state == KT_KEY_READY) && (why == NULL) == (status == KT_OK), "failure",
             n);
        must(status == KT_OK || status == KT_E_NO_KEY || legal(status), "status", n);
    }
    status = kt_dek_cache_new(&cache, table, f.engine, KEYS + 2);
    must(legal(status), "cache", n);
    if (status != KT_OK)
        return;
    must(kt_dek_cache_get(cache, handles, count, keys) == KT_OK, "get", n);
    kt_dek_cache_free(cache);
}

/* False once n is past the last allocation. */
static int one_round(long n, struct kt_span kms_providers)
{
    struct kt_providers *providers;
    struct kt_key_table *table;
    size_t before = kt_secmem_available(f.secmem);
    failed = 0;
    fail_at = n;
    enum kt_status status = kt_providers_new(&providers, kms_providers, (struct kt_span){0}, "kms.json",
                                             f.secmem, f.engine, NULL);
    must(legal(status), "providers", n);
    if (status == KT_OK) {
        struct kt_key_table_options options = {
            .providers = providers, .secmem = f.secmem, .source = fixture_source(&f)};
        status = kt_key_table_new(&table, &options, f.engine, NULL);
        must(legal(status), "table", n);
        if (status == KT_OK) {
            use_table(table, n);
            kt_key_table_free(table);
        }
        kt_providers_free(providers);
    }
    fail_at = -1;
    must(kt_secmem_available(f.secmem) == before, "locked memory leaks", n);
    return failed;
}

int main(void)
{
    static const char *const ids[] = {"local", NULL};
    fixture_open(&f, ids);
    for (uint32_t i = 0; i < KEYS; i++)
        fixture_add(&f, i, "local", i == 3 ? (const char *const[]){"there", NULL} : NULL);
    uint8_t master_key[KT_DEK_NBYTES];
    fixture_master_key("local", master_key);
    bson_t *doc = BCON_NEW("local", "{", "key", BCON_BIN(BSON_SUBTYPE_BINARY, master_key, sizeof master_key),
                           "}", "aws", "{", "}");
    long n = 0;
    while (one_round(n, kt_span_of(bson_get_data(doc), doc->len)))
        n++;
    bson_destroy(doc);
    fixture_close(&f);
    printf("%ld allocations, each failed once\n", n);
    return n > 20 ? 0 : 1;
}
