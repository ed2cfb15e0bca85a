/* SPDX-License-Identifier: Apache-2.0 */
/* Four threads settle and use the same keys; built with ThreadSanitizer this shows races. Half of the keys
 * come from a strategy that answers on a fifth thread. */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/keys/fixture.h"

enum { KEYS = 2000, THREADS = 4, ROUNDS = 60, PER_ROUND = 50, QUEUE = 4096 };

static struct fixture f;
static struct kt_key_table *table;
static atomic_int failures;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct kt_wrap_batch *list[QUEUE];
    size_t head, tail;
    bool stop;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static enum kt_status enqueue(const struct kt_strategy *strategy, struct kt_engine *engine,
                              struct kt_wrap_batch *batch)
{
    (void)strategy;
    (void)engine;
    pthread_mutex_lock(&queue.lock);
    queue.list[queue.tail++ % QUEUE] = batch;
    pthread_cond_signal(&queue.more);
    pthread_mutex_unlock(&queue.lock);
    return KT_OK;
}

static const struct kt_strategy later = {.name = "later", .unwrap = enqueue};

static void *answer(void *arg)
{
    struct kt_engine *engine;
    (void)arg;
    if (kt_engine_open(&engine, NULL, NULL) != KT_OK)
        abort();
    pthread_mutex_lock(&queue.lock);
    while (!queue.stop || queue.head != queue.tail) {
        if (queue.head == queue.tail) {
            pthread_cond_wait(&queue.more, &queue.lock);
            continue;
        }
        struct kt_wrap_batch *batch = queue.list[queue.head++ % QUEUE];
        pthread_mutex_unlock(&queue.lock);
        if (kt_strategy_local.unwrap(&kt_strategy_local, engine, batch) != KT_OK)
            abort();
        pthread_mutex_lock(&queue.lock);
    }
    pthread_mutex_unlock(&queue.lock);
    kt_engine_close(engine);
    return NULL;
}

static const struct kt_strategy *choose(void *context, const struct kt_provider *provider)
{
    (void)context;
    return strcmp(provider->id, "local:later") == 0 ? &later : &kt_strategy_local;
}

struct parked {
    struct kt_key_waiter waiter;
    sem_t called;
};

static void ready(struct kt_key_waiter *waiter)
{
    sem_post(&((struct parked *)(void *)waiter)->called);
}

static void check(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        atomic_fetch_add(&failures, 1);
    }
}

static void one_round(struct fixture *mine, struct kt_dek_cache *cache, unsigned *seed)
{
    uint32_t handles[PER_ROUND], numbers[PER_ROUND];
    const struct kt_key *keys[PER_ROUND];
    struct parked parked = {.waiter.ready = ready};
    bool settled = false;
    uint32_t start = (uint32_t)rand_r(seed) % KEYS;
    sem_init(&parked.called, 0, 0);
    for (uint32_t i = 0; i < PER_ROUND; i++) {
        numbers[i] = (start + i * 3) % (KEYS + 20); /* the last 20 are in no vault */
        char name[16];
        snprintf(name, sizeof name, "n%u", numbers[i]);
        handles[i] = i % 5 ? fixture_handle(table, numbers[i]) : fixture_name(table, name);
    }
    check(kt_key_table_settle(table, mine->engine, handles, PER_ROUND, &parked.waiter, &settled, NULL) ==
              KT_OK,
          "settle failed");
    if (!settled)
        sem_wait(&parked.called);
    check(kt_dek_cache_get(cache, handles, PER_ROUND, keys) == KT_OK, "get failed");
    for (uint32_t i = 0; i < PER_ROUND; i++) {
        bool there = numbers[i] < KEYS;
        const char *why;
        check(kt_key_table_state(table, handles[i]) == (there ? KT_KEY_READY : KT_KEY_FAILED), "wrong state");
        check(there ? fixture_is_key(mine, keys[i], numbers[i]) : !keys[i], "wrong key");
        check((kt_key_table_failure(table, handles[i], &why) == KT_OK) == there, "wrong failure");
    }
    sem_destroy(&parked.called);
}

static void *work(void *arg)
{
    struct fixture mine = {0};
    struct kt_dek_cache *cache;
    unsigned seed = (unsigned)(uintptr_t)arg;
    if (kt_engine_open(&mine.engine, NULL, NULL) != KT_OK ||
        kt_dek_cache_new(&cache, table, mine.engine, 100) != KT_OK)
        abort();
    for (int i = 0; i < ROUNDS; i++)
        one_round(&mine, cache, &seed);
    kt_dek_cache_free(cache);
    kt_engine_close(mine.engine);
    return NULL;
}

int main(void)
{
    static const char *const ids[] = {"local", "local:later", NULL};
    pthread_t threads[THREADS], answerer;
    fixture_open(&f, ids);
    for (uint32_t i = 0; i < KEYS; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i);
        fixture_add(&f, i, i % 2 ? "local" : "local:later", (const char *const[]){name, NULL});
    }
    table = fixture_table(&f, &(struct kt_strategies){choose, NULL});
    if (pthread_create(&answerer, NULL, answer, NULL) != 0)
        abort();
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)) != 0)
            abort();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_lock(&queue.lock);
    queue.stop = true;
    pthread_cond_signal(&queue.more);
    pthread_mutex_unlock(&queue.lock);
    pthread_join(answerer, NULL);
    kt_key_table_free(table);
    fixture_close(&f);
    return atomic_load(&failures) ? 1 : 0;
}
