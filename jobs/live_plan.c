/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a job on a server: what was seen before the start, scaled to all documents. */
#include <stdlib.h>
#include <string.h>

#include "jobs/lane.h"
#include "jobs/rewrap.h"

/* What all lanes need to change a document, in what one lane needs to read one. Seen on one server: 5 to 15.
 */
#define WRITES 8.0

/* The sample's share, of all documents. */
static uint64_t scaled(const struct kt_live_ns *ns, uint64_t count)
{
    uint64_t sampled = ns->sample.ns.documents;
    return sampled ? (uint64_t)((double)count / (double)sampled * (double)ns->documents + 0.5) : 0;
}

static void plan_paths(const struct kt_live *live, struct kt_live_ns *ns, struct kt_plan_ns *plan)
{
    const struct kt_schema *schema = ns->ns->schema;
    bool encrypt = live->job->command == &kt_command_encrypt;
    plan->paths_count = schema ? kt_schema_rules(schema) : 0;
    for (size_t i = 0; i < plan->paths_count; i++) {
        const struct kt_rule *rule = kt_schema_rule(schema, i);
        const struct kt_path_counts *counts = &ns->sample.paths[i];
        struct kt_plan_path *path = &ns->plan_paths[i];
        *path =
            (struct kt_plan_path){.path = rule->path, .deterministic = rule->algorithm == KT_DETERMINISTIC};
        if (rule->pointer == KT_NO_POINTER)
            memcpy(path->key_id, rule->key_id, sizeof path->key_id);
        else
            path->pointer = kt_schema_pointer(schema, rule->pointer);
        path->values = scaled(ns, encrypt ? counts->authentic : counts->authentic + counts->unauthentic);
    }
    plan->paths = ns->plan_paths;
}

/* Nothing is written before the start, so that writing has to be guessed from reading. */
static double seconds_of(const struct kt_live *live, const struct kt_live_ns *ns,
                         const struct kt_plan_ns *plan)
{
    double most = live->job->options.max_docs_per_second;
    uint64_t read = ns->facts.documents;
    double passed = (double)(read > plan->changing ? read - plan->changing : 0);
    double each = ns->paced ? ns->paced_seconds / (double)ns->paced : 0;
    double seconds = each * (WRITES * (double)plan->changing + passed);
    double paced = most > 0 ? (double)plan->documents / most : 0;
    return seconds > paced ? seconds : paced;
}

static enum kt_status plan_ns(const struct kt_live *live, struct kt_live_ns *ns, struct kt_plan_ns *plan)
{
    const struct kt_ns_counts *sampled = &ns->sample.ns;
    size_t rules = ns->ns->counts.paths_count;
    *plan = (struct kt_plan_ns){.ns = ns->ns->name,
                                .documents = ns->documents,
                                .nbytes = ns->by_query ? ns->documents * ns->facts.average_nbytes
                                                       : ns->facts.nbytes,
                                .values = scaled(ns, sampled->values),
                                .already = scaled(ns, sampled->already),
                                .failing = scaled(ns, sampled->failed),
                                .changing = scaled(ns, sampled->changed)};
    /* What was sampled may be parts of documents, but all of what grows or shrinks. */
    plan->nbytes_after = plan->nbytes + scaled(ns, sampled->nbytes_out);
    uint64_t before = scaled(ns, sampled->nbytes_in);
    plan->nbytes_after = plan->nbytes_after > before ? plan->nbytes_after - before : 0;
    if (live->job->command == &kt_command_rewrap)
        plan->changing = kt_rewrap_matching(live->job->state);
    plan->paced = ns->paced;
    plan->seconds = seconds_of(live, ns, plan);
    free(ns->plan_paths);
    ns->plan_paths = calloc(rules ? rules : 1, sizeof *ns->plan_paths);
    if (!ns->plan_paths)
        return KT_E_NOMEM;
    if (ns->sample.paths)
        plan_paths(live, ns, plan);
    return KT_OK;
}

bool kt_job_plan(struct kt_job *job, struct kt_job_plan *plan)
{
    struct kt_live *live = job->live;
    if (!live || !job->command->writes)
        return false;
    if (!live->plan)
        live->plan = calloc(live->namespaces_count ? live->namespaces_count : 1, sizeof *live->plan);
    if (!live->plan)
        return false;
    for (size_t i = 0; i < live->namespaces_count; i++) {
        if (plan_ns(live, &live->namespaces[i], &live->plan[i]) != KT_OK)
            return false;
    }
    *plan = (struct kt_job_plan){.server = kt_mongo_name(live->mongo),
                                 .state_db = live->state_db,
                                 .namespaces = live->plan,
                                 .namespaces_count = live->namespaces_count};
    return true;
}
