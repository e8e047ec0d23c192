#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""System calls on a mount, each again and again: with the first, the second, ... of
the allocations that the client makes for it refused.

usage: smb-fault.py MOUNT SERVER-DIRECTORY MOUNT-OPTIONS [OPERATION...]

The kernel counts by /proc/thread-self/fail-nth; the caller has limited that to
allocations that have the client on the stack.  A call may fail with an errno that
it is known to fail with, or succeed; then its result has to be right, and either
way what comes after it, with nothing refused.  Prints a line for whatever is not
so.
"""
import collections
import ctypes
import errno
import mmap
import os
import random
import shutil
import sys
import time

M, S, OPTIONS = sys.argv[1:4]
ONLY = sys.argv[4:]
libc = ctypes.CDLL(None, use_errno=True)
rng = random.Random(OPTIONS)
nth = os.open('/proc/thread-self/fail-nth', os.O_RDWR)
EXPECTED = {errno.ENOMEM, errno.EIO, errno.EAGAIN}
# What stock says too: an option that cannot be copied is called invalid, and what
# cannot connect to port 445 tries port 139.
ALSO = {'mount': {errno.EINVAL, errno.ECONNREFUSED}}
# Many allocations and slow: about every fourth, others for other options.
STRIDE = {'mount': 4}
# Touched before, so that no page of it is allocated under the client.
BUF = mmap.mmap(-1, 1 << 20)
BUF.write(bytes(len(BUF)))
bad = 0


def complain(what):
    global bad
    bad += 1
    print(what)


def c(name):
    return os.path.join(M, name)


def srv(name):
    return os.path.join(S, name)


def mount():
    src = '//127.0.0.1/s'
    opts = f'ip=127.0.0.1,unc=\\\\127.0.0.1\\s,username=root,password=pw,{OPTIONS}'
    if libc.mount(src.encode(), M.encode(), b'cifs', 0, opts.encode()):
        raise OSError(ctypes.get_errno(), 'mount')


def umount(flags=0):
    if libc.umount2(M.encode(), flags):
        raise OSError(ctypes.get_errno(), 'umount')


def content(name):
    with open(srv(name), 'rb') as f:
        return f.read()


def server_wrote(name, data):
    with open(srv(name), 'wb') as f:
        f.write(data)


def create(name):
    os.close(os.open(c(name), os.O_CREAT | os.O_RDWR, 0o644))


def fresh(name):
    """The server's attributes, by statx(2) with AT_STATX_FORCE_SYNC: its size."""
    buf = ctypes.create_string_buffer(256)
    if libc.statx(-100, os.fsencode(c(name)), 0x2000, 0x7ff, buf):
        raise OSError(ctypes.get_errno(), 'statx')
    return int.from_bytes(buf[40:48], 'little')


# An operation is a generator: what comes before its first yield prepares, then
# the call is yielded, and its result or its OSError comes back.  What is yielded
# after that is said to be wrong.

def op_mount(_):
    umount()
    r = yield mount
    if isinstance(r, OSError):
        if os.path.ismount(M):
            yield 'failed, and is mounted'
            umount()
        mount()
    if not os.path.ismount(M):
        yield 'succeeded, and is not mounted'
        mount()
    os.listdir(M)


def op_umount(_):
    r = yield umount
    if isinstance(r, OSError):
        yield f'{r}'
        umount()
    mount()


def op_create(n):
    name = f'create{n}'
    r = yield lambda: os.open(c(name), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
    if not isinstance(r, OSError):
        os.close(r)
        if not os.path.exists(srv(name)):
            yield 'succeeded, and the server has no file'
    create(name)
    os.unlink(c(name))


def op_open(n):
    name = f'open{n}'
    server_wrote(name, b'here')
    r = yield lambda: os.open(c(name), os.O_RDONLY)
    fd = os.open(c(name), os.O_RDONLY) if isinstance(r, OSError) else r
    if os.read(fd, 10) != b'here':
        yield 'reads otherwise'
    os.close(fd)


def writes(name, flags, size):
    """Overwrite some of a file and have it synced, in one call."""
    old, new = rng.randbytes(size), rng.randbytes(size)
    BUF[:size] = new
    server_wrote(name, old)
    fd = os.open(c(name), os.O_RDWR | flags)

    def call():
        done = os.pwritev(fd, [memoryview(BUF)[:size]], 0)
        os.fsync(fd)
        return done

    r = yield call
    if isinstance(r, OSError):
        got = content(name)
        if len(got) != size or any(g not in (o, n) for g, o, n in zip(got, old, new)):
            yield 'failed, and left what was neither there before nor written'
        try:
            os.fsync(fd)        # may say once more what went wrong
        except OSError:
            pass
        BUF[:size] = new
        r = call()
    elif 0 < r < size and not flags:
        r = call()              # the page cache may take a part of it
    if r != size:
        yield f'wrote {r} of {size}'
    elif content(name) != new:
        yield 'the server has something else'
    os.close(fd)


def op_write(n):
    yield from writes(f'write{n}', 0, 150000)


def op_write_direct(n):
    yield from writes(f'direct{n}', os.O_DIRECT, 131072)


def reads(name, flags, size):
    data = rng.randbytes(size)
    server_wrote(name, data)
    fd = os.open(c(name), os.O_RDONLY | flags)
    BUF[:size] = bytes(size)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def call():
        return os.preadv(fd, [memoryview(BUF)[:size]], 0)

    for _ in range(2):
        r = (yield call) if _ == 0 else call()
        if isinstance(r, OSError):
            continue
        if r == 0:
            yield 'the file reads as if it were empty'
        if BUF[:r] != data[:r]:
            yield f'{r} bytes, and not what the server has'
        if r == size:
            break
        if _:
            yield f'read {r} of {size}'
    os.close(fd)


def op_read(n):
    yield from reads(f'read{n}', 0, 150000)


def op_read_direct(n):
    yield from reads(f'readd{n}', os.O_DIRECT, 131072)


def op_stat(n):
    name = f'stat{n}'
    server_wrote(name, bytes(77))
    r = yield lambda: fresh(name)
    if r != 77 and not isinstance(r, OSError):
        yield f'a size of {r}'
    if fresh(name) != 77:
        yield 'still another size'


def op_readdir(n):
    names = {f'entry{i:03}' for i in range(12)}
    os.mkdir(srv(f'dir{n}'))
    for i in names:
        server_wrote(f'dir{n}/{i}', b'')
    r = yield lambda: os.listdir(c(f'dir{n}'))
    if not isinstance(r, OSError) and set(r) != names:
        yield f'{len(r)} of {len(names)} names'
    if set(os.listdir(c(f'dir{n}'))) != names:
        yield 'names are still missing'


def op_rename(n):
    old, new = f'from{n}', f'to{n}'
    create(old)
    r = yield lambda: os.rename(c(old), c(new))
    if not isinstance(r, OSError) and not os.path.exists(srv(new)):
        yield 'succeeded, and was not renamed'
    if os.path.exists(srv(old)) == os.path.exists(srv(new)):
        yield 'both names, or none'


def op_unlink(n):
    name = f'gone{n}'
    create(name)
    r = yield lambda: os.unlink(c(name))
    if isinstance(r, OSError) and os.path.exists(srv(name)):
        os.unlink(c(name))
    # It goes when the last handle does.  A handle whose close cannot be sealed for
    # want of memory stays, on stock too.
    if os.path.exists(srv(name)) and (r or 'seal' not in OPTIONS):
        yield 'is still there'


def op_mkdir(n):
    name = f'mkdir{n}'
    r = yield lambda: os.mkdir(c(name))
    if not isinstance(r, OSError) and not os.path.isdir(srv(name)):
        yield 'succeeded, and there is none'
    if os.path.isdir(srv(name)):
        os.rmdir(c(name))


def op_truncate(n):
    name = f'trunc{n}'
    server_wrote(name, bytes(5000))
    r = yield lambda: os.truncate(c(name), 100)
    if not isinstance(r, OSError) and len(content(name)) != 100:
        yield f'succeeded, and there are {len(content(name))} bytes'
    os.truncate(c(name), 100)
    if len(content(name)) != 100:
        yield 'is not cut even so'


def op_statfs(_):
    r = yield lambda: os.statvfs(M)
    if not isinstance(r, OSError) and r.f_blocks == 0:
        yield 'no blocks'


def armed(call, n):
    """Calls with the Nth allocation refused: its result and whether N was reached."""
    os.write(nth, b'%d' % n)
    try:
        r = call()
    except OSError as e:
        r = e
    left = int(os.pread(nth, 20, 0))
    os.write(nth, b'0')
    return r, left == 0


def run(name, op):
    n, tried, seen = 1, 0, collections.Counter()
    t0 = time.monotonic()
    while True:
        where = f'{name}, allocation {n}'
        try:
            r, met = 'not called yet', False
            steps = op(n)
            r, met = armed(next(steps), n)
            if isinstance(r, OSError):
                seen[errno.errorcode.get(r.errno, r.errno)] += 1
                if not met:
                    complain(f'{where}: nothing was refused, but: {r}')
                elif r.errno not in EXPECTED | ALSO.get(name, set()):
                    complain(f'{where}: {r}')
            else:
                seen['ok'] += 1
            what = steps.send(r)
            while True:
                complain(f'{where}: {what} ({r})')
                what = next(steps)
        except StopIteration:
            pass
        except OSError as e:
            complain(f'{where} ({r}): afterwards: {e}')
            if not os.path.ismount(M):
                mount()
        if not met:
            break
        tried += 1
        n += rng.randrange(1, 2 * STRIDE.get(name, 1))
        if bad > 20:
            print('and so on')
            sys.exit(1)
    print(f'INFO {name}: {tried} of {n}: {dict(seen)} {time.monotonic() - t0:.1f} s')
    for entry in os.scandir(S):
        (shutil.rmtree if entry.is_dir() else os.unlink)(entry.path)
    if not tried:
        complain(f'{name}: no allocation was refused')


mount()
for key, func in list(globals().items()):
    if key.startswith('op_') and (not ONLY or key[3:] in ONLY):
        run(key[3:], func)
umount()
sys.exit(min(bad, 100))
