/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/keys/providers_json.h"

#include <criterion/criterion.h>
#include <string.h>

enum kt_status providers_parse(struct fixture *f, const char *kms, const char *tls,
                               struct kt_providers **providers, struct kt_error *err)
{
    bson_error_t error;
    bson_t *kms_doc = bson_new_from_json((const uint8_t *)kms, -1, &error);
    cr_assert_not_null(kms_doc, "%s: %s", kms, error.message);
    bson_t *tls_doc = tls ? bson_new_from_json((const uint8_t *)tls, -1, &error) : NULL;
    struct kt_span tls_span = {0};
    if (tls_doc)
        tls_span = kt_span_of(bson_get_data(tls_doc), tls_doc->len);
    *err = (struct kt_error){0};
    enum kt_status status = kt_providers_new(providers, kt_span_of(bson_get_data(kms_doc), kms_doc->len),
                                             tls_span, "kms.json", f->secmem, f->engine, err);
    bson_destroy(kms_doc);
    bson_destroy(tls_doc);
    return status;
}

struct kt_providers *providers_parsed(struct fixture *f, const char *kms, const char *tls)
{
    struct kt_providers *providers;
    struct kt_error err;
    cr_assert_eq(providers_parse(f, kms, tls, &providers, &err), KT_OK, "%s: %s", kms, err.message);
    return providers;
}

void providers_refused(struct fixture *f, const char *kms, const char *tls, const char *says)
{
    struct kt_providers *providers = (void *)1;
    struct kt_error err;
    size_t before = kt_secmem_available(f->secmem);
    cr_assert_eq(providers_parse(f, kms, tls, &providers, &err), KT_E_CONFIG, "%s was taken", kms);
    cr_expect_null(providers);
    cr_expect_eq(err.status, KT_E_CONFIG);
    cr_expect_not_null(strstr(err.message, "kms.json: "), "%s", err.message);
    cr_expect_not_null(strstr(err.message, says), "says \"%s\", not \"%s\"", err.message, says);
    cr_expect_null(strstr(err.message, "s3cret"), "%s", err.message);
    cr_expect_eq(kt_secmem_available(f->secmem), before, "locked memory leaks");
}
