/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong on a server, and what that means. Source: MongoDB specifications, transactions (error
 * labels); MongoDB server, src/mongo/base/error_codes.yml. */
#ifndef KT_IO_MONGO_FAULT_H
#define KT_IO_MONGO_FAULT_H

#include <bson/bson.h>
#include <mongoc/mongoc.h>
#include <stdbool.h>

#include "keyturn/status.h"

/* Codes that are looked at. */
enum {
    KT_CODE_UNAUTHORIZED = 13,
    KT_CODE_AUTHENTICATION_FAILED = 18,
    KT_CODE_LOCK_TIMEOUT = 24,
    KT_CODE_NAMESPACE_NOT_FOUND = 26,
    KT_CODE_NAMESPACE_EXISTS = 48,
    KT_CODE_MAX_TIME_MS_EXPIRED = 50,
    KT_CODE_WRITE_CONFLICT = 112,
    KT_CODE_VALIDATION = 121,
    KT_CODE_NO_SUCH_TRANSACTION = 251,
    KT_CODE_TOO_LARGE_1 = 10334,
    KT_CODE_DUPLICATE_KEY = 11000,
    KT_CODE_TOO_LARGE_2 = 17419,
    KT_CODE_TOO_LARGE_3 = 17420,
};

/* How a command failed. Zero-initialised: it did not. */
struct kt_fault {
    int code;          /* the server's; 0 when it said nothing */
    char name[48];     /* its name: "WriteConflict" */
    bool transient;    /* label TransientTransactionError: aborted, may be done again */
    bool unknown;      /* label UnknownTransactionCommitResult: commit must be asked again */
    bool network;      /* no answer, or none that can be understood */
    bool passing;      /* that, or one that a failover gives: the same command may succeed soon */
    bool away;         /* no answer for as long as the connection string lets one wait (txn.h) */
    bool selection;    /* no server was found */
    long index;        /* statement that a write error names; -1: none */
    char message[504]; /* may quote values: only for commands that carry none */
};

/* Reads a reply and the driver's error. */
void kt_fault_read(struct kt_fault *fault, const bson_t *reply, const bson_error_t *error);

/* The same; whether the command was done, and without an error of a statement or of the write concern. ok:
 * what the driver says, for which a reply that says nothing is one of success. */
bool kt_fault_none(struct kt_fault *fault, bool ok, const bson_t *reply, const bson_error_t *error);

/* Fills err from a fault. doing: what was tried ("renewing the lease"). quiet: the server's own words, which
 * may quote values, are left out. Returns KT_E_DENIED (rights, authentication), KT_E_NET (everything else).
 */
enum kt_status kt_fault_fail(const struct kt_fault *fault, const char *server, const char *doing, bool quiet,
                             struct kt_error *err);

/* Why the server refused one document's new value, without any value: "its collection's validator refuses
 * it". */
const char *kt_fault_reason(const struct kt_fault *fault, char *out, size_t nbytes);

#endif
