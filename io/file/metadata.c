/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "io/file/names.h"

/* Far beyond what a server takes (BSON nests 180 to 200 deep); the nesting costs one bit a level. */
#define DEPTH_MAX 1024

/* A reader of RFC 8259 text without recursion. */
struct json {
    const uint8_t *p, *start, *end;
    unsigned depth;
    uint8_t is_object[DEPTH_MAX];
    bool in_options; /* inside the value of the top level's "options" */
    struct kt_metadata *found;
    enum kt_status status;
};

static bool fail(struct json *j, enum kt_status status)
{
    if (j->status == KT_OK)
        j->status = status;
    return false;
}

static void skip_space(struct json *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r'))
        j->p++;
}

static bool accept(struct json *j, char c)
{
    skip_space(j);
    if (j->p == j->end || *j->p != (uint8_t)c)
        return false;
    j->p++;
    return true;
}

static bool hex4(struct json *j, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++, j->p++) {
        if (j->p == j->end)
            return fail(j, KT_E_FORMAT);
        uint8_t c = *j->p, low = c | 0x20;
        if (c >= '0' && c <= '9')
            *code = *code << 4 | (uint32_t)(c - '0');
        else if (low >= 'a' && low <= 'f')
            *code = *code << 4 | (uint32_t)(low - 'a' + 10);
        else
            return fail(j, KT_E_FORMAT);
    }
    return true;
}

static size_t utf8(uint32_t code, char out[4])
{
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(lead[n] | code);
    return n;
}

/* Behind a backslash. A lone surrogate is no character: refused, as is NUL (no name may hold one). */
static bool escape(struct json *j, char out[4], size_t *n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (j->p == j->end)
        return fail(j, KT_E_FORMAT);
    char c = (char)*j->p++;
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        out[0] = to[at - from];
        *n = 1;
        return true;
    }
    uint32_t code, low;
    if (c != 'u' || !hex4(j, &code))
        return fail(j, KT_E_FORMAT);
    if (code >= 0xD800 && code < 0xDC00) {
        if (j->end - j->p < 6 || j->p[0] != '\\' || j->p[1] != 'u')
            return fail(j, KT_E_FORMAT);
        j->p += 2;
        if (!hex4(j, &low) || low < 0xDC00 || low > 0xDFFF)
            return fail(j, KT_E_FORMAT);
        code = 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00));
    } else if (code >= 0xDC00 && code < 0xE000) {
        return fail(j, KT_E_FORMAT);
    }
    *n = utf8(code, out);
    return true;
}

/* text NULL: only checked. */
static bool string(struct json *j, struct kt_buf *text)
{
    if (!accept(j, '"'))
        return fail(j, KT_E_FORMAT);
    while (j->p < j->end && *j->p != '"') {
        char out[4];
        size_t n = 1;
        if (*j->p < 0x20)
            return fail(j, KT_E_FORMAT);
        if (*j->p == '\\') {
            j->p++;
            if (!escape(j, out, &n))
                return false;
        } else {
            out[0] = (char)*j->p++;
        }
        if (text && kt_buf_append(text, out, n) != KT_OK)
            return fail(j, KT_E_NOMEM);
    }
    return accept(j, '"') || fail(j, KT_E_FORMAT);
}

/* true, false, null or a number; numbers are not looked at more closely than by their characters. */
static bool plain_word(struct json *j)
{
    skip_space(j);
    const uint8_t *from = j->p;
    while (j->p < j->end && memchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", *j->p, 40))
        j->p++;
    size_t n = (size_t)(j->p - from);
    if (n == 0)
        return fail(j, KT_E_FORMAT);
    if (*from == '-' || (*from >= '0' && *from <= '9'))
        return true;
    struct kt_span word = {from, n};
    return kt_span_equal(word, kt_span_str("true")) || kt_span_equal(word, kt_span_str("false")) ||
           kt_span_equal(word, kt_span_str("null")) || fail(j, KT_E_FORMAT);
}

static bool take_name(struct json *j, struct kt_buf *text)
{
    text->nbytes = 0;
    if (!string(j, text) || kt_buf_append(text, "", 1) != KT_OK)
        return fail(j, KT_E_NOMEM);
    if (strlen((char *)text->data) + 1 != text->nbytes)
        return fail(j, KT_E_FORMAT);
    free(j->found->collection);
    j->found->collection = strdup((char *)text->data);
    return j->found->collection || fail(j, KT_E_NOMEM);
}

/* "key": and, where it is the collection's name, its value too (then *done). */
static bool member(struct json *j, struct kt_buf *text, bool *done)
{
    text->nbytes = 0;
    if (!string(j, text) || !accept(j, ':'))
        return fail(j, KT_E_FORMAT);
    struct kt_span key = {text->data, text->nbytes};
    if (j->depth == 1)
        j->in_options = kt_span_equal(key, kt_span_str("options"));
    if (j->depth == 2 && j->in_options) {
        j->found->is_view |= kt_span_equal(key, kt_span_str("viewOn"));
        j->found->is_timeseries |= kt_span_equal(key, kt_span_str("timeseries"));
    }
    skip_space(j);
    *done =
        j->depth == 1 && kt_span_equal(key, kt_span_str("collectionName")) && j->p < j->end && *j->p == '"';
    return !*done || take_name(j, text);
}

static bool open_level(struct json *j, bool object)
{
    if (j->depth == DEPTH_MAX)
        return fail(j, KT_E_FORMAT);
    j->is_object[j->depth++] = object;
    return true;
}

/* A value, or its opening bracket; *opened tells which. */
static bool value(struct json *j, bool *opened)
{
    *opened = true;
    if (accept(j, '{'))
        return open_level(j, true);
    if (accept(j, '['))
        return open_level(j, false);
    *opened = false;
    skip_space(j);
    return j->p < j->end && *j->p == '"' ? string(j, NULL) : plain_word(j);
}

static bool walk(struct json *j, struct kt_buf *text)
{
    bool fresh; /* right behind an opening bracket, where no comma may be */
    if (!value(j, &fresh) || !fresh || !j->is_object[0])
        return fail(j, KT_E_FORMAT);
    while (j->depth > 0) {
        bool object = j->is_object[j->depth - 1], done = false;
        if (accept(j, object ? '}' : ']')) {
            j->depth--;
            fresh = false;
            continue;
        }
        if (!fresh && !accept(j, ','))
            return fail(j, KT_E_FORMAT);
        fresh = false;
        if (object && !member(j, text, &done))
            return false;
        if (!done && !value(j, &fresh))
            return false;
    }
    skip_space(j);
    return j->p == j->end || fail(j, KT_E_FORMAT);
}

enum kt_status kt_metadata_parse(struct kt_metadata *metadata, struct kt_span json, const char *label,
                                 struct kt_error *err)
{
    *metadata = (struct kt_metadata){0};
    const uint8_t *end = kt_span_skip(json, json.nbytes).data;
    struct json j = {.p = json.data, .start = json.data, .end = end, .found = metadata};
    struct kt_buf text = {0};
    bool ok = walk(&j, &text);
    kt_buf_free(&text);
    if (ok) {
        metadata->json = strndup((const char *)json.data, json.nbytes);
        ok = metadata->json || fail(&j, KT_E_NOMEM);
    }
    if (ok)
        return KT_OK;
    kt_metadata_free(metadata);
    if (j.status == KT_E_NOMEM)
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", label);
    return kt_fail(err, KT_E_FORMAT, "%s: the metadata is no JSON at byte %zu", label,
                   (size_t)(j.p - j.start));
}

void kt_metadata_free(struct kt_metadata *metadata)
{
    free(metadata->collection);
    free(metadata->json);
    *metadata = (struct kt_metadata){0};
}
