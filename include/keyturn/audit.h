/* SPDX-License-Identifier: Apache-2.0 */
/* The audit of key vaults: which CMK wraps how many DEKs, since when, whether it can be used now, and whether
 * anything still needs a given one. Reads, and opens one DEK of each CMK; writes nothing. */
#ifndef KEYTURN_AUDIT_H
#define KEYTURN_AUDIT_H

#include "keyturn/job.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As in struct kt_job_options. */
struct kt_audit_options {
    const char *const *key_vaults; /* NULL-terminated: every store in which key documents lie, backups too */
    const char *key_vault_namespace;
    struct kt_document kms_providers, tls_options; /* without: whether CMKs can be used is not looked at */
    kt_credentials_fn *credentials;
    void *credentials_context;
    struct kt_document cmk; /* a masterKey with its provider: does anything still need it? Fields that it
                             * leaves out match anything */
    int64_t older_than_ms;  /* DEKs last wrapped longer ago are findings; 0: none are */
    const char *from;       /* data: which DEKs does nothing there name? NULL: not looked at */
    const char *backend, *cpu_disable;
    uint32_t kms_concurrency;
    double kms_rate;
    const struct kt_log *log;
};

enum kt_audit_use { KT_USE_NOT_TRIED, KT_USE_YES, KT_USE_NO };

struct kt_audit_cmk {
    const char *name;             /* short, for screens */
    struct kt_span master_key;    /* the whole masterKey document, BSON */
    uint64_t deks, old;           /* old: last wrapped longer ago than older_than_ms */
    int64_t oldest_ms, newest_ms; /* updateDate, UTC */
    bool versionless;             /* Azure without keyVersion: a new version of the key locks its DEKs out */
    enum kt_audit_use use;
    const char *why; /* KT_USE_NO */
};

/* The unique index on keyAltNames; a file does not say. */
enum kt_audit_index {
    KT_INDEX_UNKNOWN,
    KT_INDEX_GOOD,
    KT_INDEX_MISSING,
    KT_INDEX_NOT_UNIQUE,
    KT_INDEX_NOT_PARTIAL
};

struct kt_audit_vault {
    const char *name;           /* of the store; a server's own name */
    const char *where;          /* " on rs0" for a server, else "" */
    const char *server, *hosts; /* "rs0", "db1:27017,db2:27017" of the connection string; NULL: a file */
    uint64_t deks, broken, unnamed, duplicate_names;
    uint64_t backups; /* of deks: old wraps in a backup that a rewrap made */
    enum kt_audit_index index;
    uint64_t asked;  /* DEKs under options.cmk */
    uint64_t unused; /* with options.from: DEKs that no value and no metadata names */
    const struct kt_audit_cmk *cmks;
    size_t cmks_count;
};

struct kt_audit_result {
    int64_t now_ms;
    const char *asked; /* options.cmk's short name; NULL */
    bool looked_at_data;
    const struct kt_audit_vault *vaults;
    size_t vaults_count;
    /* findings: CMKs with old DEKs, without version, unusable; broken key documents; names that two DEKs
     * share; key vaults on servers without the index that drivers ask for */
    uint64_t old, versionless, unusable, broken, duplicate_names, bad_indexes;
    bool has_kms; /* a provider needs a KMS */
    struct kt_kms_counts kms;
    int exit; /* 5 when there are findings, else 0 */
};

/* KT_OK; KT_E_USAGE, KT_E_CONFIG, KT_E_FORMAT, KT_E_IO, KT_E_NET, KT_E_NOMEM. The result lives until
 * kt_audit_free, which accepts NULL. */
struct kt_audit;
KT_API KT_MUST_USE enum kt_status kt_audit_run(struct kt_audit **audit,
                                               const struct kt_audit_options *options, struct kt_error *err);
KT_API const struct kt_audit_result *kt_audit_result(const struct kt_audit *audit);
KT_API void kt_audit_free(struct kt_audit *audit);

#ifdef __cplusplus
}
#endif
#endif
