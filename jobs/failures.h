/* SPDX-License-Identifier: Apache-2.0 */
/* Documents that could not be done: one line of Extended JSON each, {"ns", "_id", "path", "reason"}, in a
 * file per namespace (NS-failed.ndjson) or in the one that the user named. Never a value. Each of several
 * partitions has files of its own: NS-failed-I-of-N.ndjson. */
#ifndef KT_JOBS_FAILURES_H
#define KT_JOBS_FAILURES_H

#include <bson/bson.h>

#include "jobs/batch.h"
#include "jobs/paths.h"

/* Files open while the job runs. Writer's thread. */
struct kt_failures {
    const char *named; /* --failures, or NULL */
    int part, parts;   /* of --partition; parts 0 or 1: there is one */
    struct kt_failures_file *files;
    size_t count;
    struct kt_failures_seen *seen; /* by kt_failures_check */
    size_t seen_count;
};

/* Worker's thread: marks the document as failed, counts it and appends its line to the batch. op: where
 * (index into batch->ops), or KT_NO_OP for the document as a whole. Later failures of the same document are
 * passed over. */
KT_MUST_USE enum kt_status kt_batch_fail_doc(struct kt_job_batch *batch, struct kt_doc *doc, uint32_t op,
                                             const char *fmt, ...) KT_PRINTF(4, 5);

/* The same without marking or counting: verify's findings. */
KT_MUST_USE enum kt_status kt_batch_note(struct kt_job_batch *batch, const struct kt_doc *doc, uint32_t op,
                                         const char *fmt, ...) KT_PRINTF(4, 5);

/* A document's _id for people: an ObjectId as hex, else as relaxed Extended JSON, cut to fit. */
void kt_doc_id_text(const uint8_t *arena, const struct kt_doc *doc, char *out, size_t nbytes);

/* Whether the list of this namespace's failures can and may be written: KT_E_USAGE when it cannot, or would
 * be written over one of the others (count of them), KT_E_EXISTS over a file that is no such list, KT_E_BUSY
 * over that of another running job. Keeps in mind what stands there. */
KT_MUST_USE enum kt_status kt_failures_check(struct kt_failures *failures, const char *ns,
                                             const struct kt_named_path *others, size_t count,
                                             struct kt_error *err);

/* The name, malloc'ed, of a list of this namespace that lies there and that this job has not begun; NULL:
 * there is none. */
char *kt_failures_left_over(const struct kt_failures *failures, const char *ns);

/* Appends a batch's lines to the namespace's file, which is created at the first line and locked until the
 * end. KT_OK, KT_E_IO, also when another job has listed there since kt_failures_check. */
KT_MUST_USE enum kt_status kt_failures_put(struct kt_failures *failures, const char *ns, struct kt_span lines,
                                           struct kt_error *err);

/* Makes the files durable and appends their names, lengths and checksums to a checkpoint; load cuts them back
 * to that. load: KT_E_OTHER_JOB, when a file does not begin with what was written there or --failures names
 * another; KT_E_BUSY. */
KT_MUST_USE enum kt_status kt_failures_save(struct kt_failures *failures, bson_t *out, struct kt_error *err);
KT_MUST_USE enum kt_status kt_failures_load(struct kt_failures *failures, const bson_t *doc,
                                            struct kt_error *err);

/* Makes the files and their names durable. KT_OK, KT_E_IO. */
KT_MUST_USE enum kt_status kt_failures_sync(struct kt_failures *failures, struct kt_error *err);

/* Syncs and closes; the names stay readable until kt_failures_free. first_name: NULL when nothing failed. */
KT_MUST_USE enum kt_status kt_failures_finish(struct kt_failures *failures, struct kt_error *err);
const char *kt_failures_first_name(const struct kt_failures *failures);
void kt_failures_free(struct kt_failures *failures);

#endif
