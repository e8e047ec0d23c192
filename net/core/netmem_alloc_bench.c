// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Benchmark of netmem_alloc beside page_frag and beside kmalloc() with a DMA
 * mapping: allocate and free, on one CPU and on two at once. page_frag is timed
 * twice: a cache that is its user's alone, and the one that any context may use,
 * by netdev_alloc_frag(), which goes up to a page.
 *
 * The memory is for the first network device that pools can be mapped for, and
 * that is the device it is mapped for by the rival.  Where there is none, it is for
 * the loopback device, and nothing is mapped.  A line of the form
 *
 *	bench: size=BYTES cpus=N netmem=PS page_frag=PS netdev_frag=PS kmalloc=PS device=NAME
 *
 * gives the medians in picoseconds for a pair, on the slower CPU; 0 if there are
 * none.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/netdevice.h>
#include <linux/page_frag_cache.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <net/net_namespace.h>
#include <net/netmem_alloc.h>
#include <net/route.h>

#define ROUNDS		51
#define PAIRS		4000
#define MAX_CPUS	2

/* What one CPU works with. */
struct worker {
	const struct dst_entry	*dst;
	struct device		*dev;
	struct page_frag_cache	cache;
	unsigned int		size;
	unsigned int		failed;
	u64			ns;
};

static void pair_netmem(struct worker *w)
{
	struct bio_vec bv;

	if (netmem_alloc_dst(w->dst, w->size, 1, 0, GFP_KERNEL, &bv))
		w->failed++;
	else
		netmem_free(&bv);
}

static void pair_page_frag(struct worker *w)
{
	void *p = page_frag_alloc(&w->cache, w->size, GFP_KERNEL);

	/* It gives up on what is longer than a page when its chunk is used up. */
	if (!p) {
		page_frag_cache_drain(&w->cache);
		p = page_frag_alloc(&w->cache, w->size, GFP_KERNEL);
	}
	if (p)
		page_frag_free(p);
	else
		w->failed++;
}

static void pair_netdev_frag(struct worker *w)
{
	void *p = netdev_alloc_frag(w->size);

	if (p)
		page_frag_free(p);
	else
		w->failed++;
}

static void pair_kmalloc(struct worker *w)
{
	void *p = kmalloc(w->size, GFP_KERNEL);
	dma_addr_t addr;

	if (!p) {
		w->failed++;
		return;
	}
	if (w->dev) {
		addr = dma_map_single(w->dev, p, w->size, DMA_TO_DEVICE);
		if (dma_mapping_error(w->dev, addr))
			w->failed++;
		else
			dma_unmap_single(w->dev, addr, w->size, DMA_TO_DEVICE);
	}
	kfree(p);
}

#define RUN(op) do {						\
	for (unsigned int i = 0; i < PAIRS; i++)		\
		op(w);						\
} while (0)

enum { NETMEM, PAGE_FRAG, NETDEV_FRAG, KMALLOC, NR_RIVALS };

struct run {
	struct worker		workers[MAX_CPUS];
	unsigned int		rival;
	atomic_t		ready;
	unsigned int		nr;
};

static int work(struct run *run, struct worker *w)
{
	u64 t0;

	/* All at once. */
	atomic_inc(&run->ready);
	while (atomic_read(&run->ready) < run->nr)
		cpu_relax();

	t0 = ktime_get_ns();
	switch (run->rival) {
	case NETMEM:
		RUN(pair_netmem);
		break;
	case PAGE_FRAG:
		RUN(pair_page_frag);
		break;
	case NETDEV_FRAG:
		RUN(pair_netdev_frag);
		break;
	default:
		RUN(pair_kmalloc);
		break;
	}
	w->ns = ktime_get_ns() - t0;
	return 0;
}

struct thread {
	struct run	*run;
	struct worker	*worker;
	struct completion done;
};

static int thread_fn(void *data)
{
	struct thread *t = data;

	work(t->run, t->worker);
	complete(&t->done);
	return 0;
}

/* Runs on as many CPUs; returns the time of the slowest. */
static u64 run_on(struct kunit *test, struct run *run)
{
	struct thread threads[MAX_CPUS];
	unsigned int n = 0, cpu;
	u64 ns = 0;

	atomic_set(&run->ready, 0);
	for_each_online_cpu(cpu) {
		struct task_struct *task;

		if (n == run->nr)
			break;
		threads[n].run = run;
		threads[n].worker = &run->workers[n];
		init_completion(&threads[n].done);
		task = kthread_create_on_cpu(thread_fn, &threads[n], cpu, "netmem_bench/%u");
		if (IS_ERR(task)) {
			/* Nobody shall wait for it. */
			KUNIT_FAIL(test, "no thread: %pe", task);
			atomic_inc(&run->ready);
			complete(&threads[n].done);
		} else {
			wake_up_process(task);
		}
		n++;
	}
	for (n = 0; n < run->nr; n++) {
		wait_for_completion(&threads[n].done);
		ns = max(ns, run->workers[n].ns);
	}
	return ns;
}

static const unsigned int sizes[] = { 64, 256, 1500, 16384 };

static void size_desc(const unsigned int *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u bytes", *size);
}

KUNIT_ARRAY_PARAM(size, sizes, size_desc);

static int cmp_u64(const void *a, const void *b)
{
	u64 x = *(u64 *)a, y = *(u64 *)b;

	return x < y ? -1 : x > y;
}

/* Holds a reference on the device. */
static struct net_device *find_device(void)
{
	struct net_device *dev, *found = NULL;

	rtnl_lock();
	for_each_netdev(&init_net, dev) {
		if (dev->tx_pool_dma && dev->dev.parent) {
			found = dev;
			dev_hold(dev);
			break;
		}
	}
	rtnl_unlock();
	return found;
}

static void bench_alloc(struct kunit *test)
{
	const unsigned int *size = test->param_value;
	struct net_device *dev = find_device();
	struct rtable *rt = NULL;
	struct bio_vec bv;
	struct run *run;
	u64 (*ns)[ROUNDS];

	rt = rt_dst_alloc(dev ?: init_net.loopback_dev, 0, RTN_UNICAST, true);
	run = kunit_kzalloc(test, sizeof(*run), GFP_KERNEL);
	ns = kunit_kcalloc(test, NR_RIVALS, sizeof(*ns), GFP_KERNEL);
	if (!run || !ns || !rt) {
		KUNIT_FAIL(test, "no memory");
		goto out;
	}
	/* The first fragment has the device's pools made. */
	if (!netmem_alloc_dst(&rt->dst, 64, 1, 0, GFP_KERNEL, &bv)) {
		netmem_free(&bv);
		msleep(100);
	}

	for (run->nr = 1; run->nr <= min(num_online_cpus(), MAX_CPUS); run->nr++) {
		for (unsigned int n = 0; n < run->nr; n++) {
			struct worker *w = &run->workers[n];

			*w = (struct worker){
				.dst	= &rt->dst,
				.dev	= dev ? dev->dev.parent : NULL,
				.size	= *size,
			};
			page_frag_cache_init(&w->cache);
		}
		/* Round 0 warms up. */
		for (unsigned int round = 0; round <= ROUNDS; round++) {
			for (unsigned int r = 0; r < NR_RIVALS; r++) {
				run->rival = (r + round) % NR_RIVALS;
				if (run->rival == NETDEV_FRAG && *size > PAGE_SIZE)
					continue;
				ns[run->rival][round ? round - 1 : 0] = run_on(test, run);
			}
		}
		for (unsigned int n = 0; n < run->nr; n++) {
			KUNIT_EXPECT_EQ(test, 0, run->workers[n].failed);
			page_frag_cache_drain(&run->workers[n].cache);
		}
		for (unsigned int r = 0; r < NR_RIVALS; r++)
			sort(ns[r], ROUNDS, sizeof(ns[r][0]), cmp_u64, NULL);
		kunit_info(test, "bench: size=%u cpus=%u netmem=%llu page_frag=%llu netdev_frag=%llu kmalloc=%llu device=%s\n",
			   *size, run->nr,
			   div_u64(ns[NETMEM][ROUNDS / 2] * 1000, PAIRS),
			   div_u64(ns[PAGE_FRAG][ROUNDS / 2] * 1000, PAIRS),
			   div_u64(ns[NETDEV_FRAG][ROUNDS / 2] * 1000, PAIRS),
			   div_u64(ns[KMALLOC][ROUNDS / 2] * 1000, PAIRS),
			   dev ? dev_name(dev->dev.parent) : "none");
	}
out:
	if (rt)
		dst_release(&rt->dst);
	if (dev)
		dev_put(dev);
}

static struct kunit_case netmem_bench_cases[] = {
	KUNIT_CASE_PARAM_ATTR(bench_alloc, size_gen_params,
			      { .speed = KUNIT_SPEED_VERY_SLOW }),
	{}
};

static struct kunit_suite netmem_bench_suite = {
	.name		= "netmem_bench",
	.test_cases	= netmem_bench_cases,
};

kunit_test_suite(netmem_bench_suite);

MODULE_DESCRIPTION("Benchmark of the socket-keyed netmem allocator");
MODULE_LICENSE("GPL");
