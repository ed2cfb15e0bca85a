/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/kms_screen.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

static char *text;
static size_t text_nbytes;
static FILE *out;

static void begin(void)
{
    out = open_memstream(&text, &text_nbytes);
}

static void end(void)
{
    free(text);
}

static void shows(const char *wanted)
{
    fclose(out);
    cr_assert(eq(str, text, (char *)wanted));
}

TestSuite(kms_screen, .init = begin, .fini = end);

Test(kms_screen, figures)
{
    kt_kms_print_counts(out,
                        &(struct kt_kms_counts){
                            .calls = 49208, .retries = 14, .throttled = 14, .p50_ms = 24.3, .p99_ms = 61.2});
    kt_kms_print_counts(out,
                        &(struct kt_kms_counts){.calls = 1, .retries = 5, .p50_ms = 0.52, .p99_ms = 9.96});
    shows("  KMS     49,208 calls, p50 24 ms, p99 61 ms, 14 throttled and repeated\n"
          "  KMS     1 call, p50 0.5 ms, p99 10.0 ms, 5 repeated after faults\n");
}

Test(kms_screen, what_is_no_longer_needed)
{
    struct kt_cmk_counts cmks[] = {{.from = "a", .to = "c", .matched = 5, .rewrapped = 5},
                                   {.from = "b", .to = "c", .matched = 7, .rewrapped = 6},
                                   {.from = "c", .to = "c", .matched = 2, .rewrapped = 2, .needed = true},
                                   {.from = "d", .to = "c", .matched = 1, .rewrapped = 1}};
    struct kt_key_counts keys = {.read = 15, .matched = 15, .rewrapped = 14, .cmks = cmks, .cmks_count = 4};
    kt_kms_print_unneeded(out, &keys);
    shows("  now     this key vault no longer needs a, d; old backups and other vaults may\n");
}

Test(kms_screen, keys_that_did_not_match_may_need_any)
{
    struct kt_cmk_counts cmks[] = {{.from = "a", .to = "c", .matched = 5, .rewrapped = 5}};
    struct kt_key_counts keys = {.read = 6, .matched = 5, .rewrapped = 5, .cmks = cmks, .cmks_count = 1};
    kt_kms_print_unneeded(out, &keys);
    keys.read = keys.matched = 5;
    cmks[0].needed = true;
    kt_kms_print_unneeded(out, &keys);
    shows("");
}

Test(kms_screen, plan)
{
    struct kt_kms_plan_line lines[] = {{"aws", "aws us-east-1 key/old", "ReEncrypt", 48102, 48102, false},
                                       {"aws", "aws us-east-1 key/new", "proof", 1, 1, false}};
    struct kt_kms_plan plan = {.lines = lines,
                               .lines_count = 2,
                               .calls = 48103,
                               .usd = 0.1443,
                               .seconds = 48.1,
                               .rate = 1000,
                               .quota_known = true};
    kt_kms_print_plan(out, &(struct kt_job_options){.kms_rate = 1000}, &plan);
    shows("  ReEncrypt   aws us-east-1 key/old   48,102 DEKs   1 each   48,102 calls\n"
          "  proof       aws us-east-1 key/new         1 DEK   1 each         1 call\n"
          "  total   48,103 calls, USD 0.14, 48 s at 1,000 calls/s (--kms-rate)\n");
}

Test(kms_screen, a_plan_that_may_take_more)
{
    struct kt_kms_plan_line line = {"azure", "azure v/k", "unwrap", 30, 30, true};
    struct kt_kms_plan plan = {.lines = &line, .lines_count = 1, .calls = 30, .at_least = true};
    kt_kms_print_plan(out, &(struct kt_job_options){0}, &plan);
    shows("  unwrap   azure v/k   30 DEKs   1 each   at least 30 calls\n"
          "  total   at least 30 calls, as fast as the KMS answers\n");
}
