/* SPDX-License-Identifier: Apache-2.0 */
/* What the event loop waits on. A source is one descriptor in the loop's epoll set. */
#ifndef KT_KMS_POLL_H
#define KT_KMS_POLL_H

#include <stdint.h>

struct kt_poll_source {
    void (*ready)(struct kt_poll_source *source, uint32_t events);
};

#endif
