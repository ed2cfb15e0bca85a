/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: what the program's commands do, as calls. Open checks everything that can be checked before anything
 * is written; run does the work; the result says what is done and what is not.
 *
 * Exit statuses (kt_job_result.exit), the program's too: 0 done, nothing failed; 1 done, some documents or
 * keys failed, each reported; 2 refused before any write; 3 stopped by request or limit, the same call goes
 * on from there; 4 something outside failed midway, likewise; 5 verify found something. */
#ifndef KEYTURN_JOB_H
#define KEYTURN_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keyturn/credentials.h"
#include "keyturn/log.h"
#include "keyturn/span.h"
#include "keyturn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum kt_job_kind { KT_JOB_ENCRYPT, KT_JOB_DECRYPT, KT_JOB_VERIFY, KT_JOB_REWRAP };

/* A configuration document as BSON, and the name under which messages speak of it ("kms.json"). bson.data
 * NULL: not given. Borrowed until kt_job_close, but for kms_providers and tls_options: they hold secrets, are
 * copied to locked memory by kt_job_open, and may be wiped after it. */
struct kt_document {
    struct kt_span bson;
    const char *name;
};

/* Zero-initialised fields mean "not given". Strings are borrowed until kt_job_close. Names and meanings are
 * those of the program's options (docs/keyturn.1). */
struct kt_job_options {
    enum kt_job_kind kind;
    const char *from, *to; /* stores; rewrap reads key_vault and writes `to` */
    const char *key_vault, *key_vault_namespace;
    struct kt_document kms_providers, tls_options, schema_map;
    kt_credentials_fn *credentials; /* for providers whose document is {}; NULL: from the environment */
    void *credentials_context;
    const char *const *ns_include, *const *ns_exclude; /* NULL-terminated lists, or NULL */
    const char *provider;                              /* rewrap: target; NULL: each under its current CMK */
    struct kt_document master_key;
    struct kt_document
        filter; /* rewrap: only key documents that match; on files $eq, $ne, $in, $exists, $and, $or */
    struct kt_document query;    /* servers: only documents that this finds, in MongoDB's query language */
    int64_t older_than_ms;       /* rewrap: only keys whose updateDate is older than this age; 0: all */
    const char *failures, *only; /* files; failures NULL: NS-failed.ndjson in the working folder. With several
                                    partitions -I-of-N stands before .ndjson, or at the end of the name */
    int threads;                 /* 0: as many as cores */
    uint32_t kms_concurrency;    /* requests in flight; 0: as many as the KMS takes, at most 512 */
    double kms_rate;             /* requests a second per quota; 0: as many as the KMS takes */
    const char *backend, *cpu_disable;
    uint64_t max_failures; /* the job stops (3) once more have failed in this run; needs has_max_failures */
    bool has_max_failures;
    bool schema_from_server; /* the validators of --from are the schema */
    bool dry_run, forget, leave_unencryptable;
    bool all_or_nothing; /* rewrap: the output gets its name only when no key failed */
    /* On servers. */
    const char
        *backup; /* rewrap: a file that is new, or empty; NULL: rewrap-<UTC>.bson in the working folder */
    const char *checkpoint;    /* database of the job's state on the cluster that is written; NULL: keyturn */
    int partition, partitions; /* encrypt, decrypt: this worker, from 0, and how many; partitions 0: one */
    double max_docs_per_second; /* 0: as many as the server takes */
    const char *const *accept;  /* paths whose indexes may break; NULL-terminated, or NULL */
    int guard_fd;               /* writing end of the pipe to kt_guard_main's process; 0: there is none */
    const struct kt_log *log;
};

/* What verify finds at one path of the schema. encrypt and decrypt count what they sealed and opened, as
 * authentic. */
struct kt_path_counts {
    const char *path;
    uint64_t authentic, plaintext, wrong_key, wrong_algorithm, wrong_type, unauthentic, no_key;
};

struct kt_ns_counts {
    const char *ns;
    uint64_t documents, changed, values, already, left,
        failed; /* left: values that --on-unencryptable leaves */
    uint64_t nbytes_in, nbytes_out, largest_nbytes_out;
    /* On a server, in this run: transactions that somebody's write aborted, and the documents read again for
     * it. */
    uint64_t aborted, redone;
    const struct kt_path_counts *paths;
    size_t paths_count;
};

/* One line of rewrap's summary: keys from one CMK. */
struct kt_cmk_counts {
    const char *from, *to;                         /* short names for screens */
    struct kt_span from_master_key, to_master_key; /* the whole masterKey documents, BSON */
    uint64_t matched, rewrapped;
    bool needed; /* a target is this CMK too, or may be; or not all DEKs were looked at */
};

struct kt_key_counts {
    uint64_t read, matched, rewrapped, failed;
    uint64_t sampled,
        proven; /* keys whose old and new wrap were to be opened and compared; that were equal */
    const struct kt_cmk_counts *cmks;
    size_t cmks_count;
};

struct kt_kms_counts {
    uint64_t calls, retries, throttled; /* requests sent; of these repeated; replies that said "slow down" */
    double p50_ms, p99_ms;
};

/* One line of the plan: requests of one operation to one CMK. */
struct kt_kms_plan_line {
    const char *provider, *cmk; /* id; short name for screens */
    const char *operation;      /* "ReEncrypt", "unwrap", "wrap", "proof" */
    uint64_t deks, calls;
    bool at_least; /* calls is a lower bound */
};

/* What a job asks of the KMS when nothing fails. rewrap: besides the trials that have been made. The others:
 * each key once that the schema names, at the start; keys that only documents name come on top (at_least). */
struct kt_kms_plan {
    const struct kt_kms_plan_line *lines; /* those with calls, and "proof" */
    size_t lines_count;
    uint64_t deks, proofs, calls;
    double usd;                 /* at list prices; of the providers that charge by call */
    double seconds;             /* at kms_rate, or at the usual quotas; 0: nothing is known */
    double rate;                /* of the slowest quota, calls a second */
    bool quota_known, unpriced; /* quota_known: every provider's; unpriced: some calls have no list price */
    bool at_least;              /* calls is a lower bound */
};

struct kt_job_result {
    int exit;
    bool closed;         /* the job reached its end; false: the same call goes on */
    bool resumed;        /* it went on from a checkpoint */
    double seconds;      /* of this run */
    const char *backend; /* "avx512" */
    int threads;
    const struct kt_ns_counts *namespaces;
    size_t namespaces_count;
    struct kt_key_counts keys;                /* rewrap */
    bool has_kms;                             /* a provider needs a KMS */
    struct kt_kms_counts kms;                 /* then: of this run */
    const struct kt_kms_plan_line *kms_lines; /* of jobs other than rewrap: the keys that were unwrapped */
    size_t kms_lines_count;
    bool withheld; /* all_or_nothing: a key failed, or the job did not end, so nothing was written */
    const char
        *failures_file; /* where failed documents are listed; NULL: none failed. With several: the first */
    const char *backup; /* rewrap on a server: the file with what was; NULL: none was needed */
    const char *const *warnings; /* NULL-terminated */
};

/* For the progress line; totals are 0 when unknown. */
struct kt_job_progress {
    uint64_t documents, values, failed;
    uint64_t nbytes_done, nbytes_total; /* of the input as it lies; done: what is written of it */
    double seconds;
    uint64_t throttled;      /* by the KMS */
    uint32_t in_flight;      /* requests to the KMS */
    bool has_kms;            /* a provider needs one */
    uint64_t redone;         /* as in struct kt_ns_counts, of all namespaces */
    bool resting;            /* no transaction is open */
    const char *waiting_for; /* "KMS", "KMS quota", "input", "output", or NULL; static */
};

/* What a job on a server is going to do: estimates from the server's own figures and some documents that were
 * tried. */
struct kt_plan_path {
    const char *path, *pointer; /* pointer: where the key's name stands; NULL: key_id */
    uint8_t key_id[16];
    bool deterministic;
    uint64_t values;
};

struct kt_plan_ns {
    const char *ns;
    uint64_t documents, changing, values, already, failing;
    uint64_t nbytes, nbytes_after; /* of all documents */
    double seconds;                /* guessed from how fast `paced` of them were read; 0: not known */
    uint64_t paced;
    const struct kt_plan_path *paths;
    size_t paths_count;
};

struct kt_job_plan {
    const char *server, *state_db;
    const struct kt_plan_ns *namespaces;
    size_t namespaces_count;
};

struct kt_job;

/* Checks options, schema, providers, stores, keys named by the schema; locks the output; writes nothing under
 * any name but TO.part. KT_OK, or the reason why this job cannot start (exit status 2, or 4 for KT_E_IO and
 * KT_E_NET). */
KT_API KT_MUST_USE enum kt_status kt_job_open(struct kt_job **job, const struct kt_job_options *options,
                                              struct kt_error *err);

/* Runs to the end, to a stop or to a failure. KT_OK: closed, look at the result (exit 0, 1 or 5). Else err
 * says what ended it and result->exit is 2 (nothing written), 3 or 4. Once per job. */
KT_API KT_MUST_USE enum kt_status kt_job_run(struct kt_job *job, struct kt_error *err);

/* After kt_job_open. False: the job writes nothing on a server. Lives until kt_job_close. */
KT_API bool kt_job_plan(struct kt_job *job, struct kt_job_plan *plan);

/* After kt_job_open; after kt_job_run it holds what keys were met on the way, too. False: no key needs a KMS.
 * Lives until kt_job_close; its lines until kt_job_run ends. */
KT_API bool kt_job_kms_plan(const struct kt_job *job, struct kt_kms_plan *plan);

/* Asks a running job to end soon with everything so far written and a checkpoint (exit 3). Async-signal-safe;
 * any thread. */
KT_API void kt_job_stop(struct kt_job *job);

/* After kt_job_stop: ends the requests to a KMS that have no answer yet, so that nothing waits for one that
 * is away; what they were for is left to the next run. Once is not enough: answers that came may lead to
 * further requests. Any thread, not from a signal handler. */
KT_API void kt_job_stop_waiting(struct kt_job *job);

/* A job on a server rests between two transactions until it is told to go on. Returns what was asked for
 * before. Async-signal-safe; any thread. */
KT_API bool kt_job_pause(struct kt_job *job, bool pause);

/* The guard of a job on a server: to be called in a process of its own, forked before any key is read, with
 * the reading end of a pipe whose only writing end the working process holds (guard_fd). When that process
 * dies, however it does, the transactions that it had open on the server are ended at once, so that no
 * application's write waits for them. Returns the exit status of its process: 0, or 1 when no server could be
 * reached. */
KT_API int kt_guard_main(int fd);

/* Any thread, while kt_job_run runs. */
KT_API void kt_job_progress(struct kt_job *job, struct kt_job_progress *progress);

/* After kt_job_run; lives until kt_job_close. */
KT_API const struct kt_job_result *kt_job_result(const struct kt_job *job);

/* Wipes keys. NULL is accepted. */
KT_API void kt_job_close(struct kt_job *job);

#ifdef __cplusplus
}
#endif
#endif
