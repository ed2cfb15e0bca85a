/* SPDX-License-Identifier: Apache-2.0 */
/* CMKs tried against a KMS that is played here, and against one whose port is closed. */
#include "jobs/cmks.h"

#include <arpa/inet.h>
#include <bson/bson.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keys/strategy_kms.h"

/* What kt_cmks_try asks for side by side. */
#define RUN 128
#define MANY (5 * RUN)

static struct kt_secmem *secmem;
static struct kt_engine *engine;
static struct kt_providers *providers;
static struct kt_cmks cmks;
static size_t asked;

static void open_all(void)
{
    bson_t *doc = BCON_NEW("aws", "{", "accessKeyId", BCON_UTF8("a"), "secretAccessKey", BCON_UTF8("s"), "}");
    cr_assert_eq(kt_secmem_open(&secmem, NULL), KT_OK);
    cr_assert_eq(kt_engine_open(&engine, NULL, NULL), KT_OK);
    cr_assert_eq(kt_providers_new(&providers, kt_span_of(bson_get_data(doc), doc->len), (struct kt_span){0},
                                  "kms.json", secmem, engine, NULL),
                 KT_OK);
    cmks = (struct kt_cmks){.providers = providers};
    bson_destroy(doc);
    asked = 0;
}

static void close_all(void)
{
    kt_cmks_free(&cmks);
    kt_providers_free(providers);
    kt_engine_close(engine);
    kt_secmem_close(secmem);
}

TestSuite(cmks, .init = open_all, .fini = close_all);

static void add(int number, const char *endpoint)
{
    char key[40];
    uint8_t material[100] = {1};
    struct kt_cmk *cmk;
    snprintf(key, sizeof key, "key-%d", number);
    bson_t *doc = BCON_NEW("provider", "aws", "region", "us-east-1", "key", BCON_UTF8(key), "endpoint",
                           BCON_UTF8(endpoint));
    struct kt_key_doc read = {.master_key = kt_span_of(bson_get_data(doc), doc->len),
                              .key_material = kt_span_of(material, sizeof material)};
    cr_assert_eq(kt_cmks_count(&cmks, &read, &cmk), KT_OK);
    bson_destroy(doc);
}

static const char *field(struct kt_span master_key, const char *name)
{
    bson_t view;
    bson_iter_t iter;
    cr_assert(bson_init_static(&view, master_key.data, master_key.nbytes));
    cr_assert(bson_iter_init_find(&iter, &view, name));
    return bson_iter_utf8(&iter, NULL);
}

/* Endpoint "away": nobody answers. "shaky": not for key-3. "denies": everybody is refused. Others open. */
static enum kt_status answer(const struct kt_strategy *strategy, struct kt_engine *own,
                             struct kt_wrap_batch *batch)
{
    (void)strategy;
    (void)own;
    for (size_t i = 0; i < batch->count; i++) {
        struct kt_wrap_item *item = &batch->items[i];
        const char *endpoint = field(item->master_key, "endpoint");
        bool third = strcmp(field(item->master_key, "key"), "key-3") == 0;
        asked++;
        item->away = strcmp(endpoint, "away") == 0 || (third && strcmp(endpoint, "shaky") == 0);
        item->status = item->away ? KT_E_NET : strcmp(endpoint, "denies") == 0 ? KT_E_DENIED : KT_OK;
        item->reason = item->away ? "nobody answers" : item->status == KT_OK ? NULL : "denied";
    }
    batch->done(batch);
    return KT_OK;
}

static bool name(const struct kt_strategy *strategy, struct kt_span master_key, char *out, size_t nbytes)
{
    (void)strategy;
    snprintf(out, nbytes, "%s", field(master_key, "endpoint"));
    return true;
}

static const struct kt_strategy *play(void *context, const struct kt_provider *provider)
{
    static const struct kt_strategy strategy = {.name = "played", .unwrap = answer, .service = name};
    (void)context;
    (void)provider;
    return &strategy;
}

static void try_all(enum kt_status (*expected)(const struct kt_cmk *cmk))
{
    struct kt_cmks *list = &cmks;
    cr_assert_eq(kt_cmks_try(&list, 1, secmem, engine), KT_OK);
    for (size_t i = 0; i < cmks.count; i++) {
        cr_expect_eq(cmks.v[i]->tried, expected(cmks.v[i]), "%zu: %s", i, kt_status_text(cmks.v[i]->tried));
        cr_expect((cmks.v[i]->tried == KT_OK) == (cmks.v[i]->why == NULL), "%zu", i);
    }
}

static enum kt_status no_answer(const struct kt_cmk *cmk)
{
    (void)cmk;
    return KT_E_NET;
}

static enum kt_status as_played(const struct kt_cmk *cmk)
{
    const char *endpoint = field(kt_cmk_stored(cmk), "endpoint");
    bool third = strcmp(field(kt_cmk_stored(cmk), "key"), "key-3") == 0;
    if (strcmp(endpoint, "denies") == 0)
        return KT_E_DENIED;
    return strcmp(endpoint, "away") == 0 || (third && strcmp(endpoint, "shaky") == 0) ? KT_E_NET : KT_OK;
}

static void begin_play(void)
{
    static const struct kt_strategies played = {.find = play};
    cmks.strategies = &played;
}

Test(cmks, a_kms_that_is_away_is_asked_in_one_run)
{
    begin_play();
    for (int i = 0; i < MANY; i++)
        add(i, "away");
    try_all(no_answer);
    cr_expect_eq(asked, RUN);
    cr_expect_str_eq(cmks.v[MANY - 1]->why, "nobody answers");
}

Test(cmks, what_one_key_vault_has_shown_of_a_kms_is_known_of_it_in_the_others)
{
    begin_play();
    struct kt_cmks first;
    add(0, "away");
    add(1, "there");
    first = cmks;
    cmks = (struct kt_cmks){.providers = providers, .strategies = first.strategies};
    add(2, "away");
    add(3, "there");
    struct kt_cmks *lists[] = {&first, &cmks};
    cr_assert_eq(kt_cmks_try(lists, 2, secmem, engine), KT_OK);
    cr_expect_eq(asked, 3);
    cr_expect_eq(cmks.v[0]->tried, KT_E_NET);
    cr_expect_str_eq(cmks.v[0]->why, "nobody answers");
    cr_expect_eq(cmks.v[1]->tried, KT_OK);
    kt_cmks_free(&first);
}

Test(cmks, others_are_asked_all_the_same)
{
    begin_play();
    for (int i = 0; i < MANY; i++)
        add(i, i % 2 ? "away" : "there");
    try_all(as_played);
    cr_expect_leq(asked, MANY / 2 + RUN);
}

Test(cmks, one_cmk_without_an_answer_is_no_kms_without_one)
{
    begin_play();
    for (int i = 0; i < MANY; i++)
        add(i, "shaky");
    try_all(as_played);
    cr_expect_eq(asked, MANY);
}

Test(cmks, refusals_are_each_cmks_own)
{
    begin_play();
    for (int i = 0; i < MANY; i++)
        add(i, "denies");
    try_all(as_played);
    cr_expect_eq(asked, MANY);
}

/* Bound, and nobody listens. */
static int closed_port(char *endpoint, size_t nbytes)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_nbytes = sizeof at;
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &at_nbytes), 0);
    snprintf(endpoint, nbytes, "127.0.0.1:%d", ntohs(at.sin_port));
    return fd;
}

Test(cmks, a_closed_port_is_knocked_at_for_one_run)
{
    char endpoint[40];
    struct kt_kms_strategies *kms;
    struct kt_kms_options options = {.secmem = secmem, .deadline_ms = 1};
    struct kt_kms_stats stats;
    setenv("no_proxy", "*", 1);
    int fd = closed_port(endpoint, sizeof endpoint);
    cr_assert_eq(kt_kms_strategies_new(&kms, providers, &options, NULL), KT_OK);
    struct kt_strategies strategies = kt_kms_strategies_all(kms);
    cmks.strategies = &strategies;
    for (int i = 0; i < MANY; i++)
        add(i, endpoint);
    try_all(no_answer);
    cr_assert(kt_kms_strategies_stats(kms, &stats));
    cr_expect_eq(stats.calls, RUN);
    kt_kms_strategies_free(kms);
    close(fd);
}
