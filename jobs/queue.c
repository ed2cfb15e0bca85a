/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/queue.h"

void kt_queue_init(struct kt_queue *queue)
{
    *queue = (struct kt_queue){0};
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->changed, NULL);
}

void kt_queue_destroy(struct kt_queue *queue)
{
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
}

void kt_queue_push(struct kt_queue *queue, struct kt_job_batch *batch)
{
    pthread_mutex_lock(&queue->lock);
    if (!queue->closed) {
        batch->next = NULL;
        if (queue->tail)
            queue->tail->next = batch;
        else
            queue->head = batch;
        queue->tail = batch;
        pthread_cond_signal(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
}

struct kt_job_batch *kt_queue_pop(struct kt_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (!queue->head && !queue->closed)
        pthread_cond_wait(&queue->changed, &queue->lock);
    struct kt_job_batch *batch = queue->closed ? NULL : queue->head;
    if (batch) {
        queue->head = batch->next;
        if (!queue->head)
            queue->tail = NULL;
    }
    pthread_mutex_unlock(&queue->lock);
    return batch;
}

void kt_queue_close(struct kt_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}
