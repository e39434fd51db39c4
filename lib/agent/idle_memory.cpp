#include "agent/idle_memory.hpp"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace nodemirror {

namespace {

/// Segments that are never written (no PF_W, so no relocations) are as they are in the file: to
/// drop their pages loses nothing. madvise(2), MADV_DONTNEED.
int dropReadOnly(dl_phdr_info* object, size_t, void*) {
    const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = object->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
        const uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
        const uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
        // What cannot be dropped stays; nothing depends on it.
        (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
    return 0;
}

}  // namespace

void giveBackIdleMemory() {
    ::malloc_trim(0);
    ::dl_iterate_phdr(dropReadOnly, nullptr);
}

}  // namespace nodemirror
