/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "kms/loop.h"

void kt_list_push(struct kt_call_list *list, struct kt_kms_call *call)
{
    call->loop.next = NULL;
    if (list->last)
        list->last->loop.next = call;
    else
        list->first = call;
    list->last = call;
    list->count++;
}

void kt_list_push_front(struct kt_call_list *list, struct kt_kms_call *call)
{
    call->loop.next = list->first;
    list->first = call;
    if (!list->last)
        list->last = call;
    list->count++;
}

struct kt_kms_call *kt_list_pop(struct kt_call_list *list)
{
    struct kt_kms_call *call = list->first;
    if (!call)
        return NULL;
    list->first = call->loop.next;
    if (!list->first)
        list->last = NULL;
    list->count--;
    call->loop.next = NULL;
    return call;
}

void kt_list_move(struct kt_call_list *from, struct kt_call_list *to)
{
    for (struct kt_kms_call *call; (call = kt_list_pop(from));)
        kt_list_push(to, call);
}

static bool earlier(const struct kt_kms_loop *loop, size_t a, size_t b)
{
    return loop->delayed[a]->loop.due_ns < loop->delayed[b]->loop.due_ns;
}

static void swap(struct kt_kms_loop *loop, size_t a, size_t b)
{
    struct kt_kms_call *call = loop->delayed[a];
    loop->delayed[a] = loop->delayed[b];
    loop->delayed[b] = call;
}

bool kt_delay_add(struct kt_kms_loop *loop, struct kt_kms_call *call)
{
    if (loop->delayed_count == loop->delayed_capacity) {
        size_t capacity = loop->delayed_capacity ? loop->delayed_capacity * 2 : 64;
        struct kt_kms_call **delayed = realloc(loop->delayed, capacity * sizeof(struct kt_kms_call *));
        if (!delayed)
            return false;
        loop->delayed = delayed;
        loop->delayed_capacity = capacity;
    }
    size_t at = loop->delayed_count++;
    loop->delayed[at] = call;
    for (; at > 0 && earlier(loop, at, (at - 1) / 2); at = (at - 1) / 2)
        swap(loop, at, (at - 1) / 2);
    return true;
}

struct kt_kms_call *kt_delay_take(struct kt_kms_loop *loop, uint64_t now_ns)
{
    if (loop->delayed_count == 0 || loop->delayed[0]->loop.due_ns > now_ns)
        return NULL;
    struct kt_kms_call *call = loop->delayed[0];
    loop->delayed[0] = loop->delayed[--loop->delayed_count];
    for (size_t at = 0;;) {
        size_t child = 2 * at + 1;
        if (child >= loop->delayed_count)
            break;
        if (child + 1 < loop->delayed_count && earlier(loop, child + 1, child))
            child++;
        if (!earlier(loop, child, at))
            break;
        swap(loop, at, child);
        at = child;
    }
    return call;
}

uint64_t kt_delay_due_ns(const struct kt_kms_loop *loop)
{
    return loop->delayed_count ? loop->delayed[0]->loop.due_ns : UINT64_MAX;
}
