/* SPDX-License-Identifier: Apache-2.0 */
/* libmongocrypt as a driver uses it: explicit encryption, one value a call; decryption of whole documents of
 * up to 1,500 fields. Keys are in its cache after the first call. */
#include <bson/bson.h>
#include <mongocrypt/mongocrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_peer.h"

#define FIELDS_MAX 1500
#define DOCUMENT_MAX (12u << 20)

struct mcrypt {
    const struct bench_load *load;
    mongocrypt_t *crypt;
    bson_t **key_documents;
    bson_t **documents; /* OPEN: what is to be decrypted */
    size_t *firsts;     /* the first message of each, and one more */
    size_t documents_count;
};

static const uint8_t master[KT_DEK_NBYTES] = "a local master key for measurements";

static bson_t *key_document(const struct bench_load *load, uint32_t key)
{
    uint8_t uuid[16], wrapped[KT_WRAPPED_NBYTES], iv[16] = {7};
    bench_key_uuid(key, uuid);
    bench_reference_seal(master, iv, NULL, 0, load->deks[key], KT_DEK_NBYTES, wrapped);
    bson_t *doc = bson_new(), masterkey;
    BSON_APPEND_BINARY(doc, "_id", BSON_SUBTYPE_UUID, uuid, sizeof uuid);
    BSON_APPEND_BINARY(doc, "keyMaterial", BSON_SUBTYPE_BINARY, wrapped, sizeof wrapped);
    BSON_APPEND_DATE_TIME(doc, "creationDate", 0);
    BSON_APPEND_DATE_TIME(doc, "updateDate", 0);
    BSON_APPEND_INT32(doc, "status", 0);
    BSON_APPEND_DOCUMENT_BEGIN(doc, "masterKey", &masterkey);
    BSON_APPEND_UTF8(&masterkey, "provider", "local");
    bson_append_document_end(doc, &masterkey);
    return doc;
}

/* Documents {"0": value, "1": value ...} of the load's sealed messages. */
static bool make_documents(struct mcrypt *c)
{
    const struct bench_load *l = c->load;
    c->documents = calloc(l->count + 1, sizeof *c->documents);
    c->firsts = calloc(l->count + 1, sizeof *c->firsts);
    if (!c->documents || !c->firsts)
        return false;
    for (size_t i = 0; i < l->count;) {
        bson_t *doc = bson_new();
        c->firsts[c->documents_count] = i;
        c->documents[c->documents_count++] = doc;
        for (size_t first = i; i < l->count && i - first < FIELDS_MAX && doc->len < DOCUMENT_MAX; i++) {
            const struct kt_msg *m = &l->msgs[i];
            char name[16];
            snprintf(name, sizeof name, "%zu", i - first);
            if (!BSON_APPEND_BINARY(doc, name, BSON_SUBTYPE_ENCRYPTED, l->in + m->in - m->aad_nbytes,
                                    m->in_nbytes + m->aad_nbytes))
                return false;
        }
    }
    c->firsts[c->documents_count] = l->count;
    return true;
}

static void stop(void *context)
{
    struct mcrypt *c = context;
    for (size_t i = 0; c->key_documents && i < c->load->keys_count; i++)
        bson_destroy(c->key_documents[i]);
    for (size_t i = 0; i < c->documents_count; i++)
        bson_destroy(c->documents[i]);
    mongocrypt_destroy(c->crypt);
    free(c->key_documents);
    free(c->documents);
    free(c->firsts);
    free(c);
}

static void *start(const struct bench_peer *peer, const struct bench_load *load)
{
    (void)peer;
    struct mcrypt *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->load = load;
    c->crypt = mongocrypt_new();
    c->key_documents = calloc(load->keys_count, sizeof(bson_t *));
    mongocrypt_binary_t *key = mongocrypt_binary_new_from_data((uint8_t *)(uintptr_t)master, sizeof master);
    bool good = c->key_documents && (load->size < 0 || load->size > 5) &&
                mongocrypt_setopt_kms_provider_local(c->crypt, key) && mongocrypt_init(c->crypt);
    mongocrypt_binary_destroy(key);
    for (uint32_t i = 0; good && i < load->keys_count; i++)
        c->key_documents[i] = key_document(load, i);
    if (good && (load->op != BENCH_OPEN || make_documents(c)))
        return c;
    stop(c);
    return NULL;
}

static bool feed_keys(struct mcrypt *c, mongocrypt_ctx_t *ctx)
{
    bool good = true;
    for (size_t i = 0; i < c->load->keys_count && good; i++) {
        mongocrypt_binary_t *doc = mongocrypt_binary_new_from_data(
            (uint8_t *)(uintptr_t)bson_get_data(c->key_documents[i]), c->key_documents[i]->len);
        good = mongocrypt_ctx_mongo_feed(ctx, doc);
        mongocrypt_binary_destroy(doc);
    }
    return good && mongocrypt_ctx_mongo_done(ctx);
}

/* Runs a context to its end; *result points into it. */
static bool finish(struct mcrypt *c, mongocrypt_ctx_t *ctx, mongocrypt_binary_t *result)
{
    for (;;) {
        switch (mongocrypt_ctx_state(ctx)) {
        case MONGOCRYPT_CTX_NEED_MONGO_KEYS:
            if (!feed_keys(c, ctx))
                return false;
            break;
        case MONGOCRYPT_CTX_READY:
            return mongocrypt_ctx_finalize(ctx, result);
        default:
            return false;
        }
    }
}

static bool seal_one(struct mcrypt *c, const struct kt_msg *m)
{
    const char *algorithm = c->load->op == BENCH_SEAL_DETERMINISTIC ? MONGOCRYPT_ALGORITHM_DETERMINISTIC_STR
                                                                    : MONGOCRYPT_ALGORITHM_RANDOM_STR;
    uint8_t uuid[16];
    bson_t value = BSON_INITIALIZER;
    const uint8_t *in = c->load->in + m->in;
    bench_key_uuid(m->key, uuid);
    BSON_APPEND_BINARY(&value, "v", BSON_SUBTYPE_BINARY, in + 5, m->in_nbytes - 5);
    mongocrypt_binary_t *id = mongocrypt_binary_new_from_data(uuid, sizeof uuid),
                        *result = mongocrypt_binary_new();
    mongocrypt_binary_t *message =
        mongocrypt_binary_new_from_data((uint8_t *)(uintptr_t)bson_get_data(&value), value.len);
    mongocrypt_ctx_t *ctx = mongocrypt_ctx_new(c->crypt);
    bool good = mongocrypt_ctx_setopt_key_id(ctx, id) &&
                mongocrypt_ctx_setopt_algorithm(ctx, algorithm, -1) &&
                mongocrypt_ctx_explicit_encrypt_init(ctx, message) && finish(c, ctx, result);
    if (good) /* {"v": binary}: 4 bytes of length, type, "v", 4 bytes of length, subtype, then the payload */
        memcpy(c->load->out + m->out - m->aad_nbytes, mongocrypt_binary_data(result) + 12,
               m->aad_nbytes + KT_SEALED_NBYTES(m->in_nbytes));
    mongocrypt_ctx_destroy(ctx);
    mongocrypt_binary_destroy(id);
    mongocrypt_binary_destroy(message);
    mongocrypt_binary_destroy(result);
    bson_destroy(&value);
    return good;
}

/* Each value of the decrypted document back to its message's place. */
static bool take_values(struct mcrypt *c, size_t first, const uint8_t *data, uint32_t nbytes)
{
    bson_iter_t it;
    bson_t doc;
    if (!bson_init_static(&doc, data, nbytes) || !bson_iter_init(&it, &doc))
        return false;
    for (; bson_iter_next(&it); first++) {
        struct kt_msg *m = &c->load->msgs[first];
        const uint8_t *bytes;
        bson_subtype_t subtype;
        uint32_t n;
        if (!BSON_ITER_HOLDS_BINARY(&it))
            return false;
        bson_iter_binary(&it, &subtype, &n, &bytes);
        memcpy(c->load->out + m->out, bytes - 5, n + 5);
        m->out_nbytes = n + 5;
    }
    return true;
}

static bool open_document(struct mcrypt *c, size_t i)
{
    mongocrypt_binary_t *result = mongocrypt_binary_new();
    mongocrypt_binary_t *message = mongocrypt_binary_new_from_data(
        (uint8_t *)(uintptr_t)bson_get_data(c->documents[i]), c->documents[i]->len);
    mongocrypt_ctx_t *ctx = mongocrypt_ctx_new(c->crypt);
    bool good = mongocrypt_ctx_decrypt_init(ctx, message) && finish(c, ctx, result) &&
                take_values(c, c->firsts[i], mongocrypt_binary_data(result), mongocrypt_binary_len(result));
    mongocrypt_ctx_destroy(ctx);
    mongocrypt_binary_destroy(message);
    mongocrypt_binary_destroy(result);
    return good;
}

static bool pass(void *context)
{
    struct mcrypt *c = context;
    bool good = true;
    for (size_t i = 0; i < c->documents_count && good; i++)
        good = open_document(c, i);
    for (size_t i = 0; c->load->op != BENCH_OPEN && i < c->load->count && good; i++)
        good = seal_one(c, &c->load->msgs[i]);
    return good;
}

static const char *version(void)
{
    static char text[64];
    snprintf(text, sizeof text, "libmongocrypt %s", mongocrypt_version(NULL));
    return text;
}

const struct bench_peer bench_mongocrypt = {.name = "mongocrypt",
                                            .ops = 1u << BENCH_SEAL_RANDOM | 1u << BENCH_SEAL_DETERMINISTIC |
                                                   1u << BENCH_OPEN,
                                            .start = start,
                                            .pass = pass,
                                            .stop = stop,
                                            .version = version};
