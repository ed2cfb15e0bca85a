/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints in masterKey documents: [scheme://]host[:port][/path][?query], of which drivers store
 * host[:port]. Source: libmongocrypt, mongocrypt-endpoint.c. */
#ifndef KT_CSFLE_KMS_ENDPOINT_H
#define KT_CSFLE_KMS_ENDPOINT_H

#include "common/span.h"

/* host_port: the part of text that is stored. NULL, or what is wrong with it ("has no dot in its host"). */
const char *kt_endpoint_host_port(struct kt_span text, bool needs_dot, struct kt_span *host_port);

#endif
