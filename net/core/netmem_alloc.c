// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Socket-keyed allocator of transmit memory, built on page_pool.
 *
 * Memory is kept in sets. Each network device whose driver can transmit from
 * mapped pools (tx_pool_dma) has a set of its own, created when a socket that is
 * routed through the device first needs a fragment. Its chunks are mapped for the
 * device once and stay so for as long as the pool holds them: transmitting a
 * fragment maps nothing. Everything else - lo, veth, tunnels, other drivers, a
 * socket without a route, no socket at all - shares one default set for each
 * NUMA node: such memory is never mapped beforehand, so telling those devices
 * apart would gain nothing and strand idle memory in each of them. The key is a
 * hint: memory from the wrong set is good memory, and all that it can cost is a
 * mapping at transmit.
 *
 *   struct netmem_set                      device, or node
 *     |- struct netmem_cpu, per CPU        the open chunks: bump allocators
 *     `- struct netmem_class [2]           retained, unretained
 *          `- struct netmem_pool [2]       big chunks, single pages
 *               `- struct page_pool
 *
 * A fragment is cut from the CPU's open chunk. When that is used up, the next
 * chunk comes from the class's pool of big chunks, which is shared by all CPUs
 * under a spinlock, since fragments are mostly freed on another CPU than they
 * were allocated on. If there is no big chunk, a single page of the second
 * pool is opened instead, and if there is none of these either, the fragment
 * gets pages of its own, outside any lock, with all that the caller's gfp
 * flags allow.
 *
 * References. A chunk belongs to its page_pool while it is held; the page's
 * pp_ref_count says by how many: one for each fragment that is not freed, and
 * while the chunk is open also what is left of NETMEM_BIAS, so that cutting a
 * fragment costs no atomic operation. Whoever drops the last of these puts
 * the chunk back into the pool. A page of a fragment's own has a pp_ref_count of
 * one, so that pages are told apart by those only who drop the last. If somebody,
 * an sk_buff say, still holds an ordinary page reference then, page_pool would let
 * go of the chunk. So it is put into a queue first: TCP gives references back in
 * the order in which it took them, so what has lingered longest is looked at before
 * the pool is asked. If the queue is full, a mapped pool keeps hold of the chunk
 * all the same, since a device may be reading it, and gives it back on
 * page_pool_tx_reap().
 *
 * Locking. A set lives for an RCU grace period after nobody can find it. An open
 * chunk is its CPU's, and preemption is off while a fragment is cut, which an RCU
 * read side is too. Each CPU has chunks for softirq and others for everything else,
 * so BH need not be off, which would cost as much as all the rest of an
 * allocation. netmem_pool.lock guards the allocation side of a page_pool; it is
 * taken with BH off, and never with preemption off. netmem_dev_lock guards
 * net_device.netmem_set, and netmem_sets_mutex the list of sets that the slow work
 * walks.
 */

#include <linux/bvecq.h>
#include <linux/cpuhotplug.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/error-injection.h>
#include <linux/mempool.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/nodemask.h>
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <net/dst.h>
#include <net/net_namespace.h>
#include <net/netmem_alloc.h>
#include <net/page_pool/helpers.h>
#include <net/page_pool/tx.h>
#include <net/sock.h>

#include "netmem_alloc_priv.h"
#include "page_pool_priv.h"

/* The hints are the index of the class. */
#define NETMEM_HINTS_ALL	NETMEM_HINT_UNRETAINED
static_assert(NETMEM_HINTS_ALL < NETMEM_NR_CLASSES);
static_assert(!(NETMEM_FRAG_MAX & (NETMEM_FRAG_MAX - 1)));

/* Two requests that are built on different CPUs shall not share a line. */
#define NETMEM_ALIGN_MIN	SMP_CACHE_BYTES

/* More than a chunk can have fragments, less than pp_ref_count can hold. */
#define NETMEM_BIAS		(LONG_MAX >> 1)

/* Idle chunks that the ring of one page_pool holds. Together with the pool's
 * allocation cache that bounds what a class can hoard.
 */
#define NETMEM_RING_SIZE	512

/* A fragment is lowmem, and nobody is charged for it. __GFP_ZERO is for the
 * fragment, not for the chunk.
 */
#define NETMEM_GFP_MASK		(~(GFP_ZONEMASK | __GFP_COMP | __GFP_ZERO | \
				   __GFP_ACCOUNT | __GFP_NOFAIL))

#define NETMEM_TRIM_INTERVAL	(5 * HZ)
#define NETMEM_TRIM_BUDGET	16
#define NETMEM_REAP_BUDGET	16
#define NETMEM_COLLECT_BUDGET	256
#define NETMEM_RESERVE_PAGES	32

static DEFINE_SPINLOCK(netmem_dev_lock);
static LIST_HEAD(netmem_sets);
static DEFINE_MUTEX(netmem_sets_mutex);
static struct netmem_set *netmem_default[MAX_NUMNODES] __read_mostly;
VISIBLE_IF_KUNIT struct workqueue_struct *netmem_wq __read_mostly;
EXPORT_SYMBOL_IF_KUNIT(netmem_wq);
VISIBLE_IF_KUNIT mempool_t netmem_reserve;
EXPORT_SYMBOL_IF_KUNIT(netmem_reserve);

/* What has no set to be counted in. */
struct netmem_counters {
	u64	unpooled;
	u64	failures;
};

static DEFINE_PER_CPU(struct netmem_counters, netmem_counters);

static void netmem_trim_work_fn(struct work_struct *work);
VISIBLE_IF_KUNIT struct delayed_work netmem_trim_work =
	__DELAYED_WORK_INITIALIZER(netmem_trim_work, netmem_trim_work_fn,
				   TIMER_DEFERRABLE);
EXPORT_SYMBOL_IF_KUNIT(netmem_trim_work);

/*
 * Chunks.
 */

/* Where fragments refer to their page, be it from a pool or not. */
static atomic_long_t *netmem_refs(struct page *page)
{
	return &page->pp_ref_count;
}

/* Does nobody but the pool refer to the page? Then nobody can any more. */
static bool netmem_is_ours_alone(const struct page *page)
{
	return page_ref_count(page) == 1;
}

static struct page *netmem_linger_pop(struct netmem_pool *np)
{
	struct page *page = np->lingering[np->first];

	np->first = (np->first + 1) % NETMEM_NR_LINGERING;
	np->nr_lingering--;
	return page;
}

static bool netmem_linger_push(struct netmem_pool *np, struct page *page)
{
	if (np->nr_lingering == NETMEM_NR_LINGERING)
		return false;
	np->lingering[(np->first + np->nr_lingering) % NETMEM_NR_LINGERING] = page;
	np->nr_lingering++;
	return true;
}

/* Take a chunk that has lingered long enough. One that is still referred to goes
 * to the end, lest it hold up all that come after it.
 */
static struct page *netmem_linger_take(struct netmem_pool *np)
{
	for (unsigned int i = min(np->nr_lingering, 2U); i; i--) {
		struct page *page = netmem_linger_pop(np);

		if (netmem_is_ours_alone(page))
			return page;
		netmem_linger_push(np, page);
	}
	return NULL;
}

VISIBLE_IF_KUNIT struct page *netmem_pool_take(struct netmem_pool *np,
					       gfp_t gfp)
{
	netmem_ref netmem;
	struct page *page;

	KUNIT_STATIC_STUB_REDIRECT(netmem_pool_take, np, gfp);

	spin_lock_bh(&np->lock);
	page = netmem_linger_take(np);
	if (!page) {
		if (!np->pp->alloc.count)
			page_pool_tx_reap(np->pp, NETMEM_REAP_BUDGET);
		netmem = page_pool_alloc_netmems(np->pp, gfp);
		page = netmem ? __netmem_to_page(netmem) : NULL;
	}
	np->takes++;
	np->low = min(np->low, np->pp->alloc.count);
	spin_unlock_bh(&np->lock);

	return page;
}
EXPORT_SYMBOL_IF_KUNIT(netmem_pool_take);

/* Put a chunk back whose last reference is gone. The pool lives until its last
 * page is back, but its owner may have left: then owner_priv is NULL, and was
 * made so a grace period before the pool's allocation side went away.
 */
static void netmem_chunk_put(struct page *page)
{
	netmem_ref netmem = page_to_netmem(page);
	struct page_pool *pp = __netmem_get_pp(netmem);
	struct netmem_pool *np;
	bool lingers = false;

	rcu_read_lock();
	np = READ_ONCE(pp->owner_priv);

	if (np && !netmem_is_ours_alone(page)) {
		spin_lock_bh(&np->lock);
		/* Its owner may have left just now: see netmem_pool_leave(). */
		if (READ_ONCE(pp->owner_priv))
			lingers = netmem_linger_push(np, page);
		spin_unlock_bh(&np->lock);
		if (lingers)
			goto out;
	}

	/* The pool's cache is a stack: what is put there is still warm when it
	 * is taken next. The ring is a queue, for when the lock is taken.
	 */
	if (np && spin_trylock_bh(&np->lock)) {
		page_pool_put_unrefed_netmem(pp, netmem, -1, true);
		spin_unlock_bh(&np->lock);
	} else {
		page_pool_put_unrefed_netmem(pp, netmem, -1, false);
	}
out:
	rcu_read_unlock();
}

/* Put lingering chunks into the pool, where one that is still referred to is let
 * go: all of them, or else those alone that are not. Returns how many were put.
 */
static unsigned int netmem_linger_drain(struct netmem_pool *np, bool all)
{
	unsigned int nr = 0;

	for (unsigned int i = np->nr_lingering; i; i--) {
		struct page *page = netmem_linger_pop(np);

		if (!all && !netmem_is_ours_alone(page)) {
			netmem_linger_push(np, page);
			continue;
		}
		page_pool_put_unrefed_netmem(np->pp, page_to_netmem(page), -1, false);
		nr++;
	}
	return nr;
}

/* Let the pool, and what comes back to it, be nobody's. */
static void netmem_pool_leave(struct netmem_pool *np)
{
	spin_lock_bh(&np->lock);
	WRITE_ONCE(np->pp->owner_priv, NULL);
	netmem_linger_drain(np, true);
	spin_unlock_bh(&np->lock);
}

static void netmem_open_chunk(struct netmem_open *nc, struct page *page, size_t len)
{
	atomic_long_set(netmem_refs(page), NETMEM_BIAS);
	nc->page = page;
	nc->size = page_size(page);
	nc->offset = ALIGN(len, NETMEM_ALIGN_MIN);
	nc->users = 1;
}

/* Close the open chunk, if there is one: its fragments alone hold it now. Returns
 * it if there are none, for the caller to put.
 */
static struct page *netmem_close_chunk(struct netmem_open *nc)
{
	struct page *page = nc->page;
	long users = nc->users;

	if (!page)
		return NULL;

	nc->allocs += users;
	nc->page = NULL;
	nc->size = 0;
	nc->offset = 0;
	nc->users = 0;

	if (page_pool_unref_netmem(page_to_netmem(page), NETMEM_BIAS - users))
		return NULL;
	/* Whoever took page references did so before he freed a fragment, and it is
	 * a load that may have told us so: see netmem_is_drained().
	 */
	smp_rmb();
	return page;
}

/* For a CPU that is not there, or when nobody can find the set any more. */
static void netmem_retire_cpu(struct netmem_set *set, int cpu)
{
	struct netmem_cpu *nc = per_cpu_ptr(set->cpu, cpu);

	for (int c = 0; c < NETMEM_NR_CLASSES; c++) {
		for (int i = 0; i < ARRAY_SIZE(nc->open[c]); i++) {
			struct page *page = netmem_close_chunk(&nc->open[c][i]);

			if (page)
				netmem_chunk_put(page);
		}
	}
}

/* Have all fragments of the open chunk been freed, and has everybody else let
 * go of it? Then it can start over, and is warmer than any other.
 */
static bool netmem_is_drained(const struct netmem_open *nc)
{
	/* Pairs with netmem_free(), before which page references were taken: who
	 * sees that a fragment is free has to see them, too.
	 */
	return atomic_long_read_acquire(netmem_refs(nc->page)) ==
			NETMEM_BIAS - nc->users &&
	       netmem_is_ours_alone(nc->page);
}

/* Pages for this fragment alone, not from a pool. */
VISIBLE_IF_KUNIT struct page *netmem_alloc_unpooled(size_t len, size_t align,
						    gfp_t gfp, bool reserve)
{
	unsigned int order = get_order(max(len, align));

	KUNIT_STATIC_STUB_REDIRECT(netmem_alloc_unpooled, len, align, gfp,
				   reserve);

	gfp |= __GFP_NOWARN;

	/* Who may wait for a page at all shall get one at last, even if it is
	 * memory reclaim itself that waits for him.
	 */
	if (!order && reserve && gfpflags_allow_blocking(gfp))
		return mempool_alloc(&netmem_reserve, gfp);

	if (order) {
		gfp |= __GFP_COMP;
		if (gfpflags_allow_blocking(gfp) && !(gfp & __GFP_NORETRY))
			gfp |= __GFP_RETRY_MAYFAIL;
	}
	return alloc_pages(gfp, order);
}
EXPORT_SYMBOL_IF_KUNIT(netmem_alloc_unpooled);

/* Replace what was put while somebody still referred to it, if it can be had. */
static bool netmem_fill_reserve(void)
{
	while (!mempool_is_saturated(&netmem_reserve)) {
		struct page *page = alloc_page(GFP_NOWAIT);

		if (!page)
			return false;
		mempool_free(page, &netmem_reserve);
	}
	return true;
}

static void netmem_free_unpooled(struct page *page)
{
	/* The reserve must not take a page that is still being sent. */
	if (PageCompound(page) || page_ref_count(page) != 1) {
		put_page(page);
		if (!netmem_fill_reserve())
			queue_delayed_work(netmem_wq, &netmem_trim_work,
					   NETMEM_TRIM_INTERVAL);
		return;
	}
	mempool_free(page, &netmem_reserve);
}

/**
 * __netmem_free_page() - take back memory whose last fragment is free
 * @page: its first page, of which nothing is counted any more
 *
 * For netmem_free() and netmem_free_bulk().
 *
 * Context: any but hardirq; interrupts must be enabled. Does not sleep.
 */
void __netmem_free_page(struct page *page)
{
	if (page_pool_page_is_pp(page)) {
		atomic_long_set(netmem_refs(page), 1);
		netmem_chunk_put(page);
	} else {
		netmem_free_unpooled(page);
	}
}
EXPORT_SYMBOL(__netmem_free_page);

/*
 * Sets.
 */

/* Such a device's pools can be mapped, so it gets pools of its own. */
static bool netmem_dev_has_dma(const struct net_device *dev)
{
	struct device *parent = READ_ONCE(dev->dev.parent);

	return dev->tx_pool_dma && parent && parent->dma_mask;
}

/* An IOMMU that translates and is strict, so that no mapping outlives its use. */
static bool netmem_dev_has_strict_iommu(const struct net_device *dev)
{
#ifdef CONFIG_IOMMU_API
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev->dev.parent);

	return domain && domain->type == IOMMU_DOMAIN_DMA;
#else
	return false;
#endif
}

static void netmem_set_release_pools(struct netmem_set *set)
{
	for (int c = 0; c < NETMEM_NR_CLASSES; c++) {
		struct netmem_class *nclass = &set->classes[c];

		for (int p = 0; p < NETMEM_NR_POOLS; p++)
			page_pool_destroy(nclass->pools[p].pp);
	}
	free_percpu(set->cpu);
}

static int netmem_pool_init(struct netmem_pool *np, struct net_device *dev,
			    const char *name, unsigned int order, int nid)
{
	struct page_pool_params params = {
		.order		= order,
		.pool_size	= NETMEM_RING_SIZE,
		.nid		= nid,
		.flags		= PP_FLAG_TX,
		.dma_dir	= DMA_TO_DEVICE,
		.netdev		= dev,
		.name		= name,
	};
	struct page_pool *pp;

	if (dev && IS_ENABLED(CONFIG_HAS_DMA)) {
		params.flags |= PP_FLAG_DMA_MAP;
		params.dev = dev->dev.parent;
	}
	pp = page_pool_create(&params);
	if (IS_ERR(pp))
		return PTR_ERR(pp);

	spin_lock_init(&np->lock);
	np->pp = pp;
	WRITE_ONCE(pp->owner_priv, np);
	return 0;
}

/* Give a set its pools, and let it be used. */
static int netmem_set_init_pools(struct netmem_set *set)
{
	static const char * const names[NETMEM_NR_CLASSES][NETMEM_NR_POOLS] = {
		{ "netmem-retained", "netmem-retained-pages" },
		{ "netmem-unretained", "netmem-unretained-pages" },
	};
	int err;

	set->cpu = alloc_percpu(struct netmem_cpu);
	if (!set->cpu)
		return -ENOMEM;

	for (int c = 0; c < NETMEM_NR_CLASSES; c++) {
		struct netmem_class *nclass = &set->classes[c];

		err = netmem_pool_init(&nclass->pools[NETMEM_POOL_CHUNK],
				       set->dev, names[c][NETMEM_POOL_CHUNK],
				       get_order(NETMEM_FRAG_MAX), set->nid);
		if (err)
			goto fail;
		err = netmem_pool_init(&nclass->pools[NETMEM_POOL_PAGE],
				       set->dev, names[c][NETMEM_POOL_PAGE],
				       0, set->nid);
		if (err)
			goto fail;
	}

	mutex_lock(&netmem_sets_mutex);
	list_add_tail(&set->list, &netmem_sets);
	mutex_unlock(&netmem_sets_mutex);
	return 0;

fail:
	netmem_set_release_pools(set);
	return err;
}

/* If this fails, the device stays with the default set. It is there: before it
 * goes, it waits for this.
 */
static void netmem_set_create_fn(struct work_struct *work)
{
	struct netmem_set *set = container_of(work, struct netmem_set, create);

	struct device *parent = set->dev->dev.parent;

	/* Memory that the device can reach through a bounce buffer only, which is
	 * what limits the size of a mapping, is better not kept mapped. To find that
	 * out may take a lock that no softirq can.
	 */
	if (dma_addressing_limited(parent) ||
	    (IS_ENABLED(CONFIG_HAS_DMA) && dma_max_mapping_size(parent) != SIZE_MAX) ||
	    netmem_set_init_pools(set)) {
		kfree(set);
		return;
	}
	spin_lock_bh(&netmem_dev_lock);
	/* It may have been renamed before there was a set to be renamed with it. */
	strscpy(set->name, set->dev->name);
	rcu_assign_pointer(set->dev->netmem_set, set);
	spin_unlock_bh(&netmem_dev_lock);
}

/* The device transmits no more. */
static void netmem_set_destroy_fn(struct work_struct *work)
{
	struct netmem_set *set = container_of(work, struct netmem_set, destroy);
	int cpu;

	mutex_lock(&netmem_sets_mutex);
	list_del(&set->list);
	mutex_unlock(&netmem_sets_mutex);

	for (int c = 0; c < NETMEM_NR_CLASSES; c++)
		for (int p = 0; p < NETMEM_NR_POOLS; p++)
			netmem_pool_leave(&set->classes[c].pools[p]);

	/* Wait for those who found the set in the device, or the pool in a page. */
	synchronize_rcu();

	for_each_possible_cpu(cpu)
		netmem_retire_cpu(set, cpu);
	netmem_set_release_pools(set);
	kfree(set);
}

/* The device's node, or another that has memory: a pool recycles pages of its node
 * only.
 */
static int netmem_node_of(struct device *parent)
{
	int nid = dev_to_node(parent);

	return netmem_default[nid == NUMA_NO_NODE ? numa_mem_id() : nid]->nid;
}

/* Have a set made for @dev. That takes memory and mutexes, which the caller,
 * who may be in the midst of reclaim, must not wait for. Until it is there, and if
 * it is not to be, the device has the default set.
 *
 * The set holds no reference on the device: it is taken away when the device is
 * unregistered, and a device that is not registered gets none.
 */
static noinline void netmem_set_request(struct net_device *dev)
{
	struct netmem_set *set = NULL;

	if (netmem_dev_has_dma(dev)) {
		set = kzalloc_obj(*set, GFP_ATOMIC | __GFP_NOWARN);
		if (!set)
			return;
		set->dev = dev;
		set->nid = netmem_node_of(dev->dev.parent);
		set->costly_maps = netmem_dev_has_strict_iommu(dev);
		strscpy(set->name, dev->name);
		INIT_WORK(&set->create, netmem_set_create_fn);
		INIT_WORK(&set->destroy, netmem_set_destroy_fn);
	}

	spin_lock_bh(&netmem_dev_lock);
	/* These change a grace period before the notifier is called, so that it
	 * finds what was requested before, and nothing is requested after it.
	 */
	if (READ_ONCE(dev->reg_state) == NETREG_REGISTERED &&
	    !READ_ONCE(dev->moving_ns) &&
	    !rcu_access_pointer(dev->netmem_set)) {
		rcu_assign_pointer(dev->netmem_set, netmem_default[numa_mem_id()]);
		if (set)
			queue_work(netmem_wq, &set->create);
		set = NULL;
	}
	spin_unlock_bh(&netmem_dev_lock);

	kfree(set);
}

/* What memory is wanted for: a route, a socket, or neither. */
struct netmem_key {
	const struct dst_entry	*dst;
	const struct sock	*sk;
};

/* Fragments are cut under rcu_read_lock_sched(), the rest is done under
 * rcu_read_lock().
 */
#define netmem_rcu(p)	rcu_dereference_check(p, rcu_read_lock_sched_held())

/* NULL if @dev has none yet, and netmem_set_get() has to be asked. A socket's route
 * is not checked for being current: see the top of this file.
 */
static __always_inline struct netmem_set *netmem_set_find(struct netmem_key key,
							  struct net_device **dev)
{
	const struct dst_entry *dst = key.dst;
	struct netmem_set *set;

	if (key.sk)
		dst = netmem_rcu(key.sk->sk_dst_cache);
	if (dst) {
		*dev = netmem_rcu(dst->dev_rcu);
		set = netmem_rcu((*dev)->netmem_set);
		if (set || (*dev)->tx_pool_dma)
			return set;
	}
	return netmem_default[numa_mem_id()];
}

/* Have a set made if there is none. That takes a spinlock, and memory, and on
 * PREEMPT_RT whoever does so must be preemptible.
 */
static struct netmem_set *netmem_set_get(struct netmem_key key)
{
	struct netmem_set *set;
	struct net_device *dev;

	set = netmem_set_find(key, &dev);
	if (set)
		return set;
	netmem_set_request(dev);
	return netmem_default[numa_mem_id()];
}

static __always_inline struct netmem_key netmem_key_of_sk(const struct sock *sk)
{
	return (struct netmem_key){ .sk = sk };
}

static __always_inline struct netmem_key netmem_key_of_dst(const struct dst_entry *dst)
{
	return (struct netmem_key){ .dst = dst };
}

#if IS_ENABLED(CONFIG_KUNIT)
struct netmem_set *netmem_set_of(const struct sock *sk)
{
	return netmem_set_get(netmem_key_of_sk(sk));
}
EXPORT_SYMBOL_IF_KUNIT(netmem_set_of);
#endif

/* This CPU's, for the context that it is in. Preemption is off. */
static __always_inline struct netmem_open *netmem_open_of(struct netmem_set *set,
							  unsigned int hints)
{
	return this_cpu_ptr(&set->cpu->open[hints][!!in_serving_softirq()]);
}

/* Cut a fragment from an open chunk, if it has room. @len is not 0. */
static __always_inline bool netmem_cut(struct netmem_open *nc, size_t len,
				       size_t align, struct bio_vec *bv)
{
	unsigned int offset = ALIGN(nc->offset, align);
	unsigned int room = nc->size - offset;

	/* A single page may end before the next place that is so aligned. */
	if (align > NETMEM_ALIGN_MIN && offset > nc->size)
		room = 0;
	if (unlikely(len > room))
		return false;

	/* The barrier keeps the compiler from making one store of two, which takes
	 * it three instructions more.
	 */
	bv->bv_page = nc->page;
	bv->bv_len = len;
	barrier();
	bv->bv_offset = offset;
	nc->offset = ALIGN(offset + len, NETMEM_ALIGN_MIN);
	nc->users++;
	return true;
}

/* Let an open chunk that has no room start over, if nobody uses any of it. */
static __always_inline bool netmem_restart(struct netmem_open *nc, size_t len,
					   size_t align, struct bio_vec *bv)
{
	if (max(len, align) > nc->size || !netmem_is_drained(nc))
		return false;
	nc->allocs += nc->users;
	nc->restarts++;
	netmem_open_chunk(nc, nc->page, len);
	bvec_set_page(bv, nc->page, len, 0);
	return true;
}

/* The open chunk cannot take @len more bytes: find one that does, and return
 * it, with the fragment at its beginning.
 *
 * Nothing here may sleep, nor dip into the reserves of the page allocator: the
 * caller has a slower and more patient way left.
 */
static struct page *netmem_refill(struct netmem_set *set, unsigned int hints,
				  size_t len, size_t align, gfp_t gfp)
{
	struct netmem_pool *pools = set->classes[hints].pools;
	struct page *page, *closed = NULL;
	size_t need = max(len, align);
	struct netmem_open *nc;
	bool small = false;

	gfp &= ~(__GFP_DIRECT_RECLAIM | __GFP_RETRY_MAYFAIL | __GFP_MEMALLOC |
		 __GFP_HIGH);
	gfp |= __GFP_NOWARN | __GFP_NORETRY | __GFP_NOMEMALLOC;

	page = netmem_pool_take(&pools[NETMEM_POOL_CHUNK], gfp);
	if (!page) {
		if (need > PAGE_SIZE)
			return NULL;
		page = netmem_pool_take(&pools[NETMEM_POOL_PAGE], gfp);
		if (!page)
			return NULL;
		small = true;
	}

	if (unlikely(!delayed_work_pending(&netmem_trim_work)))
		queue_delayed_work(netmem_wq, &netmem_trim_work,
				   NETMEM_TRIM_INTERVAL);

	preempt_disable();
	nc = netmem_open_of(set, hints);
	nc->refills++;
	nc->small += small;
	/* Keep that chunk open which has more to give. A chunk that is never
	 * opened belongs to its one fragment, by the one reference that it
	 * was born with.
	 */
	if (page_size(page) - len > nc->size - min(nc->offset, nc->size)) {
		closed = netmem_close_chunk(nc);
		netmem_open_chunk(nc, page, len);
	} else {
		nc->allocs++;
	}
	preempt_enable();

	if (closed)
		netmem_chunk_put(closed);
	return page;
}

/* As netmem_alloc_gfp(); @reserve is whether the reserve may be used. */
static noinline int netmem_alloc_slow(struct netmem_key key, size_t len,
				      size_t align, unsigned int hints,
				      gfp_t gfp, struct bio_vec *bv,
				      bool reserve)
{
	struct page *page = NULL;
	struct netmem_open *nc;
	struct netmem_set *set;
	bool done;

	if (!len || (hints & ~NETMEM_HINTS_ALL) || !is_power_of_2(align) ||
	    align > NETMEM_FRAG_MAX)
		return -EINVAL;
	if (len > NETMEM_FRAG_MAX)
		return -EMSGSIZE;

	rcu_read_lock();
	set = netmem_set_get(key);
	preempt_disable();
	nc = netmem_open_of(set, hints);
	done = netmem_cut(nc, len, align, bv) || netmem_restart(nc, len, align, bv);
	preempt_enable();
	if (!done)
		page = netmem_refill(set, hints, len, align, gfp & NETMEM_GFP_MASK);
	rcu_read_unlock();

	if (!done) {
		if (!page) {
			page = netmem_alloc_unpooled(len, align,
						     gfp & NETMEM_GFP_MASK,
						     reserve && !(gfp & __GFP_NOMEMALLOC));
			if (!page)
				return -ENOMEM;
			atomic_long_set(netmem_refs(page), 1);
			this_cpu_inc(netmem_counters.unpooled);
		}
		bvec_set_page(bv, page, len, 0);
	}

	if (gfp & __GFP_ZERO)
		memset(bvec_virt(bv), 0, len);
	return 0;
}

/* Do all that an allocation takes which is nothing out of the ordinary, nor wrong,
 * if the open chunk has room, or may @restart. If not, the caller passes his arguments
 * on as they are, to who may, so that he gets along without a stack frame.
 */
static __always_inline bool netmem_alloc_fast(struct netmem_key key, size_t len,
					      size_t align, unsigned int hints,
					      gfp_t gfp, struct bio_vec *bv,
					      bool restart)
{
	struct net_device *dev;
	struct netmem_open *nc;
	struct netmem_set *set;
	bool done = false;

	/* Sleeping is not likely to be needed, but wrong if it is not allowed.
	 * Without debugging this would be a call of the scheduler.
	 */
	if (IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP) || IS_ENABLED(CONFIG_LOCKDEP))
		might_alloc(gfp);

	/* Up to the alignment that every fragment has, it takes a power of two. */
	if (unlikely(align != 1) &&
	    (align - 1 >= NETMEM_ALIGN_MIN || (align & (align - 1))))
		return false;
	if (unlikely(!len || hints > NETMEM_HINTS_ALL || (gfp & __GFP_ZERO)))
		return false;

	rcu_read_lock_sched();
	set = netmem_set_find(key, &dev);
	if (likely(set)) {
		nc = netmem_open_of(set, hints);
		done = netmem_cut(nc, len, 1, bv) ||
		       (restart && netmem_restart(nc, len, 1, bv));
	}
	rcu_read_unlock_sched();
	return done;
}

static int netmem_result(int err)
{
	if (unlikely(err == -ENOMEM))
		this_cpu_inc(netmem_counters.failures);
	return err;
}

/* When the open chunk had no room. */
static __always_inline int netmem_alloc_again(struct netmem_key key, size_t len,
					      size_t align, unsigned int hints,
					      gfp_t gfp, struct bio_vec *bv)
{
	if (netmem_alloc_fast(key, len, align, hints, gfp, bv, true))
		return 0;
	return netmem_result(netmem_alloc_slow(key, len, align, hints, gfp, bv, true));
}

static noinline int netmem_alloc_gfp_slow(const struct sock *sk, size_t len,
					  size_t align, unsigned int hints,
					  gfp_t gfp, struct bio_vec *bv)
{
	return netmem_alloc_again(netmem_key_of_sk(sk), len, align, hints, gfp, bv);
}

static noinline int netmem_alloc_dst_slow(const struct dst_entry *dst, size_t len,
					  size_t align, unsigned int hints,
					  gfp_t gfp, struct bio_vec *bv)
{
	return netmem_alloc_again(netmem_key_of_dst(dst), len, align, hints, gfp, bv);
}

/**
 * netmem_alloc_gfp() - allocate a fragment of transmit memory
 * @sk: socket that will send the fragment, or NULL if that is not known
 * @len: length in bytes, 1 to %NETMEM_FRAG_MAX
 * @align: alignment in bytes, a power of two, at most %NETMEM_FRAG_MAX; 1 if
 *	it does not matter. Fragments begin on a cache line anyway.
 * @hints: 0 or %NETMEM_HINT_UNRETAINED
 * @gfp: how hard to try. %__GFP_ZERO clears the fragment. Zone modifiers,
 *	%__GFP_ACCOUNT and %__GFP_NOFAIL are ignored.
 * @bv: where to store the fragment
 *
 * The fragment lies in one physically contiguous piece of lowmem that
 * bvec_virt() can address and that MSG_SPLICE_PAGES takes. As with any bio_vec of
 * several pages, it may cross their boundaries, and bv_offset may be more than
 * PAGE_SIZE. What it holds is undefined unless %__GFP_ZERO was given. It belongs to
 * the caller until he passes it to netmem_free(), whatever becomes of the socket,
 * its route or the device. Memory that was spliced into a socket may be freed at
 * once, since the sk_buffs hold page references of their own.
 *
 * If @gfp allows direct reclaim and neither @len nor @align is greater than
 * PAGE_SIZE, the allocation does not fail: a small reserve stands behind it,
 * so that writeback goes forward under memory pressure. As with any mempool
 * that holds only if nobody waits for one fragment while he keeps another that
 * will not be freed without it: who must do that gives %__GFP_NOMEMALLOC, which
 * leaves the reserve alone. Longer fragments may fail when memory is
 * fragmented; use shorter ones then.
 *
 * Context: any but hardirq; interrupts must be enabled. Sleeps only if @gfp
 * allows direct reclaim. The caller holds a reference on @sk.
 *
 * Return:
 * * 0 - success
 * * -EINVAL - @len is 0, @hints has an unknown bit, or @align is no power of
 *   two or too large
 * * -EMSGSIZE - @len is more than one fragment can hold
 * * -ENOMEM - no memory
 *
 * On error @bv is untouched.
 */
int netmem_alloc_gfp(const struct sock *sk, size_t len, size_t align,
		     unsigned int hints, gfp_t gfp, struct bio_vec *bv)
{
	if (netmem_alloc_fast(netmem_key_of_sk(sk), len, align, hints, gfp, bv, false))
		return 0;
	return netmem_alloc_gfp_slow(sk, len, align, hints, gfp, bv);
}
EXPORT_SYMBOL(netmem_alloc_gfp);
ALLOW_ERROR_INJECTION(netmem_alloc_gfp, ERRNO);

/**
 * netmem_alloc_dst() - allocate a fragment that will leave by a route
 * @dst: the route, or NULL if that is not known
 * @len: length in bytes, 1 to %NETMEM_FRAG_MAX
 * @align: as for netmem_alloc_gfp()
 * @hints: 0 or %NETMEM_HINT_UNRETAINED
 * @gfp: as for netmem_alloc_gfp()
 * @bv: where to store the fragment
 *
 * For who has looked the route up already. In all else as netmem_alloc_gfp();
 * see netmem_alloc_dest() for one that looks it up.
 *
 * Context: any but hardirq; interrupts must be enabled. Sleeps only if @gfp
 * allows direct reclaim. The caller holds a reference on @dst.
 * Return: 0, -EINVAL, -EMSGSIZE or -ENOMEM, as netmem_alloc_gfp().
 */
int netmem_alloc_dst(const struct dst_entry *dst, size_t len, size_t align,
		     unsigned int hints, gfp_t gfp, struct bio_vec *bv)
{
	if (netmem_alloc_fast(netmem_key_of_dst(dst), len, align, hints, gfp, bv, false))
		return 0;
	return netmem_alloc_dst_slow(dst, len, align, hints, gfp, bv);
}
EXPORT_SYMBOL(netmem_alloc_dst);

/**
 * netmem_alloc_bvecq() - allocate transmit memory of any length
 * @sk: socket that will send the memory, or NULL if that is not known
 * @len: length in bytes, 1 to %INT_MAX
 * @hints: 0 or %NETMEM_HINT_UNRETAINED
 * @gfp: as for netmem_alloc_gfp()
 *
 * The memory comes as a chain of %BVECQ_MEM_NETMEM segments whose pieces are
 * fragments, as long ones as can be had, and add up to @len bytes. Each is at
 * least PAGE_SIZE long, but for the last one. With the last reference on a
 * segment its fragments are freed.
 *
 * If @len is at most PAGE_SIZE, the reserve of netmem_alloc_gfp() stands behind
 * the memory and that of bvecq_alloc_reserved() behind the segment, so that the
 * allocation does not fail if @gfp allows direct reclaim and is without
 * %__GFP_NOMEMALLOC. Whoever needs many pages might wait for his own.
 *
 * Context: any but hardirq; interrupts must be enabled. Sleeps only if @gfp
 * allows direct reclaim. The caller holds a reference on @sk.
 *
 * Return: the chain, with one reference, which the caller drops by bvecq_put(),
 * or an ERR_PTR():
 *
 * * -EINVAL - @len is 0, or @hints has an unknown bit
 * * -EMSGSIZE - @len is greater than %INT_MAX
 * * -ENOMEM - no memory
 */
struct bvecq *netmem_alloc_bvecq(const struct sock *sk, size_t len,
				 unsigned int hints, gfp_t gfp)
{
	/* Big fragments are worth a try, but not a wait. */
	gfp_t big_gfp = (gfp & ~__GFP_DIRECT_RECLAIM) | __GFP_NORETRY, part_gfp;
	gfp_t bq_gfp = gfp & NETMEM_GFP_MASK;
	struct netmem_key key = netmem_key_of_sk(sk);
	size_t part, max_part = NETMEM_FRAG_MAX;
	bool reserve = len <= PAGE_SIZE && !(gfp & __GFP_NOMEMALLOC);
	struct bvecq *head, *tail;
	struct bio_vec bv;

	KUNIT_STATIC_STUB_REDIRECT(netmem_alloc_bvecq, sk, len, hints, gfp);

	if (!len || (hints & ~NETMEM_HINTS_ALL))
		return ERR_PTR(-EINVAL);
	if (len > INT_MAX)
		return ERR_PTR(-EMSGSIZE);

	if (reserve)
		head = bvecq_alloc_reserved(BVECQ_MEM_NETMEM, bq_gfp);
	else
		head = bvecq_alloc(DIV_ROUND_UP(len, NETMEM_FRAG_MAX),
				   BVECQ_MEM_NETMEM, bq_gfp);
	if (!head)
		goto nomem;
	head->free_bv = netmem_free;
	tail = head;

	while (len) {
		part = min(len, max_part);
		part_gfp = part > PAGE_SIZE ? big_gfp : gfp;
		if (!netmem_alloc_fast(key, part, 1, hints, part_gfp, &bv, true) &&
		    netmem_alloc_slow(key, part, 1, hints, part_gfp, &bv, reserve)) {
			if (part <= PAGE_SIZE)
				goto nomem;
			max_part = PAGE_SIZE;
			continue;
		}
		if (bvecq_append_grow(&tail, bv.bv_page, bv.bv_len, bv.bv_offset, bq_gfp)) {
			netmem_free(&bv);
			goto nomem;
		}
		len -= part;
	}
	return head;

nomem:
	bvecq_put(head);
	this_cpu_inc(netmem_counters.failures);
	return ERR_PTR(-ENOMEM);
}
EXPORT_SYMBOL(netmem_alloc_bvecq);
ALLOW_ERROR_INJECTION(netmem_alloc_bvecq, ERRNO);

/**
 * netmem_free_bulk() - free many fragments
 * @bv: array of fragments, as for netmem_free()
 * @nr: how many there are
 *
 * Cheaper than so many calls of netmem_free() where neighbours in the array
 * are neighbours in a chunk. Sets each bv_page to NULL.
 *
 * Context: any but hardirq; interrupts must be enabled. Does not sleep.
 */
void netmem_free_bulk(struct bio_vec *bv, unsigned int nr)
{
	unsigned int i = 0;

	while (i < nr) {
		struct page *page = bv[i].bv_page;
		long refs = 1;

		if (!page) {
			i++;
			continue;
		}

		DEBUG_NET_WARN_ON_ONCE(PageTail(page));
		bv[i++].bv_page = NULL;
		while (i < nr && bv[i].bv_page == page) {
			bv[i++].bv_page = NULL;
			refs++;
		}
		if (atomic_long_sub_and_test(refs, netmem_refs(page)))
			__netmem_free_page(page);
	}
}
EXPORT_SYMBOL(netmem_free_bulk);

/**
 * netmem_maps_are_costly() - ask whether to copy what could be sent in place
 * @sk: socket that will send it, or NULL if that is not known
 *
 * Fragments are mapped for the device that @sk is routed by, if it can have mapped
 * pools. Other memory has to be mapped for each packet. Behind an IOMMU that is
 * strict, that takes as long as copying a few KiB, for each contiguous piece.
 *
 * Context: any but hardirq; interrupts must be enabled. The caller holds a reference
 * on @sk.
 * Return: true if small pieces of other memory are better copied into fragments.
 */
bool netmem_maps_are_costly(const struct sock *sk)
{
	bool costly;

	rcu_read_lock();
	costly = netmem_set_get(netmem_key_of_sk(sk))->costly_maps;
	rcu_read_unlock();
	return costly;
}
EXPORT_SYMBOL(netmem_maps_are_costly);

/*
 * Slow work: giving idle chunks back, devices, CPUs, statistics.
 */

/* Find the chunks that nobody refers to any more. */
static void netmem_pool_collect(struct netmem_pool *np)
{
	/* To the end, and from the start. */
	for (int rounds = 0; rounds < 2; cond_resched()) {
		spin_lock_bh(&np->lock);
		netmem_linger_drain(np, false);
		page_pool_tx_reap(np->pp, NETMEM_COLLECT_BUDGET);
		if (!np->pp->tx_next)
			rounds++;
		spin_unlock_bh(&np->lock);
	}
}

/* Give back what was not used since the last time: nothing at all if the pool
 * ran dry meanwhile, everything if nobody took from it.
 */
static void netmem_pool_trim(struct netmem_pool *np, bool all)
{
	unsigned int keep;

	netmem_pool_collect(np);
	spin_lock_bh(&np->lock);
	if (all || np->takes == np->takes_seen)
		keep = 0;
	else if (np->low)
		keep = np->pp->alloc.count - min(np->low, np->pp->alloc.count);
	else
		goto out;

	while (page_pool_trim(np->pp, keep, NETMEM_TRIM_BUDGET) ==
	       NETMEM_TRIM_BUDGET) {
		spin_unlock_bh(&np->lock);
		cond_resched();
		spin_lock_bh(&np->lock);
	}
out:
	np->takes_seen = np->takes;
	np->low = np->pp->alloc.count;
	spin_unlock_bh(&np->lock);
}

/* Trim all pools, of all that is idle or of what has been so for a while. Says
 * whether there are chunks left anywhere.
 */
VISIBLE_IF_KUNIT bool netmem_trim(bool all)
{
	struct netmem_pool *np;
	struct netmem_set *set;
	bool busy = false;

	mutex_lock(&netmem_sets_mutex);
	list_for_each_entry(set, &netmem_sets, list) {
		for (int c = 0; c < NETMEM_NR_CLASSES; c++) {
			for (int p = 0; p < NETMEM_NR_POOLS; p++) {
				np = &set->classes[c].pools[p];
				netmem_pool_trim(np, all);
				busy |= page_pool_inflight(np->pp, false) > 0;
			}
		}
	}
	mutex_unlock(&netmem_sets_mutex);
	return busy;
}
EXPORT_SYMBOL_IF_KUNIT(netmem_trim);

static void netmem_trim_work_fn(struct work_struct *work)
{
	bool again = netmem_trim(false);

	if (!netmem_fill_reserve() || again)
		queue_delayed_work(netmem_wq, &netmem_trim_work,
				   NETMEM_TRIM_INTERVAL);
}

/* Memory is short: whatever is idle can go, be it warm or not. A pool of which
 * something is idle counts as a whole; what it is worth shows when it is scanned.
 */
VISIBLE_IF_KUNIT unsigned long netmem_shrink_count(struct shrinker *shrinker,
						   struct shrink_control *sc)
{
	struct netmem_set *set;
	unsigned long nr = 0;

	/* Whoever waits for memory might hold it. */
	if (!mutex_trylock(&netmem_sets_mutex))
		return 0;
	list_for_each_entry(set, &netmem_sets, list) {
		for (int c = 0; c < NETMEM_NR_CLASSES; c++) {
			for (int p = 0; p < NETMEM_NR_POOLS; p++) {
				struct netmem_pool *np = &set->classes[c].pools[p];
				struct page_pool *pp = np->pp;

				if (READ_ONCE(pp->alloc.count) ||
				    READ_ONCE(np->nr_lingering) ||
				    page_pool_tx_lingers(pp) ||
				    !__ptr_ring_empty(&pp->ring))
					nr += (unsigned long)
						page_pool_inflight(pp, false) <<
						pp->p.order;
			}
		}
	}
	mutex_unlock(&netmem_sets_mutex);
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(netmem_shrink_count);

VISIBLE_IF_KUNIT unsigned long netmem_shrink_scan(struct shrinker *shrinker,
						  struct shrink_control *sc)
{
	struct netmem_set *set;
	unsigned long nr = 0;

	if (!mutex_trylock(&netmem_sets_mutex))
		return SHRINK_STOP;
	list_for_each_entry(set, &netmem_sets, list) {
		for (int c = 0; c < NETMEM_NR_CLASSES; c++) {
			for (int p = 0; p < NETMEM_NR_POOLS; p++) {
				struct netmem_pool *np = &set->classes[c].pools[p];
				unsigned int order = np->pp->p.order;

				if (nr >= sc->nr_to_scan)
					break;
				netmem_pool_collect(np);
				spin_lock_bh(&np->lock);
				nr += (unsigned long)page_pool_trim(np->pp, 0,
					DIV_ROUND_UP(sc->nr_to_scan - nr,
						     1UL << order)) << order;
				np->low = min(np->low, np->pp->alloc.count);
				spin_unlock_bh(&np->lock);
			}
		}
	}
	mutex_unlock(&netmem_sets_mutex);
	return nr ?: SHRINK_STOP;
}
EXPORT_SYMBOL_IF_KUNIT(netmem_shrink_scan);

static int netmem_netdev_event(struct notifier_block *nb, unsigned long event,
			       void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct netmem_set *set;

	if (event != NETDEV_UNREGISTER && event != NETDEV_CHANGENAME)
		return NOTIFY_DONE;

	/* No device that is being unregistered is given a set any more, but one
	 * may be in the making.
	 */
	if (event == NETDEV_UNREGISTER && dev->tx_pool_dma)
		flush_workqueue(netmem_wq);

	spin_lock_bh(&netmem_dev_lock);
	set = rcu_dereference_protected(dev->netmem_set,
					lockdep_is_held(&netmem_dev_lock));
	if (event == NETDEV_UNREGISTER)
		RCU_INIT_POINTER(dev->netmem_set, NULL);
	else if (set && set->dev)
		strscpy(set->name, dev->name);
	spin_unlock_bh(&netmem_dev_lock);

	/* What is mapped must be unmapped while the device is there. */
	if (event == NETDEV_UNREGISTER && set && set->dev) {
		queue_work(netmem_wq, &set->destroy);
		flush_workqueue(netmem_wq);
	}
	return NOTIFY_DONE;
}

static struct notifier_block netmem_netdev_notifier = {
	.notifier_call	= netmem_netdev_event,
	/* Before page_pool's own, which looks after pools that are left over. */
	.priority	= 1,
};

static int netmem_cpu_dead(unsigned int cpu)
{
	struct netmem_set *set;

	mutex_lock(&netmem_sets_mutex);
	list_for_each_entry(set, &netmem_sets, list)
		netmem_retire_cpu(set, cpu);
	mutex_unlock(&netmem_sets_mutex);
	return 0;
}

VISIBLE_IF_KUNIT void netmem_read_stats(const struct netmem_set *set,
					unsigned int c,
					struct netmem_stats *stats)
{
	const struct netmem_class *nclass = &set->classes[c];
	int cpu;

	memset(stats, 0, sizeof(*stats));
	for_each_possible_cpu(cpu) {
		const struct netmem_cpu *nc = per_cpu_ptr(set->cpu, cpu);

		for (int i = 0; i < ARRAY_SIZE(nc->open[c]); i++) {
			const struct netmem_open *no = &nc->open[c][i];

			stats->allocs += READ_ONCE(no->allocs) +
					 READ_ONCE(no->users);
			stats->restarts += READ_ONCE(no->restarts);
			stats->refills += READ_ONCE(no->refills);
			stats->small += READ_ONCE(no->small);
		}
		stats->unpooled += per_cpu(netmem_counters.unpooled, cpu);
		stats->failures += per_cpu(netmem_counters.failures, cpu);
	}
	for (int p = 0; p < NETMEM_NR_POOLS; p++) {
		const struct page_pool *pp = nclass->pools[p].pp;

		stats->held[p] = page_pool_inflight(pp, false);
		stats->lingering += READ_ONCE(nclass->pools[p].nr_lingering);
		stats->fresh[p] = READ_ONCE(pp->pages_state_hold_cnt);
	}
}
EXPORT_SYMBOL_IF_KUNIT(netmem_read_stats);

static int __maybe_unused netmem_proc_show(struct seq_file *m, void *v)
{
	static const char * const names[] = { "retained", "unretained" };
	struct netmem_stats stats = {};
	struct netmem_set *set;

	seq_puts(m, "device node class allocs restarts refills small-refills fresh-chunks fresh-pages held-chunks held-pages lingering\n");

	mutex_lock(&netmem_sets_mutex);
	list_for_each_entry(set, &netmem_sets, list) {
		for (int c = 0; c < NETMEM_NR_CLASSES; c++) {
			netmem_read_stats(set, c, &stats);
			seq_printf(m, "%s %d %s %llu %llu %llu %llu %u %u %d %d %u\n",
				   set->name, set->nid, names[c], stats.allocs,
				   stats.restarts, stats.refills, stats.small,
				   stats.fresh[NETMEM_POOL_CHUNK],
				   stats.fresh[NETMEM_POOL_PAGE],
				   stats.held[NETMEM_POOL_CHUNK],
				   stats.held[NETMEM_POOL_PAGE],
				   stats.lingering);
		}
	}
	mutex_unlock(&netmem_sets_mutex);

	seq_printf(m, "unpooled %llu\nfailures %llu\nreserve %d of %d\n",
		   stats.unpooled, stats.failures,
		   READ_ONCE(netmem_reserve.curr_nr), netmem_reserve.min_nr);
	return 0;
}

static int __init netmem_alloc_init(void)
{
	struct netmem_set *set, *first = NULL;
	struct shrinker *shrinker;
	int nid, err;

	netmem_wq = alloc_ordered_workqueue("netmem", 0);
	if (!netmem_wq)
		panic("netmem_alloc: no workqueue\n");

	if (mempool_init_page_pool(&netmem_reserve, NETMEM_RESERVE_PAGES, 0))
		panic("netmem_alloc: no reserve\n");

	for_each_node_state(nid, N_MEMORY) {
		set = kzalloc_node(sizeof(*set), GFP_KERNEL, nid);
		err = -ENOMEM;
		if (set) {
			set->nid = nid;
			strscpy(set->name, "-");
			err = netmem_set_init_pools(set);
		}
		if (err)
			panic("netmem_alloc: no default pools: %d\n", err);
		netmem_default[nid] = set;
		first = first ?: set;
	}
	/* Memory may come to a node later. */
	for (nid = 0; nid < MAX_NUMNODES; nid++)
		netmem_default[nid] = netmem_default[nid] ?: first;

	shrinker = shrinker_alloc(0, "netmem");
	if (shrinker) {
		shrinker->count_objects = netmem_shrink_count;
		shrinker->scan_objects = netmem_shrink_scan;
		shrinker_register(shrinker);
	}
	WARN_ON(register_netdevice_notifier(&netmem_netdev_notifier));
	WARN_ON(cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN,
					  "net/netmem:dead", NULL,
					  netmem_cpu_dead) < 0);
	proc_create_single("netmem_alloc", 0444, init_net.proc_net,
			   netmem_proc_show);
	return 0;
}
subsys_initcall(netmem_alloc_init);
