/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a store: read in pieces of two sizes, and gone on with from a saved position. */
#ifndef KT_TESTS_FUZZ_SOURCE_H
#define KT_TESTS_FUZZ_SOURCE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/file/crc64.h"
#include "io/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

#define MAX_NBYTES ((uint64_t)64 << 20) /* a bomb is not unpacked for longer */

static inline void kt_must(bool holds)
{
    if (!holds)
        abort();
}

struct kt_seen {
    enum kt_status status;
    uint64_t nbytes, crc;
    unsigned pieces;
};

/* Reads on to the end; with save_at, gives the position behind that piece. */
static inline struct kt_seen kt_see(struct kt_source *source, struct kt_seen seen, size_t want,
                                    unsigned save_at, bson_t *position, struct kt_seen *then)
{
    struct kt_region region = {0};
    struct kt_piece piece;
    do {
        seen.status = kt_source_next(source, want, &region, &piece, NULL);
        if (seen.status != KT_OK || piece.kind == KT_PIECE_END)
            break;
        kt_must(kt_source_entry(source, piece.entry) != NULL);
        seen.nbytes += piece.nbytes;
        seen.crc = kt_crc64(seen.crc, region.data, piece.nbytes);
        if (++seen.pieces == save_at) {
            kt_must(kt_source_save(source, position) == KT_OK);
            *then = seen;
        }
    } while (seen.nbytes < MAX_NBYTES);
    kt_region_free(&region);
    return seen;
}

static inline bool kt_open_path(struct kt_source **source, const char *path)
{
    return kt_source_open(source, path, NULL, NULL) == KT_OK;
}

/* data is the whole file. */
static inline void kt_fuzz_source(const uint8_t *data, size_t nbytes)
{
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    kt_must(fd >= 0 && write(fd, data, nbytes) == (ssize_t)nbytes);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct kt_source *source;
    if (kt_open_path(&source, path)) {
        bson_t position = BSON_INITIALIZER;
        struct kt_seen none = {0}, then = {0};
        unsigned save_at = nbytes % 5 + 1;
        struct kt_seen small = kt_see(source, none, 64, save_at, &position, &then);
        kt_source_close(source);
        kt_must(kt_open_path(&source, path));
        struct kt_seen large = kt_see(source, none, 1 << 16, 0, NULL, NULL);
        kt_source_close(source);
        bool whole = small.nbytes < MAX_NBYTES && large.nbytes < MAX_NBYTES;
        if (whole)
            kt_must(small.status == large.status);
        if (whole && small.status == KT_OK)
            kt_must(small.nbytes == large.nbytes);
        if (whole && then.pieces > 0) {
            kt_must(kt_open_path(&source, path));
            kt_must(kt_source_seek(source, &position, NULL) == KT_OK);
            struct kt_seen rest = kt_see(source, then, 64, 0, NULL, NULL);
            kt_must(rest.status == small.status && rest.nbytes == small.nbytes && rest.crc == small.crc &&
                    rest.pieces == small.pieces);
            kt_source_close(source);
        }
        bson_destroy(&position);
    }
    close(fd);
}

#endif
