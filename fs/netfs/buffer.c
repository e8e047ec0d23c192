// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Describing the memory of a request as a bvecq
 */

#include <linux/bvecq.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/netfs.h>
#include <linux/uio.h>

/* A segment and its slots fill one page. */
#define NETFS_BVECQ_SLOTS \
	((PAGE_SIZE - sizeof(struct bvecq)) / sizeof(struct bio_vec))

/* What a chain of folios starts with; it grows if they are small. */
#define NETFS_FOLIO_SLOTS	32

/* User memory is not pinned in smaller batches, for lack of slots, than of so many pages. */
#define NETFS_PIN_BATCH		32

/* The largest piece of a buffer. */
#define NETFS_BUFFER_ORDER	min(PAGE_ALLOC_COSTLY_ORDER, MAX_PAGE_ORDER)

/* A chain that is being filled. */
struct netfs_fill {
	struct bvecq	*head;
	struct bvecq	*tail;
	unsigned int	slots_left;	/* How many more slots there may be */
	gfp_t		gfp;
};

static int netfs_fill_begin(struct netfs_fill *fill, size_t slots, enum bvecq_mem mem)
{
	slots = clamp(slots, 1, NETFS_BVECQ_SLOTS);
	slots = umin(slots, fill->slots_left);
	fill->head = bvecq_alloc(slots, mem, fill->gfp);
	if (!fill->head)
		return -ENOMEM;
	fill->tail = fill->head;
	fill->slots_left -= slots;
	return 0;
}

/* Returns -ENOSPC if there may be no more slots, or -ENOMEM. */
static int netfs_fill_grow(struct netfs_fill *fill)
{
	struct bvecq *more;
	unsigned int slots;

	slots = umin(NETFS_BVECQ_SLOTS, fill->slots_left);
	if (!slots)
		return -ENOSPC;
	more = bvecq_alloc(slots, fill->tail->mem, fill->gfp);
	if (!more)
		return -ENOMEM;
	bvecq_join(fill->tail, more);
	fill->tail = more;
	fill->slots_left -= slots;
	return 0;
}

/* Returns -ENOSPC if the piece would be one too many, or -ENOMEM. */
static int netfs_fill_append(struct netfs_fill *fill, struct page *page, size_t len,
			     size_t offset)
{
	int ret;

	ret = bvecq_append(fill->tail, page, len, offset);
	if (ret != -ENOSPC)
		return ret;
	ret = netfs_fill_grow(fill);
	if (ret < 0)
		return ret;
	return bvecq_append(fill->tail, page, len, offset);
}

/* How long a run of the pages of one folio is contiguous memory, in bytes. */
static size_t netfs_run_len(struct page **pages, size_t len, size_t offset)
{
	struct folio *folio = page_folio(pages[0]);
	size_t run = umin(len, PAGE_SIZE - offset);

	for (unsigned int i = 1; run < len; i++) {
		if (pages[i] != pages[0] + i || page_folio(pages[i]) != folio)
			break;
		run += umin(len - run, PAGE_SIZE);
	}
	return run;
}

/*
 * Pin user memory and append it.  The list of pages lies in the slots that they are
 * going to fill: at the end of these, so that each entry is read before its place is
 * taken.
 */
static ssize_t netfs_fill_user(struct netfs_fill *fill, struct iov_iter *iter, size_t len)
{
	struct bvecq *bq = fill->tail;
	struct page **pages;
	unsigned int room;
	size_t offset;
	ssize_t ret;

	room = bq->max_slots - bq->nr_slots;
	if (room < umin(NETFS_PIN_BATCH, DIV_ROUND_UP(len, PAGE_SIZE))) {
		ret = netfs_fill_grow(fill);
		if (!ret) {
			bq = fill->tail;
			room = bq->max_slots;
		} else if (!room) {
			return ret;
		}
	}

	pages = (struct page **)&bq->bv[bq->max_slots] - room;
	ret = iov_iter_extract_pages(iter, &pages, len, room, 0, &offset);
	if (ret <= 0)
		return ret ?: -EIO;
	WARN_ON_ONCE(bvecq_append_pages(bq, pages, ret, offset) != ret);
	return ret;
}

/* Append some kernel memory.  Returns how much, or why there is no more. */
static ssize_t netfs_fill_kernel(struct netfs_fill *fill, struct iov_iter *iter, size_t len,
				 unsigned int flags)
{
	bool referenced = fill->tail->mem == BVECQ_MEM_PAGE;
	struct page *list[32], **pages = list;
	size_t offset, done = 0;
	ssize_t ret;

	ret = iov_iter_extract_pages(iter, &pages, len, ARRAY_SIZE(list), 0, &offset);
	if (ret <= 0)
		return ret ?: -EIO;
	len = ret;

	while (done < len) {
		size_t run = netfs_run_len(pages, len - done, offset);
		struct folio *folio = page_folio(pages[0]);

		ret = -EOPNOTSUPP;
		if ((referenced || (flags & NETFS_EXTRACT_SPLICE)) &&
		    !sendpage_ok(pages[0]))
			break;

		if (referenced)
			folio_get(folio);
		ret = netfs_fill_append(fill, pages[0], run, offset);
		if (ret < 0) {
			if (referenced)
				folio_put(folio);
			break;
		}
		done += run;
		pages += DIV_ROUND_UP(offset + run, PAGE_SIZE);
		offset = 0;
	}
	iov_iter_revert(iter, len - done);
	return done ?: ret;
}

/* Do the segments that a part of a queue lies in hold the memory of their pieces? */
static bool netfs_queue_holds_memory(const struct bvecq_pos *start, size_t len)
{
	const struct bvecq *bq = start->bq;
	struct bvecq_pos end = *start;

	bvecq_pos_advance(&end, len, UINT_MAX, NULL);
	while (bq->mem != BVECQ_MEM_BORROWED) {
		if (bq == end.bq)
			return true;
		bq = bvecq_next(bq);
	}
	return false;
}

/* A reference on a queue does for all that is in it.  Returns 0 if not. */
static ssize_t netfs_slice_iter(struct iov_iter *iter, size_t max_bytes,
				unsigned int max_pieces, unsigned int flags, gfp_t gfp,
				struct bvecq **_bq)
{
	struct bvecq_pos pos = {
		.bq	= iter->bvecq,
		.slot	= iter->bvecq_slot,
		.offset	= iter->iov_offset,
	};
	struct bvecq *bq;

	if (!netfs_queue_holds_memory(&pos, max_bytes))
		return 0;
	bq = bvecq_slice(&pos, max_bytes, max_pieces, gfp);
	if (IS_ERR(bq))
		return PTR_ERR(bq) == -ENODATA ? -EIO : PTR_ERR(bq);
	for (unsigned int i = 0; i < bq->nr_slots; i++) {
		const struct bio_vec *bv = &bq->bv[i];

		if ((flags & NETFS_EXTRACT_SPLICE) &&
		    !sendpage_ok(bv->bv_page + (bv->bv_offset >> PAGE_SHIFT))) {
			bvecq_put(bq);
			return -EOPNOTSUPP;
		}
	}
	iov_iter_advance(iter, bq->bytes);
	*_bq = bq;
	return bq->bytes;
}

/**
 * netfs_extract_iter - Describe the memory behind an iterator as a bvecq
 * @iter: The iterator; advanced by what was taken
 * @max_bytes: How many bytes to take at most
 * @max_pieces: How many pieces to make of them at most
 * @flags: NETFS_EXTRACT_*
 * @gfp: How to allocate the segments
 * @_bq: Where to put the chain
 *
 * Build a chain of segments that refers to the memory, physically contiguous
 * neighbours joined into one piece if they are in one segment.  No data are copied.
 *
 *  - User memory (ITER_UBUF, ITER_IOVEC) is pinned, %BVECQ_MEM_PIN.
 *  - Kernel memory of any type of iterator is borrowed, %BVECQ_MEM_BORROWED:
 *    its owner must keep it in place for as long as anyone may look through the
 *    chain.
 *  - With %NETFS_EXTRACT_REF a reference is taken on each folio instead,
 *    %BVECQ_MEM_PAGE.  Memory of the slab allocator cannot be taken like that.
 *    From a bvecq that holds its memory a slice is cut instead, which holds it by
 *    a reference on the queue.
 *  - With %NETFS_EXTRACT_SPLICE memory is refused to which the network could not
 *    take a page reference, should it have to, even if it is borrowed.
 *
 * The chain can come out shorter than the iterator: when @max_bytes or @max_pieces
 * are used up (of user memory, perhaps before what follows could have been joined to
 * the last piece), at a user address that faults, at memory that cannot be taken, or
 * when memory runs out.  What was taken by then is in the chain and released with
 * it, and the iterator stands behind it; going on from there shows the error.
 *
 * Context: Process context; may sleep for user memory, else if @gfp allows it.
 * Return: The number of bytes taken, which is not 0, and in *@_bq the chain, with
 * one reference that the caller now owns.  Or, with the iterator as before,
 * -EINVAL if there is nothing to take, -EOPNOTSUPP if the memory cannot be taken
 * (copy the data instead), -EIO if the iterator ends before its count does, -ENOMEM,
 * or what it takes to pin user memory: -EFAULT, -EINTR, -EREMOTEIO.
 */
ssize_t netfs_extract_iter(struct iov_iter *iter, size_t max_bytes,
			   unsigned int max_pieces, unsigned int flags, gfp_t gfp,
			   struct bvecq **_bq)
{
	struct netfs_fill fill = { .slots_left = max_pieces, .gfp = gfp };
	enum bvecq_mem mem = BVECQ_MEM_BORROWED;
	size_t slots, taken = 0;
	int ret;

	max_bytes = umin(max_bytes, iov_iter_count(iter));
	if (!max_bytes || !max_pieces)
		return -EINVAL;
	if (iov_iter_is_discard(iter))
		return -EOPNOTSUPP;
	if ((flags & NETFS_EXTRACT_REF) && iov_iter_is_bvecq(iter)) {
		ssize_t n = netfs_slice_iter(iter, max_bytes, max_pieces, flags, gfp, _bq);

		if (n)
			return n;
	}

	if (iov_iter_extract_will_pin(iter))
		mem = BVECQ_MEM_PIN;
	else if (flags & NETFS_EXTRACT_REF)
		mem = BVECQ_MEM_PAGE;

	/* As many as can be needed, but a folio takes only one, however large. */
	slots = iov_iter_npages(iter, NETFS_BVECQ_SLOTS);
	slots = umin(slots, max_bytes / PAGE_SIZE + 2);
	if (iov_iter_is_folioq(iter) || iov_iter_is_xarray(iter))
		slots = umin(slots, NETFS_FOLIO_SLOTS);
	ret = netfs_fill_begin(&fill, slots, mem);
	if (ret < 0)
		return ret;

	while (taken < max_bytes) {
		ssize_t n;

		if (mem == BVECQ_MEM_PIN)
			n = netfs_fill_user(&fill, iter, max_bytes - taken);
		else
			n = netfs_fill_kernel(&fill, iter, max_bytes - taken, flags);
		if (n < 0) {
			ret = n;
			break;
		}
		taken += n;
	}

	if (!taken) {
		bvecq_put(fill.head);
		return ret;
	}
	*_bq = fill.head;
	return taken;
}
EXPORT_SYMBOL_GPL(netfs_extract_iter);

/**
 * netfs_alloc_buffer - Allocate a buffer as a bvecq
 * @size: Its size in bytes
 * @gfp: Allocation flags
 *
 * It is made up of pages, %BVECQ_MEM_PAGE, as large as can be had without an
 * effort; netmem_alloc_bvecq() is there for what is going to be sent.  It is not
 * zeroed unless @gfp has __GFP_ZERO.
 *
 * Context: Any context that @gfp allows.
 * Return: A chain that holds exactly @size bytes, with one reference that the
 * caller now owns, or an ERR_PTR(): -EINVAL if @size is 0 or more than INT_MAX,
 * or -ENOMEM.
 */
struct bvecq *netfs_alloc_buffer(size_t size, gfp_t gfp)
{
	struct netfs_fill fill = { .slots_left = UINT_MAX, .gfp = gfp & ~__GFP_ZERO };
	int ret;

	if (!size || size > INT_MAX)
		return ERR_PTR(-EINVAL);

	ret = netfs_fill_begin(&fill, DIV_ROUND_UP(size, PAGE_SIZE << NETFS_BUFFER_ORDER),
			       BVECQ_MEM_PAGE);
	if (ret < 0)
		return ERR_PTR(ret);

	while (size) {
		unsigned int order = umin(get_order(size), NETFS_BUFFER_ORDER);
		struct folio *folio = NULL;
		size_t part;

		while (order && !folio) {
			folio = folio_alloc((gfp & ~__GFP_DIRECT_RECLAIM) | __GFP_NOWARN |
					    __GFP_NORETRY, order);
			if (!folio)
				order--;
		}
		if (!folio)
			folio = folio_alloc(gfp, 0);
		ret = -ENOMEM;
		if (!folio)
			goto error;

		part = umin(size, folio_size(folio));
		ret = netfs_fill_append(&fill, folio_page(folio, 0), part, 0);
		if (ret < 0) {
			folio_put(folio);
			goto error;
		}
		size -= part;
	}
	return fill.head;

error:
	bvecq_put(fill.head);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(netfs_alloc_buffer);
