/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/option_table.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "tools/format.h"

#define DATA (KT_CMD_ENCRYPT | KT_CMD_DECRYPT | KT_CMD_VERIFY)
#define WRITES (KT_CMD_ENCRYPT | KT_CMD_DECRYPT | KT_CMD_REWRAP)
#define JOBS (DATA | KT_CMD_REWRAP)
#define READS (JOBS | KT_CMD_STATUS)
#define CALLS (READS | KT_CMD_BENCH)
#define ALL (CALLS | KT_CMD_SAMPLE | KT_CMD_KEYS)
#define AT(field) .at = offsetof(struct kt_settings, field)

static const struct kt_option options[] = {
    {"from", "STORE", KT_OPTION_PATH, DATA | KT_CMD_STATUS, DATA,
     "what is read: a file as mongodump writes it (BSON or archive; gzip and zstd are known by their magic), "
     "a dump's folder, - for stdin, or a server (mongodb://..., or env:NAME for a variable that holds it)",
     AT(from)},
    {"to", "STORE", KT_OPTION_PATH, WRITES | KT_CMD_SAMPLE, WRITES | KT_CMD_SAMPLE,
     "what is written, in the form of the input: a file or folder that does not exist yet, a device or pipe, "
     "or - for stdout. sample: a new folder. Not needed with --dry-run; without it a server is changed in "
     "place",
     AT(to)},
    {"key-vault", "STORE", KT_OPTION_STORES, READS | KT_CMD_KEYS, READS | KT_CMD_KEYS,
     "the key vault: a file as mongodump writes it, or a server; status: may be repeated, backups and dumps "
     "count too",
     .preset = "the server of --from", AT(key_vaults)},
    {"key-vault-namespace", "NS", KT_OPTION_TEXT, READS | KT_CMD_KEYS, 0,
     "which collection of a dump or a server is the key vault; keys restore: else what the backup says",
     .preset = "encryption.__keyVault", AT(key_vault_namespace)},
    {"kms-providers", "FILE", KT_OPTION_SECRET, CALLS, JOBS | KT_CMD_BENCH,
     "JSON file {\"kmsProviders\": ..., \"tlsOptions\": ...} with the drivers' documents, or env:NAME for a "
     "variable that holds it; never on the command line",
     AT(kms_providers)},
    {"tls-options", "DOCUMENT", KT_OPTION_JSON_FILE, CALLS, 0,
     "the drivers' tlsOptions, where kmsProviders stands in the configuration file itself", AT(tls_options),
     .config_only = true},
    {"schema-map", "FILE", KT_OPTION_JSON_FILE, DATA, KT_CMD_ENCRYPT | KT_CMD_VERIFY,
     "JSON file with the drivers' schemaMap; decrypt without one opens every encrypted value",
     AT(schema_map)},
    {"schema-from-server", NULL, KT_OPTION_FLAG, DATA, 0,
     "servers: the collections' $jsonSchema validators are the schema; with --schema-map too, both must "
     "agree",
     AT(schema_from_server)},
    {"config", "FILE", KT_OPTION_PATH, CALLS | KT_CMD_KEYS, 0,
     "JSON file with these options, named in camelCase; file names in it are relative to its folder; the "
     "command line wins",
     AT(config)},
    {"ns-include", "NS", KT_OPTION_LIST, DATA, 0,
     "work on these namespaces alone (* stands for anything; may be repeated); a lone file or stream takes "
     "its name from it. The others are copied as they are",
     AT(ns_include)},
    {"ns-exclude", "NS", KT_OPTION_LIST, DATA, 0, "copy these namespaces as they are (*; may be repeated)",
     AT(ns_exclude)},
    {"provider", "ID", KT_OPTION_TEXT, KT_CMD_REWRAP | KT_CMD_BENCH, KT_CMD_BENCH,
     "the KMS provider of the new CMK, by its id in kmsProviders (aws, local:new)",
     .preset = "each DEK stays under its current CMK", AT(provider)},
    {"master-key", "JSON|@FILE", KT_OPTION_JSON, KT_CMD_REWRAP | KT_CMD_BENCH, 0,
     "the new CMK, as the drivers' masterKey document; needs --provider", AT(master_key)},
    {"filter", "JSON|@FILE", KT_OPTION_JSON, KT_CMD_REWRAP, 0,
     "rewrap only the key documents that match this query; on files of $eq, $ne, $in, $exists, $and, $or",
     AT(filter)},
    {"query", "JSON|@FILE", KT_OPTION_JSON, DATA, 0,
     "servers: work on the documents that this query finds alone; Extended JSON, all that the server "
     "understands",
     AT(query)},
    {"older-than", "AGE", KT_OPTION_AGE, KT_CMD_REWRAP | KT_CMD_STATUS, 0,
     "rewrap only DEKs last wrapped longer ago than this: 90d, 12h (s m h d w); status: they are findings",
     AT(older_than_ms)},
    {"all-or-nothing", NULL, KT_OPTION_FLAG, KT_CMD_REWRAP, 0, "when a single DEK fails, nothing is written",
     AT(all_or_nothing)},
    {"jobs", NULL, KT_OPTION_FLAG, KT_CMD_STATUS, 0,
     "servers: list the unfinished jobs that --checkpoint holds, and who works on them", AT(jobs)},
    {"cmk", "JSON|@FILE", KT_OPTION_JSON, KT_CMD_STATUS, 0,
     "a masterKey document with its provider: does anything still need this CMK? Fields that it leaves out "
     "match anything",
     AT(cmk)},
    {"on-unencryptable", "fail|leave", KT_OPTION_CHOICE, KT_CMD_ENCRYPT, 0,
     "a value that cannot be encrypted fails its document, or is left as it is", .preset = "fail",
     .choices = "fail|leave", AT(on_unencryptable)},
    {"max-failures", "N", KT_OPTION_COUNT, WRITES, 0,
     "stop (exit 3) once more than N documents or keys have failed in this run", .preset = "no limit",
     .max = INT64_MAX, AT(max_failures)},
    {"failures", "FILE", KT_OPTION_PATH, JOBS, 0,
     "where failed documents are listed, one {ns, _id, path, reason} a line; verify lists what it finds only "
     "when this is given",
     .preset = "NS-failed.ndjson in the working folder; with --partition either name gets -I-of-N",
     AT(failures)},
    {"only", "FILE", KT_OPTION_PATH, JOBS, 0, "work on the documents of such a list alone", AT(only)},
    {"dry-run", NULL, KT_OPTION_FLAG, WRITES | KT_CMD_KEYS, 0,
     "read everything, write nothing, print what would be done; exits as the job would", AT(dry_run)},
    {"forget", NULL, KT_OPTION_FLAG, WRITES | KT_CMD_KEYS, 0,
     "drop what an unfinished job left at --to and begin anew", AT(forget)},
    {"yes", NULL, KT_OPTION_FLAG, WRITES | KT_CMD_KEYS, 0,
     "do not ask before a server is changed; jobs on files never ask", AT(yes)},
    {"backup", "FILE", KT_OPTION_PATH, KT_CMD_REWRAP, 0,
     "servers: where the old key documents are kept, with the new wraps that replace them; a file that is "
     "new, or empty",
     .preset = "rewrap-<UTC>.bson in the working folder", AT(backup)},
    {"checkpoint", "DB", KT_OPTION_TEXT, WRITES | KT_CMD_KEYS | KT_CMD_STATUS, 0,
     "servers: the database that keeps how far the job came", .preset = "keyturn", AT(checkpoint)},
    {"partition", "I/N", KT_OPTION_TEXT, KT_CMD_ENCRYPT | KT_CMD_DECRYPT, 0,
     "servers: this worker does part I (from 0) of N; auto: of a Slurm job array; auto/N: "
     "JOB_COMPLETION_INDEX of N",
     .preset = "everything", AT(partition)},
    {"max-docs-per-second", "N", KT_OPTION_COUNT, DATA, 0, "servers: go no faster", .preset = "no limit",
     .min = 1, .max = 1000000000, AT(max_docs_per_second)},
    {"accept", "PATH", KT_OPTION_LIST, KT_CMD_ENCRYPT | KT_CMD_DECRYPT, 0,
     "servers: go on although an index on this path loses its use (may be repeated)", AT(accept)},
    {"documents", "N", KT_OPTION_COUNT, KT_CMD_SAMPLE, 0, "how many documents, about 1 KB each",
     .preset = "100,000", .max = 1000000000, AT(documents)},
    {"keys", "N", KT_OPTION_COUNT, KT_CMD_SAMPLE | KT_CMD_BENCH, 0,
     "how many DEKs; bench kms: at most 10,000", .preset = "1,000", .min = 1, .max = 100000000, AT(keys)},
    {"seed", "N", KT_OPTION_COUNT, KT_CMD_SAMPLE, 0,
     "the documents follow from it, byte for byte; keys never do, they are always random", .preset = "1",
     .max = UINT64_MAX, AT(seed)},
    {"threads", "N", KT_OPTION_COUNT, JOBS, 0, "worker threads", .preset = "one a core", .min = 1, .max = 256,
     AT(threads)},
    {"kms-concurrency", "N", KT_OPTION_COUNT, CALLS, 0, "requests to the KMS in flight, at most",
     .preset = "as many as it takes, up to 512", .min = 1, .max = 512, AT(kms_concurrency)},
    {"kms-rate", "N", KT_OPTION_COUNT, CALLS, 0,
     "requests to the KMS a second and quota (account and region, key vault, project), at most",
     .preset = "as many as it takes", .min = 1, .max = 1000000, AT(kms_rate)},
    {"backend", "NAME", KT_OPTION_TEXT, CALLS | KT_CMD_SAMPLE, 0,
     "the engine: auto, or one that keyturn --version names; else KEYTURN_BACKEND", .preset = "auto",
     AT(backend)},
    {"report", "FILE", KT_OPTION_PATH, CALLS, 0, "write the figures as JSON, after a failure too",
     AT(report)},
    {"log-format", "text|json", KT_OPTION_CHOICE, ALL, 0, "json: one object a line on stderr",
     .preset = "text", .choices = "text|json", AT(log_format)},
    {"quiet", NULL, KT_OPTION_FLAG, ALL, 0, "only errors and the result", AT(quiet)},
    {"verbose", NULL, KT_OPTION_FLAG, ALL, 0, "say more", AT(verbose)},
};

#define COUNT (sizeof options / sizeof *options)
_Static_assert(COUNT <= KT_OPTIONS_MAX, "struct kt_settings has one byte for each option");

size_t kt_options_count(void)
{
    return COUNT;
}

const struct kt_option *kt_option_at(size_t i)
{
    return i < COUNT ? &options[i] : NULL;
}

size_t kt_option_index(const struct kt_option *option)
{
    return (size_t)(option - options);
}

void kt_option_camel(const struct kt_option *option, char out[64])
{
    size_t at = 0;
    for (const char *p = option->name; *p && at + 1 < 64; p++) {
        bool raise = *p == '-' && p[1];
        p += raise;
        out[at++] = raise ? (char)toupper((unsigned char)*p) : *p;
    }
    out[at] = 0;
}

/* The name under which an option is looked up; NULL when it has none there. */
static const char *spelling(const struct kt_option *option, bool camel, char room[64])
{
    if (!camel)
        return option->config_only ? NULL : option->name;
    kt_option_camel(option, room);
    return room;
}

const struct kt_option *kt_option_find(const char *name, size_t nbytes, bool camel)
{
    char room[64];
    for (size_t i = 0; i < COUNT; i++) {
        const char *known = spelling(&options[i], camel, room);
        if (known && strlen(known) == nbytes && strncmp(known, name, nbytes) == 0)
            return &options[i];
    }
    return NULL;
}

const struct kt_option *kt_option_nearest(const char *name, unsigned bit, bool camel)
{
    const struct kt_option *nearest = NULL;
    int best = 3;
    char room[64];
    size_t nbytes = strlen(name);
    for (size_t i = 0; i < COUNT; i++) {
        const char *known = spelling(&options[i], camel, room);
        if (!known || (bit && !(options[i].commands & bit)))
            continue;
        int distance = kt_edit_distance(name, known);
        if (nbytes >= 3 && strncmp(name, known, nbytes) == 0)
            distance = 2;
        if (distance < best) {
            best = distance;
            nearest = &options[i];
        }
    }
    return nearest;
}

void *kt_option_slot(const struct kt_option *option, struct kt_settings *settings)
{
    return (char *)settings + option->at;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t nbytes = strlen(text);
    for (const char *p = choices; *p; p += *p == '|') {
        size_t length = strcspn(p, "|");
        if (length == nbytes && strncmp(p, text, nbytes) == 0)
            return true;
        p += length;
    }
    return false;
}

static enum kt_status set_count(const struct kt_option *option, uint64_t *slot, const char *text,
                                const char *where, struct kt_error *err)
{
    uint64_t n;
    if (kt_parse_count(text, option->max, &n) && n >= option->min) {
        *slot = n;
        return KT_OK;
    }
    if (option->max >= INT64_MAX)
        return kt_fail(err, KT_E_USAGE, "%s: '%.60s' is no whole number", where, text);
    return kt_fail(err, KT_E_USAGE, "%s: '%.60s' is no whole number from %" PRIu64 " to %" PRIu64, where,
                   text, option->min, option->max);
}

static enum kt_status add_store(struct kt_settings *settings, struct kt_strings *slot, const char *folder,
                                const char *text, struct kt_error *err)
{
    const char *store = kt_settings_path(settings, folder, text);
    if (!store)
        return kt_fail(err, KT_E_NOMEM, "no memory for the options");
    if (slot == &settings->key_vaults && slot->count == 0)
        settings->key_vault = store;
    return kt_strings_add(slot, store, err);
}

static enum kt_status set_document(const struct kt_option *option, struct kt_document_source *source,
                                   const char *text, const char *where, struct kt_error *err)
{
    source->name = text;
    if (option->type == KT_OPTION_SECRET && strncmp(text, "env:", 4) == 0)
        source->env = text + 4;
    else if (option->type == KT_OPTION_SECRET && strchr(text, '{'))
        /* not repeated in the message: it holds secrets */
        return kt_fail(err, KT_E_USAGE,
                       "%s takes a file's name or env:NAME; secrets never stand on the command line", where);
    else if (option->type != KT_OPTION_JSON)
        source->file = text;
    else if (*text == '@')
        source->file = source->name = text + 1;
    else {
        source->json = text;
        source->name = where;
    }
    return KT_OK;
}

enum kt_status kt_option_set(const struct kt_option *option, struct kt_settings *settings, const char *text,
                             const char *folder, const char *where, struct kt_error *err)
{
    void *slot = kt_option_slot(option, settings);
    if (*text == 0)
        return kt_fail(err, KT_E_USAGE, "%s is empty", where);
    switch (option->type) {
    case KT_OPTION_FLAG:
        return kt_fail(err, KT_E_USAGE, "%s takes no value", where);
    case KT_OPTION_TEXT:
        *(const char **)slot = text;
        return KT_OK;
    case KT_OPTION_CHOICE:
        *(const char **)slot = text;
        return is_choice(option->choices, text)
                   ? KT_OK
                   : kt_fail(err, KT_E_USAGE, "%s: '%s' is none of %s", where, text, option->choices);
    case KT_OPTION_PATH:
        *(const char **)slot = kt_settings_path(settings, folder, text);
        return *(const char **)slot ? KT_OK : kt_fail(err, KT_E_NOMEM, "no memory for the options");
    case KT_OPTION_LIST:
        return kt_strings_add(slot, text, err);
    case KT_OPTION_STORES:
        return add_store(settings, slot, folder, text, err);
    case KT_OPTION_COUNT:
        return set_count(option, slot, text, where, err);
    case KT_OPTION_AGE:
        return kt_parse_age(text, slot)
                   ? KT_OK
                   : kt_fail(err, KT_E_USAGE, "%s: '%s' is no age; write 90d or 12h (s m h d w)", where,
                             text);
    case KT_OPTION_JSON_FILE:
    case KT_OPTION_SECRET:
    case KT_OPTION_JSON:
        break;
    }
    struct kt_document_source *source = slot;
    enum kt_status status = set_document(option, source, text, where, err);
    if (status == KT_OK && source->file && !(source->file = kt_settings_path(settings, folder, source->file)))
        return kt_fail(err, KT_E_NOMEM, "no memory for the options");
    if (source->file)
        source->name = source->file;
    return status;
}
