/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/namespaces.h"

#include <stdlib.h>
#include <string.h>

#include "common/latch.h"
#include "jobs/oplog.h"

bool kt_ns_matches(const char *pattern, const char *ns)
{
    const char *star = NULL, *resume = NULL;
    while (*ns) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = ns;
        } else if (*pattern == *ns) {
            pattern++;
            ns++;
        } else if (star) {
            pattern = star;
            ns = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

static bool any_matches(const char *const *patterns, const char *ns)
{
    for (; *patterns; patterns++) {
        if (kt_ns_matches(*patterns, ns))
            return true;
    }
    return false;
}

bool kt_job_includes(const struct kt_job *job, const char *ns)
{
    const struct kt_job_options *o = &job->options;
    if (o->ns_include && *o->ns_include && !any_matches(o->ns_include, ns))
        return false;
    return !o->ns_exclude || !any_matches(o->ns_exclude, ns);
}

/* The one include without `*`: the user says what a lone file or stream is. */
static const char *told_name(const struct kt_job *job)
{
    const char *const *include = job->options.ns_include;
    return include && include[0] && !include[1] && !strchr(include[0], '*') ? include[0] : NULL;
}

/* What a lone file or stream is called, when neither metadata beside it nor its name (if the schema knows
 * that) say it: the one include without `*`, else the schema's only namespace. NULL: cannot be told. */
static const char *lone_name(const struct kt_job *job)
{
    if (job->command == &kt_command_rewrap)
        return job->options.key_vault_namespace;
    if (told_name(job))
        return told_name(job);
    if (!job->schemas)
        return strcmp(kt_source_name(job->source), "-") == 0 ? NULL : kt_source_name(job->source);
    return kt_schema_map_count(job->schemas) == 1 ? kt_schema_ns(kt_schema_map_at(job->schemas, 0)) : NULL;
}

static enum kt_status name_lone(struct kt_job *job, struct kt_error *err)
{
    const struct kt_entry *entry = kt_source_entry(job->source, 0);
    if (kt_source_container(job->source) != KT_BSON_FILE || !entry)
        return KT_OK;
    bool by_file = entry->named == KT_NAMED_BY_FILE;
    /* What a key vault's failures say of it must be true of the output too, whatever its file is called. */
    bool vault = job->command == &kt_command_rewrap;
    bool good_guess = vault          ? false
                      : job->schemas ? kt_schema_map_find(job->schemas, entry->ns) != NULL
                                     : !told_name(job);
    if (*entry->ns && (!by_file || good_guess))
        return KT_OK;
    const char *name = lone_name(job);
    if (name)
        return kt_source_set_ns(job->source, name, err);
    return *entry->ns ? KT_OK
                      : kt_fail(err, KT_E_USAGE,
                                "%s: which collection is this? Name it with --ns-include DB.COLLECTION",
                                kt_source_name(job->source));
}

struct kt_namespace *kt_job_namespace(const struct kt_job *job, struct kt_span name)
{
    for (size_t i = 0; i < job->namespaces_count; i++) {
        if (kt_span_equal(kt_span_str(job->namespaces[i].name), name))
            return &job->namespaces[i];
    }
    return NULL;
}

struct kt_namespace *kt_job_entry_namespace(const struct kt_job *job, const struct kt_entry *entry)
{
    return *entry->ns && !entry->is_oplog ? kt_job_namespace(job, kt_span_str(entry->ns)) : NULL;
}

enum kt_status kt_job_add_namespace(struct kt_job *job, const char *name, const struct kt_schema *schema,
                                    struct kt_error *err)
{
    size_t rules = schema ? kt_schema_rules(schema) : 0;
    struct kt_namespace *all = realloc(job->namespaces, (job->namespaces_count + 1) * sizeof *all);
    if (!all)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    job->namespaces = all;
    struct kt_namespace *ns = &all[job->namespaces_count++];
    *ns = (struct kt_namespace){.name = strdup(name), .schema = schema};
    ns->rule_keys = calloc(rules ? rules : 1, sizeof *ns->rule_keys);
    ns->report = calloc(rules ? rules : 1, sizeof *ns->report);
    if (!ns->name || !ns->rule_keys || !ns->report || kt_counts_init(&ns->counts, rules) != KT_OK)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    for (size_t i = 0; i < rules; i++)
        ns->rule_keys[i] = KT_NO_KEY;
    return KT_OK;
}

/* Decides about one entry of the source. */
static enum kt_status consider(struct kt_job *job, const struct kt_entry *entry, struct kt_error *err)
{
    const char *name = entry->ns;
    if (!*name || entry->is_oplog || kt_job_namespace(job, kt_span_str(name)))
        return KT_OK;
    if (job->command == &kt_command_rewrap) {
        bool lone = kt_source_container(job->source) == KT_BSON_FILE;
        return lone || strcmp(name, job->options.key_vault_namespace) == 0
                   ? kt_job_add_namespace(job, name, NULL, err)
                   : KT_OK;
    }
    const struct kt_schema *schema = job->schemas ? kt_schema_map_find(job->schemas, name) : NULL;
    if ((job->schemas && !schema) || !kt_job_includes(job, name))
        return KT_OK;
    return kt_job_add_namespace(job, name, schema, err);
}

/* Whether an entry holds the data of a time series of that name. */
static bool is_buckets(const char *entry, const char *name)
{
    size_t db = strcspn(name, "."), middle = strlen(".system.buckets");
    return name[db] && strncmp(entry, name, db) == 0 && strncmp(entry + db, ".system.buckets", middle) == 0 &&
           strcmp(entry + db + middle, name + db) == 0;
}

/* An archive lists a time series under its own name; its data comes under that of its buckets. */
static bool is_time_series(const struct kt_job *job, const char *name)
{
    const struct kt_entry *entry;
    const char *dot = strchr(name, '.');
    if (dot && strncmp(dot, ".system.buckets.", 16) == 0)
        return true;
    for (uint32_t i = 0; (entry = kt_source_entry(job->source, i)); i++) {
        if (is_buckets(entry->ns, name) || (entry->is_timeseries && strcmp(entry->ns, name) == 0))
            return true;
    }
    return false;
}

static enum kt_status refuse_time_series(const struct kt_job *job, struct kt_error *err)
{
    for (size_t i = 0; job->schemas && i < kt_schema_map_count(job->schemas); i++) {
        const char *name = kt_schema_ns(kt_schema_map_at(job->schemas, i));
        if (is_time_series(job, name))
            return kt_fail(err, KT_E_USAGE,
                           "%s holds a time-series collection, whose fields cannot be encrypted", name);
    }
    return KT_OK;
}

static void warn_of_missing(struct kt_job *job)
{
    for (size_t i = 0; job->schemas && i < kt_schema_map_count(job->schemas); i++) {
        const char *name = kt_schema_ns(kt_schema_map_at(job->schemas, i));
        if (kt_job_includes(job, name) && !kt_job_namespace(job, kt_span_str(name)))
            kt_job_warn(job, "%s: the schema names %s, which is not there: nothing is done for it",
                        kt_source_name(job->source), name);
    }
}

static bool any_entry_matches(const struct kt_job *job, const char *pattern)
{
    const struct kt_entry *entry;
    for (uint32_t i = 0; (entry = kt_source_entry(job->source, i)); i++) {
        if (*entry->ns && kt_ns_matches(pattern, entry->ns))
            return true;
    }
    return false;
}

/* A mistyped name must not end in a copy of the plaintext that looks like success. */
static enum kt_status check_includes(struct kt_job *job, struct kt_error *err)
{
    const char *const *include = job->options.ns_include, *const *exclude = job->options.ns_exclude;
    bool given = (include && *include) || (exclude && *exclude);
    bool nothing_asked = job->schemas && kt_schema_map_count(job->schemas) == 0;
    for (; include && *include; include++) {
        if (!any_entry_matches(job, *include))
            kt_job_warn(job, "%s: --ns-include %s matches nothing there", kt_source_name(job->source),
                        *include);
    }
    if (!given || nothing_asked || job->namespaces_count > 0)
        return KT_OK;
    return kt_fail(err, KT_E_USAGE, "--ns-include and --ns-exclude leave no namespace%s of %s to work on",
                   job->schemas ? " of the schema" : "", kt_source_name(job->source));
}

static enum kt_status check_found(struct kt_job *job, struct kt_error *err)
{
    const char *store = kt_source_name(job->source);
    if (job->command == &kt_command_rewrap)
        return job->namespaces_count > 0
                   ? KT_OK
                   : kt_fail(err, KT_E_USAGE, "%s holds no %s; name the key vault with --key-vault-namespace",
                             store, job->options.key_vault_namespace);
    enum kt_status status = check_includes(job, err);
    if (status == KT_OK && job->command == &kt_command_verify && job->namespaces_count == 0 &&
        kt_schema_map_count(job->schemas) > 0)
        return kt_fail(err, KT_E_USAGE, "%s holds no namespace of the schema: nothing to verify", store);
    return status;
}

enum kt_status kt_job_name_namespaces(struct kt_job *job, struct kt_error *err)
{
    enum kt_status status = refuse_time_series(job, err);
    if (status == KT_OK)
        status = name_lone(job, err);
    const struct kt_entry *entry;
    for (uint32_t i = 0; status == KT_OK && (entry = kt_source_entry(job->source, i)); i++)
        status = consider(job, entry, err);
    if (status == KT_OK)
        status = check_found(job, err);
    if (status == KT_OK)
        warn_of_missing(job);
    return status == KT_OK ? kt_oplog_check_ahead(job, err) : status;
}

static enum kt_status rule_handles(struct kt_job *job, struct kt_namespace *ns, uint32_t *handles,
                                   size_t *count)
{
    for (size_t r = 0; r < kt_schema_rules(ns->schema); r++) {
        const struct kt_rule *rule = kt_schema_rule(ns->schema, r);
        if (rule->pointer != KT_NO_POINTER)
            continue;
        enum kt_status status = kt_key_table_by_id(job->table, rule->key_id, &ns->rule_keys[r]);
        if (status != KT_OK)
            return status;
        handles[(*count)++] = ns->rule_keys[r];
    }
    return KT_OK;
}

/* For the time before the workers: the caller waits. */
struct wait {
    struct kt_key_waiter waiter;
    struct kt_latch latch;
};

static void wait_ready(struct kt_key_waiter *waiter)
{
    kt_latch_down(&((struct wait *)waiter)->latch);
}

static enum kt_status settle_now(struct kt_job *job, const uint32_t *handles, size_t count,
                                 struct kt_error *err)
{
    struct wait wait = {{.ready = wait_ready}, KT_LATCH(1)};
    bool settled = true;
    enum kt_status status =
        kt_key_table_settle(job->table, job->engine, handles, count, &wait.waiter, &settled, err);
    if (status != KT_OK || settled)
        return status;
    kt_latch_wait(&wait.latch);
    return KT_OK;
}

static enum kt_status all_ready(const struct kt_job *job, const struct kt_namespace *ns, struct kt_error *err)
{
    for (size_t r = 0; r < kt_schema_rules(ns->schema); r++) {
        const char *why;
        if (ns->rule_keys[r] == KT_NO_KEY || kt_key_table_state(job->table, ns->rule_keys[r]) == KT_KEY_READY)
            continue;
        enum kt_status status = kt_key_table_failure(job->table, ns->rule_keys[r], &why);
        return kt_fail(err, status, "%s: %s: %s", ns->name, kt_schema_rule(ns->schema, r)->path, why);
    }
    return KT_OK;
}

enum kt_status kt_job_settle_rule_keys(struct kt_job *job, struct kt_error *err)
{
    size_t rules = 0, count = 0;
    for (size_t i = 0; i < job->namespaces_count; i++)
        rules += job->namespaces[i].counts.paths_count;
    uint32_t *handles = calloc(rules ? rules : 1, sizeof *handles);
    enum kt_status status = handles ? KT_OK : kt_fail(err, KT_E_NOMEM, "memory ran out");
    for (size_t i = 0; i < job->namespaces_count && status == KT_OK; i++) {
        if (job->namespaces[i].schema)
            status = rule_handles(job, &job->namespaces[i], handles, &count);
    }
    if (status == KT_OK)
        status = settle_now(job, handles, count, err);
    for (size_t i = 0; i < job->namespaces_count && status == KT_OK; i++) {
        if (job->namespaces[i].schema)
            status = all_ready(job, &job->namespaces[i], err);
    }
    free(handles);
    return status;
}

void kt_job_free_namespaces(struct kt_job *job)
{
    for (size_t i = 0; i < job->namespaces_count; i++) {
        struct kt_namespace *ns = &job->namespaces[i];
        free(ns->name);
        free(ns->rule_keys);
        free(ns->report);
        kt_counts_free(&ns->counts);
    }
    free(job->namespaces);
}
