/* SPDX-License-Identifier: Apache-2.0 */
#include <bson/bson.h>
#include <criterion/criterion.h>
#include <string.h>

#include "keyturn/job.h"

/* Options that are refused before the server, which nobody answers for, is looked for. */
static void refused(struct kt_job_options options, const char *says)
{
    bson_t empty = BSON_INITIALIZER;
    struct kt_job *job;
    struct kt_error err;
    struct kt_document given = {{bson_get_data(&empty), empty.len}, "given"};
    options.from = options.key_vault = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100";
    options.kms_providers = options.schema_map = given;
    cr_assert_eq(kt_job_open(&job, &options, &err), KT_E_USAGE);
    cr_assert_not_null(strstr(err.message, says), "%s", err.message);
    cr_assert_null(job);
    bson_destroy(&empty);
}

Test(options, only_encrypt_and_decrypt_are_done_in_parts)
{
    struct kt_job_options options = {.kind = KT_JOB_REWRAP, .partition = 1, .partitions = 2};
    refused(options, "--partition");
    options.all_or_nothing = true;
    refused(options, "--partition");
    options = (struct kt_job_options){.kind = KT_JOB_VERIFY, .partitions = 2};
    refused(options, "--partition");
}

Test(options, only_a_rewrap_is_all_or_nothing)
{
    refused((struct kt_job_options){.kind = KT_JOB_ENCRYPT, .all_or_nothing = true}, "--all-or-nothing");
    refused((struct kt_job_options){.kind = KT_JOB_DECRYPT, .all_or_nothing = true}, "--all-or-nothing");
}
