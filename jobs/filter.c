/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/filter.h"

#include <stdlib.h>
#include <string.h>

struct kt_filter {
    bson_t *doc; /* libbson's own allocation: a bson_t is aligned to 128 bytes */
};

static bool is_operator(const bson_iter_t *iter)
{
    return bson_iter_key(iter)[0] == '$';
}

static bool holds_operators(const bson_iter_t *iter)
{
    bson_iter_t inner;
    return BSON_ITER_HOLDS_DOCUMENT(iter) && bson_iter_recurse(iter, &inner) && bson_iter_next(&inner) &&
           is_operator(&inner);
}

static enum kt_status check(const bson_iter_t *at, struct kt_error *err, int depth);

static enum kt_status check_operators(const bson_iter_t *at, struct kt_error *err)
{
    bson_iter_t inner;
    if (!bson_iter_recurse(at, &inner))
        return kt_fail(err, KT_E_USAGE, "--filter: broken document");
    while (bson_iter_next(&inner)) {
        const char *name = bson_iter_key(&inner);
        bool list = strcmp(name, "$in") == 0;
        if (strcmp(name, "$eq") != 0 && strcmp(name, "$ne") != 0 && strcmp(name, "$exists") != 0 && !list)
            return kt_fail(
                err, KT_E_USAGE,
                "--filter: %s is not understood on files; $eq, $ne, $in, $exists, $and and $or are", name);
        if (list && !BSON_ITER_HOLDS_ARRAY(&inner))
            return kt_fail(err, KT_E_USAGE, "--filter: $in needs an array");
    }
    return KT_OK;
}

static enum kt_status check_list(const bson_iter_t *at, struct kt_error *err, int depth)
{
    bson_iter_t list, item;
    if (!BSON_ITER_HOLDS_ARRAY(at) || !bson_iter_recurse(at, &list))
        return kt_fail(err, KT_E_USAGE, "--filter: %s needs an array of documents", bson_iter_key(at));
    bool some = false;
    while (bson_iter_next(&list)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&list) || !bson_iter_recurse(&list, &item))
            return kt_fail(err, KT_E_USAGE, "--filter: %s needs an array of documents", bson_iter_key(at));
        some = true;
        while (bson_iter_next(&item)) {
            enum kt_status status = check(&item, err, depth + 1);
            if (status != KT_OK)
                return status;
        }
    }
    return some ? KT_OK
                : kt_fail(err, KT_E_USAGE, "--filter: %s needs a document at least", bson_iter_key(at));
}

static enum kt_status check(const bson_iter_t *at, struct kt_error *err, int depth)
{
    const char *name = bson_iter_key(at);
    if (depth > 32)
        return kt_fail(err, KT_E_USAGE, "--filter is nested too deeply");
    if (strcmp(name, "$and") == 0 || strcmp(name, "$or") == 0)
        return check_list(at, err, depth);
    if (name[0] == '$')
        return kt_fail(err, KT_E_USAGE,
                       "--filter: %s is not understood on files; $eq, $ne, $in, $exists, $and and $or are",
                       name);
    return holds_operators(at) ? check_operators(at, err) : KT_OK;
}

enum kt_status kt_filter_new(struct kt_filter **out, struct kt_span filter_bson, struct kt_error *err)
{
    bson_t view;
    bson_iter_t iter;
    *out = NULL;
    if (!bson_init_static(&view, filter_bson.data, filter_bson.nbytes) || !bson_iter_init(&iter, &view))
        return kt_fail(err, KT_E_USAGE, "--filter is no document");
    while (bson_iter_next(&iter)) {
        enum kt_status status = check(&iter, err, 0);
        if (status != KT_OK)
            return status;
    }
    struct kt_filter *filter = malloc(sizeof *filter);
    if (!filter)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    filter->doc = bson_copy(&view);
    *out = filter;
    return KT_OK;
}

void kt_filter_free(struct kt_filter *filter)
{
    if (!filter)
        return;
    bson_destroy(filter->doc);
    free(filter);
}

/* Type and bytes: both values as the only field of a document of their own. */
static bool same_value(const bson_iter_t *a, const bson_iter_t *b)
{
    if (bson_iter_type(a) != bson_iter_type(b))
        return false;
    bson_t left = BSON_INITIALIZER, right = BSON_INITIALIZER;
    bool same = bson_append_iter(&left, "v", 1, a) && bson_append_iter(&right, "v", 1, b) &&
                bson_equal(&left, &right);
    bson_destroy(&left);
    bson_destroy(&right);
    return same;
}

static bool equal_or_holds(const bson_iter_t *have, const bson_iter_t *want)
{
    bson_iter_t item;
    if (same_value(have, want))
        return true;
    if (!BSON_ITER_HOLDS_ARRAY(have) || !bson_iter_recurse(have, &item))
        return false;
    while (bson_iter_next(&item)) {
        if (same_value(&item, want))
            return true;
    }
    return false;
}

static bool in_list(const bson_iter_t *have, const bson_iter_t *list)
{
    bson_iter_t want;
    if (!bson_iter_recurse(list, &want))
        return false;
    while (bson_iter_next(&want)) {
        if (equal_or_holds(have, &want))
            return true;
    }
    return false;
}

static bool operator_holds(const bson_iter_t *have, bool exists, const bson_iter_t *rule)
{
    const char *name = bson_iter_key(rule);
    if (strcmp(name, "$exists") == 0)
        return exists == bson_iter_as_bool(rule);
    if (strcmp(name, "$ne") == 0)
        return !exists || !equal_or_holds(have, rule);
    if (strcmp(name, "$in") == 0)
        return exists && in_list(have, rule);
    return exists && equal_or_holds(have, rule);
}

static bool holds(const bson_t *doc, const bson_iter_t *rule);

static bool list_holds(const bson_t *doc, const bson_iter_t *rule, bool all)
{
    bson_iter_t list, item;
    if (!bson_iter_recurse(rule, &list))
        return false;
    while (bson_iter_next(&list)) {
        bool this_one = bson_iter_recurse(&list, &item);
        while (this_one && bson_iter_next(&item))
            this_one = holds(doc, &item);
        if (this_one != all)
            return this_one;
    }
    return all;
}

static bool holds(const bson_t *doc, const bson_iter_t *rule)
{
    bson_iter_t iter, have, inner;
    const char *name = bson_iter_key(rule);
    if (name[0] == '$')
        return list_holds(doc, rule, strcmp(name, "$and") == 0);
    bool exists = bson_iter_init(&iter, doc) && bson_iter_find_descendant(&iter, name, &have);
    if (!holds_operators(rule))
        return exists && equal_or_holds(&have, rule);
    bool all = bson_iter_recurse(rule, &inner);
    while (all && bson_iter_next(&inner))
        all = operator_holds(&have, exists, &inner);
    return all;
}

bool kt_filter_matches(const struct kt_filter *filter, struct kt_span doc)
{
    bson_t view;
    bson_iter_t iter;
    if (!bson_init_static(&view, doc.data, doc.nbytes) || !bson_iter_init(&iter, filter->doc))
        return false;
    while (bson_iter_next(&iter)) {
        if (!holds(&view, &iter))
            return false;
    }
    return true;
}
