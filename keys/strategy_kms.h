/* SPDX-License-Identifier: Apache-2.0 */
/* Strategies that speak to a KMS: one per configured provider, all on one event loop. */
#ifndef KT_KEYS_STRATEGY_KMS_H
#define KT_KEYS_STRATEGY_KMS_H

#include "keys/strategy.h"
#include "kms/kms.h"

struct kt_kms_strategies;

/* Makes a strategy for each provider that is not local and starts the event loop when there is one. providers
 * are borrowed. KT_OK, KT_E_NOMEM, KT_E_INTERNAL. */
KT_MUST_USE enum kt_status kt_kms_strategies_new(struct kt_kms_strategies **strategies,
                                                 const struct kt_providers *providers,
                                                 const struct kt_kms_options *options, struct kt_error *err);

/* Ends all calls (their batches are done with KT_E_STOPPED) and the loop; the strategies themselves, and the
 * reasons that they gave, stay until free. Both accept NULL. */
void kt_kms_strategies_stop(struct kt_kms_strategies *strategies);
void kt_kms_strategies_free(struct kt_kms_strategies *strategies);

/* Ends all calls that have no answer yet, with KT_E_STOPPED; later ones are made. Any thread; NULL is
 * accepted. */
void kt_kms_strategies_cancel(struct kt_kms_strategies *strategies);

/* For a job: local providers get the local strategy. */
struct kt_strategies kt_kms_strategies_all(struct kt_kms_strategies *strategies);

/* False when no provider needs a KMS. */
bool kt_kms_strategies_stats(struct kt_kms_strategies *strategies, struct kt_kms_stats *stats);

#endif
