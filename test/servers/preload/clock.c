/* Loaded into a server before the C library: its wall clock is that of the machine, moved by as many microseconds as stand in
 * the first eight bytes of the file that STREAMLEASE_CLOCK names. Redis and Valkey ask gettimeofday for the time by which keys
 * expire and that TIME tells; their monotonic clock is left alone. (libfaketime takes over clock_gettime too, which the
 * allocator calls while it starts, and the server hangs.)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *step;

__attribute__((constructor)) static void find_step(void)
{
	const char *path = getenv("STREAMLEASE_CLOCK");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (file < 0)
		return;
	void *map = mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
	if (map != MAP_FAILED)
		step = map;
	close(file);
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec ts;
	(void)tz;
	clock_gettime(CLOCK_REALTIME, &ts);
	int64_t us = ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000 + (step ? *step : 0);
	tv->tv_sec = us / 1000000;
	tv->tv_usec = us % 1000000;
	return 0;
}
