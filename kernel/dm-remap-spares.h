/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The spares as a pool: they come, go, are emptied, and have second copies.
 */
#ifndef DM_REMAP_SPARES_H
#define DM_REMAP_SPARES_H

#include "dm-remap.h"

/* --- dm-remap-mend.c: giving units the redundancy that they should have --- */

u64 dmr_below(struct dmr_set *s);
void dmr_below_changed(struct dmr_set *s);
void dmr_mend_start(struct dmr_set *s);
void dmr_mend_kick(struct dmr_set *s);
void dmr_mend_stop(struct dmr_set *s);
bool dmr_mending(struct dmr_set *s);
void dmr_mend_work(struct work_struct *work);
int dmr_mend_absent(struct dmr_set *s);
void dmr_resync_all(struct dmr_set *s);
int dmr_set_redundancy(struct dmr_set *s, unsigned int copies);

/* --- dm-remap-pool.c: the spares as a pool ------------------------------- */

u64 dmr_capacity(struct dmr_set *s);
u64 dmr_free_units(struct dmr_set *s);
enum dmr_space dmr_space(struct dmr_set *s);
const char *dmr_space_name(enum dmr_space space);
void dmr_pool_look(struct dmr_set *s);
void dmr_pool_work(struct work_struct *work);
void dmr_pool_retry(struct dmr_set *s);
void dmr_pool_stop(struct dmr_set *s);
int dmr_pool_drain(struct dmr_set *s, unsigned int idx, bool on);
int dmr_pool_drop(struct dmr_set *s, unsigned int idx, bool lose, u64 *lost);
int dmr_pool_save(struct dmr_set *s);

/* --- dm-remap-migrate.c: from one spare to another ----------------------- */

/**
 * struct dmr_migrated - what dmr_migrate() did
 * @moved: units that are somewhere else now
 * @failed: units that can't be read
 */
struct dmr_migrated {
	u64 moved;
	u64 failed;
};

unsigned int dmr_migrate_avoids(struct dmr_set *s, unsigned int from);
int dmr_migrate(struct dmr_set *s, unsigned int from, unsigned int avoid, u64 max,
		struct dmr_migrated *m);

/* --- dm-remap-join.c: a device becomes a member -------------------------- */

int dmr_join(struct dmr_table *t, dev_t dev, bool force, bool trust,
	     unsigned int *row);

#endif /* DM_REMAP_SPARES_H */
