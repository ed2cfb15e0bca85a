/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a KMIP message: framing, then each item as the answer to each request. */
#include "fuzz_kms.h"
#include "kms/kmip.h"
#include "kms/ttlv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static struct fuzz_kms f;
    static uint8_t kek[KT_KMIP_KEK_NBYTES];
    struct kt_span items[4];
    fuzz_kms_open(&f, KT_KMS_KMIP, "{\"provider\":\"kmip\",\"keyId\":\"1\"}");
    if (nbytes >= 8)
        kt_ttlv_message_nbytes(data);
    for (size_t count = 1; count <= 4; count += 3) {
        bool legal = kt_kmip_unframe(kt_span_of(data, nbytes), items, count);
        for (size_t i = 0; legal && i < count; i++)
            if (items[i].data)
                kt_kmip_refuses_batch(items[i]);
    }
    fuzz_kms_reply(&f, 200, data, nbytes);
    kt_kmip_parse_get(&f.call, &f.cmk, &f.x, kek);
    for (enum kt_kms_op op = KT_KMS_UNWRAP; op <= KT_KMS_WRAP; op++) {
        f.call.op = op;
        kt_kmip_parse(&f.call, &f.cmk, &f.x);
    }
    for (uint32_t step = 0; step < 2; step++) {
        f.call.loop.step = step;
        f.out[sizeof f.out - 1] = 0;
        kt_kmip_parse_new(&f.call, &f.cmk, &f.x);
    }
    fuzz_kms_close(&f);
    return 0;
}
