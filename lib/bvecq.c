// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Segmented queue of bio_vecs: allocation, appending and release.
 *
 * See Documentation/core-api/bvecq.rst for a description of the API.
 */
#include <linux/bvecq.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

/* As many pieces as fit into one page together with the segment itself. */
#define BVECQ_INLINE_SLOTS \
	((PAGE_SIZE - sizeof(struct bvecq)) / sizeof(struct bio_vec))

/* The least that bvecq_append_grow() makes room for. */
#define BVECQ_GROW_SLOTS	16U

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
	struct bvecq *bq;

	bq = kmalloc_flex(*bq, __bv, nr_inline, gfp);
	if (!bq)
		return NULL;

	*bq = (struct bvecq) {
		.ref		= REFCOUNT_INIT(1),
		.max_slots	= max_slots,
		.mem		= mem,
		.inline_bv	= nr_inline == max_slots,
	};
	bq->bv = bq->__bv;
	if (!bq->inline_bv) {
		bq->bv = kvmalloc_objs(*bq->bv, max_slots, gfp);
		if (!bq->bv) {
			kfree(bq);
			return NULL;
		}
	}
	return bq;
}
EXPORT_SYMBOL_GPL(bvecq_alloc);

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
 * bvecq_put - Drop a reference on a segment
 * @bq: The segment or NULL
 *
 * With the last reference the pieces are released as the segment's memory type
 * says, the segment is freed, and the reference that it owns on its successor
 * is dropped likewise.  That is a loop, so a chain may have any length.
 *
 * Context: Any context but hardirq and NMI.
 */
void bvecq_put(struct bvecq *bq)
{
	while (bq && refcount_dec_and_test(&bq->ref)) {
		struct bvecq *next = bq->next;

		/* The reference that we own keeps @next until we are there. */
		if (next)
			WRITE_ONCE(next->prev, NULL);

		bvecq_release_pieces(bq);
		if (!bq->inline_bv)
			kvfree_atomic(bq->bv);
		kfree(bq);
		bq = next;
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
	if (page_to_phys(bv->bv_page) + end != page_to_phys(page) + offset)
		return false;
	if (bv->bv_page + end / PAGE_SIZE != page + offset / PAGE_SIZE)
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
	return true;
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
	if (WARN_ON_ONCE(bq->mem == BVECQ_MEM_NETMEM && !bq->free_bv))
		return -EINVAL;
	/* A consumer that saw the successor does not look here again. */
	if (bq->next)
		return -ENOSPC;
	if (bvecq_merge(bq, page, len, offset))
		return 0;
	if (bq->nr_slots >= bq->max_slots)
		return -ENOSPC;

	bvec_set_page(&bq->bv[bq->nr_slots], page, len, offset);
	/* Pairs with bvecq_nr_slots(): the piece comes before the count. */
	smp_store_release(&bq->nr_slots, bq->nr_slots + 1);
	return 0;
}
EXPORT_SYMBOL_GPL(bvecq_append);

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
 * Return: 0, -EINVAL if the segment is of another memory type, or -ENOSPC as for
 * bvecq_append(); then nothing of the buffer was appended.
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
 * bvecq_bytes - Count the bytes in a queue
 * @bq: The segment to start at; may be NULL
 *
 * Context: Any context.
 * Return: The number of bytes from the start of @bq to the end of the queue.
 */
size_t bvecq_bytes(const struct bvecq *bq)
{
	size_t bytes = 0;

	for (; bq; bq = bvecq_next(bq)) {
		unsigned int nr = bvecq_nr_slots(bq);

		for (unsigned int i = 0; i < nr; i++)
			bytes += bq->bv[i].bv_len;
	}
	return bytes;
}
EXPORT_SYMBOL_GPL(bvecq_bytes);
