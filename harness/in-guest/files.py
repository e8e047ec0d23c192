#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""usage: files.py DIRECTORY COUNT

Creates, looks at and deletes COUNT empty files, a hundred to a directory, since
ksmbd reads all of a directory before it creates a file there.  Prints
"WHAT COUNT SECONDS" for each.
"""
import os
import sys
import time


def create(name):
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))


directory, count = sys.argv[1], int(sys.argv[2])
os.chdir(directory)
names = [f"d{i // 100}/f{i}" for i in range(count)]
for i in range(0, count, 100):
    os.makedirs(os.path.dirname(names[i]), exist_ok=True)
for what in (create, os.stat, os.unlink):
    start = time.monotonic()
    for name in names:
        what(name)
    print(what.__name__, count, time.monotonic() - start)
