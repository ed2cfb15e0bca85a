/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "kms/aws_profile.h"
#include "kms/cred_aws.h"

/* Settings of one profile, from both files: the credentials file wins. */
struct profile {
    const struct kt_cred *cred;
    struct kt_secbuf credentials, config; /* whole files */
    char name[100];
    bool asked_for; /* by AWS_PROFILE */
};

static void path_of(const struct kt_cred *cred, const char *variable, const char *file, char *out,
                    size_t nbytes)
{
    const char *given = kt_cred_env(cred, variable), *home = kt_cred_env(cred, "HOME");
    if (given)
        snprintf(out, nbytes, "%s", given);
    else
        snprintf(out, nbytes, "%s/.aws/%s", home ? home : "", file);
}

static void open_files(struct profile *profile, const struct kt_cred *cred)
{
    char path[600];
    const char *name = kt_cred_env(cred, "AWS_PROFILE");
    profile->cred = cred;
    profile->asked_for = name != NULL;
    snprintf(profile->name, sizeof profile->name, "%s", name ? name : "default");
    kt_secbuf_init(&profile->credentials, cred->scratch.pool);
    kt_secbuf_init(&profile->config, cred->scratch.pool);
    path_of(cred, "AWS_SHARED_CREDENTIALS_FILE", "credentials", path, sizeof path);
    if (!kt_cred_file(path, &profile->credentials))
        kt_secbuf_reset(&profile->credentials);
    path_of(cred, "AWS_CONFIG_FILE", "config", path, sizeof path);
    if (!kt_cred_file(path, &profile->config))
        kt_secbuf_reset(&profile->config);
}

static void close_files(struct profile *profile)
{
    kt_secbuf_free(&profile->credentials);
    kt_secbuf_free(&profile->config);
}

/* As the config file has it. */
static void section_of(const char *name, char *out, size_t nbytes)
{
    snprintf(out, nbytes, strcmp(name, "default") == 0 ? "%s" : "profile %s", name);
}

/* Other credentials than those that were asked for are another identity. */
static bool is_missing(const struct profile *profile)
{
    char section[120];
    section_of(profile->name, section, sizeof section);
    return profile->asked_for && !kt_ini_has(kt_secbuf_get(&profile->credentials), profile->name) &&
           !kt_ini_has(kt_secbuf_get(&profile->config), section);
}

static bool setting(const struct profile *profile, const char *name, const char *key, struct kt_span *value)
{
    char section[120];
    section_of(name, section, sizeof section);
    struct kt_span credentials = kt_secbuf_get(&profile->credentials),
                   config = kt_secbuf_get(&profile->config);
    return (credentials.data && kt_ini_get(credentials, name, key, value)) ||
           (config.data && kt_ini_get(config, section, key, value));
}

static bool copy_setting(const struct profile *profile, const char *key, char *out, size_t nbytes)
{
    struct kt_span value;
    if (!setting(profile, profile->name, key, &value) || value.nbytes >= nbytes)
        return false;
    memcpy(out, value.data, value.nbytes);
    out[value.nbytes] = 0;
    return true;
}

/* The key pair that stands in a profile. */
static bool take_keys(const struct profile *profile, const char *name, struct kt_token *token)
{
    struct kt_span parts[3] = {0};
    struct kt_secbuf text;
    if (!setting(profile, name, "aws_access_key_id", &parts[0]) ||
        !setting(profile, name, "aws_secret_access_key", &parts[1]))
        return false;
    if (!setting(profile, name, "aws_session_token", &parts[2]))
        parts[2] = kt_span_of(NULL, 0);
    kt_secbuf_init(&text, token->text.pool);
    size_t at[3];
    for (int i = 0; i < 3; i++) {
        at[i] = text.nbytes;
        kt_secbuf_span(&text, parts[i]);
        kt_secbuf_put(&text, "", 1);
    }
    const char *t = (const char *)text.data;
    bool ok = !text.failed && kt_token_set_aws(token, t + at[0], t + at[1], t + at[2]);
    kt_secbuf_free(&text);
    return ok;
}

/* What only Amazon's own tools can do: a profile with it is refused rather than passed over, as another
 * identity would be used then. */
static const char *const not_ours[] = {"sso_session", "sso_start_url", "credential_process", "login_session"};

bool kt_profile_applies(struct kt_cred *cred)
{
    struct profile profile;
    struct kt_span value;
    open_files(&profile, cred);
    bool applies = is_missing(&profile) || setting(&profile, profile.name, "aws_access_key_id", &value) ||
                   setting(&profile, profile.name, "role_arn", &value);
    for (size_t i = 0; i < sizeof not_ours / sizeof not_ours[0]; i++)
        applies |= setting(&profile, profile.name, not_ours[i], &value);
    close_files(&profile);
    return applies;
}

static enum kt_verdict assume(struct profile *profile, struct kt_cred *cred, struct kt_kms_call *call,
                              struct kt_exchange *x, const char *role)
{
    char file[600], source[100], session[70] = "", external[300];
    copy_setting(profile, "role_session_name", session, sizeof session);
    if (copy_setting(profile, "web_identity_token_file", file, sizeof file))
        return kt_sts_web_identity(cred, call, x, role, session, file);
    bool named = copy_setting(profile, "external_id", external, sizeof external);
    if (!copy_setting(profile, "source_profile", source, sizeof source) ||
        !take_keys(profile, source, &cred->base))
        return kt_verdict_say(
            call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
            "AWS profile \"%s\" has a role_arn; it needs web_identity_token_file, or a source_profile "
            "with aws_access_key_id and aws_secret_access_key",
            profile->name);
    return kt_sts_assume(cred, call, x, role, session, named ? external : NULL, &cred->base);
}

static enum kt_verdict refuse(const struct profile *profile, struct kt_kms_call *call)
{
    struct kt_span value;
    if (is_missing(profile))
        return kt_verdict_say(
            call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
            "AWS_PROFILE is \"%s\", and neither the shared credentials file nor the config file "
            "has that profile (a file that cannot be read or is longer than 64 KiB counts as empty)",
            profile->name);
    for (size_t i = 0; i < sizeof not_ours / sizeof not_ours[0]; i++)
        if (setting(profile, profile->name, not_ours[i], &value))
            return kt_verdict_say(
                call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
                "AWS profile \"%s\" has %s, which keyturn cannot do; export its credentials: "
                "eval \"$(aws configure export-credentials --format env)\"",
                profile->name, not_ours[i]);
    return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
                          "AWS profile \"%s\" lacks aws_secret_access_key", profile->name);
}

enum kt_verdict kt_profile_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                 struct kt_token *token)
{
    struct profile profile;
    char role[300];
    enum kt_verdict verdict;
    open_files(&profile, cred);
    if (copy_setting(&profile, "role_arn", role, sizeof role))
        verdict = assume(&profile, cred, call, x, role);
    else if (take_keys(&profile, profile.name, token))
        verdict = KT_V_DONE;
    else
        verdict = refuse(&profile, call);
    close_files(&profile);
    return verdict;
}
