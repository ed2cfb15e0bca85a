/* SPDX-License-Identifier: Apache-2.0 */
/* A key vault in a file store, as a source of key documents: an index of ids and names in memory, the
 * documents read again when they are asked for. */
#ifndef KT_JOBS_VAULT_FILE_H
#define KT_JOBS_VAULT_FILE_H

#include "keys/key_table.h"

struct kt_vault_file;

/* name: a store as kt_source_open takes it, stdin excepted. ns: the key vault's namespace inside a folder or
 * an archive; a lone file is the key vault whatever its name. Reads the store once and keeps 24 bytes a
 * key and 16 a name; of a compressed store or an archive the documents too. KT_OK; KT_E_USAGE (no such file,
 * or no such namespace in it); KT_E_FORMAT; KT_E_KEY (a document that is no key document: the message names
 * offset and field); KT_E_IO; KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_vault_file_open(struct kt_vault_file **vault, const char *name, const char *ns,
                                              struct kt_error *err);
void kt_vault_file_close(struct kt_vault_file *vault);

/* Lives as long as the vault. find answers KT_E_IO when the file changed in the meantime. A key that several
 * queries name is found as often. */
struct kt_key_source kt_vault_file_source(struct kt_vault_file *vault);

#endif
