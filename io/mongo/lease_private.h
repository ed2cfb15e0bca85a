/* SPDX-License-Identifier: Apache-2.0 */
/* What the lease's parts share. */
#ifndef KT_IO_MONGO_LEASE_PRIVATE_H
#define KT_IO_MONGO_LEASE_PRIVATE_H

#include "io/mongo/lease.h"

/* When a process began, in clock ticks since the machine did; 0: there is none of that number, or only what
 * is left of one. */
uint64_t kt_process_started(int pid);

/* True only when it is certain: the same machine, started anew since, or without that process. */
bool kt_owner_is_dead(const struct kt_owner *other, const struct kt_owner *self);

#endif
