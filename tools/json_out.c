/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/json_out.h"

#include <bson/bson.h>
#include <inttypes.h>
#include <string.h>

/* Length of the UTF-8 sequence at p; 0 when there is none. */
static size_t sequence(const unsigned char *p)
{
    size_t nbytes = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < nbytes; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return bson_utf8_validate((const char *)p, nbytes, false) ? nbytes : 0;
}

static void quote(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t nbytes = sequence(p);
        if (nbytes == 0)
            fputs("\\ufffd", out);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(out, "\\u%04x", *p);
        else if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else
            fwrite(p, 1, nbytes, out);
        p += nbytes ? nbytes : 1;
    }
    fputc('"', out);
}

static void new_line(struct kt_json *json)
{
    if (json->lines)
        fprintf(json->out, "\n%*s", json->depth * 2, "");
}

static void field(struct kt_json *json, const char *name)
{
    if (json->more)
        fputs(json->lines ? "," : ", ", json->out);
    if (json->depth > 0)
        new_line(json);
    json->more = true;
    if (!name)
        return;
    quote(json->out, name);
    fputs(": ", json->out);
}

void kt_json_begin(struct kt_json *json, const char *name, char kind)
{
    field(json, name);
    fputc(kind, json->out);
    json->depth++;
    json->more = false;
}

void kt_json_end(struct kt_json *json, char kind)
{
    json->depth--;
    if (json->more)
        new_line(json);
    fputc(kind == '{' ? '}' : ']', json->out);
    json->more = true;
}

void kt_json_text(struct kt_json *json, const char *name, const char *text)
{
    field(json, name);
    if (text)
        quote(json->out, text);
    else
        fputs("null", json->out);
}

void kt_json_document(struct kt_json *json, const char *name, const uint8_t *bson, size_t nbytes)
{
    bson_t view;
    char *text = bson_init_static(&view, bson, nbytes) ? bson_as_relaxed_extended_json(&view, NULL) : NULL;
    field(json, name);
    fputs(text ? text : "null", json->out);
    bson_free(text);
}

void kt_json_count(struct kt_json *json, const char *name, uint64_t n)
{
    field(json, name);
    fprintf(json->out, "%" PRIu64, n);
}

void kt_json_seconds(struct kt_json *json, const char *name, double seconds)
{
    field(json, name);
    fprintf(json->out, "%.3f", seconds > 0 ? seconds : 0.0);
}

void kt_json_bool(struct kt_json *json, const char *name, bool value)
{
    field(json, name);
    fputs(value ? "true" : "false", json->out);
}
