/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share inside jobs/. One file per command gives a struct kt_command. */
#ifndef KT_JOBS_JOB_H
#define KT_JOBS_JOB_H

#include <pthread.h>

#include "common/secmem.h"
#include "csfle/schema.h"
#include "jobs/failures.h"
#include "jobs/kms_plan.h"
#include "jobs/team.h"
#include "keys/dek_cache.h"
#include "keys/key_table.h"
#include "keys/providers.h"
#include "keys/strategy.h"
#include "keyturn/job.h"

/* One namespace that the job works on. */
struct kt_namespace {
    char *name;
    const struct kt_schema *schema; /* NULL: every CSFLE value (decrypt without a schema), or a key vault */
    uint32_t *rule_keys;            /* key handle by rule; KT_NO_KEY where the key is named by a pointer */
    struct kt_counts counts;        /* writer's thread */
    struct kt_path_counts *report;  /* counts.paths with their names, for the result */
};

/* A worker's own things. */
struct kt_worker {
    struct kt_engine *engine;
    struct kt_dek_cache *cache;
    struct kt_pointers pointers; /* room for the schema with the most */
    struct kt_slice *slice;      /* jobs/crypt.c */
};

struct kt_job;

struct kt_command {
    const char *name; /* "encrypt": in reports and checkpoints */
    bool writes;      /* has an output */
    bool needs_schema;

    /* Checks and prepares what is special to the command, after source, schema and keys are open. May be
     * NULL. */
    enum kt_status (*open)(struct kt_job *job, struct kt_error *err);
    /* As in struct kt_team_work; errors go to batch->error. */
    enum kt_status (*process)(struct kt_job *job, struct kt_worker *worker, struct kt_job_batch *batch,
                              bool *parked);
    /* Writer's thread: a batch was written; the command's own figures into and out of a checkpoint; all may
     * be NULL. */
    void (*written)(struct kt_job *job, const struct kt_job_batch *batch);
    bool (*save)(struct kt_job *job, bson_t *out);
    bool (*load)(struct kt_job *job, const bson_t *doc);
    void (*result)(struct kt_job *job); /* after the run: fills its part of job->result; may be NULL */
    void (*close)(struct kt_job *job);  /* may be NULL */
};
extern const struct kt_command kt_command_encrypt, kt_command_decrypt, kt_command_verify, kt_command_rewrap;

struct kt_job {
    struct kt_job_options options;
    const struct kt_command *command;
    const struct kt_log *log;

    struct kt_secmem *secmem;
    struct kt_engine *engine; /* for what is done before the workers start */
    struct kt_providers *providers;
    struct kt_kms_strategies *kms; /* NULL: local providers only */
    struct kt_strategies strategies;
    struct kt_schema_map *schemas;
    struct kt_vault_file *vault;         /* the key vault in a file, */
    struct kt_vault_mongo *vault_server; /* or on a server (jobs/vault_mongo.h) */
    struct kt_key_table *table;
    struct kt_source *source;
    struct kt_sink *sink;

    struct kt_namespace *namespaces;
    size_t namespaces_count;
    struct kt_namespace oplog; /* stands for entries of an oplog, which are only looked at */
    struct kt_only *only;      /* NULL: all documents */
    struct kt_failures failures;
    uint64_t failed, failed_now, logged; /* writer's thread; now: by this run, without what it went on from */

    struct kt_team team;
    bool team_open;
    struct kt_worker *workers;
    int threads;
    uint64_t started_ns, opened_ns; /* opened: how long opening took; what lies between is the user's */

    struct kt_cmks key_cmks; /* of the keys that the table has handed to their providers; its lock */
    struct kt_kms_draft kms_draft;
    void *state; /* the command's own */
    /* All or nothing, and a CMK that cannot be used: keys are counted, the KMS is not asked, nothing is
     * written. */
    bool doomed;
    struct kt_live *live; /* on a server: lanes instead of the team (jobs/live.h); else NULL */
    /* How a batch that is planned is laid out; NULL: as documents (jobs/fields.c). */
    enum kt_status (*lay_out)(struct kt_job *job, struct kt_job_batch *batch);
    struct kt_job_result result;
    struct kt_ns_counts *result_namespaces;
    char **warnings;
    size_t warnings_count;
};

/* Adds a warning to the result and logs it. Losing one for lack of memory is accepted. */
void kt_job_warn(struct kt_job *job, const char *fmt, ...) KT_PRINTF(2, 3);

/* Writer's thread, or under the lock of a live job: a batch is done; adds up its figures, logs what failed.
 * KT_E_LIMIT: more have failed in this run than --max-failures allows. */
KT_MUST_USE enum kt_status kt_job_count_batch(struct kt_job *job, struct kt_job_batch *batch,
                                              struct kt_error *err);

/* After the run (job_result.c). warn_of_lists: of what --only lists and nothing met, and of lists of failures
 * that an earlier run left. fill_result: once .withheld is known; the command's and the KMS's part, too. */
void kt_job_warn_of_lists(struct kt_job *job);
void kt_job_fill_result(struct kt_job *job, enum kt_status status);

/* What the job does with an entry of a source, of its own or of a second one over the same store: NULL, it
 * passes through. */
struct kt_namespace *kt_job_entry_namespace(const struct kt_job *job, const struct kt_entry *entry);

/* The namespace of that name that the job works on, or NULL. */
struct kt_namespace *kt_job_namespace(const struct kt_job *job, struct kt_span name);

#endif
