/* Lines of the processor's caches. */
#ifndef PM_CACHE_H
#define PM_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool pm_can_flush(void);

/* No cache holds these bytes any more. Who writes them next, and is no thread of this program, need not ask for
   lines that were read here. Only where pm_can_flush(). */
void pm_flush(const uint8_t *bytes, size_t nbytes);

#endif
