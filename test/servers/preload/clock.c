/* Loaded into a server before the C library. Shifts its wall clock from that of the machine by the number of microseconds in the
 * first eight bytes of the file that STREAMLEASE_CLOCK names; the next eight, unless they are zero, are the time at which it stands
 * still, in microseconds since 1970. Redis and Valkey call gettimeofday for the time by which keys expire
 * and that TIME returns; their monotonic clock is not changed. (libfaketime also replaces clock_gettime, which the allocator calls
 * while it starts, and then the server hangs.)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const struct { int64_t step, still; } *own;

__attribute__((constructor)) static void find_clock(void)
{
	const char *path = getenv("STREAMLEASE_CLOCK");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (file < 0)
		return;
	void *map = mmap(NULL, sizeof *own, PROT_READ, MAP_SHARED, file, 0);
	if (map != MAP_FAILED)
		own = map;
	close(file);
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec ts;
	int64_t us = own ? own->still : 0;
	(void)tz;
	if (us == 0) {
		clock_gettime(CLOCK_REALTIME, &ts);
		us = ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000 + (own ? own->step : 0);
	}
	tv->tv_sec = us / 1000000;
	tv->tv_usec = us % 1000000;
	return 0;
}
