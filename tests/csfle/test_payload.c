/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "csfle/bson_type.h"
#include "csfle/payload.h"
#include "tests/csfle/csfle_support.h"

/* A BinData value of n bytes of the subtype; the first says which kind of payload it is. */
static uint8_t *value_of(size_t n, uint8_t subtype, uint8_t kind)
{
    uint8_t *value = calloc(1, 5 + n);
    kt_store_le32(value, (uint32_t)n);
    value[4] = subtype;
    if (n)
        value[5] = kind;
    return value;
}

static bool parses(size_t n, uint8_t subtype, uint8_t kind, bool *broken)
{
    uint8_t *value = value_of(n, subtype, kind);
    struct kt_payload payload;
    bool yes = kt_payload_parse(KT_BSON_BINARY, kt_span_of(value, 5 + n), &payload, broken);
    if (yes) {
        cr_expect_eq(payload.algorithm, kind);
        cr_expect_eq(payload.key_id, value + 6);
        cr_expect_eq(payload.sealed.data, value + 5 + 18);
        cr_expect_eq(payload.sealed.nbytes, n - 18);
    }
    free(value);
    return yes;
}

Test(payload, lengths)
{
    cr_expect_eq(KT_PAYLOAD_NBYTES(0), 82);
    cr_expect_eq(KT_PAYLOAD_NBYTES(15), 82);
    cr_expect_eq(KT_PAYLOAD_NBYTES(16), 98);
    for (size_t n = 0; n < 300; n++) {
        bool broken, legal = n >= 82 && (n - 82) % 16 == 0;
        cr_expect_eq(parses(n, 6, 1, &broken), legal);
        cr_expect_eq(broken, !legal && n > 0);
        cr_expect_eq(parses(n, 6, 2, NULL), legal);
    }
}

Test(payload, key_ids_of_everything_encrypted)
{
    for (size_t n = 0; n < 100; n++) {
        for (unsigned kind = 0; kind < 256; kind++) {
            uint8_t *value = value_of(n, 6, (uint8_t)kind);
            cr_expect_eq(kt_payload_key_id(kt_span_of(value, 5 + n)), n >= 17 ? value + 6 : NULL);
            free(value);
        }
    }
    uint8_t *value = value_of(82, 4, 1);
    cr_expect_null(kt_payload_key_id(kt_span_of(value, 87)));
    free(value);
}

Test(payload, what_is_none)
{
    bool broken;
    for (unsigned kind = 0; kind < 256; kind++)
        if (kind != 1 && kind != 2)
            cr_expect(!parses(82, 6, (uint8_t)kind, &broken) && !broken);
    for (unsigned subtype = 0; subtype < 256; subtype++)
        if (subtype != 6)
            cr_expect(!parses(82, (uint8_t)subtype, 1, &broken) && !broken);
    uint8_t *value = value_of(82, 6, 1);
    struct kt_payload payload;
    cr_expect_not(kt_payload_parse(KT_BSON_STRING, kt_span_of(value, 87), &payload, &broken));
    free(value);
}

Test(payload, aad)
{
    uint8_t out[18], key[16] = "0123456789abcde";
    kt_payload_write_aad(out, KT_RANDOM, key, KT_BSON_INT32);
    cr_expect_eq(out[0], 2);
    cr_expect_arr_eq(out + 1, key, 16);
    cr_expect_eq(out[17], 0x10);
}
