/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "jobs/counts.h"

static void fill(struct kt_counts *counts, uint64_t start)
{
    counts->ns.documents = start + 1;
    counts->ns.changed = start + 2;
    counts->ns.values = start + 3;
    counts->ns.failed = start + 4;
    counts->ns.largest_nbytes_out = start + 5;
    counts->keys.rewrapped = start + 6;
    counts->paths[1].wrong_key = start + 7;
}

Test(counts, adds_figures_and_keeps_the_largest)
{
    struct kt_counts a, b;
    cr_assert(kt_counts_init(&a, 3) == KT_OK && kt_counts_init(&b, 3) == KT_OK);
    fill(&a, 100);
    fill(&b, 10);
    kt_counts_add(&a, &b);
    cr_assert_eq(a.ns.documents, 112);
    cr_assert_eq(a.ns.values, 116);
    cr_assert_eq(a.ns.largest_nbytes_out, 105);
    cr_assert_eq(a.keys.rewrapped, 122);
    cr_assert_eq(a.paths[1].wrong_key, 124);
    cr_assert_eq(a.paths[0].wrong_key, 0);
    kt_counts_free(&a);
    kt_counts_free(&b);
}

Test(counts, a_checkpoint_gives_them_back)
{
    struct kt_counts a, b;
    bson_t doc = BSON_INITIALIZER;
    cr_assert(kt_counts_init(&a, 3) == KT_OK && kt_counts_init(&b, 3) == KT_OK);
    fill(&a, 1000);
    cr_assert(kt_counts_save(&a, &doc));
    cr_assert(kt_counts_load(&b, &doc));
    cr_assert_eq(memcmp(&a.ns, &b.ns, sizeof a.ns), 0);
    cr_assert_eq(memcmp(&a.keys, &b.keys, sizeof a.keys), 0);
    cr_assert_eq(memcmp(a.paths, b.paths, 3 * sizeof *a.paths), 0);
    bson_destroy(&doc);
    kt_counts_free(&a);
    kt_counts_free(&b);
}

Test(counts, a_checkpoint_of_another_schema_is_refused)
{
    struct kt_counts a, b;
    bson_t doc = BSON_INITIALIZER, empty = BSON_INITIALIZER;
    cr_assert(kt_counts_init(&a, 1) == KT_OK && kt_counts_init(&b, 2) == KT_OK);
    cr_assert(kt_counts_save(&a, &doc));
    cr_assert_not(kt_counts_load(&b, &doc));
    cr_assert_not(kt_counts_load(&b, &empty));
    bson_destroy(&doc);
    bson_destroy(&empty);
    kt_counts_free(&a);
    kt_counts_free(&b);
}

Test(counts, clearing_forgets_all)
{
    struct kt_counts a;
    cr_assert(kt_counts_init(&a, 2) == KT_OK);
    fill(&a, 5);
    kt_counts_clear(&a);
    cr_assert_eq(a.ns.documents + a.keys.rewrapped + a.paths[1].wrong_key, 0);
    kt_counts_free(&a);
}
