/* SPDX-License-Identifier: Apache-2.0 */
/* The walk without ops. */
#ifndef KT_CSFLE_WALK_CORE_H
#define KT_CSFLE_WALK_CORE_H

#include "common/span.h"

/* Structure of a whole document. KT_OK or KT_E_FORMAT. */
KT_MUST_USE enum kt_status kt_walk_check(struct kt_span document);

#endif
