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
 *	`---- netmem ---'   refs     netmem     refs
 *
 * The packets take no references on any of it.  They hold the chain, until the
 * server has acknowledged them: see Documentation/networking/skb_bvecq.rst.  So it
 * does not matter to the request's owner whether the reply, a signal or a
 * reconnect comes first.  A connection that is given up sends nothing any more,
 * see cifs_set_socket(), since the memory's owner may write to it by then.
 */

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/bvecq.h>
#include <linux/delay.h>
#include <linux/net.h>
#include <linux/netfs.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/task_work.h>
#include <net/netmem_alloc.h>
#include <net/skb_bvecq.h>
#include <net/sock.h>
#include "cifsglob.h"
#include "cifsproto.h"
#include "cifs_debug.h"
#include "smb2proto.h"
#include "smbdirect.h"
#include "compress.h"
#include "transmit.h"

/* The connection's socket may go; its sock stays while there is a reference. */
static struct sock *smb_get_sock(struct TCP_Server_Info *server)
{
	struct sock *sk = NULL;

	spin_lock(&server->srv_lock);
	if (server->ssocket) {
		sk = server->ssocket->sk;
		sock_hold(sk);
	}
	spin_unlock(&server->srv_lock);
	return sk;
}

/**
 * smb_alloc_netmem - Allocate network memory to transmit to a server
 * @server: The connection; without a socket, as with RDMA, it is from the default
 *	pool
 * @len: Number of bytes
 *
 * It is what a message is made into, which is held meanwhile, so nothing of what is
 * held in reserve for messages is used.
 *
 * Context: Process context; may sleep, does not enter a filesystem.  Takes the
 * server's srv_lock.
 * Return: A chain of exactly @len bytes that the caller owns, or an ERR_PTR().
 */
struct bvecq *smb_alloc_netmem(struct TCP_Server_Info *server, size_t len)
{
	struct sock *sk = smb_get_sock(server);
	struct bvecq *bq = netmem_alloc_bvecq(sk, len, 0, GFP_NOFS | __GFP_NOMEMALLOC);

	if (sk)
		sock_put(sk);
	return bq;
}

/* Where @to stands, and how many bytes there are in one piece; NULL at the end. */
static void *smb_request_piece(struct bvecq_pos *to, size_t *len)
{
	const struct bio_vec *bv = bvecq_pos_bv(to);

	if (!bv)
		return NULL;
	*len = umin(*len, bv->bv_len - to->offset);
	return page_address(bv->bv_page) + bv->bv_offset + to->offset;
}

/**
 * smb_request_write - Fill in a part of a request
 * @to: Where to write; moved on
 * @from: What to write; NULL for zeros
 * @len: How many bytes; no more than the request has from @to on
 */
void smb_request_write(struct bvecq_pos *to, const void *from, size_t len)
{
	while (len) {
		size_t part = len;
		void *p = smb_request_piece(to, &part);

		if (WARN_ON_ONCE(!p))
			return;
		if (from) {
			memcpy(p, from, part);
			from += part;
		} else {
			memset(p, 0, part);
		}
		to->offset += part;
		len -= part;
	}
}
EXPORT_SYMBOL_IF_KUNIT(smb_request_write);

/* Copy what @from holds to where @to stands in network memory; moves @to on. */
static bool smb_fill_from_iter(struct bvecq_pos *to, const struct iov_iter *from)
{
	struct iov_iter iter = *from;

	while (iov_iter_count(&iter)) {
		size_t part = iov_iter_count(&iter);
		void *p = smb_request_piece(to, &part);

		if (!p || copy_from_iter(p, part, &iter) != part)
			return false;
		to->offset += part;
	}
	return true;
}

static void smb_fill_from_kvec(struct bvecq_pos *to, const struct kvec *iov,
			       unsigned int nvec)
{
	for (; nvec--; iov++)
		smb_request_write(to, iov->iov_base, iov->iov_len);
}

static size_t smb_kvec_len(const struct kvec *iov, unsigned int nvec)
{
	size_t len = 0;

	while (nvec--)
		len += iov[nvec].iov_len;
	return len;
}

/**
 * smb_copy_to_netmem - Copy bytes into network memory
 * @server: The connection that they will be sent on
 * @iov: The bytes, anywhere in kernel memory
 * @nvec: Number of entries in @iov
 *
 * Context: As smb_alloc_netmem().
 * Return: A chain that the caller owns, or an ERR_PTR().
 */
struct bvecq *smb_copy_to_netmem(struct TCP_Server_Info *server,
				 const struct kvec *iov, unsigned int nvec)
{
	struct bvecq *chain = smb_alloc_netmem(server, smb_kvec_len(iov, nvec));

	if (!IS_ERR(chain)) {
		struct bvecq_pos to = { .bq = chain };

		smb_fill_from_kvec(&to, iov, nvec);
	}
	return chain;
}

/* Folios of a bounce buffer nobody else has. */
static bool smb_folio_is_stable(struct folio *folio)
{
	const struct address_space *mapping = READ_ONCE(folio->mapping);

	return !mapping || (mapping_stable_writes(mapping) && !folio_maybe_dma_pinned(folio));
}

/*
 * Can nobody write to payload meanwhile?  The memory of direct I/O belongs to a
 * program that may do so at any time.  Page-cache folios are stable under writeback
 * where the connection signs, see cifs_set_ops(), unless the inode is older than a
 * reconnect that has brought that, or somebody holds a pin, who writes past the page
 * tables.
 */
static bool smb_payload_is_stable(const struct iov_iter *iter)
{
	size_t offset = iter->iov_offset, left = iov_iter_count(iter);
	const struct folio_queue *folioq = iter->folioq;
	unsigned int slot = iter->folioq_slot;

	if (!iov_iter_is_folioq(iter))
		return false;
	while (left) {
		size_t part;

		if (slot >= folioq_nr_slots(folioq)) {
			folioq = folioq->next;
			slot = 0;
		}
		part = umin(left, folioq_folio_size(folioq, slot) - offset);
		if (part && !smb_folio_is_stable(folioq_folio(folioq, slot)))
			return false;
		left -= part;
		offset = 0;
		slot++;
	}
	return true;
}

/*
 * A signature holds for the bytes it was made over, and a cipher that reads its
 * input twice has to find the same twice; where it seals, a connection does not ask
 * for folios to be stable.
 */
static bool smb_payload_may_change(const struct TCP_Server_Info *server,
				   const struct iov_iter *payload, int flags)
{
	if (flags & CIFS_TRANSFORM_REQ)
		return smb3_seal_rereads(server);
	return server->sign && !smb_payload_is_stable(payload);
}

/* Is it cheaper to copy payload into memory that is mapped than to map it? */
VISIBLE_IF_KUNIT bool smb_maps_are_costly(const struct sock *sk,
					  const struct bvecq *payload, size_t len)
{
	KUNIT_STATIC_STUB_REDIRECT(smb_maps_are_costly, sk, payload, len);

	return len / SMB_MAP_MIN < smb3_nr_pieces(payload) && sk && netmem_maps_are_costly(sk);
}
EXPORT_SYMBOL_IF_KUNIT(smb_maps_are_costly);

/* Refer to payload; NULL if it has to be copied. */
static struct bvecq *smb_refer_to_payload(struct TCP_Server_Info *server,
					  const struct iov_iter *payload, int flags)
{
	struct iov_iter iter = *payload;
	size_t len = iov_iter_count(&iter);
	struct bvecq *bq;
	ssize_t got;

	if (len <= SMB_COPY_MAX || smb_payload_may_change(server, payload, flags))
		return NULL;

	got = netfs_extract_iter(&iter, len, UINT_MAX,
				 NETFS_EXTRACT_REF | NETFS_EXTRACT_SPLICE,
				 GFP_NOFS, &bq);
	if (got == -EOPNOTSUPP)
		return NULL;
	if (got < 0)
		return ERR_PTR(got);
	/* Copying will do, or show why it cannot be read. */
	if (got < len) {
		bvecq_put(bq);
		return NULL;
	}
	return bq;
}

/*
 * Memory for headers, and for payload that is copied.  Payload that was going to be
 * referred to is let go of if copying is cheaper, and there is memory for that.
 */
static struct bvecq *smb_alloc_room(const struct smb_message *msg, struct sock *sk,
				    size_t hdr_len, size_t payload_len,
				    struct bvecq **referred)
{
	gfp_t gfp = GFP_NOFS;
	struct bvecq *room;

	if (*referred && smb_maps_are_costly(sk, *referred, payload_len)) {
		room = netmem_alloc_bvecq(sk, hdr_len + payload_len, 0,
					  GFP_NOFS | __GFP_NORETRY | __GFP_NOWARN |
					  __GFP_NOMEMALLOC);
		if (!IS_ERR(room)) {
			bvecq_put(*referred);
			*referred = NULL;
			return room;
		}
	}

	/* Who waits for what is held in reserve must not hold any of it. */
	if (msg->flags & CIFS_COMPOUNDABLE)
		gfp |= __GFP_NOMEMALLOC;
	return netmem_alloc_bvecq(sk, hdr_len + (*referred ? 0 : payload_len), 0, gfp);
}

/**
 * smb_message_alloc_request - Make room for a request's headers, add its payload
 * @server: The connection
 * @msg: The message, with its flags
 * @len: Number of bytes of headers, at least those of the protocol header
 * @payload: What follows them, or NULL; not modified
 *
 * The protocol header, which @msg->hdr points to, and what follows it are
 * contiguous for as long as they fit into a page; smb_request_write() reaches the
 * rest.  The headers are all zero.
 *
 * Payload that is small, that must not change while it is sent, or that the
 * network cannot refer to, is copied behind the headers; as is what would take many
 * costly mappings, while there is memory for that.  All other is referred to; the
 * message holds a reference on each folio, or on the bvecq that holds the pins of
 * direct I/O.
 *
 * Context: Process context; may sleep, does not enter a filesystem.
 * Return: 0; -ENOMEM, or -EIO if payload cannot be read.  The message owns what it
 * was given in either case.
 */
int smb_message_alloc_request(struct TCP_Server_Info *server,
			      struct smb_message *msg, size_t len,
			      const struct iov_iter *payload)
{
	size_t payload_len = payload ? iov_iter_count(payload) : 0;
	struct bvecq *referred = NULL, *request;
	struct sock *sk = smb_get_sock(server);
	struct bvecq_pos to;
	int rc = 0;

	if (payload_len) {
		referred = smb_refer_to_payload(server, payload, msg->flags);
		if (IS_ERR(referred)) {
			rc = PTR_ERR(referred);
			goto out;
		}
	}

	request = smb_alloc_room(msg, sk, SMB_MESSAGE_HEADROOM + len, payload_len, &referred);
	if (IS_ERR(request)) {
		bvecq_put(referred);
		rc = PTR_ERR(request);
		goto out;
	}
	msg->request = request;
	msg->hdr = bvecq_pull(request, SMB_MESSAGE_HEADROOM);
	msg->len = len + payload_len;

	to = (struct bvecq_pos){ .bq = request };
	smb_request_write(&to, NULL, len);
	msg->unstable = referred && !smb_payload_is_stable(payload);
	if (referred)
		bvecq_join(bvecq_tail(request), referred);
	else if (payload_len && !smb_fill_from_iter(&to, payload))
		rc = -EIO;
out:
	if (sk)
		sock_put(sk);
	return rc;
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_alloc_request);

/* What a message takes on the wire, without what stands before it. */
static size_t smb_message_wire_len(const struct smb_message *msg)
{
	return msg->len + msg->pad;
}

/**
 * smb_link_messages - Lay messages out as one chain
 * @head: The first of the compound, or the only one
 *
 * Each message is padded to where the next can begin, [MS-SMB2] section 3.2.4.1.4.
 * The padding and the length marker take the room in front of what follows.
 *
 * Return: 0, or -EMSGSIZE if the marker cannot express the length.
 */
int smb_link_messages(struct smb_message *head)
{
	struct smb_message *msg, *next;
	struct smb2_hdr *hdr;
	size_t total = 0;

	for (msg = head; (next = msg->next); msg = next) {
		msg->pad = ALIGN(msg->len, SMB2_COMPOUND_ALIGN) - msg->len;
		hdr = msg->hdr;
		hdr->NextCommand = cpu_to_le32(smb_message_wire_len(msg));
		if (next->related) {
			hdr = next->hdr;
			hdr->Flags |= SMB2_FLAGS_RELATED_OPERATIONS;
		}

		next->front = msg->pad;
		if (msg->pad)
			memset(bvecq_push(next->request, msg->pad), 0, msg->pad);
		bvecq_join(bvecq_tail(msg->request), bvecq_get(next->request));
		total += smb_message_wire_len(msg);
	}
	total += msg->len;

	if (total > SMB_MARKER_MAX)
		return -EMSGSIZE;
	put_unaligned_be32(total, bvecq_push(head->request, SMB_MARKER_LEN));
	head->front = SMB_MARKER_LEN;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(smb_link_messages);

/**
 * smb_message_rest - Find what is signed behind a request's protocol header
 * @msg: The message, linked
 * @hdr_len: Number of bytes in the protocol header
 * @rest: Where to put an iterator over it, padding and all
 */
void smb_message_rest(const struct smb_message *msg, size_t hdr_len,
		      struct iov_iter *rest)
{
	iov_iter_bvec_queue(rest, ITER_SOURCE, msg->request, 0, msg->front + hdr_len,
			    smb_message_wire_len(msg) - hdr_len);
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_rest);

/**
 * smb_hash_message - Take a request into the preauthentication hash
 * @ses: The session that is being set up
 * @server: The connection
 * @msg: The message
 *
 * Context: Process context, server lock held; may sleep.
 */
void smb_hash_message(struct cifs_ses *ses, struct TCP_Server_Info *server,
		      const struct smb_message *msg)
{
	struct kvec iov = { msg->hdr, msg->len };
	void *flat = NULL;

	if (msg->front + msg->len > msg->request->bv[0].bv_len) {
		struct iov_iter iter;

		flat = kvmalloc(msg->len, GFP_NOFS | __GFP_NOFAIL);
		iov_iter_bvec_queue(&iter, ITER_SOURCE, msg->request, 0,
				    msg->front, msg->len);
		iov.iov_len = copy_from_iter(flat, msg->len, &iter);
		iov.iov_base = flat;
	}
	smb311_update_preauth_hash(ses, server, &iov, 1);
	kvfree(flat);
}

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
 * as it needs it, and RDMA has waited for the sends to end, or for the connection.
 *
 * Returns 0 if all of it was queued, -EAGAIN if there is no connection or it is
 * stuck, -EINTR or -ERESTARTSYS for a signal, or -ECONNABORTED.  If only a part
 * went out, and with -ECONNABORTED in any case, the connection is given up.
 */
VISIBLE_IF_KUNIT int smb_transmit(struct TCP_Server_Info *server,
				  struct bvecq *chain)
{
	size_t len = bvecq_bytes(chain);
	int rc = -EAGAIN;

	KUNIT_STATIC_STUB_REDIRECT(smb_transmit, server, chain);

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
	int rc;

	chain = smb_copy_to_netmem(server, &iov, 1);
	if (IS_ERR(chain))
		return PTR_ERR(chain);

	rc = smb_sendmsg(server, &msg, chain, len);
	bvecq_put(chain);
	return rc;
}

/**
 * smb_transmit_messages - Send messages, compressed or sealed if that is asked for
 * @server: The connection to send them on
 * @head: The first of the compound, linked and signed; its flags
 *	%CIFS_COMPRESS_REQ and %CIFS_TRANSFORM_REQ hold for all
 *
 * Context: Process context, server lock held; sleeps.
 * Return: 0 or an errno; see smb_transmit(), smb_compress() and smb3_seal().
 */
int smb_transmit_messages(struct TCP_Server_Info *server,
			  const struct smb_message *head)
{
	struct bvecq *chain = bvecq_get(head->request), *sealed;
	int rc;

	for (const struct smb_message *msg = head; msg; msg = msg->next)
		dump_smb(msg->hdr, umin(msg->len, msg->request->bv[0].bv_len - msg->front));

	/* [MS-SMB2] section 3.1.4.4 wants the message compressed before it is sealed. */
	if (head->flags & CIFS_COMPRESS_REQ) {
		struct bvecq *compressed;

		compressed = smb_compress(server, chain, sizeof(struct smb2_write_req),
					  head->unstable);
		bvecq_put(chain);
		if (IS_ERR(compressed))
			return PTR_ERR(compressed);
		chain = compressed;
	}

	if (head->flags & CIFS_TRANSFORM_REQ) {
		if (!server->ops->seal) {
			cifs_server_dbg(VFS, "Encryption requested but transform callback is missing\n");
			rc = smb_EIO(smb_eio_trace_tx_need_transform);
			goto out;
		}
		sealed = server->ops->seal(server, chain,
					   ((struct smb2_hdr *)head->hdr)->SessionId);
		bvecq_put(chain);
		if (IS_ERR(sealed))
			return PTR_ERR(sealed);
		chain = sealed;
	}

	rc = smb_transmit(server, chain);
out:
	bvecq_put(chain);
	return rc;
}
