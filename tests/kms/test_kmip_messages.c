/* SPDX-License-Identifier: Apache-2.0 */
#include <kms_message/kms_kmip_request.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "fixture.h"
#include "kms/kmip.h"
#include "kms/ttlv.h"
#include "tests/support/shared.h"

static struct kms_fixture f;
static uint8_t kek[96];

static void start(enum kt_kms_op op, const char *cmk)
{
    kms_fixture_open(&f, KT_KMS_KMIP, op, cmk);
}

static void stop(void)
{
    kms_fixture_close(&f);
}

TestSuite(kmip_messages, .fini = stop);

#define CMK "{\"provider\":\"kmip\",\"endpoint\":\"localhost:5698\",\"keyId\":\"12\"}"
#define DELEGATED "{\"provider\":\"kmip\",\"delegated\":true,\"keyId\":\"12\"}"

/* libkms_message, the drivers' own library, is the oracle. */
static void expect_frame(kms_request_t *oracle)
{
    size_t n;
    struct kt_secbuf out;
    struct kt_span item = kt_secbuf_get(&f.x.body);
    const uint8_t *want = kms_request_to_bytes(oracle, &n);
    kt_secbuf_init(&out, f.secmem);
    kt_kmip_frame(&out, f.x.kmip_minor, &item, 1);
    cr_expect(kt_span_equal(kt_secbuf_get(&out), kt_span_of(want, n)));
    kt_secbuf_free(&out);
    kms_request_destroy(oracle);
}

Test(kmip_messages, get_and_activate_are_what_drivers_send)
{
    start(KT_KMS_UNWRAP, CMK);
    cr_assert_eq(kt_kmip_build_get(&f.call, &f.cmk, &f.x), KT_V_SEND);
    expect_frame(kms_kmip_request_get_new(NULL, "12"));
    kt_exchange_reset(&f.x);
    f.call.loop.step = 1;
    memcpy(f.out, "uid", 4);
    cr_assert_eq(kt_kmip_build_new(&f.call, &f.cmk, kt_span_of(f.in, 96), &f.x), KT_V_SEND);
    expect_frame(kms_kmip_request_activate_new(NULL, "uid"));
}

static void put_item(struct kt_secbuf *out, uint32_t operation, uint32_t status, uint32_t reason,
                     const char *id, size_t material)
{
    static const uint8_t bytes[200] = {7};
    if (operation)
        kt_ttlv_enum(out, 0x42005c, operation);
    kt_ttlv_enum(out, 0x42007f, status);
    if (reason)
        kt_ttlv_enum(out, 0x42007e, reason);
    size_t payload = kt_ttlv_open(out, 0x42007c);
    kt_ttlv_enum(out, 0x420057, 7);
    kt_ttlv_text(out, 0x420094, id);
    size_t a = kt_ttlv_open(out, 0x420085), b = kt_ttlv_open(out, 0x420040), c = kt_ttlv_open(out, 0x420045);
    kt_ttlv_bytes(out, 0x420043, kt_span_of(bytes, material));
    kt_ttlv_close(out, c);
    kt_ttlv_close(out, b);
    kt_ttlv_close(out, a);
    kt_ttlv_close(out, payload);
}

static void got(uint32_t operation, uint32_t status, uint32_t reason, const char *id, size_t material,
                enum kt_verdict verdict, enum kt_kms_reason why)
{
    kms_fixture_reply(&f, 200, "");
    put_item(&f.x.reply, operation, status, reason, id, material);
    cr_expect_eq(kt_kmip_parse_get(&f.call, &f.cmk, &f.x, kek), verdict);
    cr_expect_eq(f.call.reason, why, "%s", kt_kms_reason_text(f.call.reason));
}

Test(kmip_messages, a_fetched_key_is_checked)
{
    start(KT_KMS_UNWRAP, CMK);
    got(0x0a, 0, 0, "12", 96, KT_V_DONE, KT_KMS_R_NONE);
    cr_expect_eq(kek[0], 7);
    got(0x0a, 0, 0, "13", 96, KT_V_FAULT, KT_KMS_R_REPLY);
    got(0x0a, 0, 0, "1", 96, KT_V_FAULT, KT_KMS_R_REPLY);
    got(0x12, 0, 0, "12", 96, KT_V_FAULT, KT_KMS_R_REPLY);
    got(0x0a, 0, 0, "12", 32, KT_V_FINAL, KT_KMS_R_DISABLED);
    got(0x0a, 1, 1, "12", 96, KT_V_FINAL, KT_KMS_R_MISSING);
    got(0x0a, 1, 0x0c, "12", 96, KT_V_FINAL, KT_KMS_R_DENIED);
    got(0x0a, 1, 0x0b, "12", 96, KT_V_FINAL, KT_KMS_R_DISABLED);
    got(0x0a, 1, 0x0a, "12", 96, KT_V_FINAL, KT_KMS_R_CIPHERTEXT);
    got(0x0a, 1, 0x100, "12", 96, KT_V_FAULT, KT_KMS_R_REPLY);
    got(0x0a, 1, 0, "12", 96, KT_V_FAULT, KT_KMS_R_REPLY);
    got(0, 0, 0, "12", 96, KT_V_FAULT, KT_KMS_R_REPLY);
}

Test(kmip_messages, every_truncated_reply_is_a_fault)
{
    start(KT_KMS_UNWRAP, CMK);
    struct kt_secbuf whole;
    kt_secbuf_init(&whole, f.secmem);
    put_item(&whole, 0x0a, 0, 0, "12", 96);
    for (size_t n = 0; n < whole.nbytes; n++) {
        kms_fixture_reply(&f, 200, "");
        kt_secbuf_put(&f.x.reply, whole.data, n);
        cr_expect_eq(kt_kmip_parse_get(&f.call, &f.cmk, &f.x, kek), KT_V_FAULT, "%zu bytes", n);
    }
    kt_secbuf_free(&whole);
}

Test(kmip_messages, delegated_wrap_and_unwrap)
{
    start(KT_KMS_WRAP, DELEGATED);
    cr_assert_eq(kt_kmip_build(&f.call, &f.cmk, &f.x), KT_V_SEND);
    cr_expect_eq(f.x.kmip_minor, 2);
    uint8_t iv[16] = {1}, data[112] = {2};
    for (size_t bad = 0; bad < 3; bad++) {
        kms_fixture_reply(&f, 200, "");
        kt_ttlv_enum(&f.x.reply, 0x42005c, 0x1f);
        kt_ttlv_enum(&f.x.reply, 0x42007f, 0);
        size_t payload = kt_ttlv_open(&f.x.reply, 0x42007c);
        kt_ttlv_text(&f.x.reply, 0x420094, "12");
        kt_ttlv_bytes(&f.x.reply, 0x4200c2, kt_span_of(data, bad == 1 ? 96 : 112));
        kt_ttlv_bytes(&f.x.reply, 0x42003d, kt_span_of(iv, bad == 2 ? 12 : 16));
        kt_ttlv_close(&f.x.reply, payload);
        cr_expect_eq(kt_kmip_parse(&f.call, &f.cmk, &f.x), bad ? KT_V_FAULT : KT_V_DONE);
        cr_expect_eq(f.call.out_nbytes, bad ? 0 : 128);
    }
    cr_expect_eq(f.out[0], 1);
    cr_expect_eq(f.out[16], 2);
}

Test(kmip_messages, a_delegated_wrap_has_128_bytes)
{
    start(KT_KMS_UNWRAP, DELEGATED);
    f.call.in.nbytes = 160;
    cr_expect_eq(kt_kmip_build(&f.call, &f.cmk, &f.x), KT_V_FINAL);
    cr_expect_eq(f.call.reason, KT_KMS_R_CIPHERTEXT);
}

/* Replies of a batch come in any order and may leave items out. */
Test(kmip_messages, batches_go_by_id)
{
    start(KT_KMS_UNWRAP, CMK);
    struct kt_secbuf reply;
    struct kt_span items[3];
    kt_secbuf_init(&reply, f.secmem);
    size_t message = kt_ttlv_open(&reply, 0x42007b);
    for (uint8_t id = 2; id != 0; id--) {
        size_t item = kt_ttlv_open(&reply, 0x42000f);
        kt_ttlv_bytes(&reply, 0x420093, kt_span_of(&id, 1));
        kt_ttlv_int(&reply, 0x42007f, id);
        kt_ttlv_close(&reply, item);
    }
    kt_ttlv_close(&reply, message);
    cr_assert(kt_kmip_unframe(kt_secbuf_get(&reply), items, 3));
    struct kt_ttlv status;
    uint32_t value;
    cr_expect_eq(items[0].data, NULL);
    for (uint32_t i = 1; i < 3; i++)
        cr_expect(kt_ttlv_find(items[i], (const uint32_t[]){0x42007f}, 1, &status) &&
                  kt_ttlv_u32(&status, &value) && value == i);
    cr_expect_not(kt_kmip_unframe(kt_secbuf_get(&reply), items, 1), "more answers than requests");
    cr_expect_not(kt_kmip_unframe(kt_span_of(reply.data, reply.nbytes - 8), items, 3));
    cr_expect_not(kt_kmip_unframe(kt_span_of(reply.data, 0), items, 3));
    kt_secbuf_free(&reply);
}

Test(kmip_messages, a_refusal_of_the_whole_message_is_everybodys)
{
    start(KT_KMS_UNWRAP, CMK);
    struct kt_secbuf reply;
    struct kt_span items[2];
    kt_secbuf_init(&reply, f.secmem);
    size_t message = kt_ttlv_open(&reply, 0x42007b), item = kt_ttlv_open(&reply, 0x42000f);
    kt_ttlv_enum(&reply, 0x42007f, 1);
    kt_ttlv_enum(&reply, 0x42007e, 4);
    kt_ttlv_close(&reply, item);
    kt_ttlv_close(&reply, message);
    cr_assert(kt_kmip_unframe(kt_secbuf_get(&reply), items, 2));
    cr_expect(items[0].data && items[1].data == items[0].data);
    cr_expect(kt_kmip_refuses_batch(items[1]));
    kt_secbuf_free(&reply);
}

Test(kmip_messages, a_new_key_is_registered_then_activated)
{
    bson_t made;
    start(KT_KMS_RESOLVE, "{\"provider\":\"kmip:a\",\"endpoint\":\"localhost:5698\"}");
    uint8_t secret[96] = {9};
    cr_assert_eq(kt_kmip_build_new(&f.call, &f.cmk, kt_span_of(secret, 96), &f.x), KT_V_SEND);
    kms_fixture_reply(&f, 200, "");
    put_item(&f.x.reply, 3, 0, 0, "new-1", 0);
    cr_assert_eq(kt_kmip_parse_new(&f.call, &f.cmk, &f.x), KT_V_NEXT);
    kt_secbuf_reset(&f.x.body);
    cr_assert_eq(kt_kmip_build_new(&f.call, &f.cmk, kt_span_of(secret, 96), &f.x), KT_V_SEND);
    cr_expect(kms_fixture_body_has(&f, "new-1"));
    kms_fixture_reply(&f, 200, "");
    put_item(&f.x.reply, 0x12, 0, 0, "new-1", 0);
    cr_assert_eq(kt_kmip_parse_new(&f.call, &f.cmk, &f.x), KT_V_DONE);
    cr_assert(kt_doc_view(kt_span_of(f.out, f.call.out_nbytes), &made));
    cr_expect_str_eq(kt_doc_text(&made, "keyId"), "new-1");
    cr_expect_str_eq(kt_doc_text(&made, "provider"), "kmip:a");
    cr_expect_eq(kt_doc_text(&made, "delegated"), NULL);
}

static enum kt_verdict activated(uint32_t status, uint32_t reason)
{
    kms_fixture_reply(&f, 200, "");
    put_item(&f.x.reply, 0x12, status, reason, "new-1", 0);
    return kt_kmip_parse_new(&f.call, &f.cmk, &f.x);
}

Test(kmip_messages, an_activation_whose_reply_is_lost_is_done)
{
    start(KT_KMS_RESOLVE, "{\"provider\":\"kmip\"}");
    kms_fixture_reply(&f, 200, "");
    put_item(&f.x.reply, 3, 0, 0, "new-1", 0);
    cr_assert_eq(kt_kmip_parse_new(&f.call, &f.cmk, &f.x), KT_V_NEXT);
    cr_expect_eq(activated(1, 0x0c), KT_V_FINAL, "the first one is believed");
    kms_fixture_reply(&f, 0, "");
    f.x.problem_reason = KT_KMS_R_NETWORK;
    cr_assert_eq(kt_kmip_parse_new(&f.call, &f.cmk, &f.x), KT_V_FAULT);
    cr_expect_eq(activated(1, 1), KT_V_FINAL, "the key is missing");
    cr_expect_eq(activated(1, 0x0c), KT_V_DONE);
    cr_expect_gt(f.call.out_nbytes, 0);
}

/* libmongocrypt wraps for "local" and "kmip" alike: a corpus key document, its master key and its DEK. */
Test(kek, seals_and_opens)
{
    uint8_t iv[16] = {1}, dek[96] = {2}, wrapped[160], opened[96];
    memset(kek, 3, sizeof kek);
    cr_assert(kt_kek_seal(kek, iv, dek, wrapped));
    cr_assert(kt_kek_open(kek, wrapped, opened));
    cr_expect_arr_eq(dek, opened, 96);
    for (size_t i = 0; i < sizeof wrapped; i++) {
        memset(opened, 0xee, sizeof opened);
        wrapped[i] ^= 1;
        cr_expect_not(kt_kek_open(kek, wrapped, opened), "byte %zu", i);
        cr_expect_eq(opened[0], 0xee);
        wrapped[i] ^= 1;
    }
}

/* [AEAD] section 2.1 by hand: any last block behind the DEK. */
static void seal_with_end(const uint8_t dek[96], const uint8_t end[16], uint8_t wrapped[160])
{
    uint8_t covered[16 + 112 + 8] = {5}, tag[64];
    int first, last;
    unsigned nbytes;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    cr_assert_eq(EVP_EncryptInit_ex2(ctx, EVP_aes_256_cbc(), kek + 32, covered, NULL), 1);
    EVP_CIPHER_CTX_set_padding(ctx, 0);
    cr_assert_eq(EVP_EncryptUpdate(ctx, covered + 16, &first, dek, 96), 1);
    cr_assert_eq(EVP_EncryptUpdate(ctx, covered + 16 + 96, &last, end, 16), 1);
    EVP_CIPHER_CTX_free(ctx);
    cr_assert_eq(first + last, 112);
    cr_assert(HMAC(EVP_sha512(), kek, 32, covered, sizeof covered, tag, &nbytes));
    memcpy(wrapped, covered, 128);
    memcpy(wrapped + 128, tag, 32);
}

Test(kek, what_is_authentic_but_not_96_bytes_long_is_no_dek)
{
    uint8_t dek[96] = {2}, end[16], wrapped[160], opened[96];
    memset(kek, 3, sizeof kek);
    memset(end, 16, sizeof end);
    seal_with_end(dek, end, wrapped);
    cr_assert(kt_kek_open(kek, wrapped, opened));
    cr_expect_arr_eq(dek, opened, 96);
    memset(opened, 0xee, sizeof opened);
    for (size_t i = 0; i < sizeof end; i++) {
        end[i] ^= 1;
        seal_with_end(dek, end, wrapped);
        cr_expect_not(kt_kek_open(kek, wrapped, opened), "byte %zu", i);
        end[i] ^= 1;
    }
    for (int pad = 0; pad < 16; pad++) { /* legal padding of fewer bytes, and none */
        memset(end, pad, sizeof end);
        seal_with_end(dek, end, wrapped);
        cr_expect_not(kt_kek_open(kek, wrapped, opened), "padding %d", pad);
    }
    for (size_t i = 0; i < sizeof opened; i++)
        cr_assert_eq(opened[i], 0xee);
}

/* MongoDB specifications, client-side-encryption tests: the local master key and key document of the corpus.
 */
Test(kek, opens_what_drivers_have_wrapped)
{
    static const char *const master =
        "Mng0NCt4ZHVUYUJCa1kxNkVyNUR1QURhZ2h2UzR2d2RrZzh0cFBwM3R6NmdWMDFBMUN3YkQ5aXRRMkhGRGdQV09wOGVN"
        "YUMxT2k3NjZKelhaQmRCZGJkTXVyZG9uSjFk";
    if (!kt_shared_present())
        cr_skip_test("no shared test data");
    bson_t *doc = kt_shared_json("vectors/csfle-corpus/corpus-key-local.json");
    cr_assert(doc);
    bson_iter_t it;
    bson_subtype_t subtype;
    uint32_t nbytes;
    const uint8_t *wrapped;
    uint8_t dek[96];
    size_t n;
    cr_assert(kt_base64_decode(kt_span_str(master), kek, sizeof kek, &n) && n == 96);
    cr_assert(bson_iter_init_find(&it, doc, "keyMaterial") && BSON_ITER_HOLDS_BINARY(&it));
    bson_iter_binary(&it, &subtype, &nbytes, &wrapped);
    cr_assert_eq(nbytes, 160);
    cr_expect(kt_kek_open(kek, wrapped, dek));
    kek[95] ^= 1;
    cr_expect(kt_kek_open(kek, wrapped, dek), "the last third is for deterministic IVs alone");
    kek[0] ^= 1;
    cr_expect_not(kt_kek_open(kek, wrapped, dek));
    bson_destroy(doc);
}
