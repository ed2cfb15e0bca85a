/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of kms_client share. */
#ifndef KT_TESTS_KMS_CLIENT_H
#define KT_TESTS_KMS_CLIENT_H

#include <bson/bson.h>

#include "kms/kms.h"

/* Fields of a step: data NULL, or NULL, or `otherwise` when they are not there. */
struct kt_span client_document(const bson_iter_t *step, const char *name);
const char *client_text(const bson_iter_t *step, const char *name);
int64_t client_number(const bson_iter_t *step, const char *name, int64_t otherwise);

/* The account that the step names; without one the program ends. */
struct kt_kms_account *client_account(const bson_iter_t *step);

/* Calls are submitted one after the other, as fast as the loop takes them; wait: for the answers of all. */
void client_submit(struct kt_kms_call *call);
void client_wait(void);

void client_load(const bson_iter_t *step, bson_t *result);

#endif
