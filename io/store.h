/* SPDX-License-Identifier: Apache-2.0 */
/* Stores as streams: a source is read front to back in pieces, a sink takes the same pieces in the same
 * order, changed or not. Jobs see only these; which file format lies behind is decided by the source's magic,
 * and the sink follows it. A piece is a run of whole BSON documents of one namespace, or opaque bytes that
 * pass through.
 *
 * Names: "-" is stdin or stdout; a folder is mongodump's directory layout (db/coll.bson, .metadata.json);
 * anything else is a file: BSON documents back to back, or a mongodump archive (magic 6d e2 99 81), each
 * plain or inside gzip or zstd.
 *
 * Threads: a source and a sink belong to one thread each, not the same one; what any thread may call says so.
 */
#ifndef KT_IO_STORE_H
#define KT_IO_STORE_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/region.h"
#include "common/span.h"

/* The server's own limit for a stored document and the slack that dumps may carry (BSONObjMaxInternalSize).
 */
#define KT_DOC_MAX_NBYTES (16u << 20)
#define KT_DOC_READ_MAX_NBYTES ((16u << 20) + (16u << 10))

enum kt_container { KT_BSON_FILE, KT_DIRECTORY, KT_ARCHIVE };
enum kt_codec { KT_CODEC_NONE, KT_CODEC_GZIP, KT_CODEC_ZSTD };

/* Where an entry's namespace is from. */
enum kt_named {
    KT_NAMED_NOT,      /* nowhere: ns is "" */
    KT_NAMED_BY_FILE,  /* a lone file's own name and its folder's: a guess */
    KT_NAMED_BY_STORE, /* an archive, a place in a folder dump, or the metadata beside the file */
    KT_NAMED_BY_CALLER,
};

/* One file of a folder, one namespace of an archive, or the lone stream. Lives as long as its source. */
struct kt_entry {
    const char *file; /* path below the folder ("shop/customers.bson.gz"); "" for archives and lone streams */
    const char *ns;   /* "shop.customers"; "" when this is no collection (metadata, prelude) or has no name */
    enum kt_named named;
    enum kt_codec codec;
    bool is_oplog;        /* oplog.bson, or an archive's "oplog" with an empty database; ns is "" */
    bool is_timeseries;   /* an archive's list or metadata says so; its data comes as system.buckets.NAME */
    const char *metadata; /* the collection's options and indexes, JSON as mongodump writes it; NULL: none */
};

enum kt_piece_kind {
    KT_PIECE_DOCS,  /* whole BSON documents; each one's length and final NUL are checked, nothing inside */
    KT_PIECE_BYTES, /* opaque: files of a folder that are no collection, compressed or not, as they lie */
    KT_PIECE_END,   /* the source is at its end; no entry, no bytes */
};

struct kt_piece {
    enum kt_piece_kind kind;
    uint32_t entry; /* number of its entry; entries may alternate in an archive */
    bool opens,
        closes;   /* first and last piece of its entry; either may be empty, an empty file is one with both */
    bool segment; /* an archive's segment begins here, which the sink repeats */
    size_t nbytes;
    uint64_t at; /* offset of the first byte in the entry's uncompressed bytes, for messages */
};

struct kt_source;
struct kt_sink;

struct kt_source_options {
    const char *ns; /* for a lone file or stream that has no name by itself (KT_NAMED_NOT); NULL: none */
};

/* Opens and looks at everything that is known beforehand: the magic, all of a folder's files and their
 * metadata, an archive's list of collections. options may be NULL. Symbolic links inside a folder are refused
 * (name itself may be one), and so is whatever is neither file nor folder there. A lone file is named by the
 * metadata beside it (KT_NAMED_BY_STORE), else, when it ends in .bson, .bson.gz or .bson.zst, by its name
 * (KT_NAMED_BY_FILE); the database is its folder's name. KT_OK, KT_E_USAGE (no such file, an unreadable one),
 * KT_E_FORMAT (broken header or metadata), KT_E_IO, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_source_open(struct kt_source **source, const char *name,
                                          const struct kt_source_options *options, struct kt_error *err);

/* Gives a lone file or stream another name, before its first piece. KT_E_USAGE for folders and archives,
 * KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_source_set_ns(struct kt_source *source, const char *ns, struct kt_error *err);
void kt_source_close(struct kt_source *source);

enum kt_container kt_source_container(const struct kt_source *source);
const char *kt_source_name(const struct kt_source *source);

/* Entries known so far: all of a folder's, and all that an archive lists, right after opening (more may come
 * up in its data). NULL past the end. Threads: any; an entry keeps its place. */
const struct kt_entry *kt_source_entry(const struct kt_source *source, uint32_t i);

/* Ends a kt_source_next that waits for a silent pipe, and all later ones, with KT_E_STOPPED. Any thread. */
void kt_source_interrupt(struct kt_source *source);

/* Bytes to be read and read so far, of the files as they lie (compressed); total is 0 when unknown (a pipe).
 * Threads: any. */
void kt_source_progress(const struct kt_source *source, uint64_t *done, uint64_t *total);

/* Reads the next piece into `into`, which grows to `want` bytes, or to a single document that is larger: at
 * most want bytes otherwise, at least one document, never more than one namespace. KT_OK, KT_E_FORMAT (names
 * file, namespace and offset), KT_E_IO (also when a file changed while it was read), KT_E_NOMEM. After an
 * error the source can only be closed. */
KT_MUST_USE enum kt_status kt_source_next(struct kt_source *source, size_t want, struct kt_region *into,
                                          struct kt_piece *piece, struct kt_error *err);

/* Appends the position behind the last piece, and what identifies the input (size, mtime, inode, or the
 * CRC-64 of what was read from a pipe), to a checkpoint. kt_source_seek goes there in a freshly opened source
 * and refuses (KT_E_OTHER_JOB) an input that is not the same. */
KT_MUST_USE enum kt_status kt_source_save(const struct kt_source *source, bson_t *position);
KT_MUST_USE enum kt_status kt_source_seek(struct kt_source *source, const bson_t *position,
                                          struct kt_error *err);

/* A sink like the source, which must outlive it, under a final name that must not exist (device files and
 * pipes may). It grows as NAME.part, locked, with its checkpoint in NAME.part.checkpoint, and gets its name
 * in kt_sink_finish only; files are readable by their owner only (0600, folders 0700). A NAME.part of an
 * earlier run is found by kt_sink_open: kt_sink_position then gives the job's document of its checkpoint
 * (NULL: none; lives as long as the sink, or until kt_sink_restart), and the caller either resumes, after
 * kt_source_seek, or begins anew with kt_sink_restart. Without a checkpoint kt_sink_put begins anew by
 * itself. KT_E_EXISTS (also a NAME.part that carries no checkpoint and so is not ours), KT_E_BUSY (names the
 * other process when it is known), KT_E_USAGE (no folder to write to, a folder to a stream, an output inside
 * the input), KT_E_FORMAT (a damaged checkpoint, a part shorter than it), KT_E_OTHER_JOB (another version's
 * or another kind of output), KT_E_IO, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_sink_open(struct kt_sink **sink, const char *name, const struct kt_source *like,
                                        struct kt_error *err);

/* The same errors, and nothing is created or locked: for dry runs. The sink can be asked for its position and
 * closed (without discard), nothing else. */
KT_MUST_USE enum kt_status kt_sink_look(struct kt_sink **sink, const char *name, const struct kt_source *like,
                                        struct kt_error *err);
const bson_t *kt_sink_position(const struct kt_sink *sink);
KT_MUST_USE enum kt_status kt_sink_restart(struct kt_sink *sink, struct kt_error *err);
KT_MUST_USE enum kt_status kt_sink_resume(struct kt_sink *sink, struct kt_error *err);

/* True for stdout, devices and pipes: nothing can be resumed, kt_sink_checkpoint does nothing. */
bool kt_sink_is_stream(const struct kt_sink *sink);

/* Writes one piece, in the source's order; bytes are piece->nbytes long or any other length after a change
 * (whole documents still). KT_E_IO names the file and the cause (disk full, pipe closed), KT_E_NOMEM. After
 * an error the sink can only be closed. */
KT_MUST_USE enum kt_status kt_sink_put(struct kt_sink *sink, const struct kt_entry *entry,
                                       const struct kt_piece *piece, struct kt_span bytes,
                                       struct kt_error *err);

/* Makes all that was put durable, then stores job (counts, the source's position, what the job is) together
 * with the sink's own position, atomically: after a kill at any instant one of the checkpoints is whole. Each
 * one ends a gzip member or zstd frame. KT_E_IO, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_sink_checkpoint(struct kt_sink *sink, const bson_t *job, struct kt_error *err);

/* Makes everything durable, gives it its final name and removes the checkpoint. After KT_OK the final name
 * holds the whole output; after a kill it holds it or is not there. KT_E_IO, also when the name has come
 * up meanwhile (the part stays). */
KT_MUST_USE enum kt_status kt_sink_finish(struct kt_sink *sink, struct kt_error *err);

/* Closes without finishing: the part and its last checkpoint stay for the next run. NULL is accepted. With
 * `discard` they are removed (nothing was done yet). */
void kt_sink_close(struct kt_sink *sink, bool discard);

#endif
