/* SPDX-License-Identifier: Apache-2.0 */
/* A type byte and any bytes as a value: its length, its check, and as a payload. */
#include "csfle/bson_type.h"
#include "csfle/payload.h"
#include "tests/fuzz/fuzz_csfle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    if (nbytes == 0)
        return 0;
    uint8_t type = data[0];
    size_t n;
    struct kt_payload payload;
    bool broken;
    struct kt_span value = kt_span_of(data + 1, nbytes - 1);
    bool fits = kt_bson_value_nbytes(type, value.data, value.nbytes, &n) == KT_OK;
    kt_must(!fits || n <= value.nbytes);
    bool whole = kt_bson_check_value(type, value) == KT_OK;
    kt_must(!whole || (fits && n == value.nbytes));
    if (whole && kt_payload_parse(type, value, &payload, &broken))
        kt_must(payload.sealed.data + payload.sealed.nbytes == data + nbytes && payload.sealed.nbytes >= 64);
    return 0;
}
