#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes over a mount while its server dies and comes back, and then checks
that every byte that fsync(2) vouched for is on the server's side.

usage: smb-kill-writer.py FILE SERVER-FILE PROGRESS-FILE STOP-FILE

The file is a row of slots of 1 MiB which are written again and again; what a
slot holds follows from its number and the version.  A slot on the server has
to be whole and of the version that was last synced, or of one that was begun
since.  PROGRESS-FILE holds how many slots have been synced.  Goes on until
STOP-FILE is there; the last fsync has to succeed.
"""
import os
import random
import sys
import time

FILE, SERVER, PROGRESS, STOP = sys.argv[1:5]
SLOTS, SIZE, BATCH = 48, 1 << 20, 6
# Odd pieces, so that a message ends anywhere in a page.
PIECES = (300001, 65536, 65537, SIZE - 300001 - 65536 - 65537)


def content(slot, version):
    return random.Random(slot << 32 | version).randbytes(SIZE)


def write_slot(fd, slot, version):
    data, at = content(slot, version), 0
    for n in PIECES:
        part = data[at:at + n]
        while part:
            done = os.pwrite(fd, part, slot * SIZE + at)
            part, at = part[done:], at + done


def main():
    synced = [0] * SLOTS		# what fsync returned 0 for
    begun = [0] * SLOTS			# what may have reached the server
    errors = []
    count = slot = 0
    fd = -1
    last_good = time.monotonic()
    while True:
        stop = os.path.exists(STOP)
        batch = [(slot + i) % SLOTS for i in range(BATCH)]
        try:
            if fd < 0:
                fd = os.open(FILE, os.O_CREAT | os.O_RDWR, 0o644)
            for s in batch:
                begun[s] += 1
                write_slot(fd, s, begun[s])
            os.fsync(fd)
        except OSError as e:
            errors.append(str(e))
            if time.monotonic() - last_good > 45:
                print(f'no write has succeeded for 45 s: {e}')
                sys.exit(1)
            if fd >= 0:
                try:
                    os.close(fd)
                except OSError:
                    pass
                fd = -1
            time.sleep(0.2)
            continue			# the same batch anew, as a database would
        last_good = time.monotonic()
        for s in batch:
            synced[s] = begun[s]
        count += BATCH
        slot = (slot + BATCH) % SLOTS
        with open(PROGRESS + '.new', 'w') as f:
            f.write(str(count))
        os.rename(PROGRESS + '.new', PROGRESS)
        if stop:
            break
    # Straight after the fsync, while the file is still open.
    bad = 0
    with open(SERVER, 'rb') as f:
        for s in range(SLOTS):
            f.seek(s * SIZE)
            got = f.read(SIZE)
            if not synced[s]:
                continue
            if not any(got == content(s, v) for v in range(synced[s], begun[s] + 1)):
                want = content(s, synced[s])
                at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), len(got))
                print(f'slot {s} version {synced[s]}: lost or wrong from byte {at} of {len(got)}')
                bad += 1
    try:
        os.close(fd)
    except OSError as e:
        print(f'close: {e}')
        bad += 1
    print(f'INFO {count} MiB synced, {len(errors)} errors on the way {sorted(set(errors))}')
    sys.exit(min(bad, 100))


main()
