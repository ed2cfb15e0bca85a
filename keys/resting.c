/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/resting.h"

#include <openssl/rand.h>
#include <string.h>

enum kt_status kt_resting_init(struct kt_resting *resting, struct kt_secmem *secmem, struct kt_engine *engine)
{
    *resting = (struct kt_resting){.secmem = secmem, .sealed.item_nbytes = KT_WRAPPED_NBYTES};
    struct kt_key *key = kt_secmem_alloc(secmem, KT_KEY_NBYTES);
    uint8_t *drawn = kt_secmem_alloc(secmem, KT_DEK_NBYTES);
    enum kt_status status = KT_E_NOMEM;
    if (key && drawn) {
        status = RAND_priv_bytes(drawn, KT_DEK_NBYTES) == 1 ? KT_OK : KT_E_INTERNAL;
        kt_keys_prepare(engine, drawn, &key, 1);
    }
    kt_secmem_free(secmem, drawn);
    if (status != KT_OK) {
        kt_secmem_free(secmem, key);
        return status;
    }
    resting->key = key;
    return KT_OK;
}

void kt_resting_cleanup(struct kt_resting *resting)
{
    kt_secmem_free(resting->secmem, resting->key);
    resting->key = NULL;
    kt_chunks_free(&resting->sealed);
}

enum kt_status kt_resting_seal(const struct kt_resting *resting, struct kt_engine *engine,
                               const uint8_t *deks, size_t count, uint8_t *out)
{
    struct kt_msg msgs[KT_RESTING_RUN];
    const struct kt_key *key = resting->key;
    for (uint32_t i = 0; i < count; i++)
        msgs[i] = (struct kt_msg){.in = i * KT_DEK_NBYTES,
                                  .in_nbytes = KT_DEK_NBYTES,
                                  .out = i * KT_WRAPPED_NBYTES,
                                  .mode = KT_MODE_RANDOM};
    struct kt_batch batch = {.in = deks,
                             .in_nbytes = count * KT_DEK_NBYTES,
                             .out = out,
                             .out_nbytes = count * KT_WRAPPED_NBYTES,
                             .keys = &key,
                             .keys_count = 1,
                             .msgs = msgs,
                             .msgs_count = count};
    enum kt_status status = kt_seal(engine, &batch);
    return status == KT_OK || status == KT_E_DEVICE ? status : KT_E_INTERNAL;
}

enum kt_status kt_resting_put(struct kt_resting *resting, const uint8_t *sealed, uint32_t *at)
{
    enum kt_status status = kt_chunks_add(&resting->sealed, at);
    if (status == KT_OK)
        memcpy(kt_chunks_at(&resting->sealed, *at), sealed, KT_WRAPPED_NBYTES);
    return status;
}

enum kt_status kt_resting_open(const struct kt_resting *resting, struct kt_engine *engine, const uint32_t *at,
                               size_t count, uint8_t *deks)
{
    struct kt_msg msgs[KT_RESTING_RUN];
    uint8_t sealed[KT_RESTING_RUN * KT_WRAPPED_NBYTES];
    const struct kt_key *key = resting->key;
    for (uint32_t i = 0; i < count; i++) {
        msgs[i] = (struct kt_msg){
            .in = i * KT_WRAPPED_NBYTES, .in_nbytes = KT_WRAPPED_NBYTES, .out = i * KT_RESTING_ROOM};
        memcpy(sealed + msgs[i].in, kt_chunks_at(&resting->sealed, at[i]), KT_WRAPPED_NBYTES);
    }
    struct kt_batch batch = {.in = sealed,
                             .in_nbytes = count * KT_WRAPPED_NBYTES,
                             .out = deks,
                             .out_nbytes = count * KT_RESTING_ROOM,
                             .keys = &key,
                             .keys_count = 1,
                             .msgs = msgs,
                             .msgs_count = count};
    enum kt_status status = kt_open(engine, &batch);
    if (status != KT_OK)
        return status == KT_E_DEVICE ? status : KT_E_INTERNAL;
    for (size_t i = 0; i < count; i++) {
        if (msgs[i].out_nbytes != KT_DEK_NBYTES)
            return KT_E_INTERNAL;
        memmove(deks + i * KT_DEK_NBYTES, deks + msgs[i].out, KT_DEK_NBYTES);
    }
    return KT_OK;
}
