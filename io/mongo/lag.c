/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/lag.h"

/* 1970 to 2100: so that differences are figures, whatever a server says. 0: it is no such date. */
#define DATE_MAX_MS INT64_C(4102444800000)

static int64_t read_date(const bson_iter_t *iter)
{
    int64_t ms = BSON_ITER_HOLDS_DATE_TIME(iter) ? bson_iter_date_time(iter) : 0;
    return ms < 0 || ms > DATE_MAX_MS ? 0 : ms;
}

static int64_t date_at(const bson_t *doc, const char *dotted)
{
    bson_iter_t iter, at;
    if (!bson_iter_init(&iter, doc) || !bson_iter_find_descendant(&iter, dotted, &at))
        return 0;
    return read_date(&at);
}

/* hello needs no right: the primary's last write, and the last one that a majority has. */
static enum kt_status majority_lag(struct kt_mongo *mongo, double *seconds, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, reply;
    BSON_APPEND_INT32(&command, "hello", 1);
    enum kt_status status = kt_mongo_read(mongo, "admin", &command, NULL, &reply, err);
    int64_t last = date_at(&reply, "lastWrite.lastWriteDate"),
            most = date_at(&reply, "lastWrite.majorityWriteDate");
    *seconds = status == KT_OK && last > most && most ? (double)(last - most) / 1000 : 0;
    bson_destroy(&reply);
    bson_destroy(&command);
    return status;
}

struct member {
    int64_t state, optime_ms;
};

static struct member read_member(const bson_iter_t *item)
{
    bson_iter_t field;
    struct member member = {-1, 0};
    if (!BSON_ITER_HOLDS_DOCUMENT(item) || !bson_iter_recurse(item, &field))
        return member;
    while (bson_iter_next(&field)) {
        if (BSON_ITER_IS_KEY(&field, "state"))
            member.state = bson_iter_as_int64(&field);
        else if (BSON_ITER_IS_KEY(&field, "optimeDate"))
            member.optime_ms = read_date(&field);
    }
    return member;
}

enum { PRIMARY = 1, SECONDARY = 2 };

static double slowest(const bson_t *reply)
{
    bson_iter_t list, item;
    int64_t primary = 0, behind = 0;
    for (int round = 0; round < 2; round++) {
        if (!bson_iter_init_find(&list, reply, "members") || !bson_iter_recurse(&list, &item))
            return 0;
        while (bson_iter_next(&item)) {
            struct member member = read_member(&item);
            if (member.state == PRIMARY)
                primary = member.optime_ms;
            else if (member.state == SECONDARY && round == 1 && primary - member.optime_ms > behind)
                behind = primary - member.optime_ms;
        }
    }
    return primary ? (double)behind / 1000 : 0;
}

enum kt_status kt_mongo_lag(struct kt_mongo *mongo, double *seconds, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, reply;
    *seconds = 0;
    if (kt_mongo_topology(mongo) != KT_REPLICA_SET)
        return KT_OK;
    BSON_APPEND_INT32(&command, "replSetGetStatus", 1);
    enum kt_status status = kt_mongo_read(mongo, "admin", &command, NULL, &reply, err);
    if (status == KT_OK)
        *seconds = slowest(&reply);
    bson_destroy(&reply);
    bson_destroy(&command);
    return status == KT_E_DENIED ? majority_lag(mongo, seconds, err) : status;
}
