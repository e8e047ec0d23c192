// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of netfs_extract_iter() and netfs_alloc_buffer()
 */
#include <kunit/fail_nth.h>
#include <kunit/test.h>
#include <linux/bvecq.h>
#include <linux/folio_queue.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/netfs.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/xarray.h>

#define MAX_FOLIOS	24
#define MAX_KVECS	600	/* More than a segment has slots for */
#define HEAD		10	/* What the iterators leave out in front... */
#define TAIL		7	/* ... and at the end */

/* Memory, and an iterator over it. */
struct area {
	struct kunit	*test;
	size_t		size;		/* What the iterator holds */
	u8		*image;		/* A flat copy of that */
	u8		*scratch;
	unsigned int	nr_folios;
	unsigned int	refs;		/* On each folio, while nothing is extracted */
	struct folio	*folios[MAX_FOLIOS];
	unsigned long	addr;
	struct iovec	iov[3];
	struct kvec	kvec[MAX_KVECS];
	struct bio_vec	bvec[MAX_FOLIOS];
	struct folio_queue folioq;
	struct xarray	xa;
	struct bvecq	*bvecq;
	struct iov_iter	iter;
};

struct source {
	const char	*name;
	void		(*make)(struct area *a);
	unsigned int	order;
	enum bvecq_mem	mem;		/* What comes out... */
	enum bvecq_mem	mem_ref;	/* ... with NETFS_EXTRACT_REF */
};

static size_t whole_size(const struct area *a)
{
	return a->nr_folios * folio_size(a->folios[0]);
}

static void make_ubuf(struct area *a)
{
	iov_iter_ubuf(&a->iter, ITER_SOURCE, (void __user *)a->addr, whole_size(a));
}

static void make_iovec(struct area *a)
{
	size_t third = whole_size(a) / 3;

	for (unsigned int i = 0; i < ARRAY_SIZE(a->iov); i++) {
		a->iov[i].iov_base = (void __user *)a->addr + i * third;
		a->iov[i].iov_len = third - i * 100;
	}
	iov_iter_init(&a->iter, ITER_SOURCE, a->iov, ARRAY_SIZE(a->iov),
		      3 * third - 300);
}

static void make_kvec(struct area *a)
{
	size_t size = 0;

	for (unsigned int i = 0; i < a->nr_folios; i++) {
		a->kvec[i].iov_base = folio_address(a->folios[i]) + i;
		a->kvec[i].iov_len = folio_size(a->folios[i]) - 2 * i;
		size += a->kvec[i].iov_len;
	}
	iov_iter_kvec(&a->iter, ITER_SOURCE, a->kvec, a->nr_folios, size);
}

static void make_many(struct area *a)
{
	unsigned int per_folio = MAX_KVECS / a->nr_folios;

	for (unsigned int i = 0; i < MAX_KVECS; i++) {
		a->kvec[i].iov_base = folio_address(a->folios[i / per_folio]) +
			i % per_folio * 160;
		a->kvec[i].iov_len = 150;
	}
	iov_iter_kvec(&a->iter, ITER_SOURCE, a->kvec, MAX_KVECS, MAX_KVECS * 150);
}

static void make_bvec(struct area *a)
{
	for (unsigned int i = 0; i < a->nr_folios; i++)
		bvec_set_folio(&a->bvec[i], a->folios[i], folio_size(a->folios[i]), 0);
	iov_iter_bvec(&a->iter, ITER_SOURCE, a->bvec, a->nr_folios, whole_size(a));
}

static void make_folioq(struct area *a)
{
	folioq_init(&a->folioq, 0);
	for (unsigned int i = 0; i < a->nr_folios; i++)
		folioq_append(&a->folioq, a->folios[i]);
	iov_iter_folio_queue(&a->iter, ITER_SOURCE, &a->folioq, 0, 0, whole_size(a));
}

static void destroy_xa(void *xa)
{
	xa_destroy(xa);
}

static void make_xarray(struct area *a)
{
	xa_init(&a->xa);
	KUNIT_ASSERT_EQ(a->test, 0, kunit_add_action_or_reset(a->test, destroy_xa, &a->xa));
	for (unsigned int i = 0; i < a->nr_folios; i++)
		KUNIT_ASSERT_FALSE(a->test, xa_is_err(xa_store(&a->xa, i + 5, a->folios[i],
							       GFP_KERNEL)));
	iov_iter_xarray(&a->iter, ITER_SOURCE, &a->xa, 5 * PAGE_SIZE, whole_size(a));
}

static void put_bvecq(void *bq)
{
	bvecq_put(bq);
}

static void make_queue(struct area *a, enum bvecq_mem mem)
{
	struct bvecq *tail;
	size_t size = 0;

	tail = bvecq_alloc(3, mem, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(a->test, tail);
	a->bvecq = tail;
	KUNIT_ASSERT_EQ(a->test, 0, kunit_add_action_or_reset(a->test, put_bvecq, tail));
	for (unsigned int i = 0; i < a->nr_folios; i++) {
		size_t len = i % 5 ? folio_size(a->folios[i]) - 3 * i : 0;

		KUNIT_ASSERT_EQ(a->test, 0,
				bvecq_append_grow(&tail, folio_page(a->folios[i], 0), len, i,
						  GFP_KERNEL));
		if (mem == BVECQ_MEM_PAGE)
			folio_get(a->folios[i]);
		size += len;
	}
	iov_iter_bvec_queue(&a->iter, ITER_SOURCE, a->bvecq, 0, 0, size);
}

static void make_bvecq(struct area *a)
{
	make_queue(a, BVECQ_MEM_BORROWED);
}

static void make_held(struct area *a)
{
	make_queue(a, BVECQ_MEM_PAGE);
	a->refs = 2;
}

static const struct source sources[] = {
	{ "ubuf", make_ubuf, 0, BVECQ_MEM_PIN, BVECQ_MEM_PIN },
	{ "iovec", make_iovec, 0, BVECQ_MEM_PIN, BVECQ_MEM_PIN },
	{ "kvec", make_kvec, 0, BVECQ_MEM_BORROWED, BVECQ_MEM_PAGE },
	{ "kvec, large folios", make_kvec, 2, BVECQ_MEM_BORROWED, BVECQ_MEM_PAGE },
	{ "kvec, many pieces", make_many, 0, BVECQ_MEM_BORROWED, BVECQ_MEM_PAGE },
	{ "bvec", make_bvec, 0, BVECQ_MEM_BORROWED, BVECQ_MEM_PAGE },
	{ "bvec, large folios", make_bvec, 2, BVECQ_MEM_BORROWED, BVECQ_MEM_PAGE },
	{ "folioq", make_folioq, 0, BVECQ_MEM_BORROWED, BVECQ_MEM_PAGE },
	{ "folioq, large folios", make_folioq, 2, BVECQ_MEM_BORROWED, BVECQ_MEM_PAGE },
	{ "xarray", make_xarray, 0, BVECQ_MEM_BORROWED, BVECQ_MEM_PAGE },
	{ "bvecq", make_bvecq, 0, BVECQ_MEM_BORROWED, BVECQ_MEM_PAGE },
	{ "bvecq, large folios", make_bvecq, 2, BVECQ_MEM_BORROWED, BVECQ_MEM_PAGE },
	{ "bvecq, holding its memory", make_held, 0, BVECQ_MEM_BORROWED, BVECQ_MEM_BORROWED },
};

static void source_desc(const struct source *s, char *desc)
{
	strscpy(desc, s->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(source, sources, source_desc);

static void put_folio(void *folio)
{
	folio_put(folio);
}

static void free_buf(void *buf)
{
	kvfree(buf);
}

static u8 *alloc_buf(struct kunit *test, size_t size)
{
	u8 *buf = kvzalloc(size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_buf, buf));
	return buf;
}

static struct area *make_area(struct kunit *test)
{
	const struct source *s = test->param_value;
	struct iov_iter iter;
	struct area *a;
	u32 noise = 1;

	a = kunit_kzalloc(test, sizeof(*a), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, a);
	a->test = test;
	a->nr_folios = MAX_FOLIOS;
	a->refs = 1;
	for (unsigned int i = 0; i < a->nr_folios; i++) {
		struct folio *folio = folio_alloc(GFP_KERNEL, s->order);

		KUNIT_ASSERT_NOT_NULL(test, folio);
		KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_folio, folio));
		for (size_t k = 0; k < folio_size(folio); k++) {
			noise = noise * 1664525 + 1013904223;
			((u8 *)folio_address(folio))[k] = noise >> 24;
		}
		a->folios[i] = folio;
	}

	if (s->mem == BVECQ_MEM_PIN) {
		a->addr = kunit_vm_mmap(test, NULL, 0, whole_size(a), PROT_READ | PROT_WRITE,
					MAP_ANONYMOUS | MAP_PRIVATE, 0);
		if (!a->addr || IS_ERR_VALUE(a->addr))
			kunit_skip(test, "no user memory here");
		for (unsigned int i = 0; i < a->nr_folios; i++)
			KUNIT_ASSERT_EQ(test, 0,
					copy_to_user((void __user *)a->addr + i * PAGE_SIZE,
						     folio_address(a->folios[i]), PAGE_SIZE));
	}

	s->make(a);
	iov_iter_advance(&a->iter, HEAD);
	iov_iter_truncate(&a->iter, iov_iter_count(&a->iter) - TAIL);
	a->size = iov_iter_count(&a->iter);
	a->image = alloc_buf(test, a->size);
	a->scratch = alloc_buf(test, a->size);
	iter = a->iter;
	KUNIT_ASSERT_EQ(test, a->size, copy_from_iter(a->image, a->size, &iter));
	return a;
}

/* Nobody has a reference or a pin any more. */
static void expect_released(struct area *a)
{
	for (unsigned int i = 0; i < a->nr_folios; i++)
		KUNIT_ASSERT_EQ(a->test, a->refs, folio_ref_count(a->folios[i]));
	for (unsigned int i = 0; a->addr && i < a->nr_folios; i++) {
		struct page *page;

		KUNIT_ASSERT_EQ(a->test, 1,
				get_user_pages_fast(a->addr + i * PAGE_SIZE, 1, 0, &page));
		KUNIT_ASSERT_FALSE(a->test, folio_maybe_dma_pinned(page_folio(page)));
		put_page(page);
	}
}

/* The chain holds @len bytes of the area from @from on. */
static void expect_same(struct area *a, const struct bvecq *bq, size_t from, size_t len)
{
	struct iov_iter iter;

	KUNIT_ASSERT_EQ(a->test, len, bvecq_bytes(bq));
	iov_iter_bvec_queue(&iter, ITER_SOURCE, bq, 0, 0, len);
	KUNIT_ASSERT_EQ(a->test, len, copy_from_iter(a->scratch, len, &iter));
	KUNIT_ASSERT_MEMEQ(a->test, a->scratch, a->image + from, len);
}

static unsigned int count_pieces(const struct bvecq *bq)
{
	unsigned int n = 0;

	for (; bq; bq = bvecq_next(bq))
		n += bvecq_nr_slots(bq);
	return n;
}

/* Taken bit by bit, within the limits, it is all there and in order. */
static void netfs_extract_all(struct kunit *test)
{
	static const unsigned int flags[] = {
		0, NETFS_EXTRACT_REF, NETFS_EXTRACT_SPLICE,
		NETFS_EXTRACT_REF | NETFS_EXTRACT_SPLICE,
	};
	static const size_t max_bytes[] = { 333, PAGE_SIZE, 5 * PAGE_SIZE + 1, SIZE_MAX };
	static const unsigned int max_pieces[] = { 1, 2, 7, UINT_MAX };
	const struct source *s = test->param_value;
	struct area *a = make_area(test);

	for (unsigned int n = 0; n < 4 * 4 * 4; n++) {
		size_t bytes = max_bytes[n % 4], done = 0;
		unsigned int pieces = max_pieces[n / 4 % 4];
		unsigned int flag = flags[n / 16];
		struct iov_iter iter = a->iter;

		while (done < a->size) {
			struct bvecq *bq = NULL;
			ssize_t got;

			got = netfs_extract_iter(&iter, bytes, pieces, flag, GFP_KERNEL, &bq);
			KUNIT_ASSERT_GT_MSG(test, got, 0, "round %u, at %zu", n, done);
			KUNIT_ASSERT_LE(test, got, bytes);
			KUNIT_ASSERT_LE(test, count_pieces(bq), pieces);
			KUNIT_ASSERT_EQ(test, bq->mem,
					flag & NETFS_EXTRACT_REF ? s->mem_ref : s->mem);
			if (pieces == UINT_MAX)
				KUNIT_ASSERT_EQ(test, got, min(bytes, a->size - done));
			expect_same(a, bq, done, got);
			bvecq_put(bq);
			done += got;
			KUNIT_ASSERT_EQ(test, a->size - done, iov_iter_count(&iter));
		}
		expect_released(a);
	}
}

/* A large folio is one piece, and so are neighbours. */
static void netfs_extract_contiguous(struct kunit *test)
{
	const struct source *s = test->param_value;
	struct area *a = make_area(test);
	struct iov_iter iter = a->iter;
	struct bvecq *bq;

	KUNIT_ASSERT_EQ(test, a->size, netfs_extract_iter(&iter, SIZE_MAX, UINT_MAX,
							  NETFS_EXTRACT_REF, GFP_KERNEL, &bq));
	if (s->mem != BVECQ_MEM_PIN && s->make != make_many)
		KUNIT_EXPECT_LE(test, count_pieces(bq), a->nr_folios);
	for (struct bvecq *p = bq; p; p = bvecq_next(p))
		for (unsigned int i = 1; i < bvecq_nr_slots(p); i++)
			KUNIT_EXPECT_FALSE(test,
					   page_folio(p->bv[i].bv_page) ==
					   page_folio(p->bv[i - 1].bv_page) &&
					   bvec_phys(&p->bv[i - 1]) + p->bv[i - 1].bv_len ==
					   bvec_phys(&p->bv[i]));
	bvecq_put(bq);
	expect_released(a);
}

/* Whichever allocation fails, what was taken can be used and is released. */
static void netfs_extract_nomem(struct kunit *test)
{
	const struct source *s = test->param_value;
	struct area *a = make_area(test);
	unsigned int failures = 0;
	bool hit = true;

	if (!IS_ENABLED(CONFIG_FAILSLAB))
		kunit_skip(test, "needs CONFIG_FAILSLAB");
	for (unsigned int flags = 0; flags <= NETFS_EXTRACT_REF; flags += NETFS_EXTRACT_REF) {
		for (unsigned int n = 1; hit || n == 1; n++) {
			struct iov_iter iter = a->iter;
			struct bvecq *bq = NULL;
			ssize_t got;

			kunit_fail_nth(n);
			got = netfs_extract_iter(&iter, SIZE_MAX, UINT_MAX, flags,
						 GFP_NOWAIT | __GFP_NOWARN, &bq);
			hit = kunit_fail_nth(0) == 0;
			failures += hit;
			if (got < 0) {
				KUNIT_ASSERT_TRUE(test, hit);
				KUNIT_ASSERT_EQ(test, got, -ENOMEM);
				KUNIT_ASSERT_NULL(test, bq);
				got = 0;
			} else {
				if (!hit)
					KUNIT_ASSERT_EQ(test, got, a->size);
				expect_same(a, bq, 0, got);
			}
			KUNIT_ASSERT_EQ(test, a->size - got, iov_iter_count(&iter));
			bvecq_put(bq);
			expect_released(a);
		}
	}
	KUNIT_EXPECT_GE(test, failures, s->make == make_many ? 6 : 2);
}

/* A program's memory is pinned, as far as it is there. */
static void netfs_extract_user(struct kunit *test)
{
	struct bvecq_stats before, after;
	struct iov_iter iter;
	unsigned long addr;
	struct bvecq *bq;
	struct page *page;

	addr = kunit_vm_mmap(test, NULL, 0, 40 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	if (!addr || IS_ERR_VALUE(addr))
		kunit_skip(test, "no user memory here");
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr + 20 * PAGE_SIZE, 20 * PAGE_SIZE));

	/* There are no pins on the zero page. */
	KUNIT_ASSERT_EQ(test, 0, clear_user((void __user *)addr, 20 * PAGE_SIZE));
	bvecq_get_stats(&before);
	iov_iter_ubuf(&iter, ITER_SOURCE, (void __user *)addr + 10, 39 * PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, 20 * PAGE_SIZE - 10,
			netfs_extract_iter(&iter, SIZE_MAX, UINT_MAX, 0, GFP_KERNEL, &bq));
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), 19 * PAGE_SIZE + 10);
	KUNIT_EXPECT_EQ(test, bq->mem, BVECQ_MEM_PIN);
	page = bq->bv[0].bv_page;
	get_page(page);
	KUNIT_EXPECT_TRUE(test, folio_maybe_dma_pinned(page_folio(page)));
	bvecq_put(bq);
	KUNIT_EXPECT_FALSE(test, folio_maybe_dma_pinned(page_folio(page)));
	put_page(page);
	KUNIT_EXPECT_EQ(test, -EFAULT, netfs_extract_iter(&iter, SIZE_MAX, UINT_MAX, 0,
							  GFP_KERNEL, &bq));
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), 19 * PAGE_SIZE + 10);

	iov_iter_ubuf(&iter, ITER_DEST, (void __user *)addr, 8 * PAGE_SIZE);
	KUNIT_EXPECT_GT(test, netfs_extract_iter(&iter, SIZE_MAX, 1, 0, GFP_KERNEL, &bq), 0);
	KUNIT_EXPECT_EQ(test, count_pieces(bq), 1);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), 8 * PAGE_SIZE - bvecq_bytes(bq));
	bvecq_put(bq);
	bvecq_get_stats(&after);
	KUNIT_EXPECT_EQ(test, after.segments, before.segments);
	KUNIT_EXPECT_EQ(test, after.bytes, before.bytes);
}

/* More pages than a segment has slots, one behind the other or here and there. */
static void netfs_extract_many_pages(struct kunit *test)
{
	enum { PAGES = 612, STEP = 3 };
	struct bvecq_stats before, after;
	unsigned long addr;
	struct iovec *iov;

	iov = kunit_kcalloc(test, PAGES, sizeof(*iov), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, iov);
	addr = kunit_vm_mmap(test, NULL, 0, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	if (!addr || IS_ERR_VALUE(addr))
		kunit_skip(test, "no user memory here");
	/* Allocated backwards, they are not likely to follow one another in memory. */
	for (unsigned int i = PAGES; i--;)
		KUNIT_ASSERT_EQ(test, 0, clear_user((void __user *)addr + i * PAGE_SIZE, 1));
	for (unsigned int i = 0; i < PAGES; i++) {
		unsigned int n = i / (PAGES / STEP) + i % (PAGES / STEP) * STEP;

		iov[i].iov_base = (void __user *)addr + n * PAGE_SIZE;
		iov[i].iov_len = PAGE_SIZE;
		KUNIT_ASSERT_EQ(test, 0, put_user(i, (u32 __user *)iov[i].iov_base));
	}

	for (unsigned int scattered = 0; scattered < 2; scattered++) {
		size_t len = PAGES * PAGE_SIZE - 1, at = 0;
		struct bvecq_pos pos = {};
		struct iov_iter iter;
		struct bvecq *bq;
		u32 want, *got;

		if (scattered)
			iov_iter_init(&iter, ITER_SOURCE, iov, PAGES, len);
		else
			iov_iter_ubuf(&iter, ITER_SOURCE, (void __user *)addr, len);
		bvecq_get_stats(&before);
		KUNIT_ASSERT_EQ(test, len, netfs_extract_iter(&iter, SIZE_MAX, UINT_MAX, 0,
							      GFP_KERNEL, &bq));
		bvecq_get_stats(&after);
		KUNIT_EXPECT_EQ(test, after.bytes, before.bytes + len);
		if (scattered && PAGE_SIZE == SZ_4K)
			KUNIT_EXPECT_PTR_NE(test, bvecq_next(bq), bvecq_tail(bq));

		pos.bq = bq;
		for (unsigned int i = 0; i < PAGES; i++, at = PAGE_SIZE) {
			unsigned long from = addr + i * PAGE_SIZE;
			const struct bio_vec *bv;

			bvecq_pos_advance(&pos, at, UINT_MAX, NULL);
			bv = bvecq_pos_bv(&pos);
			KUNIT_ASSERT_NOT_NULL(test, bv);
			got = page_address(bv->bv_page) + bv->bv_offset + pos.offset;
			want = i;
			if (!scattered)
				KUNIT_ASSERT_EQ(test, 0, get_user(want, (u32 __user *)from));
			KUNIT_ASSERT_EQ_MSG(test, *got, want, "page %u, scattered %u", i,
					    scattered);
		}
		bvecq_put(bq);
		bvecq_get_stats(&after);
		KUNIT_EXPECT_EQ(test, after.segments, before.segments);
		KUNIT_EXPECT_EQ(test, after.bytes, before.bytes);
	}
}

/* A reference on a queue will do, where all of it holds its memory. */
static void netfs_extract_queue(struct kunit *test)
{
	enum { EACH = 4, HELD = 2 * EACH, ALL = 3 * EACH };
	static const struct {
		unsigned int	from, to;
		bool		slice;
	} parts[] = {
		{ 0, 1, true }, { 0, HELD, true }, { EACH - 1, EACH + 1, true },
		{ HELD - 1, HELD + 1, false }, { HELD, HELD + 1, false }, { 0, ALL, false },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++) {
		unsigned int nr = parts[i].to - parts[i].from;
		struct bvecq *queue, *tail, *bq;
		struct folio *folios[ALL];
		struct iov_iter iter;
		bool slice;

		/* The last segment borrows. */
		queue = NULL;
		for (unsigned int f = 0; f < ALL; f++) {
			if (f % EACH == 0) {
				bq = bvecq_alloc(EACH, f < HELD ? BVECQ_MEM_PAGE :
						 BVECQ_MEM_BORROWED, GFP_KERNEL);
				KUNIT_ASSERT_NOT_NULL(test, bq);
				if (queue)
					bvecq_join(tail, bq);
				else
					queue = bq;
				tail = bq;
			}
			folios[f] = folio_alloc(GFP_KERNEL, 0);
			KUNIT_ASSERT_NOT_NULL(test, folios[f]);
			folio_get(folios[f]);
			KUNIT_ASSERT_EQ(test, 0, bvecq_append(tail, folio_page(folios[f], 0),
							      PAGE_SIZE - 1, 0));
		}

		iov_iter_bvec_queue(&iter, ITER_SOURCE, queue, 0, 0, ALL * (PAGE_SIZE - 1));
		iov_iter_advance(&iter, parts[i].from * (PAGE_SIZE - 1));
		KUNIT_ASSERT_EQ(test, nr * (PAGE_SIZE - 1),
				netfs_extract_iter(&iter, nr * (PAGE_SIZE - 1), UINT_MAX,
						   NETFS_EXTRACT_REF, GFP_KERNEL, &bq));
		slice = bq->origin;
		KUNIT_EXPECT_EQ_MSG(test, slice, parts[i].slice, "part %u", i);

		/* The queue goes first. */
		bvecq_put(queue);
		for (unsigned int f = parts[i].from; f < parts[i].to; f++)
			KUNIT_EXPECT_GT(test, folio_ref_count(folios[f]), f < HELD ? 1 : 2);
		bvecq_put(bq);
		for (unsigned int f = 0; f < ALL; f++) {
			KUNIT_EXPECT_EQ(test, folio_ref_count(folios[f]), f < HELD ? 1 : 2);
			folio_put_refs(folios[f], f < HELD ? 1 : 2);
		}
	}
}

/* Memory of the slab allocator can be borrowed, and that is all. */
static void netfs_extract_slab(struct kunit *test)
{
	struct kvec kv = { kunit_kzalloc(test, 100, GFP_KERNEL), 100 };
	struct iov_iter iter;
	struct bvecq *bq;

	KUNIT_ASSERT_NOT_NULL(test, kv.iov_base);
	iov_iter_kvec(&iter, ITER_SOURCE, &kv, 1, 100);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, netfs_extract_iter(&iter, 100, 9, NETFS_EXTRACT_REF,
							      GFP_KERNEL, &bq));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, netfs_extract_iter(&iter, 100, 9,
							      NETFS_EXTRACT_SPLICE,
							      GFP_KERNEL, &bq));
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), 100);
	KUNIT_EXPECT_EQ(test, -EINVAL, netfs_extract_iter(&iter, 100, 0, 0, GFP_KERNEL, &bq));
	KUNIT_EXPECT_EQ(test, -EINVAL, netfs_extract_iter(&iter, 0, 9, 0, GFP_KERNEL, &bq));
	KUNIT_ASSERT_EQ(test, 100, netfs_extract_iter(&iter, 100, 9, 0, GFP_KERNEL, &bq));
	KUNIT_EXPECT_PTR_EQ(test, bvec_virt(&bq->bv[0]), kv.iov_base);
	bvecq_put(bq);
	iov_iter_discard(&iter, ITER_DEST, 100);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, netfs_extract_iter(&iter, 100, 9, 0, GFP_KERNEL, &bq));
}

static const size_t buffer_sizes[] = {
	1, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, SZ_64K, SZ_1M + 1,
};

static void netfs_alloc(struct kunit *test)
{
	struct bvecq_stats before, after;

	bvecq_get_stats(&before);
	for (unsigned int i = 0; i < ARRAY_SIZE(buffer_sizes); i++) {
		size_t size = buffer_sizes[i];
		struct bvecq *bq = netfs_alloc_buffer(size, GFP_KERNEL | __GFP_ZERO);
		struct iov_iter iter;
		u8 byte;

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, bq);
		KUNIT_EXPECT_EQ(test, size, bvecq_bytes(bq));
		iov_iter_bvec_queue(&iter, ITER_SOURCE, bq, 0, 0, size);
		while (copy_from_iter(&byte, 1, &iter))
			KUNIT_ASSERT_EQ(test, byte, 0);
		iov_iter_bvec_queue(&iter, ITER_DEST, bq, 0, 0, size);
		KUNIT_EXPECT_EQ(test, size, iov_iter_zero(size, &iter));
		bvecq_put(bq);
	}
	KUNIT_EXPECT_PTR_EQ(test, netfs_alloc_buffer(0, GFP_KERNEL), ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(test, netfs_alloc_buffer((size_t)INT_MAX + 1, GFP_KERNEL),
			    ERR_PTR(-EINVAL));
	bvecq_get_stats(&after);
	KUNIT_EXPECT_EQ(test, after.segments, before.segments);
	KUNIT_EXPECT_EQ(test, after.bytes, before.bytes);
}

/* A buffer comes whole or not at all; pieces need not be large. */
static void netfs_alloc_nomem(struct kunit *test)
{
	struct bvecq_stats before, after;
	unsigned int failures = 0;

	if (!IS_ENABLED(CONFIG_FAILSLAB))
		kunit_skip(test, "needs CONFIG_FAILSLAB");
	bvecq_get_stats(&before);
	for (unsigned int i = 0; i < ARRAY_SIZE(buffer_sizes); i++) {
		bool hit = true;

		for (unsigned int n = 1; hit; n++) {
			struct bvecq *bq;

			kunit_fail_nth(n);
			bq = netfs_alloc_buffer(buffer_sizes[i], GFP_NOWAIT | __GFP_NOWARN);
			hit = kunit_fail_nth(0) == 0;
			failures += hit;
			if (IS_ERR(bq)) {
				KUNIT_ASSERT_TRUE(test, hit);
				KUNIT_ASSERT_PTR_EQ(test, bq, ERR_PTR(-ENOMEM));
				continue;
			}
			KUNIT_ASSERT_EQ(test, buffer_sizes[i], bvecq_bytes(bq));
			bvecq_put(bq);
		}
	}
	KUNIT_EXPECT_GE(test, failures, ARRAY_SIZE(buffer_sizes));
	bvecq_get_stats(&after);
	KUNIT_EXPECT_EQ(test, after.segments, before.segments);
	KUNIT_EXPECT_EQ(test, after.bytes, before.bytes);
}

static struct kunit_case netfs_buffer_cases[] = {
	KUNIT_CASE_PARAM(netfs_extract_all, source_gen_params),
	KUNIT_CASE_PARAM(netfs_extract_contiguous, source_gen_params),
	KUNIT_CASE_PARAM(netfs_extract_nomem, source_gen_params),
	KUNIT_CASE(netfs_extract_user),
	KUNIT_CASE(netfs_extract_many_pages),
	KUNIT_CASE(netfs_extract_queue),
	KUNIT_CASE(netfs_extract_slab),
	KUNIT_CASE(netfs_alloc),
	KUNIT_CASE(netfs_alloc_nomem),
	{}
};

static struct kunit_suite netfs_buffer_suite = {
	.name		= "netfs_buffer",
	.test_cases	= netfs_buffer_cases,
};

kunit_test_suite(netfs_buffer_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Tests of netfs buffers");
