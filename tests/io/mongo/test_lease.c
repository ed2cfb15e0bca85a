/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/lease.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/mongo/lease_private.h"
#include "io/mongo/state.h"
#include "tests/io/mongo/mongo_support.h"

static struct kt_lease_name name_of(struct kt_test_server *server)
{
    return (struct kt_lease_name){
        .state_db = server->db, .ns = "shop.customers", .command = "encrypt", .job = "$abc"};
}

static bool give_up(void *context, const char *holder)
{
    (void)holder;
    ++*(int *)context;
    return false;
}

/* Takes it, expecting to be told at once that it is held. */
static void expect_held(struct kt_test_server *server, const struct kt_owner *owner)
{
    struct kt_lease_name name = name_of(server);
    int told = 0;
    cr_assert_eq(kt_lease_take(server->mongo, &name, owner, NULL, 0, give_up, &told, &server->err),
                 KT_E_STOPPED);
    cr_assert_eq(told, 1);
}

Test(lease, one_holds_it_until_it_gives_it_back)
{
    struct kt_test_server server;
    struct kt_owner first, second;
    kt_test_open(&server);
    struct kt_lease_name name = name_of(&server);
    uint8_t session[16] = {1};
    cr_assert_eq(kt_state_create(server.mongo, server.db, &server.err), KT_OK);
    cr_assert_eq(kt_owner_self(&first, &server.err), KT_OK);
    cr_assert_eq(kt_owner_self(&second, &server.err), KT_OK);
    cr_assert_neq(memcmp(first.id, second.id, 16), 0);
    cr_assert_eq(kt_lease_take(server.mongo, &name, &first, session, 1, NULL, NULL, &server.err), KT_OK, "%s",
                 server.err.message);
    expect_held(&server, &second);
    cr_assert_eq(kt_lease_renew(server.mongo, &name, &first, &server.err), KT_OK);
    cr_assert_eq(kt_lease_renew(server.mongo, &name, &second, &server.err), KT_E_BUSY);
    cr_assert_eq(kt_lease_release(server.mongo, &name, &second, &server.err), KT_OK);
    expect_held(&server, &second);
    cr_assert_eq(kt_lease_release(server.mongo, &name, &first, &server.err), KT_OK);
    cr_assert_eq(kt_lease_take(server.mongo, &name, &second, NULL, 0, NULL, NULL, &server.err), KT_OK);
    kt_test_close(&server);
}

Test(lease, one_that_has_expired_is_taken_over)
{
    struct kt_test_server server;
    struct kt_owner first, second;
    kt_test_open(&server);
    struct kt_lease_name name = name_of(&server);
    cr_assert_eq(kt_state_create(server.mongo, server.db, &server.err), KT_OK);
    cr_assert_eq(kt_owner_self(&first, &server.err), KT_OK);
    cr_assert_eq(kt_owner_self(&second, &server.err), KT_OK);
    cr_assert_eq(kt_lease_take(server.mongo, &name, &first, NULL, 0, NULL, NULL, &server.err), KT_OK);
    kt_test_run(&server,
                "{\"update\": \"checkpoints\", \"updates\": [{\"q\": {\"_id.is\": \"lease\"}, \"u\": "
                "{\"$set\": {\"expires\": {\"$date\": 0}}}}]}");
    cr_assert_eq(kt_lease_take(server.mongo, &name, &second, NULL, 0, NULL, NULL, &server.err), KT_OK);
    cr_assert_eq(kt_lease_renew(server.mongo, &name, &first, &server.err), KT_E_BUSY);
    cr_assert_not_null(strstr(server.err.message, "lease lost"));
    kt_test_close(&server);
}

Test(lease, a_dead_owner_on_this_machine_is_followed_at_once_and_its_sessions_end)
{
    struct kt_test_server server;
    struct kt_owner dead, self;
    struct kt_lane lane;
    bson_t reply;
    kt_test_open(&server);
    struct kt_lease_name name = name_of(&server);
    cr_assert_eq(kt_state_create(server.mongo, server.db, &server.err), KT_OK);
    cr_assert_eq(kt_owner_self(&dead, &server.err), KT_OK);
    cr_assert_eq(kt_owner_self(&self, &server.err), KT_OK);
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    dead.pid = (int)child;
    dead.started = kt_process_started(dead.pid);
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_neq(dead.started, 0);

    /* Its lane left a write open. */
    int64_t n;
    bson_t *insert = BCON_NEW("insert", "docs", "documents", "[", "{", "_id", BCON_INT32(1), "}", "]");
    cr_assert_eq(kt_mongo_write(server.mongo, server.db, insert, &reply, NULL, &server.err), KT_OK);
    bson_destroy(&reply);
    bson_destroy(insert);
    bson_t *update = BCON_NEW("update", "docs", "updates", "[", "{", "q", "{", "_id", BCON_INT32(1), "}", "u",
                              "{", "$set", "{", "a", BCON_INT32(1), "}", "}", "}", "]");
    cr_assert_eq(kt_lane_open(&lane, server.mongo, false, &server.err), KT_OK);
    cr_assert_eq(kt_txn_begin(&lane, &server.err), KT_TXN_OK);
    cr_assert_eq(
        kt_txn_write(&lane, server.db, kt_span_of(bson_get_data(update), update->len), &n, &server.err),
        KT_TXN_OK);
    cr_assert_eq(kt_lease_take(server.mongo, &name, &dead, lane.session_id, 1, NULL, NULL, &server.err),
                 KT_OK);

    cr_assert_eq(kt_lease_take(server.mongo, &name, &self, NULL, 0, NULL, NULL, &server.err), KT_OK, "%s",
                 server.err.message);
    cr_assert_eq(kt_mongo_write(server.mongo, server.db, update, &reply, NULL, &server.err), KT_OK);
    bson_destroy(&reply);
    cr_assert_eq(kt_txn_commit(&lane, 1000, &server.err), KT_TXN_AGAIN);
    bson_destroy(update);
    kt_lane_close(&lane);
    kt_test_close(&server);
}

Test(lease, only_certain_death_counts)
{
    struct kt_owner self, other;
    struct kt_error err;
    cr_assert_eq(kt_owner_self(&self, &err), KT_OK);
    other = self;
    cr_assert_not(kt_owner_is_dead(&other, &self));
    other.started++; /* the number belongs to another process by now */
    cr_assert(kt_owner_is_dead(&other, &self));
    other.pid_ns++;
    cr_assert_not(kt_owner_is_dead(&other, &self));
    other = self;
    other.boot_id[0] ^= 1;
    cr_assert(kt_owner_is_dead(&other, &self));
    other.host[0] ^= 1;
    cr_assert_not(kt_owner_is_dead(&other, &self));
    cr_assert_eq(kt_process_started(1 << 30), 0);
}
