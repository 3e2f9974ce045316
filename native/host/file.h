/* Files and memory from the operating system. */
#ifndef PM_FILE_H
#define PM_FILE_H

#include "../vm/pelemay.h"

typedef struct {
  const uint8_t *bytes;
  size_t nbytes;
} pm_file;

/* Map a whole file for reading. errno says what went wrong after PM_E_IO. */
pm_status pm_file_map(pm_file *file, const char *path);
void pm_file_unmap(pm_file *file);

/* Zeroed pages that cost nothing before they are touched; NULL if there are none. */
uint8_t *pm_pages_new(size_t nbytes);
void pm_pages_free(uint8_t *pages, size_t nbytes);

uint64_t pm_now_ns(void);

#endif
