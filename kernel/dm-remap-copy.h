/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the two halves of the copy of main share: dm-remap-copy.c knows what it is
 * worth, dm-remap-copier.c does it.
 */
#ifndef DM_REMAP_COPY_H
#define DM_REMAP_COPY_H

#include "dm-remap.h"
#include "dm-remap-data.h"

/* So many bytes are held at one time, at the most. */
#define DMR_COPY_WINDOW	(4U << 20)

void dmr_copy_set_phase(struct dmr_set *s, enum dmr_copy_phase phase);
int dmr_copy_save(struct dmr_set *s, enum dmr_move state);

int dmr_copy_alloc(struct dmr_copy *c);
void dmr_copy_free(struct dmr_copy *c);
bool dmr_copy_still_same(struct dmr_set *s);
void dmr_copy_work(struct work_struct *work);

#endif /* DM_REMAP_COPY_H */
