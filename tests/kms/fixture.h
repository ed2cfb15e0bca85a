/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_TESTS_KMS_FIXTURE_H
#define KT_TESTS_KMS_FIXTURE_H

#include <bson/bson.h>
#include <criterion/criterion.h>

#include "kms/cmk.h"
#include "kms/exchange.h"
#include "kms/json.h"
#include "kms/token.h"

/* One call with its CMK, an exchange and a token. */
struct kms_fixture {
    struct kt_secmem *secmem;
    struct kt_kms_account account;
    struct kt_kms_call call;
    struct kt_cmk cmk;
    struct kt_exchange x;
    struct kt_token token;
    bson_t *master_key, *source;
    uint8_t in[KT_KMS_OUT_MAX], out[KT_KMS_OUT_MAX];
};

void kms_fixture_open(struct kms_fixture *f, enum kt_kms kms, enum kt_kms_op op, const char *master_key);
void kms_fixture_source(struct kms_fixture *f, const char *master_key);
void kms_fixture_reply(struct kms_fixture *f, long status, const char *body);
void kms_fixture_close(struct kms_fixture *f);
/* Whether the exchange has this header line. */
bool kms_fixture_header(const struct kms_fixture *f, const char *line);
bool kms_fixture_body_has(const struct kms_fixture *f, const char *text);

#endif
