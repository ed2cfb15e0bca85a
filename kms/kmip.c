/* SPDX-License-Identifier: Apache-2.0 */
/* [KMIP] OASIS KMIP 1.2: section 6 message contents, 9.1.3 tags and enumerations. */
#include "kms/kmip.h"

#include <stdio.h>

#include "kms/json.h"
#include "kms/ttlv.h"

/* [KMIP 9.1.3.1] */
enum tag {
    TAG_ATTRIBUTE = 0x420008,
    TAG_ATTRIBUTE_NAME = 0x42000a,
    TAG_ATTRIBUTE_VALUE = 0x42000b,
    TAG_BLOCK_CIPHER_MODE = 0x420011,
    TAG_CRYPTO_ALGORITHM = 0x420028,
    TAG_CRYPTO_PARAMETERS = 0x42002b,
    TAG_IV = 0x42003d,
    TAG_KEY_BLOCK = 0x420040,
    TAG_KEY_FORMAT = 0x420042,
    TAG_KEY_MATERIAL = 0x420043,
    TAG_KEY_VALUE = 0x420045,
    TAG_OBJECT_TYPE = 0x420057,
    TAG_OPERATION = 0x42005c,
    TAG_PADDING = 0x42005f,
    TAG_REQUEST_PAYLOAD = 0x420079,
    TAG_RESPONSE_PAYLOAD = 0x42007c,
    TAG_RESULT_MESSAGE = 0x42007d,
    TAG_RESULT_REASON = 0x42007e,
    TAG_RESULT_STATUS = 0x42007f,
    TAG_SECRET_DATA = 0x420085,
    TAG_SECRET_TYPE = 0x420086,
    TAG_TEMPLATE = 0x420091,
    TAG_UNIQUE_ID = 0x420094,
    TAG_DATA = 0x4200c2,
    TAG_RANDOM_IV = 0x4200c5,
};

/* [KMIP 9.1.3.2] */
enum {
    OP_CREATE = 1,
    OP_REGISTER = 3,
    OP_GET = 0x0a,
    OP_ACTIVATE = 0x12,
    OP_ENCRYPT = 0x1f,
    OP_DECRYPT = 0x20
};
enum { OBJECT_SYMMETRIC = 2, OBJECT_SECRET = 7 };
enum { MODE_CBC = 1, PADDING_PKCS5 = 3, ALGORITHM_AES = 3, SECRET_SEED = 2, FORMAT_OPAQUE = 2 };
enum { USAGE_ENCRYPT_DECRYPT = 12 };
enum {
    REASON_NOT_FOUND = 1,
    REASON_AUTHENTICATION = 3,
    REASON_CRYPTO_FAILURE = 0x0a,
    REASON_ILLEGAL = 0x0b,
    REASON_DENIED = 0x0c,
    REASON_ARCHIVED = 0x0d,
    REASON_GENERAL = 0x100,
};

static size_t start(struct kt_exchange *x, uint32_t minor, uint32_t operation)
{
    x->kmip_minor = minor;
    kt_ttlv_enum(&x->body, TAG_OPERATION, operation);
    return kt_ttlv_open(&x->body, TAG_REQUEST_PAYLOAD);
}

enum kt_verdict kt_kmip_build_get(struct kt_kms_call *call, const struct kt_cmk *cmk, struct kt_exchange *x)
{
    if (!cmk->key_id)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "the masterKey lacks its keyId");
    size_t payload = start(x, 0, OP_GET);
    kt_ttlv_text(&x->body, TAG_UNIQUE_ID, cmk->key_id);
    kt_ttlv_close(&x->body, payload);
    return KT_V_SEND;
}

static enum kt_verdict judge_failure(struct kt_kms_call *call, struct kt_span item)
{
    struct kt_ttlv element;
    uint32_t reason = REASON_GENERAL;
    char message[200] = "";
    if (kt_ttlv_find(item, (uint32_t[]){TAG_RESULT_REASON}, 1, &element) && !kt_ttlv_u32(&element, &reason))
        reason = REASON_GENERAL;
    if (kt_ttlv_find(item, (uint32_t[]){TAG_RESULT_MESSAGE}, 1, &element))
        snprintf(message, sizeof message, "%.*s",
                 (int)(element.value.nbytes < 190 ? element.value.nbytes : 190),
                 (const char *)element.value.data);
    switch (reason) {
    case REASON_NOT_FOUND:
    case REASON_ARCHIVED:
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_MISSING, "%s", message);
    case REASON_AUTHENTICATION:
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS, "%s", message);
    case REASON_DENIED:
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_DENIED, "%s", message);
    case REASON_ILLEGAL:
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_DISABLED, "%s", message);
    case REASON_CRYPTO_FAILURE:
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CIPHERTEXT, "%s", message);
    case REASON_GENERAL:
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the server reports a general failure: %s",
                              message);
    default:
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "result reason %u: %s", reason, message);
    }
}

/* KT_V_DONE: the server has done `operation` on the object that was asked for (any, when id is NULL). */
static enum kt_verdict judge(struct kt_kms_call *call, const struct kt_exchange *x, uint32_t operation,
                             const char *id, struct kt_span *payload)
{
    if (x->status == 0)
        return kt_verdict_of_http(call, x);
    struct kt_span item = kt_secbuf_get(&x->reply);
    struct kt_ttlv element;
    uint32_t status, done;
    if (!kt_ttlv_find(item, (uint32_t[]){TAG_RESULT_STATUS}, 1, &element) || !kt_ttlv_u32(&element, &status))
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply has no result status");
    if (status != 0)
        return judge_failure(call, item);
    if (!kt_ttlv_find(item, (uint32_t[]){TAG_OPERATION}, 1, &element) || !kt_ttlv_u32(&element, &done) ||
        done != operation)
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply is for another operation");
    if (!kt_ttlv_find(item, (uint32_t[]){TAG_RESPONSE_PAYLOAD}, 1, &element) ||
        element.type != KT_TTLV_STRUCT)
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply has no payload");
    *payload = element.value;
    if (id && (!kt_ttlv_find(*payload, (uint32_t[]){TAG_UNIQUE_ID}, 1, &element) ||
               !kt_span_equal(element.value, kt_span_str(id))))
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply is for another object");
    return KT_V_DONE;
}

enum kt_verdict kt_kmip_parse_get(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                  const struct kt_exchange *x, uint8_t *kek)
{
    static const uint32_t path[] = {TAG_SECRET_DATA, TAG_KEY_BLOCK, TAG_KEY_VALUE, TAG_KEY_MATERIAL};
    struct kt_span payload;
    struct kt_ttlv element;
    enum kt_verdict verdict = judge(call, x, OP_GET, cmk->key_id, &payload);
    if (verdict != KT_V_DONE)
        return verdict;
    uint32_t type;
    if (kt_ttlv_find(payload, (uint32_t[]){TAG_OBJECT_TYPE}, 1, &element) && kt_ttlv_u32(&element, &type) &&
        type != OBJECT_SECRET)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_DISABLED,
                              "the object is no Secret Data; only delegated masterKeys use other kinds");
    if (!kt_ttlv_find(payload, path, 4, &element) || element.type != KT_TTLV_BYTES)
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply holds no key material");
    if (element.value.nbytes != KT_KMIP_KEK_NBYTES)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_DISABLED,
                              "the Secret Data has %zu bytes instead of 96", element.value.nbytes);
    memcpy(kek, element.value.data, KT_KMIP_KEK_NBYTES);
    return KT_V_DONE;
}

static void put_parameters(struct kt_secbuf *body, bool encrypt)
{
    size_t parameters = kt_ttlv_open(body, TAG_CRYPTO_PARAMETERS);
    kt_ttlv_enum(body, TAG_BLOCK_CIPHER_MODE, MODE_CBC);
    kt_ttlv_enum(body, TAG_PADDING, PADDING_PKCS5);
    kt_ttlv_enum(body, TAG_CRYPTO_ALGORITHM, ALGORITHM_AES);
    if (encrypt)
        kt_ttlv_bool(body, TAG_RANDOM_IV, true);
    kt_ttlv_close(body, parameters);
}

enum kt_verdict kt_kmip_build(struct kt_kms_call *call, const struct kt_cmk *cmk, struct kt_exchange *x)
{
    bool encrypt = call->op == KT_KMS_WRAP;
    if (!cmk->key_id)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "the masterKey lacks its keyId");
    if (!encrypt && call->in.nbytes != 128)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CIPHERTEXT,
                              "a DEK wrapped by a delegated KMIP key has 128 bytes, this one %zu",
                              call->in.nbytes);
    size_t payload = start(x, 2, encrypt ? OP_ENCRYPT : OP_DECRYPT);
    kt_ttlv_text(&x->body, TAG_UNIQUE_ID, cmk->key_id);
    put_parameters(&x->body, encrypt);
    kt_ttlv_bytes(&x->body, TAG_DATA,
                  encrypt ? call->in : kt_span_of(call->in.data + 16, call->in.nbytes - 16));
    if (!encrypt)
        kt_ttlv_bytes(&x->body, TAG_IV, kt_span_of(call->in.data, 16));
    kt_ttlv_close(&x->body, payload);
    return KT_V_SEND;
}

/* [libmongocrypt] A wrap is IV and ciphertext; the IV must be the server's. */
static enum kt_verdict take_wrap(struct kt_kms_call *call, struct kt_span payload, struct kt_span data)
{
    struct kt_ttlv iv;
    if (!kt_ttlv_find(payload, (uint32_t[]){TAG_IV}, 1, &iv) || iv.value.nbytes != 16 || data.nbytes != 112 ||
        call->out_capacity < 128)
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY,
                              "the reply's IV or ciphertext has a wrong length");
    memcpy(call->out, iv.value.data, 16);
    memcpy(call->out + 16, data.data, 112);
    call->out_nbytes = 128;
    return KT_V_DONE;
}

enum kt_verdict kt_kmip_parse(struct kt_kms_call *call, const struct kt_cmk *cmk, const struct kt_exchange *x)
{
    bool encrypt = call->op == KT_KMS_WRAP;
    struct kt_span payload;
    struct kt_ttlv data;
    enum kt_verdict verdict = judge(call, x, encrypt ? OP_ENCRYPT : OP_DECRYPT, cmk->key_id, &payload);
    if (verdict != KT_V_DONE)
        return verdict;
    if (!kt_ttlv_find(payload, (uint32_t[]){TAG_DATA}, 1, &data) || data.type != KT_TTLV_BYTES)
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply holds no data");
    if (encrypt)
        return take_wrap(call, payload, data.value);
    if (data.value.nbytes != KT_KMS_DEK_NBYTES || call->out_capacity < KT_KMS_DEK_NBYTES)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CIPHERTEXT,
                              "the unwrapped key has %zu bytes instead of 96; this is no data encryption key",
                              data.value.nbytes);
    memcpy(call->out, data.value.data, KT_KMS_DEK_NBYTES);
    call->out_nbytes = KT_KMS_DEK_NBYTES;
    return KT_V_DONE;
}

static void put_attribute(struct kt_secbuf *body, const char *name, enum kt_ttlv_type type, int32_t value)
{
    size_t attribute = kt_ttlv_open(body, TAG_ATTRIBUTE);
    kt_ttlv_text(body, TAG_ATTRIBUTE_NAME, name);
    if (type == KT_TTLV_ENUM)
        kt_ttlv_enum(body, TAG_ATTRIBUTE_VALUE, (uint32_t)value);
    else
        kt_ttlv_int(body, TAG_ATTRIBUTE_VALUE, value);
    kt_ttlv_close(body, attribute);
}

static void put_create(struct kt_secbuf *body)
{
    kt_ttlv_enum(body, TAG_OBJECT_TYPE, OBJECT_SYMMETRIC);
    size_t template = kt_ttlv_open(body, TAG_TEMPLATE);
    put_attribute(body, "Cryptographic Algorithm", KT_TTLV_ENUM, ALGORITHM_AES);
    put_attribute(body, "Cryptographic Length", KT_TTLV_INT, 256);
    put_attribute(body, "Cryptographic Usage Mask", KT_TTLV_INT, USAGE_ENCRYPT_DECRYPT);
    kt_ttlv_close(body, template);
}

static void put_register(struct kt_secbuf *body, struct kt_span secret)
{
    kt_ttlv_enum(body, TAG_OBJECT_TYPE, OBJECT_SECRET);
    size_t template = kt_ttlv_open(body, TAG_TEMPLATE);
    put_attribute(body, "Cryptographic Usage Mask", KT_TTLV_INT, 0);
    kt_ttlv_close(body, template);
    size_t data = kt_ttlv_open(body, TAG_SECRET_DATA);
    kt_ttlv_enum(body, TAG_SECRET_TYPE, SECRET_SEED);
    size_t block = kt_ttlv_open(body, TAG_KEY_BLOCK);
    kt_ttlv_enum(body, TAG_KEY_FORMAT, FORMAT_OPAQUE);
    size_t value = kt_ttlv_open(body, TAG_KEY_VALUE);
    kt_ttlv_bytes(body, TAG_KEY_MATERIAL, secret);
    kt_ttlv_close(body, value);
    kt_ttlv_close(body, block);
    kt_ttlv_close(body, data);
}

enum kt_verdict kt_kmip_build_new(struct kt_kms_call *call, const struct kt_cmk *cmk, struct kt_span secret,
                                  struct kt_exchange *x)
{
    size_t payload;
    if (call->loop.step == 0) {
        payload = start(x, cmk->delegated ? 2 : 0, cmk->delegated ? OP_CREATE : OP_REGISTER);
        if (cmk->delegated)
            put_create(&x->body);
        else
            put_register(&x->body, secret);
    } else {
        payload = start(x, cmk->delegated ? 2 : 0, OP_ACTIVATE);
        kt_ttlv_text(&x->body, TAG_UNIQUE_ID, (const char *)call->out);
    }
    kt_ttlv_close(&x->body, payload);
    return KT_V_SEND;
}

static enum kt_verdict take_id(struct kt_kms_call *call, struct kt_span payload)
{
    struct kt_ttlv id;
    if (!kt_ttlv_find(payload, (uint32_t[]){TAG_UNIQUE_ID}, 1, &id) || id.type != KT_TTLV_TEXT ||
        id.value.nbytes == 0 || id.value.nbytes > 300 || id.value.nbytes >= call->out_capacity ||
        memchr(id.value.data, 0, id.value.nbytes))
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply names no object");
    memcpy(call->out, id.value.data, id.value.nbytes);
    call->out[id.value.nbytes] = 0;
    call->loop.step = 1;
    return KT_V_NEXT;
}

static enum kt_verdict give_document(struct kt_kms_call *call, const struct kt_cmk *cmk)
{
    bson_t doc = BSON_INITIALIZER;
    bool ok = BSON_APPEND_UTF8(&doc, "provider", cmk->provider) &&
              (!cmk->endpoint || BSON_APPEND_UTF8(&doc, "endpoint", cmk->endpoint)) &&
              (!cmk->delegated || BSON_APPEND_BOOL(&doc, "delegated", true)) &&
              BSON_APPEND_UTF8(&doc, "keyId", (const char *)call->out) && doc.len <= call->out_capacity;
    if (ok) {
        memcpy(call->out, bson_get_data(&doc), doc.len);
        call->out_nbytes = doc.len;
    }
    bson_destroy(&doc);
    return ok ? KT_V_DONE
              : kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG,
                               "the new key's name is no legal text or too long");
}

/* Sent again after its reply was lost, an Activate that was done is refused: the key is not pre-active.
 */
static bool is_active_by_now(struct kt_kms_call *call, enum kt_verdict verdict)
{
    bool repeated = call->loop.step == 2;
    if (call->loop.step == 1 && verdict == KT_V_FAULT)
        call->loop.step = 2;
    return repeated && verdict == KT_V_FINAL &&
           (call->reason == KT_KMS_R_DENIED || call->reason == KT_KMS_R_DISABLED);
}

enum kt_verdict kt_kmip_parse_new(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                  const struct kt_exchange *x)
{
    struct kt_span payload;
    uint32_t make = cmk->delegated ? OP_CREATE : OP_REGISTER;
    enum kt_verdict verdict = judge(call, x, call->loop.step == 0 ? make : OP_ACTIVATE, NULL, &payload);
    if (verdict != KT_V_DONE && !is_active_by_now(call, verdict))
        return verdict;
    return call->loop.step == 0 ? take_id(call, payload) : give_document(call, cmk);
}
