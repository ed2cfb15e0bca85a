/* SPDX-License-Identifier: Apache-2.0 */
/* All jobs through the public API, with more threads than cores: a sample is encrypted, verified, rewrapped
 * and decrypted again, and must come out byte for byte. A plain program, so that it also runs under the
 * thread sanitizer. */
#include <bson/bson.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/sample.h"
#include "keyturn/job.h"
#include "tests/support/shared.h"

#define CHECK(what)                                                                                          \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #what, err.message);                      \
            return 1;                                                                                        \
        }                                                                                                    \
    } while (0)

#define DOCUMENTS 6000
#define KEYS 3000

static bson_t *json_file(const char *name)
{
    size_t n;
    uint8_t *text = kt_read_file(name, &n);
    bson_t *doc = text ? bson_new_from_json(text, (ssize_t)n, NULL) : NULL;
    free(text);
    return doc;
}

static struct kt_document document(const bson_t *bson, const char *name)
{
    return (struct kt_document){{bson_get_data(bson), bson->len}, name};
}

static int run(const struct kt_job_options *options, struct kt_job_result *result, struct kt_error *err)
{
    struct kt_job *job;
    struct kt_job_progress progress;
    if (kt_job_open(&job, options, err) != KT_OK)
        return -1;
    kt_job_progress(job, &progress);
    enum kt_status status = kt_job_run(job, err);
    *result = *kt_job_result(job);
    kt_job_close(job);
    return status == KT_OK ? result->exit : -1;
}

static int same_files(const char *a, const char *b)
{
    size_t na = 0, nb = 0;
    uint8_t *left = kt_read_file(a, &na), *right = kt_read_file(b, &nb);
    int same = left && right && na == nb && memcmp(left, right, na) == 0;
    free(left);
    free(right);
    return same;
}

static int roundtrip(void)
{
    struct kt_error err = {0};
    struct kt_sample_options sample = {.to = "demo", .documents = DOCUMENTS, .keys = KEYS, .seed = 7};
    struct kt_sample_result made;
    struct kt_job_result result;
    CHECK(kt_sample_write(&sample, &made, &err) == KT_OK);

    bson_t *kms = json_file("demo/kms.json"), *schema = json_file("demo/schema.json"), *providers = NULL;
    bson_iter_t iter;
    CHECK(kms && schema && bson_iter_init_find(&iter, kms, "kmsProviders"));
    const uint8_t *data;
    uint32_t nbytes;
    bson_iter_document(&iter, &nbytes, &data);
    providers = bson_new_from_data(data, nbytes);

    struct kt_job_options options = {.kind = KT_JOB_ENCRYPT,
                                     .from = "demo/dump",
                                     .to = "sealed",
                                     .key_vault = "demo/keyvault.bson",
                                     .kms_providers = document(providers, "kms.json"),
                                     .schema_map = document(schema, "schema.json"),
                                     .threads = 4};
    CHECK(run(&options, &result, &err) == 0);
    options.kind = KT_JOB_VERIFY;
    options.from = "sealed";
    options.to = NULL;
    CHECK(run(&options, &result, &err) == 0);

    struct kt_job_options rewrap = {.kind = KT_JOB_REWRAP,
                                    .to = "keyvault.new.bson",
                                    .key_vault = "demo/keyvault.bson",
                                    .kms_providers = document(providers, "kms.json"),
                                    .provider = "local:new",
                                    .threads = 4};
    CHECK(run(&rewrap, &result, &err) == 0);
    CHECK(result.keys.rewrapped == KEYS && result.keys.proven == KEYS && result.keys.failed == 0);

    options.kind = KT_JOB_DECRYPT;
    options.to = "plain";
    options.key_vault = "keyvault.new.bson";
    CHECK(run(&options, &result, &err) == 0);
    CHECK(same_files("demo/dump/shop/customers.bson", "plain/shop/customers.bson"));
    CHECK(!same_files("demo/dump/shop/customers.bson", "sealed/shop/customers.bson"));

    options.to = "plain";
    CHECK(run(&options, &result, &err) == -1 && err.status == KT_E_EXISTS);
    bson_destroy(kms);
    bson_destroy(schema);
    bson_destroy(providers);
    return 0;
}

int main(void)
{
    char folder[] = "/tmp/kt-roundtrip-XXXXXX", command[64];
    if (!mkdtemp(folder) || chdir(folder) != 0) {
        perror(folder);
        return 1;
    }
    int failed = roundtrip();
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (chdir("/") != 0 || system(command) != 0)
        return 1;
    puts(failed ? "failed" : "passed");
    return failed;
}
