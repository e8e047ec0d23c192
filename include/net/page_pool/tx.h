/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page pools of transmit memory, for drivers and for the pools' owners. */
#ifndef _NET_PAGE_POOL_TX_H
#define _NET_PAGE_POOL_TX_H

#include <linux/dma-mapping.h>
#include <linux/skbuff.h>

struct net_device;
struct page_pool;

#ifdef CONFIG_PAGE_POOL
dma_addr_t skb_frag_dma_map_tx(struct device *dev,
			       const struct net_device *netdev,
			       const skb_frag_t *frag, size_t offset,
			       size_t size, bool *unmap);
unsigned int page_pool_tx_reap(struct page_pool *pool, unsigned int budget);
#else
static inline dma_addr_t skb_frag_dma_map_tx(struct device *dev,
					     const struct net_device *netdev,
					     const skb_frag_t *frag,
					     size_t offset, size_t size,
					     bool *unmap)
{
	*unmap = !skb_frag_is_net_iov(frag);
	return skb_frag_dma_map(dev, frag, offset, size, DMA_TO_DEVICE);
}

static inline unsigned int page_pool_tx_reap(struct page_pool *pool,
					     unsigned int budget)
{
	return 0;
}
#endif

#endif /* _NET_PAGE_POOL_TX_H */
