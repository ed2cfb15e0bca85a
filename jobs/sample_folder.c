/* SPDX-License-Identifier: Apache-2.0 */
/* The folder that a sample grows in. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/sample_private.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const char *const folders[] = {"dump", "dump/shop"};
static const char *const files[] = {"dump/shop/customers.bson",
                                    "dump/shop/customers.metadata.json",
                                    "keyvault.bson",
                                    "schema.json",
                                    "kms.json",
                                    "keyturn.json"};

static bool is_ours(const char *folder, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);
    bool ours = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    for (size_t i = 0; i < COUNT(folders) && !ours; i++)
        ours = strcmp(path, folders[i]) == 0;
    for (size_t i = 0; i < COUNT(files) && !ours; i++)
        ours = strcmp(path, files[i]) == 0;
    return ours;
}

/* A folder that is not there holds nothing. */
static bool holds_only_ours(const struct kt_sample *sample, const char *folder)
{
    int fd = openat(sample->folder, *folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        bool absent = fd < 0 && errno == ENOENT;
        if (fd >= 0)
            close(fd);
        return absent;
    }
    bool ours = true;
    for (const struct dirent *entry; ours && (entry = readdir(stream));)
        ours = is_ours(folder, entry->d_name);
    closedir(stream);
    return ours;
}

/* A checkpoint beside it tells of an encryption or the like that is to go on. */
static enum kt_status check_left_over(const struct kt_sample *sample, const char *part)
{
    char *checkpoint = NULL;
    struct stat st;
    if (asprintf(&checkpoint, "%s.checkpoint", part) < 0)
        return kt_fail(sample->err, KT_E_NOMEM, "no memory for the sample");
    bool ours = lstat(checkpoint, &st) != 0 && errno == ENOENT && holds_only_ours(sample, "");
    free(checkpoint);
    for (size_t i = 0; i < COUNT(folders) && ours; i++)
        ours = holds_only_ours(sample, folders[i]);
    if (ours)
        return KT_OK;
    return kt_fail(sample->err, KT_E_EXISTS, "%s exists and is no sample; remove it or give another name",
                   part);
}

enum kt_status kt_sample_open_folder(struct kt_sample *sample, const char *part)
{
    bool made = mkdir(part, 0777) == 0;
    if (!made && errno != EEXIST)
        return kt_fail(sample->err, KT_E_USAGE, "%s: %s", sample->options->to, strerror(errno));
    sample->folder = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (sample->folder < 0)
        return kt_fail(sample->err, KT_E_USAGE, "%s: %s", part, strerror(errno));
    if (flock(sample->folder, LOCK_EX | LOCK_NB) != 0)
        return kt_fail(sample->err, KT_E_BUSY, "another process writes %s", part);
    enum kt_status status = made ? KT_OK : check_left_over(sample, part);
    for (size_t i = 0; i < COUNT(folders) && status == KT_OK; i++)
        if (mkdirat(sample->folder, folders[i], 0777) != 0 && errno != EEXIST)
            status = kt_sample_io_failed(sample, folders[i]);
    return status;
}

/* Only what this code has written; a folder with anything else in it stays. */
void kt_sample_remove_folder(const struct kt_sample *sample, const char *part)
{
    for (size_t i = 0; i < COUNT(files); i++)
        unlinkat(sample->folder, files[i], 0);
    for (size_t i = COUNT(folders); i > 0; i--)
        unlinkat(sample->folder, folders[i - 1], AT_REMOVEDIR);
    rmdir(part);
}
