// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the encoders of SMB requests
 *
 * Each request has to be what Linux 7.3 put on the wire for it before it was encoded
 * in network memory: encode_test_wire.h was captured there, by this file with a stub
 * in __smb_send_rqst().  What differs from one run to the next is masked: the process,
 * salts, and the kernel's version.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bvecq.h>
#include <linux/fips.h>
#include <linux/nls.h>
#include <linux/statfs.h>
#include <linux/uio.h>
#include "cifsglob.h"
#include "cifsproto.h"
#include "cifs_fs_sb.h"
#include "../common/smbfsctl.h"
#include "smb1proto.h"
#include "smb2glob.h"
#include "smb2proto.h"
#include "transmit.h"
#include "encode_test_wire.h"
#include "test_server.h"

#define WIRE_MAX	SZ_16K
#define TREE_NAME	"\\\\server.example\\share"

/* A connection that is up, as far as the encoders can see. */
struct encode_env {
	struct TCP_Server_Info	server;
	struct cifs_ses		ses;
	struct cifs_tcon	tcon;
	struct cifs_sb_info	cifs_sb;
	struct cifs_fid		fid;
	struct cifsFileInfo	cfile;
	struct cifsInodeInfo	inode;
	struct cifs_open_parms	oparms;
	struct tcon_link	tlink;
	struct cifs_io_request	req;
	struct cifs_io_subrequest io;
	u8			*wire;
	size_t			len;
	int			error;		/* of sending */
	bool			overflow;
};

struct encode_case {
	const char	*name;
	void		(*prepare)(struct encode_env *env);
	void		(*send)(struct encode_env *env);
	size_t		mask_offset;	/* in the first request */
	size_t		mask_len;
};

/*
 * What differs between connections
 */

static void prepare_202(struct encode_env *env)
{
	env->server.ops = &smb20_operations;
	env->server.vals = &smb20_values;
	env->server.dialect = SMB20_PROT_ID;
	env->server.capabilities = 0;
}

static void prepare_21(struct encode_env *env)
{
	env->server.ops = &smb21_operations;
	env->server.vals = &smb21_values;
	env->server.dialect = SMB21_PROT_ID;
	env->server.capabilities = SMB2_GLOBAL_CAP_LARGE_MTU | SMB2_GLOBAL_CAP_LEASING;
}

static void prepare_default(struct encode_env *env)
{
	env->server.vals = &smbdefault_values;
}

static void prepare_any(struct encode_env *env)
{
	env->server.vals = &smb3any_values;
	env->server.hostname = NULL;
	env->server.compression.requested = true;
}

static void prepare_new_session(struct encode_env *env)
{
	env->ses.ses_status = SES_NEW;
}

static void prepare_posix(struct encode_env *env)
{
	env->tcon.posix_extensions = true;
	env->oparms.mode = 0640;
}

static void prepare_create(struct encode_env *env, int mount_flags)
{
	atomic_set(&env->cifs_sb.mnt_cifs_flags, mount_flags);
	env->oparms.disposition = FILE_CREATE;
	env->oparms.mode = 0751;
}

static void prepare_posix_create(struct encode_env *env)
{
	prepare_create(env, 0);
	prepare_posix(env);
}

static void prepare_posix_owner(struct encode_env *env)
{
	prepare_create(env, CIFS_MOUNT_UID_FROM_ACL);
	prepare_posix(env);
}

static void prepare_dfs(struct encode_env *env)
{
	env->tcon.share_flags = SHI1005_FLAGS_DFS;
}

static void prepare_snapshot(struct encode_env *env)
{
	env->tcon.snapshot_time = 0x01d9a1b2c3d4e5f6;
}

static void prepare_no_lease(struct encode_env *env)
{
	env->tcon.no_lease = true;
}

static void prepare_oplocks(struct encode_env *env)
{
	env->server.capabilities = SMB2_GLOBAL_CAP_LARGE_MTU;
}

static void prepare_persistent(struct encode_env *env)
{
	env->tcon.use_persistent = true;
	env->tcon.handle_timeout = 120000;
}

static void prepare_reconnect(struct encode_env *env)
{
	prepare_oplocks(env);
	env->oparms.reconnect = true;
}

static void prepare_reconnect_persistent(struct encode_env *env)
{
	prepare_persistent(env);
	env->oparms.reconnect = true;
}

static void prepare_mode_sid(struct encode_env *env)
{
	prepare_create(env, CIFS_MOUNT_MODE_FROM_SID);
}

static void prepare_owner_sid(struct encode_env *env)
{
	prepare_create(env, CIFS_MOUNT_MODE_FROM_SID | CIFS_MOUNT_UID_FROM_ACL);
}

static void prepare_owner_only(struct encode_env *env)
{
	prepare_create(env, CIFS_MOUNT_UID_FROM_ACL);
}

static void prepare_all_contexts(struct encode_env *env)
{
	static u8 ea[40] = {
		0, 0, 0, 0, 16, 0, 4, 0, 0, 0, 24, 0, 16, 0, 0, 0, 'E', 'x', 't', 'A',
	};
	static struct kvec iov;

	prepare_owner_sid(env);
	prepare_posix(env);
	prepare_snapshot(env);
	prepare_persistent(env);
	iov = (struct kvec){ ea, sizeof(ea) };
	env->oparms.ea_cctx = &iov;
}

/*
 * The requests
 */

static void send_negotiate(struct encode_env *env)
{
	SMB2_negotiate(1, &env->ses, &env->server);
}

static void send_sess_setup(struct encode_env *env)
{
	SMB2_sess_setup(1, &env->ses, &env->server, env->cifs_sb.local_nls);
}

static void send_logoff(struct encode_env *env)
{
	SMB2_logoff(1, &env->ses);
}

static void send_tcon(struct encode_env *env)
{
	SMB2_tcon(1, &env->ses, TREE_NAME, &env->tcon, env->cifs_sb.local_nls);
}

static void send_tdis(struct encode_env *env)
{
	SMB2_tdis(1, &env->tcon);
}

static void send_open_level(struct encode_env *env, u8 oplock)
{
	__le16 *path = cifs_convert_path_to_utf16(env->oparms.path, &env->cifs_sb);

	if (path)
		SMB2_open(1, &env->oparms, path, &oplock, NULL, NULL, NULL, NULL);
	kfree(path);
}

static void send_open(struct encode_env *env)
{
	send_open_level(env, SMB2_OPLOCK_LEVEL_BATCH);
}

static void send_open_no_oplock(struct encode_env *env)
{
	send_open_level(env, SMB2_OPLOCK_LEVEL_NONE);
}

static void send_open_root(struct encode_env *env)
{
	env->oparms.path = "";
	env->oparms.create_options = CREATE_NOT_FILE;
	send_open_level(env, SMB2_OPLOCK_LEVEL_II);
}

static void send_open_readonly(struct encode_env *env)
{
	/* Seven characters and the null: no padding. */
	env->oparms.path = "abc/efg";
	env->oparms.create_options = CREATE_OPTION_READONLY | CREATE_OPTION_SPECIAL;
	env->oparms.disposition = FILE_OVERWRITE_IF;
	send_open_level(env, SMB2_OPLOCK_LEVEL_EXCLUSIVE);
}

static void send_posix_mkdir(struct encode_env *env)
{
	smb311_posix_mkdir(1, NULL, 0750, &env->tcon, "/new/dir", &env->cifs_sb);
}

static void send_close(struct encode_env *env)
{
	SMB2_close(1, &env->tcon, env->fid.persistent_fid, env->fid.volatile_fid);
}

static void send_close_getattr(struct encode_env *env)
{
	struct smb2_file_network_open_info info;

	__SMB2_close(1, &env->tcon, env->fid.persistent_fid, env->fid.volatile_fid, &info);
}

static void send_flush(struct encode_env *env)
{
	SMB2_flush(1, &env->tcon, env->fid.persistent_fid, env->fid.volatile_fid);
}

static void send_echo(struct encode_env *env)
{
	SMB2_echo(&env->server);
}

static void send_read(struct encode_env *env)
{
	struct cifs_io_parms io = {
		.server		= &env->server,
		.tcon		= &env->tcon,
		.persistent_fid	= env->fid.persistent_fid,
		.volatile_fid	= env->fid.volatile_fid,
		.offset		= 0x123456789a,
		.length		= 100000,
		.pid		= 4711,
	};
	unsigned int nbytes;
	char *buf = NULL;
	int type;

	SMB2_read(1, &io, &nbytes, &buf, &type);
}

static void send_write(struct encode_env *env)
{
	struct cifs_io_parms io = {
		.server		= &env->server,
		.tcon		= &env->tcon,
		.persistent_fid	= env->fid.persistent_fid,
		.volatile_fid	= env->fid.volatile_fid,
		.offset		= 0x123456789a,
		.length		= 11,
		.pid		= 4711,
	};
	struct kvec iov[2] = { [1] = { "Hello world", 11 } };
	unsigned int nbytes;

	SMB2_write(1, &io, &nbytes, iov, 1);
}

static void send_query_info(struct encode_env *env)
{
	struct smb2_file_all_info info;

	SMB2_query_info(1, &env->tcon, env->fid.persistent_fid, env->fid.volatile_fid,
			&info);
}

static void send_query_acl(struct encode_env *env)
{
	void *data = NULL;
	u32 len;

	SMB2_query_acl(1, &env->tcon, env->fid.persistent_fid, env->fid.volatile_fid,
		       &data, &len, OWNER_SECINFO | GROUP_SECINFO | DACL_SECINFO);
}

static void send_set_eof(struct encode_env *env)
{
	SMB2_set_eof(1, &env->tcon, env->fid.persistent_fid, env->fid.volatile_fid,
		     4711, 0x123456789a);
}

static void send_set_acl(struct encode_env *env)
{
	u8 sd[] = "a security descriptor";

	SMB2_set_acl(1, &env->tcon, env->fid.persistent_fid, env->fid.volatile_fid,
		     (struct smb_ntsd *)sd, sizeof(sd), DACL_SECINFO);
}

static void send_ioctl(struct encode_env *env)
{
	u32 len;
	char *out = NULL;

	SMB2_ioctl(1, &env->tcon, env->fid.persistent_fid, env->fid.volatile_fid,
		   FSCTL_SET_SPARSE, "\1", 1, CIFSMaxBufSize, &out, &len);
}

static void send_ioctl_no_input(struct encode_env *env)
{
	u32 len;
	char *out = NULL;

	SMB2_ioctl(1, &env->tcon, NO_FILE_ID, NO_FILE_ID,
		   FSCTL_QUERY_NETWORK_INTERFACE_INFO, NULL, 0, CIFSMaxBufSize,
		   &out, &len);
}

static void send_validate_negotiate(struct encode_env *env)
{
	struct validate_negotiate_info_req info = {
		.Guid		= "0123456789abcdef",
		.SecurityMode	= cpu_to_le16(SMB2_NEGOTIATE_SIGNING_ENABLED),
		.DialectCount	= cpu_to_le16(1),
		.Dialects	= { cpu_to_le16(SMB302_PROT_ID) },
	};
	u32 len;
	char *out = NULL;

	SMB2_ioctl(1, &env->tcon, NO_FILE_ID, NO_FILE_ID, FSCTL_VALIDATE_NEGOTIATE_INFO,
		   (char *)&info, offsetof(struct validate_negotiate_info_req, Dialects[1]),
		   CIFSMaxBufSize, &out, &len);
}

static void send_change_notify(struct encode_env *env)
{
	u32 len;
	char *out = NULL;

	SMB2_change_notify(1, &env->tcon, env->fid.persistent_fid,
			   env->fid.volatile_fid, true, 0x17, CIFSMaxBufSize, &out, &len);
}

static void query_directory(struct encode_env *env, int level)
{
	struct cifs_search_info info = { .info_level = level };

	SMB2_query_directory(1, &env->tcon, env->fid.persistent_fid,
			     env->fid.volatile_fid, 7, &info);
}

static void send_query_directory(struct encode_env *env)
{
	query_directory(env, SMB_FIND_FILE_ID_FULL_DIR_INFO);
}

static void send_query_directory_posix(struct encode_env *env)
{
	query_directory(env, SMB_FIND_FILE_POSIX_INFO);
}

static void send_query_directory_bad(struct encode_env *env)
{
	query_directory(env, 9999);
}

static void send_lock(struct encode_env *env)
{
	struct smb2_lock_element locks[3] = {
		{ .Offset = cpu_to_le64(1), .Length = cpu_to_le64(2), .Flags = cpu_to_le32(3) },
		{ .Offset = cpu_to_le64(4), .Length = cpu_to_le64(5), .Flags = cpu_to_le32(6) },
		{ .Offset = cpu_to_le64(7), .Length = cpu_to_le64(8), .Flags = cpu_to_le32(9) },
	};

	smb2_lockv(1, &env->tcon, env->fid.persistent_fid, env->fid.volatile_fid, 4711,
		   ARRAY_SIZE(locks), locks);
}

static void send_oplock_break(struct encode_env *env)
{
	SMB2_oplock_break(1, &env->tcon, env->fid.persistent_fid, env->fid.volatile_fid,
			  SMB2_OPLOCK_LEVEL_II);
}

static void send_lease_break(struct encode_env *env)
{
	SMB2_lease_break(1, &env->tcon, env->fid.lease_key, SMB2_LEASE_READ_CACHING_LE);
}

static void send_qfs(struct encode_env *env)
{
	SMB2_QFS_attr(1, &env->tcon, env->fid.persistent_fid, env->fid.volatile_fid,
		      FS_ATTRIBUTE_INFORMATION);
}

/* Compounds */

static void send_mkdir(struct encode_env *env)
{
	env->server.ops->mkdir(1, NULL, 0755, &env->tcon, "/new/dir", &env->cifs_sb);
}

static void send_rmdir(struct encode_env *env)
{
	env->server.ops->rmdir(1, &env->tcon, "/old", &env->cifs_sb);
}

static void send_unlink(struct encode_env *env)
{
	env->server.ops->unlink(1, &env->tcon, "/old/file", &env->cifs_sb, NULL);
}

static void send_rename(struct encode_env *env)
{
	env->server.ops->rename(1, &env->tcon, NULL, "/from", "/to/there", &env->cifs_sb);
}

static void send_hardlink(struct encode_env *env)
{
	env->server.ops->create_hardlink(1, &env->tcon, NULL, "/from", "/to", &env->cifs_sb);
}

static void send_set_path_size(struct encode_env *env)
{
	env->server.ops->set_path_size(1, &env->tcon, "/file", 0x123456789a,
				       &env->cifs_sb, false, NULL);
}

static void send_query_path(struct encode_env *env)
{
	struct cifs_open_info_data data = {};

	env->server.ops->query_path_info(1, &env->tcon, &env->cifs_sb, "/file", &data);
}

static void send_query_reparse(struct encode_env *env)
{
	struct cifs_open_info_data data = {
		.reparse_point = true,
		.reparse.tag = IO_REPARSE_TAG_LX_FIFO,
	};

	env->server.ops->query_path_info(1, &env->tcon, &env->cifs_sb, "/fifo", &data);
}

static void send_queryfs(struct encode_env *env)
{
	struct kstatfs buf;

	env->server.ops->queryfs(1, &env->tcon, "", &env->cifs_sb, &buf);
}

static void send_query_dir_first(struct encode_env *env)
{
	struct cifs_search_info info = { .info_level = SMB_FIND_FILE_DIRECTORY_INFO };
	struct cifs_fid fid = {};

	env->server.ops->query_dir_first(1, &env->tcon, "/dir", &env->cifs_sb, &fid, 0,
					 &info);
}

static void send_set_ea(struct encode_env *env)
{
	env->server.ops->set_EA(1, &env->tcon, "/file", "colour", "green", 5,
				env->cifs_sb.local_nls, &env->cifs_sb);
}

#ifdef CONFIG_CIFS_ALLOW_INSECURE_LEGACY
/*
 * SMB1: what is encoded in network memory, and what is copied into it
 */

static void prepare_smb1_old(struct encode_env *env)
{
	env->server.ops = &smb1_operations;
	env->server.vals = &smb1_values;
	env->server.dialect = SMB10_PROT_ID;
	env->server.capabilities = CAP_UNICODE | CAP_STATUS32;
	env->server.maxBuf = CIFSMaxBufSize;
	env->server.current_mid = 0x2345;
	env->ses.capabilities = env->server.capabilities;
	env->ses.Suid = 0x4321;
	env->tcon.tid = 0x5678;
	env->fid.netfid = 0x1234;
	env->cfile.fid.netfid = 0x1234;
}

static void prepare_smb1(struct encode_env *env)
{
	prepare_smb1_old(env);
	env->ses.capabilities |= CAP_LARGE_FILES | CAP_LARGE_WRITE_X;
}

static void prepare_smb1_signed(struct encode_env *env)
{
	static const u8 key[] = "what a session is signed with";

	prepare_smb1(env);
	env->server.sign = true;
	env->server.session_estab = true;
	env->server.sequence_number = 4;
	env->server.session_key.len = sizeof(key);
	env->server.session_key.response = (u8 *)key;
}

static void send_smb1_echo(struct encode_env *env)
{
	CIFSSMBEcho(&env->server);
}

/* A part of a request of the network filesystem library's, who keeps it. */
static void prepare_smb1_io(struct encode_env *env, size_t len)
{
	struct cifs_io_request *req = &env->req;
	struct cifs_io_subrequest *io = &env->io;

	env->tlink.tl_tcon = &env->tcon;
	env->cfile.tlink = &env->tlink;
	req->cfile = &env->cfile;
	req->pid = 4711;
	req->rreq.inode = &env->inode.netfs.inode;
	init_waitqueue_head(&req->rreq.waitq);
	INIT_LIST_HEAD(&req->rreq.io_streams[0].subrequests);
	io->req = req;
	io->server = &env->server;
	io->subreq.source = NETFS_UPLOAD_TO_SERVER;
	io->subreq.start = env->ses.capabilities & CAP_LARGE_FILES ? 0x123456789a : 0x3456789a;
	io->subreq.len = len;
	INIT_LIST_HEAD(&io->subreq.rreq_link);
	refcount_set(&io->subreq.ref, 2);
}

static void send_smb1_readv(struct encode_env *env)
{
	prepare_smb1_io(env, 100000);
	cifs_async_readv(&env->io);
}

static void send_smb1_writev(struct encode_env *env)
{
	struct kvec iov = { "Hello world", 11 };

	prepare_smb1_io(env, iov.iov_len);
	iov_iter_kvec(&env->io.subreq.io_iter, ITER_SOURCE, &iov, 1, iov.iov_len);
	cifs_async_writev(&env->io);
}

static struct cifs_io_parms smb1_io_parms(struct encode_env *env, unsigned int len)
{
	return (struct cifs_io_parms){
		.server		= &env->server,
		.tcon		= &env->tcon,
		.netfid		= env->fid.netfid,
		.offset		= 0x3456789a,
		.length		= len,
		.pid		= 4711,
	};
}

static void send_smb1_write(struct encode_env *env)
{
	struct cifs_io_parms io = smb1_io_parms(env, 11);
	unsigned int nbytes;

	CIFSSMBWrite(1, &io, &nbytes, "Hello world");
}

static void send_smb1_write_kvec(struct encode_env *env)
{
	struct cifs_io_parms io = smb1_io_parms(env, 11);
	struct kvec iov[2] = { [1] = { "Hello world", 11 } };
	unsigned int nbytes;

	CIFSSMBWrite2(1, &io, &nbytes, iov, 1);
}

static void send_smb1_read(struct encode_env *env)
{
	struct cifs_io_parms io = smb1_io_parms(env, 10000);
	unsigned int nbytes;
	char *buf = NULL;
	int type;

	CIFSSMBRead(1, &io, &nbytes, &buf, &type);
}

static void send_smb1_open(struct encode_env *env)
{
	FILE_ALL_INFO info;
	int oplock = REQ_OPLOCK;

	CIFS_open(1, &env->oparms, &oplock, &info);
}

static void send_smb1_lockv(struct encode_env *env)
{
	LOCKING_ANDX_RANGE ranges[] = {
		{ .Pid = cpu_to_le16(4711), .OffsetLow = cpu_to_le32(0x1000),
		  .LengthLow = cpu_to_le32(0x10) },
		{ .Pid = cpu_to_le16(4711), .OffsetHigh = cpu_to_le32(0x12),
		  .LengthLow = cpu_to_le32(0x20) },
	};

	cifs_lockv(1, &env->tcon, env->fid.netfid, LOCKING_ANDX_LARGE_FILES, 0,
		   ARRAY_SIZE(ranges), ranges);
}

static void send_smb1_close(struct encode_env *env)
{
	CIFSSMBClose(1, &env->tcon, env->fid.netfid);
}

static void send_smb1_cancel(struct encode_env *env)
{
	struct smb_message *msg = smb_message_alloc(&env->server, SMB_COM_NT_TRANSACT);
	struct smb_hdr *hdr;

	if (smb_message_alloc_request(&env->server, msg, 100, NULL) == 0) {
		hdr = msg->hdr;
		__header_assemble(hdr, SMB_COM_NT_TRANSACT, &env->tcon, 23);
		hdr->Pid = cpu_to_le16(4711);
		env->server.ops->send_cancel(&env->ses, &env->server, msg, 1);
	}
	smb_message_put(msg);
}
#endif /* CONFIG_CIFS_ALLOW_INSECURE_LEGACY */

/* Where requests differ from one run to the next. */
#define SALT_OFFSET(contexts) \
	((contexts) + offsetof(struct smb2_preauth_neg_context, Salt))
#define GUID_OFFSET	272
/* The kernel's version, and four bytes that the NTLMSSP blob leaves uninitialised. */
#define VERSION_OFFSET	(sizeof(struct smb2_sess_setup_req) + 32)
#define VERSION_LEN	12

static const struct encode_case encode_cases[] = {
	{ "negotiate 3.1.1", NULL, send_negotiate, SALT_OFFSET(104), SMB311_SALT_SIZE },
	{ "negotiate default", prepare_default, send_negotiate, SALT_OFFSET(112),
	  SMB311_SALT_SIZE },
	{ "negotiate any", prepare_any, send_negotiate, SALT_OFFSET(112), SMB311_SALT_SIZE },
	{ "negotiate 2.1", prepare_21, send_negotiate },
	{ "negotiate 2.0.2", prepare_202, send_negotiate },
	{ "session setup", prepare_new_session, send_sess_setup, VERSION_OFFSET,
	  VERSION_LEN },
	{ "logoff", NULL, send_logoff },
	{ "tree connect", NULL, send_tcon },
	{ "tree disconnect", NULL, send_tdis },
	{ "open lease v2", NULL, send_open },
	{ "open lease v1", prepare_21, send_open },
	{ "open 2.0.2", prepare_202, send_open },
	{ "open no oplock", NULL, send_open_no_oplock },
	{ "open no lease", prepare_no_lease, send_open },
	{ "open root", NULL, send_open_root },
	{ "open readonly", NULL, send_open_readonly },
	{ "open posix", prepare_posix, send_open },
	{ "open posix create", prepare_posix_create, send_open },
	{ "open posix owner", prepare_posix_owner, send_open },
	{ "open dfs", prepare_dfs, send_open },
	{ "open dfs root", prepare_dfs, send_open_root },
	{ "open snapshot", prepare_snapshot, send_open_no_oplock },
	{ "open durable", prepare_oplocks, send_open },
	{ "open persistent", prepare_persistent, send_open, GUID_OFFSET, 16 },
	{ "open reconnect", prepare_reconnect, send_open },
	{ "open reconnect persistent", prepare_reconnect_persistent, send_open },
	{ "open mode sid", prepare_mode_sid, send_open_no_oplock },
	{ "open owner sid", prepare_owner_sid, send_open_no_oplock },
	{ "open owner only", prepare_owner_only, send_open_no_oplock },
	{ "open all contexts", prepare_all_contexts, send_open, GUID_OFFSET, 16 },
	{ "posix mkdir", prepare_posix, send_posix_mkdir },
	{ "posix mkdir dfs", prepare_dfs, send_posix_mkdir },
	{ "close", NULL, send_close },
	{ "close getattr", NULL, send_close_getattr },
	{ "flush", NULL, send_flush },
	{ "echo", NULL, send_echo },
	{ "read", NULL, send_read },
	{ "write", NULL, send_write },
	{ "query info", NULL, send_query_info },
	{ "query acl", NULL, send_query_acl },
	{ "set eof", NULL, send_set_eof },
	{ "set acl", NULL, send_set_acl },
	{ "ioctl", NULL, send_ioctl },
	{ "ioctl without input", NULL, send_ioctl_no_input },
	{ "validate negotiate", NULL, send_validate_negotiate },
	{ "change notify", NULL, send_change_notify },
	{ "query directory", NULL, send_query_directory },
	{ "query directory posix", NULL, send_query_directory_posix },
	{ "query directory bad", NULL, send_query_directory_bad },
	{ "lock", NULL, send_lock },
	{ "oplock break", NULL, send_oplock_break },
	{ "lease break", NULL, send_lease_break },
	{ "query fs", NULL, send_qfs },
	{ "mkdir", NULL, send_mkdir },
	{ "rmdir", NULL, send_rmdir },
	{ "unlink", NULL, send_unlink },
	{ "rename", NULL, send_rename },
	{ "hardlink", NULL, send_hardlink },
	{ "set path size", NULL, send_set_path_size },
	{ "query path", NULL, send_query_path },
	{ "query path posix", prepare_posix, send_query_path },
	{ "query reparse", NULL, send_query_reparse },
	{ "statfs", NULL, send_queryfs },
	{ "query dir first", NULL, send_query_dir_first },
	{ "set ea", NULL, send_set_ea },
#ifdef CONFIG_CIFS_ALLOW_INSECURE_LEGACY
	{ "smb1 echo", prepare_smb1, send_smb1_echo },
	{ "smb1 readv", prepare_smb1, send_smb1_readv },
	{ "smb1 readv old", prepare_smb1_old, send_smb1_readv },
	{ "smb1 readv signed", prepare_smb1_signed, send_smb1_readv },
	{ "smb1 writev", prepare_smb1, send_smb1_writev },
	{ "smb1 writev old", prepare_smb1_old, send_smb1_writev },
	{ "smb1 writev signed", prepare_smb1_signed, send_smb1_writev },
	{ "smb1 read", prepare_smb1, send_smb1_read },
	{ "smb1 write", prepare_smb1, send_smb1_write },
	{ "smb1 write kvec", prepare_smb1, send_smb1_write_kvec },
	{ "smb1 open", prepare_smb1, send_smb1_open },
	{ "smb1 lockv", prepare_smb1, send_smb1_lockv },
	{ "smb1 close", prepare_smb1, send_smb1_close },
	{ "smb1 cancel signed", prepare_smb1_signed, send_smb1_cancel },
#endif
};

KUNIT_ARRAY_PARAM_DESC(encode, encode_cases, name);

/* In the place of smb_transmit(): the connection breaks. */
static int record_message(struct TCP_Server_Info *server, struct bvecq *chain)
{
	struct encode_env *env = container_of(server, struct encode_env, server);
	size_t len = bvecq_bytes(chain);
	struct iov_iter iter;

	if (env->len + len > WIRE_MAX) {
		env->overflow = true;
		return -EIO;
	}
	iov_iter_bvec_queue(&iter, ITER_SOURCE, chain, 0, 0, len);
	env->len += copy_from_iter(env->wire + env->len, len, &iter);
	return env->error;
}

/* Where the process is the caller's, it is not masked. */
static void mask_smb1(struct smb_hdr *hdr)
{
	if (le16_to_cpu(hdr->Pid) == (u16)current->tgid) {
		hdr->Pid = 0;
		hdr->PidHigh = 0;
	}
}

static void mask_smb2(struct smb2_hdr *hdr, size_t len)
{
	while (len >= sizeof(*hdr)) {
		size_t next = le32_to_cpu(hdr->NextCommand);

		if (le32_to_cpu(hdr->Id.SyncId.ProcessId) == (u16)current->tgid)
			hdr->Id.SyncId.ProcessId = 0;
		if (!next || next > len)
			break;
		hdr = (void *)hdr + next;
		len -= next;
	}
}

/* What is captured begins with its length, as it does on the wire. */
static void mask_messages(struct encode_env *env, const struct encode_case *c)
{
	size_t at = 0;

	if (c->mask_len && env->len >= SMB_MARKER_LEN + c->mask_offset + c->mask_len)
		memset(env->wire + SMB_MARKER_LEN + c->mask_offset, 0, c->mask_len);

	while (at + SMB_MARKER_LEN + sizeof(struct smb_hdr) <= env->len) {
		void *pdu = env->wire + at + SMB_MARKER_LEN;
		size_t len = get_unaligned_be32(env->wire + at);

		if (is_smb1(&env->server))
			mask_smb1(pdu);
		else
			mask_smb2(pdu, umin(len, env->len - at - SMB_MARKER_LEN));
		at += SMB_MARKER_LEN + len;
	}
}

/* What requests are going to be encoded in is not all zero to begin with. */
static void soil_netmem(struct encode_env *env)
{
	struct bvecq *soil = smb_alloc_netmem(&env->server, SZ_256K);

	if (IS_ERR(soil))
		return;
	for (struct bvecq *bq = soil; bq; bq = bvecq_next(bq)) {
		for (unsigned int i = 0; i < bvecq_nr_slots(bq); i++)
			memset(bvec_virt(&bq->bv[i]), 0xa5, bq->bv[i].bv_len);
	}
	bvecq_put(soil);
}

static void test_encode(struct kunit *test)
{
	const struct encode_case *c = test->param_value;
	struct encode_env *env = test->priv;
	struct bvecq_stats before, after;
	const u8 *wire = NULL;
	bool found = false;
	unsigned int mids;
	size_t len = 0;

	for (int i = 0; i < ARRAY_SIZE(encode_wire); i++) {
		if (strcmp(encode_wire[i].name, c->name) == 0) {
			wire = encode_wire[i].bytes;
			len = encode_wire[i].len;
			found = true;
		}
	}
	KUNIT_ASSERT_TRUE(test, found);
	if (IS_ENABLED(CONFIG_CPU_BIG_ENDIAN))
		kunit_skip(test, "captured where handles are little-endian");

	if (c->prepare)
		c->prepare(env);
	if (env->server.sign && fips_enabled)
		kunit_skip(test, "no MD5");
	soil_netmem(env);
	mids = atomic_read(&mid_count);
	bvecq_get_stats(&before);
	c->send(env);
	bvecq_get_stats(&after);
	mask_messages(env, c);

	KUNIT_EXPECT_FALSE(test, env->overflow);
	KUNIT_EXPECT_EQ(test, len, env->len);
	for (size_t i = 0; i < umin(len, env->len); i += 16)
		KUNIT_EXPECT_MEMEQ_MSG(test, wire + i, env->wire + i,
				       umin(umin(len, env->len) - i, 16),
				       "at byte %zu", i);

	/* Nothing stays behind: neither the messages nor what they were made of. */
	KUNIT_EXPECT_EQ(test, mids, atomic_read(&mid_count));
	KUNIT_EXPECT_LE(test, after.segments, before.segments);
	KUNIT_EXPECT_TRUE(test, list_empty(&env->server.pending_mid_q));
	KUNIT_EXPECT_EQ(test, 0, env->server.in_flight);
	KUNIT_EXPECT_EQ(test, 100, env->server.credits);
}

/* Those whose second encoding could find less than the first. */
static const struct replay_case {
	const char	*name;		/* of an encode_case */
} replay_cases[] = {
	{ "open durable" },
	{ "open persistent" },
	{ "open reconnect" },
	{ "open reconnect persistent" },
	{ "open posix create" },
	{ "open owner sid" },
	{ "open all contexts" },
	{ "posix mkdir" },
	{ "close" },
	{ "query info" },
	{ "set eof" },
	{ "ioctl" },
	{ "query directory" },
	{ "mkdir" },
	{ "unlink" },
	{ "rename" },
	{ "set path size" },
	{ "query path posix" },
	{ "statfs" },
	{ "query dir first" },
};

KUNIT_ARRAY_PARAM_DESC(replay, replay_cases, name);

/* When the connection breaks, the same is sent again, and marked for what it is. */
static void test_replay(struct kunit *test)
{
	const struct replay_case *c = test->param_value;
	struct encode_env *env = test->priv;
	const struct encode_case *e = encode_cases;
	const __le32 replay = SMB2_FLAGS_REPLAY_OPERATION;
	size_t len, at, next;

	while (strcmp(e->name, c->name) != 0)
		KUNIT_ASSERT_TRUE(test, ++e < encode_cases + ARRAY_SIZE(encode_cases));
	if (e->prepare)
		e->prepare(env);
	env->error = -EAGAIN;
	env->server.retrans = 1;
	e->send(env);

	KUNIT_ASSERT_GT(test, env->len, SMB_MARKER_LEN);
	len = SMB_MARKER_LEN + get_unaligned_be32(env->wire);
	KUNIT_ASSERT_EQ(test, 2 * len, env->len);
	for (at = SMB_MARKER_LEN; at < len; at += next) {
		struct smb2_hdr *first = (void *)env->wire + at;
		struct smb2_hdr *again = (void *)first + len;

		next = le32_to_cpu(first->NextCommand) ?: len - at;
		KUNIT_ASSERT_LE(test, next, len - at);
		KUNIT_EXPECT_EQ(test, 0, le32_to_cpu(first->Flags & replay));
		KUNIT_EXPECT_EQ(test, le32_to_cpu(first->Flags | replay),
				le32_to_cpu(again->Flags));
		KUNIT_EXPECT_EQ(test, le16_to_cpu(first->Command), le16_to_cpu(again->Command));
		KUNIT_EXPECT_EQ(test, le32_to_cpu(first->NextCommand),
				le32_to_cpu(again->NextCommand));
		KUNIT_EXPECT_MEMEQ(test, first + 1, again + 1, next - sizeof(*first));
	}
	KUNIT_EXPECT_EQ(test, 0, env->server.in_flight);
	KUNIT_EXPECT_EQ(test, 100, env->server.credits);
}

#ifdef CONFIG_CIFS_ALLOW_INSECURE_LEGACY
static void free_pages_action(void *page)
{
	__free_pages(page, 1);
}

/* While a request waits to be sent, a reconnect brings signing. */
static int *sign_since(struct TCP_Server_Info *server, const int optype)
{
	server->sign = true;
	return &server->credits;
}

/* What was referred to before is not signed, but copied at the next try. */
static void test_smb1_sign_since(struct kunit *test)
{
	struct smb_version_operations ops = smb1_operations;
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP, 1);
	struct encode_env *env = test->priv;
	unsigned long *flags = &env->io.subreq.flags;
	struct bio_vec bv;

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_pages_action, page));
	prepare_smb1_signed(env);
	env->server.sign = false;
	ops.get_credits_field = sign_since;
	env->server.ops = &ops;
	bvec_set_page(&bv, page, SZ_8K, 0);

	prepare_smb1_io(env, SZ_8K);
	iov_iter_bvec(&env->io.subreq.io_iter, ITER_SOURCE, &bv, 1, SZ_8K);
	cifs_async_writev(&env->io);
	KUNIT_EXPECT_EQ(test, 0, env->len);
	KUNIT_EXPECT_TRUE(test, test_bit(NETFS_SREQ_NEED_RETRY, flags));

	*flags = 0;
	prepare_smb1_io(env, SZ_8K);
	cifs_async_writev(&env->io);
	KUNIT_EXPECT_EQ(test, SMB_MARKER_LEN + offsetof(WRITE_REQ, Data) + SZ_8K, env->len);
	KUNIT_EXPECT_FALSE(test, test_bit(NETFS_SREQ_NEED_RETRY, flags));
	KUNIT_EXPECT_EQ(test, 0, env->server.in_flight);
	KUNIT_EXPECT_EQ(test, 100, env->server.credits);
}
#endif /* CONFIG_CIFS_ALLOW_INSECURE_LEGACY */

static int encode_test_init(struct kunit *test)
{
	struct encode_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);
	struct TCP_Server_Info *server;
	struct cifs_tcon *tcon;
	struct cifs_ses *ses;

	if (!env)
		return -ENOMEM;
	env->wire = kunit_kzalloc(test, WIRE_MAX, GFP_KERNEL);
	if (!env->wire)
		return -ENOMEM;

	server = &env->server;
	ses = &env->ses;
	test_server_init(server, ses);
	server->capabilities = SMB2_GLOBAL_CAP_LARGE_MTU | SMB2_GLOBAL_CAP_LEASING |
			       SMB2_GLOBAL_CAP_DIRECTORY_LEASING;
	server->echo_credits = 1;
	server->oplock_credits = 1;
	server->maxBuf = SZ_1M;
	server->max_write = SZ_1M;
	server->sec_ntlmssp = true;
	memset(server->client_guid, 0x5a, sizeof(server->client_guid));

	ses->user_name = "user";
	ses->sectype = RawNTLMSSP;
	ses->chan_count = 1;
	ses->chan_max = 1;
	ses->chans[0].server = server;
	spin_lock_init(&ses->chan_lock);
	spin_lock_init(&ses->iface_lock);
	mutex_init(&ses->session_mutex);

	tcon = &env->tcon;
	tcon->ses = ses;
	tcon->status = TID_GOOD;
	tcon->tid = 0x99aabbcc;
	strscpy(tcon->tree_name, TREE_NAME);
	spin_lock_init(&tcon->tc_lock);
	spin_lock_init(&tcon->open_file_lock);
	spin_lock_init(&tcon->stat_lock);
	INIT_LIST_HEAD(&tcon->openFileList);

	env->error = -EIO;
	env->cifs_sb.local_nls = load_nls_default();
	env->fid.persistent_fid = 0x0102030405060708;
	env->fid.volatile_fid = 0x1112131415161718;
	memset(env->fid.lease_key, 0x77, sizeof(env->fid.lease_key));
	memset(env->fid.create_guid, 0x88, sizeof(env->fid.create_guid));
	env->oparms = (struct cifs_open_parms) {
		.tcon		= tcon,
		.cifs_sb	= &env->cifs_sb,
		.path		= "/dir/some file",
		.desired_access	= GENERIC_READ | GENERIC_WRITE,
		.disposition	= FILE_OPEN,
		.mode		= ACL_NO_MODE,
		.fid		= &env->fid,
	};

	kunit_activate_static_stub(test, smb_transmit, record_message);
	test->priv = env;
	return 0;
}

static void encode_test_exit(struct kunit *test)
{
	struct encode_env *env = test->priv;

	if (env)
		unload_nls(env->cifs_sb.local_nls);
}

static struct kunit_case encode_test_cases[] = {
	KUNIT_CASE_PARAM(test_encode, encode_gen_params),
	KUNIT_CASE_PARAM(test_replay, replay_gen_params),
#ifdef CONFIG_CIFS_ALLOW_INSECURE_LEGACY
	KUNIT_CASE(test_smb1_sign_since),
#endif
	{}
};

static struct kunit_suite encode_test_suite = {
	.name		= "smb_encode",
	.init		= encode_test_init,
	.exit		= encode_test_exit,
	.test_cases	= encode_test_cases,
};

kunit_test_suite(encode_test_suite);
