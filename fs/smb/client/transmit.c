// SPDX-License-Identifier: GPL-2.0
/*
 * Transmitting SMB messages
 *
 * A message, which layout.c has made one chain of bio_vecs, goes out in one call.
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
#include <linux/sched/signal.h>
#include <linux/task_work.h>
#include <net/skb_bvecq.h>
#include <net/sock.h>
#include "cifsglob.h"
#include "cifsproto.h"
#include "cifs_debug.h"
#include "smb2proto.h"
#include "smbdirect.h"
#include "compress.h"
#include "transmit.h"

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
