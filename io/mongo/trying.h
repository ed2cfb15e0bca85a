/* SPDX-License-Identifier: Apache-2.0 */
/* A command outside of transactions is sent again after what a failover brings: all of ours may be. */
#ifndef KT_IO_MONGO_TRYING_H
#define KT_IO_MONGO_TRYING_H

#include "io/mongo/client.h"
#include "io/mongo/fault.h"

struct kt_trying {
    const struct kt_mongo *mongo;
    uint64_t since_ns;
    long pause_ns;
};

struct kt_trying kt_trying_begin(const struct kt_mongo *mongo);

/* Rests, if the fault passes and the deployment's patience is not over. */
bool kt_try_again(struct kt_trying *trying, const struct kt_fault *fault);

#endif
