// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Segmented queue of bio_vecs: allocation, appending and release.
 *
 * See Documentation/core-api/bvecq.rst for a description of the API.
 */
#include <linux/bvecq.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define CREATE_TRACE_POINTS
#include <trace/events/bvecq.h>

/* As many pieces as fit into one page together with the segment itself. */
#define BVECQ_INLINE_SLOTS \
	((PAGE_SIZE - sizeof(struct bvecq)) / sizeof(struct bio_vec))

/* The least that bvecq_append_grow() makes room for. */
#define BVECQ_GROW_SLOTS	16U

/* Segments that stand ready when there is no memory. */
#define BVECQ_RESERVED_NR	16

static mempool_t bvecq_reserve;

/* Changes made on one CPU: only the sum over all of them means something. */
static DEFINE_PER_CPU(struct bvecq_stats, bvecq_stats);

static void bvecq_init(struct bvecq *bq, unsigned int max_slots, enum bvecq_mem mem)
{
	this_cpu_inc(bvecq_stats.segments);
	*bq = (struct bvecq) {
		.ref		= REFCOUNT_INIT(1),
		.max_slots	= max_slots,
		.mem		= mem,
		.inline_bv	= true,
		.bv		= bq->__bv,
	};
}

/**
 * bvecq_alloc - Allocate a segment
 * @max_slots: How many pieces shall fit; may be 0
 * @mem: How its pieces are to be released
 * @gfp: Allocation flags
 *
 * A BVECQ_MEM_NETMEM segment needs @free_bv set before the first piece is
 * appended.
 *
 * Context: Any context that @gfp allows.
 * Return: An empty segment with one reference, or NULL if there is no memory.
 */
struct bvecq *bvecq_alloc(unsigned int max_slots, enum bvecq_mem mem, gfp_t gfp)
{
	unsigned int nr_inline = max_slots <= BVECQ_INLINE_SLOTS ? max_slots : 0;
	struct bio_vec *bv = NULL;
	struct bvecq *bq;

	bq = kmalloc_flex(*bq, __bv, nr_inline, gfp);
	if (!bq)
		return NULL;

	if (nr_inline < max_slots) {
		bv = kvmalloc_objs(*bv, max_slots, gfp);
		if (!bv) {
			kfree(bq);
			return NULL;
		}
	}

	bvecq_init(bq, max_slots, mem);
	if (bv) {
		bq->inline_bv = false;
		bq->bv = bv;
	}
	trace_bvecq_alloc(bq, __builtin_return_address(0));
	return bq;
}
EXPORT_SYMBOL_GPL(bvecq_alloc);

/**
 * bvecq_alloc_reserved - Allocate a segment that writeback can rely on
 * @mem: How its pieces are to be released
 * @gfp: Allocation flags; GFP_NOFS or GFP_NOIO for writeback
 *
 * As bvecq_alloc() with BVECQ_RESERVED_SLOTS slots, but a reserve stands behind
 * it.  If @gfp allows to sleep it does not fail, but waits until a segment comes
 * back: so the caller may not hold back another one that it got here.
 *
 * Context: Any context that @gfp allows.
 * Return: An empty segment with one reference; NULL only if @gfp does not allow
 * to sleep.
 */
struct bvecq *bvecq_alloc_reserved(enum bvecq_mem mem, gfp_t gfp)
{
	struct bvecq *bq = mempool_alloc(&bvecq_reserve, gfp);

	if (bq) {
		bvecq_init(bq, BVECQ_RESERVED_SLOTS, mem);
		bq->reserved = true;
		trace_bvecq_alloc(bq, __builtin_return_address(0));
	}
	return bq;
}
EXPORT_SYMBOL_GPL(bvecq_alloc_reserved);

static int __init bvecq_reserve_init(void)
{
	struct bvecq *bq;

	return mempool_init_kmalloc_pool(&bvecq_reserve, BVECQ_RESERVED_NR,
					 struct_size(bq, __bv, BVECQ_RESERVED_SLOTS));
}
core_initcall(bvecq_reserve_init);

/* A piece without length still holds what its first byte would hold. */
static unsigned long bvecq_bv_pages(const struct bio_vec *bv)
{
	size_t len = bv->bv_len ?: 1;

	return DIV_ROUND_UP(offset_in_page(bv->bv_offset) + len, PAGE_SIZE);
}

/* Drop one reference, or a pin for each page, on every folio of a piece. */
static void bvecq_put_folios(const struct bio_vec *bv, bool pinned)
{
	struct page *page = bv->bv_page + (bv->bv_offset >> PAGE_SHIFT);
	unsigned long nr = bvecq_bv_pages(bv);

	while (nr) {
		struct folio *folio = page_folio(page);
		unsigned long part;

		part = umin(nr, folio_nr_pages(folio) - folio_page_idx(folio, page));
		page += part;
		nr -= part;
		if (pinned)
			unpin_user_folio(folio, part);
		else
			folio_put(folio);
	}
}

/* Tell the owner, if there is one that has not been told yet. */
static void bvecq_tell_owner(struct bvecq *bq, size_t bytes)
{
	void (*done)(struct bvecq *bq, size_t bytes, bool copied) = bq->done;

	if (done) {
		bq->done = NULL;
		done(bq, bytes, READ_ONCE(bq->copied));
	}
}

/* Let go of what the pieces of a segment hold. */
static void bvecq_release_pieces(struct bvecq *bq)
{
	if (bq->mem == BVECQ_MEM_BORROWED)
		return;

	for (unsigned int i = 0; i < bq->nr_slots; i++) {
		struct bio_vec *bv = &bq->bv[i];

		if (!bv->bv_page)
			continue;
		if (bq->mem == BVECQ_MEM_NETMEM)
			bq->free_bv(bv);
		else
			bvecq_put_folios(bv, bq->mem == BVECQ_MEM_PIN);
	}
}

/**
 * bvecq_get - Take a reference on a segment
 * @bq: The segment
 *
 * The segment, and through it everything that follows it, stays until the
 * reference is dropped with bvecq_put().
 *
 * Context: Any context.
 * Return: @bq.
 */
struct bvecq *bvecq_get(struct bvecq *bq)
{
	refcount_inc(&bq->ref);
	trace_bvecq_ref(bq, 1, __builtin_return_address(0));
	return bq;
}
EXPORT_SYMBOL_GPL(bvecq_get);

static void bvecq_free(struct bvecq *bq)
{
	this_cpu_dec(bvecq_stats.segments);
	this_cpu_sub(bvecq_stats.bytes, bq->bytes);
	if (!bq->inline_bv)
		kvfree_atomic(bq->bv);
	if (bq->reserved)
		mempool_free(bq, &bvecq_reserve);
	else
		kfree(bq);
}

/**
 * bvecq_put - Drop a reference on a segment
 * @bq: The segment or NULL
 *
 * With the last reference the pieces are released as the segment's memory type
 * says, the segment is freed, and the references that it owns, on its successor
 * and on what it was cut from, are dropped likewise.  That is a loop, so chains
 * may have any length and slices any depth.
 *
 * Context: Any context but hardirq and NMI.
 */
void bvecq_put(struct bvecq *bq)
{
	struct bvecq *slices = NULL;

	for (;;) {
		struct bvecq *dead;

		while (bq) {
			trace_bvecq_ref(bq, -1, __builtin_return_address(0));
			if (!refcount_dec_and_test(&bq->ref))
				break;

			dead = bq;
			bq = dead->next;
			/* The reference that we own keeps it until we are there. */
			if (bq)
				WRITE_ONCE(bq->prev, NULL);

			bvecq_tell_owner(dead, 0);
			trace_bvecq_release(dead);
			bvecq_release_pieces(dead);
			if (dead->origin) {
				dead->prev = slices;
				slices = dead;
			} else {
				bvecq_free(dead);
			}
		}

		dead = slices;
		if (!dead)
			break;
		slices = dead->prev;
		bq = dead->origin;
		bvecq_free(dead);
	}
}
EXPORT_SYMBOL_GPL(bvecq_put);

/*
 * Try to make a piece part of the last one.  What the grown piece holds must
 * still be what its release drops.
 */
static bool bvecq_merge(struct bvecq *bq, struct page *page, unsigned int len,
			unsigned int offset)
{
	struct bio_vec *bv;
	size_t end;

	if (!bq->nr_slots || bq->live || bq->mem == BVECQ_MEM_NETMEM || !len)
		return false;

	bv = &bq->bv[bq->nr_slots - 1];
	if (!bv->bv_page || !page || !bv->bv_len || len > UINT_MAX - bv->bv_len)
		return false;

	/* Contiguous in memory and in the memory map: walks go by struct page. */
	end = (size_t)bv->bv_offset + bv->bv_len;
	if (bv->bv_page + end / PAGE_SIZE != page + offset / PAGE_SIZE)
		return false;
	if (page_to_phys(bv->bv_page) + end != page_to_phys(page) + offset)
		return false;
	if (!zone_device_pages_have_same_pgmap(bv->bv_page, page))
		return false;

	page += offset / PAGE_SIZE;
	switch (bq->mem) {
	case BVECQ_MEM_PIN:
		/* A second pin on one page would be forgotten. */
		if (offset_in_page(offset))
			return false;
		break;
	case BVECQ_MEM_PAGE:
		/* One reference for each folio: the second one is surplus. */
		if (page_folio(bv->bv_page + (end - 1) / PAGE_SIZE) == page_folio(page))
			folio_put(page_folio(page));
		break;
	}

	bv->bv_len += len;
	WRITE_ONCE(bq->bytes, bq->bytes + len);
	return true;
}

/* Append a piece that the statistics have yet to hear of. */
static int bvecq_add(struct bvecq *bq, struct page *page, unsigned int len,
		     unsigned int offset)
{
	/* A consumer that saw the successor does not look here again. */
	if (bq->next)
		return -ENOSPC;
	if (bvecq_merge(bq, page, len, offset))
		return 0;
	if (bq->nr_slots >= bq->max_slots)
		return -ENOSPC;

	bvec_set_page(&bq->bv[bq->nr_slots], page, len, offset);
	WRITE_ONCE(bq->bytes, bq->bytes + len);
	/* Pairs with bvecq_nr_slots(): the piece comes before the count. */
	smp_store_release(&bq->nr_slots, bq->nr_slots + 1);
	return 0;
}

/**
 * bvecq_append - Append a piece of memory to a segment
 * @bq: The segment
 * @page: The first page
 * @len: Length in bytes
 * @offset: Offset from the start of @page in bytes; may exceed PAGE_SIZE
 *
 * The piece must be physically contiguous.  If it continues the last piece, it
 * is merged with that, except for network memory, where each fragment is freed
 * by itself, and in a segment that is being consumed (@live).
 *
 * On success the segment takes over from the caller what its memory type says
 * that a piece holds: one reference on each folio, one pin on each page, the
 * fragment.  On failure all that stays with the caller.
 *
 * Context: Any context; one producer at a time.
 * Return: 0, -ENOSPC if the segment is full or has a successor, or -EINVAL if it
 * is for network memory and has no @free_bv.
 */
int bvecq_append(struct bvecq *bq, struct page *page, unsigned int len,
		 unsigned int offset)
{
	int ret;

	if (WARN_ON_ONCE(bq->mem == BVECQ_MEM_NETMEM && !bq->free_bv))
		return -EINVAL;
	ret = bvecq_add(bq, page, len, offset);
	if (!ret)
		this_cpu_add(bvecq_stats.bytes, len);
	return ret;
}
EXPORT_SYMBOL_GPL(bvecq_append);

/**
 * bvecq_append_pages - Append the memory of an array of pages to a segment
 * @bq: The segment; must not be BVECQ_MEM_NETMEM
 * @pages: The pages
 * @len: Length in bytes
 * @offset: Offset from the start of the first page in bytes, less than PAGE_SIZE
 *
 * As bvecq_append() for the part of each page, whose reference or pin the segment
 * takes over, and as long as they fit.  Those that follow one another in memory
 * take one slot.
 *
 * Context: Any context; one producer at a time.
 * Return: How many bytes were appended: @len, or what whole pages fitted if the
 * segment is full by then, none if it has a successor or is for network memory.  The
 * other pages stay with the caller.
 */
size_t bvecq_append_pages(struct bvecq *bq, struct page **pages, size_t len,
			  size_t offset)
{
	size_t done = 0;

	if (WARN_ON_ONCE(bq->mem == BVECQ_MEM_NETMEM))
		return 0;

	while (done < len) {
		size_t part = umin(len - done, PAGE_SIZE - offset);

		if (bvecq_add(bq, *pages++, part, offset) < 0)
			break;
		done += part;
		offset = 0;
	}
	this_cpu_add(bvecq_stats.bytes, done);
	return done;
}
EXPORT_SYMBOL_GPL(bvecq_append_pages);

/**
 * bvecq_append_grow - Append a piece of memory to a queue
 * @tail: Where the producer keeps the queue's last segment
 * @page: The first page
 * @len: Length in bytes
 * @offset: Offset from the start of @page in bytes; may exceed PAGE_SIZE
 * @gfp: Allocation flags for another segment
 *
 * As bvecq_append(), but when *@tail is full a segment of the same kind is
 * joined and *@tail moves on to it.  The new segment belongs to its
 * predecessor: the caller's reference on the head of the queue covers it.
 *
 * Context: Any context that @gfp allows; one producer at a time.
 * Return: 0, or -ENOMEM, or -EINVAL as for bvecq_append().  On failure the queue
 * is as before and the piece stays with the caller.
 */
int bvecq_append_grow(struct bvecq **tail, struct page *page, unsigned int len,
		      unsigned int offset, gfp_t gfp)
{
	struct bvecq *old = *tail, *bq;
	int ret;

	ret = bvecq_append(old, page, len, offset);
	if (ret != -ENOSPC)
		return ret;

	bq = bvecq_alloc(max(old->max_slots, BVECQ_GROW_SLOTS), old->mem, gfp);
	if (!bq)
		return -ENOMEM;
	bq->live = old->live;
	bq->free_bv = old->free_bv;

	/* Fill before joining, so that no consumer finds it empty. */
	bvecq_append(bq, page, len, offset);
	bvecq_join(old, bq);
	*tail = bq;
	return 0;
}
EXPORT_SYMBOL_GPL(bvecq_append_grow);

/**
 * bvecq_append_folio - Append a part of a folio to a segment
 * @bq: The segment
 * @folio: The folio
 * @len: Length in bytes
 * @offset: Offset from the start of @folio in bytes
 *
 * However large, it is one piece and (BVECQ_MEM_PAGE) one reference.
 *
 * Context: Any context; one producer at a time.
 * Return: As bvecq_append(); -EINVAL also if the folio is not as big as that.
 */
int bvecq_append_folio(struct bvecq *bq, struct folio *folio, size_t len,
		       size_t offset)
{
	size_t size = folio_size(folio);

	if (WARN_ON_ONCE(offset > size || len > size - offset))
		return -EINVAL;
	return bvecq_append(bq, folio_page(folio, 0), len, offset);
}
EXPORT_SYMBOL_GPL(bvecq_append_folio);

/**
 * bvecq_append_kbuf - Append a kernel buffer to a segment
 * @bq: The segment; must be BVECQ_MEM_BORROWED
 * @buf: The buffer, from the linear map or from vmalloc()
 * @len: Length in bytes
 *
 * The buffer stays with the caller.  Memory from kmalloc() cannot be spliced
 * into the network, as it takes no page references.
 *
 * Context: Any context; one producer at a time.
 * Return: 0, -EINVAL if the segment is of another memory type or @len does not fit
 * into an unsigned int, or -ENOSPC as for bvecq_append(); then nothing was appended.
 */
int bvecq_append_kbuf(struct bvecq *bq, const void *buf, size_t len)
{
	unsigned int nr = bq->nr_slots;

	if (WARN_ON_ONCE(bq->mem != BVECQ_MEM_BORROWED || len > UINT_MAX))
		return -EINVAL;

	if (!is_vmalloc_or_module_addr(buf))
		return bvecq_append(bq, virt_to_page(buf), len, offset_in_page(buf));

	/* Pages of vmalloc() memory merge only by luck: see that all fit. */
	if (bq->max_slots - nr < DIV_ROUND_UP(offset_in_page(buf) + len, PAGE_SIZE))
		return -ENOSPC;

	do {
		unsigned int part = umin(len, PAGE_SIZE - offset_in_page(buf));
		int ret = bvecq_append(bq, vmalloc_to_page(buf), part,
				       offset_in_page(buf));

		if (ret < 0)
			return ret;
		buf += part;
		len -= part;
	} while (len);
	return 0;
}
EXPORT_SYMBOL_GPL(bvecq_append_kbuf);

/**
 * bvecq_pull - Take bytes off the front of a segment
 * @bq: The segment
 * @len: Number of bytes, no more than its first piece has
 *
 * The bytes stay where they are, so that bvecq_push() can give them back: this is
 * how room is kept in front of a header.
 *
 * Context: The producer's, before anybody reads the segment.  Its first piece must
 * be mapped, as network memory always is.
 * Return: Where the segment begins now, or NULL if its first piece is shorter.
 */
void *bvecq_pull(struct bvecq *bq, unsigned int len)
{
	struct bio_vec *bv = &bq->bv[0];

	if (WARN_ON_ONCE(!bq->nr_slots || bv->bv_len < len || bq->transmitting))
		return NULL;
	bv->bv_offset += len;
	bv->bv_len -= len;
	WRITE_ONCE(bq->bytes, bq->bytes - len);
	this_cpu_sub(bvecq_stats.bytes, len);
	return page_address(bv->bv_page) + bv->bv_offset;
}
EXPORT_SYMBOL_GPL(bvecq_pull);

/**
 * bvecq_push - Give back bytes that bvecq_pull() has taken
 * @bq: The segment
 * @len: Number of bytes, no more than were taken
 *
 * Context: The producer's, before anybody reads the segment.
 * Return: Where the segment begins now, or NULL if its page begins later.
 */
void *bvecq_push(struct bvecq *bq, unsigned int len)
{
	struct bio_vec *bv = &bq->bv[0];

	if (WARN_ON_ONCE(!bq->nr_slots || bv->bv_offset < len || bq->transmitting))
		return NULL;
	bv->bv_offset -= len;
	bv->bv_len += len;
	WRITE_ONCE(bq->bytes, bq->bytes + len);
	this_cpu_add(bvecq_stats.bytes, len);
	return page_address(bv->bv_page) + bv->bv_offset;
}
EXPORT_SYMBOL_GPL(bvecq_push);

/**
 * bvecq_truncate - Give back network memory that is not needed
 * @bq: The segment to start at
 * @len: Number of bytes to keep, which the queue has
 *
 * The fragments that lie behind these bytes are freed.  This is for who cannot
 * tell how much he is going to fill in.
 *
 * Context: The producer's, before anybody reads the queue.  Else as bvecq_put().
 */
void bvecq_truncate(struct bvecq *bq, size_t len)
{
	unsigned int nr = 0;
	struct bvecq *rest;
	size_t left;

	while (bq->bytes < len && bq->next) {
		len -= bq->bytes;
		bq = bq->next;
	}
	if (WARN_ON_ONCE(bq->mem != BVECQ_MEM_NETMEM || bq->bytes < len || bq->transmitting))
		return;

	for (left = len; left; nr++) {
		bq->bv[nr].bv_len = umin(bq->bv[nr].bv_len, left);
		left -= bq->bv[nr].bv_len;
	}
	for (unsigned int i = nr; i < bq->nr_slots; i++)
		bq->free_bv(&bq->bv[i]);
	bq->nr_slots = nr;
	this_cpu_sub(bvecq_stats.bytes, bq->bytes - len);
	bq->bytes = len;

	rest = bq->next;
	bq->next = NULL;
	if (rest)
		WRITE_ONCE(rest->prev, NULL);
	bvecq_put(rest);
}
EXPORT_SYMBOL_GPL(bvecq_truncate);

/**
 * bvecq_bytes - Count the bytes in a queue
 * @bq: The segment to start at; may be NULL
 *
 * Context: Any context.
 * Return: The number of bytes from the start of @bq to the end of the queue.
 */
size_t bvecq_bytes(const struct bvecq *bq)
{
	size_t bytes = 0;

	for (; bq; bq = bvecq_next(bq))
		bytes += READ_ONCE(bq->bytes);
	return bytes;
}
EXPORT_SYMBOL_GPL(bvecq_bytes);

/**
 * bvecq_get_stats - Find out what all queues hold at present
 * @stats: Where to put that
 *
 * A snapshot: what is allocated or released meanwhile may be counted or not.
 *
 * Context: Any context.
 */
void bvecq_get_stats(struct bvecq_stats *stats)
{
	int cpu;

	*stats = (struct bvecq_stats){};
	for_each_possible_cpu(cpu) {
		const struct bvecq_stats *s = per_cpu_ptr(&bvecq_stats, cpu);

		stats->segments += READ_ONCE(s->segments);
		stats->bytes += READ_ONCE(s->bytes);
	}
}
EXPORT_SYMBOL_GPL(bvecq_get_stats);

/**
 * bvecq_pos_advance - Pass over a part of a queue
 * @pos: The place to start from; moved to the end of the part
 * @max_bytes: How many bytes to pass over at most
 * @max_pieces: How many pieces to touch at most; those without length are free
 * @nr_pieces: Where to put the number of pieces that were touched, or NULL
 *
 * This is how a transport that takes so many bytes in so many segments finds out
 * how much of a request goes into one operation.
 *
 * Context: Any context.  The caller must hold a reference on the segment that
 * @pos is in or on one before it.
 * Return: The number of bytes passed over, less than @max_bytes if the queue
 * ends or @max_pieces are used up.
 */
size_t bvecq_pos_advance(struct bvecq_pos *pos, size_t max_bytes,
			 unsigned int max_pieces, unsigned int *nr_pieces)
{
	unsigned int nr = 0;
	size_t bytes = 0;

	while (bytes < max_bytes && nr < max_pieces) {
		const struct bio_vec *bv = bvecq_pos_bv(pos);
		size_t part;

		if (!bv)
			break;
		part = umin(max_bytes - bytes, bv->bv_len - pos->offset);
		pos->offset += part;
		bytes += part;
		nr++;
	}
	if (nr_pieces)
		*nr_pieces = nr;
	return bytes;
}
EXPORT_SYMBOL_GPL(bvecq_pos_advance);

/**
 * bvecq_slice - Describe a part of a queue as a segment of its own
 * @pos: Where the part starts; moved to its end on success
 * @max_bytes: How many bytes to take at most
 * @max_pieces: How many pieces to take at most
 * @gfp: Allocation flags
 *
 * The slice borrows the pieces and owns a reference on the segment in which they
 * start, and through it on the whole rest of that queue: so it may outlive what it
 * was cut from, but that memory is released no sooner than the slice.  It can
 * be joined, transmitted and sliced like any other segment.
 *
 * Context: Any context that @gfp allows.  The caller must hold a reference on the
 * segment that @pos is in or on one before it.
 * Return: The slice with one reference, which is the caller's, or an ERR_PTR():
 * -ENODATA if there is no byte to take (yet), or -ENOMEM.
 */
struct bvecq *bvecq_slice(struct bvecq_pos *pos, size_t max_bytes,
			  unsigned int max_pieces, gfp_t gfp)
{
	struct bvecq_pos from = *pos, end = *pos;
	const struct bio_vec *bv;
	struct bvecq *slice;
	unsigned int nr;
	size_t bytes;

	bytes = bvecq_pos_advance(&end, max_bytes, max_pieces, &nr);
	if (!bytes)
		return ERR_PTR(-ENODATA);
	slice = bvecq_alloc(nr, BVECQ_MEM_BORROWED, gfp);
	if (!slice)
		return ERR_PTR(-ENOMEM);

	for (size_t left = bytes; left;) {
		unsigned int part;

		bv = bvecq_pos_bv(&from);
		part = umin(left, bv->bv_len - from.offset);
		if (left == bytes)
			slice->origin = bvecq_get((struct bvecq *)from.bq);
		/* There is a slot for each. */
		bvecq_append(slice, bv->bv_page, part, bv->bv_offset + from.offset);
		from.offset += part;
		left -= part;
	}

	*pos = end;
	return slice;
}
EXPORT_SYMBOL_GPL(bvecq_slice);

/**
 * bvecq_tx_begin - Get a queue ready for transmission
 * @head: The first segment of the queue; nothing may be appended any more
 * @ops: How the network tells that it has finished with a segment
 * @flags: SKBFL_* for each sk_buff that carries data of the queue
 *
 * The network as a whole takes a reference on the memory of each segment.  Each
 * segment takes a transmit reference on its successor, so that an sk_buff which
 * carries bytes of several segments needs one on its first segment only, and
 * completion is in the order of the stream.  The caller gets the transmit
 * reference on @head, to be moved on with bvecq_tx_move() as he goes, and dropped
 * with bvecq_tx_end() when everything has been handed to the socket or nothing
 * more will be.
 *
 * Context: Any context; the caller holds a reference on @head.
 * Return: 0, or -EBUSY if a part of the queue is still being transmitted, say on
 * a connection that has since been given up; then nothing was done.
 */
int bvecq_tx_begin(struct bvecq *head, const struct ubuf_info_ops *ops, u8 flags)
{
	struct bvecq *bq;

	for (bq = head; bq; bq = bvecq_next(bq))
		/* Pairs with the release in bvecq_tx_put(). */
		if (smp_load_acquire(&bq->transmitting))
			return -EBUSY;

	for (bq = head; bq; bq = bvecq_next(bq)) {
		bvecq_get(bq);
		bq->transmitting = true;
		bq->sent = false;
		bq->copied = false;
		bq->tx_links = 0;
		bq->tx_next = bvecq_next(bq);
		bq->ubuf.ops = ops;
		bq->ubuf.flags = flags;
		refcount_set(&bq->ubuf.refcnt, 1);
	}
	return 0;
}
EXPORT_SYMBOL_GPL(bvecq_tx_begin);

/**
 * bvecq_tx_put - Drop a transmit reference
 * @bq: The segment
 * @copied: The data that the reference was for were copied
 *
 * With the last one the owner is told, the network's reference on the memory goes,
 * and the transmit reference on the successor is dropped likewise.  Whoever
 * else holds the memory, for a resend say, does not hold that up.  This is a
 * loop, so a chain may have any length.
 *
 * Context: Any context but hardirq and NMI.
 */
void bvecq_tx_put(struct bvecq *bq, bool copied)
{
	while (bq) {
		struct bvecq *next;

		/* Ordered before the owner reads it by the reference count. */
		if (copied)
			WRITE_ONCE(bq->copied, true);
		if (!refcount_dec_and_test(&bq->ubuf.refcnt))
			break;

		next = bq->tx_next;
		bq->tx_next = NULL;
		bvecq_tell_owner(bq, bq->bytes);
		/* From here on it can be sent again: see bvecq_tx_begin(). */
		smp_store_release(&bq->transmitting, false);
		bvecq_put(bq);

		bq = next;
		/* Of which segment the bytes were is not known: say the first. */
		copied = false;
	}
}
EXPORT_SYMBOL_GPL(bvecq_tx_put);

/**
 * bvecq_tx_move - Move the sender's transmit reference on
 * @from: The segment that the reference is on
 * @to: This segment, or a later one of the same queue
 * @copied: What lies before the place that the sender has reached was copied
 *
 * A sender who moves his reference on as he goes is told of the first segments
 * while he is still sending the last.
 *
 * Context: Any context but hardirq and NMI.
 * Return: @to, with the reference.
 */
struct bvecq *bvecq_tx_move(struct bvecq *from, const struct bvecq *to, bool copied)
{
	for (;;) {
		struct bvecq *next = from->tx_next;

		if (copied)
			WRITE_ONCE(from->copied, true);
		if (from == to || WARN_ON_ONCE(!next))
			return from;
		/* @from holds it until then. */
		refcount_inc(&next->ubuf.refcnt);
		next->tx_links = from->tx_links;
		bvecq_tx_put(from, false);
		from = next;
	}
}
EXPORT_SYMBOL_GPL(bvecq_tx_move);

/**
 * bvecq_tx_end - Drop the sender's transmit reference
 * @bq: The segment that it is on
 *
 * The sender has handed over everything, or gives up.  If @bq is the last segment,
 * other messages may follow it now: see bvecq_tx_link().
 *
 * Context: Any context but hardirq and NMI.
 */
void bvecq_tx_end(struct bvecq *bq)
{
	if (!bq->tx_next)
		WRITE_ONCE(bq->sent, true);
	bvecq_tx_put(bq, false);
}
EXPORT_SYMBOL_GPL(bvecq_tx_end);

/**
 * bvecq_tx_link - Make a segment follow another one on the wire
 * @from: The segment that an sk_buff refers to
 * @to: The segment whose bytes are being added to that sk_buff
 *
 * If @to belongs to a later message than @from, then the last segment on the wire
 * before @to takes a transmit reference on @to, so that the sk_buff's reference
 * on @from covers both.  Otherwise that is so already.
 *
 * A message that is still being sent cannot be followed by another one: two
 * senders who take turns would have each wait for the other's last segment.  Nor
 * can @from be followed by more than %BVECQ_TX_LINK_MAX segments: an sk_buff whose
 * end is split off and grows again would hold it for as long as there is more.  And
 * no more than %BVECQ_TX_LINKS_MAX messages follow one another, lest a clone of one
 * packet that somebody does not let go of hold all that is sent after it.
 *
 * Context: The socket is locked; transmit references on @from and @to are held.
 * Return: Whether the reference on @from covers @to.
 */
bool bvecq_tx_link(struct bvecq *from, struct bvecq *to)
{
	for (unsigned int n = 0; from != to; n++) {
		if (n == BVECQ_TX_LINK_MAX)
			return false;
		if (!from->tx_next) {
			if (!READ_ONCE(from->sent) || from->tx_links == BVECQ_TX_LINKS_MAX)
				return false;
			refcount_inc(&to->ubuf.refcnt);
			to->tx_links = from->tx_links + 1;
			from->tx_next = to;
			break;
		}
		from = from->tx_next;
	}
	return true;
}
EXPORT_SYMBOL_GPL(bvecq_tx_link);
