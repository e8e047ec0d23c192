// SPDX-License-Identifier: GPL-2.0
/*
 * Laying out and transmitting SMB messages
 *
 * A message is one chain of bio_vecs and goes out in one call.  Its length
 * marker, the protocol headers and small payload stand in network memory that
 * is allocated for the server's socket; large payload is referred to where it
 * lies:
 *
 *	marker | headers | payload | headers | payload ...
 *	`---- netmem ---' page refs  netmem   page refs
 *
 * The packets take no references on any of it.  They hold the chain, until the
 * server has acknowledged them: see Documentation/networking/skb_bvecq.rst.  So it
 * does not matter to the request's owner whether the reply, a signal or a
 * reconnect comes first.
 */

#include <kunit/visibility.h>
#include <linux/bvecq.h>
#include <linux/delay.h>
#include <linux/net.h>
#include <linux/netfs.h>
#include <linux/sched/signal.h>
#include <linux/task_work.h>
#include <net/netmem_alloc.h>
#include <net/skb_bvecq.h>
#include "cifsglob.h"
#include "cifsproto.h"
#include "cifs_debug.h"
#include "smb2proto.h"
#include "smbdirect.h"
#include "compress.h"
#include "transmit.h"

/**
 * smb_alloc_netmem - Allocate network memory to transmit to a server
 * @server: The connection; RDMA has no socket and takes from the default pool
 * @len: Number of bytes
 *
 * Context: Process context, server lock held, which keeps the socket; may sleep,
 * does not enter a filesystem.
 * Return: A chain of exactly @len bytes that the caller owns, or an ERR_PTR().
 */
struct bvecq *smb_alloc_netmem(struct TCP_Server_Info *server, size_t len)
{
	return netmem_alloc_bvecq(server->ssocket, len, 0, GFP_NOFS);
}

/* Copy what @from holds to where @to stands in network memory; moves @to on. */
static bool smb_fill_from_iter(struct bvecq_pos *to, const struct iov_iter *from)
{
	struct iov_iter iter = *from;

	while (iov_iter_count(&iter)) {
		const struct bio_vec *bv = bvecq_pos_bv(to);
		size_t part;
		void *p;

		if (!bv)
			return false;
		p = page_address(bv->bv_page) + bv->bv_offset + to->offset;
		part = umin(bv->bv_len - to->offset, iov_iter_count(&iter));
		if (copy_from_iter(p, part, &iter) != part)
			return false;
		to->offset += part;
	}
	return true;
}

static bool smb_fill_from_kvec(struct bvecq_pos *to, const struct kvec *iov,
			       unsigned int nvec, size_t len)
{
	struct iov_iter iter;

	iov_iter_kvec(&iter, ITER_SOURCE, iov, nvec, len);
	return smb_fill_from_iter(to, &iter);
}

static size_t smb_headers_len(const struct smb_rqst *rqst)
{
	size_t len = 0;

	for (int i = 0; i < rqst->rq_nvec; i++)
		len += rqst->rq_iov[i].iov_len;
	return len;
}

unsigned long smb_rqst_len(const struct smb_rqst *rqst)
{
	return smb_headers_len(rqst) + iov_iter_count(&rqst->rq_iter);
}

/* Returns NULL if the payload is to be copied behind the headers. */
static struct bvecq *smb_refer_to_payload(const struct smb_rqst *rqst)
{
	struct iov_iter iter = rqst->rq_iter;
	struct bvecq *payload;
	ssize_t len;

	if (iov_iter_count(&iter) <= SMB_COPY_MAX)
		return NULL;

	len = netfs_extract_iter(&iter, iov_iter_count(&iter), UINT_MAX,
				 NETFS_EXTRACT_REF | NETFS_EXTRACT_SPLICE,
				 GFP_NOFS, &payload);
	if (len > 0 && iov_iter_count(&iter)) {
		/* Copying will do, or show why it cannot be read. */
		bvecq_put(payload);
		len = -EOPNOTSUPP;
	}
	if (len < 0)
		return len == -EOPNOTSUPP ? NULL : ERR_PTR(len);
	return payload;
}

/**
 * smb_build_chain - Lay out a message as one chain
 * @server: The connection that it will be sent on
 * @num_rqst: How many PDUs are compounded
 * @rqst: The PDUs, signed and padded; not modified
 *
 * Copy the length marker and the headers of all the PDUs into as few fragments
 * of network memory as the payload between them allows and refer to the payload.
 * The chain holds a reference on each of its folios.
 *
 * Context: Process context, server lock held; may sleep, does not enter a
 * filesystem.
 * Return: The chain, owned by the caller, or an ERR_PTR(): -ENOMEM, -EMSGSIZE if
 * the marker cannot express the length, or -EIO if payload cannot be read.
 */
struct bvecq *smb_build_chain(struct TCP_Server_Info *server, int num_rqst,
			      const struct smb_rqst *rqst)
{
	struct bvecq *head = NULL, *tail = NULL, *payload, *run;
	struct bvecq_pos to;
	size_t total = 0;
	__be32 marker;
	int i, j, end, ret;

	for (i = 0; i < num_rqst; i++)
		total += smb_rqst_len(&rqst[i]);
	if (total > SMB_MARKER_MAX)
		return ERR_PTR(-EMSGSIZE);
	marker = cpu_to_be32(total);

	/* Each turn makes one run of copied bytes and what is referred to after it. */
	for (i = 0; i < num_rqst; i = end) {
		size_t len = head ? 0 : SMB_MARKER_LEN;

		payload = NULL;
		for (end = i; end < num_rqst && !payload; end++) {
			len += smb_headers_len(&rqst[end]);
			payload = smb_refer_to_payload(&rqst[end]);
			if (IS_ERR(payload)) {
				ret = PTR_ERR(payload);
				goto error;
			}
			if (!payload)
				len += iov_iter_count(&rqst[end].rq_iter);
		}

		run = smb_alloc_netmem(server, len);
		if (IS_ERR(run)) {
			if (payload)
				bvecq_put(payload);
			ret = PTR_ERR(run);
			goto error;
		}
		to = (struct bvecq_pos){ .bq = run };

		if (head) {
			bvecq_join(tail, run);
		} else {
			struct kvec mark = { &marker, SMB_MARKER_LEN };

			head = run;
			smb_fill_from_kvec(&to, &mark, 1, SMB_MARKER_LEN);
		}
		tail = bvecq_tail(run);
		if (payload) {
			bvecq_join(tail, payload);
			tail = bvecq_tail(payload);
		}

		for (j = i; j < end; j++) {
			const struct smb_rqst *r = &rqst[j];

			for (int k = 0; k < r->rq_nvec; k++)
				dump_smb(r->rq_iov[k].iov_base, r->rq_iov[k].iov_len);

			ret = -EIO;
			if (!smb_fill_from_kvec(&to, r->rq_iov, r->rq_nvec,
						smb_headers_len(r)))
				goto error;
			if (payload && j == end - 1)
				break;
			if (!smb_fill_from_iter(&to, &r->rq_iter))
				goto error;
		}
	}

	return head;

error:
	if (head)
		bvecq_put(head);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_IF_KUNIT(smb_build_chain);

/*
 * A signature holds for the bytes it was made over, and a cipher that reads its
 * input twice has to find the same twice.  The memory of direct I/O belongs to a
 * program that may write to it at any time.  Page-cache folios are stable under
 * writeback where the connection signs, see cifs_set_ops(), but not where it
 * seals.
 */
static bool smb_payload_may_change(const struct TCP_Server_Info *server,
				   const struct smb_rqst *rqst, int flags)
{
	if (!iov_iter_count(&rqst->rq_iter))
		return false;
	if (flags & CIFS_TRANSFORM_REQ)
		return smb3_seal_rereads(server);
	return server->sign && !iov_iter_is_folioq(&rqst->rq_iter);
}

/**
 * smb_copy_payload - Copy payload that must not change while it is sent
 * @server: The connection that it will be sent on
 * @rqst: The PDU, not signed yet; its payload is replaced by the copy
 * @flags: %CIFS_TRANSFORM_REQ if it is going to be sealed
 *
 * Context: Process context, server lock held; may sleep, does not enter a
 * filesystem.
 * Return: The copy, to be put by the caller after the message was sent, NULL if
 * none is needed, or an ERR_PTR(): -ENOMEM, or -EIO if payload cannot be read.
 */
struct bvecq *smb_copy_payload(struct TCP_Server_Info *server,
			       struct smb_rqst *rqst, int flags)
{
	size_t len = iov_iter_count(&rqst->rq_iter);
	struct bvecq *copy;
	struct bvecq_pos to;

	if (!smb_payload_may_change(server, rqst, flags))
		return NULL;

	copy = smb_alloc_netmem(server, len);
	if (IS_ERR(copy))
		return copy;

	to = (struct bvecq_pos){ .bq = copy };
	if (!smb_fill_from_iter(&to, &rqst->rq_iter)) {
		bvecq_put(copy);
		return ERR_PTR(-EIO);
	}

	iov_iter_bvec_queue(&rqst->rq_iter, ITER_SOURCE, copy, 0, 0, len);
	return copy;
}
EXPORT_SYMBOL_IF_KUNIT(smb_copy_payload);

/*
 * Hand a message to the socket.  It takes one call unless the socket's buffer
 * is full and stays so for longer than the socket's send timeout.
 */
static int smb_sendmsg_all(struct TCP_Server_Info *server, struct msghdr *msg)
{
	struct socket *ssocket = server->ssocket;
	int retries = 0;
	int rc;

	while (msg_data_left(msg)) {
		/*
		 * If blocking send, we try 3 times, since each can block
		 * for 5 seconds. For nonblocking  we have to try more
		 * but wait increasing amounts of time allowing time for
		 * socket to clear.  The overall time we wait in either
		 * case to send on the socket is about 15 seconds.
		 * Similarly we wait for 15 seconds for a response from
		 * the server in SendReceive[2] for the server to send
		 * a response back for most types of requests (except
		 * SMB Write past end of file which can be slow, and
		 * blocking lock operations). NFS waits slightly longer
		 * than CIFS, but this can make it take longer for
		 * nonresponsive servers to be detected and 15 seconds
		 * is more than enough time for modern networks to
		 * send a packet.  In most cases if we fail to send
		 * after the retries we will kill the socket and
		 * reconnect which may clear the network problem.
		 *
		 * Even if regular signals are masked, EINTR might be
		 * propagated from sk_stream_wait_memory() to here when
		 * TIF_NOTIFY_SIGNAL is used for task work. For example,
		 * certain io_uring completions will use that. Treat
		 * having EINTR with pending task work the same as EAGAIN
		 * to avoid unnecessary reconnects.
		 */
		rc = sock_sendmsg(ssocket, msg);
		if (rc == -EOPNOTSUPP && msg->msg_ubuf) {
			/* Somebody has laid a sockmap over the socket: let the
			 * packets take page references.
			 */
			bvecq_sendmsg_end(msg);
			continue;
		}
		if (rc == -EAGAIN || unlikely(rc == -EINTR && task_work_pending(current))) {
			retries++;
			if (retries >= 14 ||
			    (!server->noblocksnd && retries > 2)) {
				cifs_server_dbg(VFS, "sends on sock %p stuck for 15 seconds\n",
						ssocket);
				return -EAGAIN;
			}
			msleep(1 << retries);
			continue;
		}

		if (rc < 0)
			return rc;

		if (rc == 0) {
			/* should never happen, letting socket clear before
			 * retrying is our only obvious option here
			 */
			cifs_server_dbg(VFS, "tcp sent no data\n");
			msleep(500);
			continue;
		}

		/* send was at least partially successful */
		retries = 0; /* in case we get ENOSPC on the next send */
	}
	return 0;
}

static int smb_sendmsg(struct TCP_Server_Info *server, struct msghdr *msg,
		       struct bvecq *chain, size_t len)
{
	int rc;

	msg->msg_flags = MSG_NOSIGNAL;
	if (server->noblocksnd)
		msg->msg_flags |= MSG_DONTWAIT;

	/* Whoever receives the packets on this host may keep the pages. */
	rc = bvecq_sendmsg_begin(msg, chain, len, false);
	if (WARN_ON_ONCE(rc < 0))
		return rc;
	rc = smb_sendmsg_all(server, msg);
	if (msg->msg_ubuf)
		bvecq_sendmsg_end(msg);
	return rc;
}

static int smb_transmit_tcp(struct TCP_Server_Info *server, struct bvecq *chain,
			    size_t len)
{
	struct msghdr msg = {};
	sigset_t mask, oldmask;
	int rc;

	/*
	 * We should not allow signals to interrupt the network send because
	 * any partial send will cause session reconnects thus increasing
	 * latency of system calls and overload a server with unnecessary
	 * requests.
	 */
	sigfillset(&mask);
	sigprocmask(SIG_BLOCK, &mask, &oldmask);
	rc = smb_sendmsg(server, &msg, chain, len);
	sigprocmask(SIG_SETMASK, &oldmask, NULL);

	/*
	 * If signal is pending but we have already sent the whole packet to
	 * the server we need to return success status to allow a corresponding
	 * mid entry to be kept in the pending requests queue thus allowing
	 * to handle responses from the server by the client.
	 *
	 * If only part of the packet has been sent there is no need to hide
	 * interrupt because the session will be reconnected anyway, so there
	 * won't be any response from the server to handle.
	 */
	if (signal_pending(current) && msg_data_left(&msg)) {
		cifs_dbg(FYI, "signal is pending after attempt to send\n");
		rc = -ERESTARTSYS;
	}

	if (msg_data_left(&msg) && msg_data_left(&msg) != len) {
		cifs_dbg(FYI, "partial send (wanted=%zu sent=%zu): terminating session\n",
			 len, len - msg_data_left(&msg));
		/*
		 * If we have only sent part of an SMB then the next SMB could
		 * be taken as the remainder of this one. We need to kill the
		 * socket so the server throws away the partial SMB
		 */
		cifs_signal_cifsd_for_reconnect(server, false);
		trace_smb3_partial_send_reconnect(server->current_mid,
						  server->conn_id, server->hostname);
	}
	return rc;
}

/*
 * Send a message.  The caller may put @chain afterwards: TCP holds it for as long
 * as it needs it, and RDMA has waited for the sends to end.
 *
 * Returns 0 if all of it was queued, -EAGAIN if there is no connection or it is
 * stuck, -EINTR or -ERESTARTSYS for a signal, or -ECONNABORTED.  If only a part
 * went out, and with -ECONNABORTED in any case, the connection is given up.
 */
static int smb_transmit(struct TCP_Server_Info *server, struct bvecq *chain)
{
	size_t len = bvecq_bytes(chain);
	int rc = -EAGAIN;

	cifs_in_send_inc(server);
	cifs_dbg(FYI, "Sending smb: smb_len=%zu\n", len);

	if (cifs_rdma_enabled(server)) {
		/* return -EAGAIN when connecting or reconnecting */
		if (server->smbd_conn) {
			struct iov_iter iter;

			iov_iter_bvec_queue(&iter, ITER_SOURCE, chain, 0, 0, len);
			iov_iter_advance(&iter, SMB_MARKER_LEN);
			rc = smbd_send(server, &iter);
		}
	} else if (!server->ssocket) {
		goto out;
	} else if (fatal_signal_pending(current)) {
		cifs_dbg(FYI, "signal pending before send request\n");
		rc = -ERESTARTSYS;
		goto out;
	} else {
		rc = smb_transmit_tcp(server, chain, len);
	}

	/*
	 * there's hardly any use for the layers above to know the
	 * actual error code here. All they should do at this point is
	 * to retry the connection and hope it goes away.
	 */
	if (rc < 0 && rc != -EINTR && rc != -EAGAIN) {
		cifs_server_dbg(VFS, "Error %d sending data on socket to server\n",
				rc);
		rc = -ECONNABORTED;
		cifs_signal_cifsd_for_reconnect(server, false);
	}
out:
	cifs_in_send_dec(server);
	return rc;
}

/**
 * smb_transmit_buf - Send bytes that are not an SMB message
 * @server: The connection, whose socket is connected
 * @buf: The bytes, anywhere in kernel memory; copied
 * @len: How many
 *
 * Context: Process context; sleeps.
 * Return: 0 if all of it was queued or an errno of sendmsg or of the allocator.
 */
int smb_transmit_buf(struct TCP_Server_Info *server, const void *buf, size_t len)
{
	struct kvec iov = { (void *)buf, len };
	struct msghdr msg = {};
	struct bvecq *chain;
	struct bvecq_pos to;
	int rc;

	chain = smb_alloc_netmem(server, len);
	if (IS_ERR(chain))
		return PTR_ERR(chain);

	to = (struct bvecq_pos){ .bq = chain };
	smb_fill_from_kvec(&to, &iov, 1, len);
	rc = smb_sendmsg(server, &msg, chain, len);
	bvecq_put(chain);
	return rc;
}

/**
 * __smb_send_rqst - Send a message as it is
 * @server: The connection to send it on
 * @num_rqst: How many PDUs are compounded
 * @rqst: The PDUs
 *
 * Return: 0 or an errno; see smb_build_chain() and smb_transmit().
 */
int __smb_send_rqst(struct TCP_Server_Info *server, int num_rqst,
		    struct smb_rqst *rqst)
{
	struct bvecq *chain;
	int rc;

	chain = smb_build_chain(server, num_rqst, rqst);
	if (IS_ERR(chain))
		return PTR_ERR(chain);

	rc = smb_transmit(server, chain);
	bvecq_put(chain);
	return rc;
}

/**
 * smb_send_rqst - Send a message, compressed or sealed if that is asked for
 * @server: The connection to send it on
 * @num_rqst: How many PDUs are compounded
 * @rqst: The PDUs
 * @flags: %CIFS_COMPRESS_REQ or %CIFS_TRANSFORM_REQ
 *
 * Return: 0 or an errno; see smb_build_chain() and smb_transmit().
 */
int smb_send_rqst(struct TCP_Server_Info *server, int num_rqst,
		  struct smb_rqst *rqst, int flags)
{
	struct bvecq *plain, *sealed;
	int rc;

	if (flags & CIFS_COMPRESS_REQ)
		return smb_compress(server, &rqst[0], __smb_send_rqst);

	if (!(flags & CIFS_TRANSFORM_REQ))
		return __smb_send_rqst(server, num_rqst, rqst);

	if (!server->ops->seal) {
		cifs_server_dbg(VFS, "Encryption requested but transform callback is missing\n");
		return smb_EIO(smb_eio_trace_tx_need_transform);
	}

	plain = smb_build_chain(server, num_rqst, rqst);
	if (IS_ERR(plain))
		return PTR_ERR(plain);

	sealed = server->ops->seal(server, plain);
	bvecq_put(plain);
	if (IS_ERR(sealed))
		return PTR_ERR(sealed);

	rc = smb_transmit(server, sealed);
	bvecq_put(sealed);
	return rc;
}
