/* SPDX-License-Identifier: Apache-2.0 */
/* What the kinds of file sink share. */
#ifndef KT_IO_FILE_SINK_H
#define KT_IO_FILE_SINK_H

#include "io/file/entries.h"
#include "io/file/output.h"
#include "io/file/part.h"
#include "io/file/source.h"

struct kt_sink;

struct kt_sink_kind {
    /* Before the first piece of an output begun anew. */
    enum kt_status (*begin)(struct kt_sink *, struct kt_error *);
    enum kt_status (*put)(struct kt_sink *, const struct kt_file_entry *, const struct kt_piece *,
                          struct kt_span, struct kt_error *);
    /* Makes everything durable and appends where it ends. */
    enum kt_status (*save)(struct kt_sink *, bson_t *position, struct kt_error *);
    /* Cuts the output back to a saved position and goes on there. */
    enum kt_status (*resume)(struct kt_sink *, bson_iter_t *position, struct kt_error *);
    /* Completes the output and makes it durable. */
    enum kt_status (*finish)(struct kt_sink *, struct kt_error *);
    void (*close)(struct kt_sink *);
};

enum kt_sink_state { KT_SINK_OPENED, KT_SINK_READY, KT_SINK_FINISHED };

struct kt_sink {
    const struct kt_sink_kind *kind;
    const struct kt_source *like;
    bool is_stream;
    char *label;         /* what is written to, for messages */
    struct kt_part part; /* not used by streams */
    bson_t *stored;      /* the checkpoint that was found; NULL: none */
    bson_t *job;         /* its document for the job; NULL: none */
    enum kt_sink_state state;
    struct kt_region gathered; /* lent to the folder's files */
    struct kt_output *out;     /* the file, or the folder's current one; NULL between two */
};

extern const struct kt_sink_kind kt_lone_sink, kt_directory_sink, kt_archive_sink;
size_t kt_archive_sink_size(void);
size_t kt_directory_sink_size(void);

/* For kinds that write one file: put bytes, save and resume its length under "bytes", finish. */
KT_MUST_USE enum kt_status kt_single_save(struct kt_sink *sink, bson_t *position, struct kt_error *err);
KT_MUST_USE enum kt_status kt_single_resume(struct kt_sink *sink, bson_iter_t *position,
                                            struct kt_error *err);
KT_MUST_USE enum kt_status kt_single_finish(struct kt_sink *sink, struct kt_error *err);

/* Cuts the open file back to nbytes and leaves its offset there. KT_E_FORMAT when it is shorter, KT_E_IO. */
KT_MUST_USE enum kt_status kt_sink_cut_back(struct kt_sink *sink, int fd, int64_t nbytes,
                                            struct kt_error *err);

#endif
