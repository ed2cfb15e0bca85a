/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/inputs.h"

#include <stdio.h>

#include "tools/documents.h"

void kt_inputs_free_secrets(struct kt_inputs *inputs)
{
    bson_destroy(inputs->kms_providers);
    bson_destroy(inputs->tls_options);
    inputs->kms_providers = inputs->tls_options = NULL;
}

void kt_inputs_free(struct kt_inputs *inputs)
{
    kt_inputs_free_secrets(inputs);
    bson_destroy(inputs->schema_map);
    bson_destroy(inputs->filter);
    bson_destroy(inputs->query);
    bson_destroy(inputs->master_key);
    bson_destroy(inputs->cmk);
    *inputs = (struct kt_inputs){0};
}

static void warn_exposed(struct kt_screen *screen, const char *file)
{
    char line[700];
    unsigned mode;
    if (!file || !kt_document_exposed(file, &mode))
        return;
    snprintf(line, sizeof line, "%s holds secrets and others can read it (mode %04o); chmod 600 %s", file,
             mode, file);
    screen->log.write(screen->log.context, KT_LOG_WARN, line);
}

static enum kt_status load_providers(struct kt_settings *settings, struct kt_inputs *inputs,
                                     struct kt_screen *screen, struct kt_error *err)
{
    struct kt_document_source *source = &settings->kms_providers;
    bool inside = source->bson != NULL;
    bson_t *loaded;
    warn_exposed(screen, inside ? settings->config : source->file);
    enum kt_status status = kt_document_load(&settings->tls_options, &inputs->tls_options, err);
    if (inside) {
        inputs->kms_providers = source->bson;
        source->bson = NULL;
        return status;
    }
    if (status == KT_OK)
        status = kt_document_load(source, &loaded, err);
    if (status != KT_OK || !loaded)
        return status;
    status =
        kt_document_split_providers(loaded, source->name, &inputs->kms_providers, &inputs->tls_options, err);
    bson_destroy(loaded);
    return status;
}

enum kt_status kt_inputs_load(struct kt_inputs *inputs, struct kt_settings *settings,
                              struct kt_screen *screen, struct kt_error *err)
{
    enum kt_status status = load_providers(settings, inputs, screen, err);
    if (status == KT_OK)
        status = kt_document_load(&settings->schema_map, &inputs->schema_map, err);
    if (status == KT_OK)
        status = kt_document_load(&settings->filter, &inputs->filter, err);
    if (status == KT_OK)
        status = kt_document_load(&settings->query, &inputs->query, err);
    if (status == KT_OK)
        status = kt_document_load(&settings->master_key, &inputs->master_key, err);
    if (status == KT_OK)
        status = kt_document_load(&settings->cmk, &inputs->cmk, err);
    return status;
}

struct kt_document kt_inputs_borrow(const bson_t *bson, const char *name)
{
    struct kt_document document = {.name = name};
    if (bson)
        document.bson = (struct kt_span){bson_get_data(bson), bson->len};
    return document;
}
