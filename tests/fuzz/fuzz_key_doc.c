/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a key document; what parses is rewritten and must parse again. */
#include "csfle/key_doc.h"
#include "tests/fuzz/fuzz_csfle.h"

static void rewrite(const struct kt_key_doc *key)
{
    struct kt_buf master = {0};
    struct kt_error err;
    if (kt_master_key_normalise(key->provider, key->master_key, &master, &err) != KT_OK) {
        kt_buf_free(&master);
        return; /* an empty name, which a stored document may have */
    }
    struct kt_span written = kt_span_of(master.data, master.nbytes);
    size_t nbytes = kt_key_doc_update_nbytes(key, written, 160), hole = 0;
    uint8_t *out = calloc(1, nbytes);
    kt_must(out && kt_key_doc_update(key, written, 160, 1, out, &hole) == nbytes);
    struct kt_key_doc again;
    kt_must(kt_key_doc_parse(kt_span_of(out, nbytes), &again, &err) == KT_OK);
    kt_must(again.key_material.data == out + hole && again.update_ms == 1 && again.kms == key->kms);
    free(out);
    kt_buf_free(&master);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    struct kt_key_doc key;
    struct kt_error err;
    char text[64];
    kt_master_key_describe(kt_span_of(data, nbytes), text, sizeof text);
    if (kt_key_doc_parse(kt_span_of(data, nbytes), &key, &err) != KT_OK)
        return 0;
    kt_master_key_describe(key.master_key, text, sizeof text);
    size_t at = 0;
    struct kt_span name;
    while (kt_key_doc_alt_name(&key, &at, &name))
        kt_must(name.data > data && name.data + name.nbytes < data + nbytes);
    rewrite(&key);
    return 0;
}
