/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences about keys that cannot be had. */
#include <stdio.h>
#include <stdlib.h>

#include "keys/key_text.h"
#include "keys/table_private.h"

/* Input decides how many keys are missing; past this many distinct ones the sentence is the status's own. */
#define SENTENCES_MAX 65536u

#define NAME_TEXT_NBYTES 100

struct subject {
    char key[KT_UUID_TEXT_NBYTES + NAME_TEXT_NBYTES + 16]; /* key 5a1f... ("pii"), or key "pii" */
    char provider[NAME_TEXT_NBYTES];
    const char *source;
};

static void describe(const struct kt_key_table *table, const struct kt_handle *record,
                     struct kt_span provider, struct kt_span which, struct subject *subject)
{
    char id[KT_UUID_TEXT_NBYTES], name[NAME_TEXT_NBYTES];
    kt_name_text(provider, subject->provider, sizeof subject->provider);
    subject->source = kt_providers_source(table->options.providers);
    if (record->is_name) {
        kt_name_text(kt_span_of(record->by_name.name, record->by_name.nbytes), name, sizeof name);
        snprintf(subject->key, sizeof subject->key, "key \"%s\"", name);
        return;
    }
    kt_uuid_text(record->id, id);
    kt_name_text(which, name, sizeof name);
    snprintf(subject->key, sizeof subject->key, name[0] ? "key %s (\"%s\")" : "key %s", id, name);
}

static void ambiguous(const struct kt_handle *record, const struct subject *s, char *out, size_t nbytes)
{
    if (record->is_name)
        snprintf(out, nbytes,
                 "%s is ambiguous: two keys of the key vault have this keyAltName; take it from one of them",
                 s->key);
    else
        snprintf(out, nbytes,
                 "%s is ambiguous: the key vault has two different documents with this _id; remove one",
                 s->key);
}

static void sentence(const struct kt_handle *record, enum kt_status status, const char *reason,
                     const struct subject *s, char *out, size_t nbytes)
{
    if (record->flags & KT_HANDLE_AMBIGUOUS)
        ambiguous(record, s, out, nbytes);
    else if (status == KT_E_NO_KEY)
        snprintf(out, nbytes, "the key vault has no %s; name the vault that has it, or restore the key",
                 s->key);
    else if (status == KT_E_NO_PROVIDER && reason)
        snprintf(out, nbytes, "%s needs provider \"%s\": %s", s->key, s->provider, reason);
    else if (status == KT_E_NO_PROVIDER)
        snprintf(out, nbytes, "%s lacks provider \"%s\", which %s needs (keyturn status)", s->source,
                 s->provider, s->key);
    else if (status == KT_E_UNAUTHENTIC)
        snprintf(out, nbytes,
                 "%s does not open under provider \"%s\": %s; put the master key that wrapped it into %s",
                 s->key, s->provider, reason ? reason : kt_status_text(status), s->source);
    else
        snprintf(out, nbytes, "%s does not open under provider \"%s\": %s", s->key, s->provider,
                 reason ? reason : kt_status_text(status));
}

/* KT_NONE when memory ran out even for this. */
static uint32_t store(struct kt_key_table *table, enum kt_status status, const char *text)
{
    uint32_t at;
    if (kt_chunks_add(&table->failures, &at) != KT_OK)
        return KT_NONE;
    struct kt_failure *failure = kt_chunks_at(&table->failures, at);
    failure->status = (uint8_t)status;
    char *copy = table->sentences < SENTENCES_MAX ? strdup(text) : NULL;
    failure->owned = copy != NULL;
    failure->why = copy ? copy : kt_status_text(status);
    table->sentences += failure->owned;
    return at;
}

struct kt_key_waiter *kt_table_fail(struct kt_key_table *table, uint32_t handle, enum kt_status status,
                                    struct kt_span provider, struct kt_span which, const char *reason)
{
    struct kt_handle *record = kt_handle_at(&table->handles, handle);
    struct subject subject;
    char text[480];
    describe(table, record, provider, which, &subject);
    sentence(record, status, reason, &subject, text, sizeof text);
    return kt_table_publish(table, handle, store(table, status, text), KT_KEY_FAILED);
}

enum kt_status kt_key_table_failure(const struct kt_key_table *table, uint32_t handle, const char **why)
{
    const struct kt_handle *record = kt_handle_at(&table->handles, handle);
    uint8_t state = atomic_load_explicit(&record->state, memory_order_acquire);
    if (state == KT_KEY_LINKED)
        return kt_key_table_failure(table, record->by_name.key, why);
    *why = NULL;
    if (state != KT_KEY_FAILED)
        return KT_OK;
    if (record->at == KT_NONE) {
        *why = kt_status_text(KT_E_NOMEM);
        return KT_E_NOMEM;
    }
    const struct kt_failure *failure = kt_chunks_at(&table->failures, record->at);
    *why = failure->why;
    return (enum kt_status)failure->status;
}
