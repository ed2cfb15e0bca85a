/* SPDX-License-Identifier: Apache-2.0 */
/* A key vault on a server, as a source of key documents: read with read concern majority. */
#ifndef KT_JOBS_VAULT_MONGO_H
#define KT_JOBS_VAULT_MONGO_H

#include "io/mongo/client.h"
#include "keys/key_table.h"

struct kt_vault_mongo {
    struct kt_mongo *mongo; /* borrowed */
    const char *ns;         /* "encryption.__keyVault", borrowed */
};

/* Lives as long as the vault. */
struct kt_key_source kt_vault_mongo_source(struct kt_vault_mongo *vault);

#endif
