/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an output: it grows as NAME.part, file or folder, under a lock, and becomes NAME by one rename.
 *
 *   NAME  NAME.part  NAME.part.checkpoint
 *   -     -          -                      nothing yet
 *   -     empty      any                    killed while beginning: begun anew
 *   -     yes        without a job          killed before anything was durable: begun anew
 *   -     yes        with a job             work in progress, or killed: goes on from the checkpoint
 *   -     yes        -                      not ours: refused
 *   yes   -          yes                    killed while finishing, all is done: the checkpoint is a leftover
 *   yes   -          -                      done
 * A leftover checkpoint beside an empty or absent part is never believed. */
#ifndef KT_IO_FILE_PART_H
#define KT_IO_FILE_PART_H

#include "io/store.h"

struct kt_part {
    int parent; /* the folder that NAME lies in */
    int fd;     /* NAME.part, locked while open */
    bool is_folder;
    bool is_empty;                   /* when it was opened */
    char *label;                     /* NAME.part as the user would write it, for messages */
    char *name, *final, *checkpoint; /* NAME.part, NAME, NAME.part.checkpoint below parent */
    char *fresh;                     /* NAME.part.checkpoint.new: a checkpoint while it is written */
};

/* KT_E_EXISTS (NAME is there), KT_E_BUSY, KT_E_USAGE (no such folder to write to, or NAME.part is of the
 * other sort), KT_E_IO, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_part_open(struct kt_part *part, const char *name, bool folder,
                                        struct kt_error *err);

/* The same without creating or locking anything, for a look at what is there: only kt_part_load and
 * kt_part_close may follow. fd is -1 when there is no NAME.part. */
KT_MUST_USE enum kt_status kt_part_look(struct kt_part *part, const char *name, bool folder,
                                        struct kt_error *err);

/* Stores a document atomically and durably as the checkpoint; KT_E_IO, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_part_store(struct kt_part *part, const bson_t *checkpoint,
                                         struct kt_error *err);

/* The stored document, or NULL when there is none; the caller destroys it. KT_E_FORMAT: damaged. */
KT_MUST_USE enum kt_status kt_part_load(struct kt_part *part, bson_t **checkpoint, struct kt_error *err);

/* Makes the part, whose content the caller has made durable, NAME. KT_E_IO, also when NAME has come up
 * meanwhile: that is no refusal, as the work is done. */
KT_MUST_USE enum kt_status kt_part_publish(struct kt_part *part, struct kt_error *err);

/* Empties the part, after the checkpoint has been made one without a job. KT_E_IO, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_part_clear(struct kt_part *part, struct kt_error *err);

/* Removes part and checkpoint, as far as that works. */
void kt_part_discard(struct kt_part *part);
void kt_part_close(struct kt_part *part);

#endif
