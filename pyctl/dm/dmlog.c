// SPDX-License-Identifier: GPL-2.0-only
#include <libdevmapper.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dmlog.h"

/* libdevmapper's levels are syslog's; higher bits of the level are flags. */
#define LEVEL_MASK	7
#define LEVEL_WARNING	4

static __thread char text[4096];
static __thread size_t used;
static __thread int first_errno;

__attribute__((format(printf, 5, 6)))
static void collect(int level, const char *file, int line, int dm_errno_or_class,
		    const char *format, ...)
{
	size_t room = sizeof(text) - used;
	va_list args;
	int len;

	(void)file;
	(void)line;
	if ((level & LEVEL_MASK) > LEVEL_WARNING)
		return;
	if (dm_errno_or_class > 0 && !first_errno)
		first_errno = dm_errno_or_class;
	/* room for a separator and for the final zero */
	if (room < 2)
		return;
	if (used) {
		text[used++] = '\n';
		room--;
	}
	va_start(args, format);
	len = vsnprintf(text + used, room, format, args);
	va_end(args);
	if (len < 0)
		text[used] = 0;
	else
		used += (size_t)len < room ? (size_t)len : room - 1;
}

void pyctl_dm_log_init(void)
{
	dm_log_with_errno_init(collect);
}

const char *pyctl_dm_log_text(void)
{
	return text;
}

int pyctl_dm_log_errno(void)
{
	return first_errno;
}

void pyctl_dm_log_clear(void)
{
	text[0] = 0;
	used = 0;
	first_errno = 0;
}
