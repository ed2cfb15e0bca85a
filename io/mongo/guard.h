/* SPDX-License-Identifier: Apache-2.0 */
/* The guard: a small process beside the one that works. It is forked before any key is read, learns through a
 * pipe which sessions hold transactions, and when the pipe breaks, however the worker died, it sends
 * killSessions, so that no write of an application waits for a transaction that nobody will end. */
#ifndef KT_IO_MONGO_GUARD_H
#define KT_IO_MONGO_GUARD_H

#include "io/mongo/client.h"

/* The worker's side; fd is the pipe's writing end, -1: there is no guard and nothing happens. Tell may be
 * called several times, for one deployment each. KT_OK or KT_E_IO (the guard is gone). */
KT_MUST_USE enum kt_status kt_guard_tell(int fd, const struct kt_mongo *mongo, const uint8_t *sessions,
                                         size_t count, struct kt_error *err);

/* Nothing is open any more: the guard ends without doing anything. */
void kt_guard_dismiss(int fd);

/* The guard's side: reads until the pipe ends, then does what it is there for. Returns the exit status of its
 * process: 0, or 1 when it could not reach a server within two minutes. */
int kt_guard_serve(int fd);

#endif
