/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a segment of a bvecq.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bvecq

#if !defined(_TRACE_BVECQ_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_BVECQ_H

#include <linux/bvecq.h>
#include <linux/tracepoint.h>

#define show_bvecq_mem(mem)				\
	__print_symbolic(mem,				\
		{ BVECQ_MEM_BORROWED,	"borrowed" },	\
		{ BVECQ_MEM_PAGE,	"page" },	\
		{ BVECQ_MEM_PIN,	"pin" },	\
		{ BVECQ_MEM_NETMEM,	"netmem" })

TRACE_DEFINE_ENUM(BVECQ_MEM_BORROWED);
TRACE_DEFINE_ENUM(BVECQ_MEM_PAGE);
TRACE_DEFINE_ENUM(BVECQ_MEM_PIN);
TRACE_DEFINE_ENUM(BVECQ_MEM_NETMEM);

/* A segment was allocated, with one reference. */
TRACE_EVENT(bvecq_alloc,
	TP_PROTO(const struct bvecq *bq, const void *caller),
	TP_ARGS(bq, caller),

	TP_STRUCT__entry(
		__field(const void *, bq)
		__field(const void *, caller)
		__field(unsigned int, max_slots)
		__field(u8, mem)
		__field(bool, reserved)
	),

	TP_fast_assign(
		__entry->bq = bq;
		__entry->caller = caller;
		__entry->max_slots = bq->max_slots;
		__entry->mem = bq->mem;
		__entry->reserved = bq->reserved;
	),

	TP_printk("bvecq=%p mem=%s max_slots=%u reserved=%d caller=%pS",
		  __entry->bq, show_bvecq_mem(__entry->mem), __entry->max_slots,
		  __entry->reserved, __entry->caller)
);

/* The count of references has just risen or is about to fall. */
TRACE_EVENT(bvecq_ref,
	TP_PROTO(const struct bvecq *bq, int change, const void *caller),
	TP_ARGS(bq, change, caller),

	TP_STRUCT__entry(
		__field(const void *, bq)
		__field(const void *, caller)
		__field(int, change)
		__field(int, ref)
	),

	TP_fast_assign(
		__entry->bq = bq;
		__entry->caller = caller;
		__entry->change = change;
		__entry->ref = refcount_read(&bq->ref);
	),

	TP_printk("bvecq=%p change=%+d ref=%d caller=%pS",
		  __entry->bq, __entry->change, __entry->ref, __entry->caller)
);

/* The last reference has gone: the pieces are about to be released. */
TRACE_EVENT(bvecq_release,
	TP_PROTO(const struct bvecq *bq),
	TP_ARGS(bq),

	TP_STRUCT__entry(
		__field(const void *, bq)
		__field(size_t, bytes)
		__field(unsigned int, nr_slots)
		__field(u8, mem)
	),

	TP_fast_assign(
		__entry->bq = bq;
		__entry->bytes = bq->bytes;
		__entry->nr_slots = bq->nr_slots;
		__entry->mem = bq->mem;
	),

	TP_printk("bvecq=%p mem=%s nr_slots=%u bytes=%zu",
		  __entry->bq, show_bvecq_mem(__entry->mem), __entry->nr_slots,
		  __entry->bytes)
);

#endif /* _TRACE_BVECQ_H */

#include <trace/define_trace.h>
