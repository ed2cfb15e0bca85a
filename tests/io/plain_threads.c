/* SPDX-License-Identifier: Apache-2.0 */
/* A reader's thread and a writer's thread share nothing but pieces and entries, also while an archive's data
 * brings up entries that its list did not name. Without Criterion, so that ThreadSanitizer can look. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/store.h"

#define NAMESPACES 3000 /* more than one block of the entry table */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct kt_piece piece;
    struct kt_buf bytes;
    bool full, ended;
    struct kt_source *source;
    struct kt_sink *sink;
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "plain_threads: %s\n", what);
    exit(1);
}

static void append(FILE *f, bson_t *doc)
{
    must(fwrite(bson_get_data(doc), 1, doc->len, f) == doc->len, "write");
    bson_destroy(doc);
}

static void append_mark(FILE *f)
{
    must(fwrite("\xff\xff\xff\xff", 1, 4, f) == 4, "write");
}

static int make_archive(void)
{
    int fd = memfd_create("archive", 0);
    FILE *f = fdopen(dup(fd), "w");
    must(fd >= 0 && f && fwrite("\x6d\xe2\x99\x81", 1, 4, f) == 4, "archive");
    append(f, BCON_NEW("concurrent_collections", BCON_INT32(4), "version", BCON_UTF8("0.1")));
    append_mark(f);
    for (int i = 0; i < NAMESPACES; i++) {
        char name[32];
        snprintf(name, sizeof name, "c%d", i);
        append(f, BCON_NEW("db", BCON_UTF8("d"), "collection", BCON_UTF8(name), "EOF", BCON_BOOL(false)));
        append(f, BCON_NEW("_id", BCON_INT32(i)));
        append_mark(f);
        append(f, BCON_NEW("db", BCON_UTF8("d"), "collection", BCON_UTF8(name), "EOF", BCON_BOOL(true)));
        append_mark(f);
    }
    must(fclose(f) == 0, "close");
    return fd;
}

static void *write_pieces(void *unused)
{
    (void)unused;
    struct kt_error err;
    for (;;) {
        pthread_mutex_lock(&shared.mutex);
        while (!shared.full && !shared.ended)
            pthread_cond_wait(&shared.changed, &shared.mutex);
        if (!shared.full) {
            pthread_mutex_unlock(&shared.mutex);
            break;
        }
        struct kt_piece piece = shared.piece;
        struct kt_buf bytes = shared.bytes;
        shared.bytes = (struct kt_buf){0};
        shared.full = false;
        pthread_cond_signal(&shared.changed);
        pthread_mutex_unlock(&shared.mutex);
        const struct kt_entry *entry = kt_source_entry(shared.source, piece.entry);
        must(entry != NULL, "an entry that is not there");
        enum kt_status status =
            kt_sink_put(shared.sink, entry, &piece, kt_span_of(bytes.data, bytes.nbytes), &err);
        must(status == KT_OK, err.message);
        kt_buf_free(&bytes);
    }
    must(kt_sink_finish(shared.sink, &err) == KT_OK, err.message);
    return NULL;
}

static void hand_over(const struct kt_piece *piece, const struct kt_region *region)
{
    pthread_mutex_lock(&shared.mutex);
    while (shared.full)
        pthread_cond_wait(&shared.changed, &shared.mutex);
    shared.ended = piece->kind == KT_PIECE_END;
    if (!shared.ended) {
        must(kt_buf_append(&shared.bytes, region->data, piece->nbytes) == KT_OK, "memory");
        shared.piece = *piece;
        shared.full = true;
    }
    pthread_cond_signal(&shared.changed);
    pthread_mutex_unlock(&shared.mutex);
}

int main(void)
{
    struct kt_error err;
    struct kt_region region = {0};
    struct kt_piece piece;
    char path[64];
    int fd = make_archive();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must(kt_source_open(&shared.source, path, NULL, &err) == KT_OK, err.message);
    must(kt_sink_open(&shared.sink, "/dev/null", shared.source, &err) == KT_OK, err.message);
    pthread_t writer;
    must(pthread_create(&writer, NULL, write_pieces, NULL) == 0, "thread");
    do {
        must(kt_source_next(shared.source, 4096, &region, &piece, &err) == KT_OK, err.message);
        hand_over(&piece, &region);
        uint64_t done, total;
        kt_source_progress(shared.source, &done, &total);
        must(done <= total, "progress");
    } while (piece.kind != KT_PIECE_END);
    must(pthread_join(writer, NULL) == 0, "join");
    must(kt_source_entry(shared.source, NAMESPACES - 1) != NULL, "an entry is missing");
    must(kt_source_entry(shared.source, NAMESPACES) == NULL, "an entry too many");
    kt_sink_close(shared.sink, false);
    kt_source_close(shared.source);
    kt_region_free(&region);
    close(fd);
    return 0;
}
