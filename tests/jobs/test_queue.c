/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "jobs/queue.h"

Test(queue, first_in_first_out)
{
    struct kt_queue queue;
    struct kt_job_batch a = {0}, b = {0};
    kt_queue_init(&queue);
    kt_queue_push(&queue, &a);
    kt_queue_push(&queue, &b);
    cr_assert_eq(kt_queue_pop(&queue), &a);
    cr_assert_eq(kt_queue_pop(&queue), &b);
    kt_queue_destroy(&queue);
}

static void *pop_one(void *arg)
{
    return kt_queue_pop(arg);
}

Test(queue, a_waiting_pop_gets_a_later_push)
{
    struct kt_queue queue;
    struct kt_job_batch a = {0};
    pthread_t thread;
    void *got;
    kt_queue_init(&queue);
    cr_assert_eq(pthread_create(&thread, NULL, pop_one, &queue), 0);
    kt_queue_push(&queue, &a);
    pthread_join(thread, &got);
    cr_assert_eq(got, &a);
    kt_queue_destroy(&queue);
}

Test(queue, closing_wakes_everybody_and_drops_what_is_left)
{
    struct kt_queue queue;
    struct kt_job_batch a = {0};
    pthread_t threads[3];
    void *got = &queue;
    kt_queue_init(&queue);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, pop_one, &queue), 0);
    kt_queue_close(&queue);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &got);
        cr_assert_null(got);
    }
    kt_queue_push(&queue, &a);
    cr_assert_null(kt_queue_pop(&queue));
    kt_queue_destroy(&queue);
}
