/* Mapped files that become shorter while they are read.

   A page that is gone would end the process with SIGBUS. While a guard is held, such pages become zeros, the
   file is marked as lost, and whoever holds the guard is told at its end. Faults that are nobody's go on to
   the handler that was there before. */
#ifndef PM_GUARD_H
#define PM_GUARD_H

#include "file.h"

typedef struct {
  pm_file *file;
  _Atomic(pm_file *) *slot;
} pm_guard;

/* PM_E_CHANGED where the file was lost before. Any number of threads may hold guards, of one file as well, for a
   run or for as long as the file is mapped. */
pm_status pm_guard_begin(pm_guard *guard, pm_file *file);

/* PM_E_CHANGED in the place of `status` where the file was lost: what was read may have been zeros. Behind the new
   end of a file the rest of its page is zeros without a fault, so that its size is asked for as well. */
pm_status pm_guard_end(pm_guard *guard, pm_status status);

#endif
