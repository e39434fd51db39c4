/* Changes a file as fast as it can, whether it is there or not: flood FILE COUNTER. How often it did
 * is kept in the file COUNTER, eight bytes. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    const int counter = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (counter < 0 || ftruncate(counter, sizeof(uint64_t)) != 0) return 1;
    volatile uint64_t *written =
        mmap(NULL, sizeof *written, PROT_READ | PROT_WRITE, MAP_SHARED, counter, 0);
    if (written == MAP_FAILED) return 1;
    while (1) {
        const int file = open(argv[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (file < 0) continue;
        if (write(file, "# flood\n", 8) == 8) ++*written;
        close(file);
    }
}
