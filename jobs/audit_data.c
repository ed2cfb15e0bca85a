/* SPDX-License-Identifier: Apache-2.0 */
/* Which DEKs the data uses. One that is wrongly called unused may be deleted, and its values are lost: what
 * looks as if it named one counts. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "csfle/walk.h"
#include "io/store.h"
#include "jobs/audit.h"

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static void mark(struct kt_audit *audit, const uint8_t *id)
{
    for (size_t v = 0; v < audit->result.vaults_count; v++) {
        struct kt_audit_reading *reading = &audit->readings[v];
        const uint8_t(*found)[16] =
            bsearch(id, reading->ids, reading->ids_count, sizeof *reading->ids, compare_ids);
        if (found)
            reading->used[found - (const uint8_t(*)[16])reading->ids] = true;
    }
}

/* A UUID in its two forms, "$binary" and "$uuid". */
static bool read_uuid(const char *text, size_t nbytes, uint8_t id[16])
{
    uint8_t bytes[18];
    if (nbytes == 24 && EVP_DecodeBlock(bytes, (const uint8_t *)text, 24) == 18) {
        memcpy(id, bytes, 16);
        return true;
    }
    size_t digits = 0;
    for (size_t i = 0; nbytes == 36 && i < nbytes; i++) {
        int digit = OPENSSL_hexchar2int((unsigned char)text[i]);
        if (digit < 0 && text[i] != '-')
            return false;
        if (digit >= 0 && digits < 32) {
            id[digits / 2] = (uint8_t)(digits % 2 ? id[digits / 2] | digit : digit << 4);
            digits++;
        }
    }
    return digits == 32;
}

/* The encryptedFields and the validators of collections name DEKs, also while nothing is sealed. Servers take
 * expressions that libbson's reader of Extended JSON does not, so every string is looked at. */
static void mark_metadata(struct kt_audit *audit, const char *json)
{
    char text[40];
    uint8_t id[16];
    while ((json = strchr(json, '"'))) {
        size_t nbytes = 0;
        for (json++; *json && *json != '"'; json++) {
            json += *json == '\\' && json[1];
            if (nbytes < sizeof text)
                text[nbytes++] = *json;
        }
        json += *json == '"';
        if (read_uuid(text, nbytes, id))
            mark(audit, id);
    }
}

static enum kt_status take_data(struct kt_audit *audit, void *arg, const uint8_t *docs, size_t nbytes,
                                struct kt_error *err)
{
    struct kt_ops *ops = arg;
    struct kt_walk_fault fault;
    for (uint32_t at = 0; at < nbytes; at += kt_load_le32(docs + at)) {
        ops->count = 0;
        enum kt_status status = kt_walk_key_ids(docs, at, kt_load_le32(docs + at), ops, &fault);
        if (status == KT_E_FORMAT)
            return kt_fail(err, status, "%s: a document is broken: %s", audit->options.from, fault.what);
        if (status != KT_OK)
            return kt_fail(err, status, "memory ran out");
        for (size_t i = 0; i < ops->count; i++) {
            const struct kt_op *op = &ops->v[i];
            if (op->action == KT_FRAME)
                continue;
            mark(audit, kt_payload_key_id(kt_span_of(docs + op->value, op->value_nbytes)));
        }
    }
    return KT_OK;
}

enum kt_status kt_audit_read_data(struct kt_audit *audit, struct kt_error *err)
{
    struct kt_source *source;
    struct kt_ops ops = {0};
    for (size_t v = 0; v < audit->result.vaults_count; v++) {
        struct kt_audit_reading *reading = &audit->readings[v];
        reading->used = calloc(reading->ids_count ? reading->ids_count : 1, sizeof *reading->used);
        if (!reading->used)
            return kt_fail(err, KT_E_NOMEM, "memory ran out");
        if (reading->ids_count)
            qsort(reading->ids, reading->ids_count, sizeof *reading->ids, compare_ids);
    }
    enum kt_status status = kt_source_open(&source, audit->options.from, NULL, err);
    if (status != KT_OK)
        return status;
    status = kt_audit_read_store(audit, source, NULL, take_data, &ops, err);
    const struct kt_entry *entry;
    for (uint32_t i = 0; status == KT_OK && (entry = kt_source_entry(source, i)); i++) {
        if (entry->metadata)
            mark_metadata(audit, entry->metadata);
    }
    kt_source_close(source);
    kt_ops_free(&ops);
    for (size_t v = 0; v < audit->result.vaults_count; v++) {
        struct kt_audit_reading *reading = &audit->readings[v];
        for (size_t i = 0; i < reading->ids_count; i++)
            reading->shown->unused += !reading->used[i];
    }
    return status;
}
