/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/dispatch.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "engine/cpu/features.h"
#include "engine/selftest.h"

struct lines {
    char text[4096];
};

static void keep_line(void *context, enum kt_log_level level, const char *line)
{
    struct lines *l = context;
    size_t used = strlen(l->text);
    snprintf(l->text + used, sizeof l->text - used, "%d %s\n", level, line);
}

/* Faults that a broken kernel or miscompilation would show, on top of the real backend. */
static enum kt_status seal_wrong(void *state, const struct kt_batch *b)
{
    enum kt_status status = kt_backend_scalar.seal(state, b);
    const struct kt_msg *last = &b->msgs[b->msgs_count - 1];
    b->out[last->out + last->out_nbytes - 1] ^= 0x80;
    return status;
}

/* Only in what backends have a path of its own for: all messages of one length. */
static enum kt_status seal_wrong_alike(void *state, const struct kt_batch *b)
{
    bool alike = b->msgs_count > 1;
    for (size_t i = 1; i < b->msgs_count; i++)
        alike &= b->msgs[i].in_nbytes == b->msgs[0].in_nbytes;
    return alike ? seal_wrong(state, b) : kt_backend_scalar.seal(state, b);
}

static enum kt_status open_accepts_all(void *state, const struct kt_batch *b)
{
    enum kt_status status = kt_backend_scalar.open(state, b);
    for (size_t i = 0; i < b->msgs_count; i++)
        b->msgs[i].status = KT_OK;
    return status;
}

static void prepare_wrong(void *state, const uint8_t *deks, struct kt_key *const *keys, size_t n)
{
    kt_backend_scalar.prepare(state, deks, keys, n);
    for (size_t i = 0; i < n; i++)
        keys[i]->dec[7][3] ^= 1;
}

static enum kt_status start_fails(void *state)
{
    (void)state;
    return KT_E_DEVICE;
}

static struct kt_backend broken(int which)
{
    struct kt_backend b = kt_backend_scalar;
    b.name = "broken";
    if (which == 0)
        b.seal = seal_wrong;
    if (which == 1)
        b.open = open_accepts_all;
    if (which == 2)
        b.prepare = prepare_wrong;
    if (which == 3)
        b.start = start_fails;
    if (which == 4)
        b.seal = seal_wrong_alike;
    return b;
}

Test(dispatch, backend_that_fails_its_test_is_passed_over_and_logged)
{
    for (int which = 0; which < 5; which++) {
        struct kt_backend bad = broken(which);
        const struct kt_backend *list[] = {&bad, &kt_backend_scalar}, *chosen = NULL;
        struct lines lines = {""};
        struct kt_log log = {KT_LOG_WARN, keep_line, &lines};
        struct kt_region state = {0};
        struct kt_error err;
        cr_assert_eq(kt_dispatch_start((struct kt_backends){list, 2},
                                       &(struct kt_engine_options){.log = &log}, 0, &chosen, &state, &err),
                     KT_OK);
        cr_assert_eq(chosen, &kt_backend_scalar);
        cr_assert_not_null(strstr(lines.text, "broken is not used"), "fault %d: %s", which, lines.text);
        kt_dispatch_stop(chosen, &state);
    }
}

Test(dispatch, no_backend_passes)
{
    struct kt_backend bad = broken(0);
    const struct kt_backend *list[] = {&bad}, *chosen = NULL;
    struct kt_region state = {0};
    struct kt_error err;
    for (int named = 0; named < 2; named++)
        cr_assert_eq(kt_dispatch_start((struct kt_backends){list, 1},
                                       &(struct kt_engine_options){.backend = named ? "broken" : NULL}, 0,
                                       &chosen, &state, &err),
                     KT_E_INTERNAL);
    cr_assert_null(chosen);
    cr_assert_null(state.data);
}

Test(dispatch, unknown_names_are_refused_with_the_known_ones)
{
    struct kt_engine *engine;
    struct kt_error err;
    cr_assert_eq(kt_engine_open(&engine, &(struct kt_engine_options){.backend = "avx1024"}, &err),
                 KT_E_USAGE);
    cr_assert_not_null(strstr(err.message, "avx1024"));
    cr_assert_not_null(strstr(err.message, "scalar"));
    cr_assert_null(engine);
    cr_assert_eq(kt_engine_open(&engine, &(struct kt_engine_options){.cpu_disable = "vaes,sse9"}, &err),
                 KT_E_USAGE);
    cr_assert_not_null(strstr(err.message, "sse9"));
    cr_assert_null(engine);
}

/* Every subset of the features: the choice is the first of the table that the subset allows, it runs (its
 * known-answer test is part of opening), and a name that the subset forbids is refused with the reason. */
Test(dispatch, every_mask_subset)
{
    struct kt_backends all = kt_dispatch_all();
    for (uint32_t disabled = 0; disabled < 1u << KT_CPU_COUNT; disabled++) {
        char list[256] = "";
        size_t n = 0;
        for (size_t i = 0; i < KT_CPU_COUNT; i++)
            if (disabled >> i & 1)
                n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? "," : "", kt_cpu_name(i));
        uint32_t features = kt_cpu_capabilities() & ~disabled;
        struct kt_engine *engine;
        struct kt_error err;
        size_t expected = 0;
        while (all.list[expected]->required & ~features)
            expected++;
        cr_assert_eq(kt_engine_open(&engine, &(struct kt_engine_options){.cpu_disable = list}, &err), KT_OK);
        cr_assert_str_eq(kt_engine_backend(engine), all.list[expected]->name, "disabled: %s", list);
        kt_engine_close(engine);
        for (size_t i = 0; i < expected; i++) {
            struct kt_engine_options forced = {.backend = all.list[i]->name, .cpu_disable = list};
            cr_assert_eq(kt_engine_open(&engine, &forced, &err), KT_E_USAGE);
            cr_assert_not_null(strstr(err.message, "this CPU has no "));
        }
    }
}

Test(dispatch, list_ends_with_the_portable_backend)
{
    const char *name = NULL, *why_not = "";
    size_t n = kt_engine_backends(0, &name, &why_not);
    cr_assert_geq(n, 1);
    kt_engine_backends(n - 1, &name, &why_not);
    cr_assert_str_eq(name, "scalar");
    cr_assert_null(why_not);
}
