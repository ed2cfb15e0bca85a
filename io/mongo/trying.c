/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/trying.h"

#include <time.h>

#include "common/clock.h"

#define PAUSE_MAX_NS 400000000L

struct kt_trying kt_trying_begin(const struct kt_mongo *mongo)
{
    return (struct kt_trying){.mongo = mongo, .since_ns = kt_clock_ns(), .pause_ns = PAUSE_MAX_NS / 16};
}

bool kt_try_again(struct kt_trying *trying, const struct kt_fault *fault)
{
    if (!fault->passing || kt_mongo_is_given_up(trying->mongo) ||
        kt_clock_ns() - trying->since_ns >= kt_mongo_patience_ns(trying->mongo))
        return false;
    nanosleep(&(struct timespec){.tv_nsec = trying->pause_ns}, NULL);
    if (trying->pause_ns < PAUSE_MAX_NS)
        trying->pause_ns *= 2;
    return true;
}
