/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/secmem.h"

#define HOST_MAX 400

bson_t *kt_json_parse(struct kt_span text)
{
    /* libbson also takes arrays and bare values, and reads a length of -1 or 0 in its own way. */
    size_t at = 0;
    while (at < text.nbytes && strchr(" \t\r\n", text.data[at]) && text.data[at])
        at++;
    if (at == text.nbytes || text.data[at] != '{')
        return NULL;
    bson_error_t error;
    return bson_new_from_json(text.data + at, (ssize_t)(text.nbytes - at), &error);
}

void kt_json_free(bson_t *json)
{
    if (!json)
        return;
    /* The document is ours alone and dies here: its bytes may be overwritten in place. */
    union {
        const uint8_t *read;
        uint8_t *write;
    } data = {.read = bson_get_data(json)};
    kt_wipe(data.write + 4, json->len - 5);
    bson_destroy(json);
}

bool kt_doc_view(struct kt_span doc, bson_t *view)
{
    return doc.data && bson_init_static(view, doc.data, doc.nbytes) &&
           bson_validate(view, BSON_VALIDATE_NONE, NULL);
}

static bool find(const bson_t *doc, const char *path, bson_iter_t *found)
{
    bson_iter_t it;
    return bson_iter_init(&it, doc) && bson_iter_find_descendant(&it, path, found);
}

const char *kt_doc_text(const bson_t *doc, const char *path)
{
    bson_iter_t it;
    if (!find(doc, path, &it) || !BSON_ITER_HOLDS_UTF8(&it))
        return NULL;
    uint32_t nbytes;
    const char *text = bson_iter_utf8(&it, &nbytes);
    return strlen(text) == nbytes ? text : NULL;
}

const char *kt_doc_text_or_empty(const bson_t *doc, const char *path)
{
    const char *text = kt_doc_text(doc, path);
    return text ? text : "";
}

bool kt_doc_host(const bson_t *doc, const char *path, struct kt_span *host)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]";
    const char *text = kt_doc_text_or_empty(doc, path), *scheme = strstr(text, "://");
    const char *begin = scheme ? scheme + 3 : text;
    *host = kt_span_of(begin, strcspn(begin, "/?"));
    return !*text || (host->nbytes > 0 && host->nbytes <= HOST_MAX && *begin != ':' &&
                      strspn(begin, legal) >= host->nbytes);
}

bool kt_doc_number(const bson_t *doc, const char *path, int64_t *number)
{
    bson_iter_t it;
    if (!find(doc, path, &it))
        return false;
    if (BSON_ITER_HOLDS_INT32(&it) || BSON_ITER_HOLDS_INT64(&it)) {
        *number = bson_iter_as_int64(&it);
        return true;
    }
    const char *text = kt_doc_text(doc, path);
    if (!text || *text < '0' || *text > '9')
        return false;
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    *number = n;
    return errno == 0 && *end == 0;
}

bool kt_doc_true(const bson_t *doc, const char *path)
{
    bson_iter_t it;
    return find(doc, path, &it) && BSON_ITER_HOLDS_BOOL(&it) && bson_iter_bool(&it);
}
