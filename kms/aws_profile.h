/* SPDX-License-Identifier: Apache-2.0 */
/* AWS shared config and credentials files. Source: AWS SDKs and Tools reference guide, "Shared config and
 * credentials files". */
#ifndef KT_KMS_AWS_PROFILE_H
#define KT_KMS_AWS_PROFILE_H

#include <stdbool.h>

#include "common/span.h"

/* Whether there is such a section, even an empty one. */
bool kt_ini_has(struct kt_span text, const char *section);

/* The value of a key in a section ("default", "profile prod"), without surrounding white space; false: not
 * there. Last one wins. Comments begin with # or ; at a line's start, or after white space. */
bool kt_ini_get(struct kt_span text, const char *section, const char *key, struct kt_span *value);

#endif
