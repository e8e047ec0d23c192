// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of struct bvecq and of ITER_BVECQ.
 *
 * Every iterator operation runs over every shape of queue in the table below,
 * from and to many places, and is compared with the same operation on an
 * ITER_KVEC over the same bytes and with a flat copy of these bytes.  When a
 * queue has been put, each of its folios must be back at the one reference that
 * the test holds.
 */
#include <kunit/fail_nth.h>
#include <kunit/test.h>
#include <linux/bvecq.h>
#include <linux/delay.h>
#include <linux/iov_iter.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/netfs.h>
#include <linux/scatterlist.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>

#define MAX_LENS	6
#define MAX_PLACES	24

/*
 * The shape of a queue.  Piece n has length lens[n % nr_lens] and starts at
 * offs[n % nr_offs] in a folio of its own; or, if the shape is cut, right behind
 * piece n - 1 in a folio that the segment's pieces share.
 */
struct shape {
	const char	*name;
	enum bvecq_mem	mem;
	unsigned int	segs;		/* Number of segments */
	unsigned int	slots;		/* Pieces in each */
	unsigned int	empty_every;	/* Segments n * this are left empty */
	unsigned int	nr_lens, nr_offs;
	unsigned int	lens[MAX_LENS];
	unsigned int	offs[MAX_LENS];
	bool		cut;
	bool		live;
};

#define LENS(...) \
	.lens = { __VA_ARGS__ }, .nr_lens = sizeof((int[]){ __VA_ARGS__ }) / sizeof(int)
#define OFFS(...) \
	.offs = { __VA_ARGS__ }, .nr_offs = sizeof((int[]){ __VA_ARGS__ }) / sizeof(int)

static const struct shape shapes[] = {
	{ "one byte", BVECQ_MEM_BORROWED, 1, 1, LENS(1), OFFS(0) },
	{ "one byte at a page's end", BVECQ_MEM_PAGE, 1, 1, LENS(1), OFFS(PAGE_SIZE - 1) },
	{ "one page", BVECQ_MEM_PAGE, 1, 1, LENS(PAGE_SIZE), OFFS(0) },
	{ "whole pages", BVECQ_MEM_PAGE, 3, 8, LENS(PAGE_SIZE), OFFS(0) },
	{ "whole pages, borrowed", BVECQ_MEM_BORROWED, 3, 8, LENS(PAGE_SIZE), OFFS(0) },
	{ "whole pages, pinned", BVECQ_MEM_PIN, 3, 8, LENS(PAGE_SIZE), OFFS(0) },
	{ "odd, borrowed", BVECQ_MEM_BORROWED, 4, 5, LENS(77, 1, 4095, 13, 5000),
	  OFFS(1, 4095, 513, 7) },
	{ "odd, pages", BVECQ_MEM_PAGE, 4, 5, LENS(77, 1, 4095, 13, 5000),
	  OFFS(1, 4095, 513, 7) },
	{ "odd, pinned", BVECQ_MEM_PIN, 4, 5, LENS(77, 1, 4095, 13, 5000),
	  OFFS(1, 4095, 513, 7) },
	{ "odd, netmem", BVECQ_MEM_NETMEM, 4, 5, LENS(77, 1, 4095, 13, 5000),
	  OFFS(1, 4095, 513, 7) },
	{ "message", BVECQ_MEM_NETMEM, 2, 3, LENS(4, 112, 65536), OFFS(64, 128, 0) },
	{ "zero-length pieces, borrowed", BVECQ_MEM_BORROWED, 3, 7,
	  LENS(0, 100, 0, 0, PAGE_SIZE, 0), OFFS(0, 3) },
	{ "zero-length pieces, pages", BVECQ_MEM_PAGE, 3, 7,
	  LENS(0, 100, 0, 0, PAGE_SIZE, 0), OFFS(0, 3) },
	{ "zero-length pieces, pinned", BVECQ_MEM_PIN, 3, 7,
	  LENS(0, 100, 0, 0, PAGE_SIZE, 0), OFFS(0, 3) },
	{ "zero-length pieces, netmem", BVECQ_MEM_NETMEM, 3, 7,
	  LENS(0, 100, 0, 0, PAGE_SIZE, 0), OFFS(0, 3) },
	{ "empty segments first and between", BVECQ_MEM_PAGE, 9, 2, 2,
	  LENS(10, 4096, 1), OFFS(0, 9) },
	{ "empty segments, netmem", BVECQ_MEM_NETMEM, 10, 2, 3,
	  LENS(10, 0, 1), OFFS(0, 9) },
	{ "large folios", BVECQ_MEM_PAGE, 3, 2, LENS(65536, 40000), OFFS(0, 20001) },
	{ "large folios, pinned", BVECQ_MEM_PIN, 3, 2, LENS(65536, 40000), OFFS(0, 20001) },
	{ "cut pages merge, borrowed", BVECQ_MEM_BORROWED, 3, 8, LENS(4096), OFFS(0),
	  .cut = true },
	{ "cut pages merge, pages", BVECQ_MEM_PAGE, 3, 8, LENS(4096), OFFS(0), .cut = true },
	{ "cut pages merge, pinned", BVECQ_MEM_PIN, 3, 8, LENS(4096), OFFS(0), .cut = true },
	{ "cut pages do not merge, netmem", BVECQ_MEM_NETMEM, 3, 8, LENS(4096), OFFS(0),
	  .cut = true },
	{ "cut pages do not merge, live", BVECQ_MEM_PAGE, 3, 8, LENS(4096), OFFS(0),
	  .cut = true, .live = true },
	{ "cut odd, borrowed", BVECQ_MEM_BORROWED, 2, 9, LENS(1, 1000, 4096, 3), OFFS(5),
	  .cut = true },
	{ "cut odd, pages", BVECQ_MEM_PAGE, 2, 9, LENS(1, 1000, 4096, 3), OFFS(5),
	  .cut = true },
	{ "cut odd, pinned", BVECQ_MEM_PIN, 2, 9, LENS(1, 1000, 4096, 3), OFFS(5),
	  .cut = true },
	{ "cut odd, netmem", BVECQ_MEM_NETMEM, 2, 9, LENS(1, 1000, 4096, 3), OFFS(5),
	  .cut = true },
	{ "10 segments of one", BVECQ_MEM_PAGE, 10, 1, LENS(4096), OFFS(0) },
	{ "100 segments", BVECQ_MEM_BORROWED, 100, 3, 7, LENS(511, 0, 33), OFFS(0, 8) },
	{ "1000 segments", BVECQ_MEM_PAGE, 1000, 2, 5, LENS(97, 0, 301), OFFS(3) },
	{ "1000 segments, netmem", BVECQ_MEM_NETMEM, 1000, 1, LENS(97, 301), OFFS(3) },
};

static void shape_desc(const struct shape *shape, char *desc)
{
	strscpy(desc, shape->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(shape, shapes, shape_desc);

/* A queue, and what it must look like. */
struct fixture {
	struct kunit	*test;
	const struct shape *shape;
	struct bvecq	*head;
	size_t		size;
	u8		*image;		/* The bytes of the queue, flat */
	u8		*scratch;
	struct kvec	*kvec;		/* The pieces of the queue */
	unsigned int	nr_kvec;
	struct folio	**folios;
	unsigned int	nr_folios;
	size_t		places[MAX_PLACES];	/* Where to start and to stop */
	unsigned int	nr_places;
};

static unsigned int nr_freed;

static void count_free(struct bio_vec *bv)
{
	nr_freed++;
	folio_put(bvec_folio(bv));
}

static void *alloc_buf(struct kunit *test, size_t size)
{
	void *p = kvzalloc(size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, (kunit_action_t *)kvfree, p));
	return p;
}

static void free_folio(void *data)
{
	folio_put(data);
}

/* A folio that holds noise; freed at the end of the test. */
static struct folio *alloc_noise(struct kunit *test, size_t size)
{
	static u32 seed = 1;
	struct folio *folio = folio_alloc(GFP_KERNEL, get_order(size));
	u8 *p;

	KUNIT_ASSERT_NOT_NULL(test, folio);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_folio, folio));
	p = folio_address(folio);
	for (size_t i = 0; i < folio_size(folio); i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = seed >> 24;
	}
	return folio;
}

static unsigned int nr_pages_of(size_t offset, size_t len)
{
	return DIV_ROUND_UP(offset_in_page(offset) + (len ?: 1), PAGE_SIZE);
}

/* What GUP does to the folio when it pins pages. */
static void pin_folio(struct folio *folio, unsigned int nr)
{
	if (folio_has_pincount(folio)) {
		folio_ref_add(folio, nr);
		atomic_add(nr, &folio->_pincount);
	} else {
		folio_ref_add(folio, nr * GUP_PIN_COUNTING_BIAS);
	}
}

/* Take what a piece of this type holds. */
static void take_piece(enum bvecq_mem mem, struct folio *folio, size_t off, size_t len)
{
	switch (mem) {
	case BVECQ_MEM_BORROWED:
		break;
	case BVECQ_MEM_PAGE:
	case BVECQ_MEM_NETMEM:
		folio_get(folio);
		break;
	case BVECQ_MEM_PIN:
		pin_folio(folio, nr_pages_of(off, len));
		break;
	}
}

static void add_place(struct fixture *f, size_t place)
{
	if (place > f->size || f->nr_places >= MAX_PLACES)
		return;
	for (unsigned int i = 0; i < f->nr_places; i++)
		if (f->places[i] == place)
			return;
	f->places[f->nr_places++] = place;
}

static struct bvecq *new_segment(struct fixture *f)
{
	struct bvecq *bq = bvecq_alloc(f->shape->slots, f->shape->mem, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(f->test, bq);
	bq->live = f->shape->live;
	if (f->shape->mem == BVECQ_MEM_NETMEM)
		bq->free_bv = count_free;
	return bq;
}

static struct fixture *build(struct kunit *test)
{
	const struct shape *s = test->param_value;
	unsigned int n = 0, total = s->segs * s->slots;
	struct bvecq *tail = NULL;
	struct fixture *f;

	f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	f->shape = s;
	f->folios = alloc_buf(test, total * sizeof(*f->folios));
	f->kvec = alloc_buf(test, total * sizeof(*f->kvec));
	for (unsigned int i = 0; i < total; i++)
		f->size += s->lens[i % s->nr_lens];
	f->image = alloc_buf(test, f->size + 1);
	f->scratch = alloc_buf(test, f->size + PAGE_SIZE);
	f->size = 0;
	nr_freed = 0;

	for (unsigned int seg = 0; seg < s->segs; seg++) {
		struct bvecq *bq = new_segment(f);
		struct folio *folio = NULL;
		size_t off = 0;

		if (tail)
			bvecq_join(tail, bq);
		else
			f->head = bq;
		tail = bq;
		if (s->empty_every && seg % s->empty_every == 0)
			continue;

		for (unsigned int slot = 0; slot < s->slots; slot++, n++) {
			unsigned int len = s->lens[n % s->nr_lens];

			if (!s->cut || !folio) {
				off = s->offs[n % s->nr_offs];
				folio = alloc_noise(test, s->cut ? SZ_64K : off + len + 1);
				f->folios[f->nr_folios++] = folio;
			}
			take_piece(s->mem, folio, off, len);
			KUNIT_ASSERT_EQ(test, 0, bvecq_append_folio(bq, folio, len, off));
			memcpy(f->image + f->size, folio_address(folio) + off, len);
			f->size += len;
			off += len;
		}
	}

	for (struct bvecq *bq = f->head; bq; bq = bvecq_next(bq)) {
		for (unsigned int i = 0; i < bvecq_nr_slots(bq); i++) {
			f->kvec[f->nr_kvec].iov_base =
				page_address(bq->bv[i].bv_page) + bq->bv[i].bv_offset;
			f->kvec[f->nr_kvec++].iov_len = bq->bv[i].bv_len;
		}
	}

	add_place(f, 0);
	add_place(f, f->size);
	add_place(f, f->size - 1);
	add_place(f, f->size / 2);
	add_place(f, 1);
	add_place(f, PAGE_SIZE - 1);
	add_place(f, PAGE_SIZE);
	add_place(f, PAGE_SIZE + 1);
	for (size_t i = 0, end = 0; i < min(f->nr_kvec, 4); i++) {
		end += f->kvec[i].iov_len;
		add_place(f, end - 1);
		add_place(f, end);
		add_place(f, end + 1);
	}
	return f;
}

/* Put the queue and see that nothing was forgotten and nothing put twice. */
/* The queue of @slots pieces is gone: everything is back where it was. */
static void finish_put(struct fixture *f, unsigned int slots)
{
	for (unsigned int i = 0; i < f->nr_folios; i++) {
		KUNIT_ASSERT_EQ_MSG(f->test, 1, folio_ref_count(f->folios[i]), "folio %u", i);
		if (folio_has_pincount(f->folios[i]))
			KUNIT_ASSERT_EQ(f->test, 0, atomic_read(&f->folios[i]->_pincount));
	}
	KUNIT_EXPECT_EQ(f->test, nr_freed,
			f->shape->mem == BVECQ_MEM_NETMEM ? slots : 0);
}

static unsigned int count_slots(const struct bvecq *bq)
{
	unsigned int nr = 0;

	for (; bq; bq = bvecq_next(bq))
		nr += bvecq_nr_slots(bq);
	return nr;
}

static void finish(struct fixture *f)
{
	unsigned int slots = count_slots(f->head);

	bvecq_put(f->head);
	finish_put(f, slots);
}

static void both_iters(struct fixture *f, unsigned int dir, struct iov_iter *bi,
		       struct iov_iter *ki)
{
	iov_iter_bvec_queue(bi, dir, f->head, 0, 0, f->size);
	iov_iter_kvec(ki, dir, f->kvec, f->nr_kvec, f->size);
}

/* A place to start at and a number of bytes, in every combination. */
struct span {
	unsigned int	n;
	size_t		from, len;
};

static bool next_span(struct fixture *f, struct span *r)
{
	if (r->n >= f->nr_places * f->nr_places)
		return false;
	r->from = f->places[r->n / f->nr_places];
	r->len = f->places[r->n % f->nr_places];
	r->n++;
	return true;
}

#define WHERE		"from %zu len %zu", from, len

/* Both iterators must have as much left, and the same bytes. */
static void same_rest(struct fixture *f, struct iov_iter *bi, struct iov_iter *ki,
		      size_t from, size_t len)
{
	size_t at = f->size - iov_iter_count(ki), probe;

	KUNIT_ASSERT_EQ_MSG(f->test, iov_iter_count(bi), iov_iter_count(ki), WHERE);
	if (!bi->data_source)
		return;
	probe = min(iov_iter_count(bi), 3 * PAGE_SIZE);
	KUNIT_ASSERT_EQ_MSG(f->test, probe, copy_from_iter(f->scratch, probe, bi), WHERE);
	KUNIT_ASSERT_MEMEQ_MSG(f->test, f->scratch, f->image + at, probe, WHERE);
	iov_iter_revert(bi, probe);
	KUNIT_ASSERT_EQ_MSG(f->test, iov_iter_count(bi), iov_iter_count(ki), WHERE);
}

typedef size_t (*copy_op_t)(void *buf, size_t len, struct iov_iter *i);

static size_t op_copy_from(void *buf, size_t len, struct iov_iter *i)
{
	return _copy_from_iter(buf, len, i);
}

static size_t op_copy_from_nocache(void *buf, size_t len, struct iov_iter *i)
{
	return _copy_from_iter_nocache(buf, len, i);
}

static size_t op_copy_from_flushcache(void *buf, size_t len, struct iov_iter *i)
{
	return _copy_from_iter_flushcache(buf, len, i);
}

static size_t op_copy_from_kernel(void *buf, size_t len, struct iov_iter *i);

static void copy_from(struct kunit *test, copy_op_t op)
{
	struct fixture *f = build(test);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;
		size_t can = min(len, f->size - from);
		struct iov_iter bi, ki;

		both_iters(f, ITER_SOURCE, &bi, &ki);
		iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from);
		memset(f->scratch, 0xee, can + 1);
		KUNIT_ASSERT_EQ_MSG(test, can, op(f->scratch, len, &bi), WHERE);
		KUNIT_ASSERT_MEMEQ_MSG(test, f->scratch, f->image + from, can, WHERE);
		KUNIT_ASSERT_EQ_MSG(test, 0xee, f->scratch[can], WHERE);
		KUNIT_ASSERT_EQ_MSG(test, can, op(f->scratch, len, &ki), WHERE);
		same_rest(f, &bi, &ki, from, len);
	}
	finish(f);
}

static void test_copy_from(struct kunit *test)
{
	copy_from(test, op_copy_from);
}

static void test_copy_from_nocache(struct kunit *test)
{
	copy_from(test, op_copy_from_nocache);
}

static void test_copy_from_flushcache(struct kunit *test)
{
	copy_from(test, op_copy_from_flushcache);
}

static void test_copy_from_kernel(struct kunit *test)
{
	copy_from(test, op_copy_from_kernel);
}

static size_t step_copy(void *base, size_t progress, size_t len, void *priv, void *priv2)
{
	memcpy(priv + progress, base, len);
	return 0;
}

static size_t op_copy_from_kernel(void *buf, size_t len, struct iov_iter *i)
{
	return iterate_and_advance_kernel(i, len, buf, NULL, step_copy);
}

/* Write through the queue and look at its memory, then through the kvec likewise. */
static void copy_to(struct kunit *test, copy_op_t op, bool zero)
{
	struct fixture *f = build(test);
	u8 *data = alloc_buf(test, f->size + 1);

	for (size_t i = 0; !zero && i < f->size; i++)
		data[i] = i * 7 + (i >> 8) + 1;

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;
		size_t can = min(len, f->size - from);
		struct iov_iter bi, ki;

		both_iters(f, ITER_DEST, &bi, &ki);
		iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from);
		KUNIT_ASSERT_EQ_MSG(test, can, op(data, len, &bi), WHERE);
		memcpy(f->image + from, data, can);
		KUNIT_ASSERT_EQ_MSG(test, can, op(data, len, &ki), WHERE);
		same_rest(f, &bi, &ki, from, len);

		/* Nothing but those bytes has changed. */
		iov_iter_kvec(&ki, ITER_SOURCE, f->kvec, f->nr_kvec, f->size);
		KUNIT_ASSERT_EQ(test, f->size, _copy_from_iter(f->scratch, f->size, &ki));
		KUNIT_ASSERT_MEMEQ_MSG(test, f->scratch, f->image, f->size, WHERE);
	}
	finish(f);
}

static size_t op_copy_to(void *buf, size_t len, struct iov_iter *i)
{
	return _copy_to_iter(buf, len, i);
}

static size_t op_copy_mc_to(void *buf, size_t len, struct iov_iter *i)
{
	return _copy_mc_to_iter(buf, len, i);
}

static size_t op_zero(void *buf, size_t len, struct iov_iter *i)
{
	return iov_iter_zero(len, i);
}

static void test_copy_to(struct kunit *test)
{
	copy_to(test, op_copy_to, false);
}

static void test_copy_mc_to(struct kunit *test)
{
	copy_to(test, op_copy_mc_to, false);
}

static void test_zero(struct kunit *test)
{
	copy_to(test, op_zero, true);
}

/* Between a folio and the queue: the functions that go by page. */
static void test_copy_folio(struct kunit *test)
{
	struct fixture *f = build(test);
	struct folio *folio = alloc_noise(test, SZ_64K);
	u8 *p = folio_address(folio);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = min(r.len, SZ_64K - 5);
		size_t can = min(len, f->size - from);
		struct iov_iter bi, ki;

		both_iters(f, ITER_SOURCE, &bi, &ki);
		iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from + can);
		KUNIT_ASSERT_EQ_MSG(test, can, copy_folio_from_iter(folio, 5, len, &bi), WHERE);
		KUNIT_ASSERT_MEMEQ_MSG(test, p + 5, f->image + from, can, WHERE);
		same_rest(f, &bi, &ki, from, len);

		memset(p, 0, SZ_64K);
		iov_iter_revert(&bi, can);
		KUNIT_ASSERT_EQ_MSG(test, can,
				    copy_folio_from_iter_atomic(folio, 5, can, &bi), WHERE);
		KUNIT_ASSERT_MEMEQ_MSG(test, p + 5, f->image + from, can, WHERE);
		same_rest(f, &bi, &ki, from, len);

		for (size_t i = 0; i < can; i++)
			p[5 + i] = ~p[5 + i];
		memcpy(f->image + from, p + 5, can);
		both_iters(f, ITER_DEST, &bi, &ki);
		iov_iter_advance(&bi, from);
		if (r.n & 1)
			KUNIT_ASSERT_EQ(test, can, copy_folio_to_iter(folio, 5, can, &bi));
		else
			KUNIT_ASSERT_EQ(test, can,
					copy_page_to_iter_nofault(&folio->page, 5, can, &bi));
		both_iters(f, ITER_SOURCE, &bi, &ki);
		KUNIT_ASSERT_EQ(test, f->size, _copy_from_iter(f->scratch, f->size, &ki));
		KUNIT_ASSERT_MEMEQ_MSG(test, f->scratch, f->image, f->size, WHERE);
	}
	finish(f);
}

static void test_csum(struct kunit *test)
{
	struct fixture *f;

	if (!IS_ENABLED(CONFIG_NET))
		kunit_skip(test, "needs CONFIG_NET");

	f = build(test);
	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;
		struct iov_iter bi, ki;
		__wsum bs = (__force __wsum)1, ks = bs;
		bool bok, kok;

		both_iters(f, ITER_SOURCE, &bi, &ki);
		iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from);
#ifdef CONFIG_NET
		bok = csum_and_copy_from_iter_full(f->scratch, len, &bs, &bi);
		kok = csum_and_copy_from_iter_full(f->scratch, len, &ks, &ki);
#else
		bok = false;
		kok = false;
#endif
		KUNIT_ASSERT_EQ_MSG(test, bok, kok, WHERE);
		if (bok)
			KUNIT_ASSERT_TRUE_MSG(test, csum_fold(bs) == csum_fold(ks), WHERE);
		same_rest(f, &bi, &ki, from, len);
	}
	finish(f);
}

/* A step function that stops early leaves the iterator right there. */
static size_t step_short(void *base, size_t progress, size_t len, void *priv, void *priv2)
{
	size_t *left = priv, part = min(*left, len);

	*left -= part;
	return len - part;
}

static void test_short_step(struct kunit *test)
{
	struct fixture *f = build(test);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;
		size_t left, can = min(len, f->size - from);
		struct iov_iter bi, ki;

		both_iters(f, ITER_SOURCE, &bi, &ki);
		iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from);
		left = len;
		KUNIT_ASSERT_EQ_MSG(test, can,
				    iterate_and_advance_kernel(&bi, f->size, &left, NULL,
							       step_short), WHERE);
		left = len;
		KUNIT_ASSERT_EQ_MSG(test, can,
				    iterate_and_advance_kernel(&ki, f->size, &left, NULL,
							       step_short), WHERE);
		same_rest(f, &bi, &ki, from, len);
	}
	finish(f);
}

static void test_advance(struct kunit *test)
{
	struct fixture *f = build(test);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;
		struct iov_iter bi, ki;

		both_iters(f, ITER_SOURCE, &bi, &ki);
		iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from);
		same_rest(f, &bi, &ki, from, len);
		iov_iter_advance(&bi, len);
		iov_iter_advance(&ki, len);
		same_rest(f, &bi, &ki, from, len);
		/* It must not look beyond what it was given. */
		KUNIT_ASSERT_TRUE_MSG(test, bi.bvecq_slot <= bvecq_nr_slots(bi.bvecq), WHERE);
	}
	finish(f);
}

static void test_revert(struct kunit *test)
{
	struct fixture *f = build(test);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;
		struct iov_iter bi, ki;

		if (len > from)
			continue;
		both_iters(f, ITER_SOURCE, &bi, &ki);
		/* Get there by both ways: copying and skipping. */
		if (r.n & 1)
			KUNIT_ASSERT_EQ(test, from, _copy_from_iter(f->scratch, from, &bi));
		else
			iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from);
		iov_iter_revert(&bi, len);
		iov_iter_revert(&ki, len);
		same_rest(f, &bi, &ki, from, len);
		iov_iter_revert(&bi, from - len);
		iov_iter_revert(&ki, from - len);
		same_rest(f, &bi, &ki, from, len);
	}
	finish(f);
}

static void test_revert_too_far(struct kunit *test)
{
	struct fixture *f = build(test);
	struct iov_iter bi, ki;

	both_iters(f, ITER_SOURCE, &bi, &ki);
	iov_iter_advance(&bi, f->size / 2);
	kunit_warning_suppress(test)
		iov_iter_revert(&bi, f->size / 2 + 1);
	same_rest(f, &bi, &ki, 0, f->size / 2 + 1);
	finish(f);
}

/* Restoring must work also if the iterator was cut in between. */
static void test_restore(struct kunit *test)
{
	struct fixture *f = build(test);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;
		struct iov_iter_state bs, ks;
		struct iov_iter bi, ki;

		both_iters(f, ITER_SOURCE, &bi, &ki);
		iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from);
		iov_iter_save_state(&bi, &bs);
		iov_iter_save_state(&ki, &ks);
		iov_iter_truncate(&bi, len);
		iov_iter_truncate(&ki, len);
		iov_iter_advance(&bi, len - len / 3);
		iov_iter_advance(&ki, len - len / 3);
		iov_iter_restore(&bi, &bs);
		iov_iter_restore(&ki, &ks);
		same_rest(f, &bi, &ki, from, len);
	}
	finish(f);
}

static void test_npages(struct kunit *test)
{
	static const int limits[] = { 0, 1, 2, 3, 17, INT_MAX };
	struct fixture *f = build(test);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;
		struct iov_iter bi, ki;

		both_iters(f, ITER_SOURCE, &bi, &ki);
		iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from);
		iov_iter_truncate(&bi, len);
		iov_iter_truncate(&ki, len);
		for (unsigned int k = 0; k < ARRAY_SIZE(limits); k++)
			KUNIT_ASSERT_EQ_MSG(test, iov_iter_npages(&bi, limits[k]),
					    iov_iter_npages(&ki, limits[k]), WHERE);
	}
	finish(f);
}

/* The kvec's address is the piece's offset only in the bits below a page. */
static void test_alignment(struct kunit *test)
{
	struct fixture *f = build(test);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;
		struct iov_iter bi, ki;

		both_iters(f, ITER_SOURCE, &bi, &ki);
		iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from);
		iov_iter_truncate(&bi, len);
		iov_iter_truncate(&ki, len);
		KUNIT_ASSERT_EQ_MSG(test, iov_iter_alignment(&bi) & ~PAGE_MASK,
				    iov_iter_alignment(&ki) & ~PAGE_MASK, WHERE);
	}
	finish(f);
}

static void test_single_seg(struct kunit *test)
{
	struct fixture *f = build(test);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len, at = from, want = 0;
		struct iov_iter bi;

		for (unsigned int i = 0; i < f->nr_kvec && !want; i++) {
			if (at < f->kvec[i].iov_len)
				want = f->kvec[i].iov_len - at;
			else
				at -= f->kvec[i].iov_len;
		}
		want = min3(want, len, f->size - from);

		iov_iter_bvec_queue(&bi, ITER_SOURCE, f->head, 0, 0, f->size);
		iov_iter_advance(&bi, from);
		iov_iter_truncate(&bi, len);
		KUNIT_ASSERT_EQ_MSG(test, want, iov_iter_single_seg_count(&bi), WHERE);
	}
	finish(f);
}

/* An iterator may be set up anywhere, also beyond the end of a piece. */
static void test_start(struct kunit *test)
{
	struct fixture *f = build(test);
	size_t from = 0, len = 0;

	for (struct bvecq *bq = f->head; bq; bq = bvecq_next(bq)) {
		for (unsigned int slot = 0; slot <= bvecq_nr_slots(bq); slot++) {
			size_t piece = slot < bvecq_nr_slots(bq) ? bq->bv[slot].bv_len : 0;

			for (size_t off = 0; off <= piece + 1; off += max(piece, 2) - 1) {
				struct iov_iter bi;

				if (from + off > f->size)
					break;
				len = min(f->size - from - off, 2 * PAGE_SIZE);
				iov_iter_bvec_queue(&bi, ITER_SOURCE, bq, slot, off, len);
				KUNIT_ASSERT_EQ_MSG(test, len,
						    _copy_from_iter(f->scratch, len, &bi),
						    WHERE);
				KUNIT_ASSERT_MEMEQ_MSG(test, f->scratch,
						       f->image + from + off, len, WHERE);
			}
			from += piece;
		}
	}
	KUNIT_EXPECT_EQ(test, from, f->size);
	KUNIT_EXPECT_EQ(test, from, bvecq_bytes(f->head));
	finish(f);
}

enum pages_op { EXTRACT, EXTRACT_ALLOC, GET_PAGES, GET_PAGES_ALLOC };

static long sum_refs(struct fixture *f)
{
	long refs = 0;

	for (unsigned int i = 0; i < f->nr_folios; i++)
		refs += folio_ref_count(f->folios[i]);
	return refs;
}

/* Take the pages of a range bit by bit, and put the bytes together from them. */
static void list_pages(struct kunit *test, enum pages_op op)
{
	static const unsigned int maxpages[] = { 1, 3, 16 };
	static const size_t maxsize[] = { 1, PAGE_SIZE - 1, 5 * PAGE_SIZE, SIZE_MAX };
	struct fixture *f = build(test);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;
		unsigned int max = maxpages[r.n % ARRAY_SIZE(maxpages)];
		size_t most = maxsize[r.n / 3 % ARRAY_SIZE(maxsize)];
		size_t can = min(len, f->size - from), done = 0;
		struct page *array[16], **pages = array;
		struct iov_iter bi, ki;
		long refs = sum_refs(f);

		if (can / min(most, max * PAGE_SIZE) > 10000)
			most = SIZE_MAX;
		both_iters(f, ITER_SOURCE, &bi, &ki);
		iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from);
		iov_iter_truncate(&bi, len);
		memset(f->scratch, 0, can);

		for (;;) {
			size_t off = ~0, want = umin(most, can - done), at = done;
			unsigned int nr;
			ssize_t ret;

			switch (op) {
			case EXTRACT:
				memset(array, 0, sizeof(array));
				ret = iov_iter_extract_pages(&bi, &pages, most, max, 0, &off);
				KUNIT_ASSERT_PTR_EQ(test, pages, &array[0]);
				break;
			case EXTRACT_ALLOC:
				pages = NULL;
				ret = iov_iter_extract_pages(&bi, &pages, most, max, 0, &off);
				break;
			case GET_PAGES:
				ret = iov_iter_get_pages2(&bi, pages, most, max, &off);
				break;
			default:
				max = UINT_MAX / PAGE_SIZE;
				ret = iov_iter_get_pages_alloc2(&bi, &pages, most, &off);
				break;
			}
			KUNIT_ASSERT_EQ_MSG(test, ret > 0, want > 0, WHERE);
			if (ret <= 0)
				break;
			KUNIT_ASSERT_TRUE_MSG(test, ret <= want, WHERE);
			KUNIT_ASSERT_TRUE_MSG(test, off < PAGE_SIZE, WHERE);
			nr = DIV_ROUND_UP(off + ret, PAGE_SIZE);
			KUNIT_ASSERT_TRUE_MSG(test, nr <= max, WHERE);
			if (op >= GET_PAGES)
				refs += nr;
			KUNIT_ASSERT_EQ_MSG(test, refs, sum_refs(f), WHERE);

			for (unsigned int i = 0; i < nr; i++) {
				size_t part = umin(PAGE_SIZE - off, done + ret - at);

				memcpy(f->scratch + at, page_address(pages[i]) + off, part);
				at += part;
				off = 0;
				if (op >= GET_PAGES) {
					put_page(pages[i]);
					refs--;
				}
			}
			done += ret;
			KUNIT_ASSERT_EQ_MSG(test, iov_iter_count(&bi), can - done, WHERE);
			if (op == EXTRACT_ALLOC || op == GET_PAGES_ALLOC) {
				kvfree(pages);
				pages = NULL;
			}
		}
		KUNIT_ASSERT_EQ_MSG(test, can, done, WHERE);
		KUNIT_ASSERT_MEMEQ_MSG(test, f->scratch, f->image + from, can, WHERE);

		/* It must be where the other one is. */
		iov_iter_reexpand(&bi, f->size - from - can);
		iov_iter_advance(&ki, can);
		same_rest(f, &bi, &ki, from, len);
	}
	finish(f);
}

static void test_extract(struct kunit *test)
{
	list_pages(test, EXTRACT);
}

static void test_extract_alloc(struct kunit *test)
{
	list_pages(test, EXTRACT_ALLOC);
}

static void test_get_pages(struct kunit *test)
{
	list_pages(test, GET_PAGES);
}

static void test_get_pages_alloc(struct kunit *test)
{
	list_pages(test, GET_PAGES_ALLOC);
}

/* One call takes all that is virtually contiguous, and no more. */
static void test_extract_contig(struct kunit *test)
{
	struct fixture *f = build(test);

	for (unsigned int a = 0; a < f->nr_places; a++) {
		size_t from = f->places[a], len = 0, at = from, off;
		struct page *array[64], **pages = array;
		struct iov_iter bi;
		unsigned int nr = 0;
		ssize_t ret;

		/* From the first byte on, while pieces meet at page boundaries. */
		for (unsigned int i = 0; i < f->nr_kvec; i++) {
			unsigned long base = (unsigned long)f->kvec[i].iov_base + at;
			size_t piece = f->kvec[i].iov_len;

			if (at >= piece) {
				at -= piece;
				continue;
			}
			if (len && offset_in_page(base))
				break;
			nr += DIV_ROUND_UP(offset_in_page(base) + piece - at, PAGE_SIZE);
			len += piece - at;
			if (offset_in_page(base + piece - at))
				break;
			at = 0;
		}
		if (nr > ARRAY_SIZE(array))
			continue;

		iov_iter_bvec_queue(&bi, ITER_SOURCE, f->head, 0, 0, f->size);
		iov_iter_advance(&bi, from);
		KUNIT_ASSERT_FALSE(test, iov_iter_extract_will_pin(&bi));
		ret = iov_iter_extract_pages(&bi, &pages, SIZE_MAX, ARRAY_SIZE(array), 0, &off);
		KUNIT_ASSERT_EQ_MSG(test, ret, (ssize_t)len, WHERE);
	}
	finish(f);
}

static void test_extract_bvecs(struct kunit *test)
{
	struct fixture *f = build(test);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;
		size_t can = min(len, f->size - from), done = 0;
		struct iov_iter bi, ki;
		struct bio_vec bv[5];

		both_iters(f, ITER_SOURCE, &bi, &ki);
		iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from + can);
		while (done < can) {
			unsigned short nr = 0;
			ssize_t ret;

			ret = iov_iter_extract_bvecs(&bi, bv, can - done, &nr,
						     ARRAY_SIZE(bv), 0, 0);
			KUNIT_ASSERT_GT_MSG(test, ret, 0, WHERE);
			for (unsigned int i = 0; i < nr; i++) {
				memcpy(f->scratch + done,
				       page_address(bv[i].bv_page) + bv[i].bv_offset,
				       bv[i].bv_len);
				done += bv[i].bv_len;
				ret -= bv[i].bv_len;
			}
			KUNIT_ASSERT_EQ_MSG(test, ret, 0, WHERE);
		}
		KUNIT_ASSERT_MEMEQ_MSG(test, f->scratch, f->image + from, can, WHERE);
		same_rest(f, &bi, &ki, from, len);
	}
	finish(f);
}

static void test_sg(struct kunit *test)
{
	static const unsigned int sg_maxes[] = { 1, 2, 7, 40 };
	struct fixture *f = build(test);
	struct scatterlist *sgl = alloc_buf(test, 40 * sizeof(*sgl));

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;
		unsigned int sg_max = sg_maxes[r.n % ARRAY_SIZE(sg_maxes)];
		size_t can = min(len, f->size - from), done = 0;
		struct iov_iter bi, ki;

		both_iters(f, ITER_SOURCE, &bi, &ki);
		iov_iter_advance(&bi, from);
		iov_iter_advance(&ki, from + can);
		/* The queue goes on beyond the iterator; it must not. */
		iov_iter_truncate(&bi, len);
		for (;;) {
			struct sg_table sgt = { .sgl = sgl };
			size_t at = done;
			ssize_t ret;

			sg_init_table(sgl, 40);
			ret = extract_iter_to_sg(&bi, f->size + 1, &sgt, sg_max, 0);
			KUNIT_ASSERT_EQ_MSG(test, ret > 0, can > done, WHERE);
			if (ret <= 0)
				break;
			KUNIT_ASSERT_LE_MSG(test, sgt.nents, sg_max, WHERE);
			KUNIT_ASSERT_LE_MSG(test, done + ret, can, WHERE);
			for (unsigned int i = 0; i < sgt.nents; i++) {
				KUNIT_ASSERT_LT(test, sgl[i].offset, PAGE_SIZE);
				memcpy(f->scratch + at, sg_virt(&sgl[i]), sgl[i].length);
				at += sgl[i].length;
			}
			done += ret;
			KUNIT_ASSERT_EQ_MSG(test, at, done, WHERE);
		}
		KUNIT_ASSERT_EQ_MSG(test, can, done, WHERE);
		KUNIT_ASSERT_MEMEQ_MSG(test, f->scratch, f->image + from, can, WHERE);
		iov_iter_reexpand(&bi, f->size - from - can);
		same_rest(f, &bi, &ki, from, len);
	}
	finish(f);
}

static void test_netfs_limit(struct kunit *test)
{
#if IS_REACHABLE(CONFIG_NETFS_SUPPORT)
	struct fixture *f = build(test);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;

		for (unsigned int segs = 1; segs < 6; segs++) {
			size_t at = from, want = 0;
			unsigned int n = 0;
			struct iov_iter bi;

			for (unsigned int i = 0; i < f->nr_kvec && n < segs; i++) {
				size_t piece = f->kvec[i].iov_len;
				size_t offset = offset_in_page(f->kvec[i].iov_base + at);

				if (at >= piece) {
					at -= piece;
					continue;
				}
				for (; at < piece && n < segs; n++) {
					size_t part = umin(piece - at, PAGE_SIZE - offset);

					want += part;
					at += part;
					offset = 0;
				}
				at = 0;
			}
			want = min3(want, len, f->size - from);
			iov_iter_bvec_queue(&bi, ITER_SOURCE, f->head, 0, 0, f->size);
			iov_iter_advance(&bi, from / 2);
			KUNIT_ASSERT_EQ_MSG(test, want,
					    netfs_limit_iter(&bi, from - from / 2, len, segs),
					    WHERE);
		}
	}
	finish(f);
#else
	kunit_skip(test, "needs CONFIG_NETFS_SUPPORT");
#endif
}

/* A type that nobody knows must not be taken for ITER_DISCARD. */
static void test_unknown_type(struct kunit *test)
{
	struct page *page = NULL, **pages = &page;
	struct iov_iter i;
	size_t off;
	u8 c = 0;

	iov_iter_discard(&i, ITER_DEST, 10);
	KUNIT_EXPECT_EQ(test, 1, _copy_to_iter(&c, 1, &i));
	iov_iter_advance(&i, 3);
	iov_iter_revert(&i, 1);
	KUNIT_EXPECT_EQ(test, 7, iov_iter_count(&i));
	KUNIT_EXPECT_EQ(test, 0, iov_iter_npages(&i, 10));
	KUNIT_EXPECT_EQ(test, 0, iov_iter_alignment(&i));

	kunit_warning_suppress(test) {
		i.iter_type = ITER_DISCARD + 1;
		KUNIT_EXPECT_EQ(test, 0, _copy_to_iter(&c, 1, &i));
		KUNIT_EXPECT_EQ(test, 0, iterate_and_advance_kernel(&i, 1, &c, NULL, step_copy));
		iov_iter_advance(&i, 3);
		iov_iter_revert(&i, 1);
		KUNIT_EXPECT_EQ(test, 7, iov_iter_count(&i));
		KUNIT_EXPECT_EQ(test, 0, iov_iter_npages(&i, 10));
		KUNIT_EXPECT_EQ(test, 0, iov_iter_alignment(&i));
		KUNIT_EXPECT_EQ(test, -EFAULT, iov_iter_extract_pages(&i, &pages, 1, 1, 0, &off));
		KUNIT_EXPECT_EQ(test, -EFAULT, iov_iter_get_pages2(&i, pages, 1, 1, &off));
	}
}

/* Without a single byte there need not be a queue at all. */
static void test_nothing(struct kunit *test)
{
	struct page *page = NULL, **pages = &page;
	struct bvecq *bq = bvecq_alloc(0, BVECQ_MEM_BORROWED, GFP_KERNEL);
	struct iov_iter i;
	size_t off;
	u8 c = 0;

	KUNIT_ASSERT_NOT_NULL(test, bq);
	for (unsigned int k = 0; k < 3; k++) {
		size_t count = k == 2;	/* More than there is. */

		iov_iter_bvec_queue(&i, ITER_SOURCE, k ? bq : NULL, 0, 0, count);
		KUNIT_EXPECT_EQ(test, 0, _copy_from_iter(&c, 1, &i));
		KUNIT_EXPECT_EQ(test, 0, iov_iter_npages(&i, 10));
		KUNIT_EXPECT_EQ(test, 0, iov_iter_alignment(&i));
		KUNIT_EXPECT_EQ(test, 0, iov_iter_single_seg_count(&i));
		KUNIT_EXPECT_EQ(test, 0, iov_iter_extract_pages(&i, &pages, 1, 1, 0, &off));
		KUNIT_EXPECT_EQ(test, 0, iov_iter_get_pages2(&i, pages, 1, 1, &off));
		iov_iter_advance(&i, 0);
		KUNIT_EXPECT_EQ(test, count, iov_iter_count(&i));
	}
	KUNIT_EXPECT_EQ(test, 0, bvecq_bytes(NULL));
	KUNIT_EXPECT_EQ(test, 0, bvecq_bytes(bq));
	bvecq_put(bq);
	bvecq_put(NULL);
}

/* What is appended shows up in an iterator that has already been at the end. */
static void test_grow_under_iter(struct kunit *test)
{
	struct folio *folio = alloc_noise(test, SZ_64K);
	u8 *p = folio_address(folio), got[64];
	struct bvecq *head = bvecq_alloc(3, BVECQ_MEM_BORROWED, GFP_KERNEL), *tail = head;
	struct iov_iter i;

	KUNIT_ASSERT_NOT_NULL(test, head);
	head->live = true;
	iov_iter_bvec_queue(&i, ITER_SOURCE, head, 0, 0, 0);
	for (unsigned int k = 0; k < 50; k++) {
		KUNIT_ASSERT_EQ(test, 0, bvecq_append_grow(&tail, &folio->page, 20, k * 20,
							   GFP_KERNEL));
		iov_iter_reexpand(&i, iov_iter_count(&i) + 20);
		KUNIT_ASSERT_EQ(test, 20, _copy_from_iter(got, 64, &i));
		KUNIT_ASSERT_MEMEQ(test, got, p + k * 20, 20);
		if (k % 7 == 6) {
			iov_iter_revert(&i, 60);
			KUNIT_ASSERT_EQ(test, 60, _copy_from_iter(got, 64, &i));
			KUNIT_ASSERT_MEMEQ(test, got, p + (k - 2) * 20, 60);
		}
	}
	KUNIT_EXPECT_PTR_EQ(test, tail, bvecq_tail(head));
	KUNIT_EXPECT_TRUE(test, tail->live);
	KUNIT_EXPECT_EQ(test, 1000, bvecq_bytes(head));
	bvecq_put(head);
}

/* Room in front of a segment comes and goes without touching its bytes. */
static void test_push_pull(struct kunit *test)
{
	struct folio *folio = alloc_noise(test, PAGE_SIZE);
	u8 *p = folio_address(folio);
	struct bvecq *bq = bvecq_alloc(2, BVECQ_MEM_BORROWED, GFP_KERNEL);
	struct bvecq_stats before, after;

	KUNIT_ASSERT_NOT_NULL(test, bq);
	KUNIT_ASSERT_EQ(test, 0, bvecq_append(bq, &folio->page, 100, 50));
	bvecq_get_stats(&before);

	KUNIT_EXPECT_PTR_EQ(test, (void *)p + 58, bvecq_pull(bq, 8));
	KUNIT_EXPECT_EQ(test, 92, bvecq_bytes(bq));
	KUNIT_EXPECT_PTR_EQ(test, (void *)p + 55, bvecq_push(bq, 3));
	KUNIT_EXPECT_EQ(test, 95, bvecq_bytes(bq));
	KUNIT_EXPECT_EQ(test, 55, bq->bv[0].bv_offset);
	KUNIT_EXPECT_EQ(test, 95, bq->bv[0].bv_len);
	bvecq_get_stats(&after);
	KUNIT_EXPECT_EQ(test, before.bytes - 5, after.bytes);

	/* All of it may go, and what is before it may come. */
	KUNIT_EXPECT_PTR_EQ(test, (void *)p + 150, bvecq_pull(bq, 95));
	KUNIT_EXPECT_PTR_EQ(test, (void *)p, bvecq_push(bq, 150));
	KUNIT_EXPECT_EQ(test, 150, bvecq_bytes(bq));
	bvecq_put(bq);
}

/* What is not needed is freed, wherever the end is. */
static void test_truncate(struct kunit *test)
{
	static const unsigned int len[2][3] = { { 100, 1, 50 }, { 7, 200, 30 } };
	struct folio *folio = alloc_noise(test, PAGE_SIZE);
	struct bvecq_stats before, after;

	bvecq_get_stats(&before);
	for (unsigned int keep = 0; keep <= 388; keep++) {
		struct bvecq *bq[2];
		unsigned int nr = 0, needed = 0, end = 0;

		for (int s = 0; s < 2; s++) {
			bq[s] = bvecq_alloc(3, BVECQ_MEM_NETMEM, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, bq[s]);
			bq[s]->free_bv = count_free;
			/* No two of them are neighbours. */
			for (int i = 0; i < 3; i++) {
				folio_get(folio);
				KUNIT_ASSERT_EQ(test, 0, bvecq_append(bq[s], &folio->page,
								      len[s][i], 300 * i));
				needed += end < keep;
				end += len[s][i];
			}
		}
		bvecq_join(bq[0], bq[1]);

		nr_freed = 0;
		bvecq_truncate(bq[0], keep);
		KUNIT_EXPECT_EQ(test, keep, bvecq_bytes(bq[0]));
		KUNIT_EXPECT_EQ(test, 6 - needed, nr_freed);
		for (struct bvecq *seg = bq[0]; seg; seg = bvecq_next(seg))
			nr += bvecq_nr_slots(seg);
		KUNIT_EXPECT_EQ(test, needed, nr);
		bvecq_put(bq[0]);
		KUNIT_EXPECT_EQ(test, 6, nr_freed);
		KUNIT_ASSERT_EQ(test, 1, folio_ref_count(folio));
	}
	bvecq_get_stats(&after);
	KUNIT_EXPECT_EQ(test, before.bytes, after.bytes);
	KUNIT_EXPECT_EQ(test, before.segments, after.segments);
}

/* Sizes around the change from slots in the segment to slots in an array. */
static void test_alloc(struct kunit *test)
{
	static const unsigned int sizes[] = { 0, 1, 2, 200, 247, 248, 249, 250, 251, 252, 253,
		254, 255, 256, 257, 1000, 5000, 100000 };
	struct folio *folio = alloc_noise(test, PAGE_SIZE);
	struct bvecq *bq;

	for (unsigned int k = 0; k < ARRAY_SIZE(sizes); k++) {
		bq = bvecq_alloc(sizes[k], BVECQ_MEM_PAGE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, bq);
		KUNIT_EXPECT_EQ(test, 1, refcount_read(&bq->ref));
		KUNIT_EXPECT_EQ(test, sizes[k], bq->max_slots);
		KUNIT_EXPECT_NULL(test, bvecq_next(bq));
		for (unsigned int i = 0; i < sizes[k]; i++) {
			KUNIT_ASSERT_FALSE(test, bvecq_is_full(bq));
			folio_get(folio);
			KUNIT_ASSERT_EQ(test, 0, bvecq_append_folio(bq, folio, 1, 0));
		}
		KUNIT_EXPECT_TRUE(test, bvecq_is_full(bq));
		KUNIT_EXPECT_EQ(test, sizes[k], bvecq_nr_slots(bq));
		KUNIT_EXPECT_EQ(test, -ENOSPC, bvecq_append_folio(bq, folio, 1, 0));
		KUNIT_EXPECT_EQ(test, sizes[k], bvecq_nr_slots(bq));
		KUNIT_EXPECT_EQ(test, sizes[k], bvecq_bytes(bq));
		bvecq_put(bq);
		KUNIT_ASSERT_EQ(test, 1, folio_ref_count(folio));
	}

	KUNIT_EXPECT_NULL(test, bvecq_alloc(UINT_MAX, BVECQ_MEM_PAGE, GFP_KERNEL | __GFP_NOWARN));
}

/* How many slots do pieces take that lie one behind the other? */
struct merge_case {
	const char	*name;
	unsigned int	slots[4];	/* By memory type */
	struct { unsigned int off, len; } piece[4];
};

static const struct merge_case merge_cases[] = {
	{ "within a page", { 1, 1, 3, 3 }, { { 0, 100 }, { 100, 1 }, { 101, 3000 } } },
	{ "page after page", { 1, 1, 1, 3 }, { { 0, 4096 }, { 4096, 4096 }, { 8192, 1 } } },
	{ "gap", { 2, 2, 2, 2 }, { { 0, 100 }, { 101, 1 } } },
	{ "backwards", { 2, 2, 2, 2 }, { { 100, 100 }, { 0, 100 } } },
	{ "same again", { 2, 2, 2, 2 }, { { 0, 100 }, { 0, 100 } } },
	{ "overlap", { 2, 2, 2, 2 }, { { 0, 100 }, { 50, 100 } } },
	{ "across a page, odd", { 1, 1, 2, 2 }, { { 4000, 200 }, { 4200, 5000 } } },
	{ "empty between", { 3, 3, 3, 3 }, { { 0, 100 }, { 100, 0 }, { 100, 100 } } },
};

static void merge_desc(const struct merge_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(merge, merge_cases, merge_desc);

static void test_merge(struct kunit *test)
{
	const struct merge_case *c = test->param_value;

	for (unsigned int mem = 0; mem < 4; mem++) {
		for (unsigned int live = 0; live < 2; live++) {
			struct folio *folio = alloc_noise(test, SZ_64K);
			struct bvecq *bq = bvecq_alloc(4, mem, GFP_KERNEL);
			size_t bytes = 0;
			unsigned int i;

			KUNIT_ASSERT_NOT_NULL(test, bq);
			bq->live = live;
			bq->free_bv = count_free;
			for (i = 0; i < 4 && (c->piece[i].off || c->piece[i].len); i++) {
				take_piece(mem, folio, c->piece[i].off, c->piece[i].len);
				KUNIT_EXPECT_EQ(test, 0,
						bvecq_append_folio(bq, folio, c->piece[i].len,
								   c->piece[i].off));
				bytes += c->piece[i].len;
			}
			KUNIT_EXPECT_EQ_MSG(test, bvecq_nr_slots(bq), live ? i : c->slots[mem],
					    "memory type %u", mem);
			KUNIT_EXPECT_EQ(test, bytes, bvecq_bytes(bq));
			bvecq_put(bq);
			KUNIT_EXPECT_EQ_MSG(test, 1, folio_ref_count(folio),
					    "memory type %u", mem);
			KUNIT_EXPECT_EQ(test, 0, atomic_read(&folio->_pincount));
		}
	}
}

/*
 * Two folios side by side merge, and each keeps its reference.  Such a pair is made
 * by splitting a block of pages.
 */
static void test_merge_folios(struct kunit *test)
{
	for (unsigned int mem = 0; mem < 4; mem++) {
		struct page *page = alloc_pages(GFP_KERNEL, 1);
		struct bvecq *bq = bvecq_alloc(2, mem, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, page);
		KUNIT_ASSERT_NOT_NULL(test, bq);
		split_page(page, 1);
		bq->free_bv = count_free;
		for (unsigned int i = 0; i < 2; i++) {
			take_piece(mem, page_folio(page + i), 0, PAGE_SIZE);
			KUNIT_EXPECT_EQ(test, 0, bvecq_append(bq, page + i, PAGE_SIZE, 0));
		}
		KUNIT_EXPECT_EQ(test, bvecq_nr_slots(bq), mem == BVECQ_MEM_NETMEM ? 2 : 1);
		bvecq_put(bq);
		KUNIT_EXPECT_EQ_MSG(test, 1, page_count(page), "memory type %u", mem);
		KUNIT_EXPECT_EQ_MSG(test, 1, page_count(page + 1), "memory type %u", mem);
		put_page(page);
		put_page(page + 1);
	}
}

/* Pages of an array, three in a row among them, into one segment or into two. */
static void test_append_pages(struct kunit *test)
{
	static const u8 order[] = { 0, 1, 2, 5, 4, 7 };
	const size_t offset = 100, len = ARRAY_SIZE(order) * PAGE_SIZE - offset - 50;

	for (unsigned int n = 0; n < 3 * 2 * 2; n++) {
		enum bvecq_mem mem = n % 3;
		bool live = n / 3 % 2, split = n / 6;
		unsigned int pieces = live ? ARRAY_SIZE(order) : 4;
		struct folio *folio = alloc_noise(test, 8 * PAGE_SIZE);
		struct bvecq *bq = bvecq_alloc(split ? 2 : ARRAY_SIZE(order), mem, GFP_KERNEL);
		struct page *list[ARRAY_SIZE(order)], **pages = list;
		size_t done;

		KUNIT_ASSERT_NOT_NULL(test, bq);
		bq->live = live;
		/* In the slots that they are going to fill, as netfs does it. */
		if (!split)
			pages = (struct page **)&bq->bv[bq->max_slots] - ARRAY_SIZE(order);
		for (unsigned int i = 0; i < ARRAY_SIZE(order); i++) {
			pages[i] = folio_page(folio, order[i]);
			take_piece(mem, folio, 0, PAGE_SIZE);
		}

		done = bvecq_append_pages(bq, pages, len, offset);
		KUNIT_EXPECT_EQ_MSG(test, done, bvecq_bytes(bq), "round %u", n);
		if (split) {
			struct bvecq *more = bvecq_alloc(4, mem, GFP_KERNEL);
			unsigned int taken = live ? 2 : 4;

			KUNIT_ASSERT_NOT_NULL(test, more);
			KUNIT_ASSERT_EQ(test, done, taken * PAGE_SIZE - offset);
			KUNIT_EXPECT_EQ(test, 0, bvecq_append_pages(bq, pages + taken, 1, 0));
			more->live = live;
			bvecq_join(bq, more);
			done += bvecq_append_pages(more, pages + taken, len - done, 0);
			KUNIT_EXPECT_EQ(test, pieces - 2, bvecq_nr_slots(more));
		} else {
			KUNIT_EXPECT_EQ_MSG(test, pieces, bvecq_nr_slots(bq), "round %u", n);
		}
		KUNIT_EXPECT_EQ_MSG(test, done, len, "round %u", n);

		for (size_t at = 0, i = 0; at < len; i++) {
			struct bvecq_pos pos = { .bq = bq };
			size_t part = min(len - at, PAGE_SIZE - (i ? 0 : offset));
			const struct bio_vec *bv;

			bvecq_pos_advance(&pos, at, UINT_MAX, NULL);
			bv = bvecq_pos_bv(&pos);
			KUNIT_ASSERT_NOT_NULL(test, bv);
			KUNIT_EXPECT_EQ_MSG(test, page_to_phys(bv->bv_page) + bv->bv_offset +
					    pos.offset, page_to_phys(folio_page(folio, order[i])) +
					    (i ? 0 : offset), "round %u, page %zu", n, i);
			at += part;
		}
		bvecq_put(bq);
		KUNIT_EXPECT_EQ_MSG(test, 1, folio_ref_count(folio), "round %u", n);
		KUNIT_EXPECT_EQ_MSG(test, 0, atomic_read(&folio->_pincount), "round %u", n);
	}
}

static void test_append_refused(struct kunit *test)
{
	struct folio *folio = alloc_noise(test, PAGE_SIZE);
	struct bvecq *bq = bvecq_alloc(4, BVECQ_MEM_NETMEM, GFP_KERNEL), *next;
	struct bio_vec bv;

	KUNIT_ASSERT_NOT_NULL(test, bq);
	bvec_set_folio(&bv, folio, 10, 5);

	/* Network memory that nobody would free. */
	kunit_warning_suppress(test)
		KUNIT_EXPECT_EQ(test, -EINVAL, bvecq_append_bv(bq, &bv));
	bq->free_bv = count_free;
	nr_freed = 0;
	folio_get(folio);
	KUNIT_EXPECT_EQ(test, 0, bvecq_append_bv(bq, &bv));

	/* Pages, of which it is not said what would be freed. */
	kunit_warning_suppress(test)
		KUNIT_EXPECT_EQ(test, 0, bvecq_append_pages(bq, (struct page *[]){ bv.bv_page },
							    1, 0));

	/* A kernel buffer among memory that is released. */
	kunit_warning_suppress(test)
		KUNIT_EXPECT_EQ(test, -EINVAL, bvecq_append_kbuf(bq, &bq, 1));
	/* Beyond the folio. */
	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, -EINVAL, bvecq_append_folio(bq, folio, 1, PAGE_SIZE));
		KUNIT_EXPECT_EQ(test, -EINVAL, bvecq_append_folio(bq, folio, PAGE_SIZE, 1));
		KUNIT_EXPECT_EQ(test, -EINVAL, bvecq_append_folio(bq, folio, SIZE_MAX, 2));
	}

	/* Behind a successor's back, merged or not. */
	next = bvecq_alloc(0, BVECQ_MEM_BORROWED, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, next);
	bvecq_join(bq, next);
	KUNIT_EXPECT_TRUE(test, bvecq_is_full(bq));
	KUNIT_EXPECT_EQ(test, -ENOSPC, bvecq_append_bv(bq, &bv));
	KUNIT_EXPECT_EQ(test, 1, bvecq_nr_slots(bq));

	/* Joined twice, in a loop. */
	kunit_warning_suppress(test) {
		bvecq_join(bq, next);
		bvecq_join(next, next);
		bvecq_join(next, bvecq_next(bq));
	}
	KUNIT_EXPECT_NULL(test, bvecq_next(next));

	bvecq_put(bq);
	KUNIT_EXPECT_EQ(test, 1, nr_freed);
	KUNIT_EXPECT_EQ(test, 1, folio_ref_count(folio));
}

/* -ENOMEM leaves the queue and the piece as they were. */
static void test_grow_enomem(struct kunit *test)
{
	struct folio *folio = alloc_noise(test, PAGE_SIZE);
	struct bvecq *head = bvecq_alloc(1, BVECQ_MEM_PAGE, GFP_KERNEL), *tail = head;

	KUNIT_ASSERT_NOT_NULL(test, head);
	folio_get(folio);
	KUNIT_EXPECT_EQ(test, 0, bvecq_append_grow(&tail, &folio->page, 7, 0, GFP_KERNEL));
	head->nr_slots = UINT_MAX;
	head->max_slots = UINT_MAX;
	head->live = true;
	KUNIT_EXPECT_EQ(test, -ENOMEM, bvecq_append_grow(&tail, &folio->page, 7, 20,
							 GFP_KERNEL | __GFP_NOWARN));
	head->nr_slots = 1;
	head->max_slots = 1;
	KUNIT_EXPECT_PTR_EQ(test, head, tail);
	KUNIT_EXPECT_NULL(test, bvecq_next(head));
	KUNIT_EXPECT_EQ(test, 2, folio_ref_count(folio));
	bvecq_put(head);
	KUNIT_EXPECT_EQ(test, 1, folio_ref_count(folio));
}

/* Allocations fail one after the other: nothing is lost, and nothing leaks. */
static void test_nomem(struct kunit *test)
{
	struct folio *folio = alloc_noise(test, PAGE_SIZE);
	struct bvecq_stats before, after;
	unsigned int failures = 0;
	bool hit = true;

	if (!IS_ENABLED(CONFIG_FAILSLAB))
		kunit_skip(test, "needs CONFIG_FAILSLAB");
	bvecq_get_stats(&before);
	for (unsigned int n = 1; hit; n++) {
		const gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN;
		struct bvecq *head, *tail, *slice;
		unsigned int taken = 0;
		struct bvecq_pos pos;

		kunit_fail_nth(n);
		head = bvecq_alloc(200, BVECQ_MEM_PAGE, gfp);
		tail = head;
		while (head && taken < 2000) {
			/* Nothing merges: each begins where none ended. */
			int ret = bvecq_append_grow(&tail, &folio->page, 1, taken % 7 * 2, gfp);

			if (ret) {
				KUNIT_ASSERT_EQ(test, ret, -ENOMEM);
				break;
			}
			folio_get(folio);
			taken++;
		}
		if (head) {
			KUNIT_ASSERT_EQ(test, taken, bvecq_bytes(head));
			KUNIT_ASSERT_EQ(test, 1 + taken, folio_ref_count(folio));
			pos = (struct bvecq_pos){ .bq = head };
			slice = bvecq_slice(&pos, SIZE_MAX, UINT_MAX, gfp);
			if (!IS_ERR(slice)) {
				KUNIT_ASSERT_EQ(test, taken, bvecq_bytes(slice));
				KUNIT_ASSERT_NULL(test, bvecq_pos_bv(&pos));
				bvecq_put(slice);
			} else if (taken) {
				KUNIT_ASSERT_PTR_EQ(test, slice, ERR_PTR(-ENOMEM));
				KUNIT_ASSERT_PTR_EQ(test, pos.bq, head);
				KUNIT_ASSERT_EQ(test, pos.slot, 0);
			}
		}
		hit = kunit_fail_nth(0) == 0;
		failures += hit;
		if (!hit)
			KUNIT_ASSERT_EQ(test, taken, 2000);
		bvecq_put(head);
		KUNIT_ASSERT_EQ(test, 1, folio_ref_count(folio));
	}
	/* Several segments, and a slice of each. */
	KUNIT_EXPECT_GT(test, failures, 10);
	bvecq_get_stats(&after);
	KUNIT_EXPECT_EQ(test, after.segments, before.segments);
	KUNIT_EXPECT_EQ(test, after.bytes, before.bytes);
}

/* The reserve stands in for the allocation that fails. */
static void test_reserved_nomem(struct kunit *test)
{
	struct bvecq *bq;

	if (!IS_ENABLED(CONFIG_FAILSLAB))
		kunit_skip(test, "needs CONFIG_FAILSLAB");
	kunit_fail_nth(1);
	bq = bvecq_alloc_reserved(BVECQ_MEM_BORROWED, GFP_NOWAIT | __GFP_NOWARN);
	KUNIT_EXPECT_EQ(test, 0, kunit_fail_nth(0));
	KUNIT_EXPECT_NOT_NULL(test, bq);
	bvecq_put(bq);
}

static void test_grow(struct kunit *test)
{
	struct folio *folio = alloc_noise(test, PAGE_SIZE);
	struct bvecq *head = bvecq_alloc(1, BVECQ_MEM_NETMEM, GFP_KERNEL), *tail = head, *bq;
	unsigned int slots = 0;

	KUNIT_ASSERT_NOT_NULL(test, head);
	head->free_bv = count_free;
	nr_freed = 0;
	for (unsigned int i = 0; i < 100; i++) {
		folio_get(folio);
		KUNIT_ASSERT_EQ(test, 0, bvecq_append_grow(&tail, &folio->page, 7, 3, GFP_KERNEL));
	}
	for (bq = head; bq; bq = bvecq_next(bq)) {
		slots += bvecq_nr_slots(bq);
		KUNIT_EXPECT_EQ(test, bq->mem, BVECQ_MEM_NETMEM);
		KUNIT_EXPECT_NE(test, 0, bvecq_nr_slots(bq));
		KUNIT_EXPECT_EQ(test, 1, refcount_read(&bq->ref));
		if (bvecq_next(bq))
			KUNIT_EXPECT_PTR_EQ(test, bvecq_next(bq)->prev, bq);
		else
			KUNIT_EXPECT_PTR_EQ(test, tail, bq);
	}
	KUNIT_EXPECT_EQ(test, 100, slots);
	bvecq_put(head);
	KUNIT_EXPECT_EQ(test, 100, nr_freed);
	KUNIT_EXPECT_EQ(test, 1, folio_ref_count(folio));
}

static void test_kbuf(struct kunit *test)
{
	size_t size = 5 * PAGE_SIZE + 123;
	u8 *linear = alloc_buf(test, 2 * size), *got = alloc_buf(test, 2 * size);
	u8 *virt = vmalloc(size);
	struct bvecq *bq = bvecq_alloc(7, BVECQ_MEM_BORROWED, GFP_KERNEL);
	struct iov_iter i;

	KUNIT_ASSERT_NOT_NULL(test, virt);
	KUNIT_ASSERT_NOT_NULL(test, bq);
	for (size_t k = 0; k < size; k++) {
		linear[k] = k * 3 + 1;
		virt[k] = k * 5 + 2;
	}
	KUNIT_EXPECT_EQ(test, 0, bvecq_append_kbuf(bq, linear + 1, size - 1));
	KUNIT_EXPECT_EQ(test, 0, bvecq_append_kbuf(bq, virt + 1, size - 1));
	KUNIT_EXPECT_EQ(test, 2 * size - 2, bvecq_bytes(bq));
	iov_iter_bvec_queue(&i, ITER_SOURCE, bq, 0, 0, 2 * size - 2);
	KUNIT_EXPECT_EQ(test, 2 * size - 2, _copy_from_iter(got, 2 * size, &i));
	KUNIT_EXPECT_MEMEQ(test, got, linear + 1, size - 1);
	KUNIT_EXPECT_MEMEQ(test, got + size - 1, virt + 1, size - 1);

	/* All of it or nothing. */
	KUNIT_EXPECT_EQ(test, -ENOSPC, bvecq_append_kbuf(bq, virt, size));
	KUNIT_EXPECT_EQ(test, 2 * size - 2, bvecq_bytes(bq));
	bvecq_put(bq);
	vfree(virt);
}

/* Header | payload | header | payload, put together in every order. */
static void test_join(struct kunit *test)
{
	static const u8 orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 },
		{ 2, 0, 1 }, { 2, 1, 0 } };

	for (unsigned int o = 0; o < ARRAY_SIZE(orders); o++) {
		struct folio *folio[4];
		struct bvecq *bq[4];
		struct iov_iter i;
		u8 got[400];

		for (unsigned int k = 0; k < 4; k++) {
			folio[k] = alloc_noise(test, PAGE_SIZE);
			bq[k] = bvecq_alloc(1, BVECQ_MEM_PAGE, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, bq[k]);
			folio_get(folio[k]);
			KUNIT_ASSERT_EQ(test, 0, bvecq_append_folio(bq[k], folio[k], 100, k));
		}
		for (unsigned int k = 0; k < 3; k++)
			bvecq_join(bq[orders[o][k]], bq[orders[o][k] + 1]);

		iov_iter_bvec_queue(&i, ITER_SOURCE, bq[0], 0, 0, 400);
		KUNIT_EXPECT_EQ(test, 400, _copy_from_iter(got, 400, &i));
		for (unsigned int k = 0; k < 4; k++)
			KUNIT_EXPECT_MEMEQ(test, got + k * 100, folio_address(folio[k]) + k, 100);
		iov_iter_revert(&i, 400);
		KUNIT_EXPECT_PTR_EQ(test, i.bvecq, bq[0]);
		KUNIT_EXPECT_PTR_EQ(test, bq[3], bvecq_tail(bq[1]));

		/* Who holds the middle keeps what follows and nothing before. */
		bvecq_get(bq[2]);
		bvecq_put(bq[0]);
		KUNIT_EXPECT_EQ(test, 1, folio_ref_count(folio[0]));
		KUNIT_EXPECT_EQ(test, 1, folio_ref_count(folio[1]));
		KUNIT_EXPECT_EQ(test, 2, folio_ref_count(folio[2]));
		KUNIT_EXPECT_EQ(test, 2, folio_ref_count(folio[3]));
		KUNIT_EXPECT_NULL(test, bq[2]->prev);
		bvecq_put(bq[2]);
		KUNIT_EXPECT_EQ(test, 1, folio_ref_count(folio[2]));
		KUNIT_EXPECT_EQ(test, 1, folio_ref_count(folio[3]));
	}
}

/* Release is a loop: recursion would end the stack here. */
static void test_long_chain(struct kunit *test)
{
	struct folio *folio = alloc_noise(test, PAGE_SIZE);
	struct bvecq *head = NULL;

	for (unsigned int i = 0; i < 100000; i++) {
		struct bvecq *bq = bvecq_alloc(1, BVECQ_MEM_PAGE, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, bq);
		folio_get(folio);
		KUNIT_ASSERT_EQ(test, 0, bvecq_append_folio(bq, folio, 3, 0));
		if (head)
			bvecq_join(bq, head);
		head = bq;
	}
	KUNIT_EXPECT_EQ(test, 300000, bvecq_bytes(head));
	KUNIT_EXPECT_EQ(test, 100001, folio_ref_count(folio));
	bvecq_put(head);
	KUNIT_EXPECT_EQ(test, 1, folio_ref_count(folio));
}

/* The reserve does not fail, and its segments are like any other. */
static void test_reserved(struct kunit *test)
{
	struct folio *folio = alloc_noise(test, PAGE_SIZE);
	struct bvecq *head = NULL, *bq, *last;

	for (unsigned int k = 0; k < 100; k++) {
		bq = bvecq_alloc_reserved(BVECQ_MEM_PAGE, k & 1 ? GFP_NOFS : GFP_ATOMIC);
		KUNIT_ASSERT_NOT_NULL(test, bq);
		for (unsigned int i = 0; i < BVECQ_RESERVED_SLOTS; i++) {
			folio_get(folio);
			KUNIT_ASSERT_EQ(test, 0, bvecq_append_folio(bq, folio, 1, 0));
		}
		KUNIT_EXPECT_EQ(test, -ENOSPC, bvecq_append_folio(bq, folio, 1, 0));
		if (head)
			bvecq_join(bq, head);
		head = bq;
	}
	/* A successor of other origin. */
	last = bvecq_tail(head);
	KUNIT_EXPECT_EQ(test, 0, bvecq_append_grow(&last, &folio->page, 1, 7, GFP_KERNEL));
	folio_get(folio);
	KUNIT_EXPECT_FALSE(test, last->reserved);
	bvecq_put(head);
	KUNIT_EXPECT_EQ(test, 1, folio_ref_count(folio));
}

/*
 * Transmission, without a network: what the owner is told, and when.
 */
#define TX_SEGS		4

struct tx {
	struct kunit	*test;
	struct bvecq	*bq[TX_SEGS];
	struct folio	*folio;
	unsigned int	told;		/* How many segments are finished, in order */
	bool		copied[TX_SEGS];
};

static void tx_complete(struct sk_buff *skb, struct ubuf_info *uarg, bool success)
{
	bvecq_tx_put(container_of(uarg, struct bvecq, ubuf), !success);
}

static const struct ubuf_info_ops tx_ops = {
	.complete	= tx_complete,
};

static void tx_done(struct bvecq *bq, size_t bytes, bool copied)
{
	struct tx *tx = bq->priv;

	KUNIT_ASSERT_LT(tx->test, tx->told, TX_SEGS);
	KUNIT_EXPECT_PTR_EQ(tx->test, bq, tx->bq[tx->told]);
	KUNIT_EXPECT_EQ(tx->test, bytes, 100 + tx->told);
	tx->copied[tx->told++] = copied;
}

static void tx_skb_get(struct bvecq *bq)
{
	refcount_inc(&bq->ubuf.refcnt);
}

static void tx_skb_free(struct bvecq *bq, bool success)
{
	bq->ubuf.ops->complete(NULL, &bq->ubuf, success);
}

/* Segments first..last make up one message; segment n holds 100 + n bytes. */
static void tx_message(struct kunit *test, struct tx *tx, unsigned int first, unsigned int last)
{
	tx->test = test;
	if (!tx->folio)
		tx->folio = alloc_noise(test, PAGE_SIZE);
	for (unsigned int k = first; k <= last; k++) {
		tx->bq[k] = bvecq_alloc(1, BVECQ_MEM_PAGE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, tx->bq[k]);
		folio_get(tx->folio);
		KUNIT_ASSERT_EQ(test, 0, bvecq_append_folio(tx->bq[k], tx->folio, 100 + k, 0));
		tx->bq[k]->priv = tx;
		tx->bq[k]->done = tx_done;
		if (k > first)
			bvecq_join(tx->bq[k - 1], tx->bq[k]);
	}
}

/* Nothing took a reference: all was copied into the socket, or never got there. */
static void test_tx_no_skb(struct kunit *test)
{
	struct tx tx = {};

	tx_message(test, &tx, 0, 3);
	KUNIT_EXPECT_EQ(test, 0, bvecq_tx_begin(tx.bq[0], &tx_ops, 0));
	KUNIT_EXPECT_EQ(test, 0, tx.told);
	bvecq_tx_put(tx.bq[0], true);
	KUNIT_EXPECT_EQ(test, 4, tx.told);
	KUNIT_EXPECT_TRUE(test, tx.copied[0]);
	KUNIT_EXPECT_FALSE(test, tx.copied[1]);
	KUNIT_EXPECT_EQ(test, 5, folio_ref_count(tx.folio));
	bvecq_put(tx.bq[0]);
	KUNIT_EXPECT_EQ(test, 4, tx.told);
	KUNIT_EXPECT_EQ(test, 1, folio_ref_count(tx.folio));
}

/* The owner lets go at once: the network keeps the memory until it has finished. */
static void test_tx_progress(struct kunit *test)
{
	struct tx tx = {};

	tx_message(test, &tx, 0, 3);
	KUNIT_EXPECT_EQ(test, 0, bvecq_tx_begin(tx.bq[0], &tx_ops, 0));
	tx_skb_get(tx.bq[0]);	/* Bytes of 0 and 1 */
	tx_skb_get(tx.bq[1]);	/* Bytes of 1 */
	tx_skb_get(tx.bq[2]);	/* Bytes of 2 and 3 */
	bvecq_tx_put(tx.bq[0], false);
	bvecq_put(tx.bq[0]);
	KUNIT_EXPECT_EQ(test, 0, tx.told);
	KUNIT_EXPECT_EQ(test, 5, folio_ref_count(tx.folio));

	/* Out of order: the second one waits for the first. */
	tx_skb_free(tx.bq[1], true);
	KUNIT_EXPECT_EQ(test, 0, tx.told);
	tx_skb_free(tx.bq[0], true);
	KUNIT_EXPECT_EQ(test, 2, tx.told);
	KUNIT_EXPECT_EQ(test, 3, folio_ref_count(tx.folio));
	tx_skb_free(tx.bq[2], false);
	KUNIT_EXPECT_EQ(test, 4, tx.told);
	KUNIT_EXPECT_FALSE(test, tx.copied[1]);
	KUNIT_EXPECT_TRUE(test, tx.copied[2]);
	KUNIT_EXPECT_EQ(test, 1, folio_ref_count(tx.folio));
}

/* An sk_buff does not hold its first segment for as long as there are others. */
static void test_tx_link_far(struct kunit *test)
{
	struct bvecq *bq[BVECQ_TX_LINK_MAX + 2];

	for (int i = 0; i < ARRAY_SIZE(bq); i++) {
		bq[i] = bvecq_alloc(1, BVECQ_MEM_BORROWED, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, bq[i]);
		KUNIT_ASSERT_EQ(test, 0, bvecq_append(bq[i], ZERO_PAGE(0), 0, 1));
		if (i)
			bvecq_join(bq[i - 1], bq[i]);
	}
	KUNIT_ASSERT_EQ(test, 0, bvecq_tx_begin(bq[0], &tx_ops, 0));
	KUNIT_EXPECT_TRUE(test, bvecq_tx_link(bq[0], bq[BVECQ_TX_LINK_MAX]));
	KUNIT_EXPECT_FALSE(test, bvecq_tx_link(bq[0], bq[BVECQ_TX_LINK_MAX + 1]));
	KUNIT_EXPECT_TRUE(test, bvecq_tx_link(bq[1], bq[BVECQ_TX_LINK_MAX + 1]));
	bvecq_tx_end(bq[0]);
	bvecq_put(bq[0]);
}

/* Nor does one that stays hold all the messages that are ever sent after it. */
static void test_tx_links(struct kunit *test)
{
	struct bvecq *bq[BVECQ_TX_LINKS_MAX + 2][2];

	for (int i = 0; i < ARRAY_SIZE(bq); i++) {
		for (int k = 0; k < 2; k++) {
			bq[i][k] = bvecq_alloc(1, BVECQ_MEM_BORROWED, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, bq[i][k]);
			KUNIT_ASSERT_EQ(test, 0, bvecq_append(bq[i][k], ZERO_PAGE(0), 0, 1));
		}
		bvecq_join(bq[i][0], bq[i][1]);
		KUNIT_ASSERT_EQ(test, 0, bvecq_tx_begin(bq[i][0], &tx_ops, 0));
		if (i)
			KUNIT_EXPECT_EQ(test, i <= BVECQ_TX_LINKS_MAX,
					bvecq_tx_link(bq[i - 1][1], bq[i][0]));
		else
			tx_skb_get(bq[i][0]);
		bvecq_tx_end(bvecq_tx_move(bq[i][0], bq[i][1], false));
	}
	for (int i = 0; i < ARRAY_SIZE(bq); i++)
		KUNIT_EXPECT_EQ(test, i <= BVECQ_TX_LINKS_MAX, bq[i][1]->transmitting);
	tx_skb_free(bq[0][0], false);
	for (int i = 0; i < ARRAY_SIZE(bq); i++) {
		KUNIT_EXPECT_FALSE(test, bq[i][1]->transmitting);
		bvecq_put(bq[i][0]);
	}
}

/* Who keeps a message for a resend does not hold up what follows it on the wire. */
static void test_tx_link(struct kunit *test)
{
	struct tx tx = {};

	tx_message(test, &tx, 0, 1);
	tx_message(test, &tx, 2, 3);
	KUNIT_EXPECT_EQ(test, 0, bvecq_tx_begin(tx.bq[0], &tx_ops, 0));
	tx_skb_get(tx.bq[0]);
	KUNIT_EXPECT_EQ(test, 0, bvecq_tx_begin(tx.bq[2], &tx_ops, 0));

	/* Not while the first message is being sent. */
	KUNIT_EXPECT_FALSE(test, bvecq_tx_link(tx.bq[0], tx.bq[2]));
	KUNIT_EXPECT_PTR_EQ(test, tx.bq[1], bvecq_tx_move(tx.bq[0], tx.bq[1], false));
	KUNIT_EXPECT_FALSE(test, bvecq_tx_link(tx.bq[0], tx.bq[2]));
	bvecq_tx_end(tx.bq[1]);

	/* The second message starts in the same sk_buff. */
	KUNIT_EXPECT_TRUE(test, bvecq_tx_link(tx.bq[0], tx.bq[2]));
	KUNIT_EXPECT_TRUE(test, bvecq_tx_link(tx.bq[0], tx.bq[2]));
	KUNIT_EXPECT_TRUE(test, bvecq_tx_link(tx.bq[0], tx.bq[3]));
	KUNIT_EXPECT_TRUE(test, bvecq_tx_link(tx.bq[0], tx.bq[0]));
	bvecq_tx_end(tx.bq[2]);
	KUNIT_EXPECT_EQ(test, 0, tx.told);
	bvecq_put(tx.bq[2]);

	tx_skb_free(tx.bq[0], true);
	KUNIT_EXPECT_EQ(test, 4, tx.told);
	KUNIT_EXPECT_EQ(test, 3, folio_ref_count(tx.folio));
	KUNIT_EXPECT_EQ(test, 1, refcount_read(&tx.bq[0]->ref));
	bvecq_put(tx.bq[0]);
	KUNIT_EXPECT_EQ(test, 1, folio_ref_count(tx.folio));
}

/* The sender learns of what is done while he goes on. */
static void test_tx_move(struct kunit *test)
{
	struct tx tx = {};

	tx_message(test, &tx, 0, 3);
	KUNIT_EXPECT_EQ(test, 0, bvecq_tx_begin(tx.bq[0], &tx_ops, 0));
	tx_skb_get(tx.bq[0]);
	KUNIT_EXPECT_PTR_EQ(test, tx.bq[0], bvecq_tx_move(tx.bq[0], tx.bq[0], false));
	KUNIT_EXPECT_PTR_EQ(test, tx.bq[2], bvecq_tx_move(tx.bq[0], tx.bq[2], false));
	KUNIT_EXPECT_EQ(test, 0, tx.told);
	tx_skb_free(tx.bq[0], true);
	KUNIT_EXPECT_EQ(test, 2, tx.told);

	/* What was copied is done at once. */
	KUNIT_EXPECT_PTR_EQ(test, tx.bq[3], bvecq_tx_move(tx.bq[2], tx.bq[3], true));
	KUNIT_EXPECT_EQ(test, 3, tx.told);
	KUNIT_EXPECT_TRUE(test, tx.copied[2]);
	KUNIT_EXPECT_FALSE(test, tx.copied[1]);
	bvecq_tx_end(tx.bq[3]);
	KUNIT_EXPECT_EQ(test, 4, tx.told);
	KUNIT_EXPECT_TRUE(test, tx.copied[3]);
	bvecq_put(tx.bq[0]);
	KUNIT_EXPECT_EQ(test, 1, folio_ref_count(tx.folio));
}

/* Sent once more, but not before the first time is over. */
static void test_tx_again(struct kunit *test)
{
	struct tx tx = {};

	tx_message(test, &tx, 0, 3);
	KUNIT_EXPECT_EQ(test, 0, bvecq_tx_begin(tx.bq[0], &tx_ops, 0));
	tx_skb_get(tx.bq[3]);
	bvecq_tx_put(tx.bq[0], false);
	KUNIT_EXPECT_EQ(test, 3, tx.told);
	KUNIT_EXPECT_EQ(test, -EBUSY, bvecq_tx_begin(tx.bq[0], &tx_ops, 0));
	KUNIT_EXPECT_EQ(test, 1, refcount_read(&tx.bq[2]->ref));
	tx_skb_free(tx.bq[3], false);
	KUNIT_EXPECT_EQ(test, 4, tx.told);
	KUNIT_EXPECT_TRUE(test, tx.copied[3]);

	/* Who does not ask again is not told again. */
	tx.told = 3;
	tx.bq[3]->done = tx_done;
	KUNIT_EXPECT_EQ(test, 0, bvecq_tx_begin(tx.bq[0], &tx_ops, 0));
	bvecq_tx_put(tx.bq[0], false);
	KUNIT_EXPECT_EQ(test, 4, tx.told);
	KUNIT_EXPECT_FALSE(test, tx.copied[3]);
	bvecq_put(tx.bq[0]);
	KUNIT_EXPECT_EQ(test, 1, folio_ref_count(tx.folio));
}

static void tx_done_unsent(struct bvecq *bq, size_t bytes, bool copied)
{
	unsigned int *told = bq->priv;

	if (!bytes && !copied)
		(*told)++;
}

static void test_tx_never(struct kunit *test)
{
	struct bvecq *bq = bvecq_alloc(1, BVECQ_MEM_BORROWED, GFP_KERNEL);
	unsigned int told = 0;

	KUNIT_ASSERT_NOT_NULL(test, bq);
	bq->priv = &told;
	bq->done = tx_done_unsent;
	bvecq_get(bq);
	bvecq_put(bq);
	KUNIT_EXPECT_EQ(test, 0, told);
	bvecq_put(bq);
	KUNIT_EXPECT_EQ(test, 1, told);
}

static void tx_done_count(struct bvecq *bq, size_t bytes, bool copied)
{
	*(size_t *)bq->priv += bytes;
}

static void test_tx_long_chain(struct kunit *test)
{
	struct folio *folio = alloc_noise(test, PAGE_SIZE);
	struct bvecq *head = NULL;
	size_t bytes = 0;

	for (unsigned int i = 0; i < 100000; i++) {
		struct bvecq *bq = bvecq_alloc(1, BVECQ_MEM_PAGE, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, bq);
		folio_get(folio);
		KUNIT_ASSERT_EQ(test, 0, bvecq_append_folio(bq, folio, 3, 0));
		bq->priv = &bytes;
		bq->done = tx_done_count;
		if (head)
			bvecq_join(bq, head);
		head = bq;
	}
	KUNIT_EXPECT_EQ(test, 0, bvecq_tx_begin(head, &tx_ops, 0));
	bvecq_put(head);
	KUNIT_EXPECT_EQ(test, 100001, folio_ref_count(folio));
	bvecq_tx_put(head, false);
	KUNIT_EXPECT_EQ(test, 300000, bytes);
	KUNIT_EXPECT_EQ(test, 1, folio_ref_count(folio));
}

/* The bytes of a queue are those of the flat copy from a place on. */
static void same_bytes(struct fixture *f, const struct bvecq *bq, size_t from, size_t len)
{
	struct iov_iter iter;

	KUNIT_ASSERT_EQ_MSG(f->test, len, bvecq_bytes(bq), WHERE);
	iov_iter_bvec_queue(&iter, ITER_SOURCE, bq, 0, 0, len);
	KUNIT_ASSERT_EQ_MSG(f->test, len, copy_from_iter(f->scratch, len, &iter), WHERE);
	KUNIT_ASSERT_MEMEQ_MSG(f->test, f->scratch, f->image + from, len, WHERE);
}

static const unsigned int piece_limits[] = { 1, 2, 3, 17, UINT_MAX };

/* Cut all of it into slices; they outlive it. */
static void test_slice(struct kunit *test)
{
	struct fixture *f = build(test);
	struct bvecq *head = NULL, *tail = NULL;
	struct bvecq_pos pos;
	unsigned int slots;

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;

		for (unsigned int i = 0; i < ARRAY_SIZE(piece_limits); i++) {
			struct bvecq *bq;
			size_t got;

			pos = (struct bvecq_pos){ .bq = f->head, .offset = from };
			bq = bvecq_slice(&pos, len, piece_limits[i], GFP_KERNEL);
			if (from == f->size || !len) {
				KUNIT_ASSERT_PTR_EQ_MSG(test, bq, ERR_PTR(-ENODATA), WHERE);
				continue;
			}
			KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, bq, WHERE);
			got = bvecq_bytes(bq);
			KUNIT_ASSERT_LE_MSG(test, count_slots(bq), piece_limits[i], WHERE);
			if (piece_limits[i] == UINT_MAX)
				KUNIT_ASSERT_EQ_MSG(test, got, min(len, f->size - from), WHERE);
			same_bytes(f, bq, from, got);
			bvecq_put(bq);
		}
	}

	pos = (struct bvecq_pos){ .bq = f->head };
	for (unsigned int i = 0;; i++) {
		struct bvecq *bq = bvecq_slice(&pos, 1 + i * 100, 1 + i % 4, GFP_KERNEL);

		if (bq == ERR_PTR(-ENODATA))
			break;
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, bq);
		if (tail)
			bvecq_join(tail, bq);
		else
			head = bq;
		tail = bq;
	}
	slots = count_slots(f->head);
	bvecq_put(f->head);
	if (head) {
		KUNIT_EXPECT_LT(test, nr_freed, slots);
		same_bytes(f, head, 0, f->size);
	}
	bvecq_put(head);
	finish_put(f, slots);
}

/* Slices of slices are released in a loop as well. */
static void test_slice_deep(struct kunit *test)
{
	struct folio *folio = alloc_noise(test, PAGE_SIZE);
	struct bvecq_stats before, during, after;
	struct bvecq *bq, *slice;

	bvecq_get_stats(&before);
	bq = bvecq_alloc(1, BVECQ_MEM_PAGE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bq);
	folio_get(folio);
	KUNIT_ASSERT_EQ(test, 0, bvecq_append_folio(bq, folio, 100, 0));
	for (unsigned int i = 0; i < 100000; i++) {
		struct bvecq_pos pos = { .bq = bq };

		slice = bvecq_slice(&pos, 100, 1, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, slice);
		bvecq_put(bq);
		bq = slice;
	}
	bvecq_get_stats(&during);
	KUNIT_EXPECT_EQ(test, during.segments - before.segments, 100001);
	KUNIT_EXPECT_EQ(test, during.bytes - before.bytes, 100001 * 100);
	KUNIT_EXPECT_EQ(test, 2, folio_ref_count(folio));
	bvecq_put(bq);
	KUNIT_EXPECT_EQ(test, 1, folio_ref_count(folio));
	bvecq_get_stats(&after);
	KUNIT_EXPECT_EQ(test, after.segments, before.segments);
	KUNIT_EXPECT_EQ(test, after.bytes, before.bytes);
}

/* What netfs makes of an iterator describes the same bytes, within the limits. */
static void test_netfs_extract(struct kunit *test)
{
#if IS_REACHABLE(CONFIG_NETFS_SUPPORT)
	static const unsigned int flags[] = {
		0, NETFS_EXTRACT_REF, NETFS_EXTRACT_SPLICE,
		NETFS_EXTRACT_REF | NETFS_EXTRACT_SPLICE,
	};
	struct fixture *f = build(test);

	for (struct span r = {}; next_span(f, &r);) {
		size_t from = r.from, len = r.len;

		for (unsigned int i = 0; i < ARRAY_SIZE(piece_limits) * 8; i++) {
			unsigned int pieces = piece_limits[i / 8];
			unsigned int flag = flags[i % 8 / 2];
			struct bvecq *bq = NULL;
			struct iov_iter iter, bi, ki;
			ssize_t got;

			both_iters(f, ITER_SOURCE, &bi, &ki);
			iter = i % 2 ? bi : ki;
			iov_iter_advance(&iter, from);
			got = netfs_extract_iter(&iter, len, pieces, flag, GFP_KERNEL, &bq);
			if (from == f->size || !len) {
				KUNIT_ASSERT_EQ_MSG(test, got, -EINVAL, WHERE);
				continue;
			}
			KUNIT_ASSERT_GT_MSG(test, got, 0, WHERE);
			KUNIT_ASSERT_EQ_MSG(test, iov_iter_count(&iter),
					    f->size - from - got, WHERE);
			KUNIT_ASSERT_LE_MSG(test, count_slots(bq), pieces, WHERE);
			/* A reference on a queue will do, if it holds its memory. */
			KUNIT_ASSERT_EQ_MSG(test, bq->mem == BVECQ_MEM_PAGE || bq->origin,
					    !!(flag & NETFS_EXTRACT_REF), WHERE);
			if (pieces == UINT_MAX)
				KUNIT_ASSERT_EQ_MSG(test, got, min(len, f->size - from), WHERE);
			same_bytes(f, bq, from, got);
			bvecq_put(bq);
		}
	}
	finish(f);
#else
	kunit_skip(test, "needs CONFIG_NETFS_SUPPORT");
#endif
}

/* Pages that GUP really pinned. */
static void test_user_pins(struct kunit *test)
{
	struct page *pages[8];
	struct bvecq *bq;
	unsigned long addr;
	int before, nr;

	addr = kunit_vm_mmap(test, NULL, 0, 8 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	if (!addr || IS_ERR_VALUE(addr))
		kunit_skip(test, "no user memory here");

	nr = pin_user_pages_fast(addr, 8, FOLL_WRITE, pages);
	KUNIT_ASSERT_EQ(test, nr, 8);
	bq = bvecq_alloc(8, BVECQ_MEM_PIN, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bq);
	before = page_count(pages[0]);
	for (unsigned int i = 0; i < 8; i++) {
		KUNIT_EXPECT_TRUE(test, folio_maybe_dma_pinned(page_folio(pages[i])));
		KUNIT_EXPECT_EQ(test, 0, bvecq_append(bq, pages[i], PAGE_SIZE, 0));
		get_page(pages[i]);
	}
	bvecq_put(bq);
	for (unsigned int i = 0; i < 8; i++) {
		KUNIT_EXPECT_FALSE(test, folio_maybe_dma_pinned(page_folio(pages[i])));
		put_page(pages[i]);
	}
	KUNIT_EXPECT_LT(test, page_count(pages[0]), before);
}

/*
 * A producer on one CPU, a consumer on another.  The consumer is told the number of
 * bytes, as a socket or a subrequest would tell it, and looks at everything else
 * through the queue.
 */
struct race {
	struct bvecq	*head;
	struct folio	*folio;
	size_t		produced;
	bool		failed;
};

#define RACE_PIECES	20000

static int race_producer(void *data)
{
	struct race *race = data;
	struct bvecq *tail = race->head;

	for (unsigned int i = 0; i < RACE_PIECES; i++) {
		unsigned int len = 1 + i % 61;

		if (bvecq_append_grow(&tail, &race->folio->page, len, i % 1024, GFP_KERNEL)) {
			WRITE_ONCE(race->failed, true);
			break;
		}
		/* Pairs with the consumer's acquire. */
		smp_store_release(&race->produced, race->produced + len);
		if (i % 64 == 0)
			cond_resched();
	}
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static void test_race(struct kunit *test)
{
	struct race race = { .folio = alloc_noise(test, PAGE_SIZE) };
	u8 *p = folio_address(race.folio), got[64];
	unsigned int piece = 0, at = 0;
	struct task_struct *task;
	size_t consumed = 0, total = 0;
	struct iov_iter i;

	for (unsigned int k = 0; k < RACE_PIECES; k++)
		total += 1 + k % 61;
	race.head = bvecq_alloc(5, BVECQ_MEM_BORROWED, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, race.head);
	race.head->live = true;
	iov_iter_bvec_queue(&i, ITER_SOURCE, race.head, 0, 0, 0);

	task = kthread_run(race_producer, &race, "bvecq_kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	while (consumed < total && !READ_ONCE(race.failed)) {
		/* Pairs with the producer's release. */
		size_t produced = smp_load_acquire(&race.produced), n;

		if (produced == consumed) {
			cond_resched();
			continue;
		}
		iov_iter_reexpand(&i, produced - consumed);
		n = _copy_from_iter(got, sizeof(got), &i);
		if (!n) {
			KUNIT_FAIL(test, "nothing at %zu of %zu", consumed, produced);
			break;
		}
		consumed += n;
		for (size_t k = 0; k < n; k++) {
			if (got[k] != p[piece % 1024 + at]) {
				KUNIT_FAIL(test, "wrong byte in piece %u at %u", piece, at);
				consumed = total;
				break;
			}
			if (++at == 1 + piece % 61) {
				at = 0;
				piece++;
			}
		}
	}
	kthread_stop(task);
	KUNIT_EXPECT_FALSE(test, race.failed);
	KUNIT_EXPECT_EQ(test, total, bvecq_bytes(race.head));
	bvecq_put(race.head);
}

static struct kunit_case bvecq_test_cases[] = {
	KUNIT_CASE(test_alloc),
	KUNIT_CASE(test_push_pull),
	KUNIT_CASE(test_truncate),
	KUNIT_CASE_PARAM(test_merge, merge_gen_params),
	KUNIT_CASE(test_merge_folios),
	KUNIT_CASE(test_append_pages),
	KUNIT_CASE(test_append_refused),
	KUNIT_CASE(test_grow),
	KUNIT_CASE(test_grow_enomem),
	KUNIT_CASE(test_nomem),
	KUNIT_CASE(test_reserved_nomem),
	KUNIT_CASE(test_kbuf),
	KUNIT_CASE(test_join),
	KUNIT_CASE(test_long_chain),
	KUNIT_CASE(test_reserved),
	KUNIT_CASE(test_tx_no_skb),
	KUNIT_CASE(test_tx_progress),
	KUNIT_CASE(test_tx_link),
	KUNIT_CASE(test_tx_link_far),
	KUNIT_CASE(test_tx_links),
	KUNIT_CASE(test_tx_move),
	KUNIT_CASE(test_tx_again),
	KUNIT_CASE(test_tx_never),
	KUNIT_CASE(test_tx_long_chain),
	KUNIT_CASE(test_slice_deep),
	KUNIT_CASE(test_user_pins),
	KUNIT_CASE_SLOW(test_race),
	KUNIT_CASE(test_grow_under_iter),
	KUNIT_CASE(test_nothing),
	KUNIT_CASE(test_unknown_type),
	KUNIT_CASE_PARAM(test_start, shape_gen_params),
	KUNIT_CASE_PARAM(test_copy_from, shape_gen_params),
	KUNIT_CASE_PARAM(test_copy_from_nocache, shape_gen_params),
	KUNIT_CASE_PARAM(test_copy_from_flushcache, shape_gen_params),
	KUNIT_CASE_PARAM(test_copy_from_kernel, shape_gen_params),
	KUNIT_CASE_PARAM(test_copy_to, shape_gen_params),
	KUNIT_CASE_PARAM(test_copy_mc_to, shape_gen_params),
	KUNIT_CASE_PARAM(test_zero, shape_gen_params),
	KUNIT_CASE_PARAM(test_copy_folio, shape_gen_params),
	KUNIT_CASE_PARAM(test_csum, shape_gen_params),
	KUNIT_CASE_PARAM(test_short_step, shape_gen_params),
	KUNIT_CASE_PARAM(test_advance, shape_gen_params),
	KUNIT_CASE_PARAM(test_revert, shape_gen_params),
	KUNIT_CASE_PARAM(test_revert_too_far, shape_gen_params),
	KUNIT_CASE_PARAM(test_restore, shape_gen_params),
	KUNIT_CASE_PARAM(test_npages, shape_gen_params),
	KUNIT_CASE_PARAM(test_alignment, shape_gen_params),
	KUNIT_CASE_PARAM(test_single_seg, shape_gen_params),
	KUNIT_CASE_PARAM(test_extract, shape_gen_params),
	KUNIT_CASE_PARAM(test_extract_alloc, shape_gen_params),
	KUNIT_CASE_PARAM(test_get_pages, shape_gen_params),
	KUNIT_CASE_PARAM(test_get_pages_alloc, shape_gen_params),
	KUNIT_CASE_PARAM(test_extract_contig, shape_gen_params),
	KUNIT_CASE_PARAM(test_extract_bvecs, shape_gen_params),
	KUNIT_CASE_PARAM(test_sg, shape_gen_params),
	KUNIT_CASE_PARAM(test_netfs_limit, shape_gen_params),
	KUNIT_CASE_PARAM(test_netfs_extract, shape_gen_params),
	KUNIT_CASE_PARAM(test_slice, shape_gen_params),
	{}
};

static struct kunit_suite bvecq_test_suite = {
	.name		= "bvecq",
	.test_cases	= bvecq_test_cases,
};

kunit_test_suite(bvecq_test_suite);

MODULE_DESCRIPTION("KUnit tests of bvecq and ITER_BVECQ");
MODULE_LICENSE("GPL");
