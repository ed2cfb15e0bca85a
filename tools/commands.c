/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/commands.h"

#include <stdio.h>
#include <string.h>

#include "tools/format.h"
#include "tools/help.h"
#include "tools/option_table.h"
#include "tools/screen.h"
#include "tools/version.h"

static const struct kt_cli_command commands[] = {
    {"rewrap", "wrap the DEKs of a key vault under another CMK, or anew under their own",
     "--key-vault STORE --to STORE --kms-providers FILE [--provider ID [--master-key JSON|@FILE]] [options]",
     "Every new wrap is opened again and compared before it is written. Without --provider each DEK stays\n"
     "under its current CMK.\n",
     KT_CMD_REWRAP, kt_job_command},
    {"encrypt", "encrypt the fields that an encryption schema names",
     "--from STORE --to STORE --key-vault STORE --kms-providers FILE --schema-map FILE [options]",
     "A value that is already under the schema's key, algorithm and type stays as it is; one under another\n"
     "key or algorithm fails its document. Bytes that the schema does not name do not change.\n",
     KT_CMD_ENCRYPT, kt_job_command},
    {"decrypt", "decrypt the fields that a schema names, or every encrypted value",
     "--from STORE --to STORE --key-vault STORE --kms-providers FILE [--schema-map FILE] [options]", NULL,
     KT_CMD_DECRYPT, kt_job_command},
    {"verify", "open every value and say which are as the schema wants them",
     "--from STORE --key-vault STORE --kms-providers FILE --schema-map FILE [options]",
     "Exits with 5 when something was found.\n", KT_CMD_VERIFY, kt_job_command},
    {"status", "audit key vaults: DEKs per CMK, their ages, whether each CMK can be used",
     "--key-vault STORE [--key-vault STORE ...] [--kms-providers FILE] [options]",
     "Reads, and opens one DEK of each CMK; writes nothing. Backups and dumps are key vaults too: what\n"
     "they hold still needs its CMK. Without --kms-providers it does not look whether CMKs can be used.\n"
     "Exits with 5 when something was found.\n",
     KT_CMD_STATUS, kt_status_command},
    {"keys", "put back what a rewrap on a server has replaced",
     "restore FILE --key-vault STORE [--key-vault-namespace NS] [options]",
     "FILE is the backup that the rewrap has written. Only keys that still hold what keyturn wrote are put\n"
     "back; of all others it says so.\n",
     KT_CMD_KEYS, kt_keys_command},
    {"bench", "measure the engine beside its peers, or what a key management service gives",
     "engine [--help] | kms --kms-providers FILE --provider ID [--master-key JSON|@FILE] [--keys N] "
     "[options]",
     "engine: the cryptography alone, on this machine; it has options of its own.\n"
     "kms: wraps random bytes with the CMK, unwraps them again and compares. It uses the account's quota\n"
     "and costs what so many requests cost; on a KMIP server a masterKey without keyId makes a new key.\n",
     KT_CMD_BENCH, kt_bench_command},
    {"sample", "write a realistic sample: dump, key vault, schema, providers, configuration",
     "--to FOLDER [--documents N] [--keys N] [--seed N]",
     "The same seed gives the same documents, byte for byte. DEKs and master keys come from the system's\n"
     "random source each time.\n",
     KT_CMD_SAMPLE, kt_sample_command},
};

size_t kt_commands_count(void)
{
    return sizeof commands / sizeof *commands;
}

const struct kt_cli_command *kt_command_at(size_t i)
{
    return i < kt_commands_count() ? &commands[i] : NULL;
}

const struct kt_cli_command *kt_command_find(const char *name)
{
    for (size_t i = 0; i < kt_commands_count(); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const struct kt_cli_command *nearest = NULL;
    int best = 3;
    for (size_t i = 0; i < kt_commands_count(); i++) {
        int distance = kt_edit_distance(name, commands[i].name);
        if (distance < best) {
            best = distance;
            nearest = &commands[i];
        }
    }
    struct kt_error err;
    const char *what = name[0] == '-' ? "the command comes first" : "unknown command";
    if (nearest)
        kt_fail(&err, KT_E_USAGE, "%s: '%.40s'; did you mean keyturn %s?", what, name, nearest->name);
    else
        kt_fail(&err, KT_E_USAGE, "%s: '%.40s'; see keyturn --help", what, name);
    return kt_screen_refused(NULL, &err);
}

int kt_commands_main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) {
        kt_help_program(stderr);
        return 2;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        kt_help_program(stdout);
    else if (strcmp(name, "--version") == 0)
        kt_version_print(stdout);
    else {
        const struct kt_cli_command *command = kt_command_find(name);
        return command ? command->run(command, argc - 1, argv + 1) : unknown_command(name);
    }
    return kt_screen_flush(0);
}
