/* SPDX-License-Identifier: Apache-2.0 */
/* A service with a quota, a capacity and a latency, in virtual time. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "kms/pacing.h"

#define MS 1000000u
#define SECOND 1000000000u
#define FLIGHT_MAX 4096
#define SLOTS 8192 /* of a millisecond: no reply takes longer */

struct service {
    double quota;    /* a second; 0: none */
    double capacity; /* requests that it works off a second, in a queue; 0: all at once */
    double spread;   /* of latencies: log-normal about latency_ns, whose p99 is exp(2.33 spread) times it */
    uint32_t noise;  /* percent of replies that are throttles whatever the rate */
    uint32_t faults; /* percent */
    uint64_t latency_ns;
    double bucket; /* as token buckets of real services: a second's worth */
    uint64_t then_ns;
    double free_ns; /* when its queue is worked off */
    uint64_t accepted, throttled, faulty;
    uint32_t most_in_flight;
    uint64_t random;
};

struct flight {
    uint64_t latency_ns;
    enum kt_pace_outcome outcome;
    struct flight *next; /* that lands in the same millisecond, or is not used either */
};

static struct flight flights[FLIGHT_MAX], *spare, *landing[SLOTS];

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

static double uniform(struct service *s)
{
    return ((double)draw(s) + 1) / ((double)(1u << 31) + 1);
}

static uint64_t latency(struct service *s, uint64_t now_ns)
{
    double normal = s->spread > 0 ? sqrt(-2 * log(uniform(s))) * cos(2 * M_PI * uniform(s)) : 0;
    double queued_ns = 0;
    if (s->capacity > 0) {
        s->free_ns = fmax(s->free_ns, (double)now_ns) + SECOND / s->capacity;
        queued_ns = s->free_ns - (double)now_ns;
    }
    return (uint64_t)fmin((SLOTS - 1.0) * MS, (double)s->latency_ns * exp(s->spread * normal) + queued_ns);
}

static void take_off(struct kt_pace *pace, struct service *s, uint64_t now_ns)
{
    struct flight *flight = spare;
    spare = flight->next;
    kt_pace_sent(pace);
    flight->latency_ns = latency(s, now_ns);
    flight->outcome = ask(s, now_ns);
    /* To the millisecond above, as the clock here goes. */
    struct flight **slot = &landing[(now_ns + flight->latency_ns + MS - 1) / MS % SLOTS];
    flight->next = *slot;
    *slot = flight;
}

static uint32_t land(struct kt_pace *pace, uint64_t now_ns)
{
    uint32_t landed = 0;
    for (struct flight **slot = &landing[now_ns / MS % SLOTS], *flight; (flight = *slot); landed++) {
        *slot = flight->next;
        kt_pace_result(pace, now_ns, flight->outcome, flight->latency_ns, 0);
        flight->next = spare;
        spare = flight;
    }
    return landed;
}

/* Always has calls to make. */
static void run(struct kt_pace *pace, struct service *s, uint64_t from_ns, uint64_t to_ns)
{
    uint32_t flying = 0;
    memset(landing, 0, sizeof landing);
    spare = NULL;
    for (size_t i = 0; i < FLIGHT_MAX; i++) {
        flights[i].next = spare;
        spare = &flights[i];
    }
    for (uint64_t now_ns = from_ns; now_ns < to_ns; now_ns += MS) {
        uint64_t wake_ns;
        flying -= land(pace, now_ns);
        for (; spare && kt_pace_may_send(pace, now_ns, &wake_ns); flying++)
            take_off(pace, s, now_ns);
        if (flying > s->most_in_flight)
            s->most_in_flight = flying;
    }
    pace->in_flight -= flying;
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

Test(pacing, latencies_that_vary_do_not_hold_it_back)
{
    static const double spreads[] = {0.3, 0.5, 0.8}; /* p99 of 2, 3.2 and 6.4 times p50 */
    for (int k = 0; k < 3; k++)
        for (uint64_t seed = 1; seed <= 6; seed++) {
            struct kt_pace pace;
            struct service s = {
                .latency_ns = 24 * MS, .spread = spreads[k], .then_ns = SECOND, .random = seed * 7919};
            kt_pace_init(&pace, 512, 0, SECOND);
            run(&pace, &s, SECOND, 11 * (uint64_t)SECOND);
            cr_expect_eq(s.most_in_flight, 512);
            cr_expect_geq(s.accepted, 130000, "spread %.1f, seed %lu: %lu", spreads[k], (unsigned long)seed,
                          (unsigned long)s.accepted);
        }
}

Test(pacing, a_queue_at_the_service_does_not_grow_without_bound)
{
    static const double capacities[] = {300, 1500, 6000}, spreads[] = {0, 0.5};
    for (int c = 0; c < 3; c++)
        for (int k = 0; k < 2; k++) {
            struct kt_pace pace;
            struct service s = {.latency_ns = 24 * MS,
                                .spread = spreads[k],
                                .capacity = capacities[c],
                                .then_ns = SECOND,
                                .random = 7};
            kt_pace_init(&pace, 2048, 0, SECOND);
            run(&pace, &s, SECOND, 121 * (uint64_t)SECOND);
            s.accepted = s.most_in_flight = 0;
            run(&pace, &s, 121 * (uint64_t)SECOND, 181 * (uint64_t)SECOND);
            cr_expect_geq((double)s.accepted, 0.95 * 60 * capacities[c], "%.0f/s, spread %.1f: %lu",
                          capacities[c], spreads[k], (unsigned long)s.accepted);
            /* Where it shrinks again: twice the latency without a queue, and 10 ms. */
            double mean = 0.024 * exp(spreads[k] * spreads[k] / 2);
            cr_expect_leq(s.most_in_flight, 1.25 * capacities[c] * (2 * mean + 0.010) + 40,
                          "%.0f/s, spread %.1f: %u", capacities[c], spreads[k], s.most_in_flight);
        }
}

Test(pacing, a_path_that_becomes_longer_is_learnt)
{
    struct kt_pace pace;
    struct service s = {.latency_ns = 5 * MS, .then_ns = SECOND, .random = 7};
    kt_pace_init(&pace, 256, 0, SECOND);
    run(&pace, &s, SECOND, 6 * (uint64_t)SECOND);
    s.latency_ns = 80 * MS;
    run(&pace, &s, 6 * (uint64_t)SECOND, 46 * (uint64_t)SECOND);
    s.accepted = 0;
    run(&pace, &s, 46 * (uint64_t)SECOND, 56 * (uint64_t)SECOND);
    cr_expect_geq(s.accepted, 10 * 256 / 0.080 * 0.5, "%lu", (unsigned long)s.accepted);
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

Test(pacing, a_throttle_among_the_first_replies_is_no_quota)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct kt_pace pace;
        struct service s = {.latency_ns = 5 * MS, .noise = 20, .then_ns = SECOND, .random = seed * 7919};
        kt_pace_init(&pace, 64, 0, SECOND);
        run(&pace, &s, SECOND, 4 * (uint64_t)SECOND);
        cr_expect_geq(s.accepted, 1500, "seed %lu: %lu", (unsigned long)seed, (unsigned long)s.accepted);
    }
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
