/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over published data, whole, cut and damaged. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csfle/bson_type.h"
#include "csfle/layout.h"
#include "csfle/walk.h"
#include "tests/csfle/csfle_support.h"
#include "tests/support/shared.h"

static void needs_shared(void)
{
    if (!kt_shared_present())
        cr_skip_test("the shared test data is not there");
}

static void is_copied(const char *description, struct kt_span bson, void *context)
{
    (void)context;
    struct kt_ops ops = {0};
    cr_expect_eq(kt_walk_payloads(bson.data, 0, (uint32_t)bson.nbytes, &ops, NULL), KT_OK, "%s", description);
    struct kt_layout layout = {bson.data, NULL, NULL, NULL};
    cr_assert_eq(kt_layout_nbytes((uint32_t)bson.nbytes, ops.v, ops.count), bson.nbytes);
    uint8_t *out = malloc(bson.nbytes);
    uint32_t n = kt_layout_write(&layout, 0, (uint32_t)bson.nbytes, ops.v, ops.count, out, 0);
    cr_expect_eq(n, bson.nbytes);
    cr_expect_arr_eq(out, bson.data, bson.nbytes, "%s", description);
    free(out);
    kt_ops_free(&ops);
}

Test(walk_data, copies_every_valid_corpus_case, .init = needs_shared)
{
    cr_assert_eq(kt_each_corpus_case("valid", "canonical_bson", is_copied, NULL), 734);
}

/* What is refused for its texts alone is structured well: a walk passes it through. */
struct refusals {
    const struct kt_schema *schema;
    size_t for_texts;
};

static void fails_both_walks(const char *description, struct kt_span bson, void *context)
{
    struct refusals *refusals = context;
    struct kt_ops ops = {0};
    struct kt_walk_fault fault = {0};
    bool for_texts = strcasestr(description, "utf-8") != NULL;
    enum kt_status wanted = for_texts ? KT_OK : KT_E_FORMAT;
    refusals->for_texts += for_texts;
    cr_expect_eq(kt_walk_payloads(bson.data, 0, (uint32_t)bson.nbytes, &ops, &fault), wanted, "%s",
                 description);
    cr_expect_eq(fault.what == NULL, for_texts);
    cr_expect_leq(fault.at, bson.nbytes);
    cr_expect_eq(ops.count, 0);
    cr_expect_eq(kt_walk_schema(refusals->schema, bson.data, 0, (uint32_t)bson.nbytes, &ops, NULL, &fault),
                 wanted, "%s", description);
    kt_ops_free(&ops);
    if (for_texts)
        is_copied(description, bson, NULL);
}

Test(walk_data, refuses_every_corpus_case_that_must_be, .init = needs_shared)
{
    struct kt_schema_map *map = kt_compile_json(
        "{'bsonType': 'object', 'encryptMetadata': {'keyId': [{'$binary': {'base64': "
        "'AAAAAAAAAAAAAAAAAAAAAA==', "
        "'subType': '04'}}], 'algorithm': 'AEAD_AES_256_CBC_HMAC_SHA_512-Random'}, 'additionalProperties': "
        "{'encrypt': {}}, 'properties': {'_id': {}}}");
    struct refusals refusals = {.schema = kt_schema_map_at(map, 0)};
    cr_assert_eq(kt_each_corpus_case("decodeErrors", "bson", fails_both_walks, &refusals), 76);
    cr_assert_eq(refusals.for_texts, 4);
    kt_schema_map_free(map);
}

static void each_dump_document(void (*visit)(struct kt_span doc, uint64_t *seed), uint64_t *seed,
                               size_t *count)
{
    for (size_t i = 0; kt_dump_files[i]; i++) {
        size_t nbytes, at = 0;
        uint8_t *file = kt_read_file(kt_shared_path(kt_dump_files[i]), &nbytes);
        cr_assert_not_null(file, "%s", kt_dump_files[i]);
        struct kt_span doc;
        while (kt_next_doc(file, nbytes, &at, &doc)) {
            visit(doc, seed);
            (*count)++;
        }
        free(file);
    }
}

static void copied_document(struct kt_span doc, uint64_t *seed)
{
    (void)seed;
    is_copied("dump", doc, NULL);
}

Test(walk_data, copies_real_dumps, .init = needs_shared)
{
    uint64_t seed = 1;
    size_t count = 0;
    each_dump_document(copied_document, &seed, &count);
    cr_assert_geq(count, 4 + 20 + 1 + 1 + 100 + 1 + 1 + 10 + 2 + 5);
}

static void damage(uint8_t *doc, size_t nbytes, uint64_t *seed)
{
    static const uint8_t telling[] = {0, 1, 2, 3, 4, 5, 0x0f, 0x7f, 0x80, 0xff};
    unsigned changes = 1 + (unsigned)(kt_random(seed) % 4);
    for (unsigned i = 0; i < changes; i++) {
        uint64_t r = kt_random(seed);
        doc[(r >> 16) % nbytes] = r & 1 ? telling[(r >> 4) % sizeof telling] : (uint8_t)(r >> 8);
    }
}

static bool libbson_reads(bson_iter_t *iter)
{
    bson_iter_t child;
    while (bson_iter_next(iter))
        if ((BSON_ITER_HOLDS_DOCUMENT(iter) || BSON_ITER_HOLDS_ARRAY(iter)) &&
            (!bson_iter_recurse(iter, &child) || !libbson_reads(&child)))
            return false;
    return iter->err_off == 0;
}

/* Whatever the bytes are, the walk stays inside them; what it takes, libbson takes. */
static void walk_damaged(struct kt_span doc, uint64_t *seed)
{
    for (int round = 0; round < 40; round++) {
        uint8_t *damaged = kt_exact(doc.data, doc.nbytes);
        damage(damaged, doc.nbytes, seed);
        struct kt_ops ops = {0};
        bson_iter_t iter;
        if (kt_walk_payloads(damaged, 0, (uint32_t)doc.nbytes, &ops, NULL) != KT_OK)
            cr_expect_eq(ops.count, 0);
        else
            cr_expect(bson_iter_init_from_data(&iter, damaged, doc.nbytes) && libbson_reads(&iter));
        kt_ops_free(&ops);
        free(damaged);
    }
}

Test(walk_data, damaged_documents, .init = needs_shared)
{
    uint64_t seed = 0x5eed0004;
    size_t count = 0;
    printf("seed %llx\n", (unsigned long long)seed);
    each_dump_document(walk_damaged, &seed, &count);
    cr_assert_gt(count, 100);
}

static void walk_cut(struct kt_span doc, uint64_t *seed)
{
    (void)seed;
    size_t step = doc.nbytes > 4096 ? doc.nbytes / 1024 : 1;
    for (size_t n = 5; n < doc.nbytes; n += step) {
        uint8_t *cut = kt_exact(doc.data, n);
        struct kt_ops ops = {0};
        cr_expect_eq(kt_walk_payloads(cut, 0, (uint32_t)n, &ops, NULL), KT_E_FORMAT);
        kt_store_le32(cut, (uint32_t)n);
        cr_expect_eq(kt_walk_payloads(cut, 0, (uint32_t)n, &ops, NULL), KT_E_FORMAT);
        cut[n - 1] = 0;
        (void)!kt_walk_payloads(cut, 0, (uint32_t)n, &ops, NULL); /* a cut at an element's end is legal now */
        kt_ops_free(&ops);
        free(cut);
    }
}

Test(walk_data, cut_documents, .init = needs_shared)
{
    uint64_t seed = 1;
    size_t count = 0;
    each_dump_document(walk_cut, &seed, &count);
    cr_assert_gt(count, 100);
}
