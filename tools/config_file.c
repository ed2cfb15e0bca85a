/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/config_file.h"

#include <inttypes.h>
#include <string.h>

#include "common/secmem.h"
#include "tools/documents.h"
#include "tools/option_table.h"

struct config {
    const char *file;
    const char *folder;
    struct kt_settings *settings;
    struct kt_error *err;
};

static const char *config_folder(struct kt_settings *settings, const char *file)
{
    const char *slash = strrchr(file, '/');
    if (!slash)
        return "";
    return kt_settings_keep(settings, strndup(file, slash == file ? 1 : (size_t)(slash - file)));
}

static enum kt_status wrong_type(const char *where, const char *right, struct kt_error *err)
{
    return kt_fail(err, KT_E_CONFIG, "%s must be %s", where, right);
}

static enum kt_status set_flag(void *slot, const bson_iter_t *value, const char *where, struct kt_error *err)
{
    if (!BSON_ITER_HOLDS_BOOL(value))
        return wrong_type(where, "true or false", err);
    *(bool *)slot = bson_iter_bool(value);
    return KT_OK;
}

static enum kt_status set_number(const struct config *config, const struct kt_option *option,
                                 const bson_iter_t *value, const char *where)
{
    char digits[24];
    if (!BSON_ITER_HOLDS_INT32(value) && !BSON_ITER_HOLDS_INT64(value))
        return wrong_type(where, "a whole number", config->err);
    snprintf(digits, sizeof digits, "%" PRId64, bson_iter_as_int64(value));
    return kt_option_set(option, config->settings, digits, NULL, where, config->err);
}

static enum kt_status set_string(const struct config *config, const struct kt_option *option,
                                 const bson_iter_t *value, const char *where)
{
    uint32_t nbytes;
    if (!BSON_ITER_HOLDS_UTF8(value))
        return wrong_type(where, "a string", config->err);
    const char *text = bson_iter_utf8(value, &nbytes);
    if (strlen(text) != nbytes)
        return kt_fail(config->err, KT_E_CONFIG, "%s holds a NUL byte", where);
    return kt_option_set(option, config->settings, text, config->folder, where, config->err);
}

static enum kt_status set_list(const struct config *config, const struct kt_option *option,
                               const bson_iter_t *value, const char *where)
{
    bson_iter_t item;
    if (BSON_ITER_HOLDS_UTF8(value))
        return set_string(config, option, value, where);
    if (!BSON_ITER_HOLDS_ARRAY(value) || !bson_iter_recurse(value, &item))
        return wrong_type(where, "a string or an array of strings", config->err);
    while (bson_iter_next(&item)) {
        if (!BSON_ITER_HOLDS_UTF8(&item))
            return wrong_type(where, "a string or an array of strings", config->err);
        enum kt_status status = set_string(config, option, &item, where);
        if (status != KT_OK)
            return status;
    }
    return KT_OK;
}

/* A document that stands in the configuration file itself. */
static enum kt_status set_inline(const struct config *config, const struct kt_option *option,
                                 const bson_iter_t *value, const char *where)
{
    struct kt_document_source *source = kt_option_slot(option, config->settings);
    const uint8_t *data;
    uint32_t nbytes;
    bson_iter_document(value, &nbytes, &data);
    source->bson = bson_new_from_data(data, nbytes);
    source->name = kt_settings_keep(config->settings, strdup(where));
    if (!source->bson || !source->name)
        return kt_fail(config->err, KT_E_NOMEM, "no memory for %s", where);
    /* the file's document lives as long as the job; secrets must not */
    kt_wipe((void *)data, nbytes);
    return KT_OK;
}

static enum kt_status set_value(const struct config *config, const struct kt_option *option,
                                const bson_iter_t *value, const char *where)
{
    bool document = BSON_ITER_HOLDS_DOCUMENT(value);
    switch (option->type) {
    case KT_OPTION_FLAG:
        return set_flag(kt_option_slot(option, config->settings), value, where, config->err);
    case KT_OPTION_COUNT:
        return set_number(config, option, value, where);
    case KT_OPTION_LIST:
    case KT_OPTION_STORES:
        return set_list(config, option, value, where);
    case KT_OPTION_JSON_FILE:
    case KT_OPTION_SECRET:
        if (document)
            return set_inline(config, option, value, where);
        return BSON_ITER_HOLDS_UTF8(value) ? set_string(config, option, value, where)
                                           : wrong_type(where, "a document or a file's name", config->err);
    case KT_OPTION_JSON:
        if (document)
            return set_inline(config, option, value, where);
        if (BSON_ITER_HOLDS_UTF8(value) && bson_iter_utf8(value, NULL)[0] == '@')
            return set_string(config, option, value, where);
        return wrong_type(where, "a document or \"@FILE\"", config->err);
    case KT_OPTION_TEXT:
    case KT_OPTION_CHOICE:
    case KT_OPTION_PATH:
    case KT_OPTION_AGE:
        break;
    }
    return set_string(config, option, value, where);
}

static enum kt_status unknown_key(const struct config *config, const char *key)
{
    char camel[64];
    const struct kt_option *near = kt_option_nearest(key, 0, true);
    if (strcmp(key, "config") == 0)
        return kt_fail(config->err, KT_E_CONFIG, "%s: a configuration file cannot name another (\"config\")",
                       config->file);
    if (!near)
        return kt_fail(config->err, KT_E_CONFIG,
                       "%s: unknown key \"%.60s\"; keys are the options in camelCase", config->file, key);
    kt_option_camel(near, camel);
    return kt_fail(config->err, KT_E_CONFIG, "%s: unknown key \"%.60s\"; did you mean \"%s\"?", config->file,
                   key, camel);
}

static enum kt_status read_key(const struct config *config, const bson_iter_t *value, unsigned command_bit,
                               uint64_t *seen)
{
    const char *key = bson_iter_key(value);
    const struct kt_option *option = kt_option_find(key, strlen(key), true);
    if (!option || strcmp(option->name, "config") == 0)
        return unknown_key(config, key);
    char where[600];
    snprintf(where, sizeof where, "%s: %s", config->file, key);
    size_t i = kt_option_index(option);
    if (*seen >> i & 1)
        return kt_fail(config->err, KT_E_CONFIG, "%s is there twice", where);
    *seen |= (uint64_t)1 << i;

    /* An option that this command does not take, or that the command line has set, is only checked. */
    if (!(option->commands & command_bit) || config->settings->given[i] == KT_GIVEN_COMMAND) {
        struct kt_settings unused = {0};
        struct config check = {config->file, config->folder, &unused, config->err};
        enum kt_status status = set_value(&check, option, value, where);
        kt_settings_cleanup(&unused);
        return status;
    }
    config->settings->given[i] = KT_GIVEN_CONFIG;
    return set_value(config, option, value, where);
}

enum kt_status kt_config_read(const char *file, unsigned command_bit, struct kt_settings *settings,
                              struct kt_error *err)
{
    struct config config = {file, config_folder(settings, file), settings, err};
    struct kt_document_source source = {.file = file, .name = file};
    if (!config.folder)
        return kt_fail(err, KT_E_NOMEM, "no memory for %s", file);
    bson_t *bson = NULL;
    enum kt_status status = kt_document_load(&source, &bson, err);
    if (status != KT_OK)
        return status;
    settings->config_bson = bson;

    bson_iter_t value;
    uint64_t seen = 0;
    bson_iter_init(&value, bson);
    while (status == KT_OK && bson_iter_next(&value))
        status = read_key(&config, &value, command_bit, &seen);
    return status;
}
