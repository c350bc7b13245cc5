/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What people and programs see of sets, and say to them, besides the table line.
 */
#ifndef DM_REMAP_FACES_H
#define DM_REMAP_FACES_H

#include "dm-remap.h"

/* --- dm-remap-params.c: what can be changed for all sets ----------------- */

/**
 * struct dmr_knob - a value for all sets
 * @name: its name as a parameter
 * @value: where it is
 * @on: where it is when it is a switch
 * @min: the least
 * @max: the greatest
 * @scans: the scanner is told when it changes
 */
struct dmr_knob {
	const char *name;
	unsigned int *value;
	bool *on;
	unsigned int min;
	unsigned int max;
	bool scans;
};

extern const struct dmr_knob dmr_knob_scanning;
extern const struct dmr_knob dmr_knob_interval;
extern const struct dmr_knob dmr_knob_threshold;

unsigned int dmr_knob_get(const struct dmr_knob *k);
int dmr_knob_set(const struct dmr_knob *k, const char *text);
void dmr_params_start(void);
void dmr_params_stop(void);

/* --- dm-remap-visit.c: work on a set from outside of device mapper ------- */

struct dmr_table *dmr_visit(bool (*match)(struct dmr_set *s, void *data),
			    void *data);
void dmr_visit_end(struct dmr_table *t);
void dmr_visit_all(void (*fn)(struct dmr_set *s, void *data), void *data);
void dmr_visits_open(struct dmr_set *s);
void dmr_visits_close(struct dmr_set *s);

/* --- dm-remap-sysfs.c: /sys/kernel/dm-remap-v4 --------------------------- */

int dmr_sysfs_init(void);
void dmr_sysfs_exit(void);
const char *dmr_set_state(struct dmr_set *s);
void dmr_set_name(struct dmr_set *s, char *name);
int dmr_set_devices(struct dmr_set *s, char *line, size_t room);

/* --- dm-remap-debugfs.c: /sys/kernel/debug/dm-remap ---------------------- */

void dmr_debugfs_init(void);
void dmr_debugfs_exit(void);
void dmr_debugfs_add(struct dmr_set *s);
void dmr_debugfs_remove(struct dmr_set *s);

/* --- dm-remap-status.c and dm-remap-message.c: what people see ----------- */

unsigned int dmr_status_line(struct dmr_set *s, char *result,
			     unsigned int maxlen);
unsigned int dmr_status_stats(struct dmr_set *s, char *result,
			      unsigned int maxlen);
unsigned int dmr_status_health(struct dmr_set *s, char *result,
			       unsigned int maxlen);
u64 dmr_done(struct dmr_set *s, int dir);
unsigned int dmr_set_health(struct dmr_set *s);
int dmr_message(struct dm_target *ti, unsigned int argc, char **argv,
		char *result, unsigned int maxlen);

/* Options that are numbers, for the words of an error. */
#define DMR_KEYS	"retries 0-16, backoff_ms 0-10000, "			\
			"breaker_remaps 1-1000000, breaker_seconds 1-86400, "	\
			"autosave_seconds 0-86400, spare_errors 0-1000000, "	\
			"space_percent 0-100, copy_rate 0-4194304, "		\
			"scan_rate 0-4194304, scan_share 1-100"

const unsigned int *dmr_opt_get(const struct dmr_opts *o, const char *key);
int dmr_opt_set(struct dmr_opts *o, const char *key, const char *value);

#endif /* DM_REMAP_FACES_H */
