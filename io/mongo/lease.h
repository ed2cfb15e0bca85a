/* SPDX-License-Identifier: Apache-2.0 */
/* The lease of a namespace's partition: who works on it, on which machine, with which sessions. One document
 * in the checkpoints collection; its expiry is told by the server's clock alone.
 *   {_id: {ns, is: "lease", part}, owner, command, job, host, bootId, pidNs, pid, started, sessions: [UUID
 * ...], expires} */
#ifndef KT_IO_MONGO_LEASE_H
#define KT_IO_MONGO_LEASE_H

#include "io/mongo/client.h"

#define KT_LEASE_MS 15000
#define KT_LEASE_RENEW_MS 5000
#define KT_LEASE_WAIT_MS 20000

/* This process, as another run can look it up. */
struct kt_owner {
    uint8_t id[16]; /* random: this run */
    char host[256], boot_id[64];
    uint64_t pid_ns, started; /* of the process: field 22 of /proc/PID/stat */
    int pid;
};
KT_MUST_USE enum kt_status kt_owner_self(struct kt_owner *owner, struct kt_error *err);

struct kt_lease_name {
    const char *state_db, *ns;
    int part;
    const char *command, *job; /* what it is for, for those who find it held */
};

/* Makes the lease ours, with the sessions' ids (16 bytes each, back to back) in it. One that is free, has
 * expired, or whose owner is dead on this machine is taken over: killSessions is sent for its sessions first.
 * Otherwise waits up to KT_LEASE_WAIT_MS, calling waiting() first and about each second (it may be NULL;
 * false: stop). KT_OK; KT_E_BUSY (still renewed: names the holder); KT_E_STOPPED; or as kt_mongo_fail says.
 */
typedef bool (*kt_lease_waiting_fn)(void *context, const char *holder);
KT_MUST_USE enum kt_status kt_lease_take(struct kt_mongo *mongo, const struct kt_lease_name *name,
                                         const struct kt_owner *owner, const uint8_t *sessions, size_t count,
                                         kt_lease_waiting_fn waiting, void *context, struct kt_error *err);

/* Moves the expiry. KT_E_BUSY: it is no longer ours. */
KT_MUST_USE enum kt_status kt_lease_renew(struct kt_mongo *mongo, const struct kt_lease_name *name,
                                          const struct kt_owner *owner, struct kt_error *err);

/* Removes it, if it is ours. */
KT_MUST_USE enum kt_status kt_lease_release(struct kt_mongo *mongo, const struct kt_lease_name *name,
                                            const struct kt_owner *owner, struct kt_error *err);

#endif
