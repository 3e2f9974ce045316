#define _GNU_SOURCE
#include "wait.h"

#include <time.h>

#if defined(__APPLE__) /* has no choice of clocks here */
#define CLOCK CLOCK_REALTIME
#define set_clock(attributes) 0
#else
#define CLOCK CLOCK_MONOTONIC
#define set_clock(attributes) pthread_condattr_setclock(attributes, CLOCK)
#endif

bool pm_cond_new(pthread_cond_t *cond) {
  pthread_condattr_t attributes;
  if (pthread_condattr_init(&attributes)) return false;
  const bool made = !set_clock(&attributes) && !pthread_cond_init(cond, &attributes);
  pthread_condattr_destroy(&attributes);
  return made;
}

void pm_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ns) {
  struct timespec until;
  clock_gettime(CLOCK, &until);
  const uint64_t after = (uint64_t)until.tv_nsec + ns;
  until.tv_sec += (time_t)(after / 1000000000u);
  until.tv_nsec = (long)(after % 1000000000u);
  pthread_cond_timedwait(cond, lock, &until);
}
