/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a number of answers that come from other threads. */
#ifndef KT_COMMON_LATCH_H
#define KT_COMMON_LATCH_H

#include <pthread.h>
#include <stddef.h>

struct kt_latch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t open;
};

#define KT_LATCH(count)                                                                                      \
    {                                                                                                        \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, count                                           \
    }

/* One answer less to come; any thread. The latch may go away once the last waiter has returned. */
void kt_latch_down(struct kt_latch *latch);

/* Returns when all have come. */
void kt_latch_wait(struct kt_latch *latch);

#endif
