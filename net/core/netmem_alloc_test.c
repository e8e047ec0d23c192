// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * KUnit tests for the socket-keyed netmem allocator.
 */
#include <kunit/device.h>
#include <kunit/fail_nth.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bvecq.h>
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/interrupt.h>
#include <linux/kthread.h>
#include <linux/mempool.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/prandom.h>
#include <linux/rtnetlink.h>
#include <linux/shrinker.h>
#include <linux/timer.h>
#include <linux/uio.h>
#include <net/dst_cache.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/netmem_alloc.h>
#include <net/page_pool/helpers.h>
#include <net/page_pool/tx.h>
#include <net/route.h>
#include <net/sock.h>

#include "netmem_alloc_priv.h"
#include "page_pool_priv.h"

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");

static const size_t netmem_lens[] = {
	1, 2, 63, 64, 65, 1500, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1,
	16384, NETMEM_FRAG_MAX - 1, NETMEM_FRAG_MAX,
};

/* Chunks that may be open. */
#define NR_OPEN		(2 * (int)num_possible_cpus())

/* A byte that depends on the fragment and on the place in it. */
static u8 netmem_pattern(unsigned int id, size_t i)
{
	return id * 31 + i + (i >> 8);
}

static void netmem_fill(const struct bio_vec *bv, unsigned int id)
{
	u8 *p = bvec_virt((struct bio_vec *)bv);

	for (size_t i = 0; i < bv->bv_len; i++)
		p[i] = netmem_pattern(id, i);
}

static bool netmem_intact(const struct bio_vec *bv, unsigned int id)
{
	const u8 *p = bvec_virt((struct bio_vec *)bv);

	for (size_t i = 0; i < bv->bv_len; i++)
		if (p[i] != netmem_pattern(id, i))
			return false;
	return true;
}

static struct page *netmem_head(const struct bio_vec *bv)
{
	return compound_head(bv->bv_page);
}

static struct netmem_set *netmem_get_set(const struct sock *sk)
{
	struct netmem_set *set;

	/* One node, or this test would have to stay on its CPU. */
	rcu_read_lock();
	set = netmem_set_of(sk);
	rcu_read_unlock();
	return set;
}

/* The set that is there when one that was asked for has been made. */
static struct netmem_set *netmem_wait_set(const struct sock *sk)
{
	netmem_get_set(sk);
	flush_workqueue(netmem_wq);
	return netmem_get_set(sk);
}

static struct socket *netmem_make_socket(struct kunit *test, int family)
{
	struct socket *sock;

	KUNIT_ASSERT_EQ(test, 0, sock_create_kern(&init_net, family, SOCK_DGRAM,
						  IPPROTO_UDP, &sock));
	return sock;
}

static struct netmem_stats netmem_stats(unsigned int c)
{
	struct netmem_stats stats;

	netmem_read_stats(netmem_get_set(NULL), c, &stats);
	return stats;
}

/*
 * The contract
 */

static void netmem_test_malformed(struct kunit *test)
{
	static const struct {
		size_t		len;
		size_t		align;
		unsigned int	hints;
		int		err;
	} t[] = {
		{ 0,			1,	0,		-EINVAL },
		{ 0,			0,	~0,		-EINVAL },
		{ 64,			0,	0,		-EINVAL },
		{ 64,			3,	0,		-EINVAL },
		{ 64,			48,	0,		-EINVAL },
		{ 64,	NETMEM_FRAG_MAX * 2,	0,		-EINVAL },
		{ 64,			SIZE_MAX, 0,		-EINVAL },
		{ 64,			1,	BIT(1),		-EINVAL },
		{ 64,			1,	BIT(31),	-EINVAL },
		{ 64,			1,	~0,		-EINVAL },
		{ NETMEM_FRAG_MAX + 1,	1,	~0,		-EINVAL },
		{ NETMEM_FRAG_MAX + 1,	3,	0,		-EINVAL },
		{ NETMEM_FRAG_MAX + 1,	1,	0,		-EMSGSIZE },
		{ NETMEM_FRAG_MAX * 2,	1,	0,		-EMSGSIZE },
		{ (size_t)UINT_MAX + 65, 1,	0,		-EMSGSIZE },
		{ SIZE_MAX,		1,	0,		-EMSGSIZE },
		{ SIZE_MAX - 63,	64,	1,		-EMSGSIZE },
	};
	struct bio_vec bv, before;

	/* Room for them shall not be what is missing. */
	for (int hints = 0; hints < NETMEM_NR_CLASSES; hints++) {
		KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 1, hints, &bv));
		netmem_free(&bv);
	}

	memset(&bv, 0x5a, sizeof(bv));
	before = bv;
	for (int i = 0; i < ARRAY_SIZE(t); i++) {
		KUNIT_EXPECT_EQ_MSG(test, t[i].err,
				    netmem_alloc_gfp(NULL, t[i].len, t[i].align,
						     t[i].hints, GFP_KERNEL, &bv),
				    "case %d", i);
		KUNIT_EXPECT_MEMEQ(test, &bv, &before, sizeof(bv));
	}
	KUNIT_EXPECT_EQ(test, -EINVAL, netmem_alloc(NULL, 0, 0, &bv));
	KUNIT_EXPECT_EQ(test, -EINVAL, netmem_alloc(NULL, 1, 2, &bv));
	KUNIT_EXPECT_EQ(test, -EMSGSIZE,
			netmem_alloc(NULL, NETMEM_FRAG_MAX + 1, 0, &bv));
	KUNIT_EXPECT_MEMEQ(test, &bv, &before, sizeof(bv));

	/* Freeing nothing, or freeing twice, does nothing. */
	bv = (struct bio_vec){};
	netmem_free(&bv);
	netmem_free_bulk(&bv, 1);
	netmem_free_bulk(NULL, 0);
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 64, 0, &bv));
	netmem_free(&bv);
	KUNIT_EXPECT_NULL(test, bv.bv_page);
	netmem_free(&bv);
}

static void netmem_test_contract(struct kunit *test)
{
	for (int i = 0; i < ARRAY_SIZE(netmem_lens); i++) {
		for (size_t align = 1; align <= NETMEM_FRAG_MAX; align *= 2) {
			size_t len = netmem_lens[i];
			struct bio_vec bv[3];

			for (int k = 0; k < ARRAY_SIZE(bv); k++) {
				struct page *last;

				KUNIT_ASSERT_EQ(test, 0,
						netmem_alloc_gfp(NULL, len, align,
								 k & 1, GFP_KERNEL,
								 &bv[k]));
				KUNIT_EXPECT_EQ(test, bv[k].bv_len, len);
				KUNIT_EXPECT_FALSE(test, PageTail(bv[k].bv_page));
				KUNIT_EXPECT_FALSE(test,
						   PageHighMem(bv[k].bv_page));
				KUNIT_EXPECT_TRUE(test, sendpage_ok(bv[k].bv_page));
				KUNIT_EXPECT_TRUE(test,
						  IS_ALIGNED((unsigned long)bvec_virt(&bv[k]),
							     align));
				last = virt_to_page(bvec_virt(&bv[k]) + len - 1);
				KUNIT_EXPECT_PTR_EQ(test, compound_head(last),
						    netmem_head(&bv[k]));
				netmem_fill(&bv[k], k);
			}
			for (int k = 0; k < ARRAY_SIZE(bv); k++) {
				KUNIT_EXPECT_TRUE(test, netmem_intact(&bv[k], k));
				netmem_free(&bv[k]);
				KUNIT_EXPECT_NULL(test, bv[k].bv_page);
			}
		}
	}
}

static void netmem_test_zero(struct kunit *test)
{
	struct bio_vec first, bv;

	for (int i = 0; i < ARRAY_SIZE(netmem_lens); i++) {
		KUNIT_ASSERT_EQ(test, 0,
				netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &bv));
		memset(bvec_virt(&bv), 0xff, bv.bv_len);
		netmem_free(&bv);

		/* From a chunk that starts over, and from one that has room. */
		for (int j = 0; j < 2; j++) {
			first.bv_page = NULL;
			if (j)
				KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 1, 0, &first));
			KUNIT_ASSERT_EQ(test, 0,
					netmem_alloc_gfp(NULL, netmem_lens[i], 1, 0,
							 GFP_KERNEL | __GFP_ZERO, &bv));
			KUNIT_EXPECT_NULL(test, memchr_inv(bvec_virt(&bv), 0, bv.bv_len));
			memset(bvec_virt(&bv), 0xff, bv.bv_len);
			netmem_free(&bv);
			netmem_free(&first);
		}
	}
}

/*
 * Fragments and chunks
 */

#define NR_FRAGS	400

static void netmem_test_overlap(struct kunit *test)
{
	struct bio_vec *bv;
	struct rnd_state rnd;

	bv = kunit_kcalloc(test, NR_FRAGS, sizeof(*bv), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bv);
	prandom_seed_state(&rnd, 20);

	for (int round = 0; round < 8; round++) {
		/* Free a part of them at random, and fill up again. */
		for (int i = 0; i < NR_FRAGS; i++) {
			u32 r = prandom_u32_state(&rnd);
			size_t len = 1 + r % (r & BIT(20) ? 300 : 6000);

			if (bv[i].bv_page && (r & BIT(21)))
				continue;
			netmem_free(&bv[i]);
			KUNIT_ASSERT_EQ(test, 0,
					netmem_alloc(NULL, len, !!(r & BIT(22)),
						     &bv[i]));
			netmem_fill(&bv[i], i);
		}
		for (int i = 0; i < NR_FRAGS; i++)
			KUNIT_EXPECT_TRUE(test, netmem_intact(&bv[i], i));
	}
	netmem_free_bulk(bv, NR_FRAGS);
	for (int i = 0; i < NR_FRAGS; i++)
		KUNIT_EXPECT_NULL(test, bv[i].bv_page);
}

static void netmem_test_classes(struct kunit *test)
{
	struct bio_vec bv[2][40];

	for (int i = 0; i < ARRAY_SIZE(bv[0]); i++)
		for (int c = 0; c < 2; c++)
			KUNIT_ASSERT_EQ(test, 0,
					netmem_alloc(NULL, 2000, c, &bv[c][i]));

	for (int i = 0; i < ARRAY_SIZE(bv[0]); i++)
		for (int j = 0; j < ARRAY_SIZE(bv[1]); j++)
			KUNIT_EXPECT_PTR_NE(test, netmem_head(&bv[0][i]),
					    netmem_head(&bv[1][j]));
	netmem_free_bulk(bv[0], ARRAY_SIZE(bv[0]));
	netmem_free_bulk(bv[1], ARRAY_SIZE(bv[1]));
}

/* Chunks that have been freed are what is handed out next, in whatever order
 * their fragments went.
 */
static void netmem_test_recycle(struct kunit *test)
{
	static const unsigned int lens[] = { 64, 1500, 9000, NETMEM_FRAG_MAX };
	struct netmem_stats before, after;
	struct bio_vec *bv;
	struct rnd_state rnd;

	bv = kunit_kcalloc(test, 1024, sizeof(*bv), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bv);
	prandom_seed_state(&rnd, 4);

	/* Enough for any of what follows. */
	for (int i = 0; i < 40; i++)
		KUNIT_ASSERT_EQ(test, 0,
				netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &bv[i]));
	before = netmem_stats(0);
	netmem_free_bulk(bv, 40);

	for (int l = 0; l < ARRAY_SIZE(lens); l++) {
		unsigned int nr = lens[l] == 64 ? 1024 : 32;

		for (int round = 0; round < 10; round++) {
			for (int i = 0; i < nr; i++)
				KUNIT_ASSERT_EQ(test, 0,
						netmem_alloc(NULL, lens[l], 0,
							     &bv[i]));
			after = netmem_stats(0);
			KUNIT_EXPECT_EQ(test, after.fresh[0], before.fresh[0]);
			KUNIT_EXPECT_EQ(test, after.held[0], before.held[0]);
			KUNIT_EXPECT_GT(test, after.refills, before.refills);
			before = after;
			/* Forwards, backwards, at random. */
			for (int i = 0; i < nr; i++) {
				u32 j = prandom_u32_state(&rnd) % nr;

				if (round % 3 == 0)
					j = i;
				else if (round % 3 == 1)
					j = nr - 1 - i;
				netmem_free(&bv[j]);
			}
			netmem_free_bulk(bv, nr);
		}
		KUNIT_EXPECT_EQ(test, after.fresh[1], before.fresh[1]);
		KUNIT_EXPECT_EQ(test, after.unpooled, before.unpooled);
	}
}

static void netmem_test_restart(struct kunit *test)
{
	struct netmem_stats before, after;
	struct bio_vec bv;

	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 64, 0, &bv));
	netmem_free(&bv);
	before = netmem_stats(0);
	for (int i = 0; i < 10000; i++) {
		KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 64, 0, &bv));
		netmem_free(&bv);
	}
	after = netmem_stats(0);
	KUNIT_EXPECT_EQ(test, after.allocs, before.allocs + 10000);
	KUNIT_EXPECT_EQ(test, after.refills, before.refills);
	KUNIT_EXPECT_GE(test, after.restarts, before.restarts + 10000 / 512 - 1);
	KUNIT_EXPECT_EQ(test, after.held[0], before.held[0]);
}

/* A big fragment gets a chunk of its own and leaves the open one open. */
static void netmem_test_mixed(struct kunit *test)
{
	struct bio_vec small[20], big[20];
	unsigned int breaks = 0;

	for (int i = 0; i < ARRAY_SIZE(small); i++) {
		KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 200, 0, &small[i]));
		KUNIT_ASSERT_EQ(test, 0,
				netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &big[i]));
		KUNIT_EXPECT_PTR_NE(test, netmem_head(&small[i]),
				    netmem_head(&big[i]));
	}
	for (int i = 1; i < ARRAY_SIZE(small); i++)
		breaks += netmem_head(&small[i]) != netmem_head(&small[i - 1]);
	KUNIT_EXPECT_LE(test, breaks, 1);
	netmem_free_bulk(small, ARRAY_SIZE(small));
	netmem_free_bulk(big, ARRAY_SIZE(big));
}

static void netmem_test_bulk(struct kunit *test)
{
	struct netmem_stats before, after;
	struct bio_vec bv[64] = {};

	before = netmem_stats(0);
	for (int i = 0; i < ARRAY_SIZE(bv); i++) {
		if (i % 5 == 4)
			continue;	/* stays empty */
		KUNIT_ASSERT_EQ(test, 0,
				netmem_alloc(NULL, i % 7 ? 900 : 20000, 0, &bv[i]));
	}
	netmem_free_bulk(bv, ARRAY_SIZE(bv));
	for (int i = 0; i < ARRAY_SIZE(bv); i++)
		KUNIT_EXPECT_NULL(test, bv[i].bv_page);

	/* Whatever is idle can go, and that is all but the open chunk. */
	netmem_trim(true);
	after = netmem_stats(0);
	KUNIT_EXPECT_LE(test, after.held[0], NR_OPEN);
	KUNIT_EXPECT_EQ(test, after.held[1], before.held[1]);
}

/*
 * Other references on the page
 */

static void netmem_test_page_ref(struct kunit *test)
{
	struct netmem_stats before, after;
	struct bio_vec bv, copy, open;

	/* The fragment has the chunk to itself. */
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 64, 0, &bv));
	copy = bv;
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &bv));
	netmem_free(&copy);
	netmem_fill(&bv, 1);
	copy = bv;

	get_page(bv.bv_page);
	before = netmem_stats(0);
	netmem_free(&bv);
	after = netmem_stats(0);

	/* It stays with the pool, but nobody gets it. */
	KUNIT_EXPECT_EQ(test, after.held[0], before.held[0]);
	KUNIT_EXPECT_EQ(test, after.lingering, before.lingering + 1);
	KUNIT_EXPECT_TRUE(test, page_pool_page_is_pp(netmem_head(&copy)));
	for (int i = 0; i < 64; i++) {
		KUNIT_ASSERT_EQ(test, 0,
				netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &bv));
		KUNIT_EXPECT_PTR_NE(test, netmem_head(&bv), netmem_head(&copy));
		netmem_free(&bv);
	}
	KUNIT_EXPECT_TRUE(test, netmem_intact(&copy, 1));

	/* Until it is let go of: then it is the next one from the pool. */
	put_page(copy.bv_page);
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 64, 0, &open));
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &bv));
	KUNIT_EXPECT_PTR_EQ(test, netmem_head(&bv), netmem_head(&copy));
	netmem_free(&bv);
	netmem_free(&open);
	KUNIT_EXPECT_EQ(test, netmem_stats(0).lingering, before.lingering);
}

/* One that never comes back holds up none of the others, and there is a limit. */
static void netmem_test_linger(struct kunit *test)
{
	const unsigned int nr = NETMEM_NR_LINGERING + 10;
	struct bio_vec *bv, *copy, open, next;
	unsigned int reused = 0, let_go = 0;

	bv = kunit_kcalloc(test, nr, sizeof(*bv), GFP_KERNEL);
	copy = kunit_kcalloc(test, nr, sizeof(*copy), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bv);
	KUNIT_ASSERT_NOT_NULL(test, copy);
	/* The open chunk is in use, and starts over for none of the others. */
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 64, 0, &open));
	for (int i = 0; i < nr; i++) {
		KUNIT_ASSERT_EQ(test, 0,
				netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &bv[i]));
		netmem_fill(&bv[i], i);
		get_page(bv[i].bv_page);
	}
	memcpy(copy, bv, nr * sizeof(*bv));
	netmem_free_bulk(bv, nr);
	KUNIT_EXPECT_EQ(test, netmem_stats(0).lingering, NETMEM_NR_LINGERING);
	for (int i = 0; i < nr; i++) {
		KUNIT_EXPECT_TRUE(test, netmem_intact(&copy[i], i));
		let_go += !page_pool_page_is_pp(netmem_head(&copy[i]));
	}
	KUNIT_EXPECT_EQ(test, let_go, 10);

	/* All but the first one are let go of. */
	for (int i = 1; i < nr; i++)
		put_page(copy[i].bv_page);
	for (int i = 0; i < NETMEM_NR_LINGERING / 2; i++) {
		KUNIT_ASSERT_EQ(test, 0,
				netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &next));
		KUNIT_EXPECT_PTR_NE(test, netmem_head(&next), netmem_head(&copy[0]));
		for (int j = 1; j < nr; j++)
			reused += netmem_head(&next) == netmem_head(&copy[j]);
		netmem_free(&next);
	}
	KUNIT_EXPECT_GT(test, reused, 0);

	netmem_trim(true);
	KUNIT_EXPECT_EQ(test, netmem_stats(0).lingering, 1);
	KUNIT_EXPECT_TRUE(test, netmem_intact(&copy[0], 0));
	put_page(copy[0].bv_page);
	netmem_free(&open);
	netmem_trim(true);
	KUNIT_EXPECT_EQ(test, netmem_stats(0).lingering, 0);
	KUNIT_EXPECT_LE(test, netmem_stats(0).held[0], NR_OPEN);
}

/* The open chunk does not start over under somebody's page reference. */
static void netmem_test_page_ref_open(struct kunit *test)
{
	struct bio_vec bv, copy;

	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 64, 0, &bv));
	netmem_fill(&bv, 2);
	copy = bv;
	get_page(copy.bv_page);
	netmem_free(&bv);

	for (int i = 0; i < 2000; i++) {
		KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 64, 0, &bv));
		netmem_fill(&bv, 3);
		netmem_free(&bv);
	}
	KUNIT_EXPECT_TRUE(test, netmem_intact(&copy, 2));
	put_page(copy.bv_page);
}

/*
 * Contexts
 */

struct netmem_softirq {
	struct tasklet_struct	tasklet;
	struct timer_list	timer;
	struct completion	done;
	struct bio_vec		*bv;
	unsigned int		nr;
	struct bio_vec		keep;
	int			err;
};

static void netmem_softirq_work(struct netmem_softirq *s)
{
	struct bio_vec bv;

	if (!in_softirq())
		s->err = -EPERM;
	netmem_free_bulk(s->bv, s->nr / 2);
	for (int i = s->nr / 2; i < s->nr; i++)
		netmem_free(&s->bv[i]);

	for (int i = 0; i < 1000 && !s->err; i++) {
		s->err = netmem_alloc_gfp(NULL, 500 + i, 1, i & 1, GFP_ATOMIC,
					  &bv);
		if (!s->err)
			netmem_free(&bv);
	}
	if (!s->err)
		s->err = netmem_alloc_gfp(NULL, 64, 1, 0, GFP_ATOMIC, &s->keep);
	complete(&s->done);
}

static void netmem_tasklet_fn(struct tasklet_struct *t)
{
	netmem_softirq_work(container_of(t, struct netmem_softirq, tasklet));
}

static void netmem_timer_fn(struct timer_list *t)
{
	netmem_softirq_work(container_of(t, struct netmem_softirq, timer));
}

static void netmem_test_softirq(struct kunit *test)
{
	struct netmem_softirq s = { .nr = 100 };
	struct bio_vec *bv, mine[2];

	bv = kunit_kcalloc(test, s.nr, sizeof(*bv), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bv);
	s.bv = bv;

	tasklet_setup(&s.tasklet, netmem_tasklet_fn);
	timer_setup_on_stack(&s.timer, netmem_timer_fn, 0);

	for (int how = 0; how < 3; how++) {
		for (int i = 0; i < s.nr; i++)
			KUNIT_ASSERT_EQ(test, 0,
					netmem_alloc(NULL, 700 * (1 + i % 30), i & 1,
						     &bv[i]));
		KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 64, 0, &mine[0]));
		init_completion(&s.done);
		switch (how) {
		case 0:
			tasklet_schedule(&s.tasklet);
			break;
		case 1:
			mod_timer(&s.timer, jiffies + 1);
			break;
		case 2:
			local_bh_disable();
			netmem_softirq_work(&s);
			local_bh_enable();
			break;
		}
		wait_for_completion(&s.done);
		KUNIT_ASSERT_EQ(test, s.err, 0);

		/* A softirq may come in the middle of an allocation, so it has
		 * a chunk of its own.
		 */
		KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 64, 0, &mine[1]));
		if (how < 2)
			for (int i = 0; i < 2; i++)
				KUNIT_EXPECT_PTR_NE(test, netmem_head(&mine[i]),
						    netmem_head(&s.keep));
		netmem_free(&s.keep);
		netmem_free_bulk(mine, 2);
		for (int i = 0; i < s.nr; i++)
			KUNIT_EXPECT_NULL(test, bv[i].bv_page);
	}
	tasklet_kill(&s.tasklet);
	timer_delete_sync(&s.timer);
	timer_destroy_on_stack(&s.timer);
}

#define NR_THREADS	4
#define NR_SLOTS	256

/* A fragment on its way from the thread that made it to the one that frees it. */
struct netmem_parcel {
	struct bio_vec	bv;
	unsigned int	id;
};

struct netmem_mill {
	struct netmem_parcel	*slots[NR_SLOTS];
	atomic_t		bad;
	atomic_t		running;
	struct completion	done;
};

static void netmem_parcel_open(struct netmem_mill *mill, struct netmem_parcel *p)
{
	if (!p)
		return;
	if (!netmem_intact(&p->bv, p->id))
		atomic_inc(&mill->bad);
	netmem_free(&p->bv);
	kfree(p);
}

static int netmem_mill_thread(void *arg)
{
	struct netmem_mill *mill = arg;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, (unsigned long)current);
	for (int i = 0; i < 20000; i++) {
		u32 r = prandom_u32_state(&rnd);
		struct netmem_parcel *p = kmalloc_obj(*p);

		if (!p || netmem_alloc(NULL, 1 + (r & 0xff ? r % 1000 : r % 32768),
				       !!(r & BIT(20)), &p->bv)) {
			kfree(p);
			atomic_inc(&mill->bad);
			break;
		}
		p->id = r;
		netmem_fill(&p->bv, p->id);
		netmem_parcel_open(mill, xchg(&mill->slots[(r >> 8) % NR_SLOTS], p));
		if (!(r & 0xff0))
			cond_resched();
	}
	if (atomic_dec_and_test(&mill->running))
		complete(&mill->done);
	return 0;
}

static void netmem_test_threads(struct kunit *test)
{
	struct netmem_mill *mill;

	mill = kunit_kzalloc(test, sizeof(*mill), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mill);
	init_completion(&mill->done);
	atomic_set(&mill->running, NR_THREADS);
	for (int i = 0; i < NR_THREADS; i++)
		if (IS_ERR(kthread_run(netmem_mill_thread, mill, "netmem/%d", i)) &&
		    atomic_dec_and_test(&mill->running))
			complete(&mill->done);

	/* Trimming beside it must not take what is in use. */
	while (!wait_for_completion_timeout(&mill->done, HZ / 20))
		netmem_trim(true);
	for (int i = 0; i < NR_SLOTS; i++)
		netmem_parcel_open(mill, mill->slots[i]);
	KUNIT_EXPECT_EQ(test, atomic_read(&mill->bad), 0);
}

/*
 * Idle memory
 */

static void netmem_test_trim(struct kunit *test)
{
	struct netmem_stats stats;
	struct bio_vec bv[64];

	netmem_trim(true);
	for (int i = 0; i < ARRAY_SIZE(bv); i++)
		KUNIT_ASSERT_EQ(test, 0,
				netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &bv[i]));
	netmem_free_bulk(bv, ARRAY_SIZE(bv));

	/* All were in use since the last look: nothing goes. */
	netmem_trim(false);
	stats = netmem_stats(0);
	KUNIT_EXPECT_GE(test, stats.held[0], (int)ARRAY_SIZE(bv));

	/* Eight of them were in use, so the others go. */
	for (int i = 0; i < 8; i++)
		KUNIT_ASSERT_EQ(test, 0,
				netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &bv[i]));
	netmem_free_bulk(bv, 8);
	netmem_trim(false);
	stats = netmem_stats(0);
	KUNIT_EXPECT_GE(test, stats.held[0], 7);
	KUNIT_EXPECT_LE(test, stats.held[0], 8 + NR_OPEN);

	/* Nobody took any: all go. */
	netmem_trim(false);
	stats = netmem_stats(0);
	KUNIT_EXPECT_LE(test, stats.held[0], NR_OPEN);
}

/* What is cached is bounded, however much was in flight. */
static void netmem_test_bound(struct kunit *test)
{
	const unsigned int nr = 1000;
	struct netmem_stats stats;
	struct bio_vec *bv;

	bv = kunit_kcalloc(test, nr, sizeof(*bv), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bv);
	for (int i = 0; i < nr; i++)
		KUNIT_ASSERT_EQ(test, 0,
				netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &bv[i]));
	netmem_free_bulk(bv, nr);
	stats = netmem_stats(0);
	KUNIT_EXPECT_LT(test, stats.held[0], 700);
	KUNIT_EXPECT_GT(test, stats.held[0], 100);
	netmem_trim(true);
}

/*
 * Shortage
 */

static struct page *netmem_no_chunks(struct netmem_pool *np, gfp_t gfp)
{
	struct page *page = NULL;

	if (np->pp->p.order)
		return NULL;

	/* The real one, which would be us again. */
	spin_lock_bh(&np->lock);
	page = page_pool_alloc_pages(np->pp, gfp);
	spin_unlock_bh(&np->lock);
	return page;
}

static struct page *netmem_no_pool(struct netmem_pool *np, gfp_t gfp)
{
	return NULL;
}

static struct page *netmem_no_pages(size_t len, size_t align, gfp_t gfp,
				    bool reserve)
{
	return NULL;
}

/* Hold fragments until the CPU's open chunk is used up. */
static unsigned int netmem_use_up(struct kunit *test, struct bio_vec *bv)
{
	unsigned int nr = 0;

	do {
		KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, PAGE_SIZE, 0, &bv[nr]));
	} while (PageCompound(bv[nr++].bv_page) && nr < 16);

	KUNIT_ASSERT_LT(test, nr, 16);
	return nr;
}

static void netmem_test_small_chunks(struct kunit *test)
{
	struct netmem_stats before, after;
	struct bio_vec bv[16], small[64], big;
	unsigned int nr;

	kunit_activate_static_stub(test, netmem_pool_take, netmem_no_chunks);
	before = netmem_stats(0);
	nr = netmem_use_up(test, bv);
	KUNIT_EXPECT_TRUE(test, page_pool_page_is_pp(bv[nr - 1].bv_page));

	/* Many small fragments still share a page. */
	for (int i = 0; i < ARRAY_SIZE(small); i++) {
		KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 128, 0, &small[i]));
		netmem_fill(&small[i], i);
	}
	after = netmem_stats(0);
	KUNIT_EXPECT_LE(test, after.small,
			before.small + 1 + ARRAY_SIZE(small) * 128 / PAGE_SIZE + 1);
	KUNIT_EXPECT_GT(test, after.small, before.small);
	KUNIT_EXPECT_EQ(test, after.unpooled, before.unpooled);

	/* Longer than a page, or aligned to more: pages of its own. */
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, PAGE_SIZE + 1, 0, &big));
	KUNIT_EXPECT_FALSE(test, page_pool_page_is_pp(netmem_head(&big)));
	netmem_fill(&big, 7);
	KUNIT_EXPECT_TRUE(test, netmem_intact(&big, 7));
	netmem_free(&big);
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc_gfp(NULL, 10, 4 * PAGE_SIZE, 0,
						  GFP_KERNEL, &big));
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)bvec_virt(&big),
					   4 * PAGE_SIZE));
	netmem_free(&big);
	after = netmem_stats(0);
	KUNIT_EXPECT_EQ(test, after.unpooled, before.unpooled + 2);

	for (int i = 0; i < ARRAY_SIZE(small); i++)
		KUNIT_EXPECT_TRUE(test, netmem_intact(&small[i], i));
	netmem_free_bulk(small, ARRAY_SIZE(small));
	netmem_free_bulk(bv, nr);
	kunit_deactivate_static_stub(test, netmem_pool_take);

	/* And back to chunks. */
	nr = 0;
	do {
		KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, PAGE_SIZE, 0, &bv[nr]));
	} while (!PageCompound(bv[nr++].bv_page) && nr < 16);
	KUNIT_EXPECT_LT(test, nr, 16);
	netmem_free_bulk(bv, nr);
}

static void netmem_test_unpooled(struct kunit *test)
{
	struct bio_vec bv[16], copy;
	struct page *page, *spare;
	unsigned int nr;

	kunit_activate_static_stub(test, netmem_pool_take, netmem_no_pool);
	nr = netmem_use_up(test, bv);
	page = bv[nr - 1].bv_page;
	KUNIT_EXPECT_FALSE(test, page_pool_page_is_pp(page));
	netmem_fill(&bv[nr - 1], 9);

	/* Still being sent when it is freed: the reserve must not take it, but
	 * another page in its place.
	 */
	copy = bv[nr - 1];
	get_page(page);
	spare = mempool_alloc_preallocated(&netmem_reserve);
	KUNIT_ASSERT_NOT_NULL(test, spare);
	KUNIT_EXPECT_FALSE(test, mempool_is_saturated(&netmem_reserve));
	netmem_free(&bv[nr - 1]);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 1);
	KUNIT_EXPECT_TRUE(test, mempool_is_saturated(&netmem_reserve));
	/* If there was none then, there may be later. */
	for (int i = 0; i < 3; i++)
		put_page(mempool_alloc_preallocated(&netmem_reserve));
	KUNIT_EXPECT_FALSE(test, mempool_is_saturated(&netmem_reserve));
	netmem_trim_work.work.func(&netmem_trim_work.work);
	KUNIT_EXPECT_TRUE(test, mempool_is_saturated(&netmem_reserve));
	mempool_free(spare, &netmem_reserve);
	for (int i = 0; i < 64; i++) {
		KUNIT_ASSERT_EQ(test, 0,
				netmem_alloc(NULL, PAGE_SIZE, 0, &bv[nr - 1]));
		KUNIT_EXPECT_PTR_NE(test, bv[nr - 1].bv_page, page);
		netmem_free(&bv[nr - 1]);
	}
	KUNIT_EXPECT_TRUE(test, netmem_intact(&copy, 9));
	put_page(page);
	netmem_free_bulk(bv, nr);
	kunit_deactivate_static_stub(test, netmem_pool_take);
}

static void netmem_test_enomem(struct kunit *test)
{
	struct netmem_stats before, after;
	struct bio_vec bv[16], none, copy;
	unsigned int nr;

	kunit_activate_static_stub(test, netmem_pool_take, netmem_no_pool);
	nr = netmem_use_up(test, bv);
	kunit_activate_static_stub(test, netmem_alloc_unpooled, netmem_no_pages);

	memset(&none, 0xa5, sizeof(none));
	copy = none;
	before = netmem_stats(0);
	KUNIT_EXPECT_EQ(test, -ENOMEM, netmem_alloc(NULL, PAGE_SIZE, 0, &none));
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &none));
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			netmem_alloc_gfp(NULL, PAGE_SIZE, 1, 0,
					 GFP_NOWAIT | __GFP_ZERO, &none));
	KUNIT_EXPECT_MEMEQ(test, &none, &copy, sizeof(none));
	after = netmem_stats(0);
	KUNIT_EXPECT_EQ(test, after.failures, before.failures + 3);
	KUNIT_EXPECT_EQ(test, after.allocs, before.allocs);

	kunit_deactivate_static_stub(test, netmem_alloc_unpooled);
	kunit_deactivate_static_stub(test, netmem_pool_take);
	netmem_free_bulk(bv, nr);
	KUNIT_EXPECT_EQ(test, 0, netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &none));
	netmem_free(&none);
}

/*
 * Chains
 */

static void netmem_check_chain(struct kunit *test, const struct bvecq *chain,
			       size_t len, size_t max_part)
{
	const struct bvecq *bq;
	unsigned int id = 0;
	size_t sum = 0;

	for (bq = chain; bq; bq = bvecq_next(bq)) {
		KUNIT_EXPECT_EQ(test, bq->mem, BVECQ_MEM_NETMEM);
		for (int i = 0; i < bvecq_nr_slots(bq); i++) {
			KUNIT_EXPECT_LE(test, bq->bv[i].bv_len, max_part);
			sum += bq->bv[i].bv_len;
			if (sum < len)
				KUNIT_EXPECT_GE(test, bq->bv[i].bv_len, PAGE_SIZE);
			netmem_fill(&bq->bv[i], id++);
		}
	}
	KUNIT_EXPECT_EQ(test, sum, len);
	KUNIT_EXPECT_EQ(test, bvecq_bytes(chain), len);

	id = 0;
	for (bq = chain; bq; bq = bvecq_next(bq))
		for (int i = 0; i < bvecq_nr_slots(bq); i++)
			KUNIT_EXPECT_TRUE(test, netmem_intact(&bq->bv[i], id++));
}

static const size_t netmem_chain_lens[] = {
	1, 64, PAGE_SIZE, PAGE_SIZE + 1, NETMEM_FRAG_MAX, NETMEM_FRAG_MAX + 1,
	100000, SZ_1M, SZ_4M + 17,
};

static void netmem_test_bvecq(struct kunit *test)
{
	struct bvecq *chain;

	chain = netmem_alloc_bvecq(NULL, 0, 0, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(chain), -EINVAL);
	chain = netmem_alloc_bvecq(NULL, 0, ~0, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(chain), -EINVAL);
	chain = netmem_alloc_bvecq(NULL, 64, BIT(1), GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(chain), -EINVAL);
	chain = netmem_alloc_bvecq(NULL, (size_t)INT_MAX + 1, 0, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(chain), -EMSGSIZE);
	chain = netmem_alloc_bvecq(NULL, SIZE_MAX, 0, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(chain), -EMSGSIZE);

	for (int i = 0; i < ARRAY_SIZE(netmem_chain_lens); i++) {
		size_t len = netmem_chain_lens[i];

		chain = netmem_alloc_bvecq(NULL, len, i & 1, GFP_KERNEL);
		KUNIT_ASSERT_FALSE(test, IS_ERR(chain));
		KUNIT_EXPECT_EQ(test, bvecq_nr_slots(chain),
				DIV_ROUND_UP(len, NETMEM_FRAG_MAX));
		KUNIT_EXPECT_NULL(test, bvecq_next(chain));
		netmem_check_chain(test, chain, len, NETMEM_FRAG_MAX);
		bvecq_put(chain);
	}
	chain = netmem_alloc_bvecq(NULL, 300000, 0, GFP_NOWAIT | __GFP_ZERO);
	KUNIT_ASSERT_FALSE(test, IS_ERR(chain));
	for (int i = 0; i < bvecq_nr_slots(chain); i++)
		KUNIT_EXPECT_NULL(test, memchr_inv(bvec_virt(&chain->bv[i]), 0,
						   chain->bv[i].bv_len));
	bvecq_put(chain);
	netmem_trim(true);
	KUNIT_EXPECT_LE(test, netmem_stats(0).held[0], NR_OPEN);
}

/* Allocations fail one after the other: what comes is good, nothing leaks. */
static void netmem_test_nomem(struct kunit *test)
{
	const gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN;
	unsigned int failures = 0;
	bool hit = true;

	if (!IS_ENABLED(CONFIG_FAILSLAB))
		kunit_skip(test, "needs CONFIG_FAILSLAB");
	for (unsigned int n = 1; hit; n++) {
		struct bvecq *chain;
		struct bio_vec bv;
		int err;

		netmem_trim(true);
		kunit_fail_nth(n);
		chain = netmem_alloc_bvecq(NULL, SZ_1M, 0, gfp);
		err = netmem_alloc_gfp(NULL, 100, 1, NETMEM_HINT_UNRETAINED, gfp, &bv);
		hit = kunit_fail_nth(0) == 0;
		failures += hit;
		if (IS_ERR(chain)) {
			KUNIT_ASSERT_EQ(test, PTR_ERR(chain), -ENOMEM);
			KUNIT_ASSERT_TRUE(test, hit);
		} else {
			netmem_check_chain(test, chain, SZ_1M, NETMEM_FRAG_MAX);
			bvecq_put(chain);
		}
		if (err) {
			KUNIT_ASSERT_EQ(test, err, -ENOMEM);
			KUNIT_ASSERT_TRUE(test, hit);
		} else {
			netmem_free(&bv);
		}
	}
	KUNIT_EXPECT_GT(test, failures, SZ_1M / NETMEM_FRAG_MAX / 2);
	netmem_trim(true);
	KUNIT_EXPECT_LE(test, netmem_stats(0).held[0], NR_OPEN);
}

/* Who may wait always gets a page, and what he frees fills the reserve again. */
static void netmem_test_nomem_reserve(struct kunit *test)
{
	struct bio_vec bv[16];
	unsigned int nr;

	if (!IS_ENABLED(CONFIG_FAIL_PAGE_ALLOC))
		kunit_skip(test, "needs CONFIG_FAIL_PAGE_ALLOC");
	kunit_activate_static_stub(test, netmem_pool_take, netmem_no_pool);
	nr = netmem_use_up(test, bv);
	for (unsigned int n = 1; n <= 8; n++) {
		struct bio_vec more[4];
		struct bvecq *chain;

		kunit_fail_nth(n);
		chain = netmem_alloc_bvecq(NULL, PAGE_SIZE, 0, GFP_NOFS);
		for (int i = 0; i < ARRAY_SIZE(more); i++)
			KUNIT_EXPECT_EQ(test, 0,
					netmem_alloc_gfp(NULL, PAGE_SIZE, 1, 0,
							 GFP_NOFS, &more[i]));
		kunit_fail_nth(0);
		KUNIT_ASSERT_FALSE(test, IS_ERR(chain));
		bvecq_put(chain);
		netmem_free_bulk(more, ARRAY_SIZE(more));
		KUNIT_EXPECT_TRUE(test, mempool_is_saturated(&netmem_reserve));
	}
	netmem_free_bulk(bv, nr);
	kunit_deactivate_static_stub(test, netmem_pool_take);
}

/* Memory reclaim gets all that is idle, as much at a time as it asks for. */
static void netmem_test_shrink(struct kunit *test)
{
	struct shrink_control sc = { .nr_to_scan = 64 };
	const unsigned int nr = 100;
	unsigned long count, freed;
	struct bio_vec *bv;

	bv = kunit_kcalloc(test, nr, sizeof(*bv), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bv);
	netmem_trim(true);
	for (int i = 0; i < nr; i++)
		KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, NETMEM_FRAG_MAX, 0, &bv[i]));
	netmem_free_bulk(bv, nr);
	KUNIT_EXPECT_GE(test, netmem_stats(0).held[0], nr);
	count = netmem_shrink_count(NULL, &sc);
	KUNIT_EXPECT_GE(test, count, nr * NETMEM_FRAG_MAX / PAGE_SIZE);
	freed = netmem_shrink_scan(NULL, &sc);
	KUNIT_EXPECT_GE(test, freed, 64);
	KUNIT_EXPECT_LT(test, freed, 64 + NETMEM_FRAG_MAX / PAGE_SIZE);
	while (freed != SHRINK_STOP)
		freed = netmem_shrink_scan(NULL, &sc);
	KUNIT_EXPECT_LE(test, netmem_stats(0).held[0], NR_OPEN);
	KUNIT_EXPECT_EQ(test, 0, netmem_shrink_count(NULL, &sc));
}

#define NR_PAGES	40

static struct page *netmem_pages[NR_PAGES];
static unsigned int netmem_nr_pages;
static bool netmem_saw_reserve;

/* Single pages only, and so many; and remember them. */
static struct page *netmem_few_pages(size_t len, size_t align, gfp_t gfp,
				     bool reserve)
{
	struct page *page;

	netmem_saw_reserve |= reserve;
	if (len > PAGE_SIZE || netmem_nr_pages == NR_PAGES)
		return NULL;
	page = alloc_page(gfp);
	if (page) {
		get_page(page);
		netmem_pages[netmem_nr_pages++] = page;
	}
	return page;
}

static void netmem_check_pages(struct kunit *test)
{
	while (netmem_nr_pages) {
		struct page *page = netmem_pages[--netmem_nr_pages];

		KUNIT_EXPECT_EQ(test, page_ref_count(page), 1);
		put_page(page);
	}
}

static void netmem_test_bvecq_short(struct kunit *test)
{
	struct netmem_stats before;
	struct bio_vec bv[16];
	struct bvecq *chain;
	unsigned int nr;

	netmem_nr_pages = 0;
	kunit_activate_static_stub(test, netmem_pool_take, netmem_no_pool);
	nr = netmem_use_up(test, bv);
	kunit_activate_static_stub(test, netmem_alloc_unpooled, netmem_few_pages);

	/* From single pages, more than there was room for in the segment. */
	netmem_saw_reserve = false;
	chain = netmem_alloc_bvecq(NULL, 30 * PAGE_SIZE - 5, 0, GFP_KERNEL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(chain));
	netmem_check_chain(test, chain, 30 * PAGE_SIZE - 5, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, netmem_nr_pages, 30);
	KUNIT_EXPECT_FALSE(test, netmem_saw_reserve);
	bvecq_put(chain);
	netmem_check_pages(test);

	/* Half way there is no more: what there was is freed. */
	before = netmem_stats(0);
	chain = netmem_alloc_bvecq(NULL, (NR_PAGES + 1) * PAGE_SIZE, 0,
				   GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(chain), -ENOMEM);
	KUNIT_EXPECT_EQ(test, netmem_nr_pages, NR_PAGES);
	KUNIT_EXPECT_EQ(test, netmem_stats(0).failures, before.failures + 1);
	netmem_check_pages(test);

	/* A header may use the reserve. */
	chain = netmem_alloc_bvecq(NULL, PAGE_SIZE, 0, GFP_NOFS);
	KUNIT_ASSERT_FALSE(test, IS_ERR(chain));
	KUNIT_EXPECT_TRUE(test, netmem_saw_reserve);
	KUNIT_EXPECT_TRUE(test, chain->reserved);
	bvecq_put(chain);
	netmem_check_pages(test);

	/* Unless its owner has another one that somebody might wait for. */
	netmem_saw_reserve = false;
	chain = netmem_alloc_bvecq(NULL, PAGE_SIZE, 0, GFP_NOFS | __GFP_NOMEMALLOC);
	KUNIT_ASSERT_FALSE(test, IS_ERR(chain));
	KUNIT_EXPECT_FALSE(test, netmem_saw_reserve);
	KUNIT_EXPECT_FALSE(test, chain->reserved);
	bvecq_put(chain);
	KUNIT_EXPECT_EQ(test, 0, netmem_alloc_gfp(NULL, 64, 1, 0,
						  GFP_NOFS | __GFP_NOMEMALLOC, &bv[15]));
	KUNIT_EXPECT_FALSE(test, netmem_saw_reserve);
	netmem_free(&bv[15]);
	netmem_check_pages(test);

	kunit_deactivate_static_stub(test, netmem_alloc_unpooled);
	kunit_deactivate_static_stub(test, netmem_pool_take);
	netmem_free_bulk(bv, nr);
}

/*
 * Routes and devices
 */

static netdev_tx_t netmem_dev_xmit(struct sk_buff *skb, struct net_device *dev)
{
	dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops netmem_dev_ops = {
	.ndo_start_xmit	= netmem_dev_xmit,
};

static void netmem_dev_setup(struct net_device *dev)
{
	dev->netdev_ops = &netmem_dev_ops;
	dev->mtu = ETH_DATA_LEN;
}

/* A device that looks as if it did DMA. */
static struct net_device *netmem_make_dev(struct kunit *test, bool dma)
{
	static u64 mask = DMA_BIT_MASK(64);
	static unsigned int nr_parents;
	struct net_device *dev;

	dev = alloc_netdev(0, "nmtest%d", NET_NAME_ENUM, netmem_dev_setup);
	KUNIT_ASSERT_NOT_NULL(test, dev);
	if (dma) {
		struct device *parent;
		char name[24];

		snprintf(name, sizeof(name), "netmem-parent%u", nr_parents++);
		parent = kunit_device_register(test, name);
		KUNIT_ASSERT_FALSE(test, IS_ERR(parent));
		parent->dma_mask = &mask;
		SET_NETDEV_DEV(dev, parent);
		dev->tx_pool_dma = true;
	}
	KUNIT_ASSERT_EQ(test, 0, register_netdev(dev));
	return dev;
}

static bool netmem_is_from(const struct bio_vec *bv, const struct netmem_set *set)
{
	const struct page_pool *pp = netmem_head(bv)->pp;

	return pp == set->classes[0].pools[NETMEM_POOL_CHUNK].pp ||
	       pp == set->classes[0].pools[NETMEM_POOL_PAGE].pp;
}

static void netmem_route(struct kunit *test, struct socket *sock,
			 struct net_device *dev)
{
	struct rtable *rt = rt_dst_alloc(dev, 0, RTN_UNICAST, true);

	KUNIT_ASSERT_NOT_NULL(test, rt);
	sk_dst_set(sock->sk, &rt->dst);
}

static void netmem_test_route(struct kunit *test)
{
	struct netmem_set *none = netmem_get_set(NULL), *set;
	struct net_device *dev, *virt;
	struct bio_vec a, b, c;
	struct socket *sock;

	sock = netmem_make_socket(test, AF_INET);
	virt = netmem_make_dev(test, false);
	dev = netmem_make_dev(test, true);

	/* No route, and a route through what needs no mapping. */
	KUNIT_EXPECT_PTR_EQ(test, netmem_get_set(sock->sk), none);
	netmem_route(test, sock, virt);
	KUNIT_EXPECT_PTR_EQ(test, netmem_get_set(sock->sk), none);

	/* The first look at a device has the set made, those after find it. */
	netmem_route(test, sock, dev);
	KUNIT_EXPECT_PTR_EQ(test, netmem_get_set(sock->sk), none);
	flush_workqueue(netmem_wq);
	set = netmem_get_set(sock->sk);
	KUNIT_EXPECT_PTR_NE(test, set, none);
	KUNIT_EXPECT_PTR_EQ(test, netmem_get_set(sock->sk), set);
	KUNIT_EXPECT_STREQ(test, set->name, dev->name);

	/* Its memory is its own, and the route may change at any time. */
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(sock->sk, 100, 0, &a));
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 100, 0, &b));
	KUNIT_EXPECT_TRUE(test, netmem_is_from(&a, set));
	KUNIT_EXPECT_TRUE(test, netmem_is_from(&b, none));
	netmem_route(test, sock, virt);
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(sock->sk, 100, 0, &c));
	KUNIT_EXPECT_TRUE(test, netmem_is_from(&c, none));
	netmem_free(&a);
	netmem_free(&b);
	netmem_free(&c);

	sk_dst_reset(sock->sk);
	KUNIT_EXPECT_PTR_EQ(test, netmem_get_set(sock->sk), none);
	unregister_netdev(dev);
	free_netdev(dev);
	unregister_netdev(virt);
	free_netdev(virt);
	sock_release(sock);
	flush_workqueue(netmem_wq);
}

static void netmem_lo_up(struct kunit *test)
{
	struct net_device *lo = init_net.loopback_dev;

	rtnl_lock();
	KUNIT_EXPECT_EQ(test, 0, dev_change_flags(lo, lo->flags | IFF_UP, NULL));
	rtnl_unlock();
}

static int netmem_alloc_v4(struct sock *sk, u32 addr, struct dst_cache *cache,
			   struct bio_vec *bv)
{
	struct sockaddr_in sin = {
		.sin_family	= AF_INET,
		.sin_port	= htons(7001),
		.sin_addr	= { htonl(addr) },
	};

	return netmem_alloc_dest(sk, (struct sockaddr *)&sin, sizeof(sin), cache,
				 100, 1, 0, GFP_KERNEL, bv);
}

static int netmem_alloc_v6(struct sock *sk, const struct in6_addr *addr,
			   struct bio_vec *bv)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family	= AF_INET6,
		.sin6_port	= htons(7001),
		.sin6_addr	= *addr,
	};

	return netmem_alloc_dest(sk, (struct sockaddr *)&sin6, sizeof(sin6), NULL,
				 100, 1, 0, GFP_KERNEL, bv);
}

static void netmem_test_dest_malformed(struct kunit *test)
{
	static const struct {
		int	sock;
		int	family;
		int	len;
		int	err;
	} t[] = {
		{ AF_INET,	AF_INET,	0,	-EINVAL },
		{ AF_INET,	AF_INET,	-1,	-EINVAL },
		{ AF_INET,	AF_INET,	1,	-EINVAL },
		{ AF_INET,	AF_INET,	sizeof(struct sockaddr_in) - 1, -EINVAL },
		{ AF_INET,	AF_UNSPEC,	sizeof(struct sockaddr_in6), -EAFNOSUPPORT },
		{ AF_INET,	AF_UNIX,	sizeof(struct sockaddr_in6), -EAFNOSUPPORT },
		{ AF_INET,	AF_INET6,	sizeof(struct sockaddr_in6), -EAFNOSUPPORT },
#if IS_ENABLED(CONFIG_IPV6)
		{ AF_INET6,	AF_INET6,	sizeof(struct sockaddr_in6) - 1, -EINVAL },
		{ AF_INET6,	AF_INET,	sizeof(struct sockaddr_in) - 1, -EINVAL },
		{ AF_INET6,	AF_PACKET,	sizeof(struct sockaddr_in6), -EAFNOSUPPORT },
#endif
	};
	struct bio_vec bv, before;

	memset(&bv, 0x5a, sizeof(bv));
	before = bv;
	for (int i = 0; i < ARRAY_SIZE(t); i++) {
		struct sockaddr_in6 addr = { .sin6_family = t[i].family };
		struct socket *sock;

		sock = netmem_make_socket(test, t[i].sock);
		KUNIT_EXPECT_EQ_MSG(test, t[i].err,
				    netmem_alloc_dest(sock->sk, (struct sockaddr *)&addr,
						      t[i].len, NULL, 64, 1, 0,
						      GFP_KERNEL, &bv),
				    "case %d", i);
		sock_release(sock);
	}
	KUNIT_EXPECT_MEMEQ(test, &bv, &before, sizeof(bv));
}

/* The address decides, and what the socket is bound to. */
static void netmem_test_dest(struct kunit *test)
{
	static const struct in6_addr far = { { { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } } };
	const u32 lo = INADDR_LOOPBACK, nowhere = 0xc0000201;	/* 192.0.2.1 */
	struct netmem_set *none = netmem_get_set(NULL), *set;
	struct in6_addr mapped;
	struct dst_cache cache;
	struct dst_entry *dst;
	struct net_device *dev;
	struct socket *sock;
	struct bio_vec bv;
	unsigned int refs;

	netmem_lo_up(test);
	KUNIT_ASSERT_EQ(test, 0, dst_cache_init(&cache, GFP_KERNEL));
	/* What is put there in the same jiffy counts as stale. */
	schedule_timeout_uninterruptible(2);
	sock = netmem_make_socket(test, AF_INET);
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc_v4(sock->sk, lo, NULL, &bv));
	KUNIT_EXPECT_TRUE(test, netmem_is_from(&bv, none));
	netmem_free(&bv);
	KUNIT_EXPECT_EQ(test, -ENETUNREACH, netmem_alloc_v4(sock->sk, nowhere, &cache, &bv));

	/* A bound device takes what has no route; it gets a set when it is first needed. */
	dev = netmem_make_dev(test, true);
	rtnl_lock();
	KUNIT_EXPECT_EQ(test, 0, dev_change_flags(dev, dev->flags | IFF_UP, NULL));
	rtnl_unlock();
	sock->sk->sk_bound_dev_if = dev->ifindex;
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc_v4(sock->sk, nowhere, NULL, &bv));
	netmem_free(&bv);
	flush_workqueue(netmem_wq);
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc_v4(sock->sk, nowhere, &cache, &bv));
	netmem_route(test, sock, dev);
	set = netmem_get_set(sock->sk);
	sk_dst_reset(sock->sk);
	KUNIT_EXPECT_PTR_NE(test, set, none);
	KUNIT_EXPECT_TRUE(test, netmem_is_from(&bv, set));
	netmem_free(&bv);

	/* The route is kept in the cache, but not for longer than the device. */
	sock->sk->sk_bound_dev_if = 0;
	local_bh_disable();
	dst = dst_cache_get(&cache);
	local_bh_enable();
	KUNIT_ASSERT_NOT_NULL(test, dst);
	refs = rcuref_read(&dst->__rcuref);
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc_v4(sock->sk, nowhere, &cache, &bv));
	KUNIT_EXPECT_TRUE(test, netmem_is_from(&bv, set));
	KUNIT_EXPECT_EQ(test, refs, rcuref_read(&dst->__rcuref));
	netmem_free(&bv);
	dst_release(dst);
	unregister_netdev(dev);
	free_netdev(dev);
	KUNIT_EXPECT_EQ(test, -ENETUNREACH, netmem_alloc_v4(sock->sk, nowhere, &cache, &bv));
	sock_release(sock);
	dst_cache_destroy(&cache);
	flush_workqueue(netmem_wq);

	if (!IS_ENABLED(CONFIG_IPV6))
		return;
	sock = netmem_make_socket(test, AF_INET6);
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc_v6(sock->sk, &in6addr_loopback, &bv));
	netmem_free(&bv);
	KUNIT_EXPECT_EQ(test, -ENETUNREACH, netmem_alloc_v6(sock->sk, &far, &bv));
	ipv6_addr_set_v4mapped(htonl(lo), &mapped);
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc_v6(sock->sk, &mapped, &bv));
	netmem_free(&bv);
	ipv6_addr_set_v4mapped(htonl(nowhere), &mapped);
	KUNIT_EXPECT_EQ(test, -ENETUNREACH, netmem_alloc_v6(sock->sk, &mapped, &bv));
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc_v4(sock->sk, lo, NULL, &bv));
	netmem_free(&bv);
	sock_release(sock);
}

static void netmem_test_unregister(struct kunit *test)
{
	const unsigned int nr = 300;
	struct bio_vec *bv, copy;
	struct net_device *dev;
	struct page_pool *pp;
	struct socket *sock;

	bv = kunit_kcalloc(test, nr, sizeof(*bv), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bv);
	sock = netmem_make_socket(test, AF_INET);
	dev = netmem_make_dev(test, true);
	netmem_route(test, sock, dev);
	KUNIT_ASSERT_PTR_NE(test, netmem_wait_set(sock->sk), netmem_get_set(NULL));

	for (int i = 0; i < nr; i++) {
		KUNIT_ASSERT_EQ(test, 0, netmem_alloc(sock->sk, 1 + i * 10, 0, &bv[i]));
		netmem_fill(&bv[i], i);
	}
	pp = netmem_head(&bv[0])->pp;
	KUNIT_EXPECT_PTR_EQ(test, pp, netmem_get_set(sock->sk)->classes[0].pools[0].pp);
	/* Some are idle when the device goes. */
	netmem_free_bulk(bv, 100);

	sk_dst_reset(sock->sk);
	unregister_netdev(dev);
	free_netdev(dev);
	flush_workqueue(netmem_wq);

	/* What is in flight is good memory, and is all that the pool holds. */
	for (int i = 100; i < nr; i++)
		KUNIT_EXPECT_TRUE(test, netmem_intact(&bv[i], i));
	KUNIT_EXPECT_NULL(test, pp->owner_priv);
	KUNIT_EXPECT_GT(test, page_pool_inflight(pp, false), 5);
	KUNIT_EXPECT_LT(test, page_pool_inflight(pp, false), 20);

	copy = bv[nr - 1];
	netmem_free_bulk(bv + 100, nr - 101);
	/* The last chunk keeps the pool, until its page is back. */
	KUNIT_EXPECT_PTR_EQ(test, netmem_head(&copy)->pp, pp);
	KUNIT_EXPECT_TRUE(test, netmem_intact(&copy, nr - 1));
	netmem_free(&bv[nr - 1]);

	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(sock->sk, 100, 0, &copy));
	netmem_free(&copy);
	sock_release(sock);
}

/* Transmit a part of a fragment through @dev. Says whether it had to be mapped. */
static bool netmem_is_mapped_anew(struct kunit *test, struct net_device *dev,
				  const struct bio_vec *bv, size_t offset,
				  size_t size)
{
	struct device *parent = dev->dev.parent;
	dma_addr_t addr, base;
	skb_frag_t frag;
	bool unmap;

	skb_frag_fill_page_desc(&frag, bv->bv_page, bv->bv_offset, bv->bv_len);
	addr = skb_frag_dma_map_tx(parent, dev, &frag, offset, size, &unmap);
	KUNIT_EXPECT_EQ(test, 0, dma_mapping_error(parent, addr));
	if (unmap) {
		dma_unmap_page(parent, addr, size, DMA_TO_DEVICE);
	} else {
		base = page_pool_get_dma_addr(netmem_head(bv));
		KUNIT_EXPECT_EQ(test, addr - base,
				bvec_phys(bv) + offset -
				page_to_phys(netmem_head(bv)));
	}
	return unmap;
}

/* A chunk is mapped once, for one device, until nobody refers to it. */
static void netmem_test_mapped(struct kunit *test)
{
	const unsigned int nr = NETMEM_NR_LINGERING + 10;
	struct net_device *dev, *other;
	struct bio_vec *bv, *copy, some;
	struct netmem_stats stats;
	struct netmem_set *set;
	struct socket *sock;

	if (!IS_ENABLED(CONFIG_HAS_DMA))
		kunit_skip(test, "needs CONFIG_HAS_DMA");
	bv = kunit_kcalloc(test, nr, sizeof(*bv), GFP_KERNEL);
	copy = kunit_kcalloc(test, nr, sizeof(*copy), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bv);
	KUNIT_ASSERT_NOT_NULL(test, copy);
	sock = netmem_make_socket(test, AF_INET);
	dev = netmem_make_dev(test, true);
	other = netmem_make_dev(test, true);
	netmem_route(test, sock, dev);
	set = netmem_wait_set(sock->sk);
	KUNIT_ASSERT_PTR_NE(test, set, netmem_get_set(NULL));

	/* Memory of another set is good memory. */
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, 5000, 0, &some));
	KUNIT_EXPECT_TRUE(test, netmem_is_mapped_anew(test, dev, &some, 0, 5000));
	netmem_free(&some);

	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(sock->sk, 100, 0, &some));
	for (int i = 0; i < nr; i++) {
		KUNIT_ASSERT_EQ(test, 0,
				netmem_alloc(sock->sk, NETMEM_FRAG_MAX, 0, &bv[i]));
		netmem_fill(&bv[i], i);
		get_page(bv[i].bv_page);
		KUNIT_EXPECT_FALSE(test, netmem_is_mapped_anew(test, dev, &bv[i], i, 1000));
		KUNIT_EXPECT_TRUE(test, netmem_is_mapped_anew(test, other, &bv[i], i, 1000));
	}
	memcpy(copy, bv, nr * sizeof(*bv));
	netmem_free_bulk(bv, nr);
	for (int i = 0; i < nr; i++) {
		KUNIT_EXPECT_TRUE(test, netmem_intact(&copy[i], i));
		KUNIT_EXPECT_FALSE(test, netmem_is_mapped_anew(test, dev, &copy[i],
							       NETMEM_FRAG_MAX - 1, 1));
	}

	/* All but two are let go of: a long and a short lingering one. */
	for (int i = 1; i < nr - 1; i++)
		put_page(copy[i].bv_page);
	netmem_trim(true);
	netmem_read_stats(set, 0, &stats);
	KUNIT_EXPECT_EQ(test, stats.held[NETMEM_POOL_CHUNK], 3);
	KUNIT_EXPECT_FALSE(test, netmem_is_mapped_anew(test, dev, &copy[0], 0, 9));
	KUNIT_EXPECT_FALSE(test, netmem_is_mapped_anew(test, dev, &copy[nr - 1], 0, 9));

	sk_dst_reset(sock->sk);
	unregister_netdev(dev);
	KUNIT_EXPECT_TRUE(test, netmem_is_mapped_anew(test, dev, &copy[0], 0, 9));
	KUNIT_EXPECT_TRUE(test, netmem_is_mapped_anew(test, dev, &copy[nr - 1], 0, 9));
	KUNIT_EXPECT_TRUE(test, netmem_is_mapped_anew(test, dev, &some, 0, 100));
	KUNIT_EXPECT_TRUE(test, netmem_intact(&copy[nr - 1], nr - 1));
	KUNIT_EXPECT_FALSE(test, page_pool_page_is_pp(netmem_head(&copy[0])));
	put_page(copy[0].bv_page);
	put_page(copy[nr - 1].bv_page);
	netmem_free(&some);
	free_netdev(dev);
	unregister_netdev(other);
	free_netdev(other);
	sock_release(sock);
}

static DECLARE_COMPLETION(netmem_pool_gone);

static void netmem_disconnect(void *pool)
{
	complete(&netmem_pool_gone);
}

/* A fragment that is kept for longer than page_pool likes is good memory all the
 * same, and the pool goes with it.
 */
static void netmem_test_stalled(struct kunit *test)
{
	struct net_device *dev;
	struct page_pool *pp;
	struct socket *sock;
	struct bio_vec bv;

	sock = netmem_make_socket(test, AF_INET);
	dev = netmem_make_dev(test, true);
	netmem_route(test, sock, dev);
	KUNIT_ASSERT_PTR_NE(test, netmem_wait_set(sock->sk), netmem_get_set(NULL));
	KUNIT_ASSERT_EQ(test, 0, netmem_alloc(sock->sk, 5000, 0, &bv));
	netmem_fill(&bv, 1);
	pp = netmem_head(&bv)->pp;
	reinit_completion(&netmem_pool_gone);
	pp->disconnect = netmem_disconnect;

	sk_dst_reset(sock->sk);
	unregister_netdev(dev);
	free_netdev(dev);

	/* As if that had been two minutes ago. page_pool looks once in a second. */
	pp->defer_start = jiffies - 120 * HZ;
	WRITE_ONCE(pp->defer_warn, jiffies - 60 * HZ);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&netmem_pool_gone, 5 * HZ / 2), 0);
	KUNIT_EXPECT_EQ(test, page_pool_inflight(pp, false), 1);
	KUNIT_EXPECT_TRUE(test, netmem_intact(&bv, 1));

	netmem_free(&bv);
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&netmem_pool_gone, 10 * HZ), 0);
	sock_release(sock);
}

/* A device that comes and goes before its set is ready. */
static void netmem_test_unregister_early(struct kunit *test)
{
	struct net_device *dev;
	struct socket *sock;

	sock = netmem_make_socket(test, AF_INET);
	dev = netmem_make_dev(test, true);
	netmem_route(test, sock, dev);
	netmem_get_set(sock->sk);
	sk_dst_reset(sock->sk);
	unregister_netdev(dev);

	/* A device that is not registered gets no set. */
	netmem_route(test, sock, dev);
	KUNIT_EXPECT_PTR_EQ(test, netmem_wait_set(sock->sk), netmem_get_set(NULL));
	sk_dst_reset(sock->sk);
	rcu_barrier();
	free_netdev(dev);
	sock_release(sock);
}

/* A device on its way to another namespace gets its set when it is there: one
 * that came before would be in the way of the next.
 */
static void netmem_test_move_early(struct kunit *test)
{
	struct netmem_set *none = netmem_get_set(NULL);
	struct net_device *dev;
	struct socket *sock;

	sock = netmem_make_socket(test, AF_INET);
	dev = netmem_make_dev(test, true);
	netmem_route(test, sock, dev);
	dev->moving_ns = true;
	KUNIT_EXPECT_PTR_EQ(test, netmem_wait_set(sock->sk), none);

	dev->moving_ns = false;
	KUNIT_EXPECT_PTR_NE(test, netmem_wait_set(sock->sk), none);

	sk_dst_reset(sock->sk);
	unregister_netdev(dev);
	free_netdev(dev);
	sock_release(sock);
}

/*
 * Through TCP
 */

static void netmem_tcp_pair(struct kunit *test, struct socket **tx,
			    struct socket **rx)
{
	struct sockaddr_in sin = {
		.sin_family	= AF_INET,
		.sin_addr	= { htonl(INADDR_LOOPBACK) },
	};
	struct socket *listener;

	netmem_lo_up(test);
	KUNIT_ASSERT_EQ(test, 0, sock_create_kern(&init_net, AF_INET, SOCK_STREAM,
						  IPPROTO_TCP, &listener));
	KUNIT_ASSERT_EQ(test, 0, sock_create_kern(&init_net, AF_INET, SOCK_STREAM,
						  IPPROTO_TCP, tx));
	KUNIT_ASSERT_EQ(test, 0,
			kernel_bind(listener, (struct sockaddr_unsized *)&sin,
				    sizeof(sin)));
	KUNIT_ASSERT_EQ(test, 0, kernel_listen(listener, 1));
	KUNIT_ASSERT_GT(test, kernel_getsockname(listener,
						 (struct sockaddr *)&sin), 0);
	KUNIT_ASSERT_EQ(test, 0,
			kernel_connect(*tx, (struct sockaddr_unsized *)&sin,
				       sizeof(sin), 0));
	KUNIT_ASSERT_EQ(test, 0, kernel_accept(listener, rx, 0));
	sock_release(listener);
}

/* Splice fragments, free them at once, write all over what is handed out
 * next, and see that what was sent arrives.
 */
static void netmem_test_splice(struct kunit *test)
{
	struct netmem_stats before, after;
	struct socket *tx, *rx;
	u8 *buf;

	buf = kunit_kzalloc(test, 64 * 1024, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	netmem_tcp_pair(test, &tx, &rx);
	/* lo does no DMA. */
	KUNIT_EXPECT_PTR_EQ(test, netmem_get_set(tx->sk), netmem_get_set(NULL));

	for (int round = 0; round < 50; round++) {
		struct bio_vec bv[8], again[8];
		struct msghdr msg = { .msg_flags = MSG_SPLICE_PAGES };
		struct kvec kv = { .iov_base = buf };
		size_t total = 0, pos = 0;

		for (int i = 0; i < ARRAY_SIZE(bv); i++) {
			KUNIT_ASSERT_EQ(test, 0,
					netmem_alloc(tx->sk, 100 + i * 1000 + round, 0,
						     &bv[i]));
			netmem_fill(&bv[i], round + i);
			total += bv[i].bv_len;
		}
		iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, bv, ARRAY_SIZE(bv), total);
		KUNIT_ASSERT_EQ(test, (int)total, sock_sendmsg(tx, &msg));
		netmem_free_bulk(bv, ARRAY_SIZE(bv));

		for (int i = 0; i < ARRAY_SIZE(again); i++) {
			KUNIT_ASSERT_EQ(test, 0,
					netmem_alloc(tx->sk, NETMEM_FRAG_MAX, 0,
						     &again[i]));
			memset(bvec_virt(&again[i]), 0xee, again[i].bv_len);
		}
		netmem_free_bulk(again, ARRAY_SIZE(again));

		kv.iov_len = total;
		msg = (struct msghdr){};
		KUNIT_ASSERT_EQ(test, (int)total,
				kernel_recvmsg(rx, &msg, &kv, 1, total,
					       MSG_WAITALL));
		for (int i = 0; i < ARRAY_SIZE(bv); i++)
			for (size_t k = 0; k < bv[i].bv_len; k++)
				if (buf[pos++] != netmem_pattern(round + i, k)) {
					KUNIT_FAIL(test, "round %d: byte %zu",
						   round, pos - 1);
					i = ARRAY_SIZE(bv);
					break;
				}
	}
	sock_release(tx);
	sock_release(rx);
	rcu_barrier();

	/* Freed after the data was acknowledged, a chunk is recycled. */
	netmem_trim(true);
	netmem_tcp_pair(test, &tx, &rx);
	before = netmem_stats(0);
	for (int round = 0; round < 50; round++) {
		struct msghdr msg = { .msg_flags = MSG_SPLICE_PAGES };
		struct kvec kv = { .iov_base = buf, .iov_len = NETMEM_FRAG_MAX };
		struct bio_vec bv;

		KUNIT_ASSERT_EQ(test, 0, netmem_alloc(tx->sk, NETMEM_FRAG_MAX, 0, &bv));
		netmem_fill(&bv, round);
		iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, &bv, 1, bv.bv_len);
		KUNIT_ASSERT_EQ(test, (int)bv.bv_len, sock_sendmsg(tx, &msg));
		msg = (struct msghdr){};
		KUNIT_ASSERT_EQ(test, NETMEM_FRAG_MAX,
				kernel_recvmsg(rx, &msg, &kv, 1, NETMEM_FRAG_MAX,
					       MSG_WAITALL));
		for (int i = 0; i < 100 && page_ref_count(netmem_head(&bv)) > 1; i++)
			msleep(20);
		netmem_free(&bv);
	}
	after = netmem_stats(0);
	KUNIT_EXPECT_LE(test, after.fresh[0], before.fresh[0] + 5);
	sock_release(tx);
	sock_release(rx);
}

static struct kunit_case netmem_alloc_cases[] = {
	KUNIT_CASE(netmem_test_malformed),
	KUNIT_CASE(netmem_test_contract),
	KUNIT_CASE(netmem_test_zero),
	KUNIT_CASE(netmem_test_overlap),
	KUNIT_CASE(netmem_test_classes),
	KUNIT_CASE(netmem_test_recycle),
	KUNIT_CASE(netmem_test_restart),
	KUNIT_CASE(netmem_test_mixed),
	KUNIT_CASE(netmem_test_bulk),
	KUNIT_CASE(netmem_test_page_ref),
	KUNIT_CASE(netmem_test_page_ref_open),
	KUNIT_CASE(netmem_test_linger),
	KUNIT_CASE(netmem_test_softirq),
	KUNIT_CASE_SLOW(netmem_test_threads),
	KUNIT_CASE(netmem_test_trim),
	KUNIT_CASE(netmem_test_bound),
	KUNIT_CASE(netmem_test_small_chunks),
	KUNIT_CASE(netmem_test_unpooled),
	KUNIT_CASE(netmem_test_enomem),
	KUNIT_CASE(netmem_test_bvecq),
	KUNIT_CASE(netmem_test_bvecq_short),
	KUNIT_CASE(netmem_test_shrink),
	KUNIT_CASE(netmem_test_nomem),
	KUNIT_CASE(netmem_test_nomem_reserve),
	KUNIT_CASE(netmem_test_route),
	KUNIT_CASE(netmem_test_dest_malformed),
	KUNIT_CASE(netmem_test_dest),
	KUNIT_CASE(netmem_test_unregister),
	KUNIT_CASE_SLOW(netmem_test_stalled),
	KUNIT_CASE(netmem_test_unregister_early),
	KUNIT_CASE(netmem_test_move_early),
	KUNIT_CASE(netmem_test_mapped),
	KUNIT_CASE(netmem_test_splice),
	{}
};

/* What is idle is counted here, so nobody else may trim it. */
static int netmem_suite_init(struct kunit_suite *suite)
{
	disable_delayed_work_sync(&netmem_trim_work);
	return 0;
}

static void netmem_suite_exit(struct kunit_suite *suite)
{
	enable_delayed_work(&netmem_trim_work);
}

static struct kunit_suite netmem_alloc_suite = {
	.name		= "netmem_alloc",
	.suite_init	= netmem_suite_init,
	.suite_exit	= netmem_suite_exit,
	.test_cases	= netmem_alloc_cases,
};

kunit_test_suite(netmem_alloc_suite);

MODULE_DESCRIPTION("KUnit tests for the socket-keyed netmem allocator");
MODULE_LICENSE("GPL");
