/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segmented queue of bio_vecs.
 *
 * See Documentation/core-api/bvecq.rst for a description of the API.
 */
#ifndef _LINUX_BVECQ_H
#define _LINUX_BVECQ_H

#include <linux/bvec.h>
#include <linux/compiler.h>
#include <linux/gfp_types.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/ubuf_info.h>
#include <asm/barrier.h>

struct folio;

/**
 * enum bvecq_mem - What the pieces of a segment are and how they are released
 * @BVECQ_MEM_BORROWED: Memory that stays with its owner; nothing is released.
 *	The owner must keep it until the segment has been released.
 * @BVECQ_MEM_PAGE: Page or folio references: one reference for each folio that
 *	a piece touches, dropped with folio_put().
 * @BVECQ_MEM_PIN: User memory pinned with FOLL_PIN: one pin for each page that
 *	a piece touches, dropped with unpin_user_folio().  The pages are not
 *	marked dirty; whoever wrote into them has to do that first.
 * @BVECQ_MEM_NETMEM: Fragments of network memory, each freed on its own through
 *	the segment's @free_bv.
 */
enum bvecq_mem {
	BVECQ_MEM_BORROWED,
	BVECQ_MEM_PAGE,
	BVECQ_MEM_PIN,
	BVECQ_MEM_NETMEM,
};

/**
 * struct bvecq - One segment of a queue of bio_vecs
 * @next: The next segment or NULL.  A segment owns a reference on its
 *	successor.  Published with release semantics; once it is set, nothing
 *	more may be appended to this segment.
 * @prev: The previous segment or NULL; not a reference.
 * @origin: What a slice was cut from, on which it owns a reference, or NULL.
 * @ref: Who needs the memory.
 * @nr_slots: The number of pieces in @bv.  Published with release semantics
 *	after the piece was written; bvecq_truncate() alone lowers it.
 * @max_slots: The number of pieces that fit into @bv.
 * @mem: How the pieces are released (enum bvecq_mem).
 * @inline_bv: @bv is @__bv and not an array of its own.
 * @reserved: The segment comes from the reserve for writeback.
 * @live: Somebody consumes the segment while it is being filled: a piece that
 *	has been published must not grow any more.
 * @transmitting: The network has not finished with the segment.
 * @sent: The sender has handed the network the message that ends here, and
 *	adds nothing to it.
 * @copied: The network had to copy something.
 * @tx_links: How many messages before this one it has to wait for in one go.
 * @bytes: The sum of the lengths of the pieces.
 * @bv: The pieces.
 * @free_bv: BVECQ_MEM_NETMEM: Frees one piece.  Called in the context of
 *	bvecq_put(), so possibly in softirq.
 * @ubuf: Who is transmitting from the segment: the sender or the predecessor on
 *	the wire, and each sk_buff that points here.
 * @tx_next: The successor on the wire, on which the segment holds a transmit
 *	reference while it is being transmitted.
 * @done: Tells the owner that the segment is finished with, exactly once: when
 *	the network has let go of it or, if it never was transmitted, before its
 *	memory is released.  Gets the segment's number of bytes, queued or not (0 if
 *	bvecq_tx_begin() never was called), and whether the network had to copy any
 *	of them.  May be called in softirq.
 * @priv: The owner's.
 * @__bv: Room for the pieces of a small segment.
 *
 * A queue is a NULL-terminated chain of these.  It is built by one producer
 * and can be consumed while it grows.  Any segment may be empty and any piece
 * may have no length.  A piece may lie anywhere in physically contiguous
 * pages: its offset can exceed PAGE_SIZE.
 */
struct bvecq {
	struct bvecq	*next;
	struct bvecq	*prev;
	struct bvecq	*origin;
	refcount_t	ref;
	unsigned int	nr_slots;
	unsigned int	max_slots;
	u8		mem;
	bool		inline_bv;
	bool		reserved;
	bool		live;
	bool		transmitting;
	bool		sent;
	bool		copied;
	u8		tx_links;
	size_t		bytes;
	struct bio_vec	*bv;
	void		(*free_bv)(struct bio_vec *bv);
	struct ubuf_info ubuf;
	struct bvecq	*tx_next;
	void		(*done)(struct bvecq *bq, size_t bytes, bool copied);
	void		*priv;
	struct bio_vec	__bv[];
};

/* How many segments a packet can refer to by the first one: bvecq_tx_link(). */
#define BVECQ_TX_LINK_MAX	64

/* How many messages in a row can follow one, so as to wait for it. */
#define BVECQ_TX_LINKS_MAX	16

/* The number of pieces that fit into a segment from bvecq_alloc_reserved(). */
#define BVECQ_RESERVED_SLOTS	16

struct bvecq *bvecq_alloc(unsigned int max_slots, enum bvecq_mem mem, gfp_t gfp);
struct bvecq *bvecq_alloc_reserved(enum bvecq_mem mem, gfp_t gfp);
struct bvecq *bvecq_get(struct bvecq *bq);
void bvecq_put(struct bvecq *bq);
int bvecq_append(struct bvecq *bq, struct page *page, unsigned int len,
		 unsigned int offset);
size_t bvecq_append_pages(struct bvecq *bq, struct page **pages, size_t len,
			  size_t offset);
int bvecq_append_grow(struct bvecq **tail, struct page *page, unsigned int len,
		      unsigned int offset, gfp_t gfp);
int bvecq_append_folio(struct bvecq *bq, struct folio *folio, size_t len,
		       size_t offset);
int bvecq_append_kbuf(struct bvecq *bq, const void *buf, size_t len);
size_t bvecq_bytes(const struct bvecq *bq);
void *bvecq_push(struct bvecq *bq, unsigned int len);
void *bvecq_pull(struct bvecq *bq, unsigned int len);
void bvecq_truncate(struct bvecq *bq, size_t len);

int bvecq_tx_begin(struct bvecq *head, const struct ubuf_info_ops *ops, u8 flags);
void bvecq_tx_put(struct bvecq *bq, bool copied);
struct bvecq *bvecq_tx_move(struct bvecq *from, const struct bvecq *to, bool copied);
void bvecq_tx_end(struct bvecq *bq);
bool bvecq_tx_link(struct bvecq *from, struct bvecq *to);

/**
 * bvecq_nr_slots - Get the number of pieces that a segment holds
 * @bq: The segment
 *
 * The pieces below that number can be read, whoever else appends to the
 * segment meanwhile.
 *
 * Context: Any context.
 * Return: The number of pieces.
 */
static inline unsigned int bvecq_nr_slots(const struct bvecq *bq)
{
	/* Pairs with the release when a piece is appended. */
	return smp_load_acquire(&bq->nr_slots);
}

/**
 * bvecq_next - Get the segment that follows a segment
 * @bq: The segment
 *
 * If there is one, then bvecq_nr_slots() of @bq is final from here on.
 *
 * Context: Any context.
 * Return: The next segment, without a reference of the caller's, or NULL.
 */
static inline struct bvecq *bvecq_next(const struct bvecq *bq)
{
	/* Pairs with the release in bvecq_join(). */
	return smp_load_acquire(&bq->next);
}

/**
 * bvecq_is_full - Ask whether a new piece would not fit into a segment
 * @bq: The segment
 *
 * Context: The producer's.
 * Return: True if every slot is taken or a successor has been joined.  Even then
 * a piece that continues the last one may be merged, unless there is a
 * successor.
 */
static inline bool bvecq_is_full(const struct bvecq *bq)
{
	return bq->nr_slots >= bq->max_slots || bq->next;
}

/**
 * bvecq_tail - Find the last segment of a queue
 * @bq: Any segment of the queue
 *
 * This walks the chain; a producer keeps hold of its tail instead.
 *
 * Context: Any context.
 * Return: The last segment, without a reference of the caller's.
 */
static inline struct bvecq *bvecq_tail(struct bvecq *bq)
{
	struct bvecq *next;

	while ((next = bvecq_next(bq)))
		bq = next;
	return bq;
}

/**
 * bvecq_append_bv - Append a piece, given as a bio_vec
 * @bq: The segment
 * @bv: The piece; copied
 *
 * Return: As bvecq_append().
 */
static inline int bvecq_append_bv(struct bvecq *bq, const struct bio_vec *bv)
{
	return bvecq_append(bq, bv->bv_page, bv->bv_len, bv->bv_offset);
}

/**
 * bvecq_join - Join two queues
 * @tail: The last segment of the first queue
 * @chain: The first segment of the second queue
 *
 * Make @chain follow @tail, in constant time: no piece is touched.  The
 * caller's reference on @chain passes to @tail.  This is how a header is glued
 * in front of a payload and how messages are made a compound.  Nothing can be
 * appended to @tail any more.
 *
 * Context: Any context; the caller is the producer of both queues.
 */
static inline void bvecq_join(struct bvecq *tail, struct bvecq *chain)
{
	/* Going on would lose a queue or make a loop. */
	if (WARN_ON_ONCE(tail->next || chain->prev || tail == chain))
		return;
	WRITE_ONCE(chain->prev, tail);
	/* Whoever sees @chain sees all of it, and the last piece of @tail. */
	smp_store_release(&tail->next, chain);
}

/**
 * struct bvecq_stats - What all queues hold at present
 * @segments: The number of segments
 * @bytes: The sum of the lengths of their pieces; a slice counts once more
 */
struct bvecq_stats {
	unsigned long	segments;
	unsigned long	bytes;
};

void bvecq_get_stats(struct bvecq_stats *stats);

/**
 * struct bvecq_pos - A place in a queue
 * @bq: The segment
 * @slot: The piece in it; may be one past the last
 * @offset: Bytes from the start of that piece; may lie beyond its end
 */
struct bvecq_pos {
	const struct bvecq	*bq;
	unsigned int		slot;
	size_t			offset;
};

size_t bvecq_pos_advance(struct bvecq_pos *pos, size_t max_bytes,
			 unsigned int max_pieces, unsigned int *nr_pieces);
struct bvecq *bvecq_slice(struct bvecq_pos *pos, size_t max_bytes,
			  unsigned int max_pieces, gfp_t gfp);

/**
 * bvecq_pos_bv - Find the piece that holds the byte at a place
 * @pos: The place
 *
 * Move @pos on, past finished and empty pieces and segments, until its offset
 * lies within its piece.  The place stays the same byte.
 *
 * Context: Any context.  The caller must hold a reference on the segment or on
 * one before it.
 * Return: The piece, or NULL if the queue has no such byte (yet).
 */
static __always_inline
const struct bio_vec *bvecq_pos_bv(struct bvecq_pos *pos)
{
	unsigned int nr = bvecq_nr_slots(pos->bq);

	for (;;) {
		const struct bvecq *next;

		while (pos->slot < nr) {
			const struct bio_vec *bv = &pos->bq->bv[pos->slot];

			if (likely(pos->offset < bv->bv_len))
				return bv;
			pos->offset -= bv->bv_len;
			pos->slot++;
		}

		/*
		 * The producer may have filled more slots before it joined the
		 * next segment, so look for a successor first and count again.
		 */
		next = bvecq_next(pos->bq);
		nr = bvecq_nr_slots(pos->bq);
		if (pos->slot < nr)
			continue;
		if (!next)
			return NULL;
		pos->bq = next;
		pos->slot = 0;
		nr = bvecq_nr_slots(next);
	}
}

#endif /* _LINUX_BVECQ_H */
