/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the audit. */
#ifndef KT_JOBS_AUDIT_H
#define KT_JOBS_AUDIT_H

#include "io/store.h"
#include "jobs/cmks.h"
#include "keys/strategy_kms.h"
#include "keyturn/audit.h"

/* One key vault while it is read. */
struct kt_audit_reading {
    struct kt_cmks cmks;
    struct kt_audit_cmk *ages; /* beside cmks.v */
    size_t ages_capacity;
    struct kt_audit_vault *shown;
    struct kt_buf where, name, hosts; /* of a server */
    uint64_t *names;                  /* hashes of keyAltNames; two equal ones are taken for the same name */
    size_t names_count, names_capacity;
    uint8_t (*ids)[16]; /* sorted once the data is looked at */
    bool *used;         /* beside ids */
    size_t ids_count, ids_capacity;
};

struct kt_audit {
    struct kt_audit_options options;
    struct kt_audit_result result;
    struct kt_secmem *secmem;
    struct kt_engine *engine;
    struct kt_providers *providers; /* NULL: none given */
    struct kt_kms_strategies *kms;
    struct kt_strategies strategies;
    struct kt_audit_vault *vaults;
    struct kt_audit_reading *readings; /* beside vaults */
    struct kt_buf asked;               /* options.cmk as it would be stored */
    char asked_name[96];
};

/* Counts every key document of a store. */
KT_MUST_USE enum kt_status kt_audit_read_vault(struct kt_audit *audit, struct kt_audit_reading *reading,
                                               const char *store, struct kt_error *err);

/* One key document, or one line of a rewrap's backup. KT_OK (also when it is broken) or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_audit_count_document(struct kt_audit *audit, struct kt_audit_reading *reading,
                                                   struct kt_span doc);

/* The same of a key vault on a server, with read concern majority, and its index. */
KT_MUST_USE enum kt_status kt_audit_read_server(struct kt_audit *audit, struct kt_audit_reading *reading,
                                                const char *uri, struct kt_error *err);

/* Calls take for every run of documents of a namespace (NULL: of each). take's errors end it. */
typedef enum kt_status (*kt_audit_take_fn)(struct kt_audit *audit, void *arg, const uint8_t *docs,
                                           size_t nbytes, struct kt_error *err);
KT_MUST_USE enum kt_status kt_audit_read_store(struct kt_audit *audit, struct kt_source *source,
                                               const char *ns, kt_audit_take_fn take, void *arg,
                                               struct kt_error *err);

/* Marks the DEKs that a value of the data uses, or that the metadata beside it names. */
KT_MUST_USE enum kt_status kt_audit_read_data(struct kt_audit *audit, struct kt_error *err);

void kt_audit_reading_free(struct kt_audit_reading *reading);

#endif
