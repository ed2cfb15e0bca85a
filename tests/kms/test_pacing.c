/* SPDX-License-Identifier: Apache-2.0 */
/* A service with a quota and a latency, in virtual time. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "kms/pacing.h"

#define MS 1000000u
#define SECOND 1000000000u
#define FLIGHT_MAX 4096

struct service {
    double quota;    /* a second; 0: none */
    uint32_t noise;  /* percent of replies that are throttles whatever the rate */
    uint32_t faults; /* percent */
    uint64_t latency_ns;
    double bucket; /* as token buckets of real services: a second's worth */
    uint64_t then_ns;
    uint64_t accepted, throttled, faulty;
    uint32_t most_in_flight;
    uint64_t random;
};

struct flight {
    uint64_t at_ns;
    enum kt_pace_outcome outcome;
};

static uint64_t draw(struct service *s)
{
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return s->random >> 33;
}

static enum kt_pace_outcome ask(struct service *s, uint64_t now_ns)
{
    s->bucket += s->quota * (double)(now_ns - s->then_ns) / SECOND;
    s->then_ns = now_ns;
    if (s->bucket > s->quota)
        s->bucket = s->quota;
    if (draw(s) % 100 < s->faults) {
        s->faulty++;
        return KT_PACE_FAULT;
    }
    if ((s->quota > 0 && s->bucket < 1) || draw(s) % 100 < s->noise) {
        s->throttled++;
        return KT_PACE_THROTTLED;
    }
    s->bucket -= 1;
    s->accepted++;
    return KT_PACE_OK;
}

/* Always has calls to make. Replies come in order, as the latency is the same for all. */
static void run(struct kt_pace *pace, struct service *s, uint64_t from_ns, uint64_t to_ns)
{
    static struct flight flights[FLIGHT_MAX];
    size_t first = 0, last = 0;
    for (uint64_t now_ns = from_ns; now_ns < to_ns; now_ns += MS) {
        uint64_t wake_ns;
        while (first < last && flights[first % FLIGHT_MAX].at_ns <= now_ns)
            kt_pace_result(pace, now_ns, flights[first++ % FLIGHT_MAX].outcome, s->latency_ns, 0);
        while (kt_pace_may_send(pace, now_ns, &wake_ns) && last - first < FLIGHT_MAX) {
            kt_pace_sent(pace);
            flights[last++ % FLIGHT_MAX] = (struct flight){now_ns + s->latency_ns, ask(s, now_ns)};
        }
        if (last - first > s->most_in_flight)
            s->most_in_flight = (uint32_t)(last - first);
    }
    pace->in_flight -= (uint32_t)(last - first);
}

Test(pacing, uses_nearly_all_of_a_quota)
{
    static const double quotas[] = {60, 100, 1000, 5000};
    static const uint64_t latencies[] = {5 * MS, 25 * MS, 100 * MS};
    for (int q = 0; q < 4; q++)
        for (int l = 0; l < 3; l++) {
            struct kt_pace pace;
            struct service s = {.quota = quotas[q],
                                .bucket = quotas[q],
                                .latency_ns = latencies[l],
                                .then_ns = SECOND,
                                .random = 7};
            kt_pace_init(&pace, 1024, 0, SECOND);
            run(&pace, &s, SECOND, 5 * (uint64_t)SECOND);
            s.accepted = s.throttled = 0;
            run(&pace, &s, 5 * (uint64_t)SECOND, 65 * (uint64_t)SECOND);
            cr_expect_geq((double)s.accepted, 0.95 * 60 * quotas[q], "%.0f/s at %lu ms: %lu", quotas[q],
                          (unsigned long)latencies[l] / MS, (unsigned long)s.accepted);
            cr_expect_lt((double)s.throttled, (quotas[q] < 1000 ? 0.2 : 0.05) * (double)s.accepted,
                         "%.0f/s: %lu throttled of %lu", quotas[q], (unsigned long)s.throttled,
                         (unsigned long)s.accepted);
        }
}

Test(pacing, keeps_under_a_ceiling_without_being_throttled)
{
    struct kt_pace pace;
    struct service s = {.quota = 1000, .latency_ns = 25 * MS, .then_ns = SECOND, .bucket = 1000, .random = 7};
    kt_pace_init(&pace, 512, 950, SECOND);
    run(&pace, &s, SECOND, 11 * (uint64_t)SECOND);
    cr_expect_eq(s.throttled, 0);
    cr_expect_geq(s.accepted, 9300);
    cr_expect_leq(s.accepted, 9600);
}

Test(pacing, opens_up_to_the_concurrency_without_a_quota)
{
    struct kt_pace pace;
    struct service s = {.latency_ns = 25 * MS, .then_ns = SECOND, .random = 7};
    kt_pace_init(&pace, 256, 0, SECOND);
    run(&pace, &s, SECOND, 3 * (uint64_t)SECOND);
    cr_expect_eq(s.most_in_flight, 256);
    cr_expect_geq(s.accepted, 15000);
}

Test(pacing, never_passes_its_concurrency)
{
    for (uint32_t most = 1; most <= 64; most *= 4) {
        struct kt_pace pace;
        struct service s = {.latency_ns = 25 * MS, .then_ns = SECOND, .faults = 10, .random = 3};
        kt_pace_init(&pace, most, 0, SECOND);
        run(&pace, &s, SECOND, 5 * (uint64_t)SECOND);
        cr_expect_leq(s.most_in_flight, most);
        cr_expect_gt(s.accepted, 100);
    }
}

Test(pacing, noise_does_not_starve_it)
{
    struct kt_pace pace;
    struct service s = {.latency_ns = 25 * MS, .noise = 20, .faults = 8, .then_ns = SECOND, .random = 7};
    kt_pace_init(&pace, 256, 0, SECOND);
    run(&pace, &s, SECOND, 61 * (uint64_t)SECOND);
    cr_expect_geq(s.accepted, 60 * 400, "%lu", (unsigned long)s.accepted);
}

Test(pacing, follows_a_quota_that_changes)
{
    struct kt_pace pace;
    struct service s = {.quota = 2000, .latency_ns = 25 * MS, .then_ns = SECOND, .random = 7};
    kt_pace_init(&pace, 512, 0, SECOND);
    run(&pace, &s, SECOND, 21 * (uint64_t)SECOND);
    s.quota = 200;
    run(&pace, &s, 21 * (uint64_t)SECOND, 31 * (uint64_t)SECOND);
    s.accepted = s.throttled = 0;
    run(&pace, &s, 31 * (uint64_t)SECOND, 51 * (uint64_t)SECOND);
    cr_expect_geq(s.accepted, 3800);
    s.quota = 2000;
    run(&pace, &s, 51 * (uint64_t)SECOND, 111 * (uint64_t)SECOND);
    s.accepted = 0;
    run(&pace, &s, 111 * (uint64_t)SECOND, 131 * (uint64_t)SECOND);
    cr_expect_geq(s.accepted, 36000, "%lu", (unsigned long)s.accepted);
}

Test(pacing, an_outage_is_not_stormed)
{
    struct kt_pace pace;
    struct service s = {.faults = 100, .latency_ns = 1 * MS, .then_ns = SECOND, .random = 7};
    kt_pace_init(&pace, 512, 0, SECOND);
    run(&pace, &s, SECOND, 61 * (uint64_t)SECOND);
    cr_expect_lt(s.faulty, 200, "%lu requests in a minute", (unsigned long)s.faulty);
    s.faults = 0;
    run(&pace, &s, 61 * (uint64_t)SECOND, 71 * (uint64_t)SECOND);
    cr_expect_gt(s.accepted, 1000);
}

Test(pacing, waits_as_long_as_the_service_asks)
{
    struct kt_pace pace;
    uint64_t wake_ns;
    kt_pace_init(&pace, 8, 0, SECOND);
    cr_assert(kt_pace_may_send(&pace, SECOND, &wake_ns));
    kt_pace_sent(&pace);
    kt_pace_result(&pace, SECOND, KT_PACE_THROTTLED, 5 * MS, 3 * (uint64_t)SECOND);
    cr_expect_not(kt_pace_may_send(&pace, 2 * (uint64_t)SECOND, &wake_ns));
    cr_expect_eq(wake_ns, 4 * (uint64_t)SECOND);
    cr_expect(kt_pace_may_send(&pace, 4 * (uint64_t)SECOND, &wake_ns));
}

Test(pacing, backoff_doubles_up_to_a_limit)
{
    uint64_t most[12] = {0};
    for (uint32_t n = 0; n < 12; n++)
        for (uint64_t i = 0; i < 2000; i++) {
            uint64_t wait_ns = kt_pace_backoff_ns(n, i * 2654435761u * 1000003u);
            cr_assert_geq(wait_ns, MS);
            if (wait_ns > most[n])
                most[n] = wait_ns;
        }
    cr_expect_leq(most[0], 51 * MS);
    cr_expect_gt(most[1], 80 * MS);
    cr_expect_leq(most[11], 5001 * (uint64_t)MS);
    cr_expect_gt(most[11], 4000 * (uint64_t)MS);
}
