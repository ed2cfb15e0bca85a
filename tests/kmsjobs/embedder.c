/* SPDX-License-Identifier: Apache-2.0 */
/* A program that supplies credentials itself, against the library's public headers alone.
 *
 *   embedder rewrap|audit KEY_VAULT OUTPUT KMS.json MASTER_KEY LIFETIME_MS DEAD_AFTER_MS
 *
 * Each answer of its callback is a session of the fast responder that the service takes for LIFETIME_MS and
 * that says so (0: does not say when it ends, and lives a second). From DEAD_AFTER_MS on its sessions are
 * dead ones. Prints {"status", "exit", "calls", "failed", "message"}. */
#include <bson/bson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keyturn/audit.h"
#include "keyturn/job.h"

struct supplier {
    int64_t begun_ms, lifetime_ms, dead_after_ms;
    int calls;
    bson_t given;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool supply(void *context, const char *provider, struct kt_span *credentials, int64_t *expires_utc_ms)
{
    struct supplier *s = context;
    char session[40];
    int64_t now = now_ms();
    if (strcmp(provider, "aws") != 0)
        return false;
    s->calls++;
    bool dead = s->dead_after_ms && now - s->begun_ms > s->dead_after_ms;
    int64_t end = dead ? 1000 : now + (s->lifetime_ms ? s->lifetime_ms : 1000);
    snprintf(session, sizeof session, "exp-%lld", (long long)end);
    bson_reinit(&s->given);
    BSON_APPEND_UTF8(&s->given, "accessKeyId", "AKID");
    BSON_APPEND_UTF8(&s->given, "secretAccessKey", "supplied-secret");
    BSON_APPEND_UTF8(&s->given, "sessionToken", session);
    *credentials = (struct kt_span){bson_get_data(&s->given), s->given.len};
    if (s->lifetime_ms && !dead)
        *expires_utc_ms = end;
    return true;
}

static bson_t *json(const char *text)
{
    bson_error_t error;
    bson_t *doc = bson_new_from_json((const uint8_t *)text, -1, &error);
    if (!doc) {
        fprintf(stderr, "%s\n", error.message);
        exit(2);
    }
    return doc;
}

static struct kt_document part(const bson_t *doc, const char *name)
{
    bson_iter_t iter;
    uint32_t nbytes = 0;
    const uint8_t *data = NULL;
    if (bson_iter_init_find(&iter, doc, name))
        bson_iter_document(&iter, &nbytes, &data);
    return (struct kt_document){{data, nbytes}, "supplied"};
}

static void say(struct supplier *s, enum kt_status status, int exit, uint64_t failed, const char *message)
{
    printf("{\"status\": \"%s\", \"exit\": %d, \"calls\": %d, \"failed\": %llu, \"message\": \"%s\"}\n",
           kt_status_name(status), exit, s->calls, (unsigned long long)failed, message);
}

static void rewrap(char **argv, const bson_t *kms, struct supplier *s)
{
    bson_t *target = json(argv[5]);
    struct kt_job_options options = {.kind = KT_JOB_REWRAP,
                                     .key_vault = argv[2],
                                     .to = argv[3],
                                     .kms_providers = part(kms, "kmsProviders"),
                                     .tls_options = part(kms, "tlsOptions"),
                                     .credentials = supply,
                                     .credentials_context = s,
                                     .provider = "aws",
                                     .kms_rate = 400,
                                     .master_key = {{bson_get_data(target), target->len}, "target"}};
    struct kt_error err = {.status = KT_OK};
    struct kt_job *job = NULL;
    enum kt_status status = kt_job_open(&job, &options, &err);
    if (status == KT_OK)
        status = kt_job_run(job, &err);
    const struct kt_job_result *result = job ? kt_job_result(job) : NULL;
    say(s, status, result ? result->exit : 2, result ? result->keys.failed : 0, err.message);
    kt_job_close(job);
    bson_destroy(target);
}

static void audit(char **argv, const bson_t *kms, struct supplier *s)
{
    const char *vaults[] = {argv[2], NULL};
    struct kt_audit_options options = {.key_vaults = vaults,
                                       .kms_providers = part(kms, "kmsProviders"),
                                       .tls_options = part(kms, "tlsOptions"),
                                       .credentials = supply,
                                       .credentials_context = s};
    struct kt_error err = {.status = KT_OK};
    struct kt_audit *found = NULL;
    enum kt_status status = kt_audit_run(&found, &options, &err);
    const struct kt_audit_result *result = status == KT_OK ? kt_audit_result(found) : NULL;
    say(s, status, result ? result->exit : 2, result ? result->unusable : 0, err.message);
    kt_audit_free(found);
}

int main(int argc, char **argv)
{
    if (argc != 8)
        return 2;
    struct supplier s = {now_ms(), strtoll(argv[6], NULL, 10), strtoll(argv[7], NULL, 10), 0,
                         BSON_INITIALIZER};
    bson_t *kms = json(argv[4]);
    if (strcmp(argv[1], "rewrap") == 0)
        rewrap(argv, kms, &s);
    else
        audit(argv, kms, &s);
    bson_destroy(kms);
    bson_destroy(&s.given);
    return 0;
}
