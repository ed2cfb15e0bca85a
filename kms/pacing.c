/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/pacing.h"

#include <math.h>
#include <string.h>

#define SECOND 1e9
#define MS 1000000u
#define WINDOW_FIRST 8.0
#define WINDOW_LEAST 2.0
#define WINDOW_SMALL 8.0  /* makes no queue that matters */
#define WINDOW_TRIED 24.0 /* larger ones are */
#define RATE_LEAST 20.0
#define REPLIES_TELLING 30 /* fewer say nothing about a share */
#define SHARE_TELLING 0.05
#define SHARE_HARMLESS 0.01 /* throttled replies that cost less than staying away from the quota */
#define CUT_EVERY_NS ((uint64_t)500 * MS)
#define FAULTS_AWAY 8u
#define LATENCIES_TELLING 32u
#define REST_EVERY 200 /* latencies; a rest takes three or four */
#define REST_PART 4    /* of the window */
#define SLOT_NS ((uint64_t)250 * MS)

void kt_pace_init(struct kt_pace *pace, uint32_t concurrency, double rate, uint64_t now_ns)
{
    *pace = (struct kt_pace){.window_max = concurrency, .rate = rate, .rate_max = rate, .probing = true};
    pace->window = pace->window_max < WINDOW_FIRST ? pace->window_max : WINDOW_FIRST;
    pace->credit = 1;
    pace->credit_ns = pace->begun_ns = pace->rest_ns = now_ns;
    pace->slot = now_ns / SLOT_NS;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

static void refill(struct kt_pace *pace, uint64_t now_ns)
{
    double seconds = (double)(now_ns - pace->credit_ns) / SECOND;
    pace->credit_ns = now_ns;
    if (pace->rate <= 0)
        return;
    /* What a late wake-up missed is sent together, but no more than 50 ms' worth. */
    double most_credit = most(1, pace->rate * 0.05);
    pace->credit += pace->rate * seconds;
    if (pace->credit > most_credit) {
        pace->credit = most_credit;
        return; /* something else holds it back */
    }
    /* The longer nobody complains, the faster it gains: doubled each second. */
    seconds = least(seconds, 0.1);
    pace->rate += pace->add * seconds;
    pace->add *= 1 + 0.7 * seconds;
    if (pace->rate_max > 0)
        pace->rate = least(pace->rate, pace->rate_max);
}

bool kt_pace_may_send(struct kt_pace *pace, uint64_t now_ns, uint64_t *wake_ns)
{
    *wake_ns = UINT64_MAX;
    refill(pace, now_ns);
    if (pace->in_flight >= (uint32_t)(pace->resting ? most(1, pace->window / REST_PART) : pace->window))
        return false;
    if (now_ns < pace->paused_ns) {
        *wake_ns = pace->paused_ns;
        return false;
    }
    if (pace->rate <= 0 || pace->credit >= 1)
        return true;
    *wake_ns = now_ns + (uint64_t)((1 - pace->credit) / pace->rate * SECOND) + 1;
    return false;
}

void kt_pace_sent(struct kt_pace *pace)
{
    pace->in_flight++;
    if (pace->rate > 0)
        pace->credit -= 1;
}

static void turn_slots(struct kt_pace *pace, uint64_t now_ns)
{
    uint64_t slot = now_ns / SLOT_NS;
    if (slot - pace->slot >= KT_PACE_SLOTS)
        pace->slot = slot - KT_PACE_SLOTS;
    for (uint64_t i = pace->slot + 1; i <= slot; i++)
        pace->accepted[i % KT_PACE_SLOTS] = 0;
    pace->slot = slot;
}

/* Requests a second that the service took, over the last second or as long as there have been any. */
static double accepted_rate(const struct kt_pace *pace, uint64_t now_ns)
{
    double sum = 0, span = (double)(now_ns % SLOT_NS + (KT_PACE_SLOTS - 1) * SLOT_NS) / SECOND;
    for (int i = 0; i < KT_PACE_SLOTS; i++)
        sum += pace->accepted[i];
    return sum / most(0.25, least(span, (double)(now_ns - pace->begun_ns) / SECOND));
}

/* Two standard deviations of a share that is counted in so many replies. */
static double doubt(double share, double replies)
{
    return 2 * sqrt(share * (1 - share) / replies);
}

/* Some services throttle at random, or because of others: if a lower rate has not changed the share of
 * throttled replies, that share is noise, which is not answered again until it grows. */
static bool was_of_no_use(struct kt_pace *pace, double share, double replies)
{
    bool on_trial = pace->on_trial;
    double change = share - pace->share_before;
    pace->on_trial = false;
    if (!on_trial || share < SHARE_TELLING || fabs(change) > 0.3 * pace->share_before + doubt(share, replies))
        return false;
    pace->noise = share;
    pace->rate = pace->rate_max > 0 ? pace->rate_max : pace->rate_before;
    return true;
}

static void cut(struct kt_pace *pace, uint64_t now_ns, double share)
{
    /* Just under what it takes, so that nearly all of the quota is used; below that if it was so already. */
    double rate = accepted_rate(pace, now_ns) * 0.97;
    pace->on_trial = true;
    pace->rate_before = pace->rate;
    pace->share_before = share;
    if (pace->rate > 0)
        rate = least(most(rate, pace->rate * 0.3), pace->rate * 0.97);
    pace->rate = most(rate, RATE_LEAST);
    pace->add = most(pace->rate * 0.02, 2);
    pace->credit = least(pace->credit, 1);
}

/* Looks at the replies since the last look, when they are enough to tell. */
static void review(struct kt_pace *pace, uint64_t now_ns, bool throttled)
{
    uint32_t replies = pace->taken + pace->refused;
    uint64_t since_ns = now_ns - pace->cut_ns, age_ns = now_ns - pace->begun_ns;
    bool patient = (since_ns < age_ns ? since_ns : age_ns) < 4 * CUT_EVERY_NS;
    if (since_ns < CUT_EVERY_NS || (replies < REPLIES_TELLING && patient))
        return;
    if (!pace->on_trial && !throttled)
        return;
    double share = pace->refused / (double)replies;
    pace->noise *= 0.95;
    double expected = pace->noise * 1.25 + SHARE_HARMLESS + doubt(pace->noise, replies);
    if (!was_of_no_use(pace, share, replies) && share > expected)
        cut(pace, now_ns, share);
    pace->taken = pace->refused = 0;
    pace->cut_ns = now_ns;
}

/* A mean of so many that single slow replies do not show: of the first ones, then of about a window's. */
static void note_latency(struct kt_pace *pace, double latency_ns)
{
    double span = most(LATENCIES_TELLING, pace->window);
    pace->latencies += pace->latencies < LATENCIES_TELLING;
    if (pace->latencies < LATENCIES_TELLING)
        span = pace->latencies;
    pace->latency_ns += (latency_ns - pace->latency_ns) / span;
    if (pace->latencies == LATENCIES_TELLING && (pace->floor_ns <= 0 || pace->window <= WINDOW_SMALL))
        pace->floor_ns = pace->latency_ns;
}

/* Latency that grows with the window is a queue, which only a smaller window tells from a longer path. */
static void rest(struct kt_pace *pace, uint64_t now_ns, uint64_t latency_ns)
{
    if (!pace->resting) {
        bool queues = pace->window > WINDOW_TRIED && pace->in_flight + 1 >= pace->window / 2;
        pace->resting =
            pace->floor_ns > 0 && queues && (double)(now_ns - pace->rest_ns) > REST_EVERY * pace->latency_ns;
        if (!pace->resting)
            return;
        pace->rest_ns = now_ns;
        pace->rest_sum = pace->rest_count = 0;
    }
    if (now_ns - latency_ns < pace->rest_ns)
        return;
    pace->rest_sum += (double)latency_ns;
    if (++pace->rest_count < most(LATENCIES_TELLING, 2 * pace->window / REST_PART))
        return;
    pace->floor_ns = pace->rest_sum / pace->rest_count;
    pace->rest_ns = now_ns;
    pace->resting = false;
}

static void accepted(struct kt_pace *pace, uint64_t now_ns, uint64_t latency_ns)
{
    pace->accepted[pace->slot % KT_PACE_SLOTS]++;
    rest(pace, now_ns, latency_ns);
    if (pace->resting)
        return;
    note_latency(pace, (double)latency_ns);
    if (pace->floor_ns > 0 && pace->latency_ns > 2 * pace->floor_ns + 10 * MS)
        pace->window = most(WINDOW_SMALL, pace->window - 0.2);
    /* Queues that grow at the service, or here, are no reason to send more; nor is an unused window. */
    if ((pace->floor_ns > 0 && pace->latency_ns > 1.3 * pace->floor_ns + 3 * MS) ||
        pace->in_flight + 1 < pace->window / 2)
        return;
    pace->window = least(pace->window_max, pace->window + (pace->probing ? 1 : 1 / pace->window));
}

/* Nothing but faults: the service is away, and calls that are still fresh must not storm it. */
static void hold_off(struct kt_pace *pace, uint64_t now_ns)
{
    if (++pace->faults < FAULTS_AWAY)
        return;
    uint32_t more = pace->faults - FAULTS_AWAY;
    uint64_t pause_ns = (uint64_t)20 * MS << (more < 7 ? more : 7);
    if (now_ns + pause_ns > pace->paused_ns)
        pace->paused_ns = now_ns + pause_ns;
}

void kt_pace_result(struct kt_pace *pace, uint64_t now_ns, enum kt_pace_outcome outcome, uint64_t latency_ns,
                    uint64_t retry_after_ns)
{
    pace->in_flight--;
    refill(pace, now_ns);
    turn_slots(pace, now_ns);
    if (retry_after_ns && now_ns + retry_after_ns > pace->paused_ns)
        pace->paused_ns = now_ns + retry_after_ns;
    if (outcome != KT_PACE_FAULT)
        pace->faults = 0;
    /* What was sent before the last cut says nothing about it. */
    bool counts = (double)(now_ns - pace->cut_ns) > 1.5 * (double)latency_ns;
    pace->taken += counts && outcome == KT_PACE_OK;
    pace->refused += counts && outcome == KT_PACE_THROTTLED;
    if (outcome == KT_PACE_OK) {
        accepted(pace, now_ns, latency_ns);
    } else if (outcome == KT_PACE_FAULT) {
        /* Half a place each: a window full of faults halves it, single ones hardly matter. */
        pace->probing = false;
        pace->window = most(WINDOW_LEAST, pace->window - 0.5);
        hold_off(pace, now_ns);
    }
    pace->window = least(most(pace->window, 1), pace->window_max);
    review(pace, now_ns, outcome == KT_PACE_THROTTLED);
}

uint64_t kt_pace_backoff_ns(uint32_t faults, uint64_t random)
{
    uint64_t limit = (uint64_t)50 * MS << (faults < 7 ? faults : 7);
    if (limit > (uint64_t)5000 * MS)
        limit = (uint64_t)5000 * MS;
    return MS + random % limit;
}
