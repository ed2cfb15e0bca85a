/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/outputs.h"

#include "jobs/paths.h"

enum kt_status kt_outputs_apart(const struct kt_settings *s, struct kt_error *err)
{
    const struct kt_named_path report = {"--report", s->report}, failures = {"--failures", s->failures};
    const struct kt_named_path others[] = {
        {"--from", s->from},
        {"--to", s->to},
        {"--key-vault", s->key_vault},
        {"--config", s->config},
        {"--kms-providers", s->kms_providers.file},
        {"--tls-options", s->tls_options.file},
        {"--schema-map", s->schema_map.file},
        {"--filter", s->filter.file},
        {"--query", s->query.file},
        {"--master-key", s->master_key.file},
        {"--cmk", s->cmk.file},
        {"--only", s->only},
        {"--backup", s->backup},
    };
    size_t count = sizeof others / sizeof *others;
    enum kt_status status = kt_paths_apart(&report, others, count, err);
    if (status == KT_OK)
        status = kt_paths_apart(&failures, others, count, err);
    if (status == KT_OK)
        status = kt_paths_apart(&report, &failures, 1, err);
    for (size_t i = 1; status == KT_OK && i < s->key_vaults.count; i++) {
        const struct kt_named_path vault = {"--key-vault", s->key_vaults.v[i]};
        status = kt_paths_apart(&report, &vault, 1, err);
    }
    return status;
}
