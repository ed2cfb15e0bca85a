/* SPDX-License-Identifier: Apache-2.0 */
/* The documents that a command borrows while it runs. */
#ifndef KT_TOOLS_INPUTS_H
#define KT_TOOLS_INPUTS_H

#include "keyturn/job.h"
#include "tools/screen.h"
#include "tools/settings.h"

/* Zero-initialised is legal. */
struct kt_inputs {
    bson_t *kms_providers, *tls_options, *schema_map, *filter, *query, *master_key, *cmk;
};

/* Loads what the settings name; those that were not given stay NULL. Warns of files with secrets that others
 * can read. KT_OK, KT_E_CONFIG, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_inputs_load(struct kt_inputs *inputs, struct kt_settings *settings,
                                          struct kt_screen *screen, struct kt_error *err);

/* The library has its own copy in locked memory by then; ours must not reach a core dump. */
void kt_inputs_free_secrets(struct kt_inputs *inputs);
void kt_inputs_free(struct kt_inputs *inputs);

/* bson NULL: a document that was not given. */
struct kt_document kt_inputs_borrow(const bson_t *bson, const char *name);

#endif
