/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Collects what libdevmapper would print to stderr, per thread, so that it can
 * become part of an exception. libdevmapper's log callback is variadic, which
 * Python cannot be.
 */
#ifndef PYCTL_DMLOG_H
#define PYCTL_DMLOG_H

/* Make libdevmapper report to this collector from now on. */
void pyctl_dm_log_init(void);
/* Errors and warnings of this thread since the last clear, one per line. */
const char *pyctl_dm_log_text(void);
/* The errno that came with the first of them that had one, or 0. */
int pyctl_dm_log_errno(void);
/* Forget them. */
void pyctl_dm_log_clear(void);

#endif /* PYCTL_DMLOG_H */
