// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Page pools of transmit memory (PP_FLAG_TX).
 *
 * What such a pool hands out was mapped DMA_TO_DEVICE once, for one network
 * device, and is transmitted from many times.  Two things differ from a pool of
 * receive buffers.
 *
 * The driver that transmits from such a page must neither map it again nor unmap
 * it.  skb_frag_dma_map_tx() answers both in one go, so that the answers cannot
 * disagree when the pool goes away in between.
 *
 * And the page must stay mapped until the last sk_buff is gone that points into
 * it, even though its owner has put it already: sk_buffs may hold page references
 * and nothing else.  A page that is put while there are such references lingers:
 * it stays in the pool's ledger of mappings, with a mark, until
 * page_pool_tx_reap() finds that the pool's reference is the only one left.
 */

#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/xarray.h>
#include <net/page_pool/helpers.h>
#include <net/page_pool/tx.h>

#include "page_pool_priv.h"

/* In pool->dma_mapped: put, but somebody still refers to it. */
#define PP_TX_LINGERS	XA_MARK_1

/* The address of bytes that a live pool has mapped for @netdev, or else
 * DMA_MAPPING_ERROR.
 */
static dma_addr_t page_pool_tx_dma_addr(struct device *dev,
					const struct net_device *netdev,
					struct page *page, size_t offset,
					size_t size)
{
	struct page *head = compound_head(page);
	dma_addr_t addr = DMA_MAPPING_ERROR;
	const struct page_pool *pool;

	if (!page_pool_page_is_pp(head))
		return addr;

	/* The page may be leaving the pool, and the pool this world. */
	rcu_read_lock();
	pool = READ_ONCE(head->pp);
	if (!pool || !READ_ONCE(pool->tx_live) || pool->p.dev != dev ||
	    READ_ONCE(pool->slow.netdev) != netdev)
		goto out;

	offset += (page - head) * PAGE_SIZE;
	if (offset + size > PAGE_SIZE << pool->p.order)
		goto out;

	addr = page_pool_get_dma_addr(head);
	dma_sync_single_range_for_device(dev, addr, offset, size,
					 DMA_TO_DEVICE);
	addr += offset;
out:
	rcu_read_unlock();
	return addr;
}

/**
 * skb_frag_dma_map_tx() - map a part of an sk_buff's fragment for transmission
 * @dev: device that does the DMA
 * @netdev: network device whose ndo_start_xmit() this is
 * @frag: the fragment
 * @offset: where the part begins, in bytes from the start of the fragment
 * @size: its length in bytes
 * @unmap: set to whether the driver has to unmap the part in the end, with
 *	dma_unmap_page() and %DMA_TO_DEVICE
 *
 * Memory that is mapped already, as that of a page pool for transmission through
 * @netdev and that of a dma-buf, is not mapped again. A driver that calls this
 * for each fragment, and unmaps by what it was told, sets netdev->tx_pool_dma
 * before it registers the device; without that no pool is mapped for the device.
 *
 * Context: any that may call dma_map_page(); the sk_buff is the driver's.
 * Return: the address for the device, to be checked with dma_mapping_error().
 */
dma_addr_t skb_frag_dma_map_tx(struct device *dev,
			       const struct net_device *netdev,
			       const skb_frag_t *frag, size_t offset,
			       size_t size, bool *unmap)
{
	dma_addr_t addr;

	*unmap = false;
	if (!skb_frag_is_net_iov(frag)) {
		addr = page_pool_tx_dma_addr(dev, netdev, skb_frag_page(frag),
					     skb_frag_off(frag) + offset, size);
		if (addr != DMA_MAPPING_ERROR)
			return addr;
		*unmap = true;
	}
	return skb_frag_dma_map(dev, frag, offset, size, DMA_TO_DEVICE);
}
EXPORT_SYMBOL(skb_frag_dma_map_tx);

/* A page was put that somebody still refers to: let it linger. Says no if the
 * pool has unmapped it, or is about to.
 */
bool page_pool_tx_linger(struct page_pool *pool, netmem_ref netmem)
{
	unsigned long id = netmem_get_dma_index(netmem);
	bool lingers;

	xa_lock_bh(&pool->dma_mapped);
	lingers = pool->tx_live;
	if (lingers)
		__xa_set_mark(&pool->dma_mapped, id, PP_TX_LINGERS);
	xa_unlock_bh(&pool->dma_mapped);
	return lingers;
}

/* Does any page linger? */
bool page_pool_tx_lingers(const struct page_pool *pool)
{
	return xa_marked(&pool->dma_mapped, PP_TX_LINGERS);
}

/**
 * page_pool_tx_reap() - take back pages that nobody refers to any more
 * @pool: the pool; nothing is done if it does not have %PP_FLAG_TX
 * @budget: most pages to look at
 *
 * Pages that were put while an sk_buff still referred to them have not come back
 * to the pool. Put those of them again that have been let go of meanwhile, going
 * on where the last call stopped.
 *
 * Context: process or softirq context. The caller owns the allocation side of
 * the pool, as for page_pool_alloc_netmems().
 * Return: the number of pages that came back.
 */
unsigned int page_pool_tx_reap(struct page_pool *pool, unsigned int budget)
{
	struct xarray *xa = &pool->dma_mapped;
	unsigned long id = pool->tx_next;
	unsigned int nr = 0;
	struct page *page;

	/* Go round, lest those that linger for long hide all the others. */
	page = xa_find(xa, &id, ULONG_MAX, PP_TX_LINGERS);
	for (; page && budget; budget--) {
		if (page_ref_count(page) == 1) {
			xa_lock_bh(xa);
			__xa_clear_mark(xa, id, PP_TX_LINGERS);
			xa_unlock_bh(xa);
			page_pool_put_unrefed_netmem(pool, page_to_netmem(page),
						     -1, false);
			nr++;
		}
		page = xa_find_after(xa, &id, ULONG_MAX, PP_TX_LINGERS);
	}
	pool->tx_next = page ? id : 0;
	return nr;
}
EXPORT_SYMBOL(page_pool_tx_reap);

/* The pool is going to unmap its pages: nobody lingers from here on. */
void page_pool_tx_kill(struct page_pool *pool)
{
	unsigned long id;
	struct page *page;

	xa_lock_bh(&pool->dma_mapped);
	WRITE_ONCE(pool->tx_live, false);
	xa_unlock_bh(&pool->dma_mapped);

	/* Once unmapped, they are like any other page. */
	xa_for_each_marked(&pool->dma_mapped, id, page, PP_TX_LINGERS)
		page_pool_return_netmem(pool, page_to_netmem(page));
}
