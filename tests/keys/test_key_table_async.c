/* SPDX-License-Identifier: Apache-2.0 */
/* The table beside a strategy that answers later, from a thread of its own. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "keys/key_table.h"
#include "tests/keys/fixture.h"

/* Holds batches until it is told to answer some; then answers by the local strategy on an engine of its own.
 */
struct slow {
    struct kt_strategy strategy;
    struct kt_engine *engine;
    pthread_mutex_t lock;
    struct kt_wrap_batch *held[100];
    size_t held_count, held_max, items_max;
    enum kt_status answer; /* for every item, unless KT_OK */
};

static enum kt_status slow_unwrap(const struct kt_strategy *strategy, struct kt_engine *engine,
                                  struct kt_wrap_batch *batch)
{
    struct slow *slow = strategy->state;
    (void)engine;
    pthread_mutex_lock(&slow->lock);
    slow->held[slow->held_count++] = batch;
    if (slow->held_count > slow->held_max)
        slow->held_max = slow->held_count;
    if (batch->count > slow->items_max)
        slow->items_max = batch->count;
    pthread_mutex_unlock(&slow->lock);
    return KT_OK;
}

static void answer(struct slow *slow, struct kt_wrap_batch *batch)
{
    if (slow->answer == KT_OK) {
        cr_assert_eq(kt_strategy_local.unwrap(&kt_strategy_local, slow->engine, batch), KT_OK);
        return;
    }
    for (size_t i = 0; i < batch->count; i++) {
        batch->items[i].status = slow->answer;
        batch->items[i].reason = "the KMS said no";
    }
    batch->done(batch);
}

/* Answers the oldest batch from another thread; false when none is held. */
static void *answer_one(void *arg)
{
    struct slow *slow = arg;
    struct kt_wrap_batch *batch = NULL;
    pthread_mutex_lock(&slow->lock);
    if (slow->held_count) {
        batch = slow->held[0];
        memmove(slow->held, slow->held + 1, --slow->held_count * sizeof slow->held[0]);
    }
    pthread_mutex_unlock(&slow->lock);
    if (batch)
        answer(slow, batch);
    return batch;
}

static bool answered(struct slow *slow)
{
    pthread_t thread;
    void *batch;
    cr_assert_eq(pthread_create(&thread, NULL, answer_one, slow), 0);
    pthread_join(thread, &batch);
    return batch != NULL;
}

static const struct kt_strategy *slow_for_b(void *context, const struct kt_provider *provider)
{
    struct slow *slow = context;
    return strcmp(provider->id, "local:slow") == 0 ? &slow->strategy : kt_strategy_for(provider->kms);
}

struct waiting {
    struct kt_key_waiter waiter;
    int called;
};

static void ready(struct kt_key_waiter *waiter)
{
    ((struct waiting *)(void *)waiter)->called++;
}

static struct fixture f;
static struct slow slow;
static struct kt_key_table *table;

static void open_fixture(void)
{
    static const char *const ids[] = {"local", "local:slow", NULL};
    fixture_open(&f, ids);
    slow = (struct slow){.strategy = {.name = "slow", .unwrap = slow_unwrap, .state = &slow}};
    pthread_mutex_init(&slow.lock, NULL);
    cr_assert_eq(kt_engine_open(&slow.engine, NULL, NULL), KT_OK);
    table = fixture_table(&f, &(struct kt_strategies){slow_for_b, &slow});
}

static void close_fixture(void)
{
    kt_key_table_free(table);
    kt_engine_close(slow.engine);
    fixture_close(&f);
}

TestSuite(key_table_async, .init = open_fixture, .fini = close_fixture);

static bool settle(const uint32_t *handles, size_t count, struct waiting *w)
{
    struct kt_error err = {0};
    bool settled = true;
    if (w)
        *w = (struct waiting){.waiter.ready = ready};
    cr_assert_eq(kt_key_table_settle(table, f.engine, handles, count, w ? &w->waiter : NULL, &settled, &err),
                 KT_OK, "%s", err.message);
    return settled;
}

static void check(uint32_t handle, uint32_t n)
{
    struct kt_dek_cache *cache;
    const struct kt_key *key;
    cr_assert_eq(kt_dek_cache_new(&cache, table, f.engine, 1), KT_OK);
    cr_assert_eq(kt_dek_cache_get(cache, &handle, 1, &key), KT_OK);
    cr_assert(fixture_is_key(&f, key, n));
    kt_dek_cache_free(cache);
}

Test(key_table_async, a_waiter_is_called_once_when_its_last_key_has_come)
{
    struct waiting w;
    fixture_add(&f, 1, "local:slow", NULL);
    fixture_add(&f, 2, "local", NULL);
    uint32_t handles[] = {fixture_handle(table, 1), fixture_handle(table, 2)};
    cr_expect_not(settle(handles, 2, &w));
    cr_expect_eq(kt_key_table_state(table, handles[0]), KT_KEY_ASKED);
    cr_expect_eq(kt_key_table_state(table, handles[1]), KT_KEY_READY,
                 "local keys do not wait for the others");
    cr_expect_eq(w.called, 0);
    cr_assert(answered(&slow));
    cr_expect_eq(w.called, 1);
    cr_expect_eq(kt_key_table_state(table, handles[0]), KT_KEY_READY);
    cr_expect(settle(handles, 2, &w));
    cr_expect_eq(w.called, 0);
    check(handles[0], 1);
    check(handles[1], 2);
}

Test(key_table_async, all_who_wait_for_a_key_are_called)
{
    struct waiting a, b, c;
    for (uint32_t i = 0; i < 3; i++)
        fixture_add(&f, i, "local:slow", NULL);
    uint32_t one = fixture_handle(table, 0), two[] = {one, fixture_handle(table, 1)};
    uint32_t again[] = {two[1], two[1], one, one};
    cr_expect_not(settle(&one, 1, &a));
    cr_expect_not(settle(two, 2, &b));
    cr_expect_not(settle(again, 4, &c));
    cr_expect_eq(f.finds, 2, "the third had nothing new to ask");
    cr_assert(answered(&slow));
    cr_expect(a.called == 1 && b.called == 0 && c.called == 0);
    cr_assert(answered(&slow));
    cr_expect(a.called == 1 && b.called == 1 && c.called == 1);
    cr_expect_not(answered(&slow));
}

Test(key_table_async, names_wait_for_their_key)
{
    struct waiting w, v;
    fixture_add(&f, 1, "local:slow", (const char *const[]){"pii", "other", NULL});
    uint32_t name = fixture_name(table, "pii"), other = fixture_name(table, "other");
    cr_expect_not(settle(&name, 1, &w));
    cr_expect_eq(kt_key_table_state(table, name), KT_KEY_ASKED);
    cr_expect_not(settle(&other, 1, &v));
    cr_assert(answered(&slow));
    cr_expect(w.called == 1 && v.called == 1);
    cr_expect_eq(kt_key_table_state(table, name), KT_KEY_READY);
    check(name, 1);
    cr_expect_not(answered(&slow), "the key was unwrapped once");
}

Test(key_table_async, without_a_waiter_nobody_is_called)
{
    fixture_add(&f, 1, "local:slow", NULL);
    uint32_t handle = fixture_handle(table, 1);
    cr_expect_not(settle(&handle, 1, NULL));
    cr_assert(answered(&slow));
    cr_expect(settle(&handle, 1, NULL));
}

Test(key_table_async, what_the_kms_refuses_is_failed_with_its_reason)
{
    struct waiting w;
    const char *text;
    fixture_add(&f, 1, "local:slow", (const char *const[]){"pii", NULL});
    slow.answer = KT_E_DENIED;
    uint32_t handle = fixture_handle(table, 1);
    cr_expect_not(settle(&handle, 1, &w));
    cr_assert(answered(&slow));
    cr_expect_eq(w.called, 1);
    cr_expect_eq(kt_key_table_failure(table, handle, &text), KT_E_DENIED);
    cr_expect_not_null(strstr(text, "01000000-eeee-eeee-eeee-eeeeeeeeeeee (\"pii\")"), "%s", text);
    cr_expect_not_null(strstr(text, "\"local:slow\": the KMS said no"), "%s", text);
}

Test(key_table_async, more_than_fits_into_locked_memory_waits_in_line)
{
    enum { COUNT = 1000 };
    uint32_t handles[COUNT];
    struct waiting w;
    for (uint32_t i = 0; i < COUNT; i++) {
        fixture_add(&f, i, "local:slow", NULL);
        handles[i] = fixture_handle(table, i);
    }
    size_t before = kt_secmem_available(f.secmem);
    cr_expect_not(settle(handles, COUNT, &w));
    size_t batches = 0;
    while (answered(&slow))
        batches++;
    cr_expect_eq(batches, (COUNT + slow.items_max - 1) / slow.items_max);
    cr_expect_lt(slow.held_max, batches, "not all were in flight at once");
    cr_expect_eq(w.called, 1);
    cr_expect_eq(kt_secmem_available(f.secmem), before);
    for (uint32_t i = 0; i < COUNT; i += 97)
        check(handles[i], i);
}

Test(key_table_async, local_keys_in_line_behind_slow_ones_are_unwrapped_by_who_lands)
{
    enum { COUNT = 600 };
    uint32_t slow_ones[COUNT], local[100];
    struct waiting w, v;
    for (uint32_t i = 0; i < COUNT; i++) {
        fixture_add(&f, i, "local:slow", NULL);
        slow_ones[i] = fixture_handle(table, i);
    }
    for (uint32_t i = 0; i < 100; i++) {
        fixture_add(&f, COUNT + i, "local", NULL);
        local[i] = fixture_handle(table, COUNT + i);
    }
    cr_expect_not(settle(slow_ones, COUNT, &w));
    cr_expect_not(settle(local, 100, &v));
    while (answered(&slow))
        ;
    cr_expect(w.called == 1 && v.called == 1);
    check(local[99], COUNT + 99);
    check(slow_ones[COUNT - 1], COUNT - 1);
}

static enum kt_status refuse(const struct kt_strategy *strategy, struct kt_engine *engine,
                             struct kt_wrap_batch *batch)
{
    (void)strategy;
    (void)engine;
    (void)batch;
    return KT_E_NET;
}

Test(key_table_async, a_strategy_that_takes_nothing_fails_the_keys)
{
    const char *text;
    fixture_add(&f, 1, "local:slow", NULL);
    slow.strategy.unwrap = refuse;
    uint32_t handle = fixture_handle(table, 1);
    cr_expect(settle(&handle, 1, NULL));
    cr_expect_eq(kt_key_table_failure(table, handle, &text), KT_E_NET);
}

Test(key_table_async, an_ambiguous_id_stays_so_when_the_answer_comes)
{
    struct waiting w;
    const char *text;
    fixture_add(&f, 1, "local:slow", NULL);
    fixture_add(&f, 1, "local:slow", NULL);
    uint32_t handle = fixture_handle(table, 1);
    cr_expect_not(settle(&handle, 1, &w));
    cr_assert(answered(&slow));
    cr_expect_eq(w.called, 1);
    cr_expect_eq(kt_key_table_failure(table, handle, &text), KT_E_KEY);
}
