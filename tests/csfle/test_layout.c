/* SPDX-License-Identifier: Apache-2.0 */
/* The raw layout beside a slow rebuild of the same document by libbson. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "csfle/bson_type.h"
#include "csfle/layout.h"
#include "csfle/payload.h"
#include "tests/csfle/csfle_support.h"
#include "tests/support/shared.h"

#define HOLE_BYTE 0xa5

static const uint8_t the_key[KT_UUID_NBYTES] = "0123456789abcdef";

static const uint8_t *key_of(const void *context, uint32_t key)
{
    return (const uint8_t *)context + key * KT_UUID_NBYTES;
}

static void append_payload(bson_t *doc, const char *name, uint64_t *seed)
{
    uint8_t blob[KT_PAYLOAD_NBYTES(64)];
    size_t n = KT_PAYLOAD_NBYTES(kt_random(seed) % 64);
    kt_payload_write_aad(blob, 1 + (uint8_t)(kt_random(seed) % 2), the_key, KT_BSON_STRING);
    memset(blob + KT_PAYLOAD_AAD_NBYTES, (int)(kt_random(seed) % 256), n - KT_PAYLOAD_AAD_NBYTES);
    bson_append_binary(doc, name, -1, BSON_SUBTYPE_ENCRYPTED, blob, (uint32_t)n);
}

static void append_random(bson_t *doc, unsigned depth, bool array, uint64_t *seed);

static void append_element(bson_t *doc, const char *name, unsigned depth, uint64_t *seed)
{
    bson_t child;
    switch (kt_random(seed) % (depth ? 9 : 7)) {
    case 0:
        BSON_APPEND_INT32(doc, name, (int32_t)kt_random(seed));
        break;
    case 1:
        BSON_APPEND_UTF8(doc, name, "gr\xc3\xbc\xc3\x9f dich");
        break;
    case 2:
        BSON_APPEND_NULL(doc, name);
        break;
    case 3:
        BSON_APPEND_REGEX(doc, name, "^a", "i");
        break;
    case 4:
        BSON_APPEND_BINARY(doc, name, BSON_SUBTYPE_BINARY, (const uint8_t *)"xyz",
                           (uint32_t)(kt_random(seed) % 4));
        break;
    case 5:
    case 6:
        append_payload(doc, name, seed);
        break;
    case 7:
        BSON_APPEND_DOCUMENT_BEGIN(doc, name, &child);
        append_random(&child, depth - 1, false, seed);
        bson_append_document_end(doc, &child);
        break;
    case 8:
        BSON_APPEND_ARRAY_BEGIN(doc, name, &child);
        append_random(&child, depth - 1, true, seed);
        bson_append_array_end(doc, &child);
        break;
    }
}

static void append_random(bson_t *doc, unsigned depth, bool array, uint64_t *seed)
{
    unsigned count = (unsigned)(kt_random(seed) % 7);
    for (unsigned i = 0; i < count; i++) {
        char name[64];
        if (array)
            snprintf(name, sizeof name, "%u", i);
        else
            snprintf(name, sizeof name, "%.*s%u", (int)(kt_random(seed) % 30),
                     "field with quite a long name ", i);
        append_element(doc, name, depth, seed);
    }
}

/* What the test decided for each payload, in document order. */
struct decisions {
    const struct kt_layout *layout;
    const struct kt_op *ops;
    size_t count, next;
    char path[16384];
    bson_t set;
};

static const struct kt_op *next_decision(struct decisions *d)
{
    while (d->ops[d->next].action == KT_FRAME)
        d->next++;
    cr_assert_lt(d->next, d->count);
    return &d->ops[d->next++];
}

static void append_decided(bson_t *out, const char *name, const bson_iter_t *iter, const struct kt_op *op,
                           const struct kt_layout *layout)
{
    if (op->action == KT_KEEP) {
        bson_append_iter(out, name, -1, iter);
    } else if (op->action == KT_OPEN) {
        if (op->type == KT_BSON_INT64)
            BSON_APPEND_INT64(out, name, (int64_t)kt_load_le64(layout->opened + op->hole));
        else
            BSON_APPEND_UTF8(out, name, (const char *)layout->opened + op->hole + 4);
    } else {
        uint8_t blob[KT_PAYLOAD_NBYTES(400)];
        size_t n = KT_PAYLOAD_NBYTES(op->value_nbytes);
        kt_payload_write_aad(blob, op->algorithm, the_key, KT_BSON_BINARY);
        memset(blob + KT_PAYLOAD_AAD_NBYTES, HOLE_BYTE, n - KT_PAYLOAD_AAD_NBYTES);
        bson_append_binary(out, name, -1, BSON_SUBTYPE_ENCRYPTED, blob, (uint32_t)n);
    }
}

/* The slow way: every element through libbson. */
static void rebuild(struct decisions *d, bson_iter_t *iter, bson_t *out)
{
    size_t base = strlen(d->path);
    while (bson_iter_next(iter)) {
        bson_iter_t child;
        bson_t sub;
        const char *key = bson_iter_key(iter);
        snprintf(d->path + base, sizeof d->path - base, "%s%s", base ? "." : "", key);
        bson_subtype_t subtype = BSON_SUBTYPE_BINARY;
        if (BSON_ITER_HOLDS_BINARY(iter)) {
            uint32_t n;
            const uint8_t *bytes;
            bson_iter_binary(iter, &subtype, &n, &bytes);
        }
        if (subtype == BSON_SUBTYPE_ENCRYPTED) {
            const struct kt_op *op = next_decision(d);
            append_decided(out, key, iter, op, d->layout);
            if (op->action != KT_KEEP)
                append_decided(&d->set, d->path, iter, op, d->layout);
        } else if (BSON_ITER_HOLDS_DOCUMENT(iter)) {
            bson_iter_recurse(iter, &child);
            BSON_APPEND_DOCUMENT_BEGIN(out, key, &sub);
            rebuild(d, &child, &sub);
            bson_append_document_end(out, &sub);
        } else if (BSON_ITER_HOLDS_ARRAY(iter)) {
            bson_iter_recurse(iter, &child);
            BSON_APPEND_ARRAY_BEGIN(out, key, &sub);
            rebuild(d, &child, &sub);
            bson_append_array_end(out, &sub);
        } else {
            bson_append_iter(out, NULL, 0, iter);
        }
    }
    d->path[base] = 0;
}

static const uint8_t opened_values[] = {
    1, 2, 3, 4, 5,   6,   7,   8,           /* a long */
    6, 0, 0, 0, 'a', 'b', 'c', 'd', 'e', 0, /* a string */
};

static void decide(struct kt_op *op, uint64_t *seed)
{
    switch (kt_random(seed) % 4) {
    case 0:
        break;
    case 1:
        op->action = KT_SEAL;
        op->key = 0;
        op->algorithm = KT_RANDOM;
        break;
    case 2:
        op->action = KT_OPEN;
        op->type = KT_BSON_INT64;
        op->hole = 0;
        op->opened_nbytes = 8;
        break;
    default:
        op->action = KT_OPEN;
        op->type = KT_BSON_STRING;
        op->hole = 8;
        op->opened_nbytes = 10;
        break;
    }
}

static void fill_holes(uint8_t *out, const struct kt_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ops[i].action == KT_SEAL)
            memset(out + ops[i].hole, HOLE_BYTE,
                   KT_PAYLOAD_NBYTES(ops[i].value_nbytes) - KT_PAYLOAD_AAD_NBYTES);
}

static void expect_bytes(const uint8_t *out, uint32_t nbytes, const bson_t *expected, const char *what)
{
    cr_assert_eq(nbytes, expected->len, "%s: %u bytes, expected %u", what, nbytes, expected->len);
    cr_assert_arr_eq(out, bson_get_data(expected), nbytes, "%s", what);
}

static void check_set(const struct kt_layout *layout, uint32_t doc, struct kt_ops *ops, struct decisions *d)
{
    uint64_t nbytes = kt_layout_set_nbytes(layout, doc, ops->v, ops->count);
    cr_assert_eq(nbytes, d->set.len);
    uint8_t *out = malloc(nbytes + 3);
    uint32_t wrote = kt_layout_set_write(layout, ops->v, ops->count, out, 3);
    fill_holes(out, ops->v, ops->count);
    expect_bytes(out + 3, wrote, &d->set, "$set");
    free(out);
}

static void check_document(const bson_t *doc, uint64_t *seed)
{
    enum { IN_AT = 11, OUT_AT = 5 };
    uint8_t *arena = malloc(IN_AT + doc->len);
    memcpy(arena + IN_AT, bson_get_data(doc), doc->len);
    struct kt_ops ops = {0};
    struct kt_walk_fault fault;
    cr_assert_eq(kt_walk_payloads(arena, IN_AT, doc->len, &ops, &fault), KT_OK);
    for (size_t i = 0; i < ops.count; i++)
        if (ops.v[i].action == KT_KEEP)
            decide(&ops.v[i], seed);

    struct kt_layout layout = {arena, opened_values, key_of, the_key};
    uint64_t nbytes = kt_layout_nbytes(doc->len, ops.v, ops.count);
    uint8_t *out = malloc(OUT_AT + nbytes);
    uint32_t wrote = kt_layout_write(&layout, IN_AT, doc->len, ops.v, ops.count, out, OUT_AT);
    cr_assert_eq(wrote, nbytes);
    fill_holes(out, ops.v, ops.count);

    struct decisions d = {.layout = &layout, .ops = ops.v, .count = ops.count};
    bson_init(&d.set);
    bson_t expected = BSON_INITIALIZER;
    bson_iter_t iter;
    cr_assert(bson_iter_init(&iter, doc));
    rebuild(&d, &iter, &expected);
    expect_bytes(out + OUT_AT, wrote, &expected, "layout");
    check_set(&layout, IN_AT, &ops, &d);

    bson_destroy(&expected);
    bson_destroy(&d.set);
    kt_ops_free(&ops);
    free(out);
    free(arena);
}

Test(layout, equals_a_slow_rebuild)
{
    uint64_t seed = 0x5eed0001;
    for (int i = 0; i < 3000; i++) {
        uint64_t at = seed;
        bson_t doc = BSON_INITIALIZER;
        append_random(&doc, 1 + (unsigned)(kt_random(&seed) % 5), false, &seed);
        check_document(&doc, &seed);
        bson_destroy(&doc);
        cr_assert(seed != at);
    }
}

static void nest(bson_t *doc, unsigned depth, uint64_t *seed)
{
    bson_t child;
    append_payload(doc, "before", seed);
    if (depth > 0) {
        BSON_APPEND_DOCUMENT_BEGIN(doc, "d", &child);
        nest(&child, depth - 1, seed);
        bson_append_document_end(doc, &child);
    }
    append_payload(doc, "behind", seed);
}

Test(layout, patches_every_length_of_a_deep_nest)
{
    uint64_t seed = 0x5eed0002;
    bson_t doc = BSON_INITIALIZER;
    nest(&doc, KT_BSON_DEPTH_MAX, &seed);
    check_document(&doc, &seed);
    bson_destroy(&doc);
}

Test(layout, takes_documents_of_16_mib)
{
    uint64_t seed = 0x5eed0003;
    bson_t doc = BSON_INITIALIZER, child;
    uint8_t *big = calloc(1, 8 << 20);
    BSON_APPEND_BINARY(&doc, "big", BSON_SUBTYPE_BINARY, big, 8 << 20);
    append_payload(&doc, "p", &seed);
    BSON_APPEND_ARRAY_BEGIN(&doc, "a", &child);
    char number[16];
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(number, sizeof number, "%u", i);
        append_payload(&child, number, &seed);
    }
    bson_append_array_end(&doc, &child);
    BSON_APPEND_BINARY(&doc, "fill", BSON_SUBTYPE_BINARY, big, 16777216 - doc.len - 11);
    cr_assert_eq(doc.len, 16777216);
    check_document(&doc, &seed);
    bson_destroy(&doc);
    free(big);
}

Test(layout, empty_document_is_copied)
{
    static const uint8_t empty[] = {5, 0, 0, 0, 0};
    uint8_t out[5] = {0};
    struct kt_layout layout = {empty, NULL, NULL, NULL};
    cr_assert_eq(kt_layout_nbytes(5, NULL, 0), 5);
    cr_assert_eq(kt_layout_write(&layout, 0, 5, NULL, 0, out, 0), 5);
    cr_assert_arr_eq(out, empty, 5);
    cr_assert_eq(kt_layout_set_nbytes(&layout, 0, NULL, 0), 5);
}
