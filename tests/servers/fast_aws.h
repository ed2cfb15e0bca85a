/* SPDX-License-Identifier: Apache-2.0 */
/* What fast_kms answers: Encrypt, Decrypt and ReEncrypt as AWS KMS has them, as far as a client sees. */
#ifndef KT_TESTS_SERVERS_FAST_AWS_H
#define KT_TESTS_SERVERS_FAST_AWS_H

#include <stdbool.h>
#include <stddef.h>

/* The text of a JSON string member (end is "\""), or a header's value. False: not there, or too long. */
bool aws_between(const char *text, const char *name, const char *end, char *out, size_t nbytes);

/* The HTTP status of the reply to a request, and its JSON. */
int aws_answer(const char *head, const char *body, char *reply, size_t nbytes);

/* The same of a request that is refused: returns the status. */
int aws_refuse(int status, const char *type, char *reply, size_t nbytes);

#endif
