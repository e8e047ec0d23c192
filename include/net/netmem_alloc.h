/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Socket-keyed allocator of transmit memory, built on page_pool.
 *
 * See Documentation/networking/netmem_alloc.rst.
 */
#ifndef _NET_NETMEM_ALLOC_H
#define _NET_NETMEM_ALLOC_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/bvec.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <net/net_debug.h>

struct bvecq;
struct dst_cache;
struct dst_entry;
struct sockaddr;
struct sock;

/**
 * define NETMEM_HINT_UNRETAINED - the fragment is freed as soon as it is sent
 *
 * For ACKs and the like, which nobody keeps for a retransmission. Such
 * fragments never share a chunk with retained ones, so that a fragment that
 * lives long does not hold up the recycling of many that live shortly.
 */
#define NETMEM_HINT_UNRETAINED	BIT(0)

/**
 * define NETMEM_FRAG_MAX - the longest fragment, and the largest alignment
 */
#if PAGE_SIZE < SZ_32K
#define NETMEM_FRAG_MAX		SZ_32K
#else
#define NETMEM_FRAG_MAX		PAGE_SIZE
#endif

int netmem_alloc_gfp(const struct sock *sk, size_t len, size_t align,
		     unsigned int hints, gfp_t gfp, struct bio_vec *bv);
int netmem_alloc_dst(const struct dst_entry *dst, size_t len, size_t align,
		     unsigned int hints, gfp_t gfp, struct bio_vec *bv);
int netmem_alloc_dest(struct sock *sk, const struct sockaddr *dest,
		      int dest_len, struct dst_cache *cache, size_t len,
		      size_t align, unsigned int hints, gfp_t gfp,
		      struct bio_vec *bv);
struct bvecq *netmem_alloc_bvecq(const struct sock *sk, size_t len,
				 unsigned int hints, gfp_t gfp);
bool netmem_maps_are_costly(const struct sock *sk);
void netmem_free_bulk(struct bio_vec *bv, unsigned int nr);
void __netmem_free_page(struct page *page);

/**
 * netmem_alloc() - allocate a fragment of transmit memory; may sleep
 * @sk: socket that will send the fragment, or NULL
 * @len: length in bytes, 1 to %NETMEM_FRAG_MAX
 * @hints: 0 or %NETMEM_HINT_UNRETAINED
 * @bv: where to store the fragment
 *
 * Short for netmem_alloc_gfp() with %GFP_KERNEL and no wish for an alignment.
 *
 * Context: process context; may sleep.
 * Return: 0, -EINVAL, -EMSGSIZE or -ENOMEM, as netmem_alloc_gfp(). @bv is
 * written on success only.
 */
static inline int netmem_alloc(const struct sock *sk, size_t len,
			       unsigned int hints, struct bio_vec *bv)
{
	return netmem_alloc_gfp(sk, len, 1, hints, GFP_KERNEL, bv);
}

/**
 * netmem_free() - free a fragment
 * @bv: the fragment, as netmem_alloc() stored it; bv_offset and bv_len, but not
 *	bv_page, may have been changed since. Nothing is done if bv_page is NULL.
 *
 * The page may still be referred to by sk_buffs that it was spliced into:
 * nothing is written to it before they let go.
 *
 * Sets bv_page to NULL.
 *
 * Context: any but hardirq; interrupts must be enabled. Does not sleep.
 */
static inline void netmem_free(struct bio_vec *bv)
{
	struct page *page = bv->bv_page;

	if (unlikely(!page))
		return;
	bv->bv_page = NULL;

	DEBUG_NET_WARN_ON_ONCE(PageTail(page));
	if (unlikely(atomic_long_dec_and_test(&page->pp_ref_count)))
		__netmem_free_page(page);
}

#endif /* _NET_NETMEM_ALLOC_H */
