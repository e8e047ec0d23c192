#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Converts between the two forms of the series.

In this repository it is an overlay: whole new files at their kernel path, and
patches/ with a mail for each commit, which holds the commit's message and its
edits to existing files, and names its new files in New-file: headers. In
build/linux it is a git branch on top of the tag "base".

  overlay.py tree REPO LINUX BRANCH       overlay -> branch
  overlay.py refresh REPO LINUX BRANCH    branch -> overlay

Commits are made without a work tree, and with the author as the committer, so
that the same series gives the same commit ids everywhere, and so that a patch
that does not apply leaves nothing behind.

LINUX/.git/overlay-state records what the two sides were when they last agreed.
Each command uses it to see whether it would throw away the other side's work.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

FORCE = os.environ.get("FORCE", "") not in ("", "0")
BASE = "refs/tags/base"

# What git would otherwise take from the user's set-up and put into a patch.
GIT_ENV = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1",
               GIT_ATTR_NOSYSTEM="1")
FORMAT_PATCH = """format-patch -1 --stdout --always --no-renames --diff-filter=a
    --zero-commit --no-signature --full-index --binary --no-numbered
    --subject-prefix=PATCH --no-encode-email-headers --no-attach --no-thread
    --no-cover-letter --no-base --no-notes --no-signoff --no-from
    --no-add-header --no-ext-diff --no-textconv --no-color --unified=3
    --inter-hunk-context=0 --diff-algorithm=myers --no-indent-heuristic
    --src-prefix=a/ --dst-prefix=b/ --stat=72""".split()


class Problem(Exception):
    """One line for the user: what is wrong, and what to do."""


def say(text):
    print("    " + text, file=sys.stderr)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Git:
    def __init__(self, linux):
        self.linux = linux

    def run(self, *args, data=None, env=None, check=True):
        p = subprocess.run(["git", "-C", self.linux, *args], input=data,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           env=dict(GIT_ENV, **(env or {})))
        if check and p.returncode:
            why = p.stderr.decode(errors="replace").strip().splitlines()
            raise Problem("git %s failed: %s" % (args[0], why[0] if why else "?"))
        return p

    def out(self, *args, **kw):
        return self.run(*args, **kw).stdout.decode(errors="surrogateescape").strip()

    def rev(self, name):
        p = self.run("rev-parse", "-q", "--verify", name + "^{commit}", check=False)
        return p.stdout.decode().strip() or None

    def commits(self, tip):
        return self.out("rev-list", "--reverse", BASE + ".." + tip).split()

    def describe(self, commit):
        return self.out("show", "-s", "--format=%h (\"%s\")", commit)

    def fingerprint(self, tip):
        """What the series is, commit by commit, whoever committed it when."""
        return self.out("log", "--reverse", "--format=%T%n%an <%ae> %ad%n%s%n%n%b%x00",
                        "--date=raw", BASE + ".." + tip)


class Entry:
    """A patch of the series as it stands in the repository."""

    def __init__(self, repo, name):
        self.name = name
        path = os.path.join(repo, "patches", name)
        if not os.path.isfile(path):
            raise Problem("series names %s, which is not in patches/: correct series, "
                          "or restore the patch" % name)
        self.mail = read(path)
        self.new_files = []
        for line in self.mail.split(b"\n\n", 1)[0].decode(errors="replace").split("\n"):
            if line.startswith("New-file:"):
                self.new_files.append(line[9:].strip())


class Overlay:
    """The repository's side."""

    def __init__(self, repo):
        self.repo = repo
        self.series_head = ""
        names = []
        with open(os.path.join(repo, "series"), encoding="utf-8") as f:
            for line in f:
                if line.startswith("#") and not names:
                    self.series_head += line
                line = line.split("#")[0].strip()
                if line:
                    names.append(line)
        for name in names:
            if "/" in name or names.count(name) > 1:
                raise Problem("series: %s is no patch name, or is there twice" % name)
        self.entries = [Entry(repo, n) for n in names]
        self.owner = {}
        for e in self.entries:
            for path in e.new_files:
                if path in self.owner:
                    raise Problem("both %s and %s bring %s in: name it in one of them"
                                  % (self.owner[path], e.name, path))
                self.owner[path] = e.name

    def path(self, *parts):
        return os.path.join(self.repo, *parts)

    def stray_patches(self):
        known = {e.name for e in self.entries}
        have = os.listdir(self.path("patches")) if os.path.isdir(self.path("patches")) else []
        return sorted(f for f in have if f.endswith(".patch") and f not in known)

    def stray_files(self, top_dirs):
        """Files in the kernel's directories that no patch names."""
        dirs = [d for d in top_dirs if d != "LICENSES" and os.path.isdir(self.path(d))]
        if not dirs:
            return []
        p = subprocess.run(["git", "-C", self.repo, "ls-files", "-z", "-c", "-o",
                            "--exclude-standard", "--", *dirs], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
        if p.returncode == 0:
            files = set(p.stdout.decode(errors="surrogateescape").split("\0"))
        else:		# not a git repository: an unpacked archive of it
            files = {os.path.relpath(os.path.join(d, f), self.repo)
                     for top in dirs for d, _, fs in os.walk(self.path(top)) for f in fs}
        return sorted(f for f in files if f and f not in self.owner
                      and os.path.lexists(self.path(f)))

    def contents(self):
        """path -> [mode, sha256] of all that makes up the series."""
        result = {"series": ["644", sha256("\n".join(e.name for e in self.entries).encode())]}
        for e in self.entries:
            result["patches/" + e.name] = ["644", sha256(e.mail)]
        for path, name in self.owner.items():
            full = self.path(path)
            if os.path.islink(full) or not os.path.isfile(full):
                raise Problem("%s names the new file %s, which is not here: restore it, or "
                              "take the line out" % (name, path))
            mode = "755" if os.stat(full).st_mode & 0o100 else "644"
            result[path] = [mode, sha256(read(full))]
        return result


def build(git, overlay):
    """Makes the commits; returns the last one's id."""
    tip = git.rev(BASE)
    with tempfile.TemporaryDirectory() as tmp:
        env = {"GIT_INDEX_FILE": os.path.join(tmp, "index")}
        msg, diff = os.path.join(tmp, "msg"), os.path.join(tmp, "diff")
        git.run("read-tree", tip, env=env)
        for e in overlay.entries:
            info = {}
            out = git.out("mailinfo", "-b", "--no-scissors", "--encoding=UTF-8", msg, diff,
                          data=e.mail)
            for line in out.split("\n"):
                key, _, value = line.partition(": ")
                info.setdefault(key, value)
            for key in ("Author", "Email", "Subject", "Date"):
                if not info.get(key):
                    raise Problem("patches/%s: no %s in its header: it must be what "
                                  "`git format-patch` writes" % (e.name, key))
            text = read(diff)
            if b"\ndiff --git " in b"\n" + text:
                p = git.run("apply", "--cached", "--whitespace=nowarn", diff, env=env, check=False)
                if p.returncode:
                    why = p.stderr.decode(errors="replace").strip().split("\n")[0]
                    raise Problem("patches/%s does not apply (%s): correct the patch or its "
                                  "place in series" % (e.name, why.replace("error: ", "")))
            for path in e.new_files:
                full = overlay.path(path)
                if git.out("ls-files", "--", path, env=env):
                    raise Problem("patches/%s: New-file %s exists in the kernel already: its "
                                  "edits belong into the patch" % (e.name, path))
                blob = git.out("hash-object", "-w", "--no-filters", full)
                mode = "100755" if os.stat(full).st_mode & 0o100 else "100644"
                git.run("update-index", "--add", "--cacheinfo", "%s,%s,%s" % (mode, blob, path),
                        env=env)
            message = info["Subject"] + "\n\n" + read(msg).decode(errors="surrogateescape").strip("\n")
            who = {"NAME": info["Author"], "EMAIL": info["Email"], "DATE": info["Date"]}
            tree = git.out("write-tree", env=env)
            tip = git.out("commit-tree", tree, "-p", tip,
                          data=(message.rstrip() + "\n").encode(errors="surrogateescape"),
                          env={"GIT_%s_%s" % (role, k): v for k, v in who.items()
                               for role in ("AUTHOR", "COMMITTER")})
    return tip


def export(git, tip):
    """Returns the overlay's files, path -> (mode, bytes), patch names in order."""
    if git.run("merge-base", "--is-ancestor", BASE, tip, check=False).returncode:
        raise Problem("the branch does not stand on the tag base: rebase it onto base")
    merges = git.out("rev-list", "--merges", BASE + ".." + tip).split()
    if merges:
        raise Problem("%s is a merge: a series is linear, rebase it away" % git.describe(merges[0]))
    in_base = set(git.out("ls-tree", "-r", "-z", "--name-only", BASE).split("\0"))
    top_dirs = {p.split("/")[0] for p in in_base if "/" in p}
    files, names, owner = {}, [], {}
    for n, commit in enumerate(git.commits(tip), 1):
        new_files = []
        raw = git.out("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev",
                      "--no-commit-id", commit).split("\0")
        for what, path in zip(raw[0::2], raw[1::2]):
            _, mode, _, blob, status = what.lstrip(":").split()
            if path in owner:
                raise Problem("%s is new in %s and touched again by %s: fold the second into the "
                              "first (git rebase -i base in build/linux, \"fixup\")"
                              % (path, git.describe(owner[path]), git.describe(commit)))
            if status != "A":
                continue
            if path in in_base:
                raise Problem("%s brings back %s, which an earlier commit deletes: fold the two"
                              % (git.describe(commit), path))
            if mode not in ("100644", "100755"):
                raise Problem("%s: the new file %s is neither plain nor executable: not supported"
                              % (git.describe(commit), path))
            if path.split("/")[0] not in top_dirs:
                raise Problem("%s: the new file %s is outside of the kernel's directories"
                              % (git.describe(commit), path))
            owner[path] = commit
            new_files.append(path)
            files[path] = (mode[3:], git.run("cat-file", "blob", blob).stdout)
        mail = git.run(*FORMAT_PATCH, commit).stdout
        head, _, rest = mail.partition(b"\n\n")
        head += b"".join(b"\nNew-file: " + os.fsencode(p) for p in sorted(new_files))
        subject = git.out("show", "-s", "--format=%f", commit)[:52].rstrip("-.")
        name = "%04d-%s.patch" % (n, subject)
        names.append(name)
        files["patches/" + name] = ("644", head + b"\n\n" + rest)
    return files, names


def write(overlay, files, names):
    """Makes the repository hold these files and no other of the series."""
    files = dict(files)
    head = overlay.series_head or "# SPDX-License-Identifier: GPL-2.0\n"
    files["series"] = ("644", (head + "".join(n + "\n" for n in names)).encode())
    old = ["patches/" + n for n in overlay.stray_patches()]
    old += ["patches/" + e.name for e in overlay.entries] + list(overlay.owner)
    changed = []
    for path in old:
        if path not in files and os.path.lexists(overlay.path(path)):
            os.unlink(overlay.path(path))
            changed.append("removed " + path)
            parent = os.path.dirname(path)
            while parent not in ("", "patches") and not os.listdir(overlay.path(parent)):
                os.rmdir(overlay.path(parent))
                parent = os.path.dirname(parent)
    for path, (mode, data) in sorted(files.items()):
        full = overlay.path(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if not os.path.isfile(full) or read(full) != data:
            with open(full + ".new", "wb") as f:
                f.write(data)
            os.replace(full + ".new", full)
            changed.append("wrote " + path)
        if bool(os.stat(full).st_mode & 0o100) != (mode == "755"):
            changed.append("mode " + mode + " " + path)
        os.chmod(full, int(mode, 8))
    return changed


class State:
    """What both sides were when they last agreed."""

    def __init__(self, git):
        self.path = os.path.join(git.out("rev-parse", "--absolute-git-dir"), "overlay-state")
        self.commit, self.files = None, None
        try:
            with open(self.path, encoding="utf-8") as f:
                state = json.load(f)
            self.commit, self.files = state["commit"], state["files"]
        except (OSError, ValueError, KeyError):
            pass

    def agree(self, commit, files):
        with open(self.path + ".new", "w", encoding="utf-8") as f:
            json.dump({"commit": commit, "files": files}, f, indent=0)
        os.replace(self.path + ".new", self.path)


def on_branch(git, branch):
    """Is the branch checked out in LINUX itself? It must be at rest, too."""
    gitdir = git.out("rev-parse", "--absolute-git-dir")
    for busy in ("rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD", "MERGE_HEAD"):
        if os.path.exists(os.path.join(gitdir, busy)):
            raise Problem("%s is in the middle of a rebase, am, merge or cherry-pick: finish or "
                          "abort that first" % git.linux)
    return git.out("symbolic-ref", "-q", "HEAD", check=False) == "refs/heads/" + branch


def dirty(git):
    return git.out("status", "--porcelain", "--untracked-files=no").split("\n")[0]


def cmd_tree(git, overlay, branch):
    state, tip = State(git), git.rev("refs/heads/" + branch)
    contents = overlay.contents()
    in_linux = on_branch(git, branch)

    stray = overlay.stray_patches()
    if stray:
        raise Problem("patches/%s is not in series: add it there, or delete it" % stray[0])
    stray = overlay.stray_files(git.out("ls-tree", "-d", "--name-only", BASE).split("\n"))
    if stray:
        raise Problem("no patch of the series names %s: add \"New-file: %s\" to the header of "
                      "one, or delete the file" % (stray[0], stray[0]))

    if tip and state.commit == tip and state.files == contents:
        say("%s is up to date: %d commits on base" % (branch, len(overlay.entries)))
        return
    new = build(git, overlay)
    if tip and git.fingerprint(tip) == git.fingerprint(new):
        state.agree(tip, contents)
        say("%s is up to date: %d commits on base" % (branch, len(overlay.entries)))
        return
    if tip not in (None, git.rev(BASE), state.commit):
        if not FORCE:
            raise Problem("%s in %s has commits that are not in the series: `make refresh` keeps "
                          "them, `make tree FORCE=1` drops them" % (branch, git.linux))
        git.run("update-ref", "refs/heads/%s.old" % branch, tip)
        say("the old branch is kept as %s.old" % branch)
    if in_linux:
        if dirty(git):
            raise Problem("%s has uncommitted changes (%s): commit or undo them first"
                          % (git.linux, dirty(git).strip()))
        git.run("reset", "-q", "--keep", new)
    else:
        git.run("update-ref", "refs/heads/" + branch, new)
        say("%s is not checked out in %s: only the branch has moved" % (branch, git.linux))
    state.agree(new, contents)
    say("%s: %d commits on base" % (branch, len(overlay.entries)))


def cmd_refresh(git, overlay, branch):
    state, tip = State(git), git.rev("refs/heads/" + branch)
    if not tip:
        raise Problem("%s has no branch %s: run `make tree` first" % (git.linux, branch))
    if on_branch(git, branch):
        if dirty(git):
            raise Problem("%s has uncommitted changes (%s): commit or undo them first"
                          % (git.linux, dirty(git).strip()))
        lost = git.out("ls-files", "-o", "--exclude-standard").split("\n")
        if lost[0]:
            say("note: %s in %s is in no commit" % (lost[0], git.linux))

    files, names = export(git, tip)

    # Would this overwrite what somebody has changed on the repository's side?
    try:
        contents = overlay.contents()
    except Problem:
        contents = None
    wanted = {p: [m, sha256(d)] for p, (m, d) in files.items()}
    wanted["series"] = ["644", sha256("\n".join(names).encode())]
    if contents != wanted and not FORCE:
        known = state.files if state.files is not None else {}
        if state.files is not None or overlay.entries:
            here = contents or {}
            changed = sorted(p for p in set(here) | set(known) if here.get(p) != known.get(p))
            # Patches and series follow from the branch when only it has moved.
            if changed:
                raise Problem("%s has changed here since the last `make tree` or `make refresh`: "
                              "`make tree` takes that up, `make refresh FORCE=1` overwrites it"
                              % changed[0])
    top_dirs = git.out("ls-tree", "-d", "--name-only", BASE).split("\n")
    stray = [f for f in overlay.stray_files(top_dirs) if f not in files]
    if stray:
        raise Problem("%s is in no commit of %s: commit it there, or delete it here"
                      % (stray[0], branch))

    # What is written must give the same commits again; try it before writing.
    with tempfile.TemporaryDirectory() as tmp:
        for path, (mode, data) in list(files.items()) + [
                ("series", ("644", "".join(n + "\n" for n in names).encode()))]:
            full = os.path.join(tmp, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "wb") as f:
                f.write(data)
            os.chmod(full, int(mode, 8))
        again = build(git, Overlay(tmp))
    if git.fingerprint(again) != git.fingerprint(tip):
        for a, b in zip(git.commits(tip), git.commits(again)):
            fmt = ("show", "-s", "--format=%T %an %ae %ad %s %b", "--date=raw")
            if git.out(*fmt, a) != git.out(*fmt, b):
                raise Problem("%s does not survive as a mail: look for a line \"---\" or \"diff \" "
                              "in its message" % git.describe(a))
        raise Problem("the series does not survive as mails")

    for line in write(overlay, files, names):
        say(line)
    state.agree(tip, Overlay(overlay.repo).contents())
    say("%d patches, %d new files" % (len(names), len(files) - len(names)))


def main():
    command, repo, linux, branch = sys.argv[1:]
    {"tree": cmd_tree, "refresh": cmd_refresh}[command](Git(linux), Overlay(repo), branch)


try:
    main()
except Problem as e:
    sys.exit("error: %s" % e)
