# SPDX-License-Identifier: MPL-2.0
"""What chapterctl prints, text and JSON, compared with the files in expected/.

The federation is the same at every run but for keys, digests, ports and times, which are replaced
by words.  After an intended change: cmake --build build/release --target update-golden"""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from federation import Failed, Federation, check, main, wait_until  # noqa: E402

UPDATE = os.environ.get("CHAPTERD_UPDATE_GOLDEN")
IDS = ["00000000-0000-4000-8000-%012x" % n for n in range(1, 9)]

# name, node, arguments, expected exit code
COMMANDS = [
    ("status", "hq", ["status"], 0),
    ("status-v", "lu", ["status", "-v"], 0),
    ("status-json", "lu", ["--json", "status"], 0),
    ("explain", "fr", ["explain", "hq"], 0),
    ("explain-json", "hq", ["--json", "explain", "lu"], 0),
    ("explain-unknown", "lu", ["explain", "frr"], 1),
    ("counts", "hq", ["counts"], 0),
    ("counts-country", "lu", ["counts", "--by", "country"], 0),
    ("counts-chapter-json", "hq", ["--json", "counts", "--by", "chapter"], 0),
    ("counts-csv", "hq", ["--csv", "counts", "--by", "status"], 0),
    ("members-list", "fr", ["members", "list", "--chapter", "fr"], 0),
    ("members-list-elsewhere", "lu", ["members", "list"], 0),
    ("members-list-json", "lu", ["--json", "members", "list", "--country", "FR"], 0),
    ("members-show", "fr", ["members", "show", IDS[0]], 0),
    ("members-show-hq-json", "hq", ["--json", "members", "show", IDS[0]], 0),
    ("members-show-unknown", "lu", ["members", "show", IDS[7]], 1),
    ("members-edit-unknown-field-value", "fr", ["members", "edit", IDS[0], "country=XX"], 1),
    ("log", "lu", ["log", "--chapter", "fr"], 0),
    ("log-json", "lu", ["--json", "log", "--chapter", "fr"], 0),
    ("verify", "lu", ["verify", "--deep"], 0),
    ("verify-json", "hq", ["--json", "verify", "--deep"], 0),
    ("wait-json", "lu", ["--json", "wait", "--timeout", "10"], 0),
    ("chapters-list", "hq", ["chapters", "list"], 0),
    ("chapters-show-json", "hq", ["--json", "chapters", "show", "fr"], 0),
    ("invite-not-hq", "fr", ["invite", "be"], 1),
    ("export", "fr", ["export"], 0),
    ("import", "fr", ["import", "FILE"], 4),
    ("import-json", "fr", ["--json", "import", "FILE"], 4),
    ("import-apply", "fr", ["import", "FILE", "--apply"], 4),
    ("import-again", "fr", ["import", "FILE", "--apply"], 4),
    ("help", "fr", ["help"], 0),
    ("help-import", "fr", ["help", "import"], 0),
    ("unknown-command", "fr", ["statsu"], 2),
    ("unknown-option", "fr", ["counts", "--bye", "country"], 2),
]

WORDS = [
    (r"\x1b\[[0-9;]*m", ""),
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{16}\b", "SHORT-DIGEST"),
    (r"(?m)(SHORT-DIGEST +\d+ +)\d+( +\d+)$", r"\1N\2"),  # bytes fetched
    (r"(?m)(ADDRESS +yes +)\d+$", r"\1N"),                  # a link's handle
    (r"(\"link\": ?)\d+", r"\1N"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"/[^ \"]*chapterd-e2e-[^/ \"]+", "DIR"),
    (r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"chapterd1\.[A-Za-z0-9_-]+", "TOKEN"),
    (r"(\"[a-z_]*(?:seconds|bytes|messages)[a-z_]*\": ?)-?[0-9.e+-]+", r"\1N"),
    (r"\b\d+(\.\d+)? ?(ms|s|seconds?)\b", "N s"),
]


def normalise(text):
    """Variable parts as words; columns that those widen shrink to two spaces."""
    for pattern, word in WORDS:
        text = re.sub(pattern, word, text)
    # counters vary with timing
    text = re.sub(r"(?ms)(\"counters\": ?\{).*?(\})", r"\1COUNTERS\2", text)
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


def test_golden():
    with Federation("Golden Society") as f:
        fr, lu = f.join("fr"), f.join("lu", listen=False)
        check(all(r["ok"] for r in fr.apply(members())), "members")
        check(f.hq.apply([{"op": "put", "id": IDS[5], "fields": {
            "name": "Example Telecom", "kind": "organization", "country": "LU",
            "joined": "2015-06-01"}}])[0]["ok"], "organization")
        f.agree()
        for node in f.running():
            wait_until(lambda: all(x["state"] == "current" for x in node.status()["feeds"]), 20,
                       "all current at " + node.code)
        for node in f.running():
            wait_until(lambda: node.status()["peers"] and
                       all(p["verified"] == p["sent"] for p in node.status()["peers"]), 30,
                       "all peers of " + node.code + " have what it sent")
        path = os.path.join(f.dir, "members.csv")
        with open(path, "w") as file:
            file.write(SPREADSHEET)
        bad = []
        for name, where, arguments, expected in COMMANDS:
            arguments = [path if a == "FILE" else a for a in arguments]
            code, out, err = f.nodes[where].ctl(*arguments, check=False)
            text = "$ chapterctl %s\n%s%sexit %d\n" % (" ".join(arguments), out,
                                                       "stderr: " + err if err else "", code)
            difference = compare(name, normalise(text))
            if difference:
                bad.append(difference)
            if code != expected:
                bad.append("%s: exit %d, not %d: %s%s" % (name, code, expected, out, err))
        check(not bad, "\n" + "\n".join(bad))


if __name__ == "__main__":
    main(test_golden)
