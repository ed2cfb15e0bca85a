/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/key_doc.h"

#include <stdio.h>
#include <stdlib.h>

#include "csfle/bson_cursor.h"
#include "csfle/bson_type.h"
#include "csfle/master_key.h"
#include "csfle/payload.h"

#define SUBTYPE_GENERIC 0
#define SUBTYPE_UUID 4
#define WRAPPED_MIN_NBYTES 96    /* no wrap is shorter than the DEK */
#define WRAPPED_LOCAL_NBYTES 160 /* IV, 96 bytes and padding, tag */

enum field { ID, MATERIAL, CREATION, UPDATE, STATUS, MASTER, ALT_NAMES, VERSION, FIELDS };

static const struct {
    const char *name;
    bool required;
} fields[FIELDS] = {
    [ID] = {"_id", true},
    [MATERIAL] = {"keyMaterial", true},
    [CREATION] = {"creationDate", true},
    [UPDATE] = {"updateDate", true},
    [STATUS] = {"status", true},
    [MASTER] = {"masterKey", true},
    [ALT_NAMES] = {"keyAltNames", false},
    [VERSION] = {"version", false},
};

struct parse {
    struct kt_key_doc *key;
    struct kt_element found[FIELDS]; /* type 0: absent */
    struct kt_error *err;
};

static enum kt_status fail(struct parse *p, const char *field, const char *what)
{
    const uint8_t *d = p->key->id;
    if (!d)
        return kt_fail(p->err, KT_E_KEY, "key document: %s %s", field, what);
    return kt_fail(p->err, KT_E_KEY,
                   "key %02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x: %s %s", d[0],
                   d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13], d[14],
                   d[15], field, what);
}

static bool binary(const struct kt_element *e, uint8_t subtype, struct kt_span *bytes)
{
    if (e->type != KT_BSON_BINARY || e->value.data[4] != subtype)
        return false;
    *bytes = kt_span_of(e->value.data + 5, e->value.nbytes - 5);
    return true;
}

static enum kt_status take(struct parse *p, const struct kt_element *e)
{
    for (int i = 0; i < FIELDS; i++) {
        if (!kt_element_is(e, fields[i].name))
            continue;
        if (p->found[i].type)
            return fail(p, fields[i].name, "stands there twice");
        p->found[i] = *e;
        struct kt_span id;
        if (i == ID && binary(e, SUBTYPE_UUID, &id) && id.nbytes == KT_UUID_NBYTES)
            p->key->id = id.data;
        return KT_OK;
    }
    char name[128];
    snprintf(name, sizeof name, "'%.100s'", (const char *)e->name.data);
    return fail(p, name, "is no field of a key document; drivers refuse it");
}

static enum kt_status check_version(struct parse *p)
{
    const struct kt_element *e = &p->found[VERSION];
    if (!e->type)
        return KT_OK;
    bool zero = (e->type == KT_BSON_INT32 && kt_load_le32(e->value.data) == 0) ||
                (e->type == KT_BSON_INT64 && kt_load_le64(e->value.data) == 0);
    return zero ? KT_OK : fail(p, "version", "must be the integer 0");
}

static enum kt_status check_dates(struct parse *p)
{
    static const enum field dates[] = {CREATION, UPDATE};
    for (int i = 0; i < 2; i++)
        if (p->found[dates[i]].type != KT_BSON_DATE)
            return fail(p, fields[dates[i]].name, "must be a date");
    p->key->creation_ms = (int64_t)kt_load_le64(p->found[CREATION].value.data);
    p->key->update_ms = (int64_t)kt_load_le64(p->found[UPDATE].value.data);
    return KT_OK;
}

static enum kt_status check_master_key(struct parse *p)
{
    const struct kt_element *e = &p->found[MASTER];
    struct kt_element provider;
    if (e->type != KT_BSON_DOCUMENT)
        return fail(p, "masterKey", "must be an object");
    if (!kt_bson_find(e->value, "provider", &provider) || !kt_element_string(&provider, &p->key->provider))
        return fail(p, "masterKey", "has no string 'provider'");
    if (!kt_kms_of_provider(p->key->provider, &p->key->kms))
        return fail(p, "masterKey", "names an unknown provider");
    struct kt_master_key read;
    char why[256];
    if (!kt_master_key_read(e->value, p->key->kms, &read, why, sizeof why))
        return fail(p, "masterKey", why);
    p->key->master_key = e->value;
    return KT_OK;
}

static enum kt_status check_material(struct parse *p)
{
    if (!binary(&p->found[MATERIAL], SUBTYPE_GENERIC, &p->key->key_material))
        return fail(p, "keyMaterial", "must be BinData of subtype 0");
    size_t nbytes = p->key->key_material.nbytes;
    if (nbytes < WRAPPED_MIN_NBYTES || (p->key->kms == KT_KMS_LOCAL && nbytes != WRAPPED_LOCAL_NBYTES))
        return fail(p, "keyMaterial", "has a length that no wrapped key has");
    return KT_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct kt_span *x = a, *y = b;
    if (x->nbytes != y->nbytes)
        return x->nbytes < y->nbytes ? -1 : 1;
    return x->nbytes ? memcmp(x->data, y->data, x->nbytes) : 0;
}

/* Sorted, so that a document of a million names does not hold the job up. */
static enum kt_status check_distinct(struct parse *p, size_t count)
{
    struct kt_span *names = malloc(count * sizeof *names);
    if (!names)
        return kt_fail(p->err, KT_E_NOMEM, "key document: memory ran out");
    size_t at = 0, n = 0;
    while (n < count && kt_key_doc_alt_name(p->key, &at, &names[n]))
        n++;
    qsort(names, n, sizeof *names, by_name);
    bool twice = false;
    for (size_t i = 1; i < n; i++)
        twice = twice || by_name(&names[i - 1], &names[i]) == 0;
    free(names);
    return twice ? fail(p, "keyAltNames", "holds a name twice") : KT_OK;
}

static enum kt_status check_alt_names(struct parse *p)
{
    const struct kt_element *e = &p->found[ALT_NAMES];
    if (!e->type)
        return KT_OK;
    if (e->type != KT_BSON_ARRAY)
        return fail(p, "keyAltNames", "must be an array");
    struct kt_cursor cursor = kt_cursor_of(e->value);
    struct kt_element name;
    struct kt_span text;
    size_t count = 0;
    for (; kt_cursor_next(&cursor, &name); count++)
        if (!kt_element_string(&name, &text))
            return fail(p, "keyAltNames", "must hold strings only");
    p->key->alt_names = e->value;
    return count > 1 ? check_distinct(p, count) : KT_OK;
}

static void place(const struct parse *p, enum field field, uint32_t *at, uint32_t *nbytes)
{
    const struct kt_element *e = &p->found[field];
    *at = (uint32_t)(e->at - p->key->doc.data);
    *nbytes = (uint32_t)(e->value.data + e->value.nbytes - e->at);
}

enum kt_status kt_key_doc_parse(struct kt_span doc, struct kt_key_doc *key, struct kt_error *err)
{
    struct parse p = {.key = key, .err = err};
    *key = (struct kt_key_doc){.doc = doc};
    if (kt_bson_check_value(KT_BSON_DOCUMENT, doc) != KT_OK)
        return kt_fail(err, KT_E_FORMAT, "key document: no valid BSON");
    struct kt_cursor cursor = kt_cursor_of(doc);
    struct kt_element e;
    enum kt_status status = KT_OK;
    while (status == KT_OK && kt_cursor_next(&cursor, &e))
        status = take(&p, &e);
    if (status == KT_OK && p.found[ID].type && !key->id)
        return fail(&p, "_id", "must be a UUID: BinData of subtype 4 and 16 bytes");
    for (int i = 0; i < FIELDS && status == KT_OK; i++)
        if (fields[i].required && !p.found[i].type)
            status = fail(&p, fields[i].name, "is missing");
    if (status == KT_OK)
        status = check_version(&p);
    if (status == KT_OK)
        status = check_dates(&p);
    if (status == KT_OK)
        status = check_master_key(&p);
    if (status == KT_OK)
        status = check_material(&p);
    if (status == KT_OK)
        status = check_alt_names(&p);
    if (status != KT_OK)
        return status;
    place(&p, MASTER, &key->master_key_at, &key->master_key_nbytes);
    place(&p, MATERIAL, &key->key_material_at, &key->key_material_nbytes);
    place(&p, UPDATE, &key->update_at, &key->update_nbytes);
    return KT_OK;
}

bool kt_key_doc_alt_name(const struct kt_key_doc *key, size_t *at, struct kt_span *name)
{
    if (!key->alt_names.data)
        return false;
    struct kt_cursor cursor = kt_cursor_of(key->alt_names);
    struct kt_element e;
    if (*at)
        cursor.at = key->alt_names.data + *at;
    if (!kt_cursor_next(&cursor, &e) || !kt_element_string(&e, name))
        return false;
    *at = (size_t)(cursor.at - key->alt_names.data);
    return true;
}
