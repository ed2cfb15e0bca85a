/* SPDX-License-Identifier: Apache-2.0 */
/* A realistic sample to try things on: a dump, a key vault, a schema, KMS providers, a configuration file.
 * All people in it are invented; their numbers and addresses are from ranges kept for examples. */
#ifndef KT_JOBS_SAMPLE_H
#define KT_JOBS_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/span.h"
#include "keyturn/log.h"
#include "keyturn/status.h"

#define KT_SAMPLE_NS "shop.customers"

struct kt_sample_options {
    const char *to; /* a folder that does not exist yet */
    uint64_t documents, keys, seed;
    const char *backend, *cpu_disable;
    const struct kt_log *log;
};

struct kt_sample_result {
    uint64_t nbytes; /* of the documents */
};

/* Writes TO/dump/shop/customers.bson (same seed, same bytes) with its metadata, TO/keyvault.bson (DEKs and
 * their UUIDs from the system's random source, under local:old), TO/schema.json, TO/kms.json (mode 0600) and
 * TO/keyturn.json. The folder grows as TO.part and gets its name when whole.
 * KT_OK; KT_E_EXISTS (TO is there, or a TO.part that is no sample), KT_E_BUSY (another process writes
 * TO.part), KT_E_USAGE (no such parent folder), KT_E_IO, KT_E_NOMEM, KT_E_CONFIG (too little lockable
 * memory), KT_E_INTERNAL. */
KT_MUST_USE enum kt_status kt_sample_write(const struct kt_sample_options *options,
                                           struct kt_sample_result *result, struct kt_error *err);

/* One document, number i of a seed: appended to out, about 1,024 bytes. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_sample_document(uint64_t seed, uint64_t i, struct kt_buf *out);

#endif
