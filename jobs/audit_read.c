/* SPDX-License-Identifier: Apache-2.0 */
#include <bson/bson.h>
#include <stdlib.h>

#include "common/array.h"
#include "io/mongo/client.h"
#include "io/store.h"
#include "jobs/audit.h"

#define READ_NBYTES ((size_t)1 << 20)

static bool is_versionless(const struct kt_key_doc *key)
{
    bson_t view;
    bson_iter_t iter;
    if (key->kms != KT_KMS_AZURE || !bson_init_static(&view, key->master_key.data, key->master_key.nbytes))
        return false;
    /* Drivers put an empty one into the same place of the address as none. */
    return !bson_iter_init_find(&iter, &view, "keyVersion") ||
           (BSON_ITER_HOLDS_UTF8(&iter) && !*bson_iter_utf8(&iter, NULL));
}

static void count_age(const struct kt_audit *audit, struct kt_audit_cmk *age, const struct kt_key_doc *key)
{
    if (age->deks++ == 0) {
        age->oldest_ms = age->newest_ms = key->update_ms;
        age->versionless = is_versionless(key);
    }
    if (key->update_ms < age->oldest_ms)
        age->oldest_ms = key->update_ms;
    if (key->update_ms > age->newest_ms)
        age->newest_ms = key->update_ms;
    age->old +=
        audit->options.older_than_ms && key->update_ms < audit->result.now_ms - audit->options.older_than_ms;
}

static enum kt_status count_names(struct kt_audit_reading *reading, const struct kt_key_doc *key)
{
    struct kt_span name;
    size_t at = 0, count = 0;
    for (; kt_key_doc_alt_name(key, &at, &name); count++) {
        if (kt_array_reserve(&reading->names, &reading->names_capacity, reading->names_count + 1,
                             sizeof *reading->names) != KT_OK)
            return KT_E_NOMEM;
        reading->names[reading->names_count++] = kt_span_hash(name);
    }
    reading->shown->unnamed += count == 0;
    return KT_OK;
}

/* masterKeys hold strings and flags. */
static bool same_value(const bson_iter_t *a, const bson_iter_t *b)
{
    if (bson_iter_type(a) != bson_iter_type(b))
        return false;
    if (BSON_ITER_HOLDS_UTF8(a))
        return strcmp(bson_iter_utf8(a, NULL), bson_iter_utf8(b, NULL)) == 0;
    return BSON_ITER_HOLDS_BOOL(a) && bson_iter_bool(a) == bson_iter_bool(b);
}

/* Every field that --cmk names is in the masterKey, with the same value. */
static bool is_asked(const struct kt_audit *audit, struct kt_span master_key)
{
    bson_t asked, stored;
    bson_iter_t field, found;
    if (!audit->asked.nbytes || !bson_init_static(&asked, audit->asked.data, audit->asked.nbytes) ||
        !bson_init_static(&stored, master_key.data, master_key.nbytes) || !bson_iter_init(&field, &asked))
        return false;
    while (bson_iter_next(&field)) {
        if (!bson_iter_init_find(&found, &stored, bson_iter_key(&field)) || !same_value(&field, &found))
            return false;
    }
    return true;
}

static enum kt_status count_key(struct kt_audit *audit, struct kt_audit_reading *reading,
                                const struct kt_key_doc *key)
{
    struct kt_cmk *cmk;
    size_t before = reading->cmks.count;
    enum kt_status status = kt_cmks_count(&reading->cmks, key, &cmk);
    if (status != KT_OK)
        return status;
    if (reading->cmks.count > before) {
        if (kt_array_reserve(&reading->ages, &reading->ages_capacity, before + 1, sizeof *reading->ages) !=
            KT_OK)
            return KT_E_NOMEM;
        reading->ages[before] = (struct kt_audit_cmk){.name = cmk->name, .master_key = kt_cmk_stored(cmk)};
        cmk->rank = before;
    }
    count_age(audit, &reading->ages[cmk->rank], key);
    reading->shown->deks++;
    reading->shown->asked += is_asked(audit, key->master_key);
    if (audit->options.from) {
        if (kt_array_reserve(&reading->ids, &reading->ids_capacity, reading->ids_count + 1,
                             sizeof *reading->ids) != KT_OK)
            return KT_E_NOMEM;
        memcpy(reading->ids[reading->ids_count++], key->id, 16);
    }
    return KT_OK;
}

/* {_id, ns, old, new}: the old wrap can be put back, so it still needs its CMK. */
static bool old_of_backup(struct kt_span doc, struct kt_key_doc *key)
{
    bson_t view;
    bson_iter_t iter;
    const uint8_t *data;
    uint32_t nbytes;
    if (!bson_init_static(&view, doc.data, doc.nbytes) || !bson_iter_init_find(&iter, &view, "old") ||
        !BSON_ITER_HOLDS_DOCUMENT(&iter))
        return false;
    bson_iter_document(&iter, &nbytes, &data);
    return kt_key_doc_parse(kt_span_of(data, nbytes), key, NULL) == KT_OK;
}

enum kt_status kt_audit_count_document(struct kt_audit *audit, struct kt_audit_reading *reading,
                                       struct kt_span doc)
{
    struct kt_key_doc key;
    bool whole = kt_key_doc_parse(doc, &key, NULL) == KT_OK;
    if (!whole && !old_of_backup(doc, &key)) {
        reading->shown->broken++;
        return KT_OK;
    }
    reading->shown->backups += !whole;
    enum kt_status status = count_key(audit, reading, &key);
    /* In a backup the same key may stand several times. */
    return status == KT_OK && whole ? count_names(reading, &key) : status;
}

static enum kt_status count_piece(struct kt_audit *audit, struct kt_audit_reading *reading,
                                  const uint8_t *docs, size_t nbytes)
{
    enum kt_status status = KT_OK;
    uint32_t doc_nbytes;
    for (size_t at = 0; at < nbytes && status == KT_OK; at += doc_nbytes) {
        doc_nbytes = kt_load_le32(docs + at);
        status = kt_audit_count_document(audit, reading, kt_span_of(docs + at, doc_nbytes));
    }
    return status;
}

enum kt_status kt_audit_read_store(struct kt_audit *audit, struct kt_source *source, const char *ns,
                                   kt_audit_take_fn take, void *arg, struct kt_error *err)
{
    struct kt_piece piece = {0};
    struct kt_region region = {0};
    enum kt_status status = KT_OK;
    while (status == KT_OK) {
        status = kt_source_next(source, READ_NBYTES, &region, &piece, err);
        if (status != KT_OK || piece.kind == KT_PIECE_END)
            break;
        const struct kt_entry *entry = kt_source_entry(source, piece.entry);
        /* An oplog, whose ns is empty, holds values, too, but no key vault. */
        bool wanted = !ns || strcmp(entry->ns, ns) == 0;
        if (piece.kind == KT_PIECE_DOCS && wanted)
            status = take(audit, arg, region.data, piece.nbytes, err);
    }
    kt_region_free(&region);
    return status;
}

static enum kt_status take_keys(struct kt_audit *audit, void *arg, const uint8_t *docs, size_t nbytes,
                                struct kt_error *err)
{
    return count_piece(audit, arg, docs, nbytes) == KT_OK ? KT_OK
                                                          : kt_fail(err, KT_E_NOMEM, "memory ran out");
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void finish_vault(struct kt_audit_reading *reading)
{
    if (reading->names_count)
        qsort(reading->names, reading->names_count, sizeof *reading->names, compare_hashes);
    for (size_t i = 1; i < reading->names_count; i++)
        reading->shown->duplicate_names += reading->names[i] == reading->names[i - 1];
}

enum kt_status kt_audit_read_vault(struct kt_audit *audit, struct kt_audit_reading *reading,
                                   const char *store, struct kt_error *err)
{
    struct kt_source *source;
    if (kt_mongo_is_uri(store)) {
        enum kt_status read = kt_audit_read_server(audit, reading, store, err);
        if (read == KT_OK)
            finish_vault(reading);
        return read;
    }
    enum kt_status status = kt_source_open(&source, store, NULL, err);
    if (status != KT_OK)
        return status;
    bool lone = kt_source_container(source) == KT_BSON_FILE;
    const struct kt_entry *entry = NULL;
    for (uint32_t i = 0; !lone && (entry = kt_source_entry(source, i)); i++) {
        if (strcmp(entry->ns, audit->options.key_vault_namespace) == 0)
            break;
    }
    if (!lone && !entry)
        status = kt_fail(err, KT_E_USAGE, "%s holds no %s; name the key vault with --key-vault-namespace",
                         store, audit->options.key_vault_namespace);
    else
        status = kt_audit_read_store(audit, source, lone ? NULL : audit->options.key_vault_namespace,
                                     take_keys, reading, err);
    kt_source_close(source);
    if (status == KT_OK)
        finish_vault(reading);
    return status;
}

void kt_audit_reading_free(struct kt_audit_reading *reading)
{
    kt_cmks_free(&reading->cmks);
    free(reading->ages);
    free(reading->names);
    free(reading->ids);
    free(reading->used);
    kt_buf_free(&reading->name);
    kt_buf_free(&reading->where);
    kt_buf_free(&reading->hosts);
}
