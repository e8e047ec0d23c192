#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""One cell of the SMB matrix: file operations over a mount, each checked on
the server's side, in the server's own directory.

usage: smb-cell.py MOUNT SERVER-DIRECTORY TABLE SERVER/VERS/MODE/CACHE

Prints a line for each operation that fails, or that works though TABLE says
that stock cannot do it.  Exits with the number of such lines.
"""
import ctypes
import errno
import fcntl
import fnmatch
import hashlib
import mmap
import os
import random
import struct
import subprocess
import sys

M, S, TABLE, CELL = sys.argv[1:5]
libc = ctypes.CDLL(None, use_errno=True)
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
# Around a page, 64 KiB and 1 MiB, aligned and not.
SIZES = (1, 511, 4095, 4096, 4097, 61440, 65535, 65536, 65537, 66000,
         131072, 131075, 1048575, 1048576, 1048577)
rng = random.Random(CELL)


class Wrong(Exception):
    pass


def want(ok, what):
    if not ok:
        raise Wrong(what)


def c(name):
    return os.path.join(M, name)


def srv(name):
    return os.path.join(S, name)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def same(name, data):
    """What the server has is what was written."""
    with open(srv(name), 'rb') as f:
        got = f.read()
    if sha(got) == sha(data):
        return
    at = next((i for i, (a, b) in enumerate(zip(got, data)) if a != b),
              min(len(got), len(data)))
    raise Wrong(f'{name}: the server has {len(got)} bytes, {len(data)} were '
                f'written, the first difference is at {at}')


def put(name, data, flags=os.O_CREAT | os.O_TRUNC, sync=True):
    fd = os.open(c(name), os.O_RDWR | flags, 0o644)
    try:
        done = 0
        while done < len(data):
            done += os.write(fd, data[done:])
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def fresh(name):
    """Have the client ask the server for a file's attributes: statx(2) with
    AT_STATX_FORCE_SYNC, since it believes what it knows for a second."""
    buf = ctypes.create_string_buffer(256)
    if libc.statx(-100, os.fsencode(c(name)), 0x2000, 0x7ff, buf):
        raise OSError(ctypes.get_errno(), 'statx')


def fallocate(fd, mode, off, length):
    if libc.fallocate(fd, mode, ctypes.c_long(off), ctypes.c_long(length)):
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


def op_create():
    fd = os.open(c('new'), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.close(fd)
    want(os.path.getsize(srv('new')) == 0, 'not there, or not empty')
    try:
        os.open(c('new'), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        pass
    else:
        raise Wrong('O_EXCL opened a file that exists')
    want(not os.path.exists(c('nothing')), 'a file that is not there is')


def op_write():
    """Chunks of every size, so at every alignment; read back as well."""
    data = b''
    fd = os.open(c('w'), os.O_CREAT | os.O_RDWR, 0o644)
    for n in SIZES:
        piece = rng.randbytes(n)
        want(os.write(fd, piece) == n, f'short write of {n}')
        data += piece
    os.fsync(fd)
    same('w', data)
    for n in SIZES:
        off = rng.randrange(len(data) - n + 1)
        want(os.pread(fd, n, off) == data[off:off + n], f'read of {n} at {off}')
    os.close(fd)
    # from another page-cache state: what the server has, read through the client
    data = rng.randbytes(300001)
    with open(srv('r'), 'wb') as f:
        f.write(data)
    with open(c('r'), 'rb') as f:
        want(sha(f.read()) == sha(data), 'what the server wrote reads otherwise')


def op_overwrite():
    data = bytearray(rng.randbytes(400000))
    put('o', data)
    fd = os.open(c('o'), os.O_RDWR)
    for n in (1, 100, 4096, 65536, 65537, 100000):
        off = rng.randrange(len(data) - n)
        piece = rng.randbytes(n)
        os.pwrite(fd, piece, off)
        data[off:off + n] = piece
    os.fsync(fd)
    os.close(fd)
    same('o', bytes(data))


def sent():
    """How many bytes the client's connections have sent."""
    out = subprocess.run(['ss', '-H', '-t', '-i', '-n', '-O', 'state', 'established',
                          'dport = 445'], capture_output=True, text=True).stdout
    return sum(int(word.split(':')[1]) for word in out.split()
               if word.startswith('bytes_sent:'))


def op_text():
    """What can be compressed, and is if the mount does that."""
    words = [''.join(rng.choices('abcdefghijklmnopqrstuvwxyz', k=n)) for n in range(3, 12)] * 9
    text = (' '.join(rng.choices(words, k=20000)) * 40).encode()[:sum(SIZES)]
    before, done = sent(), 0
    fd = os.open(c('text'), os.O_CREAT | os.O_RDWR, 0o644)
    for n in SIZES:
        want(os.write(fd, text[done:done + n]) == n, f'short write of {n}')
        done += n
    os.fsync(fd)
    os.close(fd)
    same('text', text)

    direct = mmap.mmap(-1, 1 << 20)
    direct[:] = text[:1 << 20]
    fd = os.open(c('direct'), os.O_CREAT | os.O_WRONLY | os.O_DIRECT, 0o644)
    for n in (4096, 65536, 1 << 20):
        want(os.write(fd, memoryview(direct)[:n]) == n, f'short direct write of {n}')
    os.close(fd)
    same('direct', text[:4096] + text[:65536] + text[:1 << 20])
    took = sent() - before
    want('compress' not in CELL or took < len(text) // 2,
         f'{took} bytes were sent for {len(text)} and more')


def op_vector():
    """writev of many odd pieces, and a gap that must read as zeroes."""
    parts = [rng.randbytes(n) for n in (7, 4096, 1, 8191, 65535, 3)]
    fd = os.open(c('v'), os.O_CREAT | os.O_RDWR, 0o644)
    os.writev(fd, parts)
    data = b''.join(parts)
    os.pwrite(fd, b'end', len(data) + 70000)
    os.fsync(fd)
    os.close(fd)
    same('v', data + bytes(70000) + b'end')


def op_append():
    data = rng.randbytes(1000)
    put('a', data)
    for n in (1, 4096, 70000):
        piece = rng.randbytes(n)
        put('a', piece, os.O_APPEND)
        data += piece
    same('a', data)


def op_mmap():
    data = bytearray(rng.randbytes(200000))
    put('m', data)
    with open(c('m'), 'r+b') as f, mmap.mmap(f.fileno(), len(data)) as m:
        for off in (0, 4095, 65530, len(data) - 20):
            m[off:off + 20] = data[off:off + 20] = rng.randbytes(20)
        m.flush()
    same('m', bytes(data))


def op_truncate():
    data = rng.randbytes(200000)
    put('t', data)
    os.truncate(c('t'), 70001)
    same('t', data[:70001])
    os.truncate(c('t'), 150000)
    same('t', data[:70001] + bytes(150000 - 70001))
    os.truncate(c('t'), 0)
    same('t', b'')


def op_fallocate():
    data = rng.randbytes(5000)
    put('fa', data)
    fd = os.open(c('fa'), os.O_RDWR)
    try:
        fallocate(fd, 0, 0, 100000)
        want(os.fstat(fd).st_size == 100000, 'the size did not grow')
        os.fsync(fd)
    finally:
        os.close(fd)
    same('fa', data + bytes(95000))


def op_punch():
    data = bytearray(rng.randbytes(300000))
    put('ph', data)
    fd = os.open(c('ph'), os.O_RDWR)
    try:
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 65536, 65536)
        os.fsync(fd)
    finally:
        os.close(fd)
    data[65536:131072] = bytes(65536)
    same('ph', bytes(data))


def op_zero():
    data = bytearray(rng.randbytes(300000))
    put('zr', data)
    fd = os.open(c('zr'), os.O_RDWR)
    try:
        fallocate(fd, ZERO_RANGE | KEEP_SIZE, 4000, 100000)
        os.fsync(fd)
    finally:
        os.close(fd)
    data[4000:104000] = bytes(100000)
    same('zr', bytes(data))


def op_copy():
    """copy_file_range between two files, on the server where it can."""
    data = rng.randbytes(1500000)
    put('c1', data)
    src, dst = os.open(c('c1'), os.O_RDONLY), os.open(c('c2'), os.O_CREAT | os.O_RDWR, 0o644)
    done = 0
    while done < len(data):
        n = os.copy_file_range(src, dst, len(data) - done)
        want(n > 0, f'copied {done} only')
        done += n
    os.fsync(dst)
    os.close(src)
    os.close(dst)
    same('c2', data)


def op_rename():
    put('r1', b'one')
    os.rename(c('r1'), c('r2'))
    want(not os.path.exists(srv('r1')), 'the old name is still there')
    same('r2', b'one')
    put('r3', b'three')
    os.replace(c('r2'), c('r3'))
    same('r3', b'one')
    names = [n for n in os.listdir(M) if n in ('r1', 'r2', 'r3')]
    want(names == ['r3'], f'listed: {names}')


def op_link():
    put('h1', b'linked')
    os.link(c('h1'), c('h2'))
    a, b = os.stat(srv('h1')), os.stat(srv('h2'))
    want(a.st_ino == b.st_ino and a.st_nlink == 2, 'two files, not two names')
    put('h2', b'again', 0)
    same('h1', b'againd')
    os.unlink(c('h1'))
    same('h2', b'againd')


def op_symlink():
    put('target', b'pointed at')
    os.symlink('target', c('sym'))
    want(os.readlink(c('sym')) == 'target', 'readlink: ' + os.readlink(c('sym')))
    with open(c('sym'), 'rb') as f:
        want(f.read() == b'pointed at', 'following it')


def op_mkdir():
    os.makedirs(c('d/e/f'))
    put('d/e/f/x', b'deep')
    same('d/e/f/x', b'deep')
    try:
        os.rmdir(c('d/e/f'))
    except OSError as e:
        want(e.errno in (errno.ENOTEMPTY, errno.EEXIST), f'rmdir of a full one: {e}')
    else:
        raise Wrong('rmdir took a directory that is not empty')
    os.unlink(c('d/e/f/x'))
    os.removedirs(c('d/e/f'))
    want(not os.path.exists(srv('d')), 'still there')


def op_readdir():
    os.mkdir(srv('many'))
    names = {f'entry-{i:04}-' + 'x' * (i % 60) for i in range(1000)}
    for n in names:
        open(srv('many/' + n), 'w').close()
    got = os.listdir(c('many'))
    want(len(got) == 1000 and set(got) == names, f'{len(got)} entries of 1000')
    for n in rng.sample(sorted(names), 20):
        os.unlink(c('many/' + n))
        names.remove(n)
    want(set(os.listdir(c('many'))) == names, 'after 20 were removed')
    subprocess.run(['rm', '-rf', srv('many')], check=True)


def op_chmod():
    put('ch', b'x')
    os.chmod(c('ch'), 0o444)
    fresh('ch')
    want(not os.stat(c('ch')).st_mode & 0o200, 'still writable')
    os.chmod(c('ch'), 0o644)
    fresh('ch')
    want(os.stat(c('ch')).st_mode & 0o200, 'not writable again')


def op_utimes():
    put('ut', b'x')
    ns = 1234567890_123456700		# SMB counts in 100 ns
    os.utime(c('ut'), ns=(ns, ns + 10**9))
    st = os.stat(srv('ut'))
    want(st.st_mtime_ns // 10**9 == ns // 10**9 + 1 and
         st.st_atime_ns // 10**9 == ns // 10**9,
         f'{st.st_atime_ns} {st.st_mtime_ns}')


def op_xattr():
    put('xa', b'x')
    value = rng.randbytes(500)
    os.setxattr(c('xa'), 'user.one', b'1')
    os.setxattr(c('xa'), 'user.two', value)
    want(os.getxattr(c('xa'), 'user.two') == value, 'another value')
    names = [n.lower() for n in os.listxattr(c('xa'))]
    want('user.one' in names and 'user.two' in names, f'list: {names}')
    os.removexattr(c('xa'), 'user.one')
    names = [n.lower() for n in os.listxattr(c('xa'))]
    want('user.one' not in names and 'user.two' in names, f'after removal: {names}')


def op_locks():
    put('lk', bytes(1000))
    fd = os.open(c('lk'), os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 100, 100)
    pid = os.fork()
    if not pid:
        rc = 0
        other = os.open(c('lk'), os.O_RDWR)
        try:
            fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 150)
            rc = 1		# got what the parent holds
        except OSError as e:
            if e.errno not in (errno.EAGAIN, errno.EACCES):
                rc = 2
        try:
            fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 100, 500)
            fcntl.lockf(other, fcntl.LOCK_UN, 100, 500)
        except OSError:
            rc |= 4		# did not get what is free
        os._exit(rc)
    rc = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    fcntl.lockf(fd, fcntl.LOCK_UN, 100, 100)
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 0, 0)
    fcntl.lockf(fd, fcntl.LOCK_UN, 0, 0)
    os.close(fd)
    want(rc == 0, f'the other process saw {rc}')


def op_unlink():
    put('u', b'x')
    os.unlink(c('u'))
    want(not os.path.exists(srv('u')), 'still there')
    want(not os.path.exists(c('u')), 'still seen')


def op_unlink_open():
    put('uo', b'still here')
    fd = os.open(c('uo'), os.O_RDWR)
    os.unlink(c('uo'))
    try:
        want(os.read(fd, 100) == b'still here', 'the open file lost its data')
    finally:
        os.close(fd)
    want(not os.path.exists(c('uo')), 'still seen')


def op_statfs():
    st = os.statvfs(M)
    want(st.f_blocks > 0 and st.f_bavail > 0, str(st))


FIO = '''
[global]
directory={dir}
size=3m
ioengine=psync
verify=crc32c
do_verify=1
verify_fatal=1
fallocate=none
end_fsync=1
randseed=7
[mixed]
rw=randwrite
bssplit=512/20:4k/20:16k/20:64k/20:128k/10:256k/10
[around64k]
stonewall
rw=write
bsrange=65000-66000
bs_unaligned=1
[aligned64k]
stonewall
rw=randwrite
bsrange=60k-68k
blockalign=4k
[big]
stonewall
rw=write
bs=1m
size=6m
'''


def op_fio():
    job = '/tmp/cell.fio'
    os.makedirs(c('fio'), exist_ok=True)
    with open(job, 'w') as f:
        f.write(FIO.format(dir=c('fio')))
    p = subprocess.run(['fio', '--output-format=terse', job], capture_output=True,
                       text=True, timeout=60)
    want(p.returncode == 0, ' / '.join((p.stderr + p.stdout).strip().splitlines()[:3]))


def writer(i, data, whole):
    """One of eight: a file of its own, and every eighth stripe of a shared one."""
    # Unaligned, so that writers share pages; but stock over SMB1 and SMB 2.0, which
    # know no leases, then leaves stale bytes with cache=strict, in 1 to 3 runs of 100.
    stripe = 65536 if fnmatch.fnmatchcase(CELL, 'samba/[12].0/*/strict*') else 65537
    put(f'pw{i}', data)
    fd = os.open(c('shared'), os.O_RDWR)
    for off in range(i * stripe, len(whole), 8 * stripe):
        os.pwrite(fd, whole[off:off + stripe], off)
    os.fsync(fd)
    os.close(fd)


def op_parallel():
    own = [rng.randbytes(500000 + 777 * i) for i in range(8)]
    whole = rng.randbytes(3000000)
    put('shared', b'')
    pids = []
    for i in range(8):
        pid = os.fork()
        if not pid:
            rc = 1
            try:
                writer(i, own[i], whole)
                rc = 0
            except OSError as e:
                print(f'parallel: writer {i}: {e}', flush=True)
            finally:
                os._exit(rc)
        pids.append(pid)
    bad = sum(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) != 0 for p in pids)
    want(bad == 0, f'{bad} of 8 writers failed')
    for i in range(8):
        same(f'pw{i}', own[i])
    same('shared', whole)


def unsupported(op):
    """Does the table say that stock cannot do this here?"""
    with open(TABLE) as f:
        for line in f:
            words = line.split('#')[0].split()
            if len(words) == 2 and fnmatch.fnmatchcase(CELL, words[0]) and words[1] == op:
                return True
    return False


def main():
    bad = 0
    for name, fn in list(globals().items()):
        if not name.startswith('op_'):
            continue
        op, why = name[3:], None
        try:
            fn()
        except (OSError, Wrong, subprocess.SubprocessError) as e:
            why = str(e)
        if unsupported(op):
            if why is None:
                print(f'{op}: works, but {os.path.basename(TABLE)} says that it does not')
                bad += 1
        elif why is not None:
            print(f'{op}: {why}')
            bad += 1
    sys.exit(min(bad, 100))


main()
