/* SPDX-License-Identifier: Apache-2.0 */
/* Files, folders, BSON and copies for the tests of sources and sinks. */
#ifndef KT_TESTS_IO_SUPPORT_H
#define KT_TESTS_IO_SUPPORT_H

#include <stdarg.h>

#include "common/span.h"
#include "io/store.h"

/* A new folder that is this process's own; removed by kt_tmp_remove. Paths below it live until then. */
const char *kt_tmp(void);
const char *kt_tmp_path(const char *fmt, ...) KT_PRINTF(1, 2);
void kt_tmp_remove(void);

/* All of these fail the test when they cannot. */
void kt_write_file(const char *path, const void *data, size_t nbytes);
void kt_make_folders(const char *path); /* the folders that path lies in */
struct kt_buf kt_slurp(const char *path);
void kt_assert_same_file(const char *a, const char *b);
void kt_assert_same_tree(const char *a, const char *b);
bool kt_path_exists(const char *path);
void kt_run(const char *fmt, ...) KT_PRINTF(1, 2); /* through the shell */

/* n documents {_id: i, t: text of `nbytes` bytes that depends on i}. */
struct kt_buf kt_documents(uint32_t n, size_t nbytes);

struct kt_buf kt_pack(struct kt_span plain, enum kt_codec codec);

/* Parts of a mongodump archive, appended to `to`. A segment may be empty. */
void kt_archive_begin(struct kt_buf *to, const char *version);
void kt_archive_list(struct kt_buf *to, const char *db, const char *collection, const char *metadata,
                     const char *type);
void kt_archive_mark(struct kt_buf *to);
void kt_archive_segment(struct kt_buf *to, const char *db, const char *collection, struct kt_span docs);
void kt_archive_eof(struct kt_buf *to, const char *db, const char *collection, uint64_t crc);

/* One with three namespaces whose segments alternate, n documents in each segment, and an oplog. */
struct kt_buf kt_archive_sample(uint32_t n);

/* How to copy a source to a sink. Zeroed: in pieces of 4 MiB, without checkpoints. */
struct kt_copy {
    size_t want;
    unsigned checkpoint_every; /* pieces; 0: never */
    unsigned stop_after;       /* pieces; 0: never. Then the sink is closed as it is and *stopped is true */
    bool doubled;              /* each document twice: an output of another length */
    unsigned put;              /* out: pieces that were put */
    bool stopped, resumed;     /* out */
};

/* Goes on from a checkpoint when the sink carries one. After a failure the sink is closed as it is. */
enum kt_status kt_copy_store(const char *from, const char *to, struct kt_copy *copy, struct kt_error *err);

/* Reads a source to its end, without a sink, and gives all bytes in the order in which they come. */
enum kt_status kt_read_store(const char *from, size_t want, struct kt_buf *all, struct kt_error *err);

#endif
