// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Benchmark of ITER_BVECQ beside ITER_BVEC and ITER_FOLIOQ.
 *
 * All three describe the same folios, and in each round they are timed one after
 * the other, each round beginning with another one.  A line of the form
 *
 *	bench: op=OP size=BYTES piece=BYTES bvec=PS folioq=PS bvecq=PS
 *
 * gives the medians in picoseconds for each operation.  That joining two queues
 * takes constant time is shown by lines of the form
 *
 *	bench: op=join segs=N bvecq=PS
 */
#include <kunit/test.h>
#include <linux/bvecq.h>
#include <linux/folio_queue.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>

#define ROUNDS		51
#define JOIN_ROUNDS	201
#define JOINS		5000
#define JOIN_SEGS	10000
#define NR_PAGES	64U

enum kind { BVEC, FOLIOQ, BVECQ, NR_KINDS };

struct bench {
	size_t			size;
	unsigned int		nr;
	struct folio		**folios;
	struct bio_vec		*bvec;
	struct folio_queue	*folioq;
	struct bvecq		*bvecq;
	struct page		**pages;
	u8			*buf;
};

static struct iov_iter bench_iter(const struct bench *b, enum kind kind)
{
	struct iov_iter iter;

	switch (kind) {
	case BVEC:
		iov_iter_bvec(&iter, ITER_SOURCE, b->bvec, b->nr, b->size);
		break;
	case FOLIOQ:
		iov_iter_folio_queue(&iter, ITER_SOURCE, b->folioq, 0, 0, b->size);
		break;
	default:
		iov_iter_bvec_queue(&iter, ITER_SOURCE, b->bvecq, 0, 0, b->size);
		break;
	}
	return iter;
}

/* Each works through the whole iterator and returns how many bytes it did. */

static size_t op_copy_from(const struct bench *b, struct iov_iter *iter)
{
	return copy_from_iter(b->buf, b->size, iter);
}

static size_t op_extract(const struct bench *b, struct iov_iter *iter)
{
	size_t size = 0;

	while (iter->count) {
		struct page **pages = b->pages;
		size_t offset;
		ssize_t n;

		n = iov_iter_extract_pages(iter, &pages, iter->count, NR_PAGES, 0,
					   &offset);
		if (n <= 0)
			break;
		size += n;
	}
	return size;
}

static size_t op_advance(const struct bench *b, struct iov_iter *iter)
{
	iov_iter_advance(iter, b->size);
	return b->size - iter->count;
}

/* As a socket does that takes a little more of a message each time. */
static size_t op_advance_1500(const struct bench *b, struct iov_iter *iter)
{
	while (iter->count)
		iov_iter_advance(iter, min(iter->count, (size_t)1500));
	return b->size - iter->count;
}

static const struct {
	const char	*name;
	size_t		(*run)(const struct bench *b, struct iov_iter *iter);
} ops[] = {
	{ "copy_from_iter",	op_copy_from },
	{ "extract",		op_extract },
	{ "advance",		op_advance },
	{ "advance_1500",	op_advance_1500 },
};

static const struct layout {
	size_t		size;
	size_t		piece;
} layouts[] = {
	{ SZ_1M, SZ_4K },
	{ SZ_1M, SZ_64K },
	{ SZ_8M, SZ_4K },
	{ SZ_8M, SZ_64K },
};

static void layout_desc(const struct layout *l, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu bytes in pieces of %zu", l->size,
		 l->piece);
}

KUNIT_ARRAY_PARAM(layout, layouts, layout_desc);

static void put_folio(void *folio)
{
	folio_put(folio);
}

static void put_bvecq(void *bq)
{
	bvecq_put(bq);
}

static void free_buf(void *buf)
{
	vfree(buf);
}

static void bench_init(struct kunit *test, struct bench *b, const struct layout *l)
{
	struct folio_queue *fq = NULL;
	struct bvecq *tail;
	unsigned int i;

	b->size = l->size;
	b->nr = l->size / l->piece;
	b->folios = kunit_kcalloc(test, b->nr, sizeof(*b->folios), GFP_KERNEL);
	b->bvec = kunit_kcalloc(test, b->nr, sizeof(*b->bvec), GFP_KERNEL);
	b->pages = kunit_kcalloc(test, NR_PAGES, sizeof(*b->pages), GFP_KERNEL);
	b->buf = vzalloc(b->size);
	b->bvecq = bvecq_alloc(FOLIO_BATCH_SIZE, BVECQ_MEM_BORROWED, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, b->folios);
	KUNIT_ASSERT_NOT_NULL(test, b->bvec);
	KUNIT_ASSERT_NOT_NULL(test, b->pages);
	KUNIT_ASSERT_NOT_NULL(test, b->buf);
	KUNIT_ASSERT_NOT_NULL(test, b->bvecq);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_buf, b->buf));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_bvecq, b->bvecq));

	tail = b->bvecq;
	for (i = 0; i < b->nr; i++) {
		struct folio *folio = folio_alloc(GFP_KERNEL, get_order(l->piece));

		KUNIT_ASSERT_NOT_NULL(test, folio);
		KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_folio, folio));
		b->folios[i] = folio;
		memset(folio_address(folio), i, l->piece);
		bvec_set_folio(&b->bvec[i], folio, l->piece, 0);

		if (!fq || folioq_full(fq)) {
			struct folio_queue *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);

			KUNIT_ASSERT_NOT_NULL(test, p);
			folioq_init(p, 0);
			p->prev = fq;
			if (fq)
				fq->next = p;
			else
				b->folioq = p;
			fq = p;
		}
		folioq_append(fq, folio);

		if (bvecq_is_full(tail)) {
			struct bvecq *p = bvecq_alloc(FOLIO_BATCH_SIZE, BVECQ_MEM_BORROWED,
						      GFP_KERNEL);

			KUNIT_ASSERT_NOT_NULL(test, p);
			bvecq_join(tail, p);
			tail = p;
		}
		tail->live = true;	/* A piece for each folio, come what may. */
		KUNIT_ASSERT_EQ(test, 0, bvecq_append_folio(tail, folio, l->piece, 0));
	}
}

static int cmp_u64(const void *a, const void *b)
{
	u64 x = *(u64 *)a, y = *(u64 *)b;

	return x < y ? -1 : x > y;
}

static u64 median(u64 *values, unsigned int nr)
{
	sort(values, nr, sizeof(*values), cmp_u64, NULL);
	return values[nr / 2];
}

static void iov_iter_bench_op(struct kunit *test, unsigned int op,
			      const struct bench *b, const struct layout *l)
{
	/* What is timed takes some ten microseconds or more. */
	unsigned int repeat = DIV_ROUND_UP(SZ_64M, b->size);
	unsigned int round, n, r;
	u64 (*ns)[ROUNDS];

	if (ops[op].run == op_copy_from)
		repeat = 1;
	else if (ops[op].run == op_advance)
		repeat = DIV_ROUND_UP(16384, b->nr);

	ns = kunit_kcalloc(test, NR_KINDS, sizeof(*ns), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ns);

	for (round = 0; round < ROUNDS; round++) {
		for (n = 0; n < NR_KINDS; n++) {
			enum kind kind = (round + n) % NR_KINDS;
			size_t done = 0;
			u64 t0;

			cond_resched();
			t0 = ktime_get_ns();
			for (r = 0; r < repeat; r++) {
				struct iov_iter iter = bench_iter(b, kind);

				done += ops[op].run(b, &iter);
			}
			ns[kind][round] = ktime_get_ns() - t0;
			KUNIT_ASSERT_EQ(test, done, repeat * b->size);
		}
	}
	kunit_info(test, "bench: op=%s size=%zu piece=%zu bvec=%llu folioq=%llu bvecq=%llu\n",
		   ops[op].name, l->size, l->piece,
		   div_u64(median(ns[BVEC], ROUNDS) * 1000, repeat),
		   div_u64(median(ns[FOLIOQ], ROUNDS) * 1000, repeat),
		   div_u64(median(ns[BVECQ], ROUNDS) * 1000, repeat));
}

static void iov_iter_bench_ops(struct kunit *test)
{
	const struct layout *l = test->param_value;
	struct bench b = {};
	unsigned int i;

	bench_init(test, &b, l);
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		iov_iter_bench_op(test, i, &b, l);
	for (i = 0; i < b.nr; i++)
		KUNIT_EXPECT_MEMEQ(test, folio_address(b.folios[i]),
				   b.buf + i * l->piece, l->piece);
}

static struct bvecq *queue_of(struct kunit *test, unsigned int segs)
{
	struct bvecq *head = NULL, *tail = NULL;

	while (segs--) {
		struct bvecq *bq = bvecq_alloc(1, BVECQ_MEM_BORROWED, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, bq);
		if (tail) {
			bvecq_join(tail, bq);
		} else {
			head = bq;
			KUNIT_ASSERT_EQ(test, 0,
					kunit_add_action_or_reset(test, put_bvecq, head));
		}
		tail = bq;
	}
	return head;
}

/* The lengths take turns, since the CPU's pace may change as time goes by. */
static void iov_iter_bench_join(struct kunit *test)
{
	static const unsigned int lens[] = { 1, 100, JOIN_SEGS };
	struct bvecq *a[ARRAY_SIZE(lens)], *b[ARRAY_SIZE(lens)];
	u64 (*ns)[JOIN_ROUNDS];
	unsigned int i, j, round;

	ns = kunit_kcalloc(test, ARRAY_SIZE(lens), sizeof(*ns), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ns);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		a[i] = bvecq_tail(queue_of(test, lens[i]));
		b[i] = queue_of(test, lens[i]);
	}

	for (round = 0; round < JOIN_ROUNDS; round++) {
		for (i = 0; i < ARRAY_SIZE(lens); i++) {
			u64 t0 = ktime_get_ns();

			for (j = 0; j < JOINS; j++) {
				bvecq_join(a[i], b[i]);
				/* Apart again; nobody else looks. */
				WRITE_ONCE(a[i]->next, NULL);
				WRITE_ONCE(b[i]->prev, NULL);
			}
			ns[i][round] = ktime_get_ns() - t0;
		}
		cond_resched();
	}
	for (i = 0; i < ARRAY_SIZE(lens); i++)
		kunit_info(test, "bench: op=join segs=%u bvecq=%llu\n", lens[i],
			   div_u64(median(ns[i], JOIN_ROUNDS) * 1000, JOINS));
}

#define BENCH	{ .speed = KUNIT_SPEED_VERY_SLOW }

static struct kunit_case iov_iter_bench_cases[] = {
	KUNIT_CASE_PARAM_ATTR(iov_iter_bench_ops, layout_gen_params, BENCH),
	KUNIT_CASE_ATTR(iov_iter_bench_join, BENCH),
	{}
};

static struct kunit_suite iov_iter_bench_suite = {
	.name		= "iov_iter_bench",
	.test_cases	= iov_iter_bench_cases,
};

kunit_test_suite(iov_iter_bench_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Benchmark of ITER_BVECQ");
