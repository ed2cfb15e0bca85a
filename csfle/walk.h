/* SPDX-License-Identifier: Apache-2.0 */
/* The raw walk: reads one BSON document front to back, bounds-checked to the last byte (every length, every
 * NUL, every type byte, depth at most KT_BSON_DEPTH_MAX; texts may hold any bytes), and emits an op for each
 * place that may change.
 *
 * Ops of one document stand in document order. A FRAME op stands before the ops inside an embedded document
 * or array and is there only when such an op follows. Offsets count from the start of the arena that the
 * document lies in, so ops of a whole batch share one array. */
#ifndef KT_CSFLE_WALK_H
#define KT_CSFLE_WALK_H

#include <stdint.h>

#include "common/span.h"
#include "csfle/payload.h"
#include "csfle/schema.h"

#define KT_NO_RULE UINT16_MAX /* so a schema has at most 65,534 rules */
#define KT_NO_KEY UINT32_MAX
#define KT_NO_OP UINT32_MAX

/* What lay out does with an op. The walk emits FRAME and KEEP; the planner turns KEEP into SEAL or OPEN. */
enum kt_action {
    KT_FRAME, /* an embedded document whose length must be patched */
    KT_KEEP,  /* leave as it is */
    KT_SEAL,  /* becomes BinData 6 with a hole for the engine */
    KT_OPEN,  /* becomes the opened value */
};

struct kt_op {
    uint32_t element;      /* offset of the element's type byte; its name follows */
    uint32_t value;        /* offset of the value (FRAME: of the embedded document's length) */
    uint32_t value_nbytes; /* length of the value as it stands */
    uint32_t key;          /* the planner's key handle; the walk writes KT_NO_KEY */
    uint32_t hole; /* SEAL: set by lay out, offset in `out` behind the AAD. OPEN: the planner sets where in
                      the plaintext arena the opened value lies */
    uint32_t opened_nbytes; /* OPEN: its length */
    uint16_t rule;          /* rule of the schema, or KT_NO_RULE */
    uint8_t action;         /* enum kt_action */
    uint8_t type;      /* BSON type: as it stands (KEEP, SEAL), of the opened value (OPEN; planner sets) */
    uint8_t algorithm; /* SEAL: enum kt_algorithm; planner sets */
};

struct kt_ops {
    struct kt_op *v;
    size_t count, capacity;
};

/* Pointer targets met in one document, by number of the pointer: data NULL when absent or not a plain string.
 * Without its length prefix and NUL. */
struct kt_pointers {
    struct kt_span *v; /* kt_schema_pointers() of them, caller-owned */
};

/* Where a walk failed, for the message. */
struct kt_walk_fault {
    uint32_t at;      /* offset in the arena of the element or length that is wrong */
    bool content;     /* a value's content alone is wrong: lengths and types up to here are sound */
    const char *what; /* "unknown type byte", "length runs past its document", ...; static */
};

/* Emits an op (KEEP, with rule and type) for each element at a path of the schema, and fills pointers. An
 * array (or a payload, or any other value) where the schema needs an embedded document to reach a rule: for
 * an array an op with action KEEP, the array's type and rule = the first rule below it is emitted with
 * `algorithm` = 0xff (KT_ARRAY_IN_PATH), so that the planner fails the document; other types are passed over,
 * as there is nothing to encrypt below them. Where two patterns of the schema with different rules match a
 * name, or a pattern could not be matched within its limits, the op has `algorithm` = KT_PATH_UNDECIDED and
 * the rule of one of them; the document fails too. KT_OK; KT_E_FORMAT (fault filled, ops of this document are
 * taken back); KT_E_NOMEM. pointers may be NULL when the schema has none. */
#define KT_ARRAY_IN_PATH 0xff
#define KT_PATH_UNDECIDED 0xfe
KT_MUST_USE enum kt_status kt_walk_schema(const struct kt_schema *schema, const uint8_t *arena, uint32_t at,
                                          uint32_t nbytes, struct kt_ops *ops, struct kt_pointers *pointers,
                                          struct kt_walk_fault *fault);

/* The same for every CSFLE payload anywhere in the document (arrays included, scopes of code not), without a
 * schema: rule = KT_NO_RULE, type = BinData. What begins as a payload but has no payload's length gets an op
 * with `algorithm` = KT_BROKEN_PAYLOAD; it cannot be opened. */
#define KT_BROKEN_PAYLOAD 0xfd
KT_MUST_USE enum kt_status kt_walk_payloads(const uint8_t *arena, uint32_t at, uint32_t nbytes,
                                            struct kt_ops *ops, struct kt_walk_fault *fault);

/* The same for every encrypted value that may name a key (kt_payload_key_id), scopes of code included. */
KT_MUST_USE enum kt_status kt_walk_key_ids(const uint8_t *arena, uint32_t at, uint32_t nbytes,
                                           struct kt_ops *ops, struct kt_walk_fault *fault);

/* Dotted path of ops[i], which belongs to the document whose ops begin at `first`; cut to fit,
 * NUL-terminated. */
void kt_op_path(const uint8_t *arena, const struct kt_ops *ops, size_t first, size_t i, char *out,
                size_t nbytes);

/* Type and value of the document's top-level _id; type 0 when there is none. The document was walked. */
uint8_t kt_doc_id(const uint8_t *arena, uint32_t at, struct kt_span *value);

void kt_ops_free(struct kt_ops *ops);

#endif
