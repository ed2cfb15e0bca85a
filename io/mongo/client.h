/* SPDX-License-Identifier: Apache-2.0 */
/* One MongoDB deployment: a pool of connections and the commands that run in no transaction.
 *
 * Threads: any; each call takes a client from the pool for as long as it lasts. */
#ifndef KT_IO_MONGO_CLIENT_H
#define KT_IO_MONGO_CLIENT_H

#include <bson/bson.h>
#include <mongoc/mongoc.h>
#include <stdbool.h>

#include "common/log.h"
#include "common/span.h"

struct kt_mongo;

/* True for mongodb:// and mongodb+srv://. */
bool kt_mongo_is_uri(const char *name);

/* Connects and asks the server who it is. what: the option that named it ("--from"), for messages, which
 * never show the URI's user or password. clients: how many may be borrowed at a time. Everything is read from
 * the primary, whatever the URI prefers. Options of the URI that the driver ignores are warned of; those of
 * TLS are refused. KT_OK; KT_E_USAGE (no legal URI); KT_E_DENIED (authentication); KT_E_NET (no server
 * answers); KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_mongo_open(struct kt_mongo **mongo, const char *uri, const char *what,
                                         unsigned clients, const struct kt_log *log, struct kt_error *err);
void kt_mongo_close(struct kt_mongo *mongo);

/* What the server says of itself. */
enum kt_topology { KT_REPLICA_SET, KT_SHARDED, KT_STANDALONE };
enum kt_topology kt_mongo_topology(const struct kt_mongo *mongo);
const char *kt_mongo_name(const struct kt_mongo *mongo); /* for people: "rs0", or "host:port" */
/* Appends "db1:27017,db2:27017", as the URI has them, or the name that an SRV record stands under, and a NUL.
 * KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_mongo_hosts(const struct kt_mongo *mongo, struct kt_buf *out);
const char *kt_mongo_uri(const struct kt_mongo *mongo); /* as given: may hold a password */

/* For how long a server that is away is looked for: the URI's serverSelectionTimeoutMS (30 s). Commands are
 * sent again until it has passed. */
uint64_t kt_mongo_patience_ns(const struct kt_mongo *mongo);

/* From now on nothing is looked for any longer: the job is over. Any thread. */
void kt_mongo_give_up(struct kt_mongo *mongo);
bool kt_mongo_is_given_up(const struct kt_mongo *mongo);

/* The database that the URI names; NULL: none. */
const char *kt_mongo_database(const struct kt_mongo *mongo);

/* Whether both lead to the same primary. */
KT_MUST_USE enum kt_status kt_mongo_is_same(struct kt_mongo *a, struct kt_mongo *b, bool *same,
                                            struct kt_error *err);
int kt_mongo_version(const struct kt_mongo *mongo); /* 60005 is 6.0.5 */

/* A client of one's own. NULL: memory ran out. */
mongoc_client_t *kt_mongo_borrow(struct kt_mongo *mongo);
void kt_mongo_give_back(struct kt_mongo *mongo, mongoc_client_t *client);

/* Splits "db.coll" at its first dot: *coll points into ns, db has room for 64 bytes. False when it is no
 * namespace. */
bool kt_ns_split(const char *ns, char db[64], const char **coll);

/* Runs one command on the primary. opts may be NULL; reply is set up by the call and must be destroyed in
 * every case. KT_OK, or as kt_mongo_fail says. */
KT_MUST_USE enum kt_status kt_mongo_read(struct kt_mongo *mongo, const char *db, const bson_t *command,
                                         const bson_t *opts, bson_t *reply, struct kt_error *err);

/* The same; *code: the server's number, 0 when it took the command, did not answer, or could only not just
 * now. quiet: its words, which may quote values of documents, are left out. */
KT_MUST_USE enum kt_status kt_mongo_read_coded(struct kt_mongo *mongo, const char *db, const bson_t *command,
                                               const bson_t *opts, bool quiet, bson_t *reply, int *code,
                                               struct kt_error *err);

/* The same with write concern majority. Errors of single statements (writeErrors) and of the write concern
 * are errors too; code, which may be NULL, tells the server's number. */
KT_MUST_USE enum kt_status kt_mongo_write(struct kt_mongo *mongo, const char *db, const bson_t *command,
                                          bson_t *reply, int *code, struct kt_error *err);

/* Finds with read concern majority and hands on each document, borrowed for the call; each returns KT_OK to
 * go on. opts (may be NULL): the command's further fields. KT_OK, what each said, or as kt_mongo_fail says.
 */
typedef enum kt_status (*kt_each_fn)(void *context, const bson_t *doc, struct kt_error *err);
KT_MUST_USE enum kt_status kt_mongo_each(struct kt_mongo *mongo, const char *ns, const bson_t *filter,
                                         const bson_t *opts, kt_each_fn each, void *context,
                                         struct kt_error *err);

/* The same over the documents of any command that answers with a cursor; read concern and all else is the
 * command's. doing: for errors ("reading a list"). */
KT_MUST_USE enum kt_status kt_mongo_each_of_command(struct kt_mongo *mongo, const char *db,
                                                    const bson_t *command, const char *doing, kt_each_fn each,
                                                    void *context, struct kt_error *err);

/* Over an aggregation's results, with read concern majority. pipeline: {"pipeline": [...]}; opts (may be
 * NULL): the command's further fields. */
KT_MUST_USE enum kt_status kt_mongo_aggregate(struct kt_mongo *mongo, const char *ns, const bson_t *pipeline,
                                              const bson_t *opts, kt_each_fn each, void *context,
                                              struct kt_error *err);

/* An aggregation that begins with no collection ($documents). */
KT_MUST_USE enum kt_status kt_mongo_aggregate_db(struct kt_mongo *mongo, const char *db,
                                                 const bson_t *pipeline, kt_each_fn each, void *context,
                                                 struct kt_error *err);

/* killSessions for the 16-byte ids that lie back to back: open transactions of these sessions are aborted at
 * once. KT_OK (also when the server knows none of them), or as kt_mongo_fail says. */
KT_MUST_USE enum kt_status kt_mongo_kill_sessions(struct kt_mongo *mongo, const uint8_t *ids, size_t count,
                                                  struct kt_error *err);

#endif
