/* SPDX-License-Identifier: Apache-2.0 */
/* What the options say by themselves, before anything is opened. */
#include <string.h>

#include "jobs/live.h"
#include "jobs/paths.h"
#include "jobs/setup.h"

static enum kt_status needs(const void *value, const char *command, const char *option, struct kt_error *err)
{
    return value ? KT_OK : kt_fail(err, KT_E_USAGE, "%s needs %s", command, option);
}

/* Servers are changed in place; what is written anew are files. */
static enum kt_status check_stores(const struct kt_job_options *o, bool rewrap, struct kt_error *err)
{
    if (!o->to)
        return KT_OK;
    if (kt_mongo_is_uri(o->to) && kt_mongo_is_uri(o->from) && !rewrap)
        return KT_OK;
    if (kt_mongo_is_uri(o->to))
        return kt_fail(err, KT_E_USAGE,
                       "--to names a server, which takes what is read from a server alone; leave it out to "
                       "change a server in place, or write a dump and let mongorestore bring it there");
    if (kt_mongo_is_uri(rewrap ? o->key_vault : o->from))
        return kt_fail(
            err, KT_E_USAGE,
            "a server is changed in place, without --to, or written to another server; for a file, "
            "take a dump with mongodump and name that");
    return KT_OK;
}

/* Whether it can be written is checked where its names are known (kt_failures_check). */
static enum kt_status check_failures(const struct kt_job_options *o, struct kt_error *err)
{
    const struct kt_named_path mine = {"--failures", o->failures};
    const struct kt_named_path others[] = {{"--from", o->from},
                                           {"--to", o->to},
                                           {"--key-vault", o->key_vault},
                                           {"--only", o->only},
                                           {"--backup", o->backup}};
    return o->failures ? kt_paths_apart(&mine, others, sizeof others / sizeof *others, err) : KT_OK;
}

/* "shop" alone matches nothing. */
static enum kt_status check_includes(const struct kt_job_options *o, struct kt_error *err)
{
    for (const char *const *p = o->ns_include; p && *p; p++) {
        if (!strpbrk(*p, ".*"))
            return kt_fail(err, KT_E_USAGE, "--ns-include %s is no namespace: DB.COLLECTION, or %s.*", *p,
                           *p);
    }
    return KT_OK;
}

/* What could else be found only after the question. */
static enum kt_status check_live(const struct kt_job_options *o, struct kt_error *err)
{
    const char *db = o->checkpoint;
    if (db && (strlen(db) > 63 || strpbrk(db, "/\\. \"$") || strcmp(db, "admin") == 0 ||
               strcmp(db, "local") == 0 || strcmp(db, "config") == 0))
        return kt_fail(err, KT_E_USAGE, "--checkpoint: \"%.70s\" is no name for a database of its own", db);
    return o->kind == KT_JOB_REWRAP && o->backup ? kt_path_writable(o->backup, "--backup", err) : KT_OK;
}

/* One transaction is not cut into parts. */
static enum kt_status check_shape(const struct kt_job *job, struct kt_error *err)
{
    const struct kt_job_options *o = &job->options;
    bool in_parts = job->command == &kt_command_encrypt || job->command == &kt_command_decrypt;
    if (o->partitions > 1 && !in_parts)
        return kt_fail(err, KT_E_USAGE, "--partition is for encrypt and decrypt; %s is not done in parts",
                       job->command->name);
    if (o->all_or_nothing && job->command != &kt_command_rewrap)
        return kt_fail(err, KT_E_USAGE, "--all-or-nothing is for rewrap");
    return KT_OK;
}

enum kt_status kt_job_check_options(struct kt_job *job, struct kt_error *err)
{
    struct kt_job_options *o = &job->options;
    const char *name = job->command->name;
    bool rewrap = job->command == &kt_command_rewrap, live = kt_live_wanted(o);
    enum kt_status status = check_stores(o, rewrap, err);
    if (status == KT_OK && !live)
        status = needs(o->key_vault, name, "--key-vault", err);
    if (status == KT_OK && !rewrap)
        status = needs(o->from, name, "--from", err);
    if (status == KT_OK && job->command->writes && !o->dry_run && !live)
        status = needs(o->to, name, "--to: a file store is never changed in place", err);
    if (status == KT_OK)
        status = needs(o->kms_providers.bson.data, name, "--kms-providers", err);
    if (o->schema_from_server && !live)
        return kt_fail(err, KT_E_USAGE, "--schema-from-server needs --from with a server (mongodb://...)");
    if (status == KT_OK && job->command->needs_schema && !o->schema_from_server)
        status = needs(o->schema_map.bson.data, name, "--schema-map", err);
    if (status != KT_OK)
        return status;
    if (o->query.bson.data && (rewrap || !live))
        return kt_fail(err, KT_E_USAGE, "--query is for encrypt, decrypt and verify on a server; %s",
                       rewrap ? "key documents are chosen with --filter"
                              : "on files --ns-include and --only choose");
    status = check_shape(job, err);
    if (status != KT_OK)
        return status;
    if (o->key_vault && strcmp(o->key_vault, "-") == 0)
        return kt_fail(err, KT_E_USAGE,
                       "--key-vault is read more than once and cannot be stdin; give a file");
    if (!o->key_vault_namespace)
        o->key_vault_namespace = "encryption.__keyVault";
    status = check_includes(o, err);
    if (status == KT_OK)
        status = check_failures(o, err);
    return status == KT_OK && live && !o->dry_run ? check_live(o, err) : status;
}
