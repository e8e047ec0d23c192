/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an sk_buff points to whose data are not the network's own: struct
 * ubuf_info says who is told when they are not needed any more.
 */
#ifndef _LINUX_UBUF_INFO_H
#define _LINUX_UBUF_INFO_H

#include <linux/refcount.h>
#include <linux/types.h>

struct sk_buff;
struct ubuf_info;

struct ubuf_info_ops {
	void (*complete)(struct sk_buff *skb, struct ubuf_info *uarg,
			 bool zerocopy_success);
	/* has to be compatible with skb_zcopy_set() */
	int (*link_skb)(struct sk_buff *skb, struct ubuf_info *uarg);
};

/*
 * The callback notifies userspace to release buffers when skb DMA is done in
 * lower device, the skb last reference should be 0 when calling this.
 * The zerocopy_success argument is true if zero copy transmit occurred,
 * false on data copy or out of memory error caused by data copy attempt.
 */
struct ubuf_info {
	const struct ubuf_info_ops *ops;
	refcount_t refcnt;
	u8 flags;
};

#endif /* _LINUX_UBUF_INFO_H */
