/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SMB messages: one request and its response
 */
#ifndef _SMB_MESSAGE_H
#define _SMB_MESSAGE_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

struct bvecq;
struct cifs_io_subrequest;
struct smb_message;
struct TCP_Server_Info;

typedef int (*smb_receive_t)(struct TCP_Server_Info *server, struct smb_message *msg);
typedef void (*smb_callback_t)(struct TCP_Server_Info *server, struct smb_message *msg);

/* What the tracepoint smb3_message tells of. */
enum smb_message_trace {
	smb_message_trace_alloc,
	smb_message_trace_cancel,
	smb_message_trace_free,
	smb_message_trace_queue,
	smb_message_trace_reply,
	smb_message_trace_retry,
	smb_message_trace_send,
};

/**
 * struct smb_message - One request, from its encoder to its response
 * @qhead: Link in the server's pending_mid_q, or in the list of whoever took it
 *	from there
 * @next: The next message of a compound; holds the encoder's reference on it
 * @server: The connection that it is for, which stays at least until it is freed
 * @ref: Number of references, see below
 * @lock: Protects @callback and @wait_cancelled
 * @wait: Waiters for this message's response, and for no other's
 * @mid: Message ID, [MS-SMB2] section 2.2.1, or Multiplex ID, [MS-CIFS] 2.2.3.1
 * @state: One of the MID_* states; changed under the server's mid_queue_lock as
 *	long as the message is in pending_mid_q
 * @rc: What the waiter gets in state %MID_RC
 * @flags: CIFS_*_OP, which say whose credits it takes, and the other flags of the
 *	send
 * @pid: Process that made the request
 * @sequence_number: SMB1: what the response is signed with
 * @command: Command code, in CPU order
 * @credits: Number of credits and of message IDs that the request takes
 * @credits_received: Number of credits that the response granted
 * @front: Number of bytes before @hdr that are sent: the length marker, or what
 *	pads the previous message of a compound
 * @pad: Number of bytes that align the next message of a compound behind it
 * @related: It works on the session, tree and file of its predecessor
 * @unstable: Payload is referred to that its owner may write to at any time
 * @queued: It is in pending_mid_q; protected by the server's mid_queue_lock
 * @receiving: Its response is being received; protected likewise
 * @wait_cancelled: Nobody waits any more
 * @large_buf: @resp_buf is from the pool of large buffers
 * @multi_rsp: SMB1: the response comes in several PDUs
 * @multi_end: SMB1: all of them have come
 * @decrypted: The response was sealed, so it carries no signature
 * @answered: The waiter may look at the response
 * @hdr: The request's protocol header, in the first fragment of @request
 * @request: The request, in network memory; its payload is referred to
 * @len: Number of bytes in @request
 * @subreq: What a read or a write is a part of
 * @receive: Reads the response from the socket, by the demultiplex thread, with
 *	no lock held and the message still in pending_mid_q; sets the response.
 *	NULL to have it read into a buffer.  Returns an errno if the receive
 *	state of the connection is lost.
 * @handle: Takes over a response that was decrypted
 * @callback: Called once, by whoever took the message from the queue, with no lock
 *	held: with a response, when the connection broke, or is shut down
 * @resp_buf: The response
 * @resp_buf_size: Number of bytes in @resp_buf
 * @response_pdu_len: Number of bytes in the PDU that it came in
 * @when_sent: Time at which it was handed to the socket, in jiffies; 0 before
 * @when_received: Time at which the response was read
 *
 * There is the encoder's reference, put when it is done with the response or, if
 * it does not wait, with sending.  There is one for the queue, which passes to
 * whoever takes the message from there.  All others are short-lived.
 */
struct smb_message {
	struct list_head	qhead;
	struct smb_message	*next;
	struct TCP_Server_Info	*server;
	refcount_t		ref;
	spinlock_t		lock;		/* callback, wait_cancelled */
	wait_queue_head_t	wait;
	u64			mid;
	int			state;
	int			rc;
	unsigned int		flags;
	u32			pid;
	u32			sequence_number;
	u16			command;
	u16			credits;
	u16			credits_received;
	u8			front;
	u8			pad;
	bool			related;
	bool			unstable;
	bool			queued;
	bool			receiving;
	bool			wait_cancelled;
	bool			large_buf;
	bool			multi_rsp;
	bool			multi_end;
	bool			decrypted;
	bool			answered;

	void			*hdr;
	struct bvecq		*request;
	size_t			len;

	struct cifs_io_subrequest *subreq;
	smb_receive_t		receive;
	smb_receive_t		handle;
	smb_callback_t		callback;

	void			*resp_buf;
	unsigned int		resp_buf_size;
	u32			response_pdu_len;

#ifdef CONFIG_CIFS_STATS2
	unsigned long		when_sent;
	unsigned long		when_received;
#endif
};

int smb_message_init_pool(void);
void smb_message_exit_pool(void);

struct smb_message *smb_message_alloc(struct TCP_Server_Info *server, u16 command);
void smb_message_free(struct smb_message *msg);
void smb_message_queue(struct smb_message *msg);
void smb_message_note_sent(struct smb_message *msg);
void smb_message_cancel(struct smb_message *msg);
bool smb_message_dequeue(struct smb_message *msg);
void smb_message_begin_receive(struct smb_message *msg);
void smb_message_end_receive(struct smb_message *msg);
void smb_message_take_all(struct TCP_Server_Info *server, struct list_head *list,
			  int state);
void smb_message_finish_all(struct list_head *list, int state, int rc);
void smb_message_received(struct smb_message *msg, bool malformed);
void smb_message_complete(struct smb_message *msg);
void smb_message_wake(struct TCP_Server_Info *server, struct smb_message *msg);
int smb_message_wait(struct smb_message *msg);

static inline void smb_message_get(struct smb_message *msg)
{
	refcount_inc(&msg->ref);
}

/**
 * smb_message_put - Put a reference on a message
 * @msg: The message
 *
 * Context: Any context that may sleep, no lock held: a response that nobody took
 * may have to be undone on the server.
 */
static inline void smb_message_put(struct smb_message *msg)
{
	if (refcount_dec_and_test(&msg->ref))
		smb_message_free(msg);
}

#endif /* _SMB_MESSAGE_H */
