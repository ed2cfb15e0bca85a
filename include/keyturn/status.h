/* SPDX-License-Identifier: Apache-2.0 */
/* Errors are values. Every function that can fail returns an enum kt_status; functions that meet the outside
 * world (files, servers, configuration) also fill a caller-owned struct kt_error with one sentence for
 * people. */
#ifndef KEYTURN_STATUS_H
#define KEYTURN_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KT_API __attribute__((visibility("default")))
#define KT_MUST_USE __attribute__((warn_unused_result))
#define KT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define KT_API
#define KT_MUST_USE
#define KT_PRINTF(fmt, args)
#endif

/* What the caller should do about an error. */
enum kt_category {
    KT_CAT_OK,
    KT_CAT_USAGE,    /* change the command, configuration or schema; nothing was touched */
    KT_CAT_DATA,     /* this input is wrong; repeating does not help */
    KT_CAT_AUTH,     /* a key, credential or right is missing or does not fit */
    KT_CAT_RETRY,    /* something outside failed; the same call may succeed later */
    KT_CAT_STOP,     /* stopped by request or by a limit; go on when wanted */
    KT_CAT_DEVICE,   /* an accelerator failed; another backend can do the work */
    KT_CAT_INTERNAL, /* a defect in keyturn, or memory ran out */
};

/*      code           category        what it means */
#define KT_STATUS_MAP(X)                                                                                     \
    X(OK, OK, "no error")                                                                                    \
    X(E_USAGE, USAGE, "wrong use: an argument or option is missing, unknown or contradictory")               \
    X(E_CONFIG, USAGE, "a configuration document is wrong")                                                  \
    X(E_SCHEMA, USAGE, "the encryption schema is wrong")                                                     \
    X(E_EXISTS, USAGE, "the target exists already")                                                          \
    X(E_BUSY, USAGE, "another process works on the same target")                                             \
    X(E_OTHER_JOB, USAGE, "the checkpoint belongs to another job")                                           \
    X(E_FORMAT, DATA, "the input breaks its format")                                                         \
    X(E_VALUE, DATA, "a value cannot be encrypted or decrypted")                                             \
    X(E_TOO_LARGE, DATA, "the result would exceed a limit of the format")                                    \
    X(E_ITEM, DATA, "at least one item of the batch failed; each item has its own status")                   \
    X(E_UNAUTHENTIC, AUTH, "the authentication tag does not match")                                          \
    X(E_NO_KEY, AUTH, "a data encryption key is missing")                                                    \
    X(E_KEY, AUTH, "a data encryption key does not open or has the wrong form")                              \
    X(E_NO_PROVIDER, AUTH, "no credentials are configured for a KMS provider")                               \
    X(E_DENIED, AUTH, "the right to do this is missing")                                                     \
    X(E_CREDENTIALS, AUTH, "a key management service does not accept the credentials, or there are none")    \
    X(E_IO, RETRY, "reading or writing failed")                                                              \
    X(E_NET, RETRY, "the network or a server failed")                                                        \
    X(E_STOPPED, STOP, "stopped by request")                                                                 \
    X(E_LIMIT, STOP, "a limit that the caller set was passed")                                               \
    X(E_DEVICE, DEVICE, "an accelerator failed")                                                             \
    X(E_NOMEM, INTERNAL, "memory ran out")                                                                   \
    X(E_INTERNAL, INTERNAL, "internal error")

enum kt_status {
#define X(code, category, text) KT_##code,
    KT_STATUS_MAP(X)
#undef X
};

/* One sentence that names the thing (namespace, _id, path, provider, option) and the way out, without a final
 * full stop; never key material or plaintext. Caller-owned; valid after a call returned other than KT_OK. */
struct kt_error {
    enum kt_status status;
    char message[512];
};

/* The code's name ("KT_E_IO"), its text and its category. Any value is legal; unknown ones read as internal.
 */
KT_API const char *kt_status_name(enum kt_status status);
KT_API const char *kt_status_text(enum kt_status status);
KT_API enum kt_category kt_status_category(enum kt_status status);

/* Fills err (NULL is legal: then only the status is returned) and returns status, so that a failing function
 * can end with `return kt_fail(err, KT_E_IO, "...")`. A message that does not fit is cut. */
KT_API enum kt_status kt_fail(struct kt_error *err, enum kt_status status, const char *fmt, ...)
    KT_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
#endif
