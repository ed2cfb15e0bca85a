/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/documents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/secmem.h"
#include "tools/wiping.h"

/* Where a whole number stands that 64 bits cannot hold, which libbson would wrap; NULL: nowhere. */
static const char *too_large_number(const char *text)
{
    bool quoted = false;
    for (const char *p = text; *p; p++) {
        if (*p == '"')
            quoted = !quoted;
        else if (quoted && *p == '\\' && p[1])
            p++;
        if (quoted || *p < '0' || *p > '9')
            continue;
        size_t n = strspn(p, "0123456789");
        errno = 0;
        strtoll(p > text && p[-1] == '-' ? p - 1 : p, NULL, 10);
        if (errno == ERANGE && !strchr(".eE", p[n]))
            return p;
        p += strspn(p, "0123456789+-.eE") - 1;
    }
    return NULL;
}

/* libbson's parser quotes what it did not understand, which may be a secret: only the place is told. */
static enum kt_status parse_json(const char *name, const char *text, size_t nbytes, bson_t **bson,
                                 struct kt_error *err)
{
    bson_error_t why;
    size_t blank = strspn(text, " \t\r\n");
    if (blank == nbytes)
        return kt_fail(err, KT_E_CONFIG, "%s is empty; a JSON object belongs there", name);
    if (strlen(text) != nbytes)
        return kt_fail(err, KT_E_CONFIG, "%s holds a NUL byte, so it is no JSON", name);
    if (text[blank] != '{')
        return kt_fail(err, KT_E_CONFIG, "%s is no JSON object: it does not start with {", name);
    const char *number = too_large_number(text);
    if (number)
        return kt_fail(err, KT_E_CONFIG, "%s: the whole number at its byte %zu does not fit into 64 bits",
                       name, (size_t)(number - text));
    *bson = bson_new_from_json((const uint8_t *)text, (ssize_t)nbytes, &why);
    if (*bson)
        return KT_OK;
    const char *at = strstr(why.message, "line ");
    return kt_fail(err, KT_E_CONFIG, "%s is no valid JSON or Extended JSON%s%.40s", name, at ? ", " : "",
                   at ? at : "");
}

static enum kt_status read_all(int fd, const char *file, char **text, size_t *nbytes, struct kt_error *err)
{
    size_t capacity = 1 << 16, used = 0;
    char *room = kt_wiping_malloc(capacity + 1);
    while (room) {
        ssize_t got = read(fd, room + used, capacity - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            *text = room;
            *nbytes = used;
            room[used] = 0;
            return got == 0 ? KT_OK : kt_fail(err, KT_E_CONFIG, "%s: %s", file, strerror(errno));
        }
        used += (size_t)got;
        if (used < capacity)
            continue;
        if (capacity >= KT_DOCUMENT_MAX_NBYTES) {
            *text = room;
            *nbytes = used;
            return kt_fail(err, KT_E_CONFIG, "%s is larger than 16 MiB, too large for a document", file);
        }
        /* no realloc: it may leave a copy behind */
        char *larger = kt_wiping_malloc(capacity * 2 + 1);
        if (larger)
            memcpy(larger, room, used);
        kt_wiping_free(room);
        room = larger;
        capacity *= 2;
    }
    return kt_fail(err, KT_E_NOMEM, "no memory for %s", file);
}

static enum kt_status load_file(const struct kt_document_source *source, bson_t **bson, struct kt_error *err)
{
    char *text = NULL;
    size_t nbytes = 0;
    int fd = open(source->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return kt_fail(err, KT_E_CONFIG, "%s: %s", source->file, strerror(errno));
    enum kt_status status = read_all(fd, source->file, &text, &nbytes, err);
    close(fd);
    if (status == KT_OK)
        status = parse_json(source->file, text, nbytes, bson, err);
    kt_wiping_free(text);
    return status;
}

static enum kt_status load_env(const struct kt_document_source *source, bson_t **bson, struct kt_error *err)
{
    char *text = getenv(source->env);
    if (!text)
        return kt_fail(err, KT_E_CONFIG, "the environment has no variable %s (%s)", source->env,
                       source->name);
    enum kt_status status = parse_json(source->name, text, strlen(text), bson, err);
    /* /proc/PID/environ shows it as long as it stands there */
    kt_wipe(text, strlen(text));
    return status;
}

enum kt_status kt_document_load(const struct kt_document_source *source, bson_t **bson, struct kt_error *err)
{
    *bson = NULL;
    if (source->file)
        return load_file(source, bson, err);
    if (source->env)
        return load_env(source, bson, err);
    if (source->json)
        return parse_json(source->name, source->json, strlen(source->json), bson, err);
    if (source->bson && !(*bson = bson_copy(source->bson)))
        return kt_fail(err, KT_E_NOMEM, "no memory for %s", source->name);
    return KT_OK;
}

static enum kt_status take(const bson_iter_t *field, const char *name, bson_t **out, struct kt_error *err)
{
    const uint8_t *data;
    uint32_t nbytes;
    if (!BSON_ITER_HOLDS_DOCUMENT(field))
        return kt_fail(err, KT_E_CONFIG, "%s: \"%s\" must be a document", name, bson_iter_key(field));
    if (*out)
        return kt_fail(err, KT_E_CONFIG, "%s: \"%s\" is given twice", name, bson_iter_key(field));
    bson_iter_document(field, &nbytes, &data);
    *out = bson_new_from_data(data, nbytes);
    return *out ? KT_OK : kt_fail(err, KT_E_NOMEM, "no memory for %s", name);
}

enum kt_status kt_document_split_providers(const bson_t *both, const char *name, bson_t **kms, bson_t **tls,
                                           struct kt_error *err)
{
    bson_iter_t field;
    bson_iter_init(&field, both);
    while (bson_iter_next(&field)) {
        const char *key = bson_iter_key(&field);
        enum kt_status status;
        if (strcmp(key, "kmsProviders") == 0)
            status = take(&field, name, kms, err);
        else if (strcmp(key, "tlsOptions") == 0)
            status = take(&field, name, tls, err);
        else
            status = kt_fail(err, KT_E_CONFIG,
                             "%s: unknown key \"%.60s\"; the file holds {\"kmsProviders\": {...}, "
                             "\"tlsOptions\": {...}}",
                             name, key);
        if (status != KT_OK)
            return status;
    }
    if (!*kms)
        return kt_fail(err, KT_E_CONFIG, "%s lacks \"kmsProviders\"", name);
    return KT_OK;
}

bool kt_document_exposed(const char *file, unsigned *mode)
{
    struct stat st;
    if (stat(file, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    *mode = st.st_mode & 07777;
    return st.st_mode & (S_IRGRP | S_IROTH);
}
