/* SPDX-License-Identifier: Apache-2.0 */
/* What a KMS gives: many random DEKs wrapped and unwrapped again with one CMK. */
#ifndef KT_JOBS_BENCH_KMS_H
#define KT_JOBS_BENCH_KMS_H

#include "keyturn/job.h"

#define KT_BENCH_KMS_MAX 10000

struct kt_bench_kms_options {
    /* As in struct kt_job_options. */
    struct kt_document kms_providers, tls_options;
    kt_credentials_fn *credentials;
    void *credentials_context;
    const char *provider;
    struct kt_document master_key;
    size_t deks; /* at most KT_BENCH_KMS_MAX; 0: 1,000 */
    const char *backend, *cpu_disable;
    uint32_t kms_concurrency;
    double kms_rate;
    const struct kt_log *log;
};

struct kt_bench_kms_result {
    char cmk[96]; /* short name */
    size_t deks, failed;
    char why[300]; /* failed: the first reason */
    double wrap_seconds, unwrap_seconds;
    bool has_kms;
    struct kt_kms_counts kms;
};

/* A KMIP target without keyId gets a new key on its server. DEKs that do not come back as they were count as
 * failed. KT_OK (also when DEKs failed), KT_E_USAGE, KT_E_CONFIG, KT_E_NO_PROVIDER, KT_E_NOMEM,
 * KT_E_INTERNAL; KT_E_DENIED and KT_E_NET when the target cannot be made ready. */
KT_MUST_USE enum kt_status kt_bench_kms(const struct kt_bench_kms_options *options,
                                        struct kt_bench_kms_result *result, struct kt_error *err);

#endif
