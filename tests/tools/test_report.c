/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/report.h"

#include <bson/bson.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/shared.h"

static char folder[64], file[96];
static struct kt_report report;
static struct kt_error err;

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/keyturn-report.XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    snprintf(file, sizeof file, "%s/report.json", folder);
}

static void cleanup(void)
{
    kt_report_close(&report);
    unlink(file);
    rmdir(folder);
}

TestSuite(report, .init = setup, .fini = cleanup);

static size_t files_in_folder(void)
{
    size_t n = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static bson_t *parsed(void)
{
    size_t nbytes;
    uint8_t *text = kt_read_file(file, &nbytes);
    cr_assert(text != NULL);
    bson_t *doc = bson_new_from_json(text, (ssize_t)nbytes, NULL);
    cr_assert(doc != NULL, "%s", (char *)text);
    free(text);
    return doc;
}

static int64_t number(const bson_t *doc, const char *path)
{
    bson_iter_t iter, found;
    cr_assert(bson_iter_init(&iter, doc) && bson_iter_find_descendant(&iter, path, &found), "%s", path);
    return bson_iter_as_int64(&found);
}

/* A namespace holds dots, so it is looked up by hand. */
static bson_t *in_namespaces(const bson_t *doc, const char *ns)
{
    bson_iter_t iter, inner;
    const uint8_t *data;
    uint32_t nbytes;
    cr_assert(bson_iter_init_find(&iter, doc, "namespaces") && bson_iter_recurse(&iter, &inner));
    while (bson_iter_next(&inner)) {
        if (strcmp(bson_iter_key(&inner), ns) != 0)
            continue;
        bson_iter_document(&inner, &nbytes, &data);
        return bson_new_from_data(data, nbytes);
    }
    cr_assert(false, "no %s", ns);
    return NULL;
}

Test(report, what_was_done_at_each_path)
{
    const struct kt_path_counts path = {.path = "email", .authentic = 7};
    const struct kt_ns_counts ns = {.ns = "shop.customers", .values = 7, .paths = &path, .paths_count = 1};
    const struct kt_job_options options = {.kind = KT_JOB_ENCRYPT};
    const struct kt_job_result result = {.namespaces = &ns, .namespaces_count = 1};
    const struct kt_error none = {.status = KT_OK};
    cr_assert(eq(int, kt_report_open(&report, file, &err), KT_OK));
    cr_assert(eq(int, kt_report_write(&report, "encrypt", 0, &options, &result, &none, &err), KT_OK));
    bson_t *doc = parsed(), *counts = in_namespaces(doc, "shop.customers");
    cr_assert(eq(i64, number(counts, "paths.email.values"), 7));
    cr_assert_not(bson_has_field(counts, "paths.email.plaintext"), "only verify looks for that");
    bson_destroy(counts);
    bson_destroy(doc);
}

/* The job makes a file of the report's name after the report was opened. */
Test(report, a_file_that_came_up_meanwhile_is_not_replaced)
{
    const struct kt_job_options options = {.kind = KT_JOB_ENCRYPT};
    const struct kt_error none = {.status = KT_OK};
    cr_assert(eq(int, kt_report_open(&report, file, &err), KT_OK));
    FILE *out = fopen(file, "w");
    fputs("the output", out);
    fclose(out);
    cr_assert(eq(int, kt_report_write(&report, "encrypt", 0, &options, NULL, &none, &err), KT_E_EXISTS));
    size_t nbytes;
    uint8_t *text = kt_read_file(file, &nbytes);
    cr_assert(eq(sz, nbytes, strlen("the output")));
    free(text);
    kt_report_close(&report);
    cr_assert(eq(sz, files_in_folder(), 1), "no draft is left");
}

Test(report, names_of_the_figures)
{
    const struct kt_path_counts path = {"email", 1, 2, 3, 4, 5, 6, 7};
    const struct kt_ns_counts ns = {.ns = "shop.customers",
                                    .documents = 10,
                                    .changed = 9,
                                    .values = 60,
                                    .already = 1,
                                    .failed = 2,
                                    .paths = &path,
                                    .paths_count = 1};
    const struct kt_job_options options = {.kind = KT_JOB_VERIFY};
    const struct kt_job_result result = {.exit = 5,
                                         .closed = true,
                                         .seconds = 1.5,
                                         .backend = "scalar",
                                         .threads = 2,
                                         .namespaces = &ns,
                                         .namespaces_count = 1};
    const struct kt_error none = {.status = KT_OK};
    cr_assert(eq(int, kt_report_open(&report, file, &err), KT_OK));
    cr_assert(eq(int, kt_report_write(&report, "verify", 5, &options, &result, &none, &err), KT_OK));
    bson_t *doc = parsed();
    bson_t *counts = in_namespaces(doc, "shop.customers");
    cr_assert(eq(i64, number(doc, "exit"), 5));
    static const struct {
        const char *name;
        int64_t n;
    } expected[] = {{"documents", 10},
                    {"changed", 9},
                    {"values", 60},
                    {"already", 1},
                    {"failed", 2},
                    {"paths.email.authentic", 1},
                    {"paths.email.plaintext", 2},
                    {"paths.email.wrongKey", 3},
                    {"paths.email.wrongAlgorithm", 4},
                    {"paths.email.wrongType", 5},
                    {"paths.email.unauthentic", 6},
                    {"paths.email.noKey", 7}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        cr_expect(eq(i64, number(counts, expected[i].name), expected[i].n), "%s", expected[i].name);
    bson_destroy(counts);
    bson_destroy(doc);
    cr_assert(eq(sz, files_in_folder(), 1));
}

Test(report, a_failure_has_one_too)
{
    const struct kt_job_options options = {.kind = KT_JOB_REWRAP};
    struct kt_error failure;
    (void)!kt_fail(&failure, KT_E_IO, "disk \"full\"");
    cr_assert(eq(int, kt_report_open(&report, file, &err), KT_OK));
    cr_assert(eq(int, kt_report_write(&report, "rewrap", 4, &options, NULL, &failure, &err), KT_OK));
    bson_t *doc = parsed();
    bson_iter_t iter;
    cr_assert(eq(i64, number(doc, "exit"), 4));
    cr_assert(bson_iter_init_find(&iter, doc, "error"));
    cr_assert(eq(str, (char *)bson_iter_utf8(&iter, NULL), "disk \"full\""));
    bson_destroy(doc);
}

Test(report, replaces_nothing_but_reports)
{
    const struct kt_job_options options = {.kind = KT_JOB_REWRAP};
    const struct kt_error none = {.status = KT_OK};
    for (int round = 0; round < 2; round++) {
        cr_assert(eq(int, kt_report_open(&report, file, &err), KT_OK), "round %d: %s", round, err.message);
        cr_assert(eq(int, kt_report_write(&report, "rewrap", 0, &options, NULL, &none, &err), KT_OK));
        kt_report_close(&report);
    }
    FILE *out = fopen(file, "w");
    fputs("{\"keyMaterial\": 1}", out);
    fclose(out);
    cr_assert(eq(int, kt_report_open(&report, file, &err), KT_E_EXISTS));
    cr_assert(eq(int, kt_report_open(&report, folder, &err), KT_E_EXISTS));
    cr_assert(eq(int, kt_report_open(&report, "/nowhere/at/all", &err), KT_E_USAGE));
    cr_assert(eq(sz, files_in_folder(), 1));
}

Test(report, an_unwritten_one_leaves_nothing)
{
    cr_assert(eq(int, kt_report_open(&report, file, &err), KT_OK));
    kt_report_close(&report);
    cr_assert(eq(sz, files_in_folder(), 0));
}
