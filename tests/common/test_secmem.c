/* SPDX-License-Identifier: Apache-2.0 */
#include "common/secmem.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/common/vmflags.h"

/* The sanitizers replace mlock by a function that does nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOCKS_FOR_REAL false
#elif defined(__has_feature)
#define LOCKS_FOR_REAL (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define LOCKS_FOR_REAL true
#endif

static struct kt_secmem *opened(void)
{
    struct kt_secmem *pool;
    struct kt_error err;
    cr_assert_eq(kt_secmem_open(&pool, &err), KT_OK, "%s", err.message);
    return pool;
}

static bool all_zero(const uint8_t *p, size_t nbytes)
{
    for (size_t i = 0; i < nbytes; i++)
        if (p[i])
            return false;
    return true;
}

/* The soft limit only, so that it needs no rights. */
static void limit_to(size_t nbytes)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    limit.rlim_cur = nbytes;
    cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
}

Test(secmem, memory_is_locked_and_left_out_of_dumps_and_forks)
{
    struct kt_secmem *pool = opened();
    uint8_t *p = kt_secmem_alloc(pool, 100);
    cr_assert_not_null(p);
    cr_expect(vm_has_flag(p, "lo") || !LOCKS_FOR_REAL);
    cr_expect(vm_has_flag(p, "dd"));
    cr_expect(vm_has_flag(p, "wf"));
    kt_secmem_free(pool, p);
    kt_secmem_close(pool);
}

Test(secmem, a_forked_child_finds_zeros)
{
    struct kt_secmem *pool = opened();
    uint8_t *p = kt_secmem_alloc(pool, 4096);
    memset(p, 0xa5, 4096);
    pid_t child = fork();
    cr_assert_neq(child, -1);
    if (child == 0)
        _exit(all_zero(p, 4096) ? 0 : 1);
    int how;
    cr_assert_eq(waitpid(child, &how, 0), child);
    cr_expect(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    cr_expect_eq(p[4095], 0xa5, "the parent keeps its own");
    kt_secmem_close(pool);
}

Test(secmem, allocations_are_aligned_and_zeroed_and_apart)
{
    struct kt_secmem *pool = opened();
    uint8_t *list[100];
    for (size_t i = 0; i < 100; i++) {
        list[i] = kt_secmem_alloc(pool, i);
        cr_assert_not_null(list[i]);
        cr_assert_eq((uintptr_t)list[i] % 64, 0);
        cr_assert(all_zero(list[i], i));
        memset(list[i], (int)i, i);
    }
    for (size_t i = 0; i < 100; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert_eq(list[i][j], i);
    kt_secmem_close(pool);
}

Test(secmem, what_is_freed_is_wiped_and_used_again)
{
    struct kt_secmem *pool = opened();
    size_t before = kt_secmem_available(pool);
    uint8_t *p = kt_secmem_alloc(pool, 768);
    memset(p, 0xff, 768);
    cr_expect_eq(kt_secmem_available(pool), before - 768);
    kt_secmem_free(pool, p);
    cr_expect(all_zero(p, 768));
    cr_expect_eq(kt_secmem_available(pool), before);
    cr_expect_eq(kt_secmem_alloc(pool, 700), p);
    kt_secmem_free(pool, NULL);
    kt_secmem_close(pool);
}

Test(secmem, freeing_one_does_not_touch_its_neighbours)
{
    struct kt_secmem *pool = opened();
    uint8_t *a = kt_secmem_alloc(pool, 130), *b = kt_secmem_alloc(pool, 130), *c = kt_secmem_alloc(pool, 130);
    memset(a, 1, 130);
    memset(b, 2, 130);
    memset(c, 3, 130);
    kt_secmem_free(pool, b);
    cr_expect(a[0] == 1 && a[129] == 1 && c[0] == 3 && c[129] == 3);
    cr_expect_null(kt_secmem_alloc(pool, kt_secmem_size(pool)), "a hole in front does not make it fit");
    cr_expect_eq(kt_secmem_alloc(pool, 192), b);
    kt_secmem_close(pool);
}

Test(secmem, a_full_pool_says_no_and_recovers)
{
    struct kt_secmem *pool = opened();
    size_t count = kt_secmem_size(pool) / 4096;
    uint8_t **list = calloc(count, sizeof *list);
    for (size_t i = 0; i < count; i++)
        cr_assert_not_null(list[i] = kt_secmem_alloc(pool, 4096));
    cr_expect_eq(kt_secmem_available(pool), 0);
    cr_expect_null(kt_secmem_alloc(pool, 1));
    cr_expect_null(kt_secmem_alloc(pool, 0));
    kt_secmem_free(pool, list[count / 2]);
    cr_expect_null(kt_secmem_alloc(pool, 4097));
    cr_expect_eq(kt_secmem_alloc(pool, 4096), list[count / 2]);
    free(list);
    kt_secmem_close(pool);
}

Test(secmem, a_fragmented_pool_serves_what_fits_and_joins_neighbours)
{
    struct kt_secmem *pool = opened();
    size_t count = kt_secmem_size(pool) / 64;
    uint8_t **list = calloc(count, sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] = kt_secmem_alloc(pool, 64);
    for (size_t i = 0; i < count; i += 2)
        kt_secmem_free(pool, list[i]);
    cr_expect_eq(kt_secmem_available(pool), kt_secmem_size(pool) / 2);
    cr_expect_null(kt_secmem_alloc(pool, 65));
    kt_secmem_free(pool, list[1001]);
    cr_expect_eq(kt_secmem_alloc(pool, 192), list[1000]);
    free(list);
    kt_secmem_close(pool);
}

Test(secmem, random_sizes_never_overlap_and_nothing_gets_lost)
{
    enum { LIVE = 300 };
    struct kt_secmem *pool = opened();
    struct {
        uint8_t *p;
        size_t nbytes;
    } live[LIVE] = {0};
    unsigned seed = 4711;
    for (int round = 0; round < 20000; round++) {
        size_t i = (size_t)rand_r(&seed) % LIVE;
        if (live[i].p) {
            for (size_t k = 0; k < live[i].nbytes; k++)
                cr_assert_eq(live[i].p[k], (uint8_t)i);
            kt_secmem_free(pool, live[i].p);
            live[i].p = NULL;
            continue;
        }
        live[i].nbytes = 1 + (size_t)rand_r(&seed) % 2000;
        live[i].p = kt_secmem_alloc(pool, live[i].nbytes);
        cr_assert(live[i].p && all_zero(live[i].p, live[i].nbytes));
        memset(live[i].p, (int)i, live[i].nbytes);
    }
    for (size_t i = 0; i < LIVE; i++)
        kt_secmem_free(pool, live[i].p);
    cr_expect_eq(kt_secmem_available(pool), kt_secmem_size(pool));
    cr_expect_not_null(kt_secmem_alloc(pool, kt_secmem_size(pool)), "all of it is one piece again");
    kt_secmem_close(pool);
}

Test(secmem, impossible_sizes_are_refused)
{
    struct kt_secmem *pool = opened();
    const size_t sizes[] = {kt_secmem_size(pool) + 1, SIZE_MAX, SIZE_MAX - 62, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        cr_expect_null(kt_secmem_alloc(pool, sizes[i]));
    void *whole = kt_secmem_alloc(pool, kt_secmem_size(pool));
    cr_expect_not_null(whole);
    kt_secmem_free(pool, whole);
    kt_secmem_close(pool);
}

Test(secmem, closing_accepts_null)
{
    kt_secmem_close(NULL);
}

Test(secmem, the_pool_is_never_larger_than_its_bound)
{
    struct kt_secmem *pool = opened();
    cr_expect_leq(kt_secmem_size(pool), KT_SECMEM_MAX);
    cr_expect_geq(kt_secmem_size(pool), KT_SECMEM_MIN);
    kt_secmem_close(pool);
}

Test(secmem, a_lower_limit_shrinks_the_pool)
{
    limit_to((1 << 20) + 100);
    struct kt_secmem *pool = opened();
    cr_expect_eq(kt_secmem_size(pool), (size_t)1 << 20);
    kt_secmem_close(pool);
    limit_to(KT_SECMEM_MIN);
    pool = opened();
    cr_expect_eq(kt_secmem_size(pool), KT_SECMEM_MIN);
    kt_secmem_close(pool);
}

Test(secmem, a_limit_below_the_minimum_is_refused_with_the_way_out)
{
    const size_t limits[] = {KT_SECMEM_MIN - 1, 64 << 10, 4096, 0};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct kt_secmem *pool = (void *)1;
        struct kt_error err = {0};
        limit_to(limits[i]);
        cr_expect_eq(kt_secmem_open(&pool, &err), KT_E_CONFIG);
        cr_expect_null(pool);
        cr_expect_eq(err.status, KT_E_CONFIG);
        cr_expect_not_null(strstr(err.message, "256 KiB"));
        cr_expect_not_null(strstr(err.message, "ulimit -l"));
    }
}

/* Root's locked pages do not count against the limit, so this says something only for other users. */
Test(secmem, pages_locked_by_others_shrink_the_pool_too)
{
    if (!LOCKS_FOR_REAL)
        cr_skip_test("build: mlock does nothing here");
    limit_to((size_t)2 << 20);
    if (setuid(65534) != 0)
        cr_skip_test("machine: cannot give up root's rights");
    void *other = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_eq(mlock(other, 1 << 20), 0);
    struct kt_secmem *pool = opened();
    cr_expect_eq(kt_secmem_size(pool), (size_t)1 << 20);
    kt_secmem_close(pool);
    cr_assert_eq(mlock(other, 1 << 20), 0);
}

static void *churn(void *arg)
{
    struct kt_secmem *pool = arg;
    for (unsigned i = 0; i < 2000; i++) {
        size_t nbytes = 1 + i * 37 % 900;
        uint8_t *p = kt_secmem_alloc(pool, nbytes);
        if (!p || !all_zero(p, nbytes))
            return (void *)1;
        memset(p, 0xee, nbytes);
        kt_secmem_free(pool, p);
    }
    return NULL;
}

Test(secmem, threads_share_one_pool)
{
    struct kt_secmem *pool = opened();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, churn, pool), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        cr_expect_null(failed);
    }
    cr_expect_eq(kt_secmem_available(pool), kt_secmem_size(pool));
    kt_secmem_close(pool);
}
