/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "io/file/names.h"

Test(names, stems)
{
    cr_assert_eq(kt_bson_stem("coll.bson"), 4u);
    cr_assert_eq(kt_bson_stem("coll.bson.gz"), 4u);
    cr_assert_eq(kt_bson_stem("coll.bson.zst"), 4u);
    cr_assert_eq(kt_bson_stem("a.b.bson"), 3u);
    cr_assert_eq(kt_bson_stem("coll.bson.bson"), 9u);
    static const char *const none[] = {".bson",     "bson", "coll.bson.gzip", "coll.BSON",
                                       "coll.json", "",     ".bson.gz",       "coll.metadata.json"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        cr_assert_eq(kt_bson_stem(none[i]), 0u, "%s", none[i]);
}

Test(names, percent)
{
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"caf%C3%A9s", "caf\xc3\xa9s"},
        {"a%2fb", "a/b"},
        {"a%2Fb", "a/b"},
        {"50%", "50%"},
        {"50%2", "50%2"},
        {"%zz", "%zz"},
        {"a%00b", "a%00b"},
        {"%25%32%35", "%25"},
        {"", ""},
        {"%", "%"},
        {"%41", "A"},
        {"a\xc3\xa9", "a\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = kt_percent_decode(cases[i][0], strlen(cases[i][0]));
        cr_assert_str_eq(got, cases[i][1]);
        free(got);
    }
    char *part = kt_percent_decode("a%41", 3);
    cr_assert_str_eq(part, "a%4", "what lies behind the given length is not read");
    free(part);
}
