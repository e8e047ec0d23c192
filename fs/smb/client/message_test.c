// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the life of SMB messages
 */

#include <kunit/test.h>
#include <linux/kthread.h>
#include <linux/sched/signal.h>
#include "cifsglob.h"
#include "cifsproto.h"
#include "message.h"

#define NR_MESSAGES	5

/* A connection that sends nothing, and what became of its messages. */
struct fixture {
	struct TCP_Server_Info		server;
	struct smb_version_operations	ops;
	struct smb_version_values	vals;
	int				completed[NR_MESSAGES];
	int				nr_completed;
	int				nr_undone;
	int				mid_count;
};

static void count_completed(struct TCP_Server_Info *server, struct smb_message *msg)
{
	struct fixture *f = container_of(server, struct fixture, server);

	f->completed[f->nr_completed++] = msg->mid;
}

static int count_undone(struct smb_message *msg, struct TCP_Server_Info *server)
{
	struct fixture *f = container_of(server, struct fixture, server);

	f->nr_undone++;
	return 0;
}

static int message_test_init(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->ops.handle_cancelled_mid = count_undone;
	f->server.ops = &f->ops;
	f->server.vals = &f->vals;
	f->mid_count = atomic_read(&mid_count);
	refcount_set(&f->server.obj_refs, 1);
	spin_lock_init(&f->server.mid_queue_lock);
	INIT_LIST_HEAD(&f->server.pending_mid_q);
	test->priv = f;
	return 0;
}

static void message_test_exit(struct kunit *test)
{
	struct fixture *f = test->priv;

	KUNIT_EXPECT_TRUE(test, list_empty(&f->server.pending_mid_q));
	KUNIT_EXPECT_EQ(test, f->mid_count, atomic_read(&mid_count));
	KUNIT_EXPECT_EQ(test, 1, refcount_read(&f->server.obj_refs));
}

static struct smb_message *new_message(struct fixture *f, u64 mid, int state)
{
	struct smb_message *msg = smb_message_alloc(&f->server, 5);

	msg->mid = mid;
	msg->callback = count_completed;
	msg->state = state;
	return msg;
}

static void test_alloc(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct smb_message *msg = smb_message_alloc(&f->server, 0x1234);

	KUNIT_EXPECT_EQ(test, 1, refcount_read(&msg->ref));
	KUNIT_EXPECT_EQ(test, 0x1234, msg->command);
	KUNIT_EXPECT_EQ(test, MID_REQUEST_ALLOCATED, msg->state);
	KUNIT_EXPECT_EQ(test, 1, msg->credits);
	KUNIT_EXPECT_EQ(test, current->pid, msg->pid);
	KUNIT_EXPECT_FALSE(test, msg->queued);
	KUNIT_EXPECT_FALSE(test, smb_message_dequeue(msg));
	KUNIT_EXPECT_EQ(test, f->mid_count + 1, atomic_read(&mid_count));

	/* Completing what has no callback does nothing. */
	smb_message_complete(msg);
	smb_message_get(msg);
	smb_message_put(msg);
	KUNIT_EXPECT_EQ(test, 1, refcount_read(&msg->ref));
	smb_message_put(msg);
}

/* The queue has a reference, which goes when the message is taken back, once. */
static void test_dequeue(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct smb_message *msg = new_message(f, 1, MID_REQUEST_SUBMITTED);

	smb_message_queue(msg);
	KUNIT_EXPECT_TRUE(test, msg->queued);
	KUNIT_EXPECT_EQ(test, 2, refcount_read(&msg->ref));
	KUNIT_EXPECT_PTR_EQ(test, f->server.pending_mid_q.next, &msg->qhead);

	KUNIT_EXPECT_TRUE(test, smb_message_dequeue(msg));
	KUNIT_EXPECT_FALSE(test, smb_message_dequeue(msg));
	KUNIT_EXPECT_EQ(test, 1, refcount_read(&msg->ref));
	KUNIT_EXPECT_TRUE(test, list_empty(&f->server.pending_mid_q));
	KUNIT_EXPECT_EQ(test, 0, f->nr_completed);
	smb_message_put(msg);
}

static void begin_receive(struct smb_message *msg)
{
	spin_lock(&msg->server->mid_queue_lock);
	smb_message_begin_receive(msg);
	spin_unlock(&msg->server->mid_queue_lock);
}

/* What the demultiplex thread does with a response. */
static void receive(struct fixture *f, struct smb_message *msg, bool malformed)
{
	begin_receive(msg);
	msg->resp_buf = cifs_small_buf_get();
	smb_message_received(msg, malformed);
	smb_message_complete(msg);
	smb_message_end_receive(msg);
}

/* A sender that fails leaves a message whose response is coming to who receives it. */
static void test_receiving(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct smb_message *msg = new_message(f, 1, MID_REQUEST_SUBMITTED);

	smb_message_queue(msg);
	begin_receive(msg);
	KUNIT_EXPECT_FALSE(test, smb_message_dequeue(msg));
	KUNIT_EXPECT_TRUE(test, msg->queued);
	smb_message_received(msg, false);
	smb_message_complete(msg);
	smb_message_end_receive(msg);
	KUNIT_EXPECT_EQ(test, 1, f->nr_completed);
	KUNIT_EXPECT_EQ(test, 1, refcount_read(&msg->ref));
	smb_message_put(msg);

	/* An interim response is not the end. */
	msg = new_message(f, 2, MID_REQUEST_SUBMITTED);
	smb_message_queue(msg);
	begin_receive(msg);
	smb_message_end_receive(msg);
	KUNIT_EXPECT_TRUE(test, msg->queued);
	KUNIT_EXPECT_TRUE(test, smb_message_dequeue(msg));
	KUNIT_EXPECT_EQ(test, 1, f->nr_completed);
	smb_message_put(msg);
}

static void test_received(struct kunit *test)
{
	struct fixture *f = test->priv;

	for (int malformed = 0; malformed < 2; malformed++) {
		struct smb_message *msg = new_message(f, 1, MID_REQUEST_SUBMITTED);

		f->nr_completed = 0;
		smb_message_queue(msg);
		receive(f, msg, malformed);
		KUNIT_EXPECT_EQ(test, msg->state, malformed ? MID_RESPONSE_MALFORMED :
							      MID_RESPONSE_RECEIVED);
		KUNIT_EXPECT_EQ(test, 1, f->nr_completed);
		KUNIT_EXPECT_EQ(test, 1, refcount_read(&msg->ref));
		KUNIT_EXPECT_FALSE(test, smb_message_dequeue(msg));

		smb_message_complete(msg);
		KUNIT_EXPECT_EQ(test, 1, f->nr_completed);
		smb_message_put(msg);
	}
	KUNIT_EXPECT_EQ(test, 0, f->nr_undone);
}

/* The end of a connection completes all that was sent, in order, once. */
static void test_finish_all(struct kunit *test)
{
	static const struct {
		int take, finish, rc;		/* arguments */
		int submitted, allocated;	/* states that result */
	} ends[] = {
		{ MID_RETRY_NEEDED, 0, 0, MID_RETRY_NEEDED, MID_REQUEST_ALLOCATED },
		{ 0, MID_SHUTDOWN, 0, MID_SHUTDOWN, MID_SHUTDOWN },
		{ 0, MID_RC, -EHOSTDOWN, MID_RC, MID_RC },
	};
	struct fixture *f = test->priv;

	for (int c = 0; c < ARRAY_SIZE(ends); c++) {
		struct smb_message *msg[NR_MESSAGES];
		LIST_HEAD(list);

		f->nr_completed = 0;
		for (int i = 0; i < NR_MESSAGES; i++) {
			msg[i] = new_message(f, i, i == 3 ? MID_REQUEST_ALLOCATED :
							    MID_REQUEST_SUBMITTED);
			smb_message_queue(msg[i]);
		}
		smb_message_take_all(&f->server, &list, ends[c].take);
		KUNIT_EXPECT_TRUE(test, list_empty(&f->server.pending_mid_q));
		/* The sender of one gives up meanwhile. */
		KUNIT_EXPECT_FALSE(test, smb_message_dequeue(msg[1]));
		KUNIT_EXPECT_EQ(test, 0, f->nr_completed);

		smb_message_finish_all(&list, ends[c].finish, ends[c].rc);
		KUNIT_EXPECT_TRUE(test, list_empty(&list));
		KUNIT_ASSERT_EQ(test, NR_MESSAGES, f->nr_completed);
		for (int i = 0; i < NR_MESSAGES; i++) {
			int state = i == 3 ? ends[c].allocated : ends[c].submitted;

			KUNIT_EXPECT_EQ(test, i, f->completed[i]);
			KUNIT_EXPECT_EQ(test, state, msg[i]->state);
			KUNIT_EXPECT_EQ(test, ends[c].rc, msg[i]->rc);
			KUNIT_EXPECT_EQ(test, 1, refcount_read(&msg[i]->ref));
			smb_message_put(msg[i]);
		}
	}
}

/*
 * A wait can be given up in any state.  What the message has opened on the server
 * is undone if, and only if, there is a response that says so.
 */
static void test_cancel(struct kunit *test)
{
	enum when { QUEUED, SENT, RECEIVED, READY, MALFORMED, RETRIED, LATE, NR_WHEN };
	static const bool undone[NR_WHEN] = { [RECEIVED] = true, [READY] = true, [LATE] = true };
	struct fixture *f = test->priv;

	for (enum when when = QUEUED; when < NR_WHEN; when++) {
		struct smb_message *msg = new_message(f, 1, when == QUEUED ?
						      MID_REQUEST_ALLOCATED :
						      MID_REQUEST_SUBMITTED);
		LIST_HEAD(list);

		f->nr_undone = 0;
		f->nr_completed = 0;
		smb_message_queue(msg);
		switch (when) {
		case RECEIVED:
		case MALFORMED:
			receive(f, msg, when == MALFORMED);
			break;
		case READY:
			msg->callback = smb_message_wake;
			receive(f, msg, false);
			KUNIT_EXPECT_EQ(test, MID_RESPONSE_READY, msg->state);
			break;
		case RETRIED:
			smb_message_take_all(&f->server, &list, MID_RETRY_NEEDED);
			smb_message_finish_all(&list, 0, 0);
			break;
		default:
			break;
		}

		smb_message_cancel(msg);
		KUNIT_EXPECT_TRUE(test, msg->wait_cancelled);
		switch (when) {
		case QUEUED:
		case SENT:
			/* It stays until the connection ends. */
			smb_message_put(msg);
			KUNIT_EXPECT_FALSE(test, list_empty(&f->server.pending_mid_q));
			smb_message_take_all(&f->server, &list, MID_RETRY_NEEDED);
			smb_message_finish_all(&list, 0, 0);
			KUNIT_EXPECT_EQ(test, 1, f->nr_completed);
			break;
		case LATE:
			smb_message_get(msg);
			smb_message_put(msg);
			receive(f, msg, false);
			KUNIT_EXPECT_EQ(test, 1, f->nr_completed);
			smb_message_put(msg);
			break;
		default:
			KUNIT_EXPECT_FALSE(test, smb_message_dequeue(msg));
			smb_message_put(msg);
			break;
		}
		KUNIT_EXPECT_EQ_MSG(test, undone[when], f->nr_undone, "case %d", when);
		KUNIT_EXPECT_EQ_MSG(test, f->mid_count, atomic_read(&mid_count),
				    "case %d", when);
	}
}

struct waiter {
	struct smb_message	*msg;
	struct completion	done;
	int			rc;
};

static int wait_for_message(void *data)
{
	struct waiter *w = data;

	allow_signal(SIGKILL);
	allow_signal(SIGINT);
	w->rc = smb_message_wait(w->msg);
	complete(&w->done);
	while (!kthread_should_stop())
		schedule_timeout_uninterruptible(1);
	return 0;
}

static struct task_struct *start_waiter(struct kunit *test, struct waiter *w,
					struct smb_message *msg)
{
	struct task_struct *task;

	w->msg = msg;
	w->rc = 1;
	init_completion(&w->done);
	task = kthread_run(wait_for_message, w, "smb-message-wait");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	/* Until it sleeps. */
	while (!wq_has_sleeper(&msg->wait))
		schedule_timeout_uninterruptible(1);
	return task;
}

/* A response wakes its own waiter and nobody else. */
static void test_wake(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct smb_message *msg[2];
	struct task_struct *task[2];
	struct waiter w[2];

	for (int i = 0; i < 2; i++) {
		msg[i] = new_message(f, i, MID_REQUEST_SUBMITTED);
		msg[i]->callback = smb_message_wake;
		smb_message_queue(msg[i]);
		task[i] = start_waiter(test, &w[i], msg[i]);
	}

	receive(f, msg[1], false);
	KUNIT_EXPECT_NE(test, 0, wait_for_completion_timeout(&w[1].done, 10 * HZ));
	KUNIT_EXPECT_EQ(test, 0, w[1].rc);
	KUNIT_EXPECT_EQ(test, MID_RESPONSE_READY, msg[1]->state);
	KUNIT_EXPECT_FALSE(test, completion_done(&w[0].done));
	KUNIT_EXPECT_TRUE(test, wq_has_sleeper(&msg[0]->wait));

	receive(f, msg[0], true);
	KUNIT_EXPECT_NE(test, 0, wait_for_completion_timeout(&w[0].done, 10 * HZ));
	KUNIT_EXPECT_EQ(test, 0, w[0].rc);
	KUNIT_EXPECT_EQ(test, MID_RESPONSE_MALFORMED, msg[0]->state);

	for (int i = 0; i < 2; i++) {
		kthread_stop(task[i]);
		smb_message_put(msg[i]);
	}
}

/* A signal ends a wait if it is fatal or the sender says that it may. */
static void test_signal(struct kunit *test)
{
	struct fixture *f = test->priv;

	for (int interruptible = 0; interruptible < 2; interruptible++) {
		struct smb_message *msg = new_message(f, 1, MID_REQUEST_SUBMITTED);
		struct task_struct *task;
		struct waiter w;

		if (interruptible)
			msg->flags = CIFS_INTERRUPTIBLE_WAIT;
		task = start_waiter(test, &w, msg);
		send_sig(SIGINT, task, 1);
		if (!interruptible) {
			KUNIT_EXPECT_EQ(test, 0, wait_for_completion_timeout(&w.done, HZ / 20));
			send_sig(SIGKILL, task, 1);
		}
		KUNIT_EXPECT_NE(test, 0, wait_for_completion_timeout(&w.done, 10 * HZ));
		KUNIT_EXPECT_EQ(test, -ERESTARTSYS, w.rc);
		/* Nobody else than the waiter may give it up. */
		KUNIT_EXPECT_EQ(test, MID_REQUEST_SUBMITTED, msg->state);
		kthread_stop(task);
		smb_message_put(msg);
	}
}

struct race {
	struct fixture		*f;
	struct smb_message	*msg;
	atomic_t		barrier;
	int			taken;
};

static int race_dequeue(void *data)
{
	struct race *r = data;

	atomic_inc(&r->barrier);
	while (atomic_read(&r->barrier) < 2)
		cpu_relax();
	r->taken = smb_message_dequeue(r->msg);
	while (!kthread_should_stop())
		schedule_timeout_uninterruptible(1);
	return 0;
}

/* A sender that gives up and the end of the connection: one of them takes it. */
static void test_race(struct kunit *test)
{
	struct fixture *f = test->priv;

	if (num_online_cpus() < 2)
		kunit_skip(test, "takes two CPUs");

	for (int i = 0; i < 200; i++) {
		struct race r = { .f = f };
		struct task_struct *task;
		LIST_HEAD(list);

		f->nr_completed = 0;
		r.msg = new_message(f, i, MID_REQUEST_SUBMITTED);
		smb_message_queue(r.msg);
		task = kthread_run(race_dequeue, &r, "smb-message-race");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
		while (!atomic_read(&r.barrier))
			cpu_relax();
		atomic_inc(&r.barrier);
		smb_message_take_all(&f->server, &list, MID_RETRY_NEEDED);
		smb_message_finish_all(&list, 0, 0);
		kthread_stop(task);
		KUNIT_EXPECT_EQ(test, 1, r.taken + f->nr_completed);
		KUNIT_EXPECT_EQ(test, 1, refcount_read(&r.msg->ref));
		smb_message_put(r.msg);
	}
}

static struct kunit_case message_cases[] = {
	KUNIT_CASE(test_alloc),
	KUNIT_CASE(test_dequeue),
	KUNIT_CASE(test_receiving),
	KUNIT_CASE(test_received),
	KUNIT_CASE(test_finish_all),
	KUNIT_CASE(test_cancel),
	KUNIT_CASE(test_wake),
	KUNIT_CASE(test_signal),
	KUNIT_CASE(test_race),
	{}
};

static struct kunit_suite message_suite = {
	.name = "smb_message",
	.init = message_test_init,
	.exit = message_test_exit,
	.test_cases = message_cases,
};

kunit_test_suite(message_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests of the life of SMB messages");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
