/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "jobs/only.h"

static char *file_with(const char *text)
{
    char *name = strdup("/tmp/kt-only-XXXXXX");
    int fd = mkstemp(name);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return name;
}

static bool has(struct kt_only *only, const char *ns, bson_t *doc)
{
    struct kt_doc where = {.nbytes = doc->len};
    bool result = kt_only_has(only, ns, bson_get_data(doc), &where);
    bson_destroy(doc);
    return result;
}

Test(only, looking_is_not_finding)
{
    char *name = file_with("{\"ns\": \"a.b\", \"_id\": \"two\"}\n");
    struct kt_only *only;
    struct kt_error err;
    size_t listed, missed;
    bson_t *doc = BCON_NEW("_id", BCON_UTF8("two"));
    struct kt_doc where = {.nbytes = doc->len};
    cr_assert(kt_only_new(&only, name, &err) == KT_OK, "%s", err.message);
    cr_assert(kt_only_lists(only, "a.b", bson_get_data(doc), &where));
    cr_assert_not(kt_only_lists(only, "a.c", bson_get_data(doc), &where));
    kt_only_count(only, &listed, &missed);
    cr_assert_eq(missed, 1);
    cr_assert(has(only, "a.b", doc));
    kt_only_count(only, &listed, &missed);
    cr_assert_eq(missed, 0);
    kt_only_free(only);
    unlink(name);
    free(name);
}

Test(only, lists_documents_by_namespace_and_id)
{
    char *name =
        file_with("{\"ns\": \"a.b\", \"_id\": {\"$numberInt\": \"1\"}, \"path\": \"x\", \"reason\": \"r\"}\n"
                  "\n"
                  "{\"ns\": \"a.b\", \"_id\": \"two\", \"reason\": \"r\"}\n"
                  "{\"ns\": \"a.c\", \"_id\": {\"$oid\": \"5ca4bbcea2dd94ee58162a68\"}}\n"
                  "{\"ns\": \"a.c\", \"_id\": {\"$oid\": \"5ca4bbcea2dd94ee58162a68\"}}\n");
    struct kt_only *only;
    struct kt_error err;
    cr_assert(kt_only_new(&only, name, &err) == KT_OK, "%s", err.message);
    cr_assert(has(only, "a.b", BCON_NEW("_id", BCON_INT32(1))));
    cr_assert_not(has(only, "a.b", BCON_NEW("_id", BCON_INT64(1))), "another type is another _id");
    cr_assert(has(only, "a.b", BCON_NEW("z", BCON_INT32(9), "_id", BCON_UTF8("two"))));
    cr_assert_not(has(only, "a.c", BCON_NEW("_id", BCON_UTF8("two"))));
    cr_assert_not(has(only, "a.b", BCON_NEW("z", BCON_INT32(1))));
    size_t listed, missed;
    kt_only_count(only, &listed, &missed);
    cr_assert_eq(listed, 3);
    cr_assert_eq(missed, 1, "a.c is listed twice and was never asked for");
    kt_only_free(only);
    unlink(name);
    free(name);
}

/* {"_id": "\xff"} */
Test(only, an_id_that_json_cannot_hold_is_read_as_bson)
{
    char *name = file_with("{\"ns\": \"a.b\", \"_id\": \"\\\\xff\", \"idBson\": {\"$binary\": {\"base64\": "
                           "\"EAAAAAJfaWQAAgAAAP8AAA==\", \"subType\": \"00\"}}}\n");
    struct kt_only *only;
    struct kt_error err;
    cr_assert(kt_only_new(&only, name, &err) == KT_OK, "%s", err.message);
    cr_assert(has(only, "a.b", BCON_NEW("_id", BCON_UTF8("\xff"))));
    cr_assert_not(has(only, "a.b", BCON_NEW("_id", BCON_UTF8("\\xff"))));
    kt_only_free(only);
    unlink(name);
    free(name);
}

Test(only, a_line_that_is_no_failure_is_named)
{
    static const char *const bad[] = {"{\"ns\": \"a.b\"}\n", "{\"_id\": 1}\n", "nonsense\n",
                                      "{\"ns\": 5, \"_id\": 1}\n",
                                      "{\"ns\": \"a.b\", \"_id\": 1, \"idBson\": {\"$binary\": {\"base64\": "
                                      "\"AAAA\", \"subType\": \"00\"}}}\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *name = file_with(bad[i]);
        struct kt_only *only;
        struct kt_error err;
        cr_assert_eq(kt_only_new(&only, name, &err), KT_E_CONFIG);
        cr_assert(strstr(err.message, "line 1"), "%s", err.message);
        unlink(name);
        free(name);
    }
}

Test(only, a_missing_file_is_named)
{
    struct kt_only *only;
    struct kt_error err;
    cr_assert_eq(kt_only_new(&only, "/nonexistent/list", &err), KT_E_CONFIG);
    cr_assert(strstr(err.message, "/nonexistent/list"));
}
