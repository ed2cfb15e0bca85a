/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes that have a document's length and end as a server's reply: its documents stand in it, one behind
 * the other, and their sizes are what was counted. */
#include "io/mongo/id.h"
#include "io/mongo/reply.h"
#include "tests/fuzz/fuzz_csfle.h"

static void look_at(const bson_t *doc)
{
    struct kt_id id = {0};
    kt_must(kt_id_of_doc(&id, bson_get_data(doc), doc->len) == KT_OK);
    kt_must(kt_reply_figure(doc, "storageStats.count") <= 1000000000000000);
    kt_id_free(&id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    struct kt_reply_batch batch;
    bson_t reply, doc;
    uint32_t count = 0, total = 0;
    const uint8_t *at = data;
    if (!bson_init_static(&reply, data, nbytes))
        return 0;
    (void)kt_reply_is_ok(&reply);
    if (!kt_reply_batch_open(&batch, &reply))
        return 0;
    for (; kt_reply_batch_next(&batch, &doc); count++, total += doc.len) {
        kt_must(bson_get_data(&doc) >= at && bson_get_data(&doc) + doc.len <= data + nbytes);
        at = bson_get_data(&doc) + doc.len;
        look_at(&doc);
    }
    kt_must(count == batch.count && total == batch.nbytes);
    return 0;
}
