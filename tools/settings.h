/* SPDX-License-Identifier: Apache-2.0 */
/* What the user asked for, from the command line and the configuration file together. */
#ifndef KT_TOOLS_SETTINGS_H
#define KT_TOOLS_SETTINGS_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

#include "keyturn/status.h"

/* A list of strings with a NULL behind the last one. */
struct kt_strings {
    const char **v;
    size_t count;
};

/* Where a document comes from: one of file, env, json and bson is set, or none when it was not given. */
struct kt_document_source {
    const char *file; /* a JSON file */
    const char *env;  /* a variable of the environment that holds JSON */
    const char *json; /* JSON from the command line */
    bson_t *bson;     /* a document inside the configuration file; owned */
    const char *name; /* for messages */
};

enum kt_given { KT_NOT_GIVEN, KT_GIVEN_CONFIG, KT_GIVEN_COMMAND };

#define KT_OPTIONS_MAX 48

/* Strings live as long as the settings, or are the command line's own. */
struct kt_settings {
    const char *from, *to, *key_vault, *key_vault_namespace, *config;
    struct kt_strings key_vaults; /* key_vault is its first */
    struct kt_document_source kms_providers, tls_options, schema_map, filter, query, master_key, cmk;
    bool dry_run, yes, forget, quiet, verbose, all_or_nothing, jobs, schema_from_server;
    uint64_t threads, max_failures;
    const char *backend, *on_unencryptable, *report, *failures, *only, *log_format;
    struct kt_strings ns_include, ns_exclude;
    const char *provider;
    uint64_t kms_concurrency, kms_rate;
    int64_t older_than_ms;
    uint64_t documents, keys, seed;
    const char *checkpoint, *partition, *backup;
    uint64_t max_docs_per_second;
    struct kt_strings accept;

    uint8_t given[KT_OPTIONS_MAX]; /* enum kt_given, by place in the option table */
    bson_t *config_bson;
    struct kt_strings kept;
};

/* Zero-initialised settings are legal. Wipes nothing by itself: see tools/wiping.h. */
void kt_settings_cleanup(struct kt_settings *settings);

/* Keeps text (malloc'ed, taken over in every case) as long as the settings. Returns it, or NULL without
 * memory. */
const char *kt_settings_keep(struct kt_settings *settings, char *text);

/* KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_strings_add(struct kt_strings *strings, const char *text, struct kt_error *err);

/* The name of a file inside a folder; folder NULL or "", an absolute name and "-" leave it as it is.
 * NULL without memory. */
const char *kt_settings_path(struct kt_settings *settings, const char *folder, const char *file);

#endif
