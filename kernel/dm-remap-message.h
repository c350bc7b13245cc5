/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files that answer messages share.
 */
#ifndef DM_REMAP_MESSAGE_H
#define DM_REMAP_MESSAGE_H

#include "dm-remap.h"

/**
 * struct dmr_call - a message on its way
 * @t: the table that it came by
 * @s: its set
 * @argc: arguments behind the command
 * @argv: they
 * @result: where the answer goes
 * @maxlen: room there
 * @sz: length of the answer so far
 */
struct dmr_call {
	struct dmr_table *t;
	struct dmr_set *s;
	unsigned int argc;
	char **argv;
	char *result;
	unsigned int maxlen;
	unsigned int sz;
};

__printf(2, 3)
void dmr_reply(struct dmr_call *c, const char *fmt, ...);

/* dm-remap-message-spare.c */
int dmr_run_spare(struct dmr_call *c);
int dmr_set_policy(struct dmr_set *s, const char *word);
const char *dmr_policy_name(unsigned int policy);
const char *dmr_spare_state_name(struct dmr_set *s, unsigned int row);

/* dm-remap-message-scan.c */
int dmr_run_scan(struct dmr_call *c);

#endif /* DM_REMAP_MESSAGE_H */
