/* SPDX-License-Identifier: Apache-2.0 */
/* A program outside the tree, built against the installed package: seals one value and opens it again. */
#include <keyturn/engine.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char plaintext[] = "Grüße aus dem Paket";

static enum kt_status seal_and_open(struct kt_engine *engine, const struct kt_key *key, uint8_t flip)
{
    uint8_t sealed[KT_SEALED_NBYTES(sizeof plaintext)] = {0}, opened[sizeof sealed] = {0};
    struct kt_msg msg = {.in_nbytes = sizeof plaintext, .mode = KT_MODE_RANDOM};
    struct kt_batch batch = {
        (const uint8_t *)plaintext, sizeof plaintext, sealed, sizeof sealed, &key, 1, &msg, 1};
    enum kt_status status = kt_seal(engine, &batch);
    if (status != KT_OK)
        return status;
    sealed[msg.out_nbytes - 1] ^= flip;
    msg = (struct kt_msg){.in_nbytes = msg.out_nbytes};
    batch = (struct kt_batch){sealed, sizeof sealed, opened, sizeof opened, &key, 1, &msg, 1};
    status = kt_open(engine, &batch);
    if (status != KT_OK)
        return (enum kt_status)msg.status;
    return msg.out_nbytes == sizeof plaintext && memcmp(opened, plaintext, sizeof plaintext) == 0
               ? KT_OK
               : KT_E_INTERNAL;
}

int main(void)
{
    struct kt_error error;
    struct kt_engine_options options = {.backend = "auto"};
    struct kt_engine *engine;
    if (kt_engine_open(&engine, &options, &error) != KT_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    uint8_t dek[KT_DEK_NBYTES] = {7};
    struct kt_key *key = aligned_alloc(KT_KEY_ALIGN, KT_KEY_NBYTES);
    if (!key)
        return 1;
    kt_keys_prepare(engine, dek, &key, 1);
    printf("%s %s\n", kt_status_name(seal_and_open(engine, key, 0)),
           kt_status_name(seal_and_open(engine, key, 1)));
    free(key);
    kt_engine_close(engine);
    return 0;
}
