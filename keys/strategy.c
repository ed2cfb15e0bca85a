/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/strategy.h"

const struct kt_strategy *kt_strategy_for(enum kt_kms kms)
{
    return kms == KT_KMS_LOCAL ? &kt_strategy_local : NULL;
}

const struct kt_strategy *kt_strategies_find(const struct kt_strategies *strategies,
                                             const struct kt_provider *provider)
{
    return strategies->find ? strategies->find(strategies->context, provider)
                            : kt_strategy_for(provider->kms);
}
