/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/documents.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct kt_error err;
static bson_t *bson;

static enum kt_status load_text(const char *text)
{
    struct kt_document_source source = {.json = text, .name = "--x"};
    return kt_document_load(&source, &bson, &err);
}

Test(documents, extended_json)
{
    bson_iter_t iter;
    cr_assert(eq(int, load_text(" {\"a\": {\"$numberLong\": \"5\"}}\n"), KT_OK));
    cr_assert(bson_iter_init_find(&iter, bson, "a") && BSON_ITER_HOLDS_INT64(&iter));
    bson_destroy(bson);
}

Test(documents, numbers_beyond_64_bits_are_refused)
{
    static const char *const bad[] = {"{\"a\": 99999999999999999999}", "{\"a\": [1, -9223372036854775809]}"};
    static const char *const good[] = {
        "{\"a\": 9223372036854775807, \"b\": -9223372036854775808}",
        "{\"a\": 99999999999999999999.5, \"b\": 1e30, \"c\": 123456789012345678901e2}",
        "{\"a\": \"99999999999999999999\", \"\\\"99999999999999999999\": 1}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert(eq(int, load_text(bad[i]), KT_E_CONFIG), "%s", bad[i]);
        cr_assert(strstr(err.message, "64 bits") != NULL, "%s", err.message);
        cr_assert(strstr(err.message, "999") == NULL && strstr(err.message, "809") == NULL);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert(eq(int, load_text(good[i]), KT_OK), "%s", good[i]);
        bson_destroy(bson);
    }
}

Test(documents, nothing_given_is_nothing)
{
    struct kt_document_source source = {0};
    cr_assert(kt_document_load(&source, &bson, &err) == KT_OK && bson == NULL);
}

Test(documents, bad_json_never_quotes_its_text)
{
    static const char *const cases[] = {"",
                                        "   ",
                                        "x-hunter2",
                                        "[\"hunter2\"]",
                                        "\"hunter2\"",
                                        "{\"key\": hunter2}",
                                        "{\"key\": \"hunter2\"",
                                        "{\"key\": \"hunter2\"} }",
                                        "{\"hunter2\" 5}",
                                        "{\"a\": {\"$binary\": {\"base64\": \"hunter2\"}}}",
                                        "{\"a\": {\"$oid\": \"hunter2\"}}",
                                        "{\"k\": \"\xff\xfe hunter2\"}"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err.message[0] = 0;
        enum kt_status status = load_text(cases[i]);
        cr_expect(eq(int, status, KT_E_CONFIG), "%s", cases[i]);
        cr_expect(strncmp(err.message, "--x", 3) == 0, "%s", err.message);
        cr_expect(strstr(err.message, "hunter2") == NULL, "%s", err.message);
        if (status == KT_OK)
            bson_destroy(bson);
    }
}

Test(documents, from_the_environment_which_is_wiped)
{
    struct kt_document_source source = {.env = "KEYTURN_TEST_KMS", .name = "env:KEYTURN_TEST_KMS"};
    unsetenv("KEYTURN_TEST_KMS");
    cr_assert(eq(int, kt_document_load(&source, &bson, &err), KT_E_CONFIG));
    cr_assert(strstr(err.message, "KEYTURN_TEST_KMS") != NULL);
    setenv("KEYTURN_TEST_KMS", "{\"kmsProviders\": {}}", 1);
    cr_assert(eq(int, kt_document_load(&source, &bson, &err), KT_OK));
    cr_assert(eq(str, getenv("KEYTURN_TEST_KMS"), ""));
    bson_destroy(bson);
}

Test(documents, large_files_and_missing_ones)
{
    char name[] = "/tmp/keyturn-doc.XXXXXX";
    int fd = mkstemp(name);
    FILE *out = fdopen(fd, "w");
    struct kt_document_source source = {.file = name, .name = name};
    fputs("{\"a\": \"", out);
    for (int i = 0; i < 300000; i++)
        fputc('x', out);
    fputs("\"}", out);
    fclose(out);
    cr_assert(eq(int, kt_document_load(&source, &bson, &err), KT_OK), "%s", err.message);
    cr_assert(bson->len > 300000);
    bson_destroy(bson);

    cr_assert(eq(int, truncate(name, (off_t)KT_DOCUMENT_MAX_NBYTES + 1), 0));
    cr_assert(eq(int, kt_document_load(&source, &bson, &err), KT_E_CONFIG));
    unlink(name);
    cr_assert(eq(int, kt_document_load(&source, &bson, &err), KT_E_CONFIG));
    source.file = "/tmp";
    cr_assert(eq(int, kt_document_load(&source, &bson, &err), KT_E_CONFIG));
}

Test(documents, providers_are_taken_apart)
{
    static const struct {
        const char *json;
        enum kt_status status;
        bool tls;
    } cases[] = {
        {"{\"kmsProviders\": {\"local\": {}}}", KT_OK, false},
        {"{\"kmsProviders\": {}, \"tlsOptions\": {}}", KT_OK, true},
        {"{}", KT_E_CONFIG, false},
        {"{\"tlsOptions\": {}}", KT_E_CONFIG, false},
        {"{\"local\": {}}", KT_E_CONFIG, false},
        {"{\"kmsProviders\": \"x\"}", KT_E_CONFIG, false},
        {"{\"kmsProviders\": {}, \"kmsProviders\": {}}", KT_E_CONFIG, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bson_t *kms = NULL, *tls = NULL;
        cr_assert(eq(int, load_text(cases[i].json), KT_OK));
        enum kt_status status = kt_document_split_providers(bson, "kms.json", &kms, &tls, &err);
        cr_expect(eq(int, status, cases[i].status), "%s", cases[i].json);
        if (status == KT_OK)
            cr_expect(kms != NULL && (tls != NULL) == cases[i].tls, "%s", cases[i].json);
        else
            cr_expect(strncmp(err.message, "kms.json", 8) == 0, "%s", err.message);
        bson_destroy(kms);
        bson_destroy(tls);
        bson_destroy(bson);
    }
}

Test(documents, exposed_files)
{
    char name[] = "/tmp/keyturn-doc.XXXXXX";
    unsigned mode = 0;
    close(mkstemp(name));
    chmod(name, 0600);
    cr_assert(not(kt_document_exposed(name, &mode)));
    chmod(name, 0640);
    cr_assert(kt_document_exposed(name, &mode) && mode == 0640);
    chmod(name, 0604);
    cr_assert(kt_document_exposed(name, &mode));
    unlink(name);
    cr_assert(not(kt_document_exposed(name, &mode)));
    cr_assert(not(kt_document_exposed("/dev/null", &mode)), "only files keep what they hold");
}
