/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inside of netmem_alloc.c, for it and its tests. */
#ifndef __NETMEM_ALLOC_PRIV_H
#define __NETMEM_ALLOC_PRIV_H

#include <linux/cache.h>
#include <linux/netdevice.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

struct mempool;
struct page_pool;
struct shrink_control;
struct shrinker;

enum {
	NETMEM_POOL_CHUNK,	/* of NETMEM_FRAG_MAX bytes */
	NETMEM_POOL_PAGE,	/* single pages, when there are no chunks */
	NETMEM_NR_POOLS
};

#define NETMEM_NR_CLASSES	2

/* Chunks that a pool waits for; more of them are let go. A power of two. */
#define NETMEM_NR_LINGERING	128

/**
 * struct netmem_pool - a page_pool whose allocation side many CPUs use
 * @lock: guards the allocation side of @pp, and the rest of this
 * @pp: the pool
 * @low: fewest pages in the pool's cache since it was last trimmed
 * @takes: how often a page was asked for
 * @takes_seen: @takes when the pool was last trimmed
 * @first: where the queue of lingering chunks begins
 * @nr_lingering: how long it is
 * @lingering: chunks without fragments that sk_buffs still refer to
 */
struct netmem_pool {
	spinlock_t		lock;	/* guards all of this */
	struct page_pool	*pp;
	unsigned int		low;
	unsigned long		takes;
	unsigned long		takes_seen;
	unsigned int		first;
	unsigned int		nr_lingering;
	struct page		*lingering[NETMEM_NR_LINGERING];
};

/**
 * struct netmem_open - an open chunk, and its counters
 * @offset: where the next fragment may begin
 * @size: the chunk's size; 0 if there is none
 * @page: the chunk, or NULL
 * @users: fragments cut from the chunk
 * @allocs: fragments cut from those before it
 * @restarts: times that the open chunk started over, all of it being free
 * @refills: chunks opened or given away whole
 * @small: how many of these were single pages
 *
 * Belongs to its CPU, for as long as that does not preempt who uses it.
 */
struct netmem_open {
	unsigned int	offset;
	unsigned int	size;
	struct page	*page;
	long		users;
	u64		allocs;
	u64		restarts;
	u64		refills;
	u64		small;
} ____cacheline_aligned;

/**
 * struct netmem_cpu - a CPU's open chunks
 * @open: by class; [1] for softirq, [0] for what a softirq can interrupt
 */
struct netmem_cpu {
	struct netmem_open	open[NETMEM_NR_CLASSES][2];
};

/**
 * struct netmem_class - fragments of like lifetime
 * @pools: where their chunks come from
 */
struct netmem_class {
	struct netmem_pool	pools[NETMEM_NR_POOLS];
};

/**
 * struct netmem_set - the pools of a device or a node
 * @cpu: the open chunks
 * @classes: by lifetime
 * @list: in netmem_sets
 * @dev: the device, which has a set for as long as it is registered; NULL in a
 *	default set
 * @name: the device's name, to be shown only: it may change at any time
 * @nid: NUMA node
 * @costly_maps: to map other memory for the device changes the tables of an IOMMU,
 *	which has to be told, and waited for, when that is undone
 * @create: work that makes the pools
 * @destroy: work that takes the set away
 */
struct netmem_set {
	struct netmem_cpu __percpu	*cpu;
	struct netmem_class		classes[NETMEM_NR_CLASSES];
	struct list_head		list;
	struct net_device		*dev;
	char				name[IFNAMSIZ];
	int				nid;
	bool				costly_maps;
	struct work_struct		create;
	struct work_struct		destroy;
};

struct netmem_stats {
	u64	allocs;
	u64	restarts;
	u64	refills;
	u64	small;
	u64	unpooled;
	u64	failures;
	s32	held[NETMEM_NR_POOLS];
	u32	lingering;
	u32	fresh[NETMEM_NR_POOLS];
};

#if IS_ENABLED(CONFIG_KUNIT)
extern struct workqueue_struct *netmem_wq;
extern struct delayed_work netmem_trim_work;
extern struct mempool netmem_reserve;

struct page *netmem_pool_take(struct netmem_pool *np, gfp_t gfp);
struct page *netmem_alloc_unpooled(size_t len, size_t align, gfp_t gfp,
				   bool reserve);
struct netmem_set *netmem_set_of(const struct sock *sk);
void netmem_read_stats(const struct netmem_set *set, unsigned int c,
		       struct netmem_stats *stats);
bool netmem_trim(bool all);
unsigned long netmem_shrink_count(struct shrinker *shrinker,
				  struct shrink_control *sc);
unsigned long netmem_shrink_scan(struct shrinker *shrinker,
				 struct shrink_control *sc);
#endif

#endif /* __NETMEM_ALLOC_PRIV_H */
