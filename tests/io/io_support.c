/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/io/io_support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/support/shared.h"

const char *kt_tmp(void)
{
    static char folder[64];
    static pid_t owner;
    if (owner != 0)
        return folder;
    /* In memory where there is such a place: the tests make outputs durable thousands of times. */
    snprintf(folder, sizeof folder, "%s/kt-io-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    cr_assert(mkdtemp(folder), "mkdtemp: %s", strerror(errno));
    owner = getpid();
    return folder;
}

static struct path {
    struct path *next;
    char text[512];
} * paths;

const char *kt_tmp_path(const char *fmt, ...)
{
    struct path *path = malloc(sizeof *path);
    cr_assert(path);
    path->next = paths;
    paths = path;
    int n = snprintf(path->text, sizeof path->text, "%s/", kt_tmp());
    va_list args;
    va_start(args, fmt);
    vsnprintf(path->text + n, sizeof path->text - (size_t)n, fmt, args);
    va_end(args);
    return path->text;
}

void kt_run(const char *fmt, ...)
{
    char command[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(command, sizeof command, fmt, args);
    va_end(args);
    cr_assert_eq(system(command), 0, "%s", command);
}

void kt_tmp_remove(void)
{
    kt_run("rm -rf '%s'", kt_tmp());
    while (paths) {
        struct path *next = paths->next;
        free(paths);
        paths = next;
    }
}

void kt_make_folders(const char *path)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *p = folder + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        cr_assert(mkdir(folder, 0755) == 0 || errno == EEXIST, "%s: %s", folder, strerror(errno));
        *p = '/';
    }
}

void kt_write_file(const char *path, const void *data, size_t nbytes)
{
    kt_make_folders(path);
    FILE *f = fopen(path, "wb");
    cr_assert(f, "%s: %s", path, strerror(errno));
    cr_assert(nbytes == 0 || fwrite(data, 1, nbytes, f) == nbytes);
    cr_assert_eq(fclose(f), 0);
}

struct kt_buf kt_slurp(const char *path)
{
    struct kt_buf buf = {0};
    buf.data = kt_read_file(path, &buf.nbytes);
    cr_assert(buf.data, "%s: cannot be read", path);
    return buf;
}

void kt_assert_same_file(const char *a, const char *b)
{
    struct kt_buf x = kt_slurp(a), y = kt_slurp(b);
    cr_assert_eq(x.nbytes, y.nbytes, "%s has %zu bytes, %s %zu", a, x.nbytes, b, y.nbytes);
    cr_assert(memcmp(x.data, y.data, x.nbytes) == 0, "%s and %s differ", a, b);
    kt_buf_free(&x);
    kt_buf_free(&y);
}

void kt_assert_same_tree(const char *a, const char *b)
{
    kt_run("diff -r '%s' '%s'", a, b);
}

bool kt_path_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

struct kt_buf kt_documents(uint32_t n, size_t nbytes)
{
    struct kt_buf all = {0};
    char *text = malloc(nbytes + 1);
    cr_assert(text);
    for (uint32_t i = 0; i < n; i++) {
        for (size_t k = 0; k < nbytes; k++)
            text[k] = (char)('a' + (i * 7 + k * k) % 26);
        text[nbytes] = 0;
        bson_t *doc = BCON_NEW("_id", BCON_INT32((int32_t)i), "t", BCON_UTF8(text));
        cr_assert_eq(kt_buf_append(&all, bson_get_data(doc), doc->len), KT_OK);
        bson_destroy(doc);
    }
    free(text);
    return all;
}

static struct kt_buf pack_gzip(struct kt_span plain)
{
    z_stream z = {0};
    struct kt_buf out = {0};
    cr_assert_eq(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(kt_buf_reserve(&out, deflateBound(&z, plain.nbytes) + 64), KT_OK);
    z.next_in = (Bytef *)plain.data;
    z.avail_in = (uInt)plain.nbytes;
    z.next_out = out.data;
    z.avail_out = (uInt)out.capacity;
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.nbytes = out.capacity - z.avail_out;
    deflateEnd(&z);
    return out;
}

struct kt_buf kt_pack(struct kt_span plain, enum kt_codec codec)
{
    struct kt_buf out = {0};
    if (codec == KT_CODEC_GZIP)
        return pack_gzip(plain);
    if (codec == KT_CODEC_ZSTD) {
        cr_assert_eq(kt_buf_reserve(&out, ZSTD_compressBound(plain.nbytes)), KT_OK);
        out.nbytes = ZSTD_compress(out.data, out.capacity, plain.data, plain.nbytes, 1);
        cr_assert(!ZSTD_isError(out.nbytes));
        return out;
    }
    cr_assert_eq(kt_buf_append(&out, plain.data, plain.nbytes), KT_OK);
    return out;
}

static enum kt_status twice(struct kt_span docs, struct kt_buf *out)
{
    out->nbytes = 0;
    while (docs.nbytes > 0) {
        size_t n = kt_load_le32(docs.data);
        if (kt_buf_append(out, docs.data, n) != KT_OK || kt_buf_append(out, docs.data, n) != KT_OK)
            return KT_E_NOMEM;
        docs = kt_span_skip(docs, n);
    }
    return KT_OK;
}

static enum kt_status put_piece(struct kt_sink *sink, const struct kt_source *source,
                                const struct kt_copy *copy, const struct kt_piece *piece,
                                const struct kt_region *region, struct kt_error *err)
{
    struct kt_buf changed = {0};
    struct kt_span bytes = {region->data, piece->nbytes};
    if (copy->doubled && piece->kind == KT_PIECE_DOCS) {
        if (twice(bytes, &changed) != KT_OK)
            return kt_fail(err, KT_E_NOMEM, "memory ran out");
        bytes = kt_span_of(changed.data, changed.nbytes);
    }
    enum kt_status status = kt_sink_put(sink, kt_source_entry(source, piece->entry), piece, bytes, err);
    kt_buf_free(&changed);
    return status;
}

static enum kt_status copy_pieces(struct kt_source *source, struct kt_sink *sink, struct kt_copy *copy,
                                  struct kt_region *region, struct kt_error *err)
{
    for (;;) {
        struct kt_piece piece;
        enum kt_status status =
            kt_source_next(source, copy->want ? copy->want : 4u << 20, region, &piece, err);
        if (status != KT_OK || piece.kind == KT_PIECE_END)
            return status;
        status = put_piece(sink, source, copy, &piece, region, err);
        if (status != KT_OK)
            return status;
        copy->put++;
        if (copy->checkpoint_every && copy->put % copy->checkpoint_every == 0) {
            bson_t job = BSON_INITIALIZER;
            status = kt_source_save(source, &job);
            if (status == KT_OK)
                status = kt_sink_checkpoint(sink, &job, err);
            bson_destroy(&job);
            if (status != KT_OK)
                return status;
        }
        if (copy->stop_after && copy->put == copy->stop_after) {
            copy->stopped = true;
            return KT_OK;
        }
    }
}

static enum kt_status begin_or_resume(struct kt_source *source, struct kt_sink *sink, struct kt_copy *copy,
                                      struct kt_error *err)
{
    const bson_t *job = kt_sink_position(sink);
    copy->resumed = job != NULL;
    if (!job)
        return kt_sink_restart(sink, err);
    enum kt_status status = kt_source_seek(source, job, err);
    return status == KT_OK ? kt_sink_resume(sink, err) : status;
}

enum kt_status kt_copy_store(const char *from, const char *to, struct kt_copy *copy, struct kt_error *err)
{
    struct kt_source *source = NULL;
    struct kt_sink *sink = NULL;
    struct kt_region region = {0};
    copy->put = 0;
    copy->stopped = copy->resumed = false;
    enum kt_status status = kt_source_open(&source, from, NULL, err);
    if (status == KT_OK)
        status = kt_sink_open(&sink, to, source, err);
    if (status == KT_OK)
        status = begin_or_resume(source, sink, copy, err);
    if (status == KT_OK)
        status = copy_pieces(source, sink, copy, &region, err);
    if (status == KT_OK && !copy->stopped)
        status = kt_sink_finish(sink, err);
    kt_sink_close(sink, false);
    kt_source_close(source);
    kt_region_free(&region);
    return status;
}

enum kt_status kt_read_store(const char *from, size_t want, struct kt_buf *all, struct kt_error *err)
{
    struct kt_source *source = NULL;
    struct kt_region region = {0};
    struct kt_piece piece = {.kind = KT_PIECE_DOCS};
    *all = (struct kt_buf){0};
    enum kt_status status = kt_source_open(&source, from, NULL, err);
    while (status == KT_OK && piece.kind != KT_PIECE_END) {
        status = kt_source_next(source, want, &region, &piece, err);
        if (status == KT_OK)
            status = kt_buf_append(all, region.data, piece.nbytes);
    }
    kt_source_close(source);
    kt_region_free(&region);
    return status;
}
