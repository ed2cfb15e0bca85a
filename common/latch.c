/* SPDX-License-Identifier: Apache-2.0 */
#include "common/latch.h"

void kt_latch_down(struct kt_latch *latch)
{
    pthread_mutex_lock(&latch->lock);
    if (--latch->open == 0)
        pthread_cond_broadcast(&latch->changed);
    pthread_mutex_unlock(&latch->lock);
}

void kt_latch_wait(struct kt_latch *latch)
{
    pthread_mutex_lock(&latch->lock);
    while (latch->open)
        pthread_cond_wait(&latch->changed, &latch->lock);
    pthread_mutex_unlock(&latch->lock);
}
