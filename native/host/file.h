/* Files and memory from the operating system. */
#ifndef PM_FILE_H
#define PM_FILE_H

#include <stdatomic.h>

#include "../vm/pelemay.h"

typedef struct {
  const uint8_t *bytes; /* NULL where nothing is mapped */
  size_t nbytes;
  int fd;           /* what tells whether it became shorter, open for as long as it is mapped; -1: nothing */
  atomic_bool lost; /* whether a part of it was found to be gone: see guard.h */
  void (*on_loss)(void); /* called from the handler of the signal when the first one was; NULL: nothing */
} pm_file;

/* Map a whole file for reading. errno says what went wrong after PM_E_IO. */
pm_status pm_file_map(pm_file *file, const char *path);

/* The same for one that is open. */
pm_status pm_file_map_open(pm_file *file, int fd);
void pm_file_unmap(pm_file *file);

/* Zeroed pages that cost nothing before they are touched; NULL if there are none. */
uint8_t *pm_pages_new(size_t nbytes);

/* The same, of which the first `large` bytes are asked for in pages of 2 MiB as far as they fill such:
   a disk reads into few long ranges two to three times as fast as into many pages. These are charged
   at once; nothing beyond nbytes ever is. */
uint8_t *pm_pages_new_large(size_t nbytes, size_t large);
void pm_pages_free(uint8_t *pages, size_t nbytes);

uint64_t pm_now_ns(void);

#endif
