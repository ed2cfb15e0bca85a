/* SPDX-License-Identifier: Apache-2.0 */
/* How fast one quota bucket (an AWS account and region, a vault, a project, a KMIP server) is used. Two
 * controls, both additive increase and multiplicative decrease: the number of requests in flight answers to
 * faults and rising latency, the rate to throttling. All times are a monotonic clock's nanoseconds, given by
 * the caller. Threads: one. */
#ifndef KT_KMS_PACING_H
#define KT_KMS_PACING_H

#include <stdbool.h>
#include <stdint.h>

enum kt_pace_outcome { KT_PACE_OK, KT_PACE_THROTTLED, KT_PACE_FAULT };

#define KT_PACE_SLOTS 4

struct kt_pace {
    double window, window_max; /* requests in flight */
    double rate, rate_max;     /* requests a second; 0: not limited */
    double credit;             /* requests that the rate allows now */
    double add;                /* what the rate gains per second */
    uint64_t credit_ns, paused_ns, cut_ns, begun_ns;
    double latency_ns;  /* smoothed */
    double floor_ns;    /* what a request takes when few others are in flight; 0: not known yet */
    uint32_t latencies; /* noted so far, as far as that matters */
    bool probing;       /* no fault met yet: the window doubles each round trip */
    /* Now and then only a part of the window is used, and what that takes is the new floor. */
    bool resting;
    uint64_t rest_ns; /* since when it rests, or has rested */
    double rest_sum;
    uint32_t rest_count;
    uint32_t in_flight;
    uint32_t faults; /* since the last reply that was none */
    uint64_t slot;   /* accepted requests of the last second, by quarter */
    uint32_t accepted[KT_PACE_SLOTS];
    /* since the rate was last looked at */
    uint32_t taken, refused;
    bool on_trial; /* it was cut then, and the replies since show what that was good for */
    double rate_before, share_before;
    double noise; /* share of throttled replies that lower rates do not help against */
};

/* rate 0: no ceiling. */
void kt_pace_init(struct kt_pace *pace, uint32_t concurrency, double rate, uint64_t now_ns);

/* True: one request may be sent, then call kt_pace_sent. False: not before *wake_ns, or (UINT64_MAX) a
 * result.
 */
bool kt_pace_may_send(struct kt_pace *pace, uint64_t now_ns, uint64_t *wake_ns);
void kt_pace_sent(struct kt_pace *pace);

/* retry_after_ns: what the service asked for, 0: nothing. */
void kt_pace_result(struct kt_pace *pace, uint64_t now_ns, enum kt_pace_outcome outcome, uint64_t latency_ns,
                    uint64_t retry_after_ns);

/* How long a call waits before its next attempt after `faults` spoilt ones: random below a limit that doubles
 * from 50 ms to 5 s ("full jitter"). random: 64 random bits. */
uint64_t kt_pace_backoff_ns(uint32_t faults, uint64_t random);

#endif
