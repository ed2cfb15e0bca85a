/* SPDX-License-Identifier: Apache-2.0 */
/* What the KMS targets share: a call whose reply is the fuzzer's. */
#ifndef KT_TESTS_FUZZ_KMS_H
#define KT_TESTS_FUZZ_KMS_H

#include <bson/bson.h>
#include <stdlib.h>

#include "kms/cmk.h"
#include "kms/exchange.h"
#include "kms/json.h"

struct fuzz_kms {
    struct kt_secmem *secmem;
    struct kt_kms_account account;
    struct kt_kms_call call;
    struct kt_cmk cmk;
    struct kt_exchange x;
    bson_t *master_key;
    uint8_t out[400];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

static inline void fuzz_kms_open(struct fuzz_kms *f, enum kt_kms kms, const char *master_key)
{
    if (!f->secmem && kt_secmem_open(&f->secmem, NULL) != KT_OK)
        abort();
    f->master_key = kt_json_parse(kt_span_str(master_key));
    f->account = (struct kt_kms_account){.id = "fuzz", .kms = kms};
    f->call = (struct kt_kms_call){.account = &f->account,
                                   .master_key = kt_span_of(bson_get_data(f->master_key), f->master_key->len),
                                   .out = f->out,
                                   .out_capacity = sizeof f->out};
    f->call.source = f->call.master_key;
    if (kt_cmk_parse(kms, f->call.master_key, &f->cmk, NULL) != KT_OK)
        abort();
    kt_exchange_init(&f->x, f->secmem);
}

static inline void fuzz_kms_reply(struct fuzz_kms *f, long status, const uint8_t *data, size_t nbytes)
{
    kt_secbuf_reset(&f->x.reply);
    kt_secbuf_put(&f->x.reply, data, nbytes);
    f->x.status = status;
}

static inline void fuzz_kms_close(struct fuzz_kms *f)
{
    kt_exchange_free(&f->x);
    bson_destroy(f->master_key);
}

#endif
