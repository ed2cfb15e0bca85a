/* SPDX-License-Identifier: Apache-2.0 */
/* A load wraps N random keys (under source, when there is one, and rewraps them), unwraps them and compares.
 * With "wrapOnly": 1 it ends after the wraps. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/kms/kms_client.h"

struct load {
    struct kt_kms_call *calls;
    uint8_t *deks, *opened, *wraps[2];
    uint32_t *nbytes[2];
    size_t count, failed;
    char message[512];
};

#define WRAP_ROOM 800

/* One operation over all keys; the seconds that it took. */
static double phase(struct load *load, enum kt_kms_op op, struct kt_kms_account *who,
                    struct kt_span master_key, struct kt_span source, int from, int to)
{
    uint64_t begun = kt_clock_ns();
    for (size_t i = 0; i < load->count; i++) {
        struct kt_kms_call *call = &load->calls[i];
        bool wrap = op == KT_KMS_WRAP, unwrap = op == KT_KMS_UNWRAP;
        *call = (struct kt_kms_call){.op = op, .account = who, .master_key = master_key, .source = source};
        call->in = wrap ? kt_span_of(load->deks + 96 * i, 96)
                        : kt_span_of(load->wraps[from] + WRAP_ROOM * i, load->nbytes[from][i]);
        call->out = unwrap ? load->opened + 96 * i : load->wraps[to] + WRAP_ROOM * i;
        call->out_capacity = unwrap ? 96 : WRAP_ROOM;
        client_submit(call);
    }
    client_wait();
    double seconds = (double)(kt_clock_ns() - begun) / 1e9;
    for (size_t i = 0; i < load->count; i++) {
        struct kt_kms_call *call = &load->calls[i];
        if (op != KT_KMS_UNWRAP)
            load->nbytes[to][i] = call->out_nbytes;
        if (call->error.status != KT_OK) {
            load->failed++;
            memcpy(load->message, call->error.message, sizeof load->message);
        }
    }
    return seconds;
}

void client_load(const bson_iter_t *step, bson_t *result)
{
    struct load load = {.count = (size_t)client_number(step, "count", 100)};
    struct kt_kms_account *who = client_account(step);
    struct kt_span target = client_document(step, "masterKey"), source = client_document(step, "source");
    load.calls = calloc(load.count, sizeof *load.calls);
    load.deks = calloc(load.count, 96);
    load.opened = calloc(load.count, 96);
    for (int i = 0; i < 2; i++) {
        load.wraps[i] = calloc(load.count, WRAP_ROOM);
        load.nbytes[i] = calloc(load.count, sizeof(uint32_t));
    }
    RAND_bytes(load.deks, (int)(load.count * 96));
    int last = 0;
    struct kt_span none = {0};
    BSON_APPEND_DOUBLE(result, "wrapSeconds",
                       phase(&load, KT_KMS_WRAP, who, source.data ? source : target, none, 0, 0));
    if (source.data) {
        BSON_APPEND_DOUBLE(result, "rewrapSeconds", phase(&load, KT_KMS_REWRAP, who, target, source, 0, 1));
        last = 1;
    }
    if (!client_number(step, "wrapOnly", 0))
        BSON_APPEND_DOUBLE(result, "unwrapSeconds", phase(&load, KT_KMS_UNWRAP, who, target, none, last, 0));
    size_t equal = 0;
    for (size_t i = 0; i < load.count; i++)
        equal += CRYPTO_memcmp(load.deks + 96 * i, load.opened + 96 * i, 96) == 0;
    BSON_APPEND_INT64(result, "failed", (int64_t)load.failed);
    BSON_APPEND_INT64(result, "equal", (int64_t)equal);
    BSON_APPEND_UTF8(result, "message", load.message);
    free(load.calls);
    free(load.deks);
    free(load.opened);
    for (int i = 0; i < 2; i++) {
        free(load.wraps[i]);
        free(load.nbytes[i]);
    }
}
