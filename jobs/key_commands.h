/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on key documents of a server, for transactions that compare before they write. */
#ifndef KT_JOBS_KEY_COMMANDS_H
#define KT_JOBS_KEY_COMMANDS_H

#include <bson/bson.h>

#include "common/span.h"

/* Appends item number n to an array of _ids. */
void kt_key_ids_append(bson_t *ids, uint32_t n, const uint8_t id[16]);

/* Fills a command that finds these keys, count of them, in the order of _id and without their names: nothing
 * compares names, and without them a chunk fits into one reply. */
void kt_key_find_fill(bson_t *command, const char *coll, const bson_t *ids, uint32_t count);

/* Appends statement number n to the list of an update command: {q: {_id}, u: {$set: {masterKey, keyMaterial,
 * updateDate}}}. update_ms NULL: the server sets the date. */
void kt_key_updates_append(bson_t *updates, uint32_t n, const uint8_t id[16], struct kt_span key_material,
                           struct kt_span master_key, const int64_t *update_ms);

#endif
