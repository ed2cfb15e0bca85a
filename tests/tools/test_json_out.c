/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/json_out.h"

#include <bson/bson.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

static char *text;
static size_t nbytes;

Test(json_out, one_line)
{
    struct kt_json json = {.out = open_memstream(&text, &nbytes)};
    kt_json_begin(&json, NULL, '{');
    kt_json_text(&json, "a", "b");
    kt_json_begin(&json, "list", '[');
    kt_json_count(&json, NULL, UINT64_MAX);
    kt_json_bool(&json, NULL, true);
    kt_json_end(&json, '[');
    kt_json_begin(&json, "empty", '{');
    kt_json_end(&json, '{');
    kt_json_seconds(&json, "s", 0.3);
    kt_json_text(&json, "none", NULL);
    kt_json_end(&json, '{');
    fclose(json.out);
    cr_assert(eq(str, text,
                 "{\"a\": \"b\", \"list\": [18446744073709551615, true], \"empty\": {}, "
                 "\"s\": 0.300, \"none\": null}"));
    free(text);
}

Test(json_out, lines)
{
    struct kt_json json = {.out = open_memstream(&text, &nbytes), .lines = true};
    kt_json_begin(&json, NULL, '{');
    kt_json_count(&json, "a", 1);
    kt_json_begin(&json, "b", '{');
    kt_json_count(&json, "c", 2);
    kt_json_end(&json, '{');
    kt_json_end(&json, '{');
    fclose(json.out);
    cr_assert(eq(str, text, "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": 2\n  }\n}"));
    free(text);
}

/* Whatever bytes a name holds, a parser takes what comes out. */
Test(json_out, hostile_text_stays_json)
{
    static const char *const cases[] = {"\"\\",
                                        "\n\t\001\037\177",
                                        "\xff\xfe",
                                        "\xc3",
                                        "\xe2\x82",
                                        "\xf0\x9f\x92",
                                        "\xc0\x80",
                                        "\xed\xa0\x80",
                                        "z\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80",
                                        "\xf8\x88\x80\x80\x80",
                                        "a\x80"
                                        "b"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bson_error_t why;
        struct kt_json json = {.out = open_memstream(&text, &nbytes)};
        kt_json_begin(&json, NULL, '{');
        kt_json_text(&json, cases[i], cases[i]);
        kt_json_end(&json, '{');
        fclose(json.out);
        bson_t *parsed = bson_new_from_json((const uint8_t *)text, (ssize_t)nbytes, &why);
        cr_expect(parsed != NULL, "case %zu: %s: %s", i, text, why.message);
        for (const unsigned char *p = (const unsigned char *)text; *p; p++)
            cr_expect(p[0] >= 0x20 && *p != 0x7f, "case %zu", i);
        bson_destroy(parsed);
        free(text);
    }
}
