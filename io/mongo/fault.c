/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/fault.h"

#include <stdio.h>
#include <string.h>

#include "io/mongo/reply.h"

static void read_write_error(struct kt_fault *fault, const bson_t *reply)
{
    bson_iter_t list, item, field;
    if (!bson_iter_init_find(&list, reply, "writeErrors") || !bson_iter_recurse(&list, &item) ||
        !bson_iter_next(&item) || !bson_iter_recurse(&item, &field))
        return;
    while (bson_iter_next(&field)) {
        if (BSON_ITER_IS_KEY(&field, "index"))
            fault->index = (long)bson_iter_as_int64(&field);
        else if (BSON_ITER_IS_KEY(&field, "code"))
            fault->code = (int)bson_iter_as_int64(&field);
        else if (BSON_ITER_IS_KEY(&field, "errmsg") && BSON_ITER_HOLDS_UTF8(&field))
            snprintf(fault->message, sizeof fault->message, "%s", bson_iter_utf8(&field, NULL));
    }
}

/* The shell's commands report a write concern's failure beside ok: 1. */
static void read_write_concern_error(struct kt_fault *fault, const bson_t *reply)
{
    bson_iter_t list, field;
    if (fault->code || !bson_iter_init_find(&list, reply, "writeConcernError") ||
        !bson_iter_recurse(&list, &field))
        return;
    while (bson_iter_next(&field)) {
        if (BSON_ITER_IS_KEY(&field, "code"))
            fault->code = (int)bson_iter_as_int64(&field);
        else if (BSON_ITER_IS_KEY(&field, "codeName") && BSON_ITER_HOLDS_UTF8(&field))
            snprintf(fault->name, sizeof fault->name, "%s", bson_iter_utf8(&field, NULL));
        else if (BSON_ITER_IS_KEY(&field, "errmsg") && BSON_ITER_HOLDS_UTF8(&field))
            snprintf(fault->message, sizeof fault->message, "%s", bson_iter_utf8(&field, NULL));
    }
}

/* What a server says while its set elects another primary, shuts down, or holds a lock for a while. Source:
 * MongoDB specifications, retryable writes. */
static bool is_passing_code(int code)
{
    static const int codes[] = {6, 7, 24, 46, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (codes[i] == code)
            return true;
    }
    return false;
}

static bool is_no_answer(const bson_error_t *error)
{
    return error->domain == MONGOC_ERROR_STREAM ||
           (error->domain == MONGOC_ERROR_PROTOCOL && error->code == MONGOC_ERROR_PROTOCOL_INVALID_REPLY);
}

void kt_fault_read(struct kt_fault *fault, const bson_t *reply, const bson_error_t *error)
{
    bson_iter_t iter;
    *fault = (struct kt_fault){.index = -1};
    if (error && error->code) {
        snprintf(fault->message, sizeof fault->message, "%s", error->message);
        fault->selection = error->domain == MONGOC_ERROR_SERVER_SELECTION;
        fault->network = fault->selection || is_no_answer(error);
        if (error->domain == MONGOC_ERROR_SERVER || error->domain == MONGOC_ERROR_WRITE_CONCERN)
            fault->code = (int)error->code;
        if (error->domain == MONGOC_ERROR_CLIENT && error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE)
            fault->code = KT_CODE_AUTHENTICATION_FAILED;
    } else if (reply && !bson_empty(reply) && !kt_reply_is_ok(reply)) {
        fault->network = true;
        snprintf(fault->message, sizeof fault->message,
                 "the reply says neither that it was done nor what is wrong");
    }
    fault->passing = fault->network || is_passing_code(fault->code);
    if (!reply)
        return;
    if (bson_iter_init_find(&iter, reply, "codeName") && BSON_ITER_HOLDS_UTF8(&iter))
        snprintf(fault->name, sizeof fault->name, "%s", bson_iter_utf8(&iter, NULL));
    if (bson_iter_init_find(&iter, reply, "code"))
        fault->code = (int)bson_iter_as_int64(&iter);
    read_write_error(fault, reply);
    read_write_concern_error(fault, reply);
    fault->passing = fault->network || is_passing_code(fault->code);
    fault->transient = mongoc_error_has_label(reply, "TransientTransactionError");
    fault->unknown = mongoc_error_has_label(reply, "UnknownTransactionCommitResult");
}

bool kt_fault_none(struct kt_fault *fault, bool ok, const bson_t *reply, const bson_error_t *error)
{
    kt_fault_read(fault, reply, ok ? NULL : error);
    return ok && !fault->code && !fault->network && fault->index < 0;
}

static enum kt_status status_of(const struct kt_fault *fault)
{
    switch (fault->code) {
    case KT_CODE_UNAUTHORIZED:
    case KT_CODE_AUTHENTICATION_FAILED:
        return KT_E_DENIED;
    default:
        return KT_E_NET;
    }
}

enum kt_status kt_fault_fail(const struct kt_fault *fault, const char *server, const char *doing, bool quiet,
                             struct kt_error *err)
{
    enum kt_status status = status_of(fault);
    if (fault->selection)
        return kt_fail(err, status, "%s: %s: no server answers: %s", server, doing, fault->message);
    if (quiet && !fault->network)
        return kt_fail(err, status, "%s: %s: the server refuses: error %d%s%s", server, doing, fault->code,
                       *fault->name ? " " : "", fault->name);
    if (fault->network)
        return kt_fail(err, status, "%s: %s: %s", server, doing, fault->message);
    return kt_fail(err, status, "%s: %s: the server refuses: error %d%s%s: %s", server, doing, fault->code,
                   *fault->name ? " " : "", fault->name, fault->message);
}

const char *kt_fault_reason(const struct kt_fault *fault, char *out, size_t nbytes)
{
    switch (fault->code) {
    case KT_CODE_VALIDATION:
        return "the collection's validator refuses the new document";
    case KT_CODE_DUPLICATE_KEY:
        return "a unique index holds the new value already";
    case KT_CODE_TOO_LARGE_1:
    case KT_CODE_TOO_LARGE_2:
    case KT_CODE_TOO_LARGE_3:
        return "it would grow over the limit of 16 MiB";
    default:
        snprintf(out, nbytes, "the server refuses the new document: error %d%s%s", fault->code,
                 *fault->name ? " " : "", fault->name);
        return out;
    }
}
