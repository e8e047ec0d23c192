/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Allocations that fail, in a KUnit test.
 */
#ifndef _KUNIT_FAIL_NTH_H
#define _KUNIT_FAIL_NTH_H

#include <linux/compiler.h>
#include <linux/sched.h>

/**
 * kunit_fail_nth - Make one of the allocations to come fail
 * @nth: Which one, counted from 1; 0 ends it
 *
 * The @nth allocation of this task from now on that fault injection may refuse
 * fails.  Which ones it may, CONFIG_FAILSLAB and CONFIG_FAIL_PAGE_ALLOC and the
 * files that they have in debugfs say: unless these are told otherwise, neither
 * an allocation that may sleep nor a single page ever fails.  Give __GFP_NOWARN
 * or each failure is logged with a stack trace.
 *
 * So a test fails one allocation after the other:
 *
 *	for (n = 1, hit = true; hit; n++) {
 *		kunit_fail_nth(n);
 *		ret = operation();
 *		hit = kunit_fail_nth(0) == 0;
 *		(see that @ret is an error only if hit, and that nothing leaked)
 *	}
 *
 * Context: Process context.
 * Return: How far off the failure still was: 0 if it has happened, or if nothing
 * was to fail, or without CONFIG_FAULT_INJECTION.
 */
static inline unsigned int kunit_fail_nth(unsigned int nth)
{
#ifdef CONFIG_FAULT_INJECTION
	unsigned int left = READ_ONCE(current->fail_nth);

	WRITE_ONCE(current->fail_nth, nth);
	return left;
#else
	return 0;
#endif
}

#endif /* _KUNIT_FAIL_NTH_H */
