/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "csfle/bson_type.h"
#include "csfle/key_doc.h"
#include "tests/csfle/csfle_support.h"
#include "tests/support/shared.h"

static void needs_shared(void)
{
    if (!kt_shared_present())
        cr_skip_test("the shared test data is not there");
}

static const struct {
    const char *file, *provider, *name;
    enum kt_kms kms;
    size_t wrapped;
} published[] = {
    {"vectors/csfle-corpus/corpus-key-aws.json", "aws", "aws", KT_KMS_AWS, 0},
    {"vectors/csfle-corpus/corpus-key-azure.json", "azure", "azure", KT_KMS_AZURE, 256},
    {"vectors/csfle-corpus/corpus-key-gcp.json", "gcp", "gcp", KT_KMS_GCP, 0},
    {"vectors/csfle-corpus/corpus-key-kmip.json", "kmip", "kmip", KT_KMS_KMIP, 160},
    {"vectors/csfle-corpus/corpus-key-local.json", "local", "local", KT_KMS_LOCAL, 160},
    {"vectors/csfle-external/external-key.json", "local", NULL, KT_KMS_LOCAL, 160},
    {"vectors/libmongocrypt-keys/12345678123498761234123456789012-local-document.json", "local", NULL,
     KT_KMS_LOCAL, 160},
};

Test(key_doc, published_documents, .init = needs_shared)
{
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        bson_t *doc = kt_shared_json(published[i].file);
        uint8_t *exact = kt_exact(bson_get_data(doc), doc->len);
        struct kt_key_doc key;
        struct kt_error err = {0};
        cr_assert_eq(kt_key_doc_parse(kt_span_of(exact, doc->len), &key, &err), KT_OK, "%s", err.message);
        cr_expect_eq(key.kms, published[i].kms);
        cr_expect(kt_span_equal(key.provider, kt_span_str(published[i].provider)));
        if (published[i].wrapped)
            cr_expect_eq(key.key_material.nbytes, published[i].wrapped);
        size_t at = 0;
        struct kt_span name;
        if (published[i].name) {
            cr_assert(kt_key_doc_alt_name(&key, &at, &name));
            cr_expect(kt_span_equal(name, kt_span_str(published[i].name)));
        }
        if (!strstr(published[i].file, "external"))
            cr_expect_not(kt_key_doc_alt_name(&key, &at, &name));
        bson_iter_t iter;
        cr_assert(bson_iter_init_find(&iter, doc, "updateDate"));
        cr_expect_eq(key.update_ms, bson_iter_date_time(&iter));
        cr_assert(bson_iter_init_find(&iter, doc, "creationDate"));
        cr_expect_eq(key.creation_ms, bson_iter_date_time(&iter));
        free(exact);
        bson_destroy(doc);
    }
}

/* A legal key document whose parts a test can change. */
struct parts {
    const char *master_key; /* JSON */
    uint32_t material_nbytes;
    bson_subtype_t material_subtype, id_subtype;
    uint32_t id_nbytes;
    const char *leave_out, *twice;
};

static const struct parts legal = {
    "{'provider': 'local'}", 160, BSON_SUBTYPE_BINARY, BSON_SUBTYPE_UUID, 16, "", ""};
static const uint8_t zeros[1024];

static void append_field(bson_t *doc, const struct parts *p, const char *name)
{
    if (strcmp(name, p->leave_out) == 0)
        return;
    for (int i = 0; i < (strcmp(name, p->twice) == 0 ? 2 : 1); i++) {
        if (strcmp(name, "_id") == 0) {
            BSON_APPEND_BINARY(doc, "_id", p->id_subtype, zeros, p->id_nbytes);
        } else if (strcmp(name, "keyMaterial") == 0) {
            BSON_APPEND_BINARY(doc, name, p->material_subtype, zeros, p->material_nbytes);
        } else if (strcmp(name, "status") == 0) {
            BSON_APPEND_INT32(doc, name, 0);
        } else if (strcmp(name, "masterKey") == 0) {
            bson_t *master = kt_json(p->master_key);
            BSON_APPEND_DOCUMENT(doc, name, master);
            bson_destroy(master);
        } else {
            BSON_APPEND_DATE_TIME(doc, name, 1700000000000);
        }
    }
}

static void build(bson_t *doc, const struct parts *p)
{
    static const char *const order[] = {"_id",        "keyMaterial", "creationDate",
                                        "updateDate", "status",      "masterKey"};
    bson_init(doc);
    for (int i = 0; i < 6; i++)
        append_field(doc, p, order[i]);
}

static void expect(const bson_t *doc, enum kt_status expected, const char *message)
{
    struct kt_key_doc key;
    struct kt_error err = {0};
    uint8_t *exact = kt_exact(bson_get_data(doc), doc->len);
    cr_expect_eq(kt_key_doc_parse(kt_span_of(exact, doc->len), &key, &err), expected, "%s: %s", message,
                 err.message);
    cr_expect_not_null(strstr(err.message, message), "'%s' instead of '%s'", err.message, message);
    free(exact);
}

static void refused(struct parts p, const char *message)
{
    bson_t doc;
    build(&doc, &p);
    expect(&doc, KT_E_KEY, message);
    bson_destroy(&doc);
}

static void master_key(const char *json, uint32_t material_nbytes, const char *message)
{
    struct parts p = legal;
    p.master_key = json;
    p.material_nbytes = material_nbytes;
    bson_t doc;
    build(&doc, &p);
    expect(&doc, message ? KT_E_KEY : KT_OK, message ? message : "");
    bson_destroy(&doc);
}

Test(key_doc, fields)
{
    struct parts p = legal;
    master_key("{'provider': 'local'}", 160, NULL);
    static const char *const required[] = {"_id",        "keyMaterial", "creationDate",
                                           "updateDate", "status",      "masterKey"};
    for (int i = 0; i < 6; i++) {
        char message[64];
        p = legal;
        p.leave_out = required[i];
        snprintf(message, sizeof message, "%s is missing", required[i]);
        refused(p, message);
        p = legal;
        p.twice = required[i];
        snprintf(message, sizeof message, "%s stands there twice", required[i]);
        refused(p, message);
    }
    p = legal;
    p.id_subtype = BSON_SUBTYPE_UUID_DEPRECATED;
    refused(p, "key document: _id must be a UUID");
    p = legal;
    p.id_nbytes = 15;
    refused(p, "key document: _id must be a UUID");
    p = legal;
    p.material_subtype = BSON_SUBTYPE_ENCRYPTED;
    refused(p, "key 00000000-0000-0000-0000-000000000000: keyMaterial must be BinData of subtype 0");
}

Test(key_doc, lengths_of_wrapped_keys)
{
    const char *aws = "{'provider': 'aws', 'region': 'r', 'key': 'k'}";
    master_key("{'provider': 'local'}", 159, "keyMaterial has a length");
    master_key("{'provider': 'local'}", 161, "keyMaterial has a length");
    master_key("{'provider': 'local:name'}", 160, NULL);
    master_key("{'provider': 'local:name'}", 176, "keyMaterial has a length");
    master_key(aws, 95, "keyMaterial has a length");
    master_key(aws, 96, NULL);
    master_key(aws, 1024, NULL);
    master_key("{'provider': 'kmip', 'keyId': '1'}", 128, NULL);
}

static void with_extra(void (*append)(bson_t *doc), enum kt_status expected, const char *message)
{
    bson_t doc;
    build(&doc, &legal);
    append(&doc);
    expect(&doc, expected, message);
    bson_destroy(&doc);
}

static void version_0(bson_t *doc)
{
    BSON_APPEND_INT32(doc, "version", 0);
}
static void version_0_long(bson_t *doc)
{
    BSON_APPEND_INT64(doc, "version", 0);
}
static void version_1(bson_t *doc)
{
    BSON_APPEND_INT32(doc, "version", 1);
}
static void version_double(bson_t *doc)
{
    BSON_APPEND_DOUBLE(doc, "version", 0);
}
static void bookkeeping(bson_t *doc)
{
    BSON_APPEND_INT32(doc, "rotatedBy", 0);
}

static void append_names(bson_t *doc, const char *json)
{
    bson_t *names = kt_json(json);
    BSON_APPEND_ARRAY(doc, "keyAltNames", names);
    bson_destroy(names);
}
static void names_none(bson_t *doc)
{
    append_names(doc, "{}");
}
static void names_two(bson_t *doc)
{
    append_names(doc, "{'0': 'a', '1': 'b'}");
}
static void names_twice(bson_t *doc)
{
    append_names(doc, "{'0': 'a', '1': 'b', '2': 'a'}");
}
static void names_int(bson_t *doc)
{
    append_names(doc, "{'0': 'a', '1': 1}");
}
static void names_string(bson_t *doc)
{
    BSON_APPEND_UTF8(doc, "keyAltNames", "a");
}

Test(key_doc, optional_fields)
{
    with_extra(version_0, KT_OK, "");
    with_extra(version_0_long, KT_OK, "");
    with_extra(version_1, KT_E_KEY, "version must be the integer 0");
    with_extra(version_double, KT_E_KEY, "version must be the integer 0");
    with_extra(bookkeeping, KT_E_KEY, "'rotatedBy' is no field of a key document");
    with_extra(names_none, KT_OK, "");
    with_extra(names_two, KT_OK, "");
    with_extra(names_twice, KT_E_KEY, "keyAltNames holds a name twice");
    with_extra(names_int, KT_E_KEY, "keyAltNames must hold strings only");
    with_extra(names_string, KT_E_KEY, "keyAltNames must be an array");
}

Test(key_doc, very_many_names)
{
    bson_t doc, names;
    build(&doc, &legal);
    BSON_APPEND_ARRAY_BEGIN(&doc, "keyAltNames", &names);
    char number[16];
    for (int i = 0; i < 200000; i++) {
        snprintf(number, sizeof number, "%d", i);
        BSON_APPEND_UTF8(&names, number, number);
    }
    bson_append_array_end(&doc, &names);
    expect(&doc, KT_OK, "");
    bson_destroy(&doc);
}

Test(key_doc, master_keys)
{
    master_key("{'provider': 'aws', 'region': 'r', 'key': 'k', 'endpoint': 'kms.example.com:443'}", 200,
               NULL);
    master_key("{'provider': 'aws:eu', 'region': 'r', 'key': 'k'}", 200, NULL);
    master_key("{'provider': 'aws', 'key': 'k'}", 200, "masterKey has no 'region'");
    master_key("{'provider': 'aws', 'region': 'r'}", 200, "masterKey has no 'key'");
    master_key("{'provider': 'aws', 'region': 5, 'key': 'k'}", 200, "'region' must be a string");
    master_key("{'provider': 'aws', 'region': 'r', 'key': 'k', 'keyName': 'x'}", 200,
               "masterKey has an unknown field 'keyName'");
    master_key("{'provider': 'aws', 'region': 'r', 'key': 'k', 'endpoint': 'localhost'}", 200, "has no dot");
    master_key("{'provider': 'aws', 'region': 'r', 'key': 'k', 'endpoint': 'a.b:0'}", 200, "has a port");
    master_key("{'provider': 'azure', 'keyVaultEndpoint': 'v.vault.azure.net', 'keyName': 'n'}", 256, NULL);
    master_key("{'provider': 'azure', 'keyName': 'n'}", 256, "has no 'keyVaultEndpoint'");
    master_key("{'provider': 'azure', 'keyVaultEndpoint': 'v.x'}", 256, "has no 'keyName'");
    master_key("{'provider': 'gcp', 'projectId': 'p', 'location': 'l', 'keyRing': 'r', 'keyName': 'n', "
               "'keyVersion': "
               "'1', 'endpoint': 'x.y'}",
               178, NULL);
    master_key("{'provider': 'gcp', 'projectId': 'p', 'location': 'l', 'keyRing': 'r'}", 178,
               "has no 'keyName'");
    master_key("{'provider': 'kmip', 'endpoint': 'localhost:5696', 'delegated': true, 'keyId': '1'}", 128,
               NULL);
    master_key("{'provider': 'kmip', 'delegated': 'yes'}", 128, "'delegated' must be a bool");
    master_key("{'provider': 'local', 'key': 'x'}", 160, "unknown field 'key'");
    master_key("{}", 160, "masterKey has no string 'provider'");
    master_key("{'provider': 1}", 160, "masterKey has no string 'provider'");
    master_key("{'provider': 'ibm'}", 160, "masterKey names an unknown provider");
    master_key("{'provider': 'local:'}", 160, "masterKey names an unknown provider");
    master_key("{'provider': 'local:a b'}", 160, "masterKey names an unknown provider");
    master_key("{'provider': 'local:a:b'}", 160, "masterKey names an unknown provider");
    master_key("{'provider': 'LOCAL'}", 160, "masterKey names an unknown provider");
}

Test(key_doc, no_bson)
{
    bson_t doc;
    build(&doc, &legal);
    for (size_t n = 0; n < doc.len; n++) {
        uint8_t *cut = kt_exact(bson_get_data(&doc), n);
        struct kt_key_doc key;
        struct kt_error err;
        cr_expect_eq(kt_key_doc_parse(kt_span_of(cut, n), &key, &err), KT_E_FORMAT);
        free(cut);
    }
    bson_destroy(&doc);
}

Test(key_doc, damaged, .init = needs_shared)
{
    uint64_t seed = 0x5eed0006;
    printf("seed %llx\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        bson_t *doc = kt_shared_json(published[i].file);
        for (int round = 0; round < 2000; round++) {
            uint8_t *damaged = kt_exact(bson_get_data(doc), doc->len);
            damaged[kt_random(&seed) % doc->len] = (uint8_t)kt_random(&seed);
            struct kt_key_doc key;
            struct kt_error err;
            enum kt_status status = kt_key_doc_parse(kt_span_of(damaged, doc->len), &key, &err);
            cr_expect(status == KT_OK || status == KT_E_KEY || status == KT_E_FORMAT);
            free(damaged);
        }
        bson_destroy(doc);
    }
}
