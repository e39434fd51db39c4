/* What the disk and the kernel take for the daemon's work at least, for the benchmarks.
 *   floor heal FILE            puts FILE back whenever it changes: inotify, a temporary file, fsync,
 *                              rename, fsync of the directory; until it is killed
 *   floor converge DIR LIST    makes DIR/NAME/hosts.toml for every line "NAME PATH" of LIST with the
 *                              bytes of PATH: all temporary directories, their fsyncs, the renames,
 *                              one fsync of DIR; prints the seconds
 *   floor one-by-one DIR LIST  the same, each safe before the next is begun
 *   floor look DIR             lists DIR and asks for the state of each DIR/NAME and
 *                              DIR/NAME/hosts.toml; prints the seconds */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

static char *slurp(const char *path, size_t *size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) return NULL;
    char *text = malloc((size_t)status.st_size + 1);
    ssize_t got = read(fd, text, (size_t)status.st_size);
    close(fd);
    if (got < 0) die(path);
    *size = (size_t)got;
    return text;
}

static void put(int directory, const char *name, const char *text, size_t size, int sync) {
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || (sync && fsync(fd) != 0)) die(name);
    close(fd);
}

static int heal(const char *path) {
    char directory[PATH_MAX];
    snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    *slash = 0;
    const char *name = slash + 1;
    int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int watch = inotify_init1(IN_CLOEXEC);
    size_t size = 0;
    char *wanted = slurp(path, &size);
    if (parent < 0 || wanted == NULL ||
        inotify_add_watch(watch, directory, IN_CLOSE_WRITE | IN_MOVED_TO | IN_MODIFY | IN_DELETE) < 0)
        die(directory);
    puts("ready");
    fflush(stdout);
    char events[65536];
    while (read(watch, events, sizeof events) > 0) {
        size_t found = 0;
        char *now = slurp(path, &found);
        int same = now != NULL && found == size && memcmp(now, wanted, size) == 0;
        free(now);
        if (same) continue;
        unlinkat(parent, ".new", 0);
        put(parent, ".new", wanted, size, 1);
        if (renameat(parent, ".new", parent, name) != 0 || fsync(parent) != 0) die(path);
    }
    return 1;
}

struct item {
    char name[256];
    char temporary[32];
    char *text;
    size_t size;
};

static void make(int root, struct item *item, int number, int sync) {
    snprintf(item->temporary, sizeof item->temporary, ".new-%d", number);
    if (mkdirat(root, item->temporary, 0755) != 0) die(item->temporary);
    int directory = openat(root, item->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put(directory, "hosts.toml", item->text, item->size, sync);
    if (sync && fsync(directory) != 0) die(item->temporary);
    close(directory);
}

static void sync_made(int root, const char *name, int directory) {
    int fd = openat(root, name, (directory ? O_DIRECTORY : 0) | O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) die(name);
    close(fd);
}

static int print_since(const struct timespec *began) {
    struct timespec ended;
    clock_gettime(CLOCK_MONOTONIC, &ended);
    printf("%.6f\n", (double)(ended.tv_sec - began->tv_sec) +
                         1e-9 * (double)(ended.tv_nsec - began->tv_nsec));
    return 0;
}

static int look(const char *path) {
    struct timespec began;
    clock_gettime(CLOCK_MONOTONIC, &began);
    DIR *root = opendir(path);
    if (root == NULL) die(path);
    for (struct dirent *entry; (entry = readdir(root)) != NULL;) {
        char file[PATH_MAX];
        struct stat status;
        if (entry->d_name[0] == '.') continue;
        snprintf(file, sizeof file, "%s/hosts.toml", entry->d_name);
        if (fstatat(dirfd(root), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            fstatat(dirfd(root), file, &status, AT_SYMLINK_NOFOLLOW) != 0)
            die(file);
    }
    return print_since(&began);
}

static int converge(const char *path, const char *list, int batch) {
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FILE *in = fopen(list, "r");
    if (root < 0 || in == NULL) die(path);
    struct item *items = NULL;
    int count = 0;
    char source[PATH_MAX];
    char name[256];
    while (fscanf(in, "%255s %4095s", name, source) == 2) {
        items = realloc(items, (size_t)(count + 1) * sizeof *items);
        strcpy(items[count].name, name);
        items[count].text = slurp(source, &items[count].size);
        if (items[count++].text == NULL) die(source);
    }
    struct timespec began;
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (int i = 0; i < count; ++i) {
        make(root, &items[i], i, !batch);
        if (batch) continue;
        if (renameat(root, items[i].temporary, root, items[i].name) != 0 || fsync(root) != 0)
            die(items[i].name);
    }
    for (int i = 0; batch && i < count; ++i) {
        char file[PATH_MAX];
        snprintf(file, sizeof file, "%s/hosts.toml", items[i].temporary);
        sync_made(root, file, 0);
        sync_made(root, items[i].temporary, 1);
    }
    for (int i = 0; batch && i < count; ++i)
        if (renameat(root, items[i].temporary, root, items[i].name) != 0) die(items[i].name);
    if (fsync(root) != 0) die(path);
    return print_since(&began);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "heal") == 0) return heal(argv[2]);
    if (argc == 3 && strcmp(argv[1], "look") == 0) return look(argv[2]);
    if (argc == 4 && strcmp(argv[1], "converge") == 0) return converge(argv[2], argv[3], 1);
    if (argc == 4 && strcmp(argv[1], "one-by-one") == 0) return converge(argv[2], argv[3], 0);
    fprintf(stderr, "see the comment at the top\n");
    return 2;
}
