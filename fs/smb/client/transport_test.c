// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of what responses do: credits, and sealed compounds
 *
 * Requests go nowhere.  Responses are made here and take the way that they take
 * from the socket on.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bvecq.h>
#include <linux/kthread.h>
#include <linux/sched/signal.h>
#include "cifsglob.h"
#include "cifsproto.h"
#include "smb2glob.h"
#include "smb2proto.h"
#include "test_server.h"
#include "transmit.h"

#define MAX_PDUS	256
#define NONE		(2 * MAX_PDUS)	/* no PDU has this number */
#define OTHERS		5	/* messages that are in flight all the time */

/* What becomes of a compound. */
enum fate {
	ANSWERED,
	UNSENT,
	INTERRUPTED,		/* with the first answered, if there are several */
	LOST,			/* the connection breaks while they are waited for */
	INTERRUPTED_LOST,
	STALE,			/* it breaks before they are sent */
};

/* Regular ones, those for echoes, those for oplock breaks. */
struct credits {
	int regular, echo, oplock;
};

struct credit_case {
	const char	*name;
	struct credits	before, after;
	int		flags;
	unsigned int	nr;		/* messages in the compound */
	u16		grant[4];
	enum fate	fate;
	int		rc;
	bool		alone;		/* nothing else is in flight */
};

/* A connection that is up, and what is sent over it. */
struct transport_env {
	struct TCP_Server_Info		server;
	struct cifs_ses			ses;
	struct smb_message		*msg[MAX_PDUS];
	const struct credit_case	*c;
	struct kunit			*test;
	int				mids;
	struct completion		sent;
	int				rc;
	int				completed[MAX_PDUS];
	int				nr_completed;
	const u8			*wire;	/* what is left to be read */
	size_t				left;
};

static struct smb_message *new_echo(struct transport_env *env, int flags)
{
	struct smb_message *msg = smb_message_alloc(&env->server, SMB2_ECHO_HE);
	struct smb2_echo_req *req;

	msg->flags = flags;
	KUNIT_ASSERT_EQ(env->test, 0, smb_message_alloc_request(&env->server, msg,
								sizeof(*req), NULL));
	req = msg->hdr;
	req->hdr.ProtocolId = SMB2_PROTO_NUMBER;
	req->hdr.Command = SMB2_ECHO;
	return msg;
}

static void fill_response(struct smb2_echo_rsp *rsp, u64 mid, u16 grant)
{
	*rsp = (struct smb2_echo_rsp) {
		.hdr.ProtocolId		= SMB2_PROTO_NUMBER,
		.hdr.StructureSize	= SMB2_HEADER_STRUCTURE_SIZE,
		.hdr.CreditRequest	= cpu_to_le16(grant),
		.hdr.Command		= SMB2_ECHO,
		.hdr.Flags		= SMB2_FLAGS_SERVER_TO_REDIR,
		.hdr.MessageId		= cpu_to_le64(mid),
		.StructureSize		= cpu_to_le16(4),
	};
}

/* What the demultiplex thread does with a response. */
static void respond(struct transport_env *env, unsigned int i)
{
	struct TCP_Server_Info *server = &env->server;
	char *buf = cifs_small_buf_get();
	struct smb_message *msg;

	fill_response((struct smb2_echo_rsp *)buf, env->msg[i]->mid, env->c->grant[i]);
	server->smallbuf = buf;
	server->large_buf = false;
	server->pdu_size = sizeof(struct smb2_echo_rsp);
	server->total_read = sizeof(struct smb2_echo_rsp);

	msg = server->ops->find_mid(server, buf);
	KUNIT_EXPECT_PTR_EQ(env->test, msg, env->msg[i]);
	KUNIT_EXPECT_EQ(env->test, 0, cifs_handle_standard(server, msg));
	cifs_complete_pdu(server, msg, buf);
	if (server->smallbuf)
		cifs_small_buf_release(server->smallbuf);
}

/* What cifs_reconnect() does to messages and credits. */
static void reconnect(struct transport_env *env)
{
	struct TCP_Server_Info *server = &env->server;
	LIST_HEAD(list);

	smb_message_take_all(server, &list, MID_RETRY_NEEDED);
	smb_message_finish_all(&list, 0, 0);
	server->ops->set_credits(server, 1);
}

/* In the place of smb_transmit(): what happens once the messages are queued. */
static int fake_transmit(struct TCP_Server_Info *server, struct bvecq *chain)
{
	struct transport_env *env = container_of(server, struct transport_env, server);
	const struct credit_case *c = env->c;

	switch (c->fate) {
	case ANSWERED:
		for (unsigned int i = 0; i < c->nr && !(c->flags & CIFS_NO_SRV_RSP); i++)
			respond(env, i);
		return 0;
	case INTERRUPTED:
	case INTERRUPTED_LOST:
		if (c->nr > 1)
			respond(env, 0);
		send_sig(SIGKILL, current, 1);
		return 0;
	case LOST:
		reconnect(env);
		return 0;
	default:
		return -EAGAIN;
	}
}

static int sender(void *data)
{
	struct transport_env *env = data;

	current->kunit_test = env->test;	/* the stub is there for it alone */
	allow_signal(SIGKILL);
	env->rc = smb_send_recv_messages(1, &env->ses, &env->server, env->msg[0]);
	complete(&env->sent);
	while (!kthread_should_stop())
		schedule_timeout_uninterruptible(1);
	current->kunit_test = NULL;
	return 0;
}

static const struct credit_case credit_cases[] = {
	{ "one for one", { 100, 1, 1 }, { 100, 1, 1 }, 0, 1, { 1 } },
	{ "none", { 100, 1, 1 }, { 99, 1, 1 }, 0, 1, { 0 } },
	{ "many", { 100, 1, 1 }, { 163, 1, 1 }, 0, 1, { 64 } },
	{ "too many", { 100, 1, 1 }, { 65000, 1, 1 }, 0, 1, { 65535 } },
	{ "more than the maximum", { 100, 1, 1 }, { 8190, 1, 1 }, 0, 1, { 10000 },
	  .alone = true },
	{ "two left", { 1, 1, 1 }, { 1, 1, 0 }, 0, 1, { 0 }, .alone = true },
	{ "one left", { 1, 0, 1 }, { 1, 0, 0 }, 0, 1, { 0 }, .alone = true },
	{ "three left", { 1, 0, 0 }, { 1, 1, 1 }, 0, 1, { 3 }, .alone = true },
	{ "compound", { 100, 1, 1 }, { 106, 1, 1 }, 0, 4, { 1, 2, 3, 4 } },
	{ "compound, the last grants", { 100, 1, 1 }, { 100, 1, 1 }, 0, 4, { 0, 0, 0, 4 } },
	{ "compound takes all", { 4, 1, 1 }, { 0, 1, 1 }, 0, 4, { 0 } },
	{ "compound too long", { 3, 1, 1 }, { 3, 1, 1 }, 0, 4, { 0 }, ANSWERED, -EDEADLK,
	  .alone = true },
	{ "echo", { 100, 1, 1 }, { 100, 3, 1 }, CIFS_ECHO_OP, 1, { 3 } },
	{ "echo, none", { 100, 1, 1 }, { 100, 0, 1 }, CIFS_ECHO_OP, 1, { 0 } },
	{ "echo, none, alone", { 100, 1, 1 }, { 99, 1, 1 }, CIFS_ECHO_OP, 1, { 0 },
	  .alone = true },
	{ "echo under way", { 100, 0, 1 }, { 100, 0, 1 }, CIFS_ECHO_OP, 1, { 0 }, ANSWERED,
	  -EAGAIN },
	{ "oplock break", { 100, 1, 1 }, { 100, 1, 2 }, CIFS_OBREAK_OP, 1, { 2 } },
	{ "oplock break, none", { 100, 1, 1 }, { 99, 1, 1 }, CIFS_OBREAK_OP, 1, { 0 } },
	{ "oplock break, many", { 100, 1, 1 }, { 104, 1, 1 }, CIFS_OBREAK_OP, 1, { 5 } },
	{ "oplock break goes first", { 100, 1, 0 }, { 100, 1, 2 },
	  CIFS_OBREAK_OP | CIFS_NON_BLOCKING, 1, { 3 } },
	{ "session setup", { 3, 0, 0 }, { 10, 1, 1 }, CIFS_SESS_OP, 1, { 10 }, .alone = true },
	{ "session setup, few", { 1, 0, 0 }, { 2, 0, 0 }, CIFS_SESS_OP, 1, { 2 },
	  .alone = true },
	{ "negotiate", { 1, 0, 0 }, { 10, 0, 0 }, CIFS_NEG_OP, 1, { 10 }, .alone = true },
	{ "no response", { 100, 1, 1 }, { 100, 1, 1 }, CIFS_NO_SRV_RSP, 1 },
	{ "unsent", { 100, 1, 1 }, { 100, 1, 1 }, 0, 1, { 0 }, UNSENT, -EAGAIN },
	{ "unsent compound", { 100, 1, 1 }, { 100, 1, 1 }, 0, 4, { 0 }, UNSENT, -EAGAIN },
	{ "unsent echo", { 100, 1, 1 }, { 100, 1, 1 }, CIFS_ECHO_OP, 1, { 0 }, UNSENT,
	  -EAGAIN },
	{ "interrupted", { 100, 1, 1 }, { 106, 1, 1 }, 0, 1, { 7 }, INTERRUPTED,
	  -ERESTARTSYS },
	{ "interrupted, none", { 100, 1, 1 }, { 99, 1, 1 }, 0, 1, { 0 }, INTERRUPTED,
	  -ERESTARTSYS },
	{ "interrupted oplock break", { 100, 1, 1 }, { 100, 1, 2 }, CIFS_OBREAK_OP, 1, { 2 },
	  INTERRUPTED, -ERESTARTSYS },
	{ "interrupted compound", { 100, 1, 1 }, { 106, 1, 1 }, 0, 4, { 1, 2, 3, 4 },
	  INTERRUPTED, -ERESTARTSYS },
	{ "lost", { 100, 1, 1 }, { 1, 1, 1 }, 0, 1, { 0 }, LOST, -EAGAIN },
	{ "lost compound", { 100, 1, 1 }, { 1, 1, 1 }, 0, 4, { 0 }, LOST, -EAGAIN },
	{ "interrupted, lost", { 100, 1, 1 }, { 1, 1, 1 }, 0, 1, { 0 }, INTERRUPTED_LOST,
	  -ERESTARTSYS },
	{ "interrupted compound, lost", { 100, 1, 1 }, { 1, 1, 1 }, 0, 4, { 9 },
	  INTERRUPTED_LOST, -ERESTARTSYS },
	{ "stale", { 100, 1, 1 }, { 1, 1, 1 }, 0, 1, { 0 }, STALE, -EAGAIN },
	{ "stale compound", { 100, 1, 1 }, { 1, 1, 1 }, 0, 4, { 0 }, STALE, -EAGAIN },
	{ "stale echo", { 100, 1, 1 }, { 1, 0, 1 }, CIFS_ECHO_OP, 1, { 0 }, STALE, -EAGAIN },
};

KUNIT_ARRAY_PARAM_DESC(credit, credit_cases, name);

/* Credits are taken for what is sent, and come with what is answered, once. */
static void test_credits(struct kunit *test)
{
	const struct credit_case *c = test->param_value;
	struct transport_env *env = test->priv;
	struct TCP_Server_Info *server = &env->server;
	struct task_struct *task;

	env->c = c;
	server->credits = c->before.regular;
	server->echo_credits = c->before.echo;
	server->oplock_credits = c->before.oplock;
	server->in_flight = c->alone ? 0 : OTHERS;

	for (unsigned int i = 0; i < c->nr; i++) {
		env->msg[i] = new_echo(env, i ? 0 : c->flags);
		if (i)
			env->msg[i - 1]->next = env->msg[i];
	}

	if (c->fate == STALE)
		cifs_server_lock(server);
	task = kthread_run(sender, env, "smb-sender");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	if (c->fate == STALE) {
		while (READ_ONCE(server->in_flight) != OTHERS + c->nr)
			schedule_timeout_uninterruptible(1);
		reconnect(env);
		cifs_server_unlock(server);
	}
	wait_for_completion(&env->sent);
	kthread_stop(task);

	KUNIT_EXPECT_EQ(test, c->rc, env->rc);
	if (c->fate == INTERRUPTED) {
		for (unsigned int i = c->nr > 1; i < c->nr; i++)
			respond(env, i);
	} else if (c->fate == INTERRUPTED_LOST) {
		reconnect(env);
	}
	KUNIT_EXPECT_EQ(test, c->alone ? 0 : OTHERS, server->in_flight);
	KUNIT_EXPECT_EQ(test, c->after.regular, server->credits);
	KUNIT_EXPECT_EQ(test, c->after.echo, server->echo_credits);
	KUNIT_EXPECT_EQ(test, c->after.oplock, server->oplock_credits);

	for (unsigned int i = 0; i < c->nr; i++)
		smb_message_put(env->msg[i]);
}

/* Those of reads and writes are taken ahead, by their size. */
static void test_mtu_credits(struct kunit *test)
{
	static const struct {
		int		before;
		size_t		size, got;
		unsigned int	value;
	} cases[] = {
		{ 100, 1, 1, 1 },
		{ 100, SZ_64K, SZ_64K, 1 },
		{ 100, SZ_64K + 1, SZ_64K + 1, 2 },
		{ 100, SZ_1M, SZ_1M, 16 },
		{ 24, SZ_1M, SZ_1M, 16 },
		{ 12, SZ_1M, SZ_256K, 4 },
		{ 8, SZ_1M, SZ_64K, 0 },
		{ 1, SZ_1M, SZ_64K, 0 },
	};
	static const struct credit_case unsent = { .fate = UNSENT };
	struct transport_env *env = test->priv;
	struct TCP_Server_Info *server = &env->server;

	env->c = &unsent;
	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cifs_credits credits = {};
		struct smb_message *msg;
		size_t got;

		server->in_flight = OTHERS;
		server->credits = cases[i].before;
		KUNIT_EXPECT_EQ(test, 0, server->ops->wait_mtu_credits(server, cases[i].size,
								       &got, &credits));
		KUNIT_EXPECT_EQ(test, cases[i].got, got);
		KUNIT_EXPECT_EQ(test, cases[i].value, credits.value);
		KUNIT_EXPECT_EQ(test, cases[i].before - cases[i].value, server->credits);
		KUNIT_EXPECT_EQ(test, OTHERS + !!credits.value, server->in_flight);
		if (!credits.value)
			continue;

		/* Whoever has taken them gives them back, unless there was a reconnect. */
		for (int stale = 0; stale < 2; stale++) {
			int expected = stale ? 1 : cases[i].before - cases[i].value;

			if (stale)
				server->ops->set_credits(server, 1);
			msg = new_echo(env, CIFS_HAS_CREDITS);
			KUNIT_EXPECT_EQ(test, -EAGAIN,
					smb_send_message_async(server, msg, &credits));
			smb_message_put(msg);
			KUNIT_EXPECT_EQ(test, expected, server->credits);
		}
		add_credits(server, &credits, 0);
		KUNIT_EXPECT_EQ(test, 1, server->credits);
		KUNIT_EXPECT_EQ(test, OTHERS, server->in_flight);
	}
}

/* In the place of cifs_readv_from_socket() */
static int fake_readv(struct TCP_Server_Info *server, struct msghdr *msg)
{
	struct transport_env *env = container_of(server, struct transport_env, server);
	size_t to_read = msg_data_left(msg);

	KUNIT_EXPECT_LE(env->test, to_read, env->left);
	if (to_read > env->left)
		return -ECONNABORTED;
	KUNIT_EXPECT_EQ(env->test, to_read, copy_to_iter(env->wire, to_read, &msg->msg_iter));
	env->wire += to_read;
	env->left -= to_read;
	return to_read;
}

static void note_completed(struct TCP_Server_Info *server, struct smb_message *msg)
{
	struct transport_env *env = container_of(server, struct transport_env, server);

	env->completed[env->nr_completed++] = msg->mid;
}

struct sealed_case {
	const char	*name;
	unsigned int	nr;
	unsigned int	nobodys;	/* nobody awaits this one and its successor */
	unsigned int	broken;		/* this one says that it is very long */
};

static const struct sealed_case sealed_cases[] = {
	{ "one", 1, NONE, NONE },
	{ "two", 2, NONE, NONE },
	{ "the longest that is made", MAX_COMPOUND, NONE, NONE },
	{ "one more", MAX_COMPOUND + 1, NONE, NONE },
	{ "as many as fit", 224, NONE, NONE },
	{ "nobody's", 30, 12, NONE },
	{ "nobody's at the end", 30, 28, NONE },
	{ "nobody's in small buffers", 4, 1, NONE },
	{ "broken", 30, NONE, 20 },
	{ "broken first", 2, NONE, 0 },
};

KUNIT_ARRAY_PARAM_DESC(sealed, sealed_cases, name);

static bool is_awaited(const struct sealed_case *c, unsigned int i)
{
	return i != c->nobodys && i != c->nobodys + 1;
}

/* Room for that much and for what seals it. */
static void *new_wire(struct kunit *test, size_t len)
{
	u8 *buf = kunit_kzalloc(test, SMB_MARKER_LEN + len + sizeof(struct smb2_transform_hdr),
				GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	return buf + SMB_MARKER_LEN;
}

/* Seal what is in there and put it where fake_readv() takes it from. */
static void put_on_wire(struct kunit *test, struct transport_env *env, void *pdus, size_t len)
{
	struct kvec iov = { pdus - SMB_MARKER_LEN, SMB_MARKER_LEN + len };
	struct bvecq *plain, *sealed;
	struct iov_iter iter;

	env->server.cipher_type = SMB2_ENCRYPTION_AES128_GCM;
	KUNIT_ASSERT_EQ(test, 0, smb3_crypto_aead_allocate(&env->server));
	plain = smb_copy_to_netmem(&env->server, &iov, 1);
	KUNIT_ASSERT_FALSE(test, IS_ERR(plain));
	sealed = smb3_seal(&env->server, plain, cpu_to_le64(env->ses.Suid));
	bvecq_put(plain);
	KUNIT_ASSERT_FALSE(test, IS_ERR(sealed));

	len += sizeof(struct smb2_transform_hdr);
	iov_iter_bvec_queue(&iter, ITER_SOURCE, sealed, 0, SMB_MARKER_LEN, len);
	KUNIT_EXPECT_EQ(test, len, copy_from_iter(pdus, len, &iter));
	bvecq_put(sealed);
	env->wire = pdus;
	env->left = len;
}

/* What the demultiplex thread does with it. */
static int receive_sealed(struct transport_env *env)
{
	struct TCP_Server_Info *server = &env->server;
	struct smb_message *mid = NULL;
	char *pdu = NULL;
	int rc;

	server->smallbuf = cifs_small_buf_get();
	server->bigbuf = cifs_buf_get();
	server->pdu_size = env->left;
	server->total_read = cifs_read_from_socket(server, server->smallbuf,
						   MID_HEADER_SIZE(server));
	rc = server->ops->receive_transform(server, &mid, &pdu);
	if (rc >= 0)
		cifs_complete_pdu(server, mid, pdu);
	else
		KUNIT_EXPECT_NULL(env->test, mid);
	KUNIT_EXPECT_EQ(env->test, 0, env->left);
	cifs_buf_release(server->bigbuf);
	cifs_small_buf_release(server->smallbuf);
	return rc;
}

static void submit(struct transport_env *env, unsigned int i, u16 command)
{
	struct smb_message *msg = new_echo(env, 0);

	msg->command = command;
	msg->mid = i;
	msg->state = MID_REQUEST_SUBMITTED;
	msg->callback = note_completed;
	env->msg[i] = msg;
}

/* Each response of a compound, however many, gets to who awaits it. */
static void test_sealed(struct kunit *test)
{
	const size_t pdu_len = ALIGN(sizeof(struct smb2_echo_rsp), SMB2_COMPOUND_ALIGN);
	const struct sealed_case *c = test->param_value;
	struct transport_env *env = test->priv;
	struct TCP_Server_Info *server = &env->server;
	int bufs = atomic_read(&buf_alloc_count) + atomic_read(&small_buf_alloc_count);
	unsigned int nr = 0, credits = server->credits;
	size_t len = c->nr * pdu_len;
	void *pdus = new_wire(test, len);
	LIST_HEAD(list);

	for (unsigned int i = 0; i < c->nr; i++) {
		struct smb2_echo_rsp *rsp = pdus + i * pdu_len;

		fill_response(rsp, i, i % 7);
		if (i < c->nr - 1)
			rsp->hdr.NextCommand = cpu_to_le32(pdu_len);
		if (i == c->broken)
			rsp->hdr.NextCommand = cpu_to_le32(SMB_MARKER_LEN + len);

		submit(env, i, SMB2_ECHO_HE);
		if (is_awaited(c, i))
			smb_message_queue(env->msg[i]);
		else
			credits += i % 7;
	}
	put_on_wire(test, env, pdus, len);
	KUNIT_EXPECT_EQ(test, c->broken == NONE, receive_sealed(env) >= 0);

	for (unsigned int i = 0; i < umin(c->nr, c->broken); i++) {
		const struct smb2_hdr *hdr = env->msg[i]->resp_buf;

		if (!is_awaited(c, i))
			continue;
		KUNIT_EXPECT_EQ(test, i, env->completed[nr++]);
		KUNIT_EXPECT_EQ(test, MID_RESPONSE_RECEIVED, env->msg[i]->state);
		KUNIT_EXPECT_TRUE(test, env->msg[i]->decrypted);
		KUNIT_EXPECT_EQ(test, pdu_len, env->msg[i]->resp_buf_size);
		KUNIT_EXPECT_EQ(test, i % 7, env->msg[i]->credits_received);
		KUNIT_ASSERT_NOT_NULL(test, hdr);
		KUNIT_EXPECT_EQ(test, i, le64_to_cpu(hdr->MessageId));
	}
	KUNIT_EXPECT_EQ(test, nr, env->nr_completed);
	KUNIT_EXPECT_EQ(test, credits, server->credits);

	smb_message_take_all(server, &list, MID_RETRY_NEEDED);
	smb_message_finish_all(&list, 0, 0);
	for (unsigned int i = 0; i < c->nr; i++)
		smb_message_put(env->msg[i]);
	KUNIT_EXPECT_EQ(test, bufs, atomic_read(&buf_alloc_count) +
				    atomic_read(&small_buf_alloc_count));
}

/* Submit a read, and have a response to it that fits into no buffer. */
static void read_big(struct transport_env *env, unsigned int i)
{
	struct TCP_Server_Info *server = &env->server;
	size_t data_len = CIFSMaxBufSize + MAX_HEADER_SIZE(server);
	size_t len = server->vals->read_rsp_size + data_len;
	struct smb2_read_rsp *rsp = new_wire(env->test, len);

	fill_response((struct smb2_echo_rsp *)rsp, i, 1);
	rsp->hdr.Command = SMB2_READ;
	rsp->StructureSize = cpu_to_le16(17);
	rsp->DataOffset = server->vals->read_rsp_size;
	rsp->DataLength = cpu_to_le32(data_len);
	submit(env, i, SMB2_READ_HE);
	smb_message_queue(env->msg[i]);
	put_on_wire(env->test, env, rsp, len);
	server->in_flight = OTHERS;
}

/* A response that fits into no buffer, to a read that has a buffer alone, fails. */
static void test_sealed_big(struct kunit *test)
{
	struct transport_env *env = test->priv;
	struct TCP_Server_Info *server = &env->server;
	int bufs = atomic_read(&buf_alloc_count) + atomic_read(&small_buf_alloc_count);

	for (int offloaded = 0; offloaded < 2; offloaded++) {
		read_big(env, offloaded);
		server->min_offload = offloaded;
		KUNIT_EXPECT_EQ(test, offloaded ? -1 : 0, receive_sealed(env));
		flush_workqueue(decrypt_wq);
		KUNIT_EXPECT_EQ(test, offloaded + 1, env->nr_completed);
		KUNIT_EXPECT_EQ(test, offloaded, env->completed[offloaded]);
		KUNIT_EXPECT_EQ(test, MID_RESPONSE_MALFORMED, env->msg[offloaded]->state);
		KUNIT_EXPECT_EQ(test, 1, env->msg[offloaded]->credits_received);
		smb_message_put(env->msg[offloaded]);
	}
	KUNIT_EXPECT_EQ(test, bufs, atomic_read(&buf_alloc_count) +
				    atomic_read(&small_buf_alloc_count));
}

struct read_case {
	const char	*name;
	unsigned int	len;		/* that the response has */
	unsigned int	room;		/* that there is for it */
	int		result;
};

static const struct read_case read_cases[] = {
	{ "some",		100, 200 },
	{ "none",		0, 200 },
	{ "none, and no room",	0, 0 },
	{ "no room",		100, 0, -EIO },
};

KUNIT_ARRAY_PARAM_DESC(read, read_cases, name);

/* A read is over when its response is there, whatever it holds. */
static void test_sealed_read(struct kunit *test)
{
	const struct read_case *c = test->param_value;
	struct transport_env *env = test->priv;
	struct TCP_Server_Info *server = &env->server;
	size_t len = server->vals->read_rsp_size + c->len;
	struct smb2_read_rsp *rsp = new_wire(test, len + 1);
	struct cifs_io_subrequest *rdata;
	struct kvec room;

	rdata = kunit_kzalloc(test, sizeof(*rdata), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, rdata);
	room.iov_len = c->room;
	room.iov_base = kunit_kzalloc(test, c->room + 1, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, room.iov_base);
	iov_iter_kvec(&rdata->subreq.io_iter, ITER_DEST, &room, 1, c->room);

	fill_response((struct smb2_echo_rsp *)rsp, 0, 1);
	rsp->hdr.Command = SMB2_READ;
	rsp->StructureSize = cpu_to_le16(17);
	rsp->DataOffset = server->vals->read_rsp_size;
	rsp->DataLength = cpu_to_le32(c->len);
	memset((u8 *)rsp + rsp->DataOffset, 'r', c->len);
	submit(env, 0, SMB2_READ_HE);
	env->msg[0]->subreq = rdata;
	env->msg[0]->handle = smb3_handle_read_data;
	smb_message_queue(env->msg[0]);
	/* As if it were not empty, [MS-SMB2] section 2.2.20. */
	put_on_wire(test, env, rsp, len + !c->len);

	KUNIT_EXPECT_EQ(test, 0, receive_sealed(env));
	KUNIT_EXPECT_EQ(test, 1, env->nr_completed);
	KUNIT_EXPECT_EQ(test, c->result ? MID_RESPONSE_MALFORMED : MID_RESPONSE_RECEIVED,
			env->msg[0]->state);
	KUNIT_EXPECT_EQ(test, c->result, rdata->result);
	KUNIT_EXPECT_EQ(test, c->result ? 0 : c->len, rdata->got_bytes);
	KUNIT_EXPECT_EQ(test, rdata->got_bytes,
			strnlen(room.iov_base, c->room));

	if (!env->nr_completed) {
		LIST_HEAD(list);

		smb_message_take_all(server, &list, MID_RETRY_NEEDED);
		smb_message_finish_all(&list, 0, 0);
	}
	smb_message_put(env->msg[0]);
}

struct again_case {
	const char	*name;
	enum statusEnum	status;
	bool		reconnected;
};

static const struct again_case again_cases[] = {
	{ "good",		CifsGood },
	{ "to be reconnected",	CifsNeedReconnect },
	{ "to be negotiated",	CifsNeedNegotiate },
	{ "reconnected",	CifsGood, .reconnected = true },
	{ "shut down",		CifsExiting },
};

KUNIT_ARRAY_PARAM_DESC(again, again_cases, name);

/* It happens to the connection while the response is decrypted. */
static bool say_pending(char *buf, struct TCP_Server_Info *server)
{
	struct transport_env *env = container_of(server, struct transport_env, server);
	const struct again_case *c = env->test->param_value;

	server->tcpStatus = c->status;
	server->reconnect_instance += c->reconnected;
	/* The test's, the message's and the worker's */
	KUNIT_EXPECT_EQ(env->test, 3, refcount_read(&server->obj_refs));
	return true;
}

/* What waits for another response is queued again if that can still come. */
static void test_sealed_again(struct kunit *test)
{
	const struct again_case *c = test->param_value;
	bool queued = c->status == CifsGood && !c->reconnected;
	struct transport_env *env = test->priv;
	struct TCP_Server_Info *server = &env->server;
	struct smb_version_operations ops = *server->ops;
	struct cifs_io_subrequest *rdata = kunit_kzalloc(test, sizeof(*rdata), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, rdata);
	ops.is_status_pending = say_pending;
	server->ops = &ops;
	server->tcpStatus = CifsGood;
	server->min_offload = 1;
	read_big(env, 0);
	env->msg[0]->subreq = rdata;
	KUNIT_EXPECT_EQ(test, -1, receive_sealed(env));
	flush_workqueue(decrypt_wq);
	KUNIT_EXPECT_EQ(test, queued, env->msg[0]->queued);
	KUNIT_EXPECT_EQ(test, !queued, env->nr_completed);
	KUNIT_EXPECT_EQ(test, queued ? MID_REQUEST_SUBMITTED : MID_RETRY_NEEDED,
			env->msg[0]->state);
	smb_message_dequeue(env->msg[0]);
	smb_message_put(env->msg[0]);
}

static int transport_test_init(struct kunit *test)
{
	struct transport_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);
	struct TCP_Server_Info *server;

	if (!env)
		return -ENOMEM;
	env->test = test;
	env->mids = atomic_read(&mid_count);
	init_completion(&env->sent);

	server = &env->server;
	test_server_init(server, &env->ses);
	server->reconnect_instance = 1;
	INIT_LIST_HEAD(&server->smb_ses_list);

	list_add(&env->ses.smb_ses_list, &server->smb_ses_list);
	memset(env->ses.smb3encryptionkey, 0x5a, sizeof(env->ses.smb3encryptionkey));
	memset(env->ses.smb3decryptionkey, 0x5a, sizeof(env->ses.smb3decryptionkey));

	kunit_activate_static_stub(test, smb_transmit, fake_transmit);
	kunit_activate_static_stub(test, cifs_readv_from_socket, fake_readv);
	test->priv = env;
	return 0;
}

static void transport_test_exit(struct kunit *test)
{
	struct transport_env *env = test->priv;

	if (!env)
		return;
	cifs_crypto_secmech_release(&env->server);
	KUNIT_EXPECT_TRUE(test, list_empty(&env->server.pending_mid_q));
	KUNIT_EXPECT_EQ(test, env->mids, atomic_read(&mid_count));
	KUNIT_EXPECT_EQ(test, 1, refcount_read(&env->server.obj_refs));
}

static struct kunit_case transport_test_cases[] = {
	KUNIT_CASE_PARAM(test_credits, credit_gen_params),
	KUNIT_CASE(test_mtu_credits),
	KUNIT_CASE_PARAM(test_sealed, sealed_gen_params),
	KUNIT_CASE(test_sealed_big),
	KUNIT_CASE_PARAM(test_sealed_read, read_gen_params),
	KUNIT_CASE_PARAM(test_sealed_again, again_gen_params),
	{}
};

static struct kunit_suite transport_test_suite = {
	.name		= "smb_transport",
	.init		= transport_test_init,
	.exit		= transport_test_exit,
	.test_cases	= transport_test_cases,
};

kunit_test_suite(transport_test_suite);
