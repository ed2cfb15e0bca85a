/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdatomic.h>

#include "common/latch.h"

struct shared {
    struct kt_latch latch;
    atomic_int done;
};

static void *answer(void *arg)
{
    struct shared *shared = arg;
    atomic_fetch_add(&shared->done, 1);
    kt_latch_down(&shared->latch);
    return NULL;
}

Test(latch, waits_for_all_answers)
{
    struct shared shared = {KT_LATCH(8), 0};
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, answer, &shared), 0);
    kt_latch_wait(&shared.latch);
    cr_assert_eq(atomic_load(&shared.done), 8);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
}

Test(latch, an_open_one_does_not_wait)
{
    struct kt_latch latch = KT_LATCH(0);
    kt_latch_wait(&latch);
    cr_assert_eq(latch.open, 0);
}
