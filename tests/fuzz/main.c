// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer's entry: one input for one of the targets. See input.h.
 */
#include "input.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size < INPUT_HEADER ? size : INPUT_HEADER };
	struct input body = { data + in.left, size - in.left };
	u8 first = take(&in, 1);
	bool fix = first & INPUT_FIX;

	switch ((first & ~INPUT_FIX) % 9) {
	case 0:
		fuzz_superblock(in, body, fix);
		break;
	case 1:
		fuzz_leaf(in, body, fix);
		break;
	case 2:
		fuzz_generation(in, body, fix);
		break;
	case 3:
		fuzz_state(in, body, fix);
		break;
	case 4:
		fuzz_region(in, body);
		break;
	case 5:
		fuzz_alloc(in, body);
		break;
	case 6:
		fuzz_health(in);
		break;
	case 7:
		fuzz_order(in, body);
		break;
	case 8:
		fuzz_marks(in, body);
		break;
	}
	return 0;
}
