/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

KT_MUST_USE enum kt_status kt_strings_add(struct kt_strings *strings, const char *text, struct kt_error *err)
{
    const char **v = realloc(strings->v, (strings->count + 2) * sizeof *v);
    if (!v)
        return kt_fail(err, KT_E_NOMEM, "no memory for the options");
    strings->v = v;
    strings->v[strings->count++] = text;
    strings->v[strings->count] = NULL;
    return KT_OK;
}

const char *kt_settings_keep(struct kt_settings *settings, char *text)
{
    if (!text)
        return NULL;
    if (kt_strings_add(&settings->kept, text, NULL) != KT_OK) {
        free(text);
        return NULL;
    }
    return text;
}

const char *kt_settings_path(struct kt_settings *settings, const char *folder, const char *file)
{
    /* A server, or the name of a variable that holds one, lies in no folder. */
    bool elsewhere = strncmp(file, "mongodb", 7) == 0 && strstr(file, "://");
    if (!folder || !*folder || file[0] == '/' || strcmp(file, "-") == 0 || elsewhere ||
        strncmp(file, "env:", 4) == 0)
        return file;
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, file) < 0)
        return NULL;
    return kt_settings_keep(settings, path);
}

void kt_settings_cleanup(struct kt_settings *settings)
{
    struct kt_document_source *sources[] = {
        &settings->kms_providers, &settings->tls_options, &settings->schema_map, &settings->filter,
        &settings->query,         &settings->master_key,  &settings->cmk};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        bson_destroy(sources[i]->bson);
    bson_destroy(settings->config_bson);
    for (size_t i = 0; i < settings->kept.count; i++)
        free((void *)settings->kept.v[i]);
    free(settings->kept.v);
    free(settings->ns_include.v);
    free(settings->ns_exclude.v);
    free(settings->accept.v);
    free(settings->key_vaults.v);
    *settings = (struct kt_settings){0};
}
