#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Sample members for tests and the demo, the same for the same arguments everywhere.

generate.py --out DIR                     the whole federation: 85 chapters, 28,000 members
generate.py --chapters 3 --members 500 --out DIR              its first three, with fewer
generate.py --chapters fr,lu --members 3000 --shared 25 --seed 1 --out DIR

writes DIR/CODE.csv in the canonical columns (hq.csv: organizations and affiliates, the others:
individuals) and DIR/expected.json, what a federation that imported all of them must count.
--members are the active individuals; lapsed, pending and suspended ones come on top.  The whole
federation has 82 organizations, 90 affiliates and members in each country of countries.csv.
A chapter's share of the members is the same in every selection, by what the whole has.

Nobody in here exists: mail domains are those reserved for examples.  Active members never expire
before the year 2090, so that none lapses while somebody tries.
"""

import argparse
import csv
import json
import math
import os
import random
import sys
import unicodedata
from fractions import Fraction

HERE = os.path.dirname(os.path.abspath(__file__))
COLUMNS = ["id", "external_id", "kind", "name", "email", "country", "city", "language", "phone",
           "joined", "expires", "status", "notes"]

# The whole federation
MEMBERS = 28000
SHARED_OF = 3, 140  # persons in two chapters, of all members: 600
ORGANIZATIONS = 82
AFFILIATES = 90
CHAPTER_MIN = 25
CHAPTER_TAIL = Fraction(11, 5)  # the smaller, the larger is the largest chapter

# Beside 100 active members of a chapter
OTHERS = [("lapsed", 6), ("pending", 3), ("suspended", 1)]
NEAR_PERCENT = 6     # live in a country that has no chapter
ABROAD_PERCENT = 2   # live anywhere
GONE = ["AQ", "FO", "GL", "VA"]  # where only lapsed members ever lived

# In each year as many join, in proportion, as were online by its end; in millions, round
YEARS = range(1992, 2026)
ONLINE = [10, 14, 25, 45, 77, 121, 188, 281, 415, 502, 665, 781, 913, 1030, 1160, 1373, 1575,
          1765, 2000, 2230, 2480, 2680, 2880, 3170, 3390, 3650, 3950, 4290, 4700, 4900, 5100,
          5300, 5500, 5700]
JOINED_IN = [year for year, online in zip(YEARS, ONLINE) for _ in range(online)]

# Where members of a chapter live that is of a part of its country
CITIES = {
    "qc": "Québec Montréal Trois-Rivières Chicoutimi Saint-Jérôme",
    "ca": "Toronto Vancouver Ottawa Iqaluit Moncton",
    "es-cat": "Barcelona Girona Lleida Reus Vic", "es-mad": "Madrid Cádiz A_Coruña Logroño",
    "us-ny": "New_York Albany Buffalo Yonkers", "us-dc": "Washington Reston Bethesda Arlington",
    "us-sfb": "San_Francisco San_José Oakland Palo_Alto", "us-hi": "Honolulu Hāna Hilo Līhuʻe",
    "us-co": "Denver Boulder Cañon_City Pueblo", "in-del": "नई_दिल्ली Delhi गुरुग्राम Noida",
    "in-blr": "ಬೆಂಗಳೂರು Bengaluru ಮೈಸೂರು Mangaluru", "za-gp": "Johannesburg Pretoria Soweto",
}
SAME_NAMES = {"nn": "nb"}  # languages whose speakers have the names of another
NOT_LATIN = set("am ar be bg bn dv dz el fa he hi hy ja ka kk km kn ko ky lo mk mn my ne ru si sr "
                "ta th uk ur zh".split())
DOMAINS = ["example.org", "example.net", "example.com", "mail.example", "{country}.example"]
NOTES = [""] * 8 + ["helps with \"IPv6 days\"; has a key, a badge",
                    "speaks at schools,\nwrote the first charter", "prefers letters",
                    "naïve café ☕, 日本語も"]
ORGANIZATION_PLACES = ["Northern", "Île", "Lake", "Harbour", "Süd", "Alpha", "Ωmega", "Mountain",
                       "Sahel", "Pacific", "Old Town", "Río", "Östra", "Delta", "Baobab"]
ORGANIZATION_TRADES = ["Réseau", "Networks", "Telecom", "Ağ", "Сеть", "ネット", "Exchange",
                       "Registry", "University", "Foundation", "شبكة", "Datacentre"]
LEGAL = ["GmbH", "S.A.", "Ltd", "asbl", "e.V.", "株式会社", "ООО", "Inc.", "Oy", "SARL"]


class Dice:
    """random() alone is the same in every version of Python; choice() and the like are not."""

    def __init__(self, seed):
        self.random = random.Random("chapterd samples %d" % seed).random

    def below(self, count):
        return int(self.random() * count)

    def pick(self, items):
        return items[self.below(len(items))]

    def shuffle(self, items):
        for at in range(len(items) - 1, 0, -1):
            other = self.below(at + 1)
            items[at], items[other] = items[other], items[at]


def read_table(name, key):
    with open(os.path.join(HERE, name), encoding="utf-8", newline="") as file:
        return {row[key]: row for row in csv.DictReader(file)}


def latin(text):
    """For the part of an address before the @."""
    plain = unicodedata.normalize("NFD", text.translate(str.maketrans("łøıđŁØßəƙŋ",
                                                                      "loidLOsakn")))
    return "".join(c for c in plain.lower() if "a" <= c <= "z" or c == "-").strip("-") or "x"


def normalised(email):
    """As the daemon tells persons apart."""
    return unicodedata.normalize("NFC", email.strip()).lower()


def apportion(total, weights):
    """Whole numbers in proportion to the weights, with that sum: largest remainders."""
    whole = sum(weights)
    exact = [Fraction(total) * weight / whole for weight in weights]
    parts = [int(share) for share in exact]
    order = sorted(range(len(exact)), key=lambda at: (parts[at] - exact[at], at))
    for at in order[:total - sum(parts)]:
        parts[at] += 1
    return parts


class Names:
    """Names of one language, of men and women, in its script and in Latin letters."""

    def __init__(self, row):
        self.order = row["order"]
        self.given = [self.read(part) for part in row["given"].split(";")]
        self.family = [self.read(part) for part in row["family"].split(";")]

    @staticmethod
    def read(text):
        pairs = []
        for word in text.split():
            name, _, plain = word.replace("_", " ").partition("/")
            pairs.append((name, plain or name))
        return pairs

    def pick(self, dice, in_latin):
        """(name, part of an address)"""
        of = dice.below(2)
        given = dice.pick(self.given[of % len(self.given)])
        family = dice.pick(self.family[of % len(self.family)])
        address = latin(given[1]) + "." + latin(family[1])
        if in_latin and given[0] != given[1]:
            return given[1] + " " + family[1], address
        return self.order.replace("G", "\0").replace("F", family[0]).replace("\0", given[0]), \
            address


class Country:
    def __init__(self, row):
        self.code = row["code"]
        self.online = Fraction(row["online"])
        self.dialling = row["dialling"]
        self.languages = row["languages"].split(";")
        self.names = row["names"].split(";")
        self.near = row["near"].split(";") if row["near"] else []
        self.cities = row["cities"].split(";")
        self.weight = math.isqrt(int(self.online * 100)) + 1


def chapter_shares(chapters, countries):
    """Active members of each chapter in the whole federation: a few large, many small ones, in
    the order of how many people are online where it is."""
    same_country = count(chapter["country"] for chapter in chapters.values())

    def online(code):
        country = chapters[code]["country"]
        return countries[country].online / same_country[country]

    ranked = sorted(chapters, key=lambda code: (-online(code), code))
    extra = MEMBERS - CHAPTER_MIN * len(ranked)
    weights = [Fraction(len(ranked) - rank) / (rank + CHAPTER_TAIL)
               for rank in range(1, len(ranked) + 1)]
    return {code: CHAPTER_MIN + more for code, more in zip(ranked, apportion(extra, weights))}


class Samples:
    def __init__(self, chapters, options):
        self.chapters = {code: chapters[code] for code in options.codes}
        self.countries = {code: Country(row)
                          for code, row in read_table("countries.csv", "code").items()}
        self.names = {code: Names(row) for code, row in read_table("names.csv", "language").items()}
        self.dice = Dice(options.seed)
        self.number = 0
        self.rows = {code: [] for code in ["hq"] + options.codes}
        self.names_alone = {code: set() for code in self.rows}
        shares = chapter_shares(chapters, self.countries)
        sizes = apportion(options.members, [shares[code] for code in options.codes])
        for code, size in zip(options.codes, sizes):
            self.fill_chapter(code, size)
        self.share(options.shared)
        self.fill_hq(options.members)
        for code in self.rows:
            self.finish(code)

    # --- where somebody lives, how he is called ------------------------------------------------

    def residences(self, code, size):
        """Countries of that many active members.  Whoever has no chapter at home takes one nearby:
        the nearest has at least one member of each such country."""
        home = self.chapters[code]["country"]
        near = [c for c in self.countries.values() if code in c.near]
        places = [c.code for c in near if c.near[0] == code][:size * 2 // 5]
        weighted = [c.code for c in near for _ in range(c.weight)]
        if weighted:
            places += [self.dice.pick(weighted)
                       for _ in range(min(size - len(places), size * NEAR_PERCENT // 100))]
        everywhere = list(self.countries)
        places += [self.dice.pick(everywhere)
                   for _ in range(min(size - len(places), size * ABROAD_PERCENT // 100))]
        return places + [home] * (size - len(places))

    def person(self, code, country):
        """(name, part of an address, language) of a member of that chapter who lives there."""
        chapter = self.chapters[code]
        lives = self.countries.get(country)
        if lives is not None and code in lives.near:
            origin, languages = lives, lives.languages
        else:  # at home, or from there and now abroad
            origin = self.countries[chapter["country"]]
            languages = chapter["languages"].split(";")
        language = self.dice.pick(languages)
        culture = SAME_NAMES.get(language, language)
        if culture not in origin.names and not (culture in NOT_LATIN and culture in self.names):
            culture = self.dice.pick(origin.names)
        name, address = self.names[culture].pick(self.dice, language not in NOT_LATIN)
        return name, address, language

    # --- rows -----------------------------------------------------------------------------------

    def joined(self):
        return "%d-%02d-%02d" % (self.dice.pick(JOINED_IN), 1 + self.dice.below(12), 1 + self.dice.below(28))

    def row(self, code, **fields):
        row = dict.fromkeys(COLUMNS, "")
        row.update(fields)
        row["joined"] = self.joined()
        row["notes"] = self.dice.pick(NOTES)
        if row["status"] == "active" and self.dice.random() < 0.7:
            row["expires"] = "%d-12-31" % (2090 + self.dice.below(10))
        elif row["status"] == "lapsed":
            first = int(row["joined"][:4])
            row["expires"] = "%d-12-31" % (first + self.dice.below(YEARS[-1] + 1 - first))
        elif row["status"] == "pending":
            row["joined"] = "%d%s" % (YEARS[-1], row["joined"][4:])
        self.rows[code].append(row)
        return row

    def individual(self, code, country, status):
        name, address, language = self.person(code, country)
        lives = self.countries.get(country)
        self.number += 1
        domain = self.dice.pick(DOMAINS).format(country=country.lower())
        row = self.row(code, kind="individual", name=name, country=country, language=language,
                       status=status, email="%s.%d@%s" % (address, self.number, domain))
        if lives is not None:
            at_home = country == self.chapters[code]["country"]
            cities = CITIES[code].split() if at_home and code in CITIES else lives.cities
            row["city"] = self.dice.pick(cities).replace("_", " ")
            if self.dice.random() < 0.5:
                row["phone"] = "%s %d %02d %02d" % (
                    lives.dialling, 100 + self.dice.below(900), self.dice.below(100),
                    self.dice.below(100))
        # without an address, a name that nobody else has is what tells people apart
        if self.dice.random() < 0.01 and name not in self.names_alone[code]:
            self.names_alone[code].add(name)
            row["email"] = ""

    def fill_chapter(self, code, size):
        for country in self.residences(code, size):
            self.individual(code, country, "active")
        home = self.chapters[code]["country"]
        for status, percent in OTHERS:
            for _ in range((size * percent + 50) // 100):
                gone = status == "lapsed" and self.dice.random() < 0.02
                self.individual(code, self.dice.pick(GONE) if gone else home, status)

    def share(self, wanted):
        """So many persons become members of a second chapter: a row there takes over name, e-mail
        and language of one here, the e-mail not always in the same letters."""
        free = [(code, row) for code in self.chapters for row in self.rows[code]
                if row["status"] == "active" and row["email"]]
        self.dice.shuffle(free)
        for at in range(wanted):
            one_code, one = free.pop() if free else (None, None)
            other = next((place for place in range(len(free) - 1, -1, -1)
                          if free[place][0] != one_code), None)
            if other is None:
                sys.exit("generate.py: too few members in two chapters for --shared %d" % wanted)
            two = free.pop(other)[1]
            for field in ("name", "email", "language"):
                two[field] = one[field]
            if at % 4 == 1:
                two["email"] = one["email"].upper()
            elif at % 4 == 2:
                two["email"] = one["email"].title()
            elif at % 4 == 3:
                local, at_sign, domain = one["email"].partition("@")
                one["email"] = local.replace("e", "é", 1) + at_sign + domain
                two["email"] = unicodedata.normalize("NFD", one["email"])

    def fill_hq(self, members):
        """Organizations and affiliates, in countries where somebody is a member."""
        homes = sorted({row["country"] for rows in self.rows.values() for row in rows
                        if row["status"] == "active"})
        if not homes:
            return
        for kind, whole in (("organization", ORGANIZATIONS), ("affiliate", AFFILIATES)):
            active = min(whole, members // 30)
            for status, number in (("active", active), ("pending", active // 25),
                                   ("lapsed", active // 40)):
                for _ in range(number):
                    self.organization(kind, self.dice.pick(homes), status)

    def organization(self, kind, country, status):
        self.number += 1
        name = "%s %s %d %s" % (self.dice.pick(ORGANIZATION_PLACES),
                                self.dice.pick(ORGANIZATION_TRADES), self.number,
                                self.dice.pick(LEGAL))
        self.row("hq", kind=kind, name=name, email="office.%d@%s.example" % (self.number, kind),
                 country=country, status=status, language=self.countries[country].languages[0],
                 city=self.dice.pick(self.countries[country].cities))

    def finish(self, code):
        """A register is kept in the order of joining; some have lost their number."""
        self.rows[code].sort(key=lambda row: row["joined"])
        for at, row in enumerate(self.rows[code]):
            if self.dice.random() < 0.9:
                row["external_id"] = "%s-%05d" % (code.upper(), at + 1)

    # --- what must come out ---------------------------------------------------------------------

    def expected(self):
        everyone = [(code, row) for code, rows in self.rows.items() for row in rows]
        active = [(code, row) for code, row in everyone if row["status"] == "active"]
        individuals = [row for _, row in active if row["kind"] == "individual"]
        addresses = [normalised(row["email"]) for row in individuals if row["email"]]
        return {
            "rows": {code: len(rows) for code, rows in self.rows.items() if rows},
            "chapters": len(self.chapters),
            "memberships": len(active),
            "individuals": len(individuals),
            "organizations": sum(row["kind"] == "organization" for _, row in active),
            "affiliates": sum(row["kind"] == "affiliate" for _, row in active),
            "countries": len({row["country"] for row in individuals}),
            "persons": len(set(addresses)) + sum(not row["email"] for row in individuals),
            "shared": len(addresses) - len(set(addresses)),
            "by_chapter": count(code for code, _ in active),
            "by_kind": count(row["kind"] for _, row in active),
            "by_country": count(row["country"] for _, row in active),
            "by_status": count(row["status"] for _, row in everyone),
            "by_month": count(row["joined"][:7] for _, row in active),
        }


def count(values):
    totals = {}
    for value in values:
        totals[value] = totals.get(value, 0) + 1
    return dict(sorted(totals.items()))


def write(samples, directory):
    os.makedirs(directory, exist_ok=True)
    for code, rows in samples.rows.items():
        if not rows:
            continue
        path = os.path.join(directory, code + ".csv")
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(row.values() for row in rows)
    with open(os.path.join(directory, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(samples.expected(), file, ensure_ascii=False, indent=1)
        file.write("\n")


def read_options(known):
    parser = argparse.ArgumentParser(description="Sample members for tests and the demo.")
    parser.add_argument("--chapters", default="all",
                        help="all, so many from the top of chapters.csv, or their codes: fr,lu")
    parser.add_argument("--members", type=int, default=MEMBERS,
                        help="active individuals of all chapters together")
    parser.add_argument("--shared", type=int, help="persons who are members of two chapters")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True, metavar="DIR")
    options = parser.parse_args()
    if options.chapters == "all":
        options.codes = list(known)
    elif options.chapters.isdecimal():
        options.codes = list(known)[:int(options.chapters)]
        if not 1 <= int(options.chapters) <= len(known):
            parser.error("there are 1 to %d chapters" % len(known))
    else:
        options.codes = options.chapters.split(",")
    unknown = [code for code in options.codes if code not in known]
    if unknown:
        parser.error("not in chapters.csv: " + ", ".join(unknown))
    if options.shared is None:
        options.shared = (options.members * SHARED_OF[0] // SHARED_OF[1]
                          if len(options.codes) > 1 else 0)
    if len(set(options.codes)) != len(options.codes) or options.members < 0 or options.shared < 0:
        parser.error("each chapter once, and no negative numbers")
    return options


def main():
    known = read_table("chapters.csv", "id")
    options = read_options(known)
    write(Samples(known, options), options.out)


if __name__ == "__main__":
    main()
