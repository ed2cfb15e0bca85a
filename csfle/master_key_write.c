/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "csfle/bson_cursor.h"
#include "csfle/bson_type.h"
#include "csfle/master_key.h"

static enum kt_status append_head(struct kt_buf *out, uint8_t type, const char *name)
{
    enum kt_status status = kt_buf_append(out, &type, 1);
    return status == KT_OK ? kt_buf_append(out, name, strlen(name) + 1) : status;
}

static enum kt_status append_text(struct kt_buf *out, const char *name, struct kt_span text)
{
    uint8_t nbytes[4];
    kt_store_le32(nbytes, (uint32_t)text.nbytes + 1);
    enum kt_status status = append_head(out, KT_BSON_STRING, name);
    if (status == KT_OK)
        status = kt_buf_append(out, nbytes, sizeof nbytes);
    if (status == KT_OK)
        status = kt_buf_append(out, text.data, text.nbytes);
    return status == KT_OK ? kt_buf_append(out, "", 1) : status;
}

static enum kt_status append_field(struct kt_buf *out, const struct kt_master_field *field,
                                   struct kt_span text)
{
    if (!text.data)
        return KT_OK;
    if (field->kind != KT_FIELD_FLAG)
        return append_text(out, field->name, text);
    enum kt_status status = append_head(out, KT_BSON_BOOL, field->name);
    return status == KT_OK ? kt_buf_append(out, "\1", 1) : status;
}

static enum kt_status append_master_key(struct kt_buf *out, struct kt_span provider, enum kt_kms kms,
                                        const struct kt_master_key *key)
{
    size_t count, begin = out->nbytes;
    const struct kt_master_field *fields = kt_master_fields(kms, &count);
    uint8_t nbytes[4] = {0};
    enum kt_status status = kt_buf_append(out, nbytes, sizeof nbytes);
    if (status == KT_OK)
        status = append_text(out, "provider", provider);
    for (size_t i = 0; i < count && status == KT_OK; i++)
        status = append_field(out, &fields[i], key->text[i]);
    if (status == KT_OK)
        status = kt_buf_append(out, "", 1);
    if (status != KT_OK) {
        out->nbytes = begin;
        return status;
    }
    kt_store_le32(out->data + begin, (uint32_t)(out->nbytes - begin));
    return KT_OK;
}

/* Drivers would store an empty name and fail at the first call to the KMS. */
static const char *empty_field(enum kt_kms kms, const struct kt_master_key *key)
{
    size_t count;
    const struct kt_master_field *fields = kt_master_fields(kms, &count);
    for (size_t i = 0; i < count; i++)
        if (key->text[i].data && key->text[i].nbytes == 0)
            return fields[i].name;
    return NULL;
}

enum kt_status kt_master_key_normalise(struct kt_span provider, struct kt_span master_key, struct kt_buf *out,
                                       struct kt_error *err)
{
    static const uint8_t nothing[] = {5, 0, 0, 0, 0};
    enum kt_kms kms;
    int shown = (int)(provider.nbytes < 100 ? provider.nbytes : 100);
    const char *name = (const char *)provider.data;
    if (!kt_kms_of_provider(provider, &kms))
        return kt_fail(
            err, KT_E_CONFIG,
            "unknown KMS provider '%.*s'; there are aws, azure, gcp, kmip and local, each also with a "
            "name as in aws:name",
            shown, name);
    if (master_key.nbytes == 0)
        master_key = kt_span_of(nothing, sizeof nothing);
    if (kt_bson_check_value(KT_BSON_DOCUMENT, master_key) != KT_OK)
        return kt_fail(err, KT_E_CONFIG, "masterKey for %.*s is no valid document", shown, name);
    struct kt_master_key key;
    char why[256];
    if (!kt_master_key_read(master_key, kms, &key, why, sizeof why))
        return kt_fail(err, KT_E_CONFIG, "masterKey for %.*s: %s", shown, name, why);
    if (key.provider.data && !kt_span_equal(key.provider, provider))
        return kt_fail(err, KT_E_CONFIG, "masterKey for %.*s names another provider", shown, name);
    const char *empty = empty_field(kms, &key);
    if (empty)
        return kt_fail(err, KT_E_CONFIG, "masterKey for %.*s: '%s' is empty", shown, name, empty);
    enum kt_status status = append_master_key(out, provider, kms, &key);
    return status == KT_OK ? KT_OK : kt_fail(err, status, "masterKey: memory ran out");
}

/* Text for screens: no byte of a foreign document may move the cursor. */
struct screen {
    char *out;
    size_t nbytes, used;
};

static void show(struct screen *s, const char *before, struct kt_span text, size_t at_most)
{
    for (; *before && s->used + 1 < s->nbytes; before++)
        s->out[s->used++] = *before;
    size_t n = text.nbytes < at_most ? text.nbytes : at_most;
    for (size_t i = 0; i < n && s->used + 1 < s->nbytes; i++)
        s->out[s->used++] = text.data[i] < 0x20 || text.data[i] == 0x7f ? '?' : (char)text.data[i];
    if (text.nbytes > at_most)
        show(s, "...", kt_span_of(NULL, 0), 0);
}

/* An ARN's last part, its UUID by its first group. */
static void show_aws_key(struct screen *s, struct kt_span key)
{
    const uint8_t *colon = memrchr(key.data, ':', key.nbytes);
    struct kt_span last = colon ? kt_span_of(colon + 1, key.nbytes - (size_t)(colon + 1 - key.data)) : key;
    bool by_id = last.nbytes == 40 && memcmp(last.data, "key/", 4) == 0;
    show(s, " ", last, by_id ? 12 : SIZE_MAX);
}

void kt_master_key_describe(struct kt_span master_key, char *out, size_t nbytes)
{
    if (nbytes == 0)
        return;
    struct screen s = {out, nbytes, 0};
    struct kt_master_key key;
    struct kt_element provider;
    enum kt_kms kms;
    char why[256];
    if (kt_bson_check_value(KT_BSON_DOCUMENT, master_key) != KT_OK ||
        !kt_bson_find(master_key, "provider", &provider) || !kt_element_string(&provider, &key.provider) ||
        !kt_kms_of_provider(key.provider, &kms) ||
        !kt_master_key_read(master_key, kms, &key, why, sizeof why)) {
        show(&s, "unknown", kt_span_of(NULL, 0), 0);
        out[s.used] = 0;
        return;
    }
    show(&s, "", key.provider, SIZE_MAX);
    if (kms == KT_KMS_AWS) {
        show(&s, " ", key.text[0], SIZE_MAX);
        show_aws_key(&s, key.text[1]);
    } else if (kms == KT_KMS_AZURE) {
        show(&s, " ", key.text[0], SIZE_MAX);
        show(&s, "/", key.text[1], SIZE_MAX);
        if (key.text[2].data)
            show(&s, "/", key.text[2], 8);
    } else if (kms == KT_KMS_GCP) {
        show(&s, " ", key.text[0], SIZE_MAX);
        show(&s, "/", key.text[1], SIZE_MAX);
        show(&s, "/", key.text[2], SIZE_MAX);
        show(&s, "/", key.text[3], SIZE_MAX);
    } else if (kms == KT_KMS_KMIP) {
        if (key.text[0].data)
            show(&s, " ", key.text[0], SIZE_MAX);
        if (key.text[2].data)
            show(&s, " ", key.text[2], SIZE_MAX);
    }
    out[s.used] = 0;
}
