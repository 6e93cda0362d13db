# SPDX-License-Identifier: MPL-2.0
"""What chapterctl prints, text and JSON, compared with the files in expected/.

The federation is the same at every run but for keys, digests, ports and times, which are replaced
by words.  After an intended change: cmake --build build/release --target update-golden"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from federation import BIN, Federation, Node, check, main, wait_until  # noqa: E402

UPDATE = os.environ.get("CHAPTERD_UPDATE_GOLDEN")
IDS = ["00000000-0000-4000-8000-%012x" % n for n in range(1, 14)]

# Each command in text and in JSON, and what goes wrong with it most.
# name, node ("none": nobody is there), arguments, expected exit code, standard input
COMMANDS = [
    # what is there
    ("status", "hq", ["status"], 0),
    ("status-v", "lu", ["status", "-v"], 0),
    ("status-json", "lu", ["--json", "status"], 0),
    ("status-csv", "lu", ["--csv", "status"], 0),
    ("status-one", "lu", ["status", "fr"], 0),
    ("status-unknown", "lu", ["status", "frr"], 1),
    ("status-unreachable", "none", ["status"], 3),
    ("status-unreachable-json", "none", ["--json", "status"], 3),
    ("explain", "fr", ["explain", "hq"], 0),
    ("explain-v", "fr", ["-v", "explain", "fr"], 0),
    ("explain-json", "hq", ["--json", "explain", "lu"], 0),
    ("explain-csv", "hq", ["--csv", "explain", "lu"], 0),
    ("explain-unknown", "lu", ["explain", "frr"], 1),
    ("counts", "hq", ["counts"], 0),
    ("counts-country", "lu", ["counts", "--by", "country"], 0),
    ("counts-chapter-json", "hq", ["--json", "counts", "--by", "chapter"], 0),
    ("counts-csv", "hq", ["--csv", "counts", "--by", "status"], 0),
    ("counts-wrong", "hq", ["counts", "--by", "shoe-size"], 2),
    ("counts-later", "hq", ["counts", "--trend"], 2),
    ("members-list", "fr", ["members", "list", "--chapter", "fr"], 0),
    ("members-list-elsewhere", "lu", ["members", "list"], 0),
    ("members-list-json", "lu", ["--json", "members", "list", "--country", "FR"], 0),
    ("members-list-json-empty", "lu", ["--json", "members", "list", "--chapter", "lu"], 0),
    ("members-list-csv", "fr", ["--csv", "members", "list", "--limit", "2"], 0),
    ("members-list-wrong", "fr", ["members", "list", "--status", "dead"], 2),
    ("members-show", "fr", ["members", "show", IDS[0]], 0),
    ("members-show-hq-json", "hq", ["--json", "members", "show", IDS[0]], 0),
    ("members-show-unknown", "lu", ["members", "show", IDS[7]], 1),
    ("members-show-no-id", "lu", ["members", "show", "33"], 2),
    ("log", "lu", ["log", "--chapter", "fr"], 0),
    ("log-json", "lu", ["--json", "log", "--chapter", "fr"], 0),
    ("log-csv", "lu", ["--csv", "log", "--chapter", "fr", "-n", "1"], 0),
    ("log-wrong", "lu", ["log", "--since", "yesterday"], 2),
    ("wait", "lu", ["wait"], 0),
    ("wait-json", "lu", ["--json", "wait", "--timeout", "10"], 0),
    ("wait-csv", "lu", ["--csv", "wait"], 0),
    ("wait-unknown", "lu", ["wait", "--chapter", "zz", "--timeout", "0"], 1),
    ("wait-wrong", "lu", ["wait", "--timeout", "soon"], 2),
    ("verify", "lu", ["verify", "--deep"], 0),
    ("verify-json", "hq", ["--json", "verify", "--deep"], 0),
    ("verify-csv", "hq", ["--csv", "verify"], 0),
    ("verify-against", "lu", ["verify", "--against", "hq"], 0),
    ("verify-itself", "lu", ["verify", "--against", "lu"], 2),
    ("verify-unknown", "lu", ["verify", "--against", "zz"], 1),
    ("chapters-list", "hq", ["chapters", "list"], 0),
    ("chapters-list-v", "hq", ["chapters", "list", "-v"], 0),
    ("chapters-list-json", "lu", ["--json", "chapters", "list"], 0),
    ("chapters-list-csv", "lu", ["--csv", "chapters", "list"], 0),
    ("chapters-list-word", "lu", ["chapters", "list", "fr"], 2),
    ("chapters-show", "hq", ["chapters", "show", "lu"], 0),
    ("chapters-show-json", "hq", ["--json", "chapters", "show", "fr"], 0),
    ("chapters-show-unknown", "hq", ["chapters", "show", "luxembourg"], 1),
    ("config-show", "fr", ["config", "show"], 0),
    ("config-show-json", "lu", ["--json", "config", "show"], 0),
    ("config-show-word", "lu", ["config", "show", "listen"], 2),
    ("config-later", "lu", ["config", "check"], 2),
    ("version", "fr", ["version"], 0),
    ("version-json", "fr", ["--json", "version"], 0),
    ("version-own", "none", ["--version"], 0),
    ("version-unreachable", "none", ["version"], 3),
    # what changes members
    ("members-add", "fr", ["members", "add", "id=" + IDS[6], "name=Ann", "country=FR"], 0),
    ("members-add-json", "fr", ["--json", "members", "add", "id=" + IDS[7], "name=Bob",
                                "joined=2020-02-29"], 0),
    ("members-add-quiet", "fr", ["-q", "members", "add", "id=" + IDS[8], "name=Cid"], 0),
    ("members-add-mistyped", "fr", ["members", "add", "id=" + IDS[9], "name=Dan",
                                    "emial=dan@example.org"], 0),
    ("members-add-mistyped-json", "fr", ["--json", "members", "add", "id=" + IDS[10], "name=Eve",
                                         "shoe=44"], 0),
    ("members-add-wrong", "fr", ["members", "add", "name=Fay", "country=XX"], 1),
    ("members-add-nameless", "fr", ["members", "add", "country=FR"], 1),
    ("members-add-no-field", "fr", ["members", "add", "Fay"], 2),
    ("members-edit", "fr", ["members", "edit", IDS[6], "city=Lyon", "status=pending"], 0),
    ("members-edit-json", "fr", ["--json", "members", "edit", IDS[6], "city="], 0),
    ("members-edit-unknown-field-value", "fr", ["members", "edit", IDS[0], "country=XX"], 1),
    ("members-edit-unknown", "fr", ["members", "edit", IDS[11], "name=Gus"], 1),
    ("members-edit-of-others", "lu", ["members", "edit", IDS[0], "country=LU"], 1),
    ("members-remove", "fr", ["members", "remove", IDS[7]], 0),
    ("members-remove-json", "fr", ["--json", "members", "remove", IDS[8]], 0),
    ("members-remove-unknown", "fr", ["members", "remove", IDS[11]], 1),
    ("members-apply", "fr", ["members", "apply", "-"], 0,
     '{"op":"put","id":"%s","fields":{"name":"Hal"}}\n{"op":"remove","id":"%s"}\n' % (
         IDS[11], IDS[11])),
    ("members-apply-json", "fr", ["--json", "members", "apply", "-"], 4,
     '{"op":"put","id":"%s","fields":{"name":"Ida"}}\nnonsense\n{"op":"remove","id":"%s"}\n'
     '{"op":"put","fields":{"country":"FR"}}\n' % (IDS[11], IDS[12])),
    ("members-apply-no-input", "fr", ["members", "apply"], 2),
    ("members-lapse", "fr", ["members", "lapse"], 0),
    ("members-lapse-json", "fr", ["--json", "members", "lapse", "--confirm"], 0),
    ("members-lapse-wrong", "fr", ["members", "lapse", "--confrim"], 2),
    ("members-later", "fr", ["members", "restore", IDS[6]], 2),
    ("who-sees", "fr", ["who-sees", IDS[0]], 0),
    ("who-sees-json", "hq", ["--json", "who-sees", IDS[0]], 0),
    ("who-sees-unknown", "lu", ["who-sees", IDS[12]], 1),
    ("surplus-list", "fr", ["surplus", "list"], 0),
    ("surplus-list-json", "fr", ["--json", "surplus", "list"], 0),
    ("surplus-list-word", "fr", ["surplus", "list", "all"], 2),
    ("surplus-adopt", "fr", ["surplus", "adopt", "all"], 0),
    ("surplus-adopt-unknown", "fr", ["surplus", "adopt", IDS[0]], 1),
    ("surplus-adopt-all-json", "fr", ["--json", "surplus", "adopt", "all"], 0),
    ("surplus-discard", "fr", ["surplus", "discard", "all"], 0),
    ("surplus-discard-json", "fr", ["--json", "surplus", "discard", "all"], 0),
    ("surplus-discard-word", "fr", ["surplus", "discard", "everything"], 2),
    ("tiers-list", "fr", ["tiers", "list"], 0),
    ("tiers-list-json", "lu", ["--json", "tiers", "list"], 0),
    ("tiers-list-word", "lu", ["tiers", "list", "email"], 2),
    ("tiers-set", "fr", ["tiers", "set", "email=chapter"], 0),
    ("tiers-set-json", "fr", ["--json", "tiers", "set", "email=hq"], 0),
    ("tiers-set-mistyped", "fr", ["tiers", "set", "emial=chapter"], 0),
    ("tiers-set-wrong", "fr", ["tiers", "set", "status=chapter"], 1),
    # spreadsheets
    ("export", "fr", ["export"], 0),
    ("export-file", "fr", ["export", "-o", "OUT"], 0),
    ("export-wrong", "fr", ["export", "--for", "civi"], 2),
    ("export-nowhere", "fr", ["export", "-o", "/nowhere/members.csv"], 1),
    ("import", "fr", ["import", "FILE"], 4),
    ("import-json", "fr", ["--json", "import", "FILE"], 4),
    ("import-apply", "fr", ["import", "FILE", "--apply"], 4),
    ("import-again", "fr", ["import", "FILE", "--apply"], 4),
    ("import-no-file", "fr", ["import", "/nowhere/members.csv"], 1),
    ("import-no-file-json", "fr", ["--json", "import", "/nowhere/members.csv"], 1),
    # who belongs
    ("invite", "hq", ["invite", "be", "--name", "Chapter be", "--country", "BE"], 0),
    ("invite-json", "hq", ["--json", "invite", "no", "--approve"], 0),
    ("invite-csv", "hq", ["--csv", "invite", "se", "--ttl", "1h"], 0),
    ("invite-not-hq", "fr", ["invite", "be"], 1),
    ("invite-wrong", "hq", ["invite", "Belgium"], 2),
    ("invite-member", "hq", ["invite", "fr"], 1),
    ("invite-list", "hq", ["invite", "list"], 0),
    ("invite-list-json", "hq", ["--json", "invite", "list"], 0),
    ("invite-list-not-hq", "fr", ["invite", "list"], 1),
    ("explain-invited", "hq", ["explain", "be"], 1),
    ("invite-revoke", "hq", ["invite", "revoke", "ID-OF-be"], 0),
    ("invite-revoke-json", "hq", ["--json", "invite", "revoke", "ID-OF-se"], 0),
    ("invite-revoke-unknown", "hq", ["invite", "revoke", "0" * 16], 1),
    ("invite-approve", "hq", ["invite", "approve", "ID-OF-dk"], 0),
    ("invite-approve-json", "hq", ["--json", "invite", "approve", "ID-OF-fi"], 0),
    ("invite-approve-unknown", "hq", ["invite", "approve", "ID-OF-no"], 1),
    ("chapters-edit", "hq", ["chapters", "edit", "dk", "--name", "Danmark", "--country", "DK"], 0),
    ("chapters-edit-json", "hq", ["--json", "chapters", "edit", "dk", "--records-max", "50"], 0),
    ("chapters-edit-unknown", "hq", ["chapters", "edit", "zz", "--name", "Z"], 1),
    ("explain-never-met", "hq", ["explain", "dk"], 0),
    ("verify-unreachable", "hq", ["verify", "--against", "dk"], 1),
    ("chapters-suspend", "hq", ["chapters", "suspend", "dk"], 0),
    ("chapters-suspend-json", "hq", ["--json", "chapters", "suspend", "fi"], 0),
    ("chapters-suspend-not-hq", "fr", ["chapters", "suspend", "lu"], 1),
    ("explain-suspended-json", "lu", ["--json", "explain", "fi"], 0),
    ("chapters-resume", "hq", ["chapters", "resume", "dk"], 0),
    ("chapters-resume-json", "hq", ["--json", "chapters", "resume", "fi"], 0),
    ("chapters-resume-twice", "hq", ["chapters", "resume", "fi"], 1),
    ("chapters-revoke", "hq", ["chapters", "revoke", "dk"], 0),
    ("chapters-revoke-json", "hq", ["--json", "chapters", "revoke", "fi"], 0),
    ("chapters-revoke-hq", "hq", ["chapters", "revoke", "hq"], 1),
    ("chapters-rekey", "hq", ["chapters", "rekey", "lu"], 0),
    ("chapters-rekey-json", "hq", ["--json", "chapters", "rekey", "fr", "--ttl", "1h"], 0),
    ("chapters-rekey-unknown", "hq", ["chapters", "rekey", "zz"], 1),
    # the store
    ("backup", "lu", ["backup", "BACKUP"], 0),
    ("backup-json", "fr", ["--json", "backup", "BACKUP-2"], 0),
    ("backup-there", "lu", ["backup", "BACKUP"], 1),
    ("backup-no-file", "lu", ["backup"], 2),
    ("compact", "lu", ["compact"], 0),
    ("compact-json", "fr", ["--json", "compact"], 0),
    ("compact-word", "lu", ["compact", "now"], 2),
    ("keys-show", "lu", ["keys", "show"], 0),
    ("keys-show-json", "hq", ["--json", "keys", "show"], 0),
    ("keys-show-word", "lu", ["keys", "show", "sign"], 2),
    ("keys-rotate", "lu", ["keys", "rotate"], 0),
    ("keys-rotate-json", "fr", ["--json", "keys", "rotate"], 0),
    ("keys-rotate-word", "lu", ["keys", "rotate", "now"], 2),
    ("members-erase", "fr", ["members", "erase", IDS[0], "--wait", "30"], 0),
    ("members-erase-json", "hq", ["--json", "members", "erase", IDS[5], "--wait", "30"], 0),
    ("members-erase-unknown", "fr", ["members", "erase", IDS[12]], 1),
    # chapterctl itself
    ("help", "none", ["help"], 0),
    ("help-option", "none", ["counts", "--help"], 0),
    ("help-noun", "none", ["help", "members"], 0),
    ("help-unknown", "none", ["help", "memebrs"], 2),
    ("no-command", "none", [], 2),
    ("no-verb", "none", ["members"], 2),
    ("no-word", "none", ["members", "show"], 2),
    ("unknown-command", "fr", ["statsu"], 2),
    ("unknown-command-json", "fr", ["--json", "statsu"], 2),
    ("unknown-verb", "fr", ["members", "lsit"], 2),
    ("unknown-option", "fr", ["counts", "--bye", "country"], 2),
    ("late-global-option", "fr", ["counts", "-w5"], 2),
    ("unknown-global-option", "fr", ["--jsn", "counts"], 2),
    ("later", "fr", ["doctor"], 2),
    ("watch-writes", "fr", ["-w", "members", "remove", IDS[0]], 2),
    ("wrong-color", "fr", ["--color=red", "status"], 2),
    ("wrong-timeout", "fr", ["-t", "soon", "status"], 2),
    ("long-socket", "long", ["status"], 2),
]

WORDS = [
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{16}\b", "SHORT-DIGEST"),
    (r"(?m)(SHORT-DIGEST +\d+ +)\d+( +\d+)$", r"\1N\2"),  # bytes fetched
    (r"(?m)(,DIGEST,\d+,)\d+(,\d+)$", r"\1N\2"),           # the same in CSV
    (r"(?m)(ADDRESS +yes +)\d+$", r"\1N"),                  # a link's handle
    (r"(\"link\": ?)\d+", r"\1N"),
    (r"(?<![-0-9a-f])[0-9a-f]{12}(?![-0-9a-f])", "ID-OF-INVITATION"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"/[^ \"]*chapterd-e2e-[^/ \"]+", "DIR"),
    (r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"chapterd1\.[A-Za-z0-9_-]+", "TOKEN"),
    (r"(\"(?:fetched_bytes|(?:(?:heard|fresh|since|last_seen)_)?seconds)\": ?)-?[0-9.e+-]+",
     r"\1N"),
    (r"\b\d+(\.\d+)? (ms|s|seconds?)\b", "N s"),
    (r"(?m)(,TIME,)\d+(,\"all)", r"\1N\2"),                   # explain in CSV
    (r"(store_used\"?:? *)\d+", r"\1N"),
    (r"(?m)^(libraries\.\S+ +)\S.*$", r"\1VERSION"),
    (r"(sandbox\"?: ?\"?)(seccomp, landlock|seccomp|landlock|none)", r"\1SANDBOX"),
    (r"(?<=\"libraries\":)\{[^}]*\}",
     lambda m: re.sub(r":\"[^\"]*\"", ':"VERSION"', m.group())),
    (r"(DIR/backup\S*: )\d+ bytes", r"\1N bytes"),
    (r"compacted: \d+ bytes before, \d+ now", "compacted: N bytes before, N now"),
    (r"(\"(?:bytes|after|before)\": ?)\d+", r"\1N"),
    (r"has \d+ bytes, this system allows \d+", "has N bytes, this system allows N"),
]


def normalise(text):
    """Variable parts as words; columns that those widen shrink to two spaces."""
    for pattern, word in WORDS:
        text = re.sub(pattern, word, text)
    # counters vary with timing
    text = re.sub(r"\"counters\": ?\{[^}]*\}", lambda m: re.sub(r":\d+", ":N", m.group()), text)
    text = re.sub(r"(?m)^( +[a-z_]+ +)\d+( |$)", r"\1N\2", text)
    text = re.sub(r"[ \t]{2,}", "  ", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def compare(name, text):
    path = os.path.join(HERE, "expected", name + ".golden")
    if UPDATE:
        with open(path, "w") as file:
            file.write(text)
        return None
    if not os.path.exists(path):
        return "%s: no such file" % path
    with open(path) as file:
        expected = file.read()
    if expected == text:
        return None
    import difflib
    return "".join(difflib.unified_diff(expected.splitlines(True), text.splitlines(True),
                                        "expected/" + name + ".golden", "printed"))


def members():
    people = [
        dict(name="Zoé Durand", email="zoe@example.fr", country="FR", joined="1998-05-04",
             language="fr", notes="met in Lyon", city="Lyon"),
        dict(name="محمد علي", email="m.ali@example.org", country="TN", joined="2004-01-31"),
        dict(name="山田 太郎", email="taro@example.jp", country="JP", joined="2011-11-11",
             status="pending"),
        dict(name="अनिता शर्मा", country="IN", joined="2020-02-29"),
        dict(name="Evil\u202e\x1b[31mName".replace("\x1b", ""), country="FR", joined="2021-01-01",
             status="lapsed"),
    ]
    return [{"op": "put", "id": IDS[i], "fields": p} for i, p in enumerate(people)]


# One is changed, one is the same, one is new, two are rejected.
SPREADSHEET = """id;Name;E-Mail;Email;country;T Shirt
%s;Zoé Durand;;zoe@example.fr;be;=L
;محمد علي;;M.Ali@example.org;TN;
;Ann;;ann@example.org;;"S
M"
;Bob;;;Atlantis;
;Léa Durand;;zoe@example.fr;;
""" % IDS[0]


def ask_to_join(f, code):
    """A chapter that waits until HQ approves it, so that what HQ says of it can be seen."""
    f.daemon("join", f.invite(code, "--approve"), "--dir", os.path.join(f.dir, code), "--dial-only",
             check=False)


def arguments_of(f, words):
    """Names of files and of invitations that differ at each run."""
    files = {"FILE": os.path.join(f.dir, "members.csv"), "OUT": os.path.join(f.dir, "out.csv"),
             "BACKUP": os.path.join(f.dir, "backup"), "BACKUP-2": os.path.join(f.dir, "backup-2")}
    words = [files.get(w, w) for w in words]
    if any(w.startswith("ID-OF-") for w in words):
        ids = {"ID-OF-" + i["chapter"]: i["id"] for i in f.hq.json("invite", "list")}
        words = [ids.get(w, w) for w in words]
    return words


def run(f, name, where, words, expected, stdin=None):
    """Runs it; what is wrong with it, or None."""
    code, out, err = f.nodes[where].ctl(*arguments_of(f, words), check=False, stdin=stdin)
    text = "$ chapterctl %s\n%s%sexit %d\n" % (" ".join(words), out,
                                               "stderr: " + err if err else "", code)
    difference = compare(name, normalise(text))
    if code != expected:
        return "%s: exit %d, not %d: %s%s" % (name, code, expected, out, err)
    return difference


def raise_federation(f):
    fr, _ = f.join("fr"), f.join("lu", listen=False)
    check(all(r["ok"] for r in fr.apply(members())), "members")
    check(f.hq.apply([{"op": "put", "id": IDS[5], "fields": {
        "name": "Example Telecom", "kind": "organization", "country": "LU",
        "joined": "2015-06-01"}}])[0]["ok"], "organization")
    f.agree()
    f.hq_has_all()
    f.all_current()
    f.all_linked()
    for node in f.running():
        wait_until(lambda: node.status()["peers"] and
                   all(p["verified"] == p["sent"] for p in node.status()["peers"]), 45,
                   "all peers of " + node.code + " have what it sent")
    with open(os.path.join(f.dir, "members.csv"), "w") as file:
        file.write(SPREADSHEET)
    f.nodes["none"] = Node(f, "none")
    f.nodes["long"] = Node(f, "long" * 30)


def test_golden():
    with Federation("Golden Society") as f:
        raise_federation(f)
        bad = []
        for row in COMMANDS:
            if row[0] == "invite-list":
                ask_to_join(f, "dk")
                ask_to_join(f, "fi")
            bad.append(run(f, *row))
            if row[0].startswith("chapters-suspend"):
                f.agree()
        bad = [b for b in bad if b]
        check(not bad, "\n" + "\n".join(bad))


def commands():
    """Those that chapterctl says it has."""
    out = subprocess.run([os.path.join(BIN, "chapterctl"), "help"], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return re.findall(r"(?m)^  ([a-z-]+(?: [a-z]+)?)  +", out.split("commands:")[1].split("\n\n")[0])


def test_help_of_each_command():
    with Federation("Golden Society") as f:
        f.nodes["none"] = Node(f, "none")
        names = commands()
        check(len(names) > 20, names)
        bad = [run(f, "help-" + name.replace(" ", "-"), "none", ["help", *name.split()], 0)
               for name in names]
        check(not any(bad), "\n" + "\n".join(b for b in bad if b))


def test_each_command_is_here():
    """A new command brings its own: text, JSON and an error."""
    def runs(command, json, good):
        for _, _, words, expected, *_ in COMMANDS:
            plain = [w for w in words if w not in ("--json", "--csv", "-v", "-q")]
            if (" ".join(plain) + " ").startswith(command + " ") and \
                    ("--json" in words) == json and (expected in (0, 4)) == good:
                return True
        return False

    missing = []
    for command in commands():
        if command == "help":
            continue
        missing += ["%s: text" % command] * (not runs(command, False, True))
        # what export prints is a file, whatever is asked for
        missing += ["%s: json" % command] * (command != "export" and
                                             not runs(command, True, True))
        missing += ["%s: error" % command] * (not (runs(command, False, False) or
                                                   runs(command, True, False)))
    check(not missing, "no golden file of " + ", ".join(missing))
    files = {n[:-len(".golden")] for n in os.listdir(os.path.join(HERE, "expected"))}
    known = {row[0] for row in COMMANDS} | {"help-" + c.replace(" ", "-") for c in commands()}
    check(files == known, "files that nothing prints: %s" % sorted(files - known))


def test_what_is_replaced():
    """Ports, keys and times are; whatever an operator would miss is not."""
    line = "fr      Chapter fr      current        5   6              2 s  "
    same = [
        (line, line.replace("2 s", "13 s")),
        ("at 127.0.0.1:7440", "at 127.0.0.1:31002"),
        ('"time":"2026-01-31T12:00:00Z"', '"time":"2027-11-01T00:59:59Z"'),
        ('"head_hash":"%s"' % ("0a" * 32), '"head_hash":"%s"' % ("1b" * 32)),
        ('"heard_seconds":3,', '"heard_seconds":12,'),
    ]
    other = [
        (line, line.replace("5", "4")), (line, line.replace("6", "7")),
        (line, line.replace("current", "stale")), (line, line.replace("2 s", "")),
        (line, line + "forked"), (line, line.replace("      Chapter", " Chapter")),
        ('"seq":6', '"seq":7'), ('"behind_changes":0', '"behind_changes":1'),
        ('"bytes_max":1', '"bytes_max":2'), ('"behind_seconds":0', '"behind_seconds":1'),
        ('"members":5', '"members":6'), ("exit 0", "exit 1"), ("a\nb", "a b"), ("a", "a\n\n"),
        ("/tmp/chapterd-e2e-abc/fr/control.sock", "/tmp/chapterd-e2e-abc/lu/control.sock"),
        ("  2 memberships", "  3 memberships"), ('"records_max":200000', '"records_max":50'),
        ("  turns          1  turns that committed", "  turns          1  turns"),
        ('"counters":{"turns":1}', '"counters":{"forks":1}'),
        ('"fetched_bytes":1', '"fetched_bytes":null'), ("\x1b[31mred\x1b[0m", "red"),
        (IDS[0], IDS[1]),
    ]
    for a, b in same:
        check(normalise(a) == normalise(b), "not replaced: %r" % b)
    for a, b in other:
        check(normalise(a) != normalise(b), "hidden: %r as %r" % (b, normalise(b)))


if __name__ == "__main__":
    main(test_what_is_replaced, test_golden, test_help_of_each_command, test_each_command_is_here)
