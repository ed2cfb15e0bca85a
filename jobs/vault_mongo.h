/* SPDX-License-Identifier: Apache-2.0 */
/* A key vault on a server, as a source of key documents: read with read concern majority. */
#ifndef KT_JOBS_VAULT_MONGO_H
#define KT_JOBS_VAULT_MONGO_H

#include "io/mongo/client.h"
#include "keys/key_table.h"

struct kt_vault_mongo;

/* uri: NULL, then it lies on `other`, which is borrowed. ns ("encryption.__keyVault") is borrowed. KT_OK, or
 * as kt_mongo_open says. */
KT_MUST_USE enum kt_status kt_vault_mongo_open(struct kt_vault_mongo **vault, const char *uri,
                                               struct kt_mongo *other, const char *ns,
                                               const struct kt_log *log, struct kt_error *err);
void kt_vault_mongo_close(struct kt_vault_mongo *vault);
struct kt_mongo *kt_vault_mongo_server(const struct kt_vault_mongo *vault);

/* Lives as long as the vault. */
struct kt_key_source kt_vault_mongo_source(struct kt_vault_mongo *vault);

#endif
