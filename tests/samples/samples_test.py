# SPDX-License-Identifier: MPL-2.0
"""What generate.py promises, counted anew from the files that it writes."""

import collections
import csv
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import unicodedata
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = {  # as Unicode begins the names of its letters; of all others: LATIN
    "am": "ETHIOPIC", "ar": "ARABIC", "be": "CYRILLIC", "bg": "CYRILLIC", "bn": "BENGALI",
    "dv": "THAANA", "dz": "TIBETAN", "el": "GREEK", "fa": "ARABIC", "he": "HEBREW",
    "hi": "DEVANAGARI", "hy": "ARMENIAN", "ja": "CJK HIRAGANA KATAKANA", "ka": "GEORGIAN",
    "kk": "CYRILLIC", "km": "KHMER", "kn": "KANNADA", "ko": "HANGUL", "ky": "CYRILLIC",
    "lo": "LAO", "mk": "CYRILLIC", "mn": "CYRILLIC", "my": "MYANMAR", "ne": "DEVANAGARI",
    "ru": "CYRILLIC", "si": "SINHALA", "sr": "CYRILLIC", "ta": "TAMIL", "th": "THAI",
    "uk": "CYRILLIC", "ur": "ARABIC", "zh": "CJK"}

ADDRESS = r"^$|^[^@\s]+@([a-z0-9]+\.example|example\.(com|net|org))$"  # nobody's, or none


def generate(directory, *args, **environment):
    return subprocess.run([sys.executable, os.path.join(HERE, "generate.py"), *args,
                           "--out", directory], env={**os.environ, **environment},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)


def read_rows(directory):
    """[(chapter, row)] of all files"""
    rows = []
    for name in sorted(os.listdir(directory)):
        if name.endswith(".csv"):
            with open(os.path.join(directory, name), encoding="utf-8", newline="") as file:
                rows += [(name[:-4], row) for row in csv.DictReader(file)]
    return rows


def read_expected(directory):
    with open(os.path.join(directory, "expected.json"), encoding="utf-8") as file:
        return json.load(file)


def script_of(letter):
    return unicodedata.name(letter).split()[0]


def count_persons(rows):
    """(persons, persons with two memberships)"""
    addresses = collections.Counter(unicodedata.normalize("NFC", row["email"].strip()).lower()
                                    for row in rows if row["email"])
    nameless = sum(not row["email"] for row in rows)
    return len(addresses) + nameless, sum(number == 2 for number in addresses.values())


class WholeFederation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        run = generate(cls.directory.name)
        assert run.returncode == 0, run.stderr
        cls.rows = read_rows(cls.directory.name)
        cls.expected = read_expected(cls.directory.name)
        cls.active = [(code, row) for code, row in cls.rows if row["status"] == "active"]
        cls.individuals = [row for _, row in cls.active if row["kind"] == "individual"]

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def test_exact_figures(self):
        kinds = collections.Counter(row["kind"] for _, row in self.active)
        self.assertEqual(kinds, {"individual": 28000, "organization": 82, "affiliate": 90})
        self.assertEqual(len({row["country"] for row in self.individuals}), 170)
        self.assertEqual(len({row["country"] for _, row in self.active}), 170)
        persons, twice = count_persons(self.individuals)
        self.assertEqual((persons, twice), (27400, 600))
        for code, row in self.rows:
            self.assertEqual(row["kind"] == "individual", code != "hq")
        for status in ("lapsed", "pending", "suspended"):
            self.assertGreater(sum(row["status"] == status for _, row in self.rows), 100)

    def test_expected_is_what_the_files_hold(self):
        expected = self.expected
        persons, twice = count_persons(self.individuals)
        for key, value in (
                ("chapters", 85), ("memberships", 28172), ("individuals", 28000),
                ("organizations", 82), ("affiliates", 90), ("countries", 170),
                ("persons", persons), ("shared", twice)):
            self.assertEqual(expected[key], value, key)
        count = collections.Counter
        self.assertEqual(expected["rows"], count(code for code, _ in self.rows))
        self.assertEqual(expected["by_chapter"], count(code for code, _ in self.active))
        self.assertEqual(expected["by_kind"], count(row["kind"] for _, row in self.active))
        self.assertEqual(expected["by_country"], count(row["country"] for _, row in self.active))
        self.assertEqual(expected["by_month"], count(row["joined"][:7] for _, row in self.active))
        self.assertEqual(expected["by_status"], count(row["status"] for _, row in self.rows))

    def test_chapters_are_few_large_and_many_small(self):
        with open(os.path.join(HERE, "chapters.csv"), encoding="utf-8", newline="") as file:
            codes = {row["id"] for row in csv.DictReader(file)}
        sizes = {code: size for code, size in self.expected["by_chapter"].items() if code != "hq"}
        self.assertEqual(set(sizes), codes)
        ranked = sorted(sizes.values(), reverse=True)
        self.assertEqual(len(ranked), 85)
        self.assertEqual(ranked[-1], 25)
        self.assertTrue(2800 <= ranked[0] <= 3200, ranked[0])
        self.assertGreater(sum(ranked[:10]), 14000)  # half of all are in the ten largest
        self.assertLess(ranked[42], 200)

    def test_joining_grows_as_the_internet_did(self):
        joined = [datetime.date.fromisoformat(row["joined"]) for _, row in self.active]
        years = collections.Counter(day.year for day in joined)
        self.assertEqual(min(years), 1992)
        self.assertLessEqual(max(years), 2025)
        steps = [sum(years[year] for year in range(first, first + 4))
                 for first in range(1992, 2024, 4)]
        self.assertEqual(steps, sorted(set(steps)))
        self.assertGreater(steps[-1], 50 * steps[0])

    def test_nobody_lapses_while_a_demo_runs(self):
        soon = "%d" % (datetime.date.today().year + 2)
        for _, row in self.rows:
            if row["expires"]:
                datetime.date.fromisoformat(row["expires"])
            if row["status"] == "active":
                self.assertTrue(row["expires"] == "" or row["expires"] > soon, row)

    def test_names_are_in_the_script_of_the_language(self):
        scripts = collections.Counter()
        for _, row in self.rows:
            if row["kind"] != "individual":
                continue
            found = {script_of(letter) for letter in unicodedata.normalize("NFC", row["name"])
                     if unicodedata.category(letter).startswith("L")} - {"MODIFIER"}
            right = set(SCRIPTS.get(row["language"], "LATIN").split())
            self.assertTrue(found and found <= right, row)
            scripts.update(found)
        self.assertGreaterEqual(len(scripts), 20, scripts)
        languages = {row["language"] for row in self.individuals}
        self.assertGreaterEqual(len(languages), 70)

    def test_the_daemon_takes_every_row(self):
        with open(os.path.join(HERE, "..", "..", "proto", "country.c"), encoding="utf-8") as file:
            countries = set(re.findall(r'\{ "([A-Z]{2})",', file.read()))
        numbers = collections.Counter()
        for code, row in self.rows:
            self.assertIn(row["country"], countries)
            self.assertRegex(row["email"].lower(), ADDRESS)
            self.assertLessEqual(len(row["email"].encode()), 254)
            self.assertTrue(row["name"].strip() == row["name"] != "")
            if row["external_id"]:
                numbers[code, row["external_id"]] += 1
        self.assertEqual(set(numbers.values()), {1})


class Selections(unittest.TestCase):
    def make(self, *args, **environment):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        run = generate(directory.name, *args, **environment)
        self.assertEqual(run.returncode, 0, run.stderr)
        return directory.name

    def test_the_first_chapters_alone(self):
        directory = self.make("--chapters", "3", "--members", "500")
        expected = read_expected(directory)
        self.assertEqual(set(expected["by_chapter"]), {"hq", "fr", "lu", "qc"})
        self.assertEqual((expected["individuals"], expected["persons"]), (500, 490))
        active = [row for _, row in read_rows(directory)
                  if row["status"] == "active" and row["kind"] == "individual"]
        self.assertEqual((len(active), count_persons(active)), (500, (490, 10)))

    def test_named_chapters(self):
        directory = self.make("--chapters", "qc,jp", "--members", "90", "--shared", "7",
                              "--seed", "5")
        expected = read_expected(directory)
        self.assertEqual(set(expected["rows"]), {"hq", "qc", "jp"})
        self.assertEqual((expected["individuals"], expected["shared"]), (90, 7))

    def test_the_same_everywhere(self):
        args = ("--chapters", "12", "--members", "700")
        first = self.make(*args, PYTHONHASHSEED="1", LC_ALL="C")
        second = self.make(*args, PYTHONHASHSEED="2", LC_ALL="C.UTF-8")
        self.assertEqual(sorted(os.listdir(first)), sorted(os.listdir(second)))
        for name in os.listdir(first):
            with open(os.path.join(first, name), "rb") as a, \
                    open(os.path.join(second, name), "rb") as b:
                self.assertEqual(a.read(), b.read(), name)
        self.assertNotEqual(read_rows(first), read_rows(self.make(*args, "--seed", "2")))

    def test_what_cannot_be(self):
        with tempfile.TemporaryDirectory() as directory:
            for args, complaint in ((("--chapters", "0"), "1 to 85"),
                                    (("--chapters", "86"), "1 to 85"),
                                    (("--chapters", "fr,xx"), "xx"),
                                    (("--chapters", "fr,fr"), "each chapter once"),
                                    (("--members", "-1"), "negative"),
                                    (("--chapters", "fr", "--shared", "1"), "too few")):
                run = generate(directory, *args)
                self.assertNotEqual(run.returncode, 0, args)
                self.assertIn(complaint, run.stderr)
            self.assertEqual(os.listdir(directory), [])


if __name__ == "__main__":
    unittest.main()
