/* SPDX-License-Identifier: Apache-2.0 */
/* Batches wait here for their next stage. A push never blocks: there is room for the whole pool. */
#ifndef KT_JOBS_QUEUE_H
#define KT_JOBS_QUEUE_H

#include <pthread.h>
#include <stdbool.h>

#include "jobs/batch.h"

struct kt_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kt_job_batch *head, *tail;
    bool closed;
};

void kt_queue_init(struct kt_queue *queue);
void kt_queue_destroy(struct kt_queue *queue);

/* After closing, pushes are dropped (the pool owns the batches) and pops return NULL at once. */
void kt_queue_push(struct kt_queue *queue, struct kt_job_batch *batch);
struct kt_job_batch *kt_queue_pop(struct kt_queue *queue); /* waits; NULL: closed */
void kt_queue_close(struct kt_queue *queue);

#endif
