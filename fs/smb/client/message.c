// SPDX-License-Identifier: GPL-2.0
/*
 * The life of an SMB message
 *
 *	alloc -> queue -> send -> reply -> free
 *	            `-------- or: retry -----'
 *
 * A message is found by its ID when the response comes, and taken from the queue
 * once: by the demultiplex thread with the response, by a reconnect, by the end of
 * the connection, or by a sender that could not send it.  Whoever has taken it
 * completes it and puts the queue's reference.
 */

#include <kunit/visibility.h>
#include <linux/bvecq.h>
#include <linux/mempool.h>
#include <linux/slab.h>
#include "cifsglob.h"
#include "cifsproto.h"
#include "cifs_debug.h"
#include "message.h"

static struct kmem_cache *smb_message_cachep;
static mempool_t smb_message_pool;

/**
 * smb_message_init_pool - Set up what messages are allocated from
 *
 * Return: 0 or -ENOMEM.
 */
int smb_message_init_pool(void)
{
	smb_message_cachep = kmem_cache_create("smb_message",
					       sizeof(struct smb_message), 0,
					       SLAB_HWCACHE_ALIGN, NULL);
	if (!smb_message_cachep)
		return -ENOMEM;

	/*
	 * 3 is a reasonable minimum number of simultaneous operations.  A
	 * compound is held while the last of it is encoded, for which the
	 * connection may have to be set up again.
	 */
	if (mempool_init_slab_pool(&smb_message_pool, 3 + MAX_COMPOUND,
				   smb_message_cachep) < 0) {
		kmem_cache_destroy(smb_message_cachep);
		return -ENOMEM;
	}
	return 0;
}

/**
 * smb_message_exit_pool - Undo smb_message_init_pool()
 */
void smb_message_exit_pool(void)
{
	mempool_exit(&smb_message_pool);
	kmem_cache_destroy(smb_message_cachep);
}

/**
 * smb_message_alloc - Allocate a message
 * @server: The connection that it will be sent on
 * @command: Command code, in CPU order
 *
 * Context: Process context; may sleep, but does not enter a filesystem and goes
 * forward when memory is short, as writeback needs it.
 * Return: The message, with one reference that the caller owns.  Does not fail.
 */
struct smb_message *smb_message_alloc(struct TCP_Server_Info *server, u16 command)
{
	struct smb_message *msg = mempool_alloc(&smb_message_pool, GFP_NOFS);

	memset(msg, 0, sizeof(*msg));
	refcount_inc(&server->obj_refs);
	msg->server = server;
	INIT_LIST_HEAD(&msg->qhead);
	refcount_set(&msg->ref, 1);
	init_waitqueue_head(&msg->wait);
	spin_lock_init(&msg->lock);
	msg->command = command;
	msg->credits = 1;
	msg->pid = current->pid;
	msg->state = MID_REQUEST_ALLOCATED;

	atomic_inc(&mid_count);
	trace_smb3_message(server->conn_id, msg, smb_message_trace_alloc);
	return msg;
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_alloc);

#ifdef CONFIG_CIFS_STATS2
static void smb_message_account(struct TCP_Server_Info *server,
				const struct smb_message *msg)
{
	unsigned int cmd = msg->command;
	unsigned long now = jiffies;
	unsigned long roundtrip_time = now - msg->when_sent;

	if (!msg->when_sent)
		return;

	if (cmd < NUMBER_OF_SMB2_COMMANDS) {
		if (atomic_read(&server->num_cmds[cmd]) == 0) {
			server->slowest_cmd[cmd] = roundtrip_time;
			server->fastest_cmd[cmd] = roundtrip_time;
		} else {
			if (server->slowest_cmd[cmd] < roundtrip_time)
				server->slowest_cmd[cmd] = roundtrip_time;
			else if (server->fastest_cmd[cmd] > roundtrip_time)
				server->fastest_cmd[cmd] = roundtrip_time;
		}
		cifs_stats_inc(&server->num_cmds[cmd]);
		server->time_per_cmd[cmd] += roundtrip_time;
	}
	/*
	 * Commands that take longer than a second (the default) can be a sign
	 * that something is wrong, unless the link is slow or the server busy.
	 * A lock may take as long as it likes.
	 */
	if (!slow_rsp_threshold || roundtrip_time <= slow_rsp_threshold * HZ ||
	    cmd == le16_to_cpu(server->vals->lock_cmd))
		return;

	if (cmd < NUMBER_OF_SMB2_COMMANDS)
		cifs_stats_inc(&server->smb2slowcmd[cmd]);

	trace_smb3_slow_rsp(cmd, msg->mid, msg->pid, msg->when_sent,
			    msg->when_received);
	if (cifsFYI & CIFS_TIMER)
		pr_debug("slow rsp: cmd %d mid %llu S: 0x%lx R: 0x%lx\n",
			 cmd, msg->mid, roundtrip_time, now - msg->when_received);
}
#else
static void smb_message_account(struct TCP_Server_Info *server,
				const struct smb_message *msg)
{
}
#endif

/**
 * smb_message_free - Release a message that nobody refers to
 * @msg: The message
 *
 * To be called by smb_message_put() alone.
 */
void smb_message_free(struct smb_message *msg)
{
	struct TCP_Server_Info *server = msg->server;

	trace_smb3_message(server->conn_id, msg, smb_message_trace_free);

	if (msg->resp_buf && msg->wait_cancelled &&
	    (msg->state == MID_RESPONSE_RECEIVED ||
	     msg->state == MID_RESPONSE_READY) &&
	    server->ops->handle_cancelled_mid)
		server->ops->handle_cancelled_mid(msg, server);

	smb_message_account(server, msg);
	bvecq_put(msg->request);
	if (msg->large_buf)
		cifs_buf_release(msg->resp_buf);
	else
		cifs_small_buf_release(msg->resp_buf);
	mempool_free(msg, &smb_message_pool);
	atomic_dec(&mid_count);
	cifs_tcp_server_put(server);
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_free);

/**
 * smb_message_queue - Make a message known to those who await its response
 * @msg: The message, with its ID, before it is sent
 *
 * The queue takes a reference.
 *
 * Context: Process context; takes the server's mid_queue_lock.
 */
void smb_message_queue(struct smb_message *msg)
{
	struct TCP_Server_Info *server = msg->server;

	smb_message_get(msg);
	spin_lock(&server->mid_queue_lock);
	msg->queued = true;
	list_add_tail(&msg->qhead, &server->pending_mid_q);
	spin_unlock(&server->mid_queue_lock);
	trace_smb3_message(server->conn_id, msg, smb_message_trace_queue);
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_queue);

/* The queue's reference goes to the caller, if there is one. */
static bool smb_message_unqueue(struct smb_message *msg)
{
	bool queued = msg->queued;

	if (queued) {
		list_del_init(&msg->qhead);
		msg->queued = false;
	}
	return queued;
}

/**
 * smb_message_note_sent - Take down when a message is handed to the socket
 * @msg: The message
 */
void smb_message_note_sent(struct smb_message *msg)
{
#ifdef CONFIG_CIFS_STATS2
	msg->when_sent = jiffies;
#endif
	trace_smb3_message(msg->server->conn_id, msg, smb_message_trace_send);
}

/**
 * smb_message_cancel - Give up waiting for a message
 * @msg: The message; the caller keeps its reference
 *
 * The message stays queued, so that its response is known when it comes, and what
 * it has opened on the server is closed again.
 *
 * Context: Any context that may take spinlocks.
 */
void smb_message_cancel(struct smb_message *msg)
{
	spin_lock(&msg->lock);
	msg->wait_cancelled = true;
	spin_unlock(&msg->lock);
	trace_smb3_message(msg->server->conn_id, msg, smb_message_trace_cancel);
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_cancel);

/**
 * smb_message_dequeue - Take a message from the queue for which nobody waits
 * @msg: The message, on which the caller has a reference of its own
 *
 * Context: Process context; takes the server's mid_queue_lock.
 * Return: False if somebody else has taken it and will complete it; or if it stays
 * queued, since its response is being received, and whoever does so or ends the
 * connection will complete it.
 */
bool smb_message_dequeue(struct smb_message *msg)
{
	struct TCP_Server_Info *server = msg->server;
	bool queued;

	spin_lock(&server->mid_queue_lock);
	queued = !msg->receiving && smb_message_unqueue(msg);
	spin_unlock(&server->mid_queue_lock);
	if (queued)
		smb_message_put(msg);
	return queued;
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_dequeue);

/**
 * smb_message_begin_receive - Begin to receive the response to a message
 * @msg: The message, queued
 *
 * A server that answers what was not sent yet must not have a sender that fails take
 * the message back, and what the response is read into.
 *
 * Context: The demultiplex thread, with the server's mid_queue_lock held.  The caller
 * gets a reference, for smb_message_end_receive().
 */
void smb_message_begin_receive(struct smb_message *msg)
{
	lockdep_assert_held(&msg->server->mid_queue_lock);
	smb_message_get(msg);
	msg->receiving = true;
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_begin_receive);

/**
 * smb_message_end_receive - Be done with a PDU for a message
 * @msg: The message; the caller's reference is put
 *
 * If it is still queued, there is more to come.
 *
 * Context: The demultiplex thread; takes the server's mid_queue_lock.
 */
void smb_message_end_receive(struct smb_message *msg)
{
	struct TCP_Server_Info *server = msg->server;

	spin_lock(&server->mid_queue_lock);
	msg->receiving = false;
	spin_unlock(&server->mid_queue_lock);
	smb_message_put(msg);
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_end_receive);

/**
 * smb_message_take_all - Take all messages from the queue
 * @server: The connection, which has ended
 * @list: Where they go, with the queue's references
 * @state: State to put those in that were sent; 0 to leave it
 *
 * Context: Process context; takes the server's mid_queue_lock.
 */
void smb_message_take_all(struct TCP_Server_Info *server, struct list_head *list,
			  int state)
{
	struct smb_message *msg;

	spin_lock(&server->mid_queue_lock);
	list_for_each_entry(msg, &server->pending_mid_q, qhead) {
		cifs_dbg(FYI, "Clearing mid %llu\n", msg->mid);
		if (state && msg->state == MID_REQUEST_SUBMITTED)
			msg->state = state;
		msg->queued = false;
	}
	list_splice_tail_init(&server->pending_mid_q, list);
	spin_unlock(&server->mid_queue_lock);
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_take_all);

/**
 * smb_message_finish_all - Complete messages that get no response
 * @list: What smb_message_take_all() has taken; empty afterwards
 * @state: State to put them in; 0 to leave it
 * @rc: Result for state %MID_RC
 *
 * Context: Process context, no lock held.
 */
void smb_message_finish_all(struct list_head *list, int state, int rc)
{
	struct smb_message *msg;

	while ((msg = list_first_entry_or_null(list, struct smb_message, qhead))) {
		list_del_init(&msg->qhead);
		if (state) {
			msg->rc = rc;
			msg->state = state;
		}
		trace_smb3_message(msg->server->conn_id, msg, smb_message_trace_retry);
		smb_message_complete(msg);
		smb_message_put(msg);
	}
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_finish_all);

/**
 * smb_message_received - Take a message from the queue, its response has come
 * @msg: The message, on which the caller has a reference of its own
 * @malformed: Whether the response cannot be used
 *
 * Context: The demultiplex thread; takes the server's mid_queue_lock.
 */
void smb_message_received(struct smb_message *msg, bool malformed)
{
	struct TCP_Server_Info *server = msg->server;
	bool queued;

#ifdef CONFIG_CIFS_STATS2
	msg->when_received = jiffies;
#endif
	spin_lock(&server->mid_queue_lock);
	msg->state = malformed ? MID_RESPONSE_MALFORMED : MID_RESPONSE_RECEIVED;
	queued = smb_message_unqueue(msg);
	spin_unlock(&server->mid_queue_lock);
	trace_smb3_message(server->conn_id, msg, smb_message_trace_reply);

	/*
	 * Trying to handle a response after the send_recv() function has
	 * finished processing it is a bug.
	 */
	if (queued)
		smb_message_put(msg);
	else
		pr_warn_once("trying to dequeue a deleted mid\n");
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_received);

/**
 * smb_message_complete - Run a message's callback, once
 * @msg: The message, which the caller has taken from the queue
 *
 * Context: Process context, no lock held.
 */
void smb_message_complete(struct smb_message *msg)
{
	smb_callback_t callback;

	spin_lock(&msg->lock);
	callback = msg->callback;
	msg->callback = NULL;
	spin_unlock(&msg->lock);

	if (callback)
		callback(msg->server, msg);
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_complete);

/**
 * smb_message_wake - Tell the waiter for a message that it is completed
 * @server: The connection that it was sent on
 * @msg: The message
 *
 * Context: Any; the caller has a reference.
 */
void smb_message_wake(struct TCP_Server_Info *server, struct smb_message *msg)
{
	if (msg->state == MID_RESPONSE_RECEIVED)
		WRITE_ONCE(msg->state, MID_RESPONSE_READY);
	wake_up(&msg->wait);
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_wake);

static bool smb_message_is_done(const struct smb_message *msg)
{
	int state = READ_ONCE(msg->state);

	return state != MID_REQUEST_SUBMITTED && state != MID_RESPONSE_RECEIVED;
}

/**
 * smb_message_wait - Wait until a message is completed
 * @msg: The message, whose callback calls smb_message_wake()
 *
 * Context: Process context; sleeps.
 * Return: 0, or -ERESTARTSYS if a signal came first: a fatal one, or any if the
 * message was sent with %CIFS_INTERRUPTIBLE_WAIT.
 */
int smb_message_wait(struct smb_message *msg)
{
	unsigned int sleep_state = TASK_KILLABLE;

	if (msg->flags & CIFS_INTERRUPTIBLE_WAIT)
		sleep_state = TASK_INTERRUPTIBLE;

	if (wait_event_state(msg->wait, smb_message_is_done(msg),
			     (sleep_state | TASK_FREEZABLE_UNSAFE)) < 0)
		return -ERESTARTSYS;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_wait);
