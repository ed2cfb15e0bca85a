/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static bson_t *parse(const char *json)
{
    bson_t *doc = kt_json_parse(kt_span_str(json));
    cr_assert(doc, "%s", json);
    return doc;
}

void kms_fixture_open(struct kms_fixture *f, enum kt_kms kms, enum kt_kms_op op, const char *master_key)
{
    struct kt_error err;
    *f = (struct kms_fixture){0};
    cr_assert_eq(kt_secmem_open(&f->secmem, &err), KT_OK, "%s", err.message);
    f->master_key = parse(master_key);
    f->account = (struct kt_kms_account){.id = "unit", .kms = kms};
    for (int i = 0; i < 96; i++)
        f->in[i] = (uint8_t)i;
    f->call = (struct kt_kms_call){.op = op,
                                   .account = &f->account,
                                   .master_key = kt_span_of(bson_get_data(f->master_key), f->master_key->len),
                                   .in = kt_span_of(f->in, 96),
                                   .out = f->out,
                                   .out_capacity = sizeof f->out};
    cr_assert_eq(kt_cmk_parse(kms, f->call.master_key, &f->cmk, &err), KT_OK, "%s", err.message);
    kt_exchange_init(&f->x, f->secmem);
    kt_secbuf_init(&f->token.text, f->secmem);
    cr_assert(kt_token_set_aws(&f->token, "AKID", "secret", "session"));
}

void kms_fixture_source(struct kms_fixture *f, const char *master_key)
{
    f->source = parse(master_key);
    f->call.source = kt_span_of(bson_get_data(f->source), f->source->len);
}

void kms_fixture_reply(struct kms_fixture *f, long status, const char *body)
{
    kt_secbuf_reset(&f->x.reply);
    kt_secbuf_text(&f->x.reply, body);
    f->x.status = status;
    f->call.out_nbytes = 0;
    f->call.reason = KT_KMS_R_NONE;
}

void kms_fixture_close(struct kms_fixture *f)
{
    size_t all = kt_secmem_size(f->secmem);
    kt_exchange_free(&f->x);
    kt_secbuf_free(&f->token.text);
    bson_destroy(f->master_key);
    if (f->source)
        bson_destroy(f->source);
    cr_expect_eq(kt_secmem_available(f->secmem), all);
    kt_secmem_close(f->secmem);
}

bool kms_fixture_header(const struct kms_fixture *f, const char *line)
{
    const char *at = (const char *)f->x.headers.data, *end = at + f->x.headers.nbytes;
    for (; at < end; at += strlen(at) + 1)
        if (strcmp(at, line) == 0)
            return true;
    return false;
}

bool kms_fixture_body_has(const struct kms_fixture *f, const char *text)
{
    return f->x.body.nbytes && memmem(f->x.body.data, f->x.body.nbytes, text, strlen(text));
}
