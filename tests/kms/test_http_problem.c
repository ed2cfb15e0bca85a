/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "kms/http.h"

static struct kt_transfer transfer;

static void start(void)
{
    transfer = (struct kt_transfer){.easy = curl_easy_init()};
    cr_assert(transfer.easy);
}

static void stop(void)
{
    curl_easy_cleanup(transfer.easy);
}

TestSuite(http_problem, .init = start, .fini = stop);

static void expect(CURLcode code, const char *says)
{
    kt_http_problem(&transfer, code);
    cr_expect_eq(transfer.x.problem_reason, KT_KMS_R_NETWORK);
    cr_expect_str_eq(transfer.x.problem, says);
}

Test(http_problem, a_reply_that_was_not_taken_says_why)
{
    expect(CURLE_WRITE_ERROR, "the reply is too long");
    transfer.x.reply.failed = true;
    expect(CURLE_WRITE_ERROR, "locked memory ran out");
}

Test(http_problem, memory_is_no_matter_of_the_connection)
{
    expect(CURLE_OUT_OF_MEMORY, "memory ran out");
    transfer.x.reply.failed = true;
    expect(CURLE_GOT_NOTHING, "the connection failed (Server returned nothing (no headers, no data))");
}
