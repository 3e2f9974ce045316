/* Condition variables that are waited at for some time only, by a clock that nobody sets. */
#ifndef PM_WAIT_H
#define PM_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

bool pm_cond_new(pthread_cond_t *cond);

/* With the lock held; returns early when the condition is told. */
void pm_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ns);

#endif
