/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials that the embedding program supplies, for those that come from a vault or a broker of its own.
 */
#ifndef KEYTURN_CREDENTIALS_H
#define KEYTURN_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "keyturn/span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Asked for a provider whose kmsProviders document is {} ("aws", "azure", "gcp"; those with a name have their
 * credentials there, as with drivers), when they are needed first, at 80% of their lifetime, and when the
 * service refuses them.
 *
 * true: *credentials is a BSON document with the fields that kmsProviders has for this provider
 * ({accessKeyId, secretAccessKey, sessionToken}, {accessToken}, ...), and *expires_utc_ms the UTC time in
 * milliseconds when it ends (0, as it is on entry: not known). They are copied to locked memory before
 * anything else is done; the callback's memory must stay until it is called again or the job is closed, and
 * is the callback's to wipe. false: it has none for this provider; the environment is searched as without a
 * callback.
 *
 * Called on a thread of the library's own, never twice at a time for one job. Requests wait while it runs:
 * it should take no more than a second. It must not call the library. */
typedef bool kt_credentials_fn(void *context, const char *provider, struct kt_span *credentials,
                               int64_t *expires_utc_ms);

#ifdef __cplusplus
}
#endif
#endif
